/* SPDX-License-Identifier: MIT
 *
 * The sums of rows that were there before the sums were, and the end of old sums.
 *
 * gptl_meta "rollup_at" is the time (µs) up to which log rows have been looked at. It
 * moves on in the transaction that adds a minute of them. Rows that the flusher summed
 * are marked as such and passed over, so that it does not matter how the two meet; rows
 * that GPT-Load 1.4 writes, should the database go back to it for a while, come after
 * the time that was reached.
 */
#include "lib/rollup.h"
#include "lib/clock.h"
#include "lib/limits.h"
#include "lib/migrate.h"
#include "lib/str.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define US_PER_S INT64_C(1000000)
#define MINUTE   (60 * US_PER_S)
#define DAY      (86400 * US_PER_S)
/* The longest range that is shown, and a day more. */
#define LOOK_BACK (31 * DAY)

/* Rows that are added in one transaction; a stretch of time with more of them is cut
 * to this (µs). */
#define READ_MOST 20000
#define SHORTEST  (US_PER_S / 10)

#define META_AT   "rollup_at"
#define META_DONE "rollup_done"

static enum err
failure(struct db *db, enum err e, struct errinfo *info)
{
	return e == ERR_OK ? ERR_OK
			   : err_set(info, e, "cannot sum up older log rows: %s", db_error(db));
}

static enum err
read_position(struct db *db, int64_t now, int64_t *ret)
{
	struct buf text;
	enum err e;

	*ret = now - LOOK_BACK;
	buf_init(&text, 64);
	e = meta_get(db, META_AT, &text);
	if (e == ERR_OK && !str_to_i64(buf_view(&text), 0, INT64_MAX, ret))
		*ret = now - LOOK_BACK;
	buf_done(&text);
	return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err
write_position(struct db *db, int64_t at)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRId64, at);
	return meta_set(db, META_AT, str_of(text));
}

/* The first row's time from `from` on; `none` when there is none. */
static enum err
first_time(struct db *db, int64_t from, int64_t none, int64_t *ret)
{
	struct db_rows *rows = NULL;
	enum err e = db_query(db,
			      "SELECT timestamp FROM request_logs WHERE timestamp >= ? "
			      "ORDER BY timestamp LIMIT 1",
			      DB_ARGS(db_time(from)), &rows);

	*ret = none;
	if (e == ERR_OK && db_next(rows, &e))
		*ret = db_col_time(rows, 0);
	db_rows_done(rows);
	return e;
}

static struct logrow
old_row(struct db_rows *rows)
{
	return (struct logrow){
	    .time_us = db_col_time(rows, 0),
	    .group_id = db_col_int(rows, 1),
	    .parent_id = db_col_int(rows, 2),
	    .key_id = db_col_int(rows, 3),
	    .model = db_col_text(rows, 4),
	    .is_success = db_col_bool(rows, 5),
	    .status = (int)db_col_int(rows, 6),
	    .duration_ms = db_col_int(rows, 7),
	    .is_final = !str_is(db_col_text(rows, 8), "retry"),
	    .prompt_tokens = db_col_int(rows, 9),
	    .completion_tokens = db_col_int(rows, 10),
	};
}

/* One result set is open at a time, and adding asks the DB: so rows are first read. */
struct old_rows {
	struct arena arena;
	struct logrow *row;
	size_t n;
	size_t cap;
};

static void
keep_old(struct old_rows *o, struct db_rows *rows)
{
	if (o->n == o->cap) {
		o->cap = MAX(2 * o->cap, (size_t)256);
		o->row = xrealloc(o->row, o->cap * sizeof(*o->row));
	}
	o->row[o->n] = old_row(rows);
	o->row[o->n].model = arena_str(&o->arena, o->row[o->n].model);
	o->n++;
}

/* The number in the text is more than READ_MOST. The key is found by its hash, never among
 * all of its group: hence the '+'. */
static enum err
read_old(struct db *db, int64_t from, int64_t to, struct old_rows *o)
{
	struct db_rows *rows = NULL;
	enum err e =
	    db_query(db,
		     "SELECT l.timestamp, l.group_id, l.parent_group_id, "
		     "(SELECT MIN(k.id) FROM api_keys k WHERE k.key_hash = l.key_hash AND "
		     "+k.group_id = l.group_id), l.model, l.is_success, l.status_code, l.duration, "
		     "l.request_type, l.gptl_prompt_tokens, l.gptl_completion_tokens "
		     "FROM request_logs l WHERE l.timestamp >= ? AND l.timestamp < ? AND "
		     "(l.gptl_rolled IS NULL OR l.gptl_rolled = 0) LIMIT 20001",
		     DB_ARGS(db_time(from), db_time(to)), &rows);

	arena_done(&o->arena);
	o->n = 0;
	while (e == ERR_OK && db_next(rows, &e))
		keep_old(o, rows);
	db_rows_done(rows);
	return e;
}

