/* SPDX-License-Identifier: MIT
 *
 * The SQLite driver. Write-ahead log, writers begin with BEGIN IMMEDIATE (a
 * deferred transaction that turns into a writer fails at once, whatever the busy
 * timeout), and wait up to ten seconds for each other.
 *
 * Statements are prepared once and kept, the least recently used is dropped. The file
 * is made with mode 0600 and must not be a symbolic link; its folder may be one.
 */
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/db_driver.h"
#include "lib/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_MS      10000
#define BUSY_STEP_MS 20
#define CACHED       64 /* statements */

struct cached {
	char *sql;
	sqlite3_stmt *stmt;
	uint64_t used; /* the connection's count at its last use */
	bool busy;     /* belongs to the open result set */
};

struct sqlite_rows {
	struct db_rows base;
	sqlite3_stmt *stmt;
	struct cached *cached; /* NULL: the statement is this result set's own */
};

struct sqlite {
	struct db base;
	sqlite3 *handle;
	char *path; /* resolved */
	bool read_only;
	struct cached cache[CACHED];
	uint64_t uses;
	int64_t deadline_us;     /* monotonic, of the bounded transaction */
	struct sqlite_rows rows; /* the one that can be open */
};

static struct sqlite *
sqlite_of(struct db *db)
{
	return container_of(db, struct sqlite, base);
}

static struct sqlite_rows *
rows_of(struct db_rows *rows)
{
	return container_of(rows, struct sqlite_rows, base);
}

/* --- errors --- */

static enum err
err_of(int code)
{
	switch (code) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
	case SQLITE_CONSTRAINT_ROWID:
		return ERR_DUPLICATE;
	default:
		break;
	}
	switch (code & 0xff) {
	case SQLITE_FULL:
		return ERR_DISK;
	case SQLITE_INTERRUPT:
		return ERR_TIMEOUT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_CANTOPEN:
		return ERR_DB_AWAY;
	default:
		return ERR_DB;
	}
}

static enum err
failed(struct sqlite *s, int code)
{
	return db_failed(&s->base, err_of(code), "%s", sqlite3_errmsg(s->handle));
}

/* --- opening --- */

/* The folder's real path and the file's name: every symbolic link is resolved
 * but one in the place of the file itself. malloc'ed; NULL when there is no such
 * folder. */
static char *
resolve(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	AUTO_FREE char *folder = slash == NULL   ? xstrdup(".")
				 : slash == path ? xstrdup("/")
						 : xstrndup(path, (size_t)(slash - path));
	AUTO_FREE char *real = realpath(folder, NULL);

	if (real == NULL || *name == '\0')
		return NULL;
	return xasprintf("%s/%s", strcmp(real, "/") == 0 ? "" : real, name);
}

/* Makes the file if there is none, and looks whether it can be one. An existing
 * file is not opened here: closing a descriptor of it would drop the locks that
 * another thread of this process holds on it (fcntl locks are the process's). */
static enum err
prepare_file(const char *path, struct errinfo *info)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct stat st;

	if (fd >= 0) {
		(void)close(fd);
		return ERR_OK;
	}
	if (errno != EEXIST)
		return err_set(info, ERR_CONF, "DATABASE_DSN: %s cannot be made: %m", path);
	if (lstat(path, &st) < 0)
		return err_set(info, ERR_CONF, "DATABASE_DSN: %s: %m", path);
	if (S_ISLNK(st.st_mode))
		return err_set(info, ERR_CONF,
			       "DATABASE_DSN: %s is a symbolic link: name the file itself", path);
	if (!S_ISREG(st.st_mode))
		return err_set(info, ERR_CONF, "DATABASE_DSN: %s is not a file", path);
	if (access(path, R_OK | W_OK) < 0)
		return err_set(info, ERR_CONF, "DATABASE_DSN: %s cannot be written: %m", path);
	/* Taken over from GPT-Load 1.4, which left it readable to all. */
	if (st.st_uid == geteuid() && (st.st_mode & 077) != 0)
		(void)chmod(path, 0600);
	return ERR_OK;
}

static int
on_journal_mode(void *is_wal, int n, char **values, char **names)
{
	(void)names;
	*(bool *)is_wal = n == 1 && values[0] != NULL && strcmp(values[0], "wal") == 0;
	return 0;
}

/* The change to a write-ahead log asks for the whole file and does not use the
 * busy timeout. It is kept in the file, so only the first of all does it. */
static int
use_wal(struct sqlite *s)
{
	bool is_wal = false;
	int code = sqlite3_exec(s->handle, "PRAGMA journal_mode", on_journal_mode, &is_wal, NULL);

	for (int waited = 0; code == SQLITE_OK && !is_wal;) {
		code = sqlite3_exec(s->handle, "PRAGMA journal_mode = WAL", on_journal_mode,
				    &is_wal, NULL);
		if ((code & 0xff) != SQLITE_BUSY || waited >= BUSY_MS)
			break;
		waited += sqlite3_sleep(BUSY_STEP_MS);
		code = SQLITE_OK;
	}
	return code;
}

