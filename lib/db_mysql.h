/* SPDX-License-Identifier: MIT
 *
 * What the files of the MySQL driver share: the DSN taken apart. The DSN is that of
 * Go's go-sql-driver, which GPT-Load 1.4 uses:
 *	user:password@tcp(host:port)/database?name=value&…
 *	user:password@unix(/socket)/database?name=value&…
 */
#ifndef LIB_DB_MYSQL_H
#define LIB_DB_MYSQL_H

#include "lib/db.h"

enum mysql_tls {
	MYSQL_TLS_OFF,
	MYSQL_TLS_PREFERRED, /* plain when the server has none; nothing is verified */
	MYSQL_TLS_UNVERIFIED,
	MYSQL_TLS_VERIFIED
};

struct mysql_dsn {
	char *user;
	char *password;
	char *host;   /* NULL: the socket */
	char *socket; /* NULL: host and port */
	char *database;
	char *collation; /* NULL: the server's choice for utf8mb4 */
	unsigned port;
	unsigned connect_s; /* seconds; 0: none is given, like the next two */
	unsigned read_s;
	unsigned write_s;
	enum mysql_tls tls;
	bool local; /* times are stored in the zone of TZ, else in UTC */
};

/* ERR_CONF: *info says which part; never the password. To be given up with
 * mysql_dsn_done() in either case. */
enum err mysql_dsn_parse(const char *text, struct mysql_dsn *ret, struct errinfo *info) MUST_CHECK;
void mysql_dsn_done(struct mysql_dsn *dsn);

#ifdef HAVE_MYSQL
#include <mysql.h>

/* What we use of the client library. It is loaded when the first connection is
 * made: linked, it would slow down the start of every program. */
#define MYSQL_CALLS(X)                                                                             \
	X(mysql_close)                                                                             \
	X(mysql_errno)                                                                             \
	X(mysql_error)                                                                             \
	X(mysql_free_result)                                                                       \
	X(mysql_get_server_info)                                                                   \
	X(mysql_init)                                                                              \
	X(mysql_num_fields)                                                                        \
	X(mysql_options)                                                                           \
	X(mysql_ping)                                                                              \
	X(mysql_real_connect)                                                                      \
	X(mysql_real_query)                                                                        \
	X(mysql_stmt_affected_rows)                                                                \
	X(mysql_stmt_bind_param)                                                                   \
	X(mysql_stmt_bind_result)                                                                  \
	X(mysql_stmt_close)                                                                        \
	X(mysql_stmt_errno)                                                                        \
	X(mysql_stmt_error)                                                                        \
	X(mysql_stmt_execute)                                                                      \
	X(mysql_stmt_fetch)                                                                        \
	X(mysql_stmt_fetch_column)                                                                 \
	X(mysql_stmt_free_result)                                                                  \
	X(mysql_stmt_init)                                                                         \
	X(mysql_stmt_insert_id)                                                                    \
	X(mysql_stmt_param_count)                                                                  \
	X(mysql_stmt_prepare)                                                                      \
	X(mysql_stmt_result_metadata)

struct mysql_calls {
#define X(name) __typeof__(&name) name;
	MYSQL_CALLS(X)
#undef X
};

/* The library is loaded once and stays. ERR_CONF: it is not installed. */
enum err mysql_load(const struct mysql_calls **ret, struct errinfo *info) MUST_CHECK;
#endif

#endif
