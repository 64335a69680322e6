/* SPDX-License-Identifier: MIT
 *
 * The MySQL and MariaDB driver.
 *
 * A session reads standard SQL ("quoted" names, no backslash escapes, || joins)
 * and refuses values that do not fit. It is READ COMMITTED, which locks rows and
 * no gaps; db_begin_read() asks for a snapshot. "Rows changed" are rows found, as
 * in the other databases (CLIENT_FOUND_ROWS).
 *
 * What the server rolled back by itself (a deadlock, a lost connection) is gone:
 * the rest of that transaction is refused, or it would be committed piece by piece.
 */
#include "config.h"

#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/db_mysql_session.h"
#include "lib/str.h"

#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define COLUMN_START 256 /* bytes at first for a column's text */

static struct mysql *
mysql_of(struct db *db)
{
	return container_of(db, struct mysql, base);
}

static struct mysql_rows *
rows_of(struct db_rows *rows)
{
	return container_of(rows, struct mysql_rows, base);
}

/* --- opening --- */

static void
my_close(struct db *db)
{
	struct mysql *m = mysql_of(db);

	my_disconnect(m);
	mysql_dsn_done(&m->dsn);
	free(m);
}

static enum err
my_open(const struct conf *conf, struct db **ret, struct errinfo *info)
{
	struct mysql *m = xcalloc(1, sizeof(*m));
	enum err e = mysql_dsn_parse(conf->database_dsn, &m->dsn, info);

	m->base.driver = &db_mysql;
	m->base.conf = conf;
	if (e == ERR_OK)
		e = mysql_load(&m->lib, info);
	if (e == ERR_OK) {
		e = my_connect_now(m);
		if (e == ERR_DB) /* a password, a name: nothing that mends itself */
			e = ERR_CONF;
		if (e != ERR_OK)
			(void)err_set(info, e, "DATABASE_DSN: %s", db_error(&m->base));
	}
	if (e != ERR_OK) {
		my_close(&m->base);
		return e;
	}
	*ret = &m->base;
	return ERR_OK;
}

static void
my_settle(struct db *db UNUSED)
{
}

/* --- times --- */

/* Cut to milliseconds here: the server would round, into the next hour at worst. */
static void
time_to_server(const struct mysql *m, int64_t us, MYSQL_TIME *ret)
{
	int64_t fraction = (us % 1000000 + 1000000) % 1000000;
	time_t s = (us - fraction) / 1000000;
	struct tm tm = {0};

	(void)(m->dsn.local ? localtime_r(&s, &tm) : gmtime_r(&s, &tm));
	*ret = (MYSQL_TIME){
	    .year = (unsigned)(tm.tm_year + 1900),
	    .month = (unsigned)tm.tm_mon + 1,
	    .day = (unsigned)tm.tm_mday,
	    .hour = (unsigned)tm.tm_hour,
	    .minute = (unsigned)tm.tm_min,
	    .second = (unsigned)tm.tm_sec,
	    .second_part = (unsigned long)(fraction / 1000 * 1000),
	    .time_type = MYSQL_TIMESTAMP_DATETIME,
	};
}

/* "2006-01-02 15:04:05.123" in the zone of the DSN; 0 when it is none. */
static int64_t
time_from_server(const struct mysql *m, struct str text)
{
	char utc[40];
	int64_t us;
	int64_t fraction;
	time_t s;
	struct tm tm;
	int n = snprintf(utc, sizeof(utc), STR_FMT "Z", (int)MIN(text.n, sizeof(utc)), text.p);

	if (n >= (int)sizeof(utc) || !time_parse((struct str){utc, (size_t)n}, &us))
		return 0;
	if (!m->dsn.local)
		return us;
	fraction = (us % 1000000 + 1000000) % 1000000;
	s = (us - fraction) / 1000000;
	(void)gmtime_r(&s, &tm);
	tm.tm_isdst = -1;
	return (int64_t)mktime(&tm) * 1000000 + fraction;
}

/* --- statements --- */

/* The place for `sql`: its own, else a free one, else the one longest unused. */
static struct cached *
cache_place(struct mysql *m, const char *sql)
{
	struct cached *oldest = &m->cache[0];

	for (size_t i = 0; i < MY_CACHED; i++) {
		if (m->cache[i].sql != NULL && strcmp(m->cache[i].sql, sql) == 0)
			return &m->cache[i];
		if (m->cache[i].used < oldest->used)
			oldest = &m->cache[i];
	}
	return oldest;
}