static int
set_up(struct sqlite *s)
{
	int code = sqlite3_busy_timeout(s->handle, BUSY_MS);

	(void)sqlite3_db_config(s->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	(void)sqlite3_db_config(s->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	(void)sqlite3_db_config(s->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	/* That the file can be read shows with the first query. */
	if (s->read_only)
		return code == SQLITE_OK
			   ? sqlite3_exec(s->handle, "PRAGMA schema_version", NULL, NULL, NULL)
			   : code;
	if (code == SQLITE_OK)
		code = use_wal(s);
	/* Foreign keys: GPT-Load 1.4 declares one and never turns it on. The size
	 * limit shrinks the log after a large import. */
	if (code == SQLITE_OK)
		code = sqlite3_exec(s->handle,
				    "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = OFF;"
				    "PRAGMA journal_size_limit = 67108864",
				    NULL, NULL, NULL);
	if (code == SQLITE_OK && sqlite3_db_readonly(s->handle, "main") == 1)
		code = SQLITE_READONLY;
	return code;
}

static void
close_handle(struct sqlite *s)
{
	for (size_t i = 0; i < CACHED; i++) {
		(void)sqlite3_finalize(s->cache[i].stmt);
		free(s->cache[i].sql);
		s->cache[i] = (struct cached){0};
	}
	(void)sqlite3_close_v2(s->handle);
	s->handle = NULL;
}

static int
open_handle(struct sqlite *s)
{
	int code =
	    sqlite3_open_v2(s->path, &s->handle,
			    (s->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) |
				SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOFOLLOW,
			    NULL);

	return code == SQLITE_OK ? set_up(s) : code;
}

static void
sqlite_close(struct db *db)
{
	struct sqlite *s = sqlite_of(db);

	close_handle(s);
	free(s->path);
	free(s);
}

static enum err
open_failed(struct sqlite *s, int code, struct errinfo *info)
{
	switch (code & 0xff) {
	case SQLITE_NOTADB:
		return err_set(info, ERR_CONF, "DATABASE_DSN: %s is not an SQLite database",
			       s->path);
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
		return err_set(
		    info, ERR_CONF,
		    "DATABASE_DSN: %s cannot be written: this user needs the file and its folder",
		    s->path);
	default:
		return err_set(info, err_of(code), "DATABASE_DSN: %s: %s", s->path,
			       sqlite3_errmsg(s->handle));
	}
}

static enum err
open_path(const struct conf *conf, const char *path, bool read_only, struct db **ret,
	  struct errinfo *info)
{
	struct sqlite *s = xcalloc(1, sizeof(*s));
	int code;
	enum err e;

	s->base.driver = &db_sqlite;
	s->base.conf = conf;
	s->path = xstrdup(path);
	s->read_only = read_only;
	code = open_handle(s);
	if (code != SQLITE_OK) {
		e = open_failed(s, code, info);
		sqlite_close(&s->base);
		return e;
	}
	*ret = &s->base;
	return ERR_OK;
}

static enum err
sqlite_open(const struct conf *conf, struct db **ret, struct errinfo *info)
{
	AUTO_FREE char *path = resolve(conf->database_dsn);
	enum err e = path != NULL
			 ? prepare_file(path, info)
			 : err_set(info, ERR_CONF, "DATABASE_DSN: %s: there is no such folder",
				   conf->database_dsn);

	return e == ERR_OK ? open_path(conf, path, false, ret, info) : e;
}

static enum err
sqlite_open_read(const struct conf *conf, struct db **ret, struct errinfo *info)
{
	AUTO_FREE char *path = resolve(conf->database_dsn);

	if (path == NULL || access(path, F_OK) < 0)
		return err_set(info, ERR_NOT_FOUND, "DATABASE_DSN: %s: there is no such file",
			       conf->database_dsn);
	return open_path(conf, path, true, ret, info);
}

static void
sqlite_settle(struct db *db)
{
	sqlite3 *handle = sqlite_of(db)->handle;

	if (handle != NULL) /* else the file was lost */
		(void)sqlite3_db_config(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
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
		return failed(s, code);
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
			return failed(s, code);
	}
	return ERR_OK;
}

/* The file was removed, or another lies in its place: what went into ours would be
 * lost. Nothing else tells, since an open file stays usable. */
static enum err
take_file_again(struct sqlite *s)
{
	int moved = 0;

	if (s->base.rows_open ||
	    (s->handle != NULL && (sqlite3_file_control(s->handle, "main", SQLITE_FCNTL_HAS_MOVED,
							&moved) != SQLITE_OK ||
				   moved == 0)))
		return ERR_OK;
	if (access(s->path, F_OK) < 0)
		return db_failed(&s->base, ERR_DB_AWAY, "%s is gone", s->path);
	close_handle(s);
	if (open_handle(s) == SQLITE_OK)
		return ERR_OK;
	close_handle(s);
	return db_failed(&s->base, ERR_DB_AWAY, "%s was replaced and cannot be opened", s->path);
}

/* SQLite ends a transaction by itself when the disk is full: what follows must
 * not then be committed one by one. */
static enum err
transaction_alive(struct sqlite *s)
{
	if (!s->base.in_transaction)
		return take_file_again(s);
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
		e = failed(s, code);
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
	return code == SQLITE_OK ? ERR_OK : failed(s, code);
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
		*ret_err = failed(sqlite_of(rows->db), code);
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
