/* SPDX-License-Identifier: MIT
 *
 * The state database behind one small interface: SQLite, MySQL/MariaDB and
 * PostgreSQL are three tables of functions (db_driver.h). Callers write SQL with
 * `?` placeholders that all three understand, and a struct sql where they do
 * not; every value is bound.
 *
 * A connection belongs to one thread. Times are microseconds since 1970 UTC
 * here; each driver stores them as GPT-Load 1.4 does (interface.md "Data").
 */
#ifndef LIB_DB_H
#define LIB_DB_H

#include "lib/base.h"
#include "lib/err.h"

struct db;
struct db_rows;
struct conf;

enum db_dialect {
	DB_SQLITE,
	DB_MYSQL,
	DB_PGSQL
};

/* Which driver a DSN asks for (interface.md, DATABASE_DSN). */
enum db_dialect db_dialect_of(const char *dsn);

/* conf is borrowed for the connection's life. ERR_CONF: the DSN is unusable or
 * its driver was not built in; ERR_DB_AWAY: nobody answers. Does not migrate. */
enum err db_open(const struct conf *conf, struct db **ret, struct errinfo *info) MUST_CHECK;
/* Whether db_open() would find something, as far as can be told without asking a server:
 * else it makes an SQLite file. */
bool db_is_there(const struct conf *conf);
/* The path of an SQLite file without symbolic links but one in the place of the file
 * itself, since SQLite is told to follow none. malloc'ed; NULL: there is no such folder. */
char *db_file_path(const char *path) MUST_CHECK;
/* For looking: nothing is made, no setting of the database is changed, and what would
 * write fails. ERR_NOT_FOUND: there is no such file yet. */
enum err db_open_read(const struct conf *conf, struct db **ret, struct errinfo *info) MUST_CHECK;
void db_close(struct db *db); /* NULL is fine */
/* Before db_close() in a program that lives long: SQLite then moves its
 * write-ahead log into the database file, so that a stopped installation can be
 * copied as one file. Programs of one request leave that to others. */
void db_settle(struct db *db);
/* Much is going to be written at random places, or that is over: SQLite's page cache,
 * small else, would be written out and read again all the time, and PostgreSQL would keep
 * to plans for the few rows that were there before. Not within a transaction. */
void db_bulk(struct db *db, bool on);
enum db_dialect db_dialect(const struct db *db);
/* What the last failed call on this connection said; never bound values. */
const char *db_error(const struct db *db);

/* One statement in each dialect; NULL means "as in sqlite". */
struct sql {
	const char *sqlite;
	const char *mysql;
	const char *pgsql;
};
const char *db_pick(const struct db *db, const struct sql *sql);

enum db_type {
	DB_NULL,
	DB_INT,
	DB_BOOL,
	DB_TEXT,
	DB_TIME
};

struct db_arg {
	enum db_type type;
	int64_t i;    /* DB_INT, DB_BOOL, DB_TIME (µs) */
	struct str s; /* DB_TEXT; borrowed for the call */
};

#define db_null()  ((struct db_arg){.type = DB_NULL})
#define db_int(v)  ((struct db_arg){.type = DB_INT, .i = (v)})
#define db_bool(v) ((struct db_arg){.type = DB_BOOL, .i = (v)})
#define db_text(v) ((struct db_arg){.type = DB_TEXT, .s = (v)})
#define db_cstr(v) ((struct db_arg){.type = DB_TEXT, .s = {(v), strlen(v)}})
/* What every database can hold in every time zone: within the years 1 to 9999. */
#define DB_TIME_FIRST (INT64_C(-62135510400) * 1000000)
#define DB_TIME_LAST  (INT64_C(253402214400) * 1000000 - 1)
static inline struct db_arg
db_time(int64_t us)
{
	return (struct db_arg){.type = DB_TIME, .i = MIN(MAX(us, DB_TIME_FIRST), DB_TIME_LAST)};
}
/* The last two arguments of the calls below: DB_ARGS(db_int(1), db_cstr("x")). */
#define DB_ARGS(...)                                                                               \
	(const struct db_arg[]){__VA_ARGS__},                                                      \
	    sizeof((const struct db_arg[]){__VA_ARGS__}) / sizeof(struct db_arg)
