/* SPDX-License-Identifier: MIT
 *
 * Tasks as rows: made, looked at, cancelled. Doing them is task_run.c's.
 */
#include "lib/task_store.h"

#include "lib/clock.h"
#include "lib/group.h"
#include "lib/limits.h"
#include "lib/str.h"
#include "lib/where.h"

#define DAY_US INT64_C(86400000000)

static const char *const type_names[] = {
    [TASK_IMPORT] = "KEY_IMPORT",
    [TASK_DELETE] = "KEY_DELETE",
    [TASK_VALIDATE] = "KEY_VALIDATION",
};

/* --- making --- */

static enum err
finish(struct db *db, enum err e)
{
	if (e == ERR_OK)
		e = db_commit(db);
	if (e != ERR_OK)
		db_rollback(db);
	return e;
}

static enum err
put_input(struct db *db, const struct crypt *crypt, int64_t task_id, const struct key_text *keys)
{
	enum err e = ERR_OK;
	int64_t part = 1;
	size_t in_part = 0;
	struct buf text;

	buf_init(&text, TASK_PART_BYTES + LIMIT_KEY_BYTES + 1);
	for (size_t i = 0; i < keys->n && e == ERR_OK; i++) {
		buf_str(&text, keys->v[i]);
		buf_char(&text, '\n');
		in_part++;
		if (text.n < TASK_PART_BYTES - LIMIT_KEY_BYTES && i + 1 < keys->n)
			continue;
		e = task_put_part(db, crypt, task_id, part++, buf_view(&text), in_part);
		buf_clear(&text);
		in_part = 0;
	}
	wipe(text.p, text.n);
	buf_done(&text);
	return e;
}

/* Imports queue behind the group's task; nothing else does. *ret: those that wait or run. */
static enum err
find_place(struct db *db, int64_t group_id, enum task_type type, bool *ret_queued,
	   struct errinfo *info)
{
	int64_t n = 0;
	enum err e = db_query_int(db,
				  "SELECT COUNT(*) FROM gptl_tasks WHERE group_id = ? AND "
				  "state IN ('waiting', 'running')",
				  DB_ARGS(db_int(group_id)), 0, &n);

	*ret_queued = n > 0;
	if (e == ERR_OK && n > 0 && (type != TASK_IMPORT || n > LIMIT_TASKS_QUEUED))
		return err_set(info, ERR_TASK, "a task of this group is waiting or running");
	return e;
}

/* In transactions of its own: it locks more than its rows, and would stand in the way of who
 * adds another task. */
static enum err
forget_old(struct db *db)
{
	const struct db_arg oldest = db_time(clock_wall_us() - LIMIT_TASK_DAYS * DAY_US);
	enum err e = db_exec(db,
			     "DELETE FROM gptl_task_input WHERE task_id IN (SELECT id FROM "
			     "gptl_tasks WHERE finished_at < ?)",
			     DB_ARGS(oldest), NULL);

	return e == ERR_OK ? db_exec(db, "DELETE FROM gptl_tasks WHERE finished_at < ?",
				     DB_ARGS(oldest), NULL)
			   : e;
}

/* Those of one group take turns, so that each sees what the one before has left. */
static enum err
begin(struct db *db, int64_t group_id)
{
	enum err e = forget_old(db);

	if (e == ERR_OK)
		e = db_begin(db);
	if (e != ERR_OK)
		return e;
	e = group_hold(db, group_id);
	return e == ERR_OK ? ERR_OK : finish(db, e);
}

static enum err
put_task(struct db *db, const struct group_row *group, enum task_type type, struct str status,
	 int64_t total, int64_t done, int64_t *ret_id, struct errinfo *info)
{
	bool queued = false;
	enum err e = find_place(db, group->id, type, &queued, info);

	if (e == ERR_OK)
		e = db_insert(db,
			      "INSERT INTO gptl_tasks (type, group_id, active_group, group_name, "
			      "state, key_status, total, processed, created_at) "
			      "VALUES (?,?,?,?,'waiting',?,?,?,?)",
			      DB_ARGS(db_cstr(type_names[type]), db_int(group->id),
				      queued ? db_null() : db_int(group->id), db_text(group->name),
				      db_text(status), db_int(total), db_int(done),
				      db_time(clock_wall_us())),
			      ret_id);
	if (e == ERR_DUPLICATE)
		return err_set(info, ERR_TASK, "a task of this group is waiting or running");
	return e;
}

static enum err
usable_group(struct db *db, int64_t group_id, struct arena *arena, struct group_row *ret,
	     struct errinfo *info)
{
	enum err e = group_get(db, group_id, arena, ret, info);

	if (e == ERR_OK && ret->aggregate)
		return err_set(info, ERR_VALIDATION, "an aggregate group has no keys of its own");
	return e;
}

enum err
task_add(struct db *db, const struct crypt *crypt, int64_t group_id, enum task_type type,
	 const struct key_text *keys, struct arena *arena, struct task_row *ret,
	 struct errinfo *info)
{
	size_t total = keys->given + keys->faults.n;
	struct group_row group;
	int64_t id = 0;
	enum err e = begin(db, group_id);

