/* SPDX-License-Identifier: MIT
 *
 * A batch: rows, what they add up to, and the position behind them, all or
 * nothing. A row that is there already (a database that was restored, a lost reply
 * to a commit) is neither inserted nor counted.
 */
#include "lib/batch.h"
#include "lib/clock.h"
#include "lib/crypt.h"
#include "lib/rollup.h"

#include <stdlib.h>

#define HOUR_US 3600000000LL
#define TRIES   3

static enum err
failure(struct batch *b, enum err e, const char *what)
{
	return err_set(b->info, e, "%s: %s", what, db_error(b->db));
}

/* --- one row --- */

static const struct sql insert_row = {
    .sqlite =
	"INSERT INTO request_logs (id, timestamp, group_id, group_name, parent_group_id, "
	"parent_group_name, key_value, key_hash, model, is_success, source_ip, status_code, "
	"request_path, duration, error_message, user_agent, request_type, upstream_addr, "
	"is_stream, request_body, gptl_request_id, gptl_attempt, gptl_ttfb_ms, gptl_bytes_in, "
	"gptl_bytes_out, gptl_prompt_tokens, gptl_completion_tokens, gptl_cached_tokens, "
	"gptl_end, gptl_rolled) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
	"?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1) ON CONFLICT (id) DO NOTHING",
    /* Not INSERT IGNORE, which lets values through that do not fit, and no ON
     * DUPLICATE KEY, which counts a row that it found. */
    .mysql = "INSERT INTO request_logs (id, timestamp, group_id, group_name, parent_group_id, "
	     "parent_group_name, key_value, key_hash, model, is_success, source_ip, status_code, "
	     "request_path, duration, error_message, user_agent, request_type, upstream_addr, "
	     "is_stream, request_body, gptl_request_id, gptl_attempt, gptl_ttfb_ms, gptl_bytes_in, "
	     "gptl_bytes_out, gptl_prompt_tokens, gptl_completion_tokens, gptl_cached_tokens, "
	     "gptl_end, gptl_rolled) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, "
	     "?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
};

/* *ret_new: it was not there yet. */
static enum err
insert(struct batch *b, const struct logrow *r, bool *ret_new)
{
	int64_t changed = 0;
	enum err e = db_exec(
	    b->db, db_pick(b->db, &insert_row),
	    DB_ARGS(db_cstr(r->id), db_time(r->time_us), db_int(r->group_id),
		    db_text(r->group_name), db_int(r->parent_id), db_text(r->parent_name),
		    db_text(r->key_stored), db_cstr(r->key_hash), db_text(r->model),
		    db_bool(r->is_success), db_text(r->source_ip), db_int(r->status),
		    db_text(r->path), db_int(r->duration_ms), db_text(r->error),
		    db_text(r->user_agent), db_cstr(r->is_final ? "final" : "retry"),
		    db_text(r->upstream), db_bool(r->is_stream), db_text(r->request_body),
		    db_cstr(r->request_id), db_int(r->attempt), db_int(r->ttfb_ms),
		    db_int(r->bytes_in), db_int(r->bytes_out), db_int(r->prompt_tokens),
		    db_int(r->completion_tokens), db_int(r->cached_tokens), db_text(r->end)),
	    &changed);

	*ret_new = e == ERR_OK && changed > 0;
	return e == ERR_DUPLICATE ? ERR_OK : e;
}

/* --- what a batch adds up to --- */

static int
by_id(const void *a, const void *b)
{
	const struct logrow *const *x = a;
	const struct logrow *const *y = b;

	return strcmp((*x)->id, (*y)->id);
}

static int
by_key(const void *a, const void *b)
{
	const struct logrow *const *x = a;
	const struct logrow *const *y = b;

	return (*x)->key_id < (*y)->key_id ? -1 : (*x)->key_id > (*y)->key_id;
}

