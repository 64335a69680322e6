/* SPDX-License-Identifier: MIT
 *
 * The SQLite driver. Writers begin with BEGIN IMMEDIATE: a deferred transaction that
 * turns into a writer fails at once, whatever the busy timeout. Statements are prepared
 * once and kept, the least recently used is dropped.
 */
#include "lib/db_sqlite.h"

#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static struct sqlite_rows *
rows_of(struct db_rows *rows)
{
	return container_of(rows, struct sqlite_rows, base);
}

/* --- statements --- */

/* The place for `sql`: its own, else a free one, else the one longest unused. NULL
 * when its own is taken by the open result set. */
static struct cached *
cache_place(struct sqlite *s, const char *sql)
{
	struct cached *oldest = NULL;

	for (size_t i = 0; i < CACHED; i++) {
		struct cached *c = &s->cache[i];

		if (c->sql != NULL && strcmp(c->sql, sql) == 0)
			return c->busy ? NULL : c;
		if (!c->busy && (oldest == NULL || c->used < oldest->used))
			oldest = c;
	}
	(void)sqlite3_finalize(oldest->stmt);
	free(oldest->sql);
	*oldest = (struct cached){0};
	return oldest;
}

static int
prepare(struct sqlite *s, const char *sql, unsigned flags, sqlite3_stmt **ret)
{
	return sqlite3_prepare_v3(s->handle, sql, -1, flags, ret, NULL);
}

/* A statement ready for binding; *ret_cached is NULL when it is the caller's. */
static enum err
statement_take(struct sqlite *s, const char *sql, sqlite3_stmt **ret, struct cached **ret_cached)
{
	struct cached *c = cache_place(s, sql);
	int code = SQLITE_OK;

	if (c == NULL) {
		code = prepare(s, sql, 0, ret);
	} else if (c->stmt == NULL) {
		code = prepare(s, sql, SQLITE_PREPARE_PERSISTENT, &c->stmt);
		if (code == SQLITE_OK)
			c->sql = xstrdup(sql);
	}
	if (code != SQLITE_OK)
		return sqlite_failed(s, code);
	if (c != NULL) {
		c->used = ++s->uses;
		c->busy = true;
		*ret = c->stmt;
	}
	*ret_cached = c;
	return ERR_OK;
}

static void
statement_give(sqlite3_stmt *stmt, struct cached *c)
{
	if (c == NULL) {
		(void)sqlite3_finalize(stmt);
		return;
	}
	(void)sqlite3_reset(stmt);
	(void)sqlite3_clear_bindings(stmt);
	c->busy = false;
}

static int
bind_one(sqlite3_stmt *stmt, int at, const struct db_arg *arg)
{
	char time[40];

	switch (arg->type) {
	case DB_NULL:
		return sqlite3_bind_null(stmt, at);
	case DB_INT:
		return sqlite3_bind_int64(stmt, at, arg->i);
	case DB_BOOL:
		return sqlite3_bind_int64(stmt, at, arg->i != 0);
	case DB_TEXT:
		return sqlite3_bind_text64(stmt, at, arg->s.p != NULL ? arg->s.p : "", arg->s.n,
					   SQLITE_TRANSIENT, SQLITE_UTF8);
	case DB_TIME:
		time_format(time, arg->i, ' ');
		return sqlite3_bind_text(stmt, at, time, -1, SQLITE_TRANSIENT);
	}
	return SQLITE_MISUSE;
}

static enum err
statement_bind(struct sqlite *s, sqlite3_stmt *stmt, const struct db_arg *args, size_t n_args)
{
	check(sqlite3_bind_parameter_count(stmt) == (int)n_args);
	for (size_t i = 0; i < n_args; i++) {
		int code = bind_one(stmt, (int)i + 1, &args[i]);

		if (code != SQLITE_OK)
			return sqlite_failed(s, code);
	}
	return ERR_OK;
}

/* SQLite ends a transaction by itself when the disk is full: what follows must
 * not then be committed one by one. */
static enum err
transaction_alive(struct sqlite *s)
{
	if (!s->base.in_transaction)
		return sqlite_take_file_again(s);
	if (sqlite3_get_autocommit(s->handle))
		return db_failed(&s->base, ERR_DB, "the transaction was rolled back");
	return ERR_OK;
}

static enum err
statement_begin(struct sqlite *s, const char *sql, const struct db_arg *args, size_t n_args,
		sqlite3_stmt **ret, struct cached **ret_cached)
{
	enum err e = transaction_alive(s);

	if (e == ERR_OK)
		e = statement_take(s, sql, ret, ret_cached);
	if (e != ERR_OK)
		return e;
	e = statement_bind(s, *ret, args, n_args);
	if (e != ERR_OK)
		statement_give(*ret, *ret_cached);
	return e;
}

static enum err
sqlite_exec(struct db *db, const char *sql, const struct db_arg *args, size_t n_args,
	    int64_t *ret_changed, int64_t *ret_id)
{
	struct sqlite *s = sqlite_of(db);
	struct cached *cached = NULL;
	sqlite3_stmt *stmt = NULL;
	enum err e = statement_begin(s, sql, args, n_args, &stmt, &cached);
	int code;

	if (e != ERR_OK)
		return e;
	do
		code = sqlite3_step(stmt);
	while (code == SQLITE_ROW);
	if (code != SQLITE_DONE)
		e = sqlite_failed(s, code);
	if (e == ERR_OK && ret_changed != NULL)
		*ret_changed = sqlite3_changes64(s->handle);
	if (e == ERR_OK && ret_id != NULL)
		*ret_id = sqlite3_last_insert_rowid(s->handle);
	statement_give(stmt, cached);
	return e;
}