/* All rows of a stretch of time, which is made shorter when they are too many. */
static enum err
add_stretch(struct db *db, int64_t from, int64_t *to)
{
	struct old_rows o = {0};
	struct rollup *sums = rollup_new();
	enum err e;

	arena_init(&o.arena, 16 * 1024);
	e = read_old(db, from, *to, &o);
	while (e == ERR_OK && o.n > READ_MOST && *to - from > SHORTEST) {
		*to = from + (*to - from) / 4;
		e = read_old(db, from, *to, &o);
	}
	for (size_t i = 0; i < o.n && e == ERR_OK; i++)
		e = rollup_add(sums, db, &o.row[i]);
	if (e == ERR_OK)
		e = rollup_write(sums, db);
	rollup_free(sums);
	arena_done(&o.arena);
	free(o.row);
	return e;
}

/* Within a transaction. *ret_more: rows were found. */
static enum err
fill(struct db *db, int64_t now, bool *ret_more)
{
	int64_t at;
	int64_t first;
	/* Takes the row's lock, so that two that think they have the lease take turns. */
	enum err e = db_exec(db, "UPDATE gptl_meta SET value = value WHERE name = '" META_AT "'",
			     DB_NO_ARGS, NULL);

	if (e == ERR_OK)
		e = read_position(db, now, &at);
	if (e == ERR_OK)
		e = first_time(db, at, now, &first);
	if (e != ERR_OK)
		return e;
	*ret_more = first < now;
	if (!*ret_more) {
		e = write_position(db, MAX(at, now));
		return e == ERR_OK ? meta_set(db, META_DONE, STR("1")) : e;
	}
	at = MAX(at, first - first % MINUTE);
	int64_t until = MIN(at - at % MINUTE + MINUTE, now);

	e = add_stretch(db, at, &until);
	return e == ERR_OK ? write_position(db, until) : e;
}

enum err
rollup_fill_step(struct db *db, bool *ret_more, struct errinfo *info)
{
	enum err e = db_begin(db);

	*ret_more = false;
	if (e != ERR_OK)
		return failure(db, e, info);
	e = fill(db, clock_wall_us(), ret_more);
	if (e == ERR_OK)
		return failure(db, db_commit(db), info);
	e = failure(db, e, info);
	db_rollback(db);
	return e;
}

enum err
rollup_is_complete(struct db *db, bool *ret)
{
	int64_t n = 0;
	enum err e = db_query_int(db, "SELECT COUNT(*) FROM gptl_meta WHERE name = ?",
				  DB_ARGS(db_cstr(META_DONE)), 0, &n);

	*ret = n > 0;
	return e;
}

/* --- old sums --- */

/* One stretch of one kind that is older than `before`. */
static enum err
prune_kind(struct db *db, int step, enum rollup_kind kind, int64_t before, bool *ret_found)
{
	int64_t first = INT64_MAX;
	enum err e = db_query_int(db,
				  "SELECT time FROM gptl_rollups WHERE step = ? AND kind = ? "
				  "ORDER BY time LIMIT 1",
				  DB_ARGS(db_int(step), db_int((int64_t)kind)), INT64_MAX, &first);

	*ret_found = e == ERR_OK && first < before;
	if (!*ret_found)
		return e;
	return db_exec(db, "DELETE FROM gptl_rollups WHERE step = ? AND kind = ? AND time = ?",
		       DB_ARGS(db_int(step), db_int((int64_t)kind), db_int(first)), NULL);
}

enum err
rollup_prune_step(struct db *db, int days, bool *ret_more, struct errinfo *info)
{
	int64_t now = clock_wall_us() / US_PER_S;
	int64_t kept = days > 0 ? days * INT64_C(86400) : now;
	const struct {
		int step;
		int64_t before;
	} ages[] = {
	    {ROLLUP_MINUTE, now - MIN(ROLLUP_KEEP_MINUTES, kept)},
	    {ROLLUP_HOUR, now - MIN(ROLLUP_KEEP_HOURS, kept)},
	    {ROLLUP_DAY, now - kept - ROLLUP_DAY},
	};
	enum err e = ERR_OK;

	*ret_more = false;
	for (size_t i = 0; i < ARRAY_LEN(ages) && e == ERR_OK; i++)
		for (enum rollup_kind k = ROLLUP_GROUP; k <= ROLLUP_PARENT_KEY && e == ERR_OK;
		     k++) {
			bool found = false;

			e = prune_kind(db, ages[i].step, k, ages[i].before, &found);
			*ret_more = *ret_more || found;
		}
	if (e == ERR_OK)
		e = db_exec(db, "DELETE FROM gptl_rollup_items WHERE day < ?",
			    DB_ARGS(db_int(now - kept - ROLLUP_DAY)), NULL);
	if (e != ERR_OK)
		return err_set(info, e, "cannot delete old sums: %s", db_error(db));
	return ERR_OK;
}
