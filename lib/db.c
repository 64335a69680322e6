/* SPDX-License-Identifier: MIT
 *
 * The database interface: picks the driver, keeps the rules that are the same
 * for all of them (order of calls, waiting for locks, scripts, reading columns),
 * and passes on.
 */
#include "config.h"

#include "lib/db.h"
#include "lib/conf.h"
#include "lib/db_driver.h"
#include "lib/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

/* Milliseconds between two tries for a lock: short at first. */
#define LOCK_FIRST_WAIT_MS 2
#define LOCK_MOST_WAIT_MS  50

/* --- connection --- */

enum db_dialect
db_dialect_of(const char *dsn)
{
	struct str s = str_of(dsn);

	if (str_starts(s, "postgres://") || str_starts(s, "postgresql://"))
		return DB_PGSQL;
	if (str_contains(s, "@tcp(") || str_contains(s, "@unix("))
		return DB_MYSQL;
	return DB_SQLITE;
}

enum err
db_open(const struct conf *conf, struct db **ret, struct errinfo *info)
{
	switch (db_dialect_of(conf->database_dsn)) {
	case DB_MYSQL:
#ifdef HAVE_MYSQL
		return db_mysql.open(conf, ret, info);
#else
		return err_set(info, ERR_CONF, "DATABASE_DSN: this build has no MySQL driver");
#endif
	case DB_PGSQL:
#ifdef HAVE_PGSQL
		return db_pgsql.open(conf, ret, info);
#else
		return err_set(info, ERR_CONF, "DATABASE_DSN: this build has no PostgreSQL driver");
#endif
	case DB_SQLITE:
		break;
	}
	return db_sqlite.open(conf, ret, info);
}

bool
db_is_there(const struct conf *conf)
{
	return db_dialect_of(conf->database_dsn) != DB_SQLITE || db_sqlite.is_there(conf);
}

enum err
db_open_read(const struct conf *conf, struct db **ret, struct errinfo *info)
{
	struct db *db = NULL;
	enum err e;

	if (db_dialect_of(conf->database_dsn) == DB_SQLITE)
		return db_sqlite.open_read(conf, ret, info);
	e = db_open(conf, &db, info);
	if (e == ERR_OK)
		e = db_script(db, db_dialect(db) == DB_MYSQL
				      ? "SET SESSION TRANSACTION READ ONLY"
				      : "SET default_transaction_read_only = on");
	if (e == ERR_OK) {
		*ret = db;
		return ERR_OK;
	}
	if (db != NULL)
		(void)err_set(info, e, "DATABASE_DSN: %s", db_error(db));
	db_close(db);
	return e;
}

void
db_close(struct db *db)
{
	if (db == NULL)
		return;
	check(!db->rows_open);
	for (size_t i = 0; i < DB_LOCKS; i++)
		if (db->locks[i].name[0] != '\0')
			db_unlock(db, db->locks[i].name);
	db->driver->close(db);
}

void
db_settle(struct db *db)
{
	db->driver->settle(db);
}

/* Random places of an index are in many transactions: each page that is taken over from
 * the write-ahead log only every 64 MiB of it is written once for several of them. */
static void
sqlite_bulk(struct db *db, bool on)
{
	/* KiB, and pages; 2000 is SQLite's own default. */
	enum err e = db_script(db, on ? "PRAGMA cache_size = -16384" : "PRAGMA cache_size = -2000");

	if (e == ERR_OK)
		e = db_script(db, on ? "PRAGMA wal_autocheckpoint = 16000"
				     : "PRAGMA wal_autocheckpoint = " SQLITE_CHECKPOINT_PAGES);
	if (e == ERR_OK && !on)
		e = db_script(db, "PRAGMA shrink_memory");
	(void)e;
}

/* A plan that was made and kept while a table was empty reads all of it, and goes on
 * doing so as it fills; so does a new one until the server has counted the rows. What is
 * done in bulk has an index for everything. */
static void
pgsql_bulk(struct db *db, bool on)
{
	(void)!db_script(db, on ? "SET enable_seqscan = off; "
				  "SET plan_cache_mode = force_custom_plan"
				: "RESET enable_seqscan; RESET plan_cache_mode");
}

/* Without it everything works, slower. */
void
db_bulk(struct db *db, bool on)
{
	if (db_dialect(db) == DB_SQLITE)
		sqlite_bulk(db, on);
	else if (db_dialect(db) == DB_PGSQL)
		pgsql_bulk(db, on);
}

enum db_dialect
db_dialect(const struct db *db)
{
	return db->driver->dialect;
}

const char *
db_error(const struct db *db)
{
	return db->error;
}

enum err
db_failed(struct db *db, enum err e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(db->error, sizeof(db->error), fmt, ap);
	va_end(ap);
	return e;
}

const char *
db_pick(const struct db *db, const struct sql *sql)
{
	const char *text = NULL;

	switch (db->driver->dialect) {
	case DB_SQLITE:
		break;
	case DB_MYSQL:
		text = sql->mysql;
		break;
	case DB_PGSQL:
		text = sql->pgsql;
		break;
	}
	return text != NULL ? text : sql->sqlite;
}

/* --- statements --- */

enum err
db_exec(struct db *db, const char *sql, const struct db_arg *args, size_t n_args,
	int64_t *ret_changed)
{
	return db->driver->exec(db, sql, args, n_args, ret_changed, NULL);
}

enum err
db_insert(struct db *db, const char *sql, const struct db_arg *args, size_t n_args, int64_t *ret_id)
{
	return db->driver->exec(db, sql, args, n_args, NULL, ret_id);
}

