/* SPDX-License-Identifier: MIT
 *
 * Doing tasks. Of an import or deletion some portions of its input are one transaction:
 * the keys, the counts, and the portions gone. The pool follows after it. A validation
 * reads some keys at a time, tries them side by side (checker.h) and notes how far it
 * is when all of them have answered; what was under way when the process died is
 * tried again.
 */
#include "lib/task_store.h"

#include "lib/checker.h"
#include "lib/clock.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/publish.h"
#include "lib/snapshot.h"
#include "lib/str.h"

#include <stdlib.h>

#define BATCH   100
#define WAIT_MS 50
/* How long a transaction may go on to take further portions: others write too. */
#define WRITE_US 100000

/* A validation under way. */
struct validation {
	struct validation *next;
	int64_t task_id;
	struct checker *checker;
	struct arena arena; /* of the batch */
	struct key_row *rows;
	size_t n;       /* of the batch */
	size_t started; /* of those, likewise the next two */
	size_t done;
	size_t good;
	struct causes causes; /* of the whole validation */
};

struct task_runner {
	const struct conf *conf; /* borrowed, like the next three */
	struct pool *pool;
	struct db *db;
	const struct crypt *crypt;
	struct validation *validations;
	bool bulk; /* the DB was told that much is written */
};

struct task_runner *
task_runner_new(const struct conf *conf, struct pool *pool, struct db *db,
		const struct crypt *crypt)
{
	struct task_runner *r = xcalloc(1, sizeof(*r));

	*r = (struct task_runner){.conf = conf, .pool = pool, .db = db, .crypt = crypt};
	return r;
}

static void
validation_free(struct task_runner *r, struct validation *v)
{
	struct validation **at = &r->validations;

	while (*at != v)
		at = &(*at)->next;
	*at = v->next;
	checker_free(v->checker);
	arena_done(&v->arena);
	causes_done(&v->causes);
	free(v);
}

void
task_runner_free(struct task_runner *r)
{
	if (r == NULL)
		return;
	while (r->validations != NULL)
		validation_free(r, r->validations);
	if (r->bulk)
		db_bulk(r->db, false);
	free(r);
}

static struct validation *
validation_find(struct task_runner *r, int64_t task_id)
{
	struct validation *v = r->validations;

	while (v != NULL && v->task_id != task_id)
		v = v->next;
	return v;
}

/* --- the end of a task --- */

static enum err
end_rows(struct db *db, int64_t id, const char *state, const char *error)
{
	enum err e = db_exec(db,
			     "UPDATE gptl_tasks SET state = ?, error = ?, active_group = NULL, "
			     "finished_at = ? WHERE id = ? AND active_group IS NOT NULL",
			     DB_ARGS(db_cstr(state), error != NULL ? db_cstr(error) : db_null(),
				     db_time(clock_wall_us()), db_int(id)),
			     NULL);

	if (e == ERR_OK)
		e = db_exec(db, "DELETE FROM gptl_task_input WHERE task_id = ? AND part > 0",
			    DB_ARGS(db_int(id)), NULL);
	return e;
}

static enum err
end_task(struct task_runner *r, const struct task_row *t, const char *state, const char *error)
{
	struct validation *v = validation_find(r, t->id);
	enum err e = db_begin(r->db);

	if (v != NULL)
		validation_free(r, v);
	if (e != ERR_OK)
		return e;
	e = end_rows(r->db, t->id, state, error);
	if (e == ERR_OK)
		e = db_commit(r->db);
	if (e != ERR_OK) {
		db_rollback(r->db);
		return e;
	}
	if (error != NULL)
		log_error("task %lld (" STR_FMT ") of group " STR_FMT " failed: %s",
			  (long long)t->id, STR_ARG(t->type), STR_ARG(t->group_name), error);
	else
		log_info("task %lld (" STR_FMT ") of group " STR_FMT ": %s", (long long)t->id,
			 STR_ARG(t->type), STR_ARG(t->group_name), state);
	return ERR_OK;
}

/* The task's own fault ends it; what is wrong with DB or pool is tried again. */
static enum err
fail_task(struct task_runner *r, const struct task_row *t, enum err e, const struct errinfo *info)
{
	switch ((int)e) {
	case ERR_VALIDATION:
	case ERR_NOT_FOUND:
	case ERR_CRYPT:
	case ERR_CONF:
	case ERR_POOL_FULL:
	case ERR_TOO_LARGE:
		return end_task(r, t, "failed", err_text(info, e));
	default:
		return e;
	}
}

/* How far it is now. ERR_TASK: as far already, so that this counts no second time. Somebody
 * held the lease before us, or the answer to our own commit was lost. */
