/* SPDX-License-Identifier: MIT
 *
 * The PostgreSQL driver: statements, transactions, rows, locks. Statements are
 * prepared once and kept, the least recently used is dropped; rows come one at a
 * time and are not collected. The connection is db_pgsql_conn.c's.
 */
#include "lib/db_pgsql.h"
#include "lib/db_pgsql_conn.h"
#include "lib/str.h"

#include <stdio.h>
#include <stdlib.h>

/* Types of PostgreSQL that parameters and columns are told apart by. */
#define OID_UNKNOWN     0
#define OID_BOOL        16
#define OID_INT8        20
#define OID_TIMESTAMPTZ 1184

#define ADVISORY "hashtextextended('gpt-load ' || coalesce(current_schema(), '') || ' ' || ?, 0)"

/* --- statements --- */

static unsigned
oid_of(enum db_type type)
{
	switch (type) {
	case DB_INT:
		return OID_INT8;
	case DB_BOOL:
		return OID_BOOL;
	case DB_TIME:
		return OID_TIMESTAMPTZ;
	case DB_NULL:
	case DB_TEXT:
		break;
	}
	return OID_UNKNOWN; /* what the place wants: text, varchar, jsonb */
}

static void
statement_name(char out[16], unsigned number)
{
	(void)snprintf(out, 16, "s%u", number);
}

/* Its own place, else a free one, else the one longest unused, which is dropped. */
static struct pgsql_cached *
cache_place(struct pgsql *p, const char *sql, bool returning)
{
	struct pgsql_cached *oldest = &p->cache[0];

	for (size_t i = 0; i < PGSQL_CACHED; i++) {
		struct pgsql_cached *c = &p->cache[i];

		if (c->sql != NULL && c->returning == returning && strcmp(c->sql, sql) == 0)
			return c;
		if (c->used < oldest->used)
			oldest = c;
	}
	if (oldest->sql != NULL) {
		char name[16];
		AUTO_FREE
		char *drop = NULL;

		statement_name(name, oldest->number);
		drop = xasprintf("DEALLOCATE %s", name);
		libpq.PQclear(libpq.PQexec(p->conn, drop));
		free(oldest->sql);
	}
	*oldest = (struct pgsql_cached){0};
	return oldest;
}

static enum err
prepare(struct pgsql *p, const char *sql, bool returning, const struct db_arg *args, size_t n_args,
	struct pgsql_cached **ret)
{
	struct pgsql_cached *c = cache_place(p, sql, returning);
	AUTO_FREE
	Oid *types = NULL;
	struct buf text;
	char name[16];
	enum err e;

	c->used = ++p->uses;
	*ret = c;
	if (c->sql != NULL)
		return ERR_OK;
	buf_init(&text, SIZE_MAX);
	check(pgsql_placeholders(sql, &text) == n_args);
	if (returning)
		buf_cstr(&text, " RETURNING id");
	types = xcalloc(n_args + 1, sizeof(*types));
	for (size_t i = 0; i < n_args; i++)
		types[i] = oid_of(args[i].type);
	c->number = ++p->prepared;
	statement_name(name, c->number);
	e = pgsql_settled(p, libpq.PQprepare(p->conn, name, buf_text(&text), (int)n_args, types));
	buf_done(&text);
	if (e == ERR_OK)
		c->sql = xstrdup(sql);
	return e;
}
/* Each value as text, ended by a NUL; *values is malloc'ed and points into `text`. */
static void
bind(const struct db_arg *args, size_t n_args, struct buf *text, const char ***values)
{
	AUTO_FREE
	size_t *at = xcalloc(n_args + 1, sizeof(*at));
	char time[40];

	for (size_t i = 0; i < n_args; i++) {
		at[i] = text->n;
		switch (args[i].type) {
		case DB_NULL:
			break;
		case DB_INT:
			buf_printf(text, "%lld", (long long)args[i].i);
			break;
		case DB_BOOL:
			buf_char(text, args[i].i != 0 ? 't' : 'f');
			break;
		case DB_TEXT:
			pgsql_clean(args[i].s, text);
			break;
		case DB_TIME:
			time_format(time, args[i].i, ' ');
			buf_cstr(text, time);
			break;
		}
		buf_char(text, '\0');
	}
	*values = xcalloc(n_args + 1, sizeof(**values));
	for (size_t i = 0; i < n_args; i++)
		(*values)[i] = args[i].type == DB_NULL ? NULL : text->p + at[i];
}

