/* SPDX-License-Identifier: MIT
 *
 * A MySQL connection and its session: made, lost, made anew; and what the server's
 * errors mean. For the files of the MySQL driver only.
 */
#ifndef LIB_DB_MYSQL_SESSION_H
#define LIB_DB_MYSQL_SESSION_H

#include "lib/db_driver.h"
#include "lib/db_mysql.h"

#ifdef HAVE_MYSQL

#define MY_CACHED 64 /* statements */

/* my_bool in one library, bool in the other. */
typedef __typeof__(*((MYSQL_BIND *)NULL)->is_null) mysql_flag;

struct cached {
	char *sql;
	MYSQL_STMT *stmt;
	uint64_t used; /* the connection's count at its last use */
};

struct column {
	char *p;
	unsigned long size; /* of p */
	unsigned long n;    /* of the value */
	mysql_flag is_null;
	mysql_flag is_cut;
};

struct mysql_rows {
	struct db_rows base;
	struct cached *cached;
	MYSQL_BIND *bind;
	struct column *columns;
	unsigned n_columns;
};

struct mysql {
	struct db base;
	const struct mysql_calls *lib;
	struct mysql_dsn dsn;
	MYSQL *handle; /* NULL: not connected */
	bool is_mariadb;
	bool rolled_back; /* by the server, while db.c is in a transaction */
	int64_t used_us;  /* monotonic: when the connection last answered */
	int64_t retry_us; /* before that no new connection is tried */
	int64_t backoff_us;
	struct cached cache[MY_CACHED];
	uint64_t uses;
	struct mysql_rows rows; /* the one that can be open */
};

/* Keeps the text for db_error(), without values; gives a lost connection up. */
enum err my_failed_with(struct mysql *m, unsigned code, const char *text);
enum err my_failed(struct mysql *m);
enum err my_stmt_failed(struct mysql *m, MYSQL_STMT *stmt);

enum err my_connect_now(struct mysql *m) MUST_CHECK;
void my_disconnect(struct mysql *m);
/* A connection that can take a statement, made anew when it was lost. */
enum err my_ready(struct mysql *m) MUST_CHECK;
/* A statement without arguments and rows. */
enum err my_command(struct mysql *m, const char *sql) MUST_CHECK;
/* How long one statement may take: for a change of a table there is no limit. */
enum err my_limit_statements(struct mysql *m, bool migrating) MUST_CHECK;

#endif

#endif
