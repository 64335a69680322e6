/* SPDX-License-Identifier: MIT
 *
 * What of the PostgreSQL driver needs no server and no libpq: rewriting statements
 * and texts, reading times, errors and the DSN. Only db_pgsql.c and its tests
 * include this.
 */
#ifndef LIB_DB_PGSQL_H
#define LIB_DB_PGSQL_H

#include "lib/buf.h"

/* Appends `sql` with $1, $2, … for each `?` that is not in quotes; how many. */
size_t pgsql_placeholders(const char *sql, struct buf *out);
/* Appends the text as PostgreSQL can keep it: what is not UTF-8, and NUL, becomes
 * U+FFFD. */
void pgsql_clean(struct str text, struct buf *out);
/* "2006-01-02 15:04:05.123456+00", as a session in UTC gives it. */
bool pgsql_time(struct str text, int64_t *ret_us) MUST_CHECK;
/* NULL or "": no server said anything, the connection is gone. */
enum err pgsql_err_of(const char *sqlstate);
/* Does the server end the connection with this error. */
bool pgsql_ends_connection(const char *sqlstate);
/* Can the server's sentence hold a value of the statement. */
bool pgsql_tells_values(const char *sqlstate);

#define PGSQL_DSN_SET 16

/* A DSN, taken apart into what libpq understands and what the session sets. */
struct pgsql_dsn {
	char *uri;
	struct {
		char *name;
		char *value;
	} set[PGSQL_DSN_SET];
	size_t n_set;
};

/* GPT-Load 1.4's driver takes what it does not know in the query for a parameter
 * of the session (TimeZone=…), libpq refuses it. `known`: does libpq know the
 * name. ERR_CONF; *info never holds a piece of the DSN's first half. */
enum err pgsql_dsn_parse(const char *dsn, bool (*known)(void *arg, const char *name), void *arg,
			 struct pgsql_dsn *ret, struct errinfo *info) MUST_CHECK;
void pgsql_dsn_done(struct pgsql_dsn *dsn);
/* Does the DSN set this parameter of the session. */
bool pgsql_dsn_sets(const struct pgsql_dsn *dsn, const char *name);

#endif
