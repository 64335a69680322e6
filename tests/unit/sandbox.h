/* SPDX-License-Identifier: MIT
 *
 * For unit tests that need files or a database: a folder of their own that goes
 * away at the end, a configuration that points there, and a migrated database: a
 * file there, or GPT_LOAD_TEST_DSN, which is emptied each time (mysql_kit.h, pgsql_kit.h).
 */
#ifndef TESTS_UNIT_SANDBOX_H
#define TESTS_UNIT_SANDBOX_H

#include "lib/conf.h"
#include "lib/crypt.h"
#include "lib/db.h"
#include "lib/migrate.h"
#include "lib/str.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct sandbox {
	char dir[64];
	struct conf conf; /* what the module under test reads of it; the rest is zero */
};

/* Everything in the database goes; only one of tests is taken for one. */
static inline void
sandbox_empty(const struct conf *conf)
{
	struct errinfo info = {""};
	struct db *db;

	assert_true(str_contains(str_of(conf->database_dsn), "/gpt_load_test?"));
	if (db_open(conf, &db, &info) != ERR_OK)
		fail_msg("%s", info.text);
	if (db_dialect(db) == DB_MYSQL)
		assert_int_equal(db_script(db,
					   "DROP DATABASE gpt_load_test;\n"
					   "CREATE DATABASE gpt_load_test CHARACTER SET utf8mb4;"),
				 ERR_OK);
	if (db_dialect(db) == DB_PGSQL)
		assert_int_equal(db_script(db, "DROP SCHEMA public CASCADE;\n"
					       "CREATE SCHEMA public;"),
				 ERR_OK);
	db_close(db);
}

static inline struct sandbox *
sandbox_new(void)
{
	const char *dsn = getenv("GPT_LOAD_TEST_DSN");
	struct sandbox *s = xcalloc(1, sizeof(*s));

	(void)snprintf(s->dir, sizeof(s->dir), "/tmp/gpt-load-test.XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	s->conf.data_dir = s->dir;
	s->conf.database_dsn = dsn != NULL ? xstrdup(dsn) : xasprintf("%s/gpt-load.db", s->dir);
	if (dsn != NULL)
		sandbox_empty(&s->conf);
	s->conf.port = 3001;
	s->conf.spool_size = 64 * 1024 * 1024;
	s->conf.pool_size = 8 * 1024 * 1024;
	s->conf.server_graceful_shutdown_timeout_s = 10;
	return s;
}

static inline void
sandbox_mkdir(struct sandbox *s, const char *name)
{
	AUTO_FREE char *path = xasprintf("%s/%s", s->dir, name);

	assert_int_equal(mkdir(path, 0700), 0);
}

static inline int
sandbox_remove(const char *path, const struct stat *st UNUSED, int type UNUSED,
	       struct FTW *ftw UNUSED)
{
	return remove(path);
}

static inline void
sandbox_free(struct sandbox *s)
{
	(void)nftw(s->dir, sandbox_remove, 16, FTW_DEPTH | FTW_PHYS);
	free(s->conf.database_dsn);
	free(s);
}

/* A connection to the sandbox's database, which is migrated by the first call. */
static inline struct db *
sandbox_db(struct sandbox *s)
{
	struct errinfo info = {""};
	struct crypt *crypt;
	struct db *db;

	assert_int_equal(crypt_new(&crypt, NULL, NULL, &info), ERR_OK);
	assert_int_equal(db_open(&s->conf, &db, &info), ERR_OK);
	if (migrate_check(db, &info) != ERR_OK)
		assert_int_equal(migrate_run(db, &s->conf, crypt, &info), ERR_OK);
	crypt_free(crypt);
	return db;
}

/* The one number that `sql` gives. */
static inline int64_t
sandbox_int(struct db *db, const char *sql)
{
	int64_t n = -1;

	if (db_query_int(db, sql, DB_NO_ARGS, -1, &n) != ERR_OK)
		fail_msg("%s: %s", sql, db_error(db));
	return n;
}

static inline void
sandbox_exec(struct db *db, const char *sql)
{
	if (db_exec(db, sql, DB_NO_ARGS, NULL) != ERR_OK)
		fail_msg("%s: %s", sql, db_error(db));
}

#endif