/* Sends the statement and waits for its first result, which may be an error. */
static enum err
send(struct pgsql *p, const struct pgsql_cached *c, const struct db_arg *args, size_t n_args,
     bool by_row, PGresult **ret)
{
	AUTO_FREE
	const char **values = NULL;
	struct buf text;
	char name[16];
	int sent;

	buf_init(&text, SIZE_MAX);
	bind(args, n_args, &text, &values);
	statement_name(name, c->number);
	sent = libpq.PQsendQueryPrepared(p->conn, name, (int)n_args, values, NULL, NULL, 0);
	buf_done(&text);
	if (sent && by_row)
		(void)libpq.PQsetSingleRowMode(p->conn);
	*ret = sent ? libpq.PQgetResult(p->conn) : NULL;
	if (*ret != NULL)
		return ERR_OK;
	pgsql_lose(p);
	return db_failed(&p->base, ERR_DB_AWAY, "the connection was lost");
}

static void
pass_over(struct pgsql *p)
{
	PGresult *r;

	while (p->conn != NULL && (r = libpq.PQgetResult(p->conn)) != NULL)
		libpq.PQclear(r);
}

/* The server does not have the statement any more, or a migration of another
 * program changed what it gives. */
static bool
is_stale(const PGresult *r)
{
	const char *state = libpq.PQresultErrorField(r, PG_DIAG_SQLSTATE);

	return state != NULL && (strcmp(state, "26000") == 0 || strcmp(state, "0A000") == 0);
}

/* Runs it up to its first result, which is a good one; the caller's to clear. */
static enum err
start(struct pgsql *p, const char *sql, bool returning, const struct db_arg *args, size_t n_args,
      bool by_row, PGresult **ret)
{
	for (bool again = false;; again = true) {
		struct pgsql_cached *c = NULL;
		PGresult *r = NULL;
		bool stale;
		enum err e = pgsql_ready(p);

		if (e == ERR_OK)
			e = prepare(p, sql, returning, args, n_args, &c);
		if (e == ERR_OK)
			e = send(p, c, args, n_args, by_row, &r);
		if (e != ERR_OK)
			return e;
		if (pgsql_is_good(r)) {
			*ret = r;
			return ERR_OK;
		}
		stale = is_stale(r);
		/* The transaction in which this happens is over; the next one shall do. */
		if (stale)
			pgsql_forget_statements(p);
		if (stale && !again && !p->base.in_transaction) {
			libpq.PQclear(r);
			pass_over(p);
			continue;
		}
		e = pgsql_settled(p, r);
		pass_over(p);
		return e;
	}
}

static int64_t
number_in(const char *text)
{
	int64_t n = 0;

	return number_parse(str_of(text), &n) ? n : 0;
}

static enum err
pgsql_exec(struct db *db, const char *sql, const struct db_arg *args, size_t n_args,
	   int64_t *ret_changed, int64_t *ret_id)
{
	struct pgsql *p = pgsql_of(db);
	PGresult *r = NULL;
	enum err e = start(p, sql, ret_id != NULL, args, n_args, false, &r);

	if (e != ERR_OK)
		return e;
	if (ret_changed != NULL)
		*ret_changed = number_in(libpq.PQcmdTuples(r));
	if (ret_id != NULL)
		*ret_id = libpq.PQntuples(r) > 0 ? number_in(libpq.PQgetvalue(r, 0, 0)) : 0;
	libpq.PQclear(r);
	pass_over(p);
	return ERR_OK;
}