static void
cache_drop(struct mysql *m, struct cached *c)
{
	if (c->stmt != NULL)
		(void)m->lib->mysql_stmt_close(c->stmt);
	free(c->sql);
	*c = (struct cached){0};
}

static enum err
prepare(struct mysql *m, const char *sql, struct cached **ret)
{
	struct cached *c = cache_place(m, sql);
	MYSQL_STMT *stmt;
	enum err e;

	c->used = ++m->uses;
	*ret = c;
	if (c->sql != NULL && strcmp(c->sql, sql) == 0)
		return ERR_OK;
	cache_drop(m, c);
	stmt = m->lib->mysql_stmt_init(m->handle);
	check(stmt != NULL);
	if (m->lib->mysql_stmt_prepare(stmt, sql, strlen(sql)) != 0) {
		unsigned code = m->lib->mysql_stmt_errno(stmt);
		AUTO_FREE
		char *text = xstrdup(m->lib->mysql_stmt_error(stmt));

		(void)m->lib->mysql_stmt_close(stmt);
		e = my_failed_with(m, code, text);
		return e;
	}
	*c = (struct cached){.sql = xstrdup(sql), .stmt = stmt, .used = m->uses};
	return ERR_OK;
}

static void
bind_one(const struct mysql *m, const struct db_arg *arg, MYSQL_BIND *bind, MYSQL_TIME *at)
{
	switch (arg->type) {
	case DB_NULL:
		bind->buffer_type = MYSQL_TYPE_NULL;
		break;
	case DB_INT:
	case DB_BOOL:
		bind->buffer_type = MYSQL_TYPE_LONGLONG;
		memcpy(&bind->buffer, &(const void *){&arg->i}, sizeof(bind->buffer));
		break;
	case DB_TEXT:
		bind->buffer_type = MYSQL_TYPE_STRING;
		memcpy(&bind->buffer, &(const void *){arg->s.p != NULL ? arg->s.p : ""},
		       sizeof(bind->buffer));
		bind->buffer_length = arg->s.n;
		break;
	case DB_TIME:
		time_to_server(m, arg->i, at);
		bind->buffer_type = MYSQL_TYPE_DATETIME;
		bind->buffer = at;
		break;
	}
}

static enum err
execute_once(struct mysql *m, const char *sql, const struct db_arg *args, size_t n_args,
	     struct cached **ret)
{
	AUTO_FREE
	MYSQL_BIND *bind = xcalloc(n_args + 1, sizeof(*bind));
	AUTO_FREE
	MYSQL_TIME *times = xcalloc(n_args + 1, sizeof(*times));
	enum err e = my_ready(m);

	if (e == ERR_OK)
		e = prepare(m, sql, ret);
	if (e != ERR_OK)
		return e;
	check(m->lib->mysql_stmt_param_count((*ret)->stmt) == n_args);
	for (size_t i = 0; i < n_args; i++)
		bind_one(m, &args[i], &bind[i], &times[i]);
	if (n_args > 0 && m->lib->mysql_stmt_bind_param((*ret)->stmt, bind) != 0)
		return my_stmt_failed(m, (*ret)->stmt);
	if (m->lib->mysql_stmt_execute((*ret)->stmt) != 0)
		return my_stmt_failed(m, (*ret)->stmt);
	m->used_us = clock_mono_us();
	return ERR_OK;
}

/* Once more after a deadlock, when the statement is all that was rolled back. */
static enum err
execute(struct mysql *m, const char *sql, const struct db_arg *args, size_t n_args,
	struct cached **ret)
{
	enum err e;

	if (m->base.rows_open)
		return db_failed(&m->base, ERR_DB, "rows are still being read");
	e = execute_once(m, sql, args, n_args, ret);
	if (e == ERR_DB_AWAY && !m->base.in_transaction && m->handle != NULL &&
	    m->lib->mysql_errno(m->handle) == ER_LOCK_DEADLOCK)
		e = execute_once(m, sql, args, n_args, ret);
	return e;
}

static enum err
my_exec(struct db *db, const char *sql, const struct db_arg *args, size_t n_args,
	int64_t *ret_changed, int64_t *ret_id)
{
	struct mysql *m = mysql_of(db);
	struct cached *c;
	enum err e = execute(m, sql, args, n_args, &c);

	if (e != ERR_OK)
		return e;
	if (ret_changed != NULL)
		*ret_changed = (int64_t)m->lib->mysql_stmt_affected_rows(c->stmt);
	if (ret_id != NULL)
		*ret_id = (int64_t)m->lib->mysql_stmt_insert_id(c->stmt);
	/* Of a SELECT whose rows nobody wants. */
	(void)m->lib->mysql_stmt_free_result(c->stmt);
	return ERR_OK;
}