static int
by_hour(const void *a, const void *b)
{
	const struct tally *x = a;
	const struct tally *y = b;

	if (x->hour_us != y->hour_us)
		return x->hour_us < y->hour_us ? -1 : 1;
	return x->group_id < y->group_id ? -1 : x->group_id > y->group_id;
}

/* Rows in order of id: each index on it is then written at one place. */
static enum err
insert_rows(struct batch *b, size_t *ret_bad)
{
	size_t kept = 0;

	b->n_order = 0;
	for (size_t i = 0; i < b->n; i++)
		if (!b->skip[i])
			b->order[b->n_order++] = &b->rows[i];
	if (b->n_order > 1)
		qsort(b->order, b->n_order, sizeof(*b->order), by_id);
	for (size_t i = 0; i < b->n_order; i++) {
		bool is_new = false;
		enum err e = insert(b, b->order[i], &is_new);

		if (e != ERR_OK) {
			if (e != ERR_DB_AWAY && e != ERR_DISK)
				*ret_bad = (size_t)(b->order[i] - b->rows);
			return failure(b, e, "cannot insert a log row");
		}
		if (is_new)
			b->order[kept++] = b->order[i];
	}
	b->n_order = kept;
	return ERR_OK;
}

/* Keys in order of id, as every writer of several does: no deadlock. */
static enum err
count_keys(struct batch *b)
{
	if (b->n_order > 1)
		qsort(b->order, b->n_order, sizeof(*b->order), by_key);
	for (size_t i = 0; i < b->n_order;) {
		int64_t key_id = b->order[i]->key_id;
		int64_t uses = 0;
		int64_t last = 0;
		enum err e;

		for (; i < b->n_order && b->order[i]->key_id == key_id; i++) {
			if (b->order[i]->is_success) {
				uses++;
				last = MAX(last, b->order[i]->time_us);
			}
		}
		if (key_id == 0 || uses == 0)
			continue;
		e = db_exec(b->db,
			    "UPDATE api_keys SET request_count = request_count + ?, last_used_at = "
			    "CASE WHEN last_used_at > ? THEN last_used_at ELSE ? END WHERE id = ?",
			    DB_ARGS(db_int(uses), db_time(last), db_time(last), db_int(key_id)),
			    NULL);
		if (e != ERR_OK)
			return failure(b, e, "cannot count the uses of a key");
	}
	return ERR_OK;
}

static void
tally_add(struct batch *b, int64_t hour_us, int64_t group_id, bool ok)
{
	struct tally *t = b->tallies;

	while (t < b->tallies + b->n_tallies && (t->hour_us != hour_us || t->group_id != group_id))
		t++;
	if (t == b->tallies + b->n_tallies) {
		*t = (struct tally){.hour_us = hour_us, .group_id = group_id};
		b->n_tallies++;
	}
	*(ok ? &t->ok : &t->failed) += 1;
}

static enum err
sum_hours(struct batch *b)
{
	static const struct sql upsert = {
	    .sqlite = "INSERT INTO group_hourly_stats (time, group_id, success_count, "
		      "failure_count, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?) "
		      "ON CONFLICT (time, group_id) DO UPDATE SET "
		      "success_count = group_hourly_stats.success_count + excluded.success_count, "
		      "failure_count = group_hourly_stats.failure_count + excluded.failure_count, "
		      "updated_at = excluded.updated_at",
	    .mysql =
		"INSERT INTO group_hourly_stats (time, group_id, success_count, "
		"failure_count, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?) "
		"ON DUPLICATE KEY UPDATE success_count = success_count + VALUES(success_count), "
		"failure_count = failure_count + VALUES(failure_count), "
		"updated_at = VALUES(updated_at)",
	};
	int64_t now = clock_wall_us();

	b->n_tallies = 0;
	for (size_t i = 0; i < b->n_order; i++) {
		const struct logrow *r = b->order[i];
		int64_t hour = r->time_us - r->time_us % HOUR_US;

		if (!r->is_final)
			continue;
		tally_add(b, hour, r->group_id, r->is_success);
		if (r->parent_id != 0)
			tally_add(b, hour, r->parent_id, r->is_success);
	}
	qsort(b->tallies, b->n_tallies, sizeof(*b->tallies), by_hour);
	for (const struct tally *t = b->tallies; t < b->tallies + b->n_tallies; t++) {
		enum err e =
		    db_exec(b->db, db_pick(b->db, &upsert),
			    DB_ARGS(db_time(t->hour_us), db_int(t->group_id), db_int(t->ok),
				    db_int(t->failed), db_time(now), db_time(now)),
			    NULL);

		if (e != ERR_OK)
			return failure(b, e, "cannot add to the hourly sums");
	}
	return ERR_OK;
}

