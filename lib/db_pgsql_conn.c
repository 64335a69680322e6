/* SPDX-License-Identifier: MIT
 *
 * The PostgreSQL driver's connection. libpq is loaded when one is asked for: linked,
 * it and what it needs would cost every program its start.
 *
 * A connection that was lost is made again before the next statement, after a
 * growing pause, but not within a transaction and not while a lock is held: what
 * belonged to it is gone.
 */
#include "lib/db_pgsql_conn.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/str.h"

#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define LIBPQ          "libpq.so.5"
#define RETRY_FIRST_US 100000
#define RETRY_MOST_US  5000000

/* In UTC times come back in one form. A transaction that is forgotten must not hold
 * its locks for ever. */
#define SESSION                                                                                    \
	"SET TimeZone = 'UTC'; SET DateStyle = 'ISO, YMD'; SET standard_conforming_strings = on; " \
	"SET idle_in_transaction_session_timeout = '600s'"
#define QUERY_CANCELED    "57014" /* by statement_timeout */
#define STATEMENT_TIMEOUT "SET statement_timeout = '60s'"

struct libpq libpq;
static void *library; /* stays loaded */
static bool loaded;
static char why[200]; /* it is not */

static void
load_libpq(void)
{
	void *found;

	library = dlopen(LIBPQ, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL) {
		(void)snprintf(why, sizeof(why), "%s", dlerror());
		return;
	}
#define X(f)                                                                                       \
	found = dlsym(library, #f);                                                                \
	if (found == NULL) {                                                                       \
		(void)snprintf(why, sizeof(why), "%s has no %s", LIBPQ, #f);                       \
		return;                                                                            \
	}                                                                                          \
	memcpy(&libpq.f, &found, sizeof(found));
	LIBPQ_FUNCTIONS(X)
#undef X
	loaded = true;
}

void
pgsql_forget_statements(struct pgsql *p)
{
	for (size_t i = 0; i < PGSQL_CACHED; i++)
		free(p->cache[i].sql);
	memset(p->cache, 0, sizeof(p->cache));
}

void
pgsql_lose(struct pgsql *p)
{
	if (p->conn != NULL)
		libpq.PQfinish(p->conn);
	p->conn = NULL;
	p->rows.ended = true;
	pgsql_forget_statements(p);
}

enum err
pgsql_failed(struct pgsql *p, const PGresult *r)
{
	const char *state = libpq.PQresultErrorField(r, PG_DIAG_SQLSTATE);
	const char *said = libpq.PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
	bool away = pgsql_ends_connection(state) || libpq.PQstatus(p->conn) == CONNECTION_BAD;
	enum err e = away ? ERR_DB_AWAY : pgsql_err_of(state);

	if (p->base.bounded && !away && strcmp(state, QUERY_CANCELED) == 0)
		e = ERR_TIMEOUT;
	if (said == NULL)
		(void)db_failed(&p->base, e, "the connection was lost");
	else if (pgsql_tells_values(state))
		(void)db_failed(&p->base, e, "a value does not fit (SQLSTATE %s)", state);
	else
		(void)db_failed(&p->base, e, "%s", said);
	if (away)
		pgsql_lose(p);
	return e;
}

bool
pgsql_is_good(const PGresult *r)
{
	switch (libpq.PQresultStatus(r)) {
	case PGRES_EMPTY_QUERY:
	case PGRES_COMMAND_OK:
	case PGRES_TUPLES_OK:
	case PGRES_SINGLE_TUPLE:
		return true;
	case PGRES_COPY_OUT:
	case PGRES_COPY_IN:
	case PGRES_BAD_RESPONSE:
	case PGRES_NONFATAL_ERROR:
	case PGRES_FATAL_ERROR:
	case PGRES_COPY_BOTH:
	case PGRES_PIPELINE_SYNC:
	case PGRES_PIPELINE_ABORTED:
	default:
		return false;
	}
}

enum err
pgsql_settled(struct pgsql *p, PGresult *r)
{
	enum err e = pgsql_is_good(r) ? ERR_OK : pgsql_failed(p, r);

	libpq.PQclear(r);
	return e;
}

/* --- opening --- */

/* libpq prints notices to stderr otherwise. */
static void
on_notice(void *arg, const char *message)
{
	(void)arg;
	(void)message;
}

static enum err
set_up(struct pgsql *p)
{
	enum err e = ERR_OK;

	(void)libpq.PQsetNoticeProcessor(p->conn, on_notice, NULL);
	for (size_t i = 0; i < p->dsn.n_set && e == ERR_OK; i++) {
		const char *values[] = {p->dsn.set[i].name, p->dsn.set[i].value};

		e = pgsql_settled(p, libpq.PQexecParams(p->conn, "SELECT set_config($1, $2, false)",
							2, NULL, values, NULL, NULL, 0));
	}
	if (e == ERR_OK && !pgsql_dsn_sets(&p->dsn, "statement_timeout"))
		e = pgsql_settled(p, libpq.PQexec(p->conn, STATEMENT_TIMEOUT));
	return e == ERR_OK ? pgsql_settled(p, libpq.PQexec(p->conn, SESSION)) : e;
}

/* 'invalid sslmode value: "x"': what is in the first quotes may be anything. */
static enum err
bad_parameter(struct pgsql *p, struct str said)
{
	struct str rest = said;
	struct str before = said;
	struct str inside;

	(void)str_split(&rest, '"', &before);
	if (!str_split(&rest, '"', &inside))
		rest = (struct str){NULL, 0};
	return db_failed(&p->base, ERR_CONF, STR_FMT "\"…\"" STR_FMT, STR_ARG(before),
			 STR_ARG(rest));
}

/* The server is there and will not have us: only another DSN, or somebody who changes
 * the server, can mend that. All that libpq gives is text. */
static bool
is_refusal(struct str said)
{
	static const char *const texts[] = {
	    "authentication failed", "\" does not exist", "no pg_hba.conf entry",
	    "permission denied for database", "is not permitted to log in"};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		if (str_contains(said, texts[i]))
			return true;
	return false;
}

/* What libpq says of a connection that did not come about, on one line; nothing of
 * it when the password is in it. */
static enum err
not_connected(struct pgsql *p)
{
	bool no_password = p->conn != NULL && libpq.PQconnectionNeedsPassword(p->conn);
	const char *password = p->conn != NULL ? libpq.PQpass(p->conn) : NULL;
	struct str said = str_trim(str_of(libpq.PQerrorMessage(p->conn)));
	enum err e = no_password || is_refusal(said) ? ERR_CONF : ERR_DB_AWAY;

	if (str_starts(said, "invalid "))
		e = bad_parameter(p, said);
	else if (password != NULL && *password != '\0' && str_contains(said, password))
		(void)db_failed(&p->base, e, "no connection");
	else
		(void)db_failed(&p->base, e, STR_FMT, STR_ARG(said));
	for (char *c = p->base.error; *c != '\0'; c++)
		if (*c == '\n' || *c == '\t')
			*c = ' ';
	pgsql_lose(p);
	return e;
}

/* What stands before "dbname" gives way to the DSN, what stands behind does not. */
static enum err
connect_now(struct pgsql *p)
{
	static const char *const names[] = {
	    "connect_timeout",
	    "application_name",
	    "tcp_user_timeout",
	    "keepalives_idle",
	    "dbname",
	    "client_encoding",
	    NULL,
	};
	const char *const values[] = {"5", "gpt-load", "30000", "30", p->dsn.uri, "UTF8", NULL};

	p->conn = libpq.PQconnectdbParams(names, values, 1);
	if (p->conn == NULL || libpq.PQstatus(p->conn) != CONNECTION_OK)
		return not_connected(p);
	return set_up(p);
}

static bool
known_to_libpq(void *arg, const char *name)
{
	const PQconninfoOption *option = arg;

	for (; option->keyword != NULL; option++)
		if (strcmp(option->keyword, name) == 0)
			return true;
	return strcmp(name, "ssl") == 0;
}

void
pgsql_close(struct db *db)
{
	struct pgsql *p = pgsql_of(db);

	pgsql_lose(p);
	pgsql_dsn_done(&p->dsn);
	free(p);
}

/* What libpq says of a URI that it cannot read has pieces of it in it. */
static enum err
check_uri(const char *uri, struct errinfo *info)
{
	PQconninfoOption *options = libpq.PQconninfoParse(uri, NULL);

	if (options == NULL)
		return err_set(
		    info, ERR_CONF,
		    "DATABASE_DSN: not a PostgreSQL URI: "
		    "postgres://user:password@host:5432/database?sslmode=…, with special "
		    "characters as %%40");
	libpq.PQconninfoFree(options);
	return ERR_OK;
}

enum err
pgsql_open(const struct conf *conf, struct db **ret, struct errinfo *info)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	PQconninfoOption *options;
	struct pgsql_dsn dsn;
	struct pgsql *p;
	enum err e;

	(void)pthread_once(&once, load_libpq);
	if (!loaded)
		return err_set(info, ERR_CONF,
			       "DATABASE_DSN: PostgreSQL's client library is missing: %s", why);
	options = libpq.PQconndefaults();
	if (options == NULL)
		return err_set(info, ERR_CONF, "DATABASE_DSN: libpq has no defaults");
	e = pgsql_dsn_parse(conf->database_dsn, known_to_libpq, options, &dsn, info);
	libpq.PQconninfoFree(options);
	if (e != ERR_OK)
		return e;
	e = check_uri(dsn.uri, info);
	if (e != ERR_OK) {
		pgsql_dsn_done(&dsn);
		return e;
	}
	p = xcalloc(1, sizeof(*p));
	p->base.driver = &db_pgsql;
	p->base.conf = conf;
	p->dsn = dsn;
	e = connect_now(p);
	if (e != ERR_OK) {
		(void)err_set(info, e, "DATABASE_DSN: %s", p->base.error);
		pgsql_close(&p->base);
		return e;
	}
	*ret = &p->base;
	return ERR_OK;
}

/* --- coming back --- */

static bool
holds_lock(const struct db *db)
{
	for (size_t i = 0; i < DB_LOCKS; i++)
		if (db->locks[i].name[0] != '\0')
			return true;
	return false;
}

/* An idle connection has nothing to read, unless the server has ended it: first it
 * says why, then comes the end. A few rounds, lest notices keep us here. */
static void
look_at_connection(struct pgsql *p)
{
	for (int round = 0; round < 4 && p->conn != NULL; round++) {
		struct pollfd fd = {.fd = libpq.PQsocket(p->conn), .events = POLLIN};

		if (fd.fd >= 0 && poll(&fd, 1, 0) == 0)
			return;
		if (!libpq.PQconsumeInput(p->conn) || libpq.PQstatus(p->conn) == CONNECTION_BAD)
			pgsql_lose(p);
	}
}

static enum err
connect_again(struct pgsql *p)
{
	int64_t now = clock_mono_us();
	enum err e;

	if (now < p->retry_at_us)
		return db_failed(&p->base, ERR_DB_AWAY, "no connection; the next try is soon");
	e = connect_now(p);
	if (e == ERR_OK) {
		p->retry_us = 0;
		return ERR_OK;
	}
	p->retry_us = MIN(MAX(2 * p->retry_us, RETRY_FIRST_US), RETRY_MOST_US);
	p->retry_at_us = clock_mono_us() + p->retry_us;
	return ERR_DB_AWAY;
}

/* Reads what the open result set still has to come, so that the connection is free. */
static void
read_ahead(struct pgsql *p)
{
	struct pgsql_rows *rows = &p->rows;
	PGresult *r;

	if (!p->base.rows_open || rows->ended)
		return;
	while ((r = libpq.PQgetResult(p->conn)) != NULL) {
		rows->ahead = xrealloc(rows->ahead, (rows->n_ahead + 1) * sizeof(*rows->ahead));
		rows->ahead[rows->n_ahead++] = r;
	}
	rows->ended = true;
}

enum err
pgsql_ready(struct pgsql *p)
{
	read_ahead(p);
	if (!p->base.in_transaction)
		look_at_connection(p);
	if (p->conn != NULL)
		return ERR_OK;
	if (p->base.in_transaction || holds_lock(&p->base))
		return db_failed(&p->base, ERR_DB_AWAY, "the connection was lost");
	return connect_again(p);
}