static enum err
add_progress(struct db *db, int64_t id, size_t processed, size_t good, int64_t position)
{
	int64_t changed = 0;
	enum err e =
	    db_exec(db,
		    "UPDATE gptl_tasks SET state = 'running', started_at = COALESCE(started_at, "
		    "?), processed = processed + ?, good = good + ?, position = ? WHERE id = ? AND "
		    "position < ?",
		    DB_ARGS(db_time(clock_wall_us()), db_int((int64_t)processed),
			    db_int((int64_t)good), db_int(position), db_int(id), db_int(position)),
		    &changed);

	return e == ERR_OK && changed == 0 ? ERR_TASK : e;
}

/* --- imports and deletions --- */

struct portion {
	int64_t part;
	struct str *keys;
	size_t n;
};

static enum err
split_keys(struct task_runner *r, struct str stored, struct arena *arena, size_t max,
	   struct portion *ret)
{
	struct buf plain;
	struct str rest;
	struct str key;

	buf_init(&plain, stored.n + 1);
	enum err e = crypt_decrypt(r->crypt, stored, &plain);
	if (e == ERR_OK)
		e = buf_err(&plain);
	rest = arena_str(arena, buf_view(&plain));
	wipe(plain.p, plain.n);
	buf_done(&plain);
	ret->keys = arena_alloc(arena, (max + 1) * sizeof(*ret->keys));
	ret->n = 0;
	while (e == ERR_OK && ret->n < max && str_split(&rest, '\n', &key))
		if (key.n > 0)
			ret->keys[ret->n++] = key;
	return e;
}

/* part 0: there is none left. */
static enum err
next_portion(struct task_runner *r, int64_t task_id, struct arena *arena, struct portion *ret)
{
	struct db_rows *rows = NULL;
	struct str stored = STR("");
	int64_t n = 0;
	enum err e = db_query(r->db,
			      "SELECT part, n, key_values FROM gptl_task_input WHERE task_id = ? "
			      "AND part > 0 ORDER BY part LIMIT 1",
			      DB_ARGS(db_int(task_id)), &rows);

	*ret = (struct portion){0};
	if (e == ERR_OK && db_next(rows, &e)) {
		ret->part = db_col_int(rows, 0);
		n = MAX(db_col_int(rows, 1), 0);
		stored = arena_str(arena, db_col_text(rows, 2));
	}
	db_rows_done(rows);
	if (e != ERR_OK || ret->part == 0)
		return e;
	return split_keys(r, stored, arena, (size_t)n, ret);
}

static enum err
delete_keys(struct task_runner *r, const struct task_row *t, const struct portion *p, size_t *good)
{
	struct key_ids ids = {0};
	enum err e = key_find(r->db, r->crypt, t->group_id, p->keys, p->n, &ids);

	if (e == ERR_OK && ids.n > 0)
		e = key_delete_within(r->db, t->group_id, ids.v, ids.n, good);
	key_ids_done(&ids);
	return e;
}

/* Within a transaction. *ret_left: there was a portion. */
static enum err
do_portion(struct task_runner *r, const struct task_row *t, struct arena *arena, bool *ret_left,
	   struct errinfo *info)
{
	struct portion p;
	size_t good = 0;

	enum err e = next_portion(r, t->id, arena, &p);
	*ret_left = e == ERR_OK && p.part > 0;
	if (!*ret_left)
		return e;
	if (str_is(t->type, "KEY_IMPORT"))
		e = key_add_within(r->db, r->crypt, t->group_id, p.keys, p.n, &good, info);
	else
		e = delete_keys(r, t, &p, &good);
	if (e == ERR_OK)
		e = add_progress(r->db, t->id, p.n, good, p.part);
	if (e == ERR_OK)
		e = db_exec(r->db, "DELETE FROM gptl_task_input WHERE task_id = ? AND part = ?",
			    DB_ARGS(db_int(t->id), db_int(p.part)), NULL);
	return e;
}

static enum err
step_keys(struct task_runner *r, const struct task_row *t, struct errinfo *info)
{
	int64_t until = clock_mono_us() + WRITE_US;
	struct arena arena;
	bool left = true;
	bool some = false;
	enum err e = db_begin(r->db);

	if (e != ERR_OK)
		return e;
	arena_init(&arena, 64 * 1024);
	while (e == ERR_OK && left && clock_mono_us() < until) {
		e = do_portion(r, t, &arena, &left, info);
		some = some || left;
		arena_done(&arena);
	}
	if (e == ERR_OK)
		e = db_commit(r->db);
	if (e != ERR_OK)
		db_rollback(r->db);
	if (e == ERR_OK && some) {
		e = publish_keys(r->db, r->pool, NULL, NULL, info);
		return e == ERR_TASK ? ERR_OK : e;
	}
	if (e == ERR_OK)
		return end_task(r, t, "done", NULL);
	return e == ERR_TASK ? ERR_OK : e;
}