/* The server commits each change of a table by itself, so a script that was cut
 * off in the middle is run again from its start: what is there is passed over. */
static enum err
my_run(struct db *db, struct str sql)
{
	struct mysql *m = mysql_of(db);
	enum err e = my_ready(m);
	unsigned code;

	if (e == ERR_OK)
		e = my_limit_statements(m, true);
	if (e != ERR_OK)
		return e;
	if (m->lib->mysql_real_query(m->handle, sql.p, sql.n) != 0) {
		code = m->lib->mysql_errno(m->handle);
		if (code != ER_DUP_FIELDNAME && code != ER_DUP_KEYNAME)
			e = my_failed(m);
	}
	if (m->handle != NULL) {
		enum err after = my_limit_statements(m, false);

		e = e == ERR_OK ? after : e;
	}
	return e;
}

/* --- transactions --- */

static enum err
begin_once(struct mysql *m, bool read_only)
{
	enum err e = my_ready(m);

	if (e == ERR_OK && read_only)
		e = my_command(m, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
	if (e == ERR_OK)
		e = my_command(m, read_only
				      ? "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY"
				      : "START TRANSACTION");
	return e;
}

static enum err
my_begin(struct db *db, bool read_only)
{
	struct mysql *m = mysql_of(db);
	enum err e;

	m->rolled_back = false;
	e = begin_once(m, read_only);
	/* Nothing is lost by another try when the connection turns out to be dead. */
	return e == ERR_DB_AWAY && m->handle == NULL ? begin_once(m, read_only) : e;
}

static enum err
my_bound(struct db *db, int ms)
{
	struct mysql *m = mysql_of(db);

	if (ms > 0)
		return my_exec(db,
			       m->is_mariadb ? "SET max_statement_time = ? / 1000"
					     : "SET max_execution_time = ?",
			       DB_ARGS(db_int(ms)), NULL, NULL);
	if (m->handle != NULL && my_limit_statements(m, false) != ERR_OK)
		my_disconnect(m);
	return ERR_OK;
}

static enum err
my_commit(struct db *db)
{
	struct mysql *m = mysql_of(db);
	enum err e = my_ready(m);

	return e == ERR_OK ? my_command(m, "COMMIT") : e;
}

static void
my_rollback(struct db *db)
{
	struct mysql *m = mysql_of(db);

	if (m->handle != NULL && my_command(m, "ROLLBACK") != ERR_OK)
		my_disconnect(m);
	m->rolled_back = false;
}

/* --- rows --- */

static void
rows_free(struct mysql_rows *r)
{
	for (unsigned i = 0; i < r->n_columns; i++)
		free(r->columns[i].p);
	free(r->columns);
	free(r->bind);
	*r = (struct mysql_rows){0};
}

static void
column_bind(struct mysql_rows *r, unsigned i)
{
	struct column *c = &r->columns[i];

	r->bind[i] = (MYSQL_BIND){
	    .buffer_type = MYSQL_TYPE_STRING,
	    .buffer = c->p,
	    .buffer_length = c->size,
	    .length = &c->n,
	    .is_null = &c->is_null,
	    .error = &c->is_cut,
	};
}

static enum err
bind_columns(struct mysql *m, struct mysql_rows *r)
{
	MYSQL_RES *meta = m->lib->mysql_stmt_result_metadata(r->cached->stmt);

	if (meta == NULL)
		return db_failed(&m->base, ERR_DB, "the statement gives no rows");
	r->n_columns = m->lib->mysql_num_fields(meta);
	m->lib->mysql_free_result(meta);
	r->columns = xcalloc(r->n_columns, sizeof(*r->columns));
	r->bind = xcalloc(r->n_columns, sizeof(*r->bind));
	for (unsigned i = 0; i < r->n_columns; i++) {
		r->columns[i].size = COLUMN_START;
		r->columns[i].p = xmalloc(COLUMN_START);
		column_bind(r, i);
	}
	if (m->lib->mysql_stmt_bind_result(r->cached->stmt, r->bind) != 0)
		return my_stmt_failed(m, r->cached->stmt);
	return ERR_OK;
}

static enum err
my_query(struct db *db, const char *sql, const struct db_arg *args, size_t n_args,
	 struct db_rows **ret)
{
	struct mysql *m = mysql_of(db);
	struct cached *c = NULL;
	enum err e = execute(m, sql, args, n_args, &c);

	/* Reading does no harm twice. */
	if (e == ERR_DB_AWAY && !db->in_transaction && m->handle == NULL)
		e = execute(m, sql, args, n_args, &c);
	if (e != ERR_OK)
		return e;
	m->rows = (struct mysql_rows){.base.db = db, .cached = c};
	e = bind_columns(m, &m->rows);
	if (e != ERR_OK) {
		rows_free(&m->rows);
		if (m->handle != NULL)
			(void)m->lib->mysql_stmt_free_result(c->stmt);
		return e;
	}
	*ret = &m->rows.base;
	return ERR_OK;
}

/* Fetches again what was longer than its column's memory. */
static enum err
fetch_long(struct mysql *m, struct mysql_rows *r)
{
	bool grown = false;

	for (unsigned i = 0; i < r->n_columns; i++) {
		struct column *c = &r->columns[i];

		if (c->is_null || c->n <= c->size)
			continue;
		c->p = xrealloc(c->p, c->n);
		c->size = c->n;
		column_bind(r, i);
		if (m->lib->mysql_stmt_fetch_column(r->cached->stmt, &r->bind[i], i, 0) != 0)
			return my_stmt_failed(m, r->cached->stmt);
		grown = true;
	}
	if (grown && m->lib->mysql_stmt_bind_result(r->cached->stmt, r->bind) != 0)
		return my_stmt_failed(m, r->cached->stmt);
	return ERR_OK;
}

static bool
my_next(struct db_rows *rows, enum err *ret_err)
{
	struct mysql *m = mysql_of(rows->db);
	struct mysql_rows *r = rows_of(rows);
	int code;

	*ret_err = ERR_DB_AWAY;
	if (r->cached == NULL) /* the connection was lost on the way */
		return false;
	code = m->lib->mysql_stmt_fetch(r->cached->stmt);
	*ret_err = ERR_OK;
	if (code == MYSQL_NO_DATA)
		return false;
	if (code == MYSQL_DATA_TRUNCATED)
		*ret_err = fetch_long(m, r);
	else if (code != 0)
		*ret_err = my_stmt_failed(m, r->cached->stmt);
	return *ret_err == ERR_OK;
}

static bool
my_is_null(struct db_rows *rows, int col)
{
	return rows_of(rows)->columns[col].is_null;
}

static struct str
my_text(struct db_rows *rows, int col)
{
	const struct column *c = &rows_of(rows)->columns[col];

	return c->is_null ? (struct str){NULL, 0} : (struct str){c->p, c->n};
}

static int64_t
my_time(struct db_rows *rows, int col)
{
	return time_from_server(mysql_of(rows->db), my_text(rows, col));
}

static void
my_rows_done(struct db_rows *rows)
{
	struct mysql *m = mysql_of(rows->db);
	struct mysql_rows *r = rows_of(rows);

	if (r->cached != NULL) {
		(void)m->lib->mysql_stmt_free_result(r->cached->stmt);
		m->used_us = clock_mono_us();
	}
	rows_free(r);
}

/* --- locks --- */

/* A server's locks are one room for all databases of it, and names are short. */
#define LOCK_NAME "CONCAT('gpt-load-', MD5(CONCAT(DATABASE(), '/', ?)))"

static enum err
my_lock(struct db *db, const char *name, int *ret_held)
{
	int64_t got = 0;
	enum err e =
	    db_query_int(db, "SELECT GET_LOCK(" LOCK_NAME ", 0)", DB_ARGS(db_cstr(name)), 0, &got);

	if (e != ERR_OK)
		return e;
	if (got != 1)
		return db_failed(db, ERR_TASK, "the lock \"%s\" is held by another program", name);
	*ret_held = 1;
	return ERR_OK;
}

static void
my_unlock(struct db *db, const char *name, int held UNUSED)
{
	int64_t released;

	if (mysql_of(db)->handle != NULL &&
	    db_query_int(db, "SELECT RELEASE_LOCK(" LOCK_NAME ")", DB_ARGS(db_cstr(name)), 0,
			 &released) != ERR_OK)
		my_disconnect(mysql_of(db));
}

const struct db_driver db_mysql = {
    .dialect = DB_MYSQL,
    .open = my_open,
    .close = my_close,
    .settle = my_settle,
    .exec = my_exec,
    .run = my_run,
    .begin = my_begin,
    .bound = my_bound,
    .commit = my_commit,
    .rollback = my_rollback,
    .query = my_query,
    .next = my_next,
    .is_null = my_is_null,
    .text = my_text,
    .time = my_time,
    .rows_done = my_rows_done,
    .lock = my_lock,
    .unlock = my_unlock,
};