	if (e != ERR_OK)
		return e;
	e = usable_group(db, group_id, arena, &group, info);
	if (e == ERR_OK)
		e = put_task(db, &group, type, STR(""), (int64_t)total, (int64_t)(total - keys->n),
			     &id, info);
	if (e == ERR_OK)
		e = put_input(db, crypt, id, keys);
	if (e == ERR_OK && type == TASK_IMPORT)
		e = task_put_faults(db, crypt, id, keys);
	e = finish(db, e);
	return e == ERR_OK ? task_get(db, id, arena, ret, info) : e;
}

static enum err
count_keys(struct db *db, int64_t group_id, struct str status, int64_t *ret)
{
	struct where w;

	where_init(&w);
	where_arg(&w, "SELECT COUNT(*) FROM api_keys WHERE group_id = ?", db_int(group_id));
	if (status.n > 0)
		where_arg(&w, " AND status = ?", db_text(status));
	enum err e = where_query_int(&w, db, ret);
	where_done(&w);
	return e;
}

enum err
task_add_validation(struct db *db, int64_t group_id, struct str status, struct arena *arena,
		    struct task_row *ret, struct errinfo *info)
{
	struct group_row group;
	int64_t total = 0;
	int64_t id = 0;
	enum err e = begin(db, group_id);

	if (e != ERR_OK)
		return e;
	e = usable_group(db, group_id, arena, &group, info);
	if (e == ERR_OK)
		e = count_keys(db, group_id, status, &total);
	if (e == ERR_OK && total == 0)
		e = err_set(info, ERR_VALIDATION, "the group has no such keys to validate");
	if (e == ERR_OK)
		e = put_task(db, &group, TASK_VALIDATE, status, total, 0, &id, info);
	e = finish(db, e);
	return e == ERR_OK ? task_get(db, id, arena, ret, info) : e;
}

/* --- looking --- */

#define COLUMNS                                                                                    \
	"SELECT id, type, group_id, group_name, state, key_status, total, processed, good, "       \
	"position, cancelled, error, created_at, started_at, finished_at FROM gptl_tasks"

static void
read_task(struct db_rows *rows, struct arena *arena, struct task_row *ret)
{
	*ret = (struct task_row){
	    .id = db_col_int(rows, 0),
	    .type = arena_str(arena, db_col_text(rows, 1)),
	    .group_id = db_col_int(rows, 2),
	    .group_name = arena_str(arena, db_col_text(rows, 3)),
	    .state = arena_str(arena, db_col_text(rows, 4)),
	    .key_status = arena_str(arena, db_col_text(rows, 5)),
	    .total = db_col_int(rows, 6),
	    .processed = db_col_int(rows, 7),
	    .good = db_col_int(rows, 8),
	    .position = db_col_int(rows, 9),
	    .cancelled = db_col_bool(rows, 10),
	    .error = arena_str(arena, db_col_text(rows, 11)),
	    .created_at = db_col_time(rows, 12),
	    .started_at = db_col_time(rows, 13),
	    .finished_at = db_col_time(rows, 14),
	};
}

enum err
task_get(struct db *db, int64_t id, struct arena *arena, struct task_row *ret, struct errinfo *info)
{
	struct db_rows *rows = NULL;
	bool found = false;
	enum err e = db_query(db, COLUMNS " WHERE id = ?", DB_ARGS(db_int(id)), &rows);

	if (e == ERR_OK && db_next(rows, &e)) {
		found = true;
		read_task(rows, arena, ret);
	}
	db_rows_done(rows);
	if (e == ERR_OK && !found)
		return err_set(info, ERR_NOT_FOUND, "there is no task %lld", (long long)id);
	return e;
}

enum err
task_list(struct db *db, int64_t group_id, size_t max, struct arena *arena, struct task_row **ret,
	  size_t *ret_n)
{
	struct task_row *list = arena_alloc(arena, max * sizeof(*list));
	struct db_rows *rows = NULL;
	struct where w;
	size_t n = 0;

	where_init(&w);
	where_text(&w, COLUMNS);
	if (group_id > 0)
		where_arg(&w, " WHERE group_id = ?", db_int(group_id));
	where_arg(&w, " ORDER BY id DESC LIMIT ?", db_int((int64_t)max));
	enum err e = where_query(&w, db, &rows);
	while (e == ERR_OK && n < max && db_next(rows, &e))
		read_task(rows, arena, &list[n++]);
	db_rows_done(rows);
	where_done(&w);
	*ret = list;
	*ret_n = n;
	return e;
}

bool
task_is_active(const struct task_row *t)
{
	return str_is(t->state, "waiting") || str_is(t->state, "running");
}

enum err
task_cancel(struct db *db, int64_t id, struct errinfo *info)
{
	int64_t there = 0;
	enum err e = db_exec(
	    db,
	    "UPDATE gptl_tasks SET cancelled = ? WHERE id = ? AND state IN ('waiting', 'running')",
	    DB_ARGS(db_bool(true), db_int(id)), NULL);

	if (e == ERR_OK)
		e = db_query_int(db, "SELECT COUNT(*) FROM gptl_tasks WHERE id = ?",
				 DB_ARGS(db_int(id)), 0, &there);
	if (e == ERR_OK && there == 0)
		return err_set(info, ERR_NOT_FOUND, "there is no task %lld", (long long)id);
	return e;
}