/* --- validations --- */

/* The pool's, not one that was read before the task was found: the group may have been
 * made or changed just before it was told to be validated. */
static enum err
newest_snapshot(struct pool *pool, struct snapshot **ret, struct errinfo *info)
{
	uint64_t version = 0;
	struct buf text;

	buf_init(&text, LIMIT_SNAPSHOT);
	enum err e = pool_snapshot_get(pool, &text, &version);
	if (e == ERR_OK)
		e = version > 0 ? snapshot_parse(buf_view(&text), ret, info) : ERR_POOL;
	buf_done(&text);
	return e;
}

static enum err
validation_begin(struct task_runner *r, const struct task_row *t, struct validation **ret,
		 struct errinfo *info)
{
	struct snapshot *snap = NULL;
	struct checker *checker;
	enum err e = newest_snapshot(r->pool, &snap, info);

	if (e == ERR_OK)
		e = checker_new(&checker, r->conf, r->pool, snap, t->group_id, info);
	snapshot_unref(snap);
	if (e != ERR_OK)
		return e;
	struct validation *v = xcalloc(1, sizeof(*v));
	v->task_id = t->id;
	v->checker = checker;
	arena_init(&v->arena, 64 * 1024);
	causes_init(&v->causes);
	v->next = r->validations;
	r->validations = v;
	*ret = v;
	/* Somebody may have begun it before us. */
	e = task_causes_get(r->db, r->crypt, t->id, &v->causes);
	if (e == ERR_OK)
		e = db_exec(r->db,
			    "UPDATE gptl_tasks SET state = 'running', started_at = "
			    "COALESCE(started_at, ?) WHERE id = ?",
			    DB_ARGS(db_time(clock_wall_us()), db_int(t->id)), NULL);
	if (e != ERR_OK)
		validation_free(r, v);
	return e;
}

/* The batch's counts, and why its keys failed. */
static enum err
put_batch(struct task_runner *r, const struct validation *v)
{
	enum err e = db_begin(r->db);

	if (e != ERR_OK)
		return e;
	e = add_progress(r->db, v->task_id, v->n, v->good, v->rows[v->n - 1].id);
	if (e == ERR_OK && v->good < v->n)
		e = task_put_causes(r->db, r->crypt, v->task_id, &v->causes);
	if (e == ERR_OK)
		e = db_commit(r->db);
	if (e != ERR_OK)
		db_rollback(r->db);
	return e;
}

/* The batch is through: its counts, and the next one; or the end. */
static enum err
next_batch(struct task_runner *r, const struct task_row *t, struct validation *v)
{
	const struct key_query q = {
	    .group_id = t->group_id, .status = t->key_status, .limit = BATCH};
	int64_t position = v->n > 0 ? v->rows[v->n - 1].id : t->position;
	enum err e = ERR_OK;

	if (v->n > 0)
		e = put_batch(r, v);
	if (e == ERR_TASK) { /* begun anew where the DB is */
		validation_free(r, v);
		return ERR_OK;
	}
	if (e != ERR_OK)
		return e;
	arena_done(&v->arena);
	v->n = v->started = v->done = v->good = 0;
	e = key_scan(r->db, r->crypt, &q, position, &v->arena, &v->rows, &v->n);
	return e == ERR_OK && v->n == 0 ? end_task(r, t, "done", NULL) : e;
}

static enum err
start_tests(struct validation *v, struct errinfo *info)
{
	enum err e = ERR_OK;

	while (e == ERR_OK && v->started < v->n && checker_room(v->checker) > 0) {
		const struct key_row *row = &v->rows[v->started++];
		if (row->readable) {
			e = checker_start(v->checker, row->id, row->value, info);
			continue;
		}
		causes_add(&v->causes, str_of(err_message(ERR_CRYPT)), 1);
		v->done++;
	}
	return e;
}

/* Deleted meanwhile: a provider that does not answer would be asked for keys that are gone. */
static enum err
group_is_there(struct db *db, int64_t id, struct errinfo *info)
{
	int64_t n = 0;
	enum err e = db_query_int(db, "SELECT COUNT(*) FROM \"groups\" WHERE id = ?",
				  DB_ARGS(db_int(id)), 0, &n);

	if (e == ERR_OK && n == 0)
		return err_set(info, ERR_NOT_FOUND, "there is no group %lld", (long long)id);
	return e;
}

