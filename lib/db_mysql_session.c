/* SPDX-License-Identifier: MIT
 *
 * MySQL sessions. A connection that was lost is made anew by the next call, after a
 * while when the server does not answer, but not within a transaction and not while
 * a lock is held, which went with it.
 */
#include "config.h"

#include "lib/buf.h"
#include "lib/clock.h"
#include "lib/db_mysql_session.h"

#include <errmsg.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>

#define CONNECT_S         10
#define READ_S            180 /* longer than a statement may take: the server gives up first */
#define IDLE_US           30000000LL
#define BACKOFF_FIRST_US  250000LL
#define BACKOFF_MOST_US   5000000LL
#define ERROR_TIME_LIMIT  1969 /* MariaDB's ER_STATEMENT_TIMEOUT */
#define ERROR_TIME_LIMIT2 3024 /* MySQL's ER_QUERY_TIMEOUT */
#define ERROR_KILLED      1927 /* MariaDB's ER_CONNECTION_KILLED */

#define MODE                                                                                       \
	"'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,STRICT_ALL_TABLES,"                     \
	"NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'"

/* --- errors --- */

static bool
is_lost(unsigned code)
{
	return (code >= CR_MIN_ERROR && code <= CR_MAX_ERROR && code != CR_OUT_OF_MEMORY &&
		code != CR_NO_DATA) ||
	       code == ER_SERVER_SHUTDOWN || code == ERROR_KILLED;
}

static enum err
err_of(unsigned code)
{
	switch (code) {
	case ER_DUP_ENTRY:
	case ER_DUP_ENTRY_WITH_KEY_NAME:
		return ERR_DUPLICATE;
	case ER_DISK_FULL:
	case ER_RECORD_FILE_FULL:
		return ERR_DISK;
	case ER_LOCK_WAIT_TIMEOUT:
	case ER_LOCK_DEADLOCK:
	case ER_CON_COUNT_ERROR:
	case ER_TOO_MANY_USER_CONNECTIONS:
	case ER_QUERY_INTERRUPTED:
	case ERROR_TIME_LIMIT:
	case ERROR_TIME_LIMIT2:
		return ERR_DB_AWAY;
	default:
		return is_lost(code) ? ERR_DB_AWAY : ERR_DB;
	}
}

/* The server quotes values in these, and values may be secret. */
static const char *
text_of(unsigned code, const char *text)
{
	switch (code) {
	case ER_DUP_ENTRY:
	case ER_DUP_ENTRY_WITH_KEY_NAME:
		return "a value that must be unique is there already";
	case ER_TRUNCATED_WRONG_VALUE:
	case ER_TRUNCATED_WRONG_VALUE_FOR_FIELD:
	case ER_WRONG_VALUE_FOR_TYPE:
	case ER_WRONG_VALUE:
		return "a value does not fit its column";
	default:
		return text;
	}
}

void
my_disconnect(struct mysql *m)
{
	for (size_t i = 0; i < MY_CACHED; i++) {
		if (m->cache[i].stmt != NULL)
			(void)m->lib->mysql_stmt_close(m->cache[i].stmt);
		free(m->cache[i].sql);
		m->cache[i] = (struct cached){0};
	}
	m->rows.cached = NULL;
	if (m->handle != NULL)
		m->lib->mysql_close(m->handle);
	m->handle = NULL;
}

enum err
my_failed_with(struct mysql *m, unsigned code, const char *text)
{
	bool bound = m->base.bounded && (code == ERROR_TIME_LIMIT || code == ERROR_TIME_LIMIT2);
	enum err e = db_failed(&m->base, bound ? ERR_TIMEOUT : err_of(code), "%s (%u)",
			       text_of(code, text), code);

	if (m->base.in_transaction && (is_lost(code) || code == ER_LOCK_DEADLOCK))
		m->rolled_back = true;
	if (is_lost(code))
		my_disconnect(m);
	return e;
}

enum err
my_failed(struct mysql *m)
{
	return my_failed_with(m, m->lib->mysql_errno(m->handle), m->lib->mysql_error(m->handle));
}

enum err
my_stmt_failed(struct mysql *m, MYSQL_STMT *stmt)
{
	/* An error between rows is the connection's. */
	if (m->lib->mysql_stmt_errno(stmt) == 0)
		return my_failed(m);
	return my_failed_with(m, m->lib->mysql_stmt_errno(stmt), m->lib->mysql_stmt_error(stmt));
}

/* --- connecting --- */

enum err
my_command(struct mysql *m, const char *sql)
{
	if (m->lib->mysql_real_query(m->handle, sql, strlen(sql)) != 0)
		return my_failed(m);
	m->used_us = clock_mono_us();
	return ERR_OK;
}

enum err
my_limit_statements(struct mysql *m, bool migrating)
{
	if (m->is_mariadb)
		return my_command(m, migrating ? "SET max_statement_time = 0"
					       : "SET max_statement_time = 120");
	return my_command(m, migrating ? "SET max_execution_time = 0"
				       : "SET max_execution_time = 120000");
}