static enum err
sqlite_run(struct db *db, struct str sql)
{
	struct sqlite *s = sqlite_of(db);
	AUTO_FREE char *text = xstrndup(sql.p, sql.n);
	enum err e = transaction_alive(s);
	int code;

	if (e != ERR_OK)
		return e;
	code = sqlite3_exec(s->handle, text, NULL, NULL, NULL);
	return code == SQLITE_OK ? ERR_OK : sqlite_failed(s, code);
}

static enum err
sqlite_begin(struct db *db, bool read_only)
{
	return sqlite_run(db, read_only ? STR("BEGIN") : STR("BEGIN IMMEDIATE"));
}

static int
is_overdue(void *s)
{
	return clock_mono_us() >= ((const struct sqlite *)s)->deadline_us;
}
static enum err
sqlite_bound(struct db *db, int ms)
{
	struct sqlite *s = sqlite_of(db);

	s->deadline_us = clock_mono_us() + ms * INT64_C(1000);
	sqlite3_progress_handler(s->handle, 2000, ms > 0 ? is_overdue : NULL, s);
	return ERR_OK;
}

static enum err
sqlite_commit(struct db *db)
{
	return sqlite_run(db, STR("COMMIT"));
}

static void
sqlite_rollback(struct db *db)
{
	struct sqlite *s = sqlite_of(db);

	if (s->handle != NULL && !sqlite3_get_autocommit(s->handle))
		(void)sqlite3_exec(s->handle, "ROLLBACK", NULL, NULL, NULL);
}

/* --- rows --- */

static enum err
sqlite_query(struct db *db, const char *sql, const struct db_arg *args, size_t n_args,
	     struct db_rows **ret)
{
	struct sqlite *s = sqlite_of(db);
	enum err e = statement_begin(s, sql, args, n_args, &s->rows.stmt, &s->rows.cached);

	if (e != ERR_OK)
		return e;
	s->rows.base.db = db;
	*ret = &s->rows.base;
	return ERR_OK;
}

static bool
sqlite_next(struct db_rows *rows, enum err *ret_err)
{
	int code = sqlite3_step(rows_of(rows)->stmt);

	if (code == SQLITE_ROW || code == SQLITE_DONE)
		*ret_err = ERR_OK;
	else
		*ret_err = sqlite_failed(sqlite_of(rows->db), code);
	return code == SQLITE_ROW;
}

static bool
sqlite_is_null(struct db_rows *rows, int col)
{
	return sqlite3_column_type(rows_of(rows)->stmt, col) == SQLITE_NULL;
}

static struct str
sqlite_text(struct db_rows *rows, int col)
{
	sqlite3_stmt *stmt = rows_of(rows)->stmt;
	const char *p = (const char *)sqlite3_column_text(stmt, col);

	return (struct str){p, p != NULL ? (size_t)sqlite3_column_bytes(stmt, col) : 0};
}

static bool
sqlite_integer(struct db_rows *rows, int col, int64_t *ret)
{
	sqlite3_stmt *stmt = rows_of(rows)->stmt;
	int type = sqlite3_column_type(stmt, col);

	if (type != SQLITE_INTEGER && type != SQLITE_FLOAT)
		return false;
	*ret = sqlite3_column_int64(stmt, col);
	return true;
}

/* SQLite's own CURRENT_TIMESTAMP has no offset and means UTC. */
static int64_t
sqlite_time(struct db_rows *rows, int col)
{
	struct str text = sqlite_text(rows, col);
	char utc[40];
	int64_t us = 0;
	int n;

	if (time_parse(text, &us))
		return us;
	n = snprintf(utc, sizeof(utc), STR_FMT "Z", (int)MIN(text.n, sizeof(utc)), text.p);
	if (n < (int)sizeof(utc) && time_parse((struct str){utc, (size_t)n}, &us))
		return us;
	return 0;
}

static void
sqlite_rows_done(struct db_rows *rows)
{
	struct sqlite_rows *r = rows_of(rows);

	statement_give(r->stmt, r->cached);
	r->stmt = NULL;
}

/* --- locks --- */

static char *
lock_path(struct sqlite *s, const char *name)
{
	return xasprintf("%s-%s.lock", s->path, name);
}

/* The holder removes the file before it lets go of it, so that none are left
 * about. Who then gets the lock of a removed file holds nothing, and tries again. */
static enum err
sqlite_lock(struct db *db, const char *name, int *ret_held)
{
	AUTO_FREE char *path = lock_path(sqlite_of(db), name);
	struct stat mine;
	struct stat there;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0)
		return db_failed(db, ERR_IO, "%s: %m", path);
	if (flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &mine) == 0 && stat(path, &there) == 0 &&
	    mine.st_ino == there.st_ino && mine.st_dev == there.st_dev) {
		*ret_held = fd;
		return ERR_OK;
	}
	(void)close(fd);
	return db_failed(db, ERR_TASK, "the lock \"%s\" is held by another program", name);
}

static void
sqlite_unlock(struct db *db, const char *name, int held)
{
	AUTO_FREE char *path = lock_path(sqlite_of(db), name);

	(void)unlink(path);
	(void)close(held);
}

const struct db_driver db_sqlite = {
    .dialect = DB_SQLITE,
    .open = sqlite_open,
    .open_read = sqlite_open_read,
    .is_there = sqlite_is_there,
    .close = sqlite_close,
    .settle = sqlite_settle,
    .exec = sqlite_exec,
    .run = sqlite_run,
    .begin = sqlite_begin,
    .bound = sqlite_bound,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .query = sqlite_query,
    .next = sqlite_next,
    .is_null = sqlite_is_null,
    .text = sqlite_text,
    .integer = sqlite_integer,
    .time = sqlite_time,
    .rows_done = sqlite_rows_done,
    .lock = sqlite_lock,
    .unlock = sqlite_unlock,
};