static enum err
step_validation(struct task_runner *r, const struct task_row *t, struct errinfo *info)
{
	struct validation *v = validation_find(r, t->id);
	struct checked checked;
	enum err e = group_is_there(r->db, t->group_id, info);

	if (e == ERR_OK && v == NULL)
		e = validation_begin(r, t, &v, info);
	if (e == ERR_OK && v->done == v->n) {
		e = next_batch(r, t, v);
		v = validation_find(r, t->id);
	}
	if (e != ERR_OK || v == NULL)
		return e;
	e = start_tests(v, info);
	if (e == ERR_OK && checker_busy(v->checker) > 0)
		checker_run(v->checker, WAIT_MS);
	while (checker_take(v->checker, &checked)) {
		v->done++;
		v->good += checked.ok;
		if (!checked.ok)
			causes_add(&v->causes, buf_view(&checked.why), 1);
		buf_done(&checked.why);
	}
	return e;
}

/* --- all of them, in turn --- */

static enum err
step_task(struct task_runner *r, const struct task_row *t, struct errinfo *info)
{
	enum err e;

	if (t->cancelled)
		return end_task(r, t, "cancelled", NULL);
	if (str_is(t->type, "KEY_VALIDATION"))
		e = step_validation(r, t, info);
	else
		e = step_keys(r, t, info);
	return e == ERR_OK ? ERR_OK : fail_task(r, t, e, info);
}

/* The oldest of a group that queue becomes its task when it has none. */
static enum err
promote(struct db *db)
{
	enum err e =
	    db_exec(db,
		    "UPDATE gptl_tasks SET active_group = group_id WHERE id IN (SELECT id FROM "
		    "(SELECT MIN(q.id) AS id FROM gptl_tasks q WHERE q.state = 'waiting' AND "
		    "q.active_group IS NULL AND NOT EXISTS (SELECT 1 FROM gptl_tasks a WHERE "
		    "a.active_group = q.group_id) GROUP BY q.group_id) oldest)",
		    DB_NO_ARGS, NULL);

	/* Another one was begun meanwhile. */
	return e == ERR_DUPLICATE ? ERR_OK : e;
}

/* Is one queued; so that nothing is written when there is not. */
static enum err
promote_queued(struct db *db)
{
	int64_t n = 0;
	enum err e = db_query_int(
	    db, "SELECT COUNT(*) FROM gptl_tasks WHERE state = 'waiting' AND active_group IS NULL",
	    DB_NO_ARGS, 0, &n);

	return e == ERR_OK && n > 0 ? promote(db) : e;
}

/* The ids of those whose turn it is, oldest first. */
static enum err
active_tasks(struct db *db, int64_t ids[LIMIT_TASKS_AT_ONCE], size_t *ret_n)
{
	struct db_rows *rows = NULL;
	size_t n = 0;
	enum err e = db_query(
	    db, "SELECT id FROM gptl_tasks WHERE active_group IS NOT NULL ORDER BY id LIMIT ?",
	    DB_ARGS(db_int(LIMIT_TASKS_AT_ONCE)), &rows);

	while (e == ERR_OK && n < LIMIT_TASKS_AT_ONCE && db_next(rows, &e))
		ids[n++] = db_col_int(rows, 0);
	db_rows_done(rows);
	*ret_n = n;
	return e;
}

enum err
task_run(struct task_runner *r, int64_t until_us, const atomic_bool *stop, bool *ret_more,
	 struct errinfo *info)
{
	int64_t ids[LIMIT_TASKS_AT_ONCE];
	size_t n = 0;
	enum err e;

	do {
		e = promote_queued(r->db);
		if (e == ERR_OK)
			e = active_tasks(r->db, ids, &n);
		if (e == ERR_OK && r->bulk != (n > 0)) {
			r->bulk = n > 0;
			db_bulk(r->db, r->bulk);
		}
		for (size_t i = 0; i < n && e == ERR_OK && (stop == NULL || !*stop); i++) {
			struct task_row task;
			struct arena arena;

			arena_init(&arena, 4096);
			e = task_get(r->db, ids[i], &arena, &task, info);
			if (e == ERR_OK && task_is_active(&task))
				e = step_task(r, &task, info);
			arena_done(&arena);
		}
	} while (e == ERR_OK && n > 0 && (stop == NULL || !*stop) && clock_mono_us() < until_us);
	*ret_more = n > 0;
	if (e == ERR_DB || e == ERR_DB_AWAY)
		return err_set(info, e, "%s", db_error(r->db));
	return e;
}