static enum err
run_text(struct pgsql *p, const char *sql)
{
	enum err e = pgsql_ready(p);

	return e == ERR_OK ? pgsql_settled(p, libpq.PQexec(p->conn, sql)) : e;
}

/* A migration may take longer than any other statement. */
static enum err
pgsql_run(struct db *db, struct str sql)
{
	AUTO_FREE
	char *text = xstrndup(sql.p, sql.n);
	enum err e = ERR_OK;

	if (db->in_transaction)
		e = run_text(pgsql_of(db), "SET LOCAL statement_timeout = 0");
	return e == ERR_OK ? run_text(pgsql_of(db), text) : e;
}

static enum err
pgsql_begin(struct db *db, bool read_only)
{
	return run_text(pgsql_of(db),
			read_only ? "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" : "BEGIN");
}

/* Goes with the transaction. */
static enum err
pgsql_bound(struct db *db, int ms)
{
	if (ms == 0)
		return ERR_OK;
	return pgsql_exec(db,
			  "SELECT set_config('statement_timeout', CAST(? AS bigint)::text, true)",
			  DB_ARGS(db_int(ms)), NULL, NULL);
}

/* The server answers a COMMIT of what has failed with ROLLBACK, and calls it good. */
static enum err
pgsql_commit(struct db *db)
{
	struct pgsql *p = pgsql_of(db);
	PGresult *r;
	bool done;
	enum err e = pgsql_ready(p);

	if (e != ERR_OK)
		return e;
	r = libpq.PQexec(p->conn, "COMMIT");
	done = strcmp(libpq.PQcmdStatus(r), "COMMIT") == 0;
	e = pgsql_settled(p, r);
	if (e == ERR_OK && !done)
		return db_failed(db, ERR_DB, "the transaction was rolled back");
	return e;
}

static void
pgsql_rollback(struct db *db)
{
	struct pgsql *p = pgsql_of(db);

	if (p->conn == NULL || libpq.PQtransactionStatus(p->conn) == PQTRANS_IDLE)
		return;
	if (pgsql_settled(p, libpq.PQexec(p->conn, "ROLLBACK")) != ERR_OK)
		pgsql_lose(p);
}

/* --- rows --- */

static struct pgsql_rows *
rows_of(struct db_rows *rows)
{
	return container_of(rows, struct pgsql_rows, base);
}

static enum err
pgsql_query(struct db *db, const char *sql, const struct db_arg *args, size_t n_args,
	    struct db_rows **ret)
{
	struct pgsql *p = pgsql_of(db);
	PGresult *r = NULL;
	enum err e = start(p, sql, false, args, n_args, true, &r);

	if (e != ERR_OK)
		return e;
	p->rows = (struct pgsql_rows){.base = {.db = db}};
	p->rows.ahead = xmalloc(sizeof(*p->rows.ahead));
	p->rows.ahead[p->rows.n_ahead++] = r;
	*ret = &p->rows.base;
	return ERR_OK;
}

static PGresult *
next_result(struct pgsql *p)
{
	struct pgsql_rows *rows = &p->rows;

	if (rows->next_ahead < rows->n_ahead)
		return rows->ahead[rows->next_ahead++];
	return rows->ended ? NULL : libpq.PQgetResult(p->conn);
}

static bool
pgsql_next(struct db_rows *base, enum err *ret_err)
{
	struct pgsql_rows *rows = rows_of(base);
	struct pgsql *p = pgsql_of(base->db);

	libpq.PQclear(rows->row);
	rows->row = next_result(p);
	*ret_err = ERR_OK;
	if (rows->row == NULL) {
		rows->ended = true;
		return false;
	}
	if (libpq.PQntuples(rows->row) > 0)
		return true;
	if (!pgsql_is_good(rows->row))
		*ret_err = p->conn != NULL ? pgsql_failed(p, rows->row) : ERR_DB_AWAY;
	if (!rows->ended)
		pass_over(p);
	rows->ended = true;
	return false;
}

