/* SPDX-License-Identifier: MIT
 *
 * What db.c asks of a driver: one table of functions each for SQLite, MySQL and
 * PostgreSQL. Only db.c and the drivers include this.
 *
 * A driver embeds struct db as the first member of its connection and struct
 * db_rows in its result set. db.c has checked the order of calls before a driver
 * sees them: transactions do not nest, one result set is open at a time, a lock
 * is not taken twice. Callers quote the table "groups" with double quotes; a
 * MySQL session therefore runs with ANSI_QUOTES.
 */
#ifndef LIB_DB_DRIVER_H
#define LIB_DB_DRIVER_H

#include "lib/db.h"

/* SQLite's write-ahead log is taken over every so many pages; its own default is 1000. */
#define SQLITE_CHECKPOINT_PAGES "4000"

struct db_driver {
	enum db_dialect dialect;
	enum err (*open)(const struct conf *conf, struct db **ret, struct errinfo *info);
	/* NULL: opened as always, and told not to write. */
	enum err (*open_read)(const struct conf *conf, struct db **ret, struct errinfo *info);
	bool (*is_there)(const struct conf *conf); /* NULL: a server, which knows itself */
	/* Ends an open transaction without its effect, gives locks up, frees db. */
	void (*close)(struct db *db);
	void (*settle)(struct db *db);
	/* ret_changed and ret_id may be NULL. ret_id: the generated `id`. */
	enum err (*exec)(struct db *db, const char *sql, const struct db_arg *args, size_t n_args,
			 int64_t *ret_changed, int64_t *ret_id);
	/* One statement of a script: not prepared for later, no arguments. */
	enum err (*run)(struct db *db, struct str sql);
	enum err (*begin)(struct db *db, bool read_only);
	enum err (*commit)(struct db *db);
	/* Within a transaction that only reads: how long a statement may take. 0, after its
	 * end: as always. */
	enum err (*bound)(struct db *db, int ms);
	/* Harmless when the server has rolled back already. */
	void (*rollback)(struct db *db);

	enum err (*query)(struct db *db, const char *sql, const struct db_arg *args, size_t n_args,
			  struct db_rows **ret);
	bool (*next)(struct db_rows *rows, enum err *ret_err);
	bool (*is_null)(struct db_rows *rows, int col);
	/* Text or blob of any column; borrowed until the next row. */
	struct str (*text)(struct db_rows *rows, int col);
	/* NULL: db.c reads the text. False: the column holds no native number. */
	bool (*integer)(struct db_rows *rows, int col, int64_t *ret);
	int64_t (*time)(struct db_rows *rows, int col);
	void (*rows_done)(struct db_rows *rows);

	/* One try, without waiting: ERR_TASK when somebody else holds it. *ret_held is
	 * what `unlock` needs. */
	enum err (*lock)(struct db *db, const char *name, int *ret_held);
	void (*unlock)(struct db *db, const char *name, int held);
};

#define DB_LOCKS 8 /* held at once by one connection */

struct db_lock {
	char name[64]; /* "" when free */
	int held;      /* the driver's */
};

struct db {
	const struct db_driver *driver;
	const struct conf *conf; /* borrowed */
	bool in_transaction;
	bool bounded; /* the transaction is db_begin_bounded()'s */
	bool rows_open;
	struct db_lock locks[DB_LOCKS];
	char error[512]; /* what the last failed call said */
};

struct db_rows {
	struct db *db;
};

/* Keeps the text for db_error() and returns e. */
enum err db_failed(struct db *db, enum err e, const char *fmt, ...) PRINTF_LIKE(3, 4);

extern const struct db_driver db_sqlite;
extern const struct db_driver db_mysql; /* HAVE_MYSQL */
extern const struct db_driver db_pgsql; /* with HAVE_PGSQL */

#endif
