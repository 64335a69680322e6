/* SPDX-License-Identifier: MIT
 *
 * What the two halves of the PostgreSQL driver share: libpq as it was loaded, the
 * connection (db_pgsql_conn.c), and what statements keep in it (db_pgsql.c).
 */
#ifndef LIB_DB_PGSQL_CONN_H
#define LIB_DB_PGSQL_CONN_H

#include "lib/db_driver.h"
#include "lib/db_pgsql.h"

#ifdef HAVE_PGSQL
#include <libpq-fe.h>

/* Every function of libpq that is called. */
#define LIBPQ_FUNCTIONS(X)                                                                         \
	X(PQclear)                                                                                 \
	X(PQcmdStatus)                                                                             \
	X(PQcmdTuples)                                                                             \
	X(PQconndefaults)                                                                          \
	X(PQconnectdbParams)                                                                       \
	X(PQconnectionNeedsPassword)                                                               \
	X(PQconninfoFree)                                                                          \
	X(PQconninfoParse)                                                                         \
	X(PQconsumeInput)                                                                          \
	X(PQerrorMessage)                                                                          \
	X(PQexec)                                                                                  \
	X(PQexecParams)                                                                            \
	X(PQfinish)                                                                                \
	X(PQftype)                                                                                 \
	X(PQgetisnull)                                                                             \
	X(PQgetlength)                                                                             \
	X(PQgetResult)                                                                             \
	X(PQgetvalue)                                                                              \
	X(PQnfields)                                                                               \
	X(PQntuples)                                                                               \
	X(PQpass)                                                                                  \
	X(PQprepare)                                                                               \
	X(PQresultErrorField)                                                                      \
	X(PQresultStatus)                                                                          \
	X(PQsendQueryPrepared)                                                                     \
	X(PQsetNoticeProcessor)                                                                    \
	X(PQsetSingleRowMode)                                                                      \
	X(PQsocket)                                                                                \
	X(PQstatus)                                                                                \
	X(PQtransactionStatus)

struct libpq {
#define X(f) __typeof__(f) *f;
	LIBPQ_FUNCTIONS(X)
#undef X
};
extern struct libpq libpq; /* filled by the first pgsql_open() */

#define PGSQL_CACHED 64 /* statements */

struct pgsql_cached {
	char *sql; /* NULL: free */
	bool returning;
	unsigned number; /* its name on the server is "s" and this */
	uint64_t used;   /* the connection's count at its last use */
};

struct pgsql_rows {
	struct db_rows base;
	PGresult *row; /* the one that is looked at */
	/* Results that were read ahead, since another statement wanted the connection. */
	PGresult **ahead;
	size_t n_ahead;
	size_t next_ahead;
	bool ended; /* nothing more comes from the server */
};

struct pgsql {
	struct db base;
	struct pgsql_dsn dsn;
	PGconn *conn; /* NULL: lost */
	struct pgsql_cached cache[PGSQL_CACHED];
	uint64_t uses;
	unsigned prepared; /* statements so far */
	int64_t retry_at_us;
	int64_t retry_us;
	struct pgsql_rows rows; /* the one that can be open */
};

static inline struct pgsql *
pgsql_of(struct db *db)
{
	return container_of(db, struct pgsql, base);
}

enum err pgsql_open(const struct conf *conf, struct db **ret, struct errinfo *info) MUST_CHECK;
void pgsql_close(struct db *db);
/* A connection on which a statement can be sent: the one there is, or a new one. */
enum err pgsql_ready(struct pgsql *p) MUST_CHECK;
/* Ends the connection; what belonged to it is forgotten. */
void pgsql_lose(struct pgsql *p);
void pgsql_forget_statements(struct pgsql *p);

bool pgsql_is_good(const PGresult *r);
/* Keeps what the server said about r, without the values in it, and finds out
 * whether the connection is still one. */
enum err pgsql_failed(struct pgsql *p, const PGresult *r);
/* Takes r over. */
enum err pgsql_settled(struct pgsql *p, PGresult *r) MUST_CHECK;

#endif
#endif