/* The dashboard's sums (rollup.h). */
static enum err
sum_up(struct batch *b)
{
	struct rollup *sums = rollup_new();
	enum err e = ERR_OK;

	for (size_t i = 0; i < b->n_order && e == ERR_OK; i++)
		e = rollup_add(sums, b->db, b->order[i]);
	if (e == ERR_OK)
		e = rollup_write(sums, b->db);
	rollup_free(sums);
	return e == ERR_OK ? ERR_OK : failure(b, e, "cannot add to the sums");
}

static enum err
put_position(struct batch *b, const struct batch_place *place)
{
	static const struct sql upsert = {
	    .sqlite = "INSERT INTO gptl_spool (segment, position, node, updated_at) "
		      "VALUES (?, ?, ?, ?) ON CONFLICT (segment) DO UPDATE SET "
		      "position = excluded.position, updated_at = excluded.updated_at",
	    .mysql = "INSERT INTO gptl_spool (segment, position, node, updated_at) "
		     "VALUES (?, ?, ?, ?) ON DUPLICATE KEY UPDATE "
		     "position = VALUES(position), updated_at = VALUES(updated_at)",
	};
	enum err e = db_exec(b->db, db_pick(b->db, &upsert),
			     DB_ARGS(db_cstr(place->segment), db_int(place->position),
				     db_cstr(place->node), db_time(clock_wall_us())),
			     NULL);

	return e == ERR_OK ? ERR_OK : failure(b, e, "cannot keep the position in the spool");
}

/* --- a batch --- */

static enum err
write_once(struct batch *b, const struct batch_place *place, size_t *ret_bad)
{
	enum err e = db_begin(b->db);

	*ret_bad = BATCH_NO_ROW;
	if (e != ERR_OK)
		return failure(b, e, "cannot begin");
	e = insert_rows(b, ret_bad);
	if (e == ERR_OK)
		e = count_keys(b);
	if (e == ERR_OK)
		e = sum_hours(b);
	if (e == ERR_OK)
		e = sum_up(b);
	if (e == ERR_OK)
		e = put_position(b, place);
	if (e != ERR_OK) {
		db_rollback(b->db);
		return e;
	}
	e = db_commit(b->db);
	return e == ERR_OK ? ERR_OK : failure(b, e, "cannot commit log rows");
}

/* A server still rolls back what a killed flusher left, and may take the two for a
 * deadlock; or a reply was lost. A batch can be written again without harm. */
enum err
batch_write(struct batch *b, const struct batch_place *place, size_t *ret_bad)
{
	int tries = db_dialect(b->db) == DB_SQLITE ? 1 : TRIES;
	enum err e;

	do
		e = write_once(b, place, ret_bad);
	while (e == ERR_DB_AWAY && --tries > 0);
	return e;
}

bool
batch_probe(struct batch *b)
{
	struct logrow plain = {
	    .time_us = clock_wall_us(),
	    .ttfb_ms = -1,
	    .prompt_tokens = -1,
	    .completion_tokens = -1,
	    .cached_tokens = -1,
	};
	bool is_new = false;
	enum err e;

	uuid7(plain.id);
	if (db_begin(b->db) != ERR_OK)
		return false;
	e = insert(b, &plain, &is_new);
	db_rollback(b->db);
	return e == ERR_OK;
}