#define DB_NO_ARGS NULL, 0

/* Runs one statement that returns no rows. ret_changed (may be NULL): rows
 * changed. ERR_DUPLICATE: a unique constraint; ERR_DB_AWAY: the connection is
 * gone (the next call reconnects, unless in a transaction), or others kept the
 * database for too long; ERR_DISK: the disk is full; ERR_DB: the rest.
 * Statements are prepared once per connection and text. */
enum err db_exec(struct db *db, const char *sql, const struct db_arg *args, size_t n_args,
		 int64_t *ret_changed) MUST_CHECK;
/* An INSERT into a table whose key is `id`, generated: *ret_id. */
enum err db_insert(struct db *db, const char *sql, const struct db_arg *args, size_t n_args,
		   int64_t *ret_id) MUST_CHECK;

/* Rows one by one. Only one result set of a connection is open at a time.
 *	for (e = db_query(db, sql, DB_NO_ARGS, &rows); e == ERR_OK && db_next(rows, &e);)
 *		… db_col_int(rows, 0) …
 *	db_rows_done(rows);			(NULL is fine) */
enum err db_query(struct db *db, const char *sql, const struct db_arg *args, size_t n_args,
		  struct db_rows **ret) MUST_CHECK;
/* true: a row is there. false: no more, or *ret_err says what went wrong. */
bool db_next(struct db_rows *rows, enum err *ret_err) MUST_CHECK;
bool db_col_is_null(struct db_rows *rows, int col);
int64_t db_col_int(struct db_rows *rows, int col); /* 0 for NULL; reads exponent forms */
bool db_col_bool(struct db_rows *rows, int col);
struct str db_col_text(struct db_rows *rows, int col); /* borrowed until the next row */
int64_t db_col_time(struct db_rows *rows, int col);    /* µs; 0 for NULL */
void db_rows_done(struct db_rows *rows);
/* The first column of the first row as a number; `none` when there is no row. */
enum err db_query_int(struct db *db, const char *sql, const struct db_arg *args, size_t n_args,
		      int64_t none, int64_t *ret) MUST_CHECK;

/* Write transactions (SQLite: BEGIN IMMEDIATE). They do not nest. */
enum err db_begin(struct db *db) MUST_CHECK;
enum err db_commit(struct db *db) MUST_CHECK;
void db_rollback(struct db *db);
/* A transaction that only reads, all of it from one moment; ended by
 * db_rollback(). It waits for no writer. */
enum err db_begin_read(struct db *db) MUST_CHECK;
/* The same for what may take too long: a statement that has run for so many ms fails with
 * ERR_TIMEOUT, and with it the transaction. */
enum err db_begin_bounded(struct db *db, int ms) MUST_CHECK;

/* Runs a script of several statements, ended by ';' at a line's end (schema and
 * migrations). */
enum err db_script(struct db *db, const char *script) MUST_CHECK;

/* A lock over all nodes, held until db_unlock() or the connection ends. Waits up
 * to timeout_s (0: not at all), then ERR_TASK. Not taken twice by one connection.
 * SQLite: an flock(2) on a file beside the database. `name`: [a-z0-9-]. */
enum err db_lock(struct db *db, const char *name, int timeout_s) MUST_CHECK;
void db_unlock(struct db *db, const char *name);

/* µs as RFC 3339 text in the zone of TZ, as the API and SQLite write it:
 * "2006-01-02T15:04:05.123456+08:00"; `sep` is 'T' or ' '. Fractions lose their
 * trailing zeros. out[40]. */
void time_format(char out[40], int64_t us, char sep);
/* Both forms, fractions to 9 digits, "Z" or an offset. */
bool time_parse(struct str text, int64_t *ret_us) MUST_CHECK;
/* A whole number in text, exponent forms included ("1e+06"): GPT-Load 1.4 wrote
 * large settings so. False when it is none, or does not fit. */
bool number_parse(struct str text, int64_t *ret) MUST_CHECK;

#endif
