/* SPDX-License-Identifier: MIT
 *
 * Between the two files of the SQLite driver: db_sqlite_conn.c has the connection,
 * db_sqlite.c statements, transactions and locks.
 */
#ifndef LIB_DB_SQLITE_H
#define LIB_DB_SQLITE_H

#include <sqlite3.h>

#include "lib/db_driver.h"

#define CACHED 64 /* statements */

struct cached {
	char *sql;
	sqlite3_stmt *stmt;
	uint64_t used; /* the connection's count at its last use */
	bool busy;     /* belongs to the open result set */
};

struct sqlite_rows {
	struct db_rows base;
	sqlite3_stmt *stmt;
	struct cached *cached; /* NULL: the statement is this result set's own */
};

struct sqlite {
	struct db base;
	sqlite3 *handle;
	char *path; /* resolved */
	bool read_only;
	struct cached cache[CACHED];
	uint64_t uses;
	int64_t deadline_us;     /* monotonic, of the bounded transaction */
	struct sqlite_rows rows; /* the one that can be open */
};

static inline struct sqlite *
sqlite_of(struct db *db)
{
	return container_of(db, struct sqlite, base);
}

/* The driver's. */
enum err sqlite_open(const struct conf *conf, struct db **ret, struct errinfo *info);
enum err sqlite_open_read(const struct conf *conf, struct db **ret, struct errinfo *info);
bool sqlite_is_there(const struct conf *conf);
void sqlite_close(struct db *db);
void sqlite_settle(struct db *db);

/* What an SQLite code means; keeps SQLite's words. */
enum err sqlite_failed(struct sqlite *s, int code);
/* Before a transaction: opens the file again where it was removed or replaced. */
enum err sqlite_take_file_again(struct sqlite *s);

#endif