/* Does the statement at the start of `rest` end at `at`: a ';' at a line's end. */
static bool
ends_statement(struct str rest, size_t at)
{
	return rest.p[at] == ';' && (at + 1 == rest.n || rest.p[at + 1] == '\n');
}

enum err
db_script(struct db *db, const char *script)
{
	struct str rest = str_trim(str_of(script));

	while (rest.n > 0) {
		struct str statement = rest;
		enum err e;

		for (size_t i = 0; i < rest.n; i++) {
			if (ends_statement(rest, i)) {
				statement.n = i;
				break;
			}
		}
		e = db->driver->run(db, statement);
		if (e != ERR_OK)
			return e;
		rest = str_trim(str_from(rest, statement.n + 1));
	}
	return ERR_OK;
}

static enum err
begin(struct db *db, bool read_only)
{
	enum err e;

	check(!db->in_transaction && !db->rows_open);
	e = db->driver->begin(db, read_only);
	db->in_transaction = e == ERR_OK;
	return e;
}

enum err
db_begin(struct db *db)
{
	return begin(db, false);
}

enum err
db_begin_read(struct db *db)
{
	return begin(db, true);
}

enum err
db_begin_bounded(struct db *db, int ms)
{
	enum err e = begin(db, true);

	if (e != ERR_OK)
		return e;
	e = db->driver->bound(db, MAX(ms, 1));
	db->bounded = e == ERR_OK;
	if (e != ERR_OK)
		db_rollback(db);
	return e;
}

enum err
db_commit(struct db *db)
{
	enum err e;

	check(db->in_transaction && !db->rows_open);
	e = db->driver->commit(db);
	if (e != ERR_OK)
		db->driver->rollback(db);
	db->in_transaction = false;
	return e;
}

void
db_rollback(struct db *db)
{
	check(!db->rows_open);
	if (!db->in_transaction)
		return;
	db->driver->rollback(db);
	db->in_transaction = false;
	/* A connection on which this fails is lost. */
	if (db->bounded)
		(void)db->driver->bound(db, 0);
	db->bounded = false;
}

/* --- rows --- */

enum err
db_query(struct db *db, const char *sql, const struct db_arg *args, size_t n_args,
	 struct db_rows **ret)
{
	enum err e;

	check(!db->rows_open);
	*ret = NULL;
	e = db->driver->query(db, sql, args, n_args, ret);
	db->rows_open = e == ERR_OK;
	return e;
}

bool
db_next(struct db_rows *rows, enum err *ret_err)
{
	return rows->db->driver->next(rows, ret_err);
}

void
db_rows_done(struct db_rows *rows)
{
	if (rows == NULL)
		return;
	rows->db->rows_open = false;
	rows->db->driver->rows_done(rows);
}

bool
db_col_is_null(struct db_rows *rows, int col)
{
	return rows->db->driver->is_null(rows, col);
}

struct str
db_col_text(struct db_rows *rows, int col)
{
	return rows->db->driver->text(rows, col);
}

int64_t
db_col_int(struct db_rows *rows, int col)
{
	const struct db_driver *driver = rows->db->driver;
	int64_t v = 0;
	bool b = false;

	if (driver->is_null(rows, col))
		return 0;
	if (driver->integer != NULL && driver->integer(rows, col, &v))
		return v;
	if (number_parse(driver->text(rows, col), &v))
		return v;
	/* A boolean kept as text. */
	return str_to_bool(driver->text(rows, col), &b) && b;
}

bool
db_col_bool(struct db_rows *rows, int col)
{
	return db_col_int(rows, col) != 0;
}

int64_t
db_col_time(struct db_rows *rows, int col)
{
	return rows->db->driver->is_null(rows, col) ? 0 : rows->db->driver->time(rows, col);
}

enum err
db_query_int(struct db *db, const char *sql, const struct db_arg *args, size_t n_args, int64_t none,
	     int64_t *ret)
{
	struct db_rows *rows;
	enum err e = db_query(db, sql, args, n_args, &rows);

	if (e != ERR_OK)
		return e;
	if (db_next(rows, &e))
		*ret = db_col_int(rows, 0);
	else if (e == ERR_OK)
		*ret = none;
	db_rows_done(rows);
	return e;
}

/* --- locks --- */

static struct db_lock *
lock_find(struct db *db, const char *name)
{
	for (size_t i = 0; i < DB_LOCKS; i++)
		if (strcmp(db->locks[i].name, name) == 0)
			return &db->locks[i];
	return NULL;
}

static bool
lock_name_valid(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && name[n] == '\0' && n < sizeof(((struct db_lock *)NULL)->name);
}

static void
wait_ms(int ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	(void)nanosleep(&t, NULL);
}

enum err
db_lock(struct db *db, const char *name, int timeout_s)
{
	struct db_lock *lock = lock_find(db, "");
	int wait = LOCK_FIRST_WAIT_MS;
	int held = -1;
	enum err e;

	check(lock_name_valid(name) && lock != NULL && lock_find(db, name) == NULL);
	/* Time is counted in waits, not read from the clock: tests fake that. */
	for (int64_t left = (int64_t)timeout_s * 1000;; left -= wait) {
		e = db->driver->lock(db, name, &held);
		if (e != ERR_TASK || left <= 0)
			break;
		wait_ms(wait);
		wait = MIN(wait * 2, LOCK_MOST_WAIT_MS);
	}
	if (e != ERR_OK)
		return e;
	(void)snprintf(lock->name, sizeof(lock->name), "%s", name);
	lock->held = held;
	return ERR_OK;
}

void
db_unlock(struct db *db, const char *name)
{
	struct db_lock *lock = lock_find(db, name);

	check(lock != NULL && name[0] != '\0');
	db->driver->unlock(db, lock->name, lock->held);
	lock->name[0] = '\0';
}