static enum err
set_collation(struct mysql *m)
{
	struct buf text;
	enum err e;

	buf_init(&text, 256);
	buf_cstr(&text, "SET collation_connection = ");
	buf_cstr(&text, m->dsn.collation); /* letters, digits and '_': db_mysql_dsn.c */
	e = buf_err(&text);
	if (e == ERR_OK)
		e = my_command(m, buf_text(&text));
	buf_done(&text);
	return e;
}

static enum err
set_up_session(struct mysql *m)
{
	enum err e;

	m->is_mariadb = strstr(m->lib->mysql_get_server_info(m->handle), "MariaDB") != NULL;
	e = my_command(m, "SET sql_mode = " MODE
			  ", time_zone = '+00:00', innodb_lock_wait_timeout = 10, "
			  "net_write_timeout = 600, autocommit = 1");
	if (e == ERR_OK && m->dsn.collation != NULL)
		e = set_collation(m);
	if (e == ERR_OK)
		e = my_command(m, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
	return e == ERR_OK ? my_limit_statements(m, false) : e;
}

static void
set_tls(struct mysql *m, bool on)
{
	const mysql_flag verify = on && m->dsn.tls == MYSQL_TLS_VERIFIED;
#ifdef MARIADB_PACKAGE_VERSION
	const mysql_flag enforce = on;

	(void)m->lib->mysql_options(m->handle, MYSQL_OPT_SSL_ENFORCE, &enforce);
	(void)m->lib->mysql_options(m->handle, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
#else
	const unsigned mode = verify ? SSL_MODE_VERIFY_IDENTITY
			      : on   ? SSL_MODE_REQUIRED
				     : SSL_MODE_DISABLED;

	(void)m->lib->mysql_options(m->handle, MYSQL_OPT_SSL_MODE, &mode);
#endif
}

static bool
try_connect(struct mysql *m, bool tls)
{
	const struct mysql_dsn *dsn = &m->dsn;
	const unsigned connect_s = dsn->connect_s > 0 ? dsn->connect_s : CONNECT_S;
	const unsigned read_s = dsn->read_s > 0 ? dsn->read_s : READ_S;
	const unsigned write_s = dsn->write_s > 0 ? dsn->write_s : READ_S;
	const unsigned off = 0;

	m->handle = m->lib->mysql_init(NULL);
	check(m->handle != NULL);
	(void)m->lib->mysql_options(m->handle, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
	(void)m->lib->mysql_options(m->handle, MYSQL_OPT_READ_TIMEOUT, &read_s);
	(void)m->lib->mysql_options(m->handle, MYSQL_OPT_WRITE_TIMEOUT, &write_s);
	(void)m->lib->mysql_options(m->handle, MYSQL_SET_CHARSET_NAME, "utf8mb4");
	/* A server may not ask for files of ours. */
	(void)m->lib->mysql_options(m->handle, MYSQL_OPT_LOCAL_INFILE, &off);
	set_tls(m, tls);
	/* The library takes an empty host for its own default socket. */
	return m->lib->mysql_real_connect(m->handle, dsn->socket != NULL ? "localhost" : dsn->host,
					  dsn->user, dsn->password, dsn->database, dsn->port,
					  dsn->socket, CLIENT_FOUND_ROWS) != NULL;
}

enum err
my_connect_now(struct mysql *m)
{
	bool good = try_connect(m, m->dsn.tls != MYSQL_TLS_OFF);

	if (!good && m->dsn.tls == MYSQL_TLS_PREFERRED &&
	    m->lib->mysql_errno(m->handle) == CR_SSL_CONNECTION_ERROR) {
		m->lib->mysql_close(m->handle);
		good = try_connect(m, false);
	}
	if (!good)
		return my_failed(m);
	return set_up_session(m);
}

static bool
holds_locks(const struct mysql *m)
{
	for (size_t i = 0; i < DB_LOCKS; i++)
		if (m->base.locks[i].name[0] != '\0')
			return true;
	return false;
}

static enum err
reconnect(struct mysql *m)
{
	int64_t now = clock_mono_us();
	enum err e;

	if (holds_locks(m))
		return db_failed(&m->base, ERR_DB_AWAY, "the connection and its lock were lost");
	if (now < m->retry_us)
		return db_failed(&m->base, ERR_DB_AWAY, "the database did not answer");
	e = my_connect_now(m);
	if (e == ERR_OK) {
		m->backoff_us = 0;
		return ERR_OK;
	}
	my_disconnect(m);
	m->backoff_us = MIN(MAX(m->backoff_us * 2, BACKOFF_FIRST_US), BACKOFF_MOST_US);
	m->retry_us = clock_mono_us() + m->backoff_us;
	return ERR_DB_AWAY;
}

/* A connection that can take a statement. One that was idle for long may have been
 * closed by the server or by something between. */
enum err
my_ready(struct mysql *m)
{
	if (m->base.in_transaction && m->rolled_back)
		return db_failed(&m->base, ERR_DB_AWAY, "the transaction was rolled back");
	if (m->handle != NULL && !m->base.in_transaction &&
	    clock_mono_us() - m->used_us > IDLE_US && m->lib->mysql_ping(m->handle) != 0)
		my_disconnect(m);
	return m->handle != NULL ? ERR_OK : reconnect(m);
}