static bool
pgsql_is_null(struct db_rows *rows, int col)
{
	PGresult *row = rows_of(rows)->row;

	check(row != NULL && col < libpq.PQnfields(row));
	return libpq.PQgetisnull(row, 0, col);
}

static struct str
pgsql_text(struct db_rows *rows, int col)
{
	PGresult *row = rows_of(rows)->row;

	return (struct str){libpq.PQgetvalue(row, 0, col), (size_t)libpq.PQgetlength(row, 0, col)};
}

static bool
pgsql_integer(struct db_rows *rows, int col, int64_t *ret)
{
	if (libpq.PQftype(rows_of(rows)->row, col) != OID_BOOL)
		return false;
	*ret = str_is(pgsql_text(rows, col), "t");
	return true;
}

/* 0 for what is no moment: "infinity", years before the first. */
static int64_t
pgsql_col_time(struct db_rows *rows, int col)
{
	int64_t us = 0;

	return pgsql_time(pgsql_text(rows, col), &us) ? us : 0;
}

static void
pgsql_rows_done(struct db_rows *base)
{
	struct pgsql_rows *rows = rows_of(base);
	struct pgsql *p = pgsql_of(base->db);

	libpq.PQclear(rows->row);
	while (rows->next_ahead < rows->n_ahead)
		libpq.PQclear(rows->ahead[rows->next_ahead++]);
	free(rows->ahead);
	if (!rows->ended)
		pass_over(p);
	*rows = (struct pgsql_rows){.ended = true};
}

/* --- locks --- */

/* The server's advisory locks are the session's: they outlive transactions. */
static enum err
pgsql_lock(struct db *db, const char *name, int *ret_held)
{
	PGresult *r = NULL;
	bool ours;
	enum err e = start(pgsql_of(db), "SELECT pg_try_advisory_lock(" ADVISORY ")", false,
			   DB_ARGS(db_cstr(name)), false, &r);

	if (e != ERR_OK)
		return e;
	ours = strcmp(libpq.PQgetvalue(r, 0, 0), "t") == 0;
	libpq.PQclear(r);
	pass_over(pgsql_of(db));
	*ret_held = 1;
	return ours ? ERR_OK
		    : db_failed(db, ERR_TASK, "the lock \"%s\" is held by another program", name);
}

/* Where it cannot be given back, the connection goes, and the lock with it. */
static void
pgsql_unlock(struct db *db, const char *name, int held)
{
	struct pgsql *p = pgsql_of(db);
	PGresult *r = NULL;

	(void)held;
	if (p->conn == NULL)
		return;
	if (start(p, "SELECT pg_advisory_unlock(" ADVISORY ")", false, DB_ARGS(db_cstr(name)),
		  false, &r) != ERR_OK) {
		pgsql_lose(p);
		return;
	}
	libpq.PQclear(r);
	pass_over(p);
}

static void
pgsql_settle(struct db *db)
{
	(void)db;
}

const struct db_driver db_pgsql = {
    .dialect = DB_PGSQL,
    .open = pgsql_open,
    .close = pgsql_close,
    .settle = pgsql_settle,
    .exec = pgsql_exec,
    .run = pgsql_run,
    .begin = pgsql_begin,
    .bound = pgsql_bound,
    .commit = pgsql_commit,
    .rollback = pgsql_rollback,
    .query = pgsql_query,
    .next = pgsql_next,
    .is_null = pgsql_is_null,
    .text = pgsql_text,
    .integer = pgsql_integer,
    .time = pgsql_col_time,
    .rows_done = pgsql_rows_done,
    .lock = pgsql_lock,
    .unlock = pgsql_unlock,
};
