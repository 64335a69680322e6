/* SPDX-License-Identifier: MIT
 *
 * db: the SQLite driver through the interface: values, statements, transactions,
 * and which files it takes.
 */
#include "lib/db.h"
#include "lib/conf.h"
#include "lib/db_driver.h"
#include "lib/str.h"
#include "tests/unit/sandbox.h"

#include <time.h>

static struct sandbox *box;

static int
setup(void **state)
{
	(void)state;
	box = sandbox_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	sandbox_free(box);
	return 0;
}

static struct db *
open_db(void)
{
	struct errinfo info = {""};
	struct db *db = NULL;

	if (db_open(&box->conf, &db, &info) != ERR_OK)
		fail_msg("%s", info.text);
	return db;
}

static struct db *
open_with_table(void)
{
	struct db *db = open_db();

	sandbox_exec(db, "CREATE TABLE IF NOT EXISTS t (id integer PRIMARY KEY AUTOINCREMENT, "
			 "name text UNIQUE, n, at datetime, flag numeric)");
	return db;
}

static void
set_tz(const char *tz)
{
	assert_int_equal(setenv("TZ", tz, 1), 0);
	tzset();
}

static void
test_dialect(void **state)
{
	static const struct {
		const char *dsn;
		enum db_dialect is;
	} rows[] = {
	    {"/var/lib/x.db", DB_SQLITE},
	    {"./data/postgres.db", DB_SQLITE},
	    {"u:p@tcp(h:3306)/db?charset=utf8mb4", DB_MYSQL},
	    {"u:p@unix(/run/m.sock)/db", DB_MYSQL},
	    {"postgres://u@h/db", DB_PGSQL},
	    {"postgresql://u@h/db", DB_PGSQL},
	};
	struct errinfo info;
	struct conf conf = {0};
	struct db *db;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		conf.database_dsn = xstrdup(rows[i].dsn);
		assert_int_equal(db_dialect_of(rows[i].dsn), rows[i].is);
		if (rows[i].is != DB_SQLITE) {
			/* Not built in, or nobody is there. */
			assert_int_not_equal(db_open(&conf, &db, &info), ERR_OK);
			assert_true(str_starts(str_of(info.text), "DATABASE_DSN: "));
		}
		free(conf.database_dsn);
	}
}

/* --- values --- */

static void
test_round_trip(void **state)
{
	struct db *db = open_with_table();
	const int64_t us = 1136214245123456;
	struct db_rows *rows;
	int64_t id = 0;
	int64_t changed = 0;
	enum err e;

	(void)state;
	set_tz("Asia/Kolkata");
	assert_int_equal(db_insert(db, "INSERT INTO t (name, n, at, flag) VALUES (?, ?, ?, ?)",
				   DB_ARGS(db_text(((struct str){"a\0b", 3})), db_int(INT64_MIN),
					   db_time(us), db_bool(true)),
				   &id),
			 ERR_OK);
	assert_int_equal(id, 1);
	assert_int_equal(db_insert(db, "INSERT INTO t (name, n, at, flag) VALUES (?, ?, ?, ?)",
				   DB_ARGS(db_text(((struct str){NULL, 0})), db_null(), db_null(),
					   db_bool(false)),
				   &id),
			 ERR_OK);
	assert_int_equal(id, 2);
	assert_int_equal(
	    sandbox_int(db, "SELECT at = '2006-01-02 20:34:05.123456+05:30' FROM t WHERE id = 1"),
	    1);

	/* Read in another zone: the moment is the same. */
	set_tz("Asia/Shanghai");
	e = db_query(db, "SELECT name, n, at, flag FROM t WHERE id >= ? ORDER BY id",
		     DB_ARGS(db_int(1)), &rows);
	assert_int_equal(e, ERR_OK);
	assert_true(db_next(rows, &e));
	assert_true(str_eq(db_col_text(rows, 0), (struct str){"a\0b", 3}));
	assert_int_equal(db_col_int(rows, 1), INT64_MIN);
	assert_int_equal(db_col_time(rows, 2), us);
	assert_true(db_col_bool(rows, 3));
	assert_true(db_next(rows, &e));
	assert_false(db_col_is_null(rows, 0));
	assert_int_equal(db_col_text(rows, 0).n, 0);
	assert_true(db_col_is_null(rows, 1));
	assert_int_equal(db_col_int(rows, 1), 0);
	assert_int_equal(db_col_time(rows, 2), 0);
	assert_false(db_col_bool(rows, 3));
	assert_false(db_next(rows, &e));
	assert_int_equal(e, ERR_OK);
	db_rows_done(rows);

	assert_int_equal(db_exec(db, "UPDATE t SET n = 5", DB_NO_ARGS, &changed), ERR_OK);
	assert_int_equal(changed, 2);
	db_close(db);
}

/* What the original, or a hand, may have left in a column. */
static void
test_odd_values(void **state)
{
	static const struct {
		const char *sql;
		int64_t is;
	} ints[] = {
	    {"SELECT '1e+06'", 1000000}, {"SELECT 1e6", 1000000}, {"SELECT 'true'", 1},
	    {"SELECT 'false'", 0},       {"SELECT 'x'", 0},       {"SELECT NULL", 0},
	    {"SELECT x'3132'", 12},
	};
	struct db *db = open_db();
	struct db_rows *rows;
	enum err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(ints); i++)
		assert_int_equal(sandbox_int(db, ints[i].sql), ints[i].is);
	e = db_query(db, "SELECT '2006-01-02 15:04:05', 'nonsense', 5", DB_NO_ARGS, &rows);
	assert_int_equal(e, ERR_OK);
	assert_true(db_next(rows, &e));
	assert_int_equal(db_col_time(rows, 0), 1136214245000000);
	assert_int_equal(db_col_time(rows, 1), 0);
	assert_int_equal(db_col_time(rows, 2), 0);
	db_rows_done(rows);
	db_rows_done(NULL);
	db_close(db);
}

/* --- statements --- */

static void
test_errors(void **state)
{
	struct db *db = open_with_table();
	int64_t n = 7;

	(void)state;
	sandbox_exec(db, "INSERT INTO t (name) VALUES ('a')");
	assert_int_equal(
	    db_exec(db, "INSERT INTO t (name) VALUES (?)", DB_ARGS(db_cstr("a")), NULL),
	    ERR_DUPLICATE);
	assert_int_equal(db_exec(db, "INSERT INTO t (id) VALUES (?)", DB_ARGS(db_int(1)), NULL),
			 ERR_DUPLICATE);
	assert_int_equal(db_exec(db, "SELEKT", DB_NO_ARGS, NULL), ERR_DB);
	assert_string_equal(db_error(db), "near \"SELEKT\": syntax error");
	assert_int_equal(db_query_int(db, "SELECT id FROM t WHERE 1 = 0", DB_NO_ARGS, -3, &n),
			 ERR_OK);
	assert_int_equal(n, -3);
	n = 7;
	assert_int_equal(db_query_int(db, "SELECT id FROM nothing", DB_NO_ARGS, -3, &n), ERR_DB);
	assert_int_equal(n, 7);
	/* A failed statement can be used again. */
	assert_int_equal(
	    db_exec(db, "INSERT INTO t (name) VALUES (?)", DB_ARGS(db_cstr("b")), NULL), ERR_OK);
	db_close(db);
}

/* More texts than are kept, and one that is open while it is asked for again. */
static void
test_statement_cache(void **state)
{
	struct db *db = open_with_table();
	struct db_rows *rows;
	enum err e;

	(void)state;
	e = db_query(db, "SELECT 0", DB_NO_ARGS, &rows);
	assert_int_equal(e, ERR_OK);
	assert_true(db_next(rows, &e));
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 150; i++) {
			char sql[64];

			(void)snprintf(sql, sizeof(sql), "INSERT INTO t (n) VALUES (%d + ?)", i);
			assert_int_equal(db_exec(db, sql, DB_ARGS(db_int(1)), NULL), ERR_OK);
		}
	}
	assert_int_equal(db_exec(db, "SELECT 0", DB_NO_ARGS, NULL), ERR_OK);
	assert_int_equal(db_col_int(rows, 0), 0);
	assert_false(db_next(rows, &e));
	db_rows_done(rows);
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM t"), 300);
	db_close(db);
}

static void
test_script(void **state)
{
	struct db *db = open_db();

	(void)state;
	assert_int_equal(db_script(db, "-- a comment; not the end\n"
				       "CREATE TABLE a (x text DEFAULT ';');\n\n"
				       "-- another\nINSERT INTO a (x)\n\tVALUES ('1;2');\n"
				       "INSERT INTO a DEFAULT VALUES;"),
			 ERR_OK);
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM a WHERE x IN (';', '1;2')"), 2);
	assert_int_equal(db_script(db, "\n-- nothing\n"), ERR_OK);
	assert_int_equal(db_script(db, "CREATE TABLE b (x);\nnonsense;\n"), ERR_DB);
	db_close(db);
}

static void
test_pick(void **state)
{
	static const struct sql sql = {.sqlite = "a", .mysql = "b"};
	struct db *db = open_db();

	(void)state;
	assert_string_equal(db_pick(db, &sql), "a");
	assert_int_equal(db_dialect(db), DB_SQLITE);
	db_close(db);
}

static void
test_transactions(void **state)
{
	struct db *db = open_with_table();
	struct db *other = open_db();

	(void)state;
	assert_int_equal(db_begin(db), ERR_OK);
	sandbox_exec(db, "INSERT INTO t (name) VALUES ('gone')");
	assert_int_equal(sandbox_int(other, "SELECT count(*) FROM t"), 0);
	db_rollback(db);
	db_rollback(db); /* harmless */
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM t"), 0);

	assert_int_equal(db_begin(db), ERR_OK);
	sandbox_exec(db, "INSERT INTO t (name) VALUES ('stays')");
	assert_int_equal(db_commit(db), ERR_OK);
	assert_int_equal(sandbox_int(other, "SELECT count(*) FROM t"), 1);

	/* A reader sees one moment, and holds up no writer. */
	assert_int_equal(db_begin_read(other), ERR_OK);
	assert_int_equal(sandbox_int(other, "SELECT count(*) FROM t"), 1);
	sandbox_exec(db, "INSERT INTO t (name) VALUES ('later')");
	assert_int_equal(sandbox_int(other, "SELECT count(*) FROM t"), 1);
	db_rollback(other);
	assert_int_equal(sandbox_int(other, "SELECT count(*) FROM t"), 2);

	/* What is open when a connection closes has not happened. */
	assert_int_equal(db_begin(db), ERR_OK);
	sandbox_exec(db, "DELETE FROM t");
	db_close(db);
	assert_int_equal(sandbox_int(other, "SELECT count(*) FROM t"), 2);
	db_close(other);
	db_close(NULL);
}

/* The disk is full: SQLite rolls back by itself, and what follows must not be
 * committed on its own. */
static void
test_full(void **state)
{
	struct db *db = open_with_table();
	enum err e;

	(void)state;
	sandbox_exec(db, "CREATE TABLE big (x)");
	sandbox_exec(db, "PRAGMA cache_size = 5");
	sandbox_exec(db, "PRAGMA max_page_count = 12");
	assert_int_equal(db_begin(db), ERR_OK);
	e = db_exec(db, "INSERT INTO big VALUES (zeroblob(1000000))", DB_NO_ARGS, NULL);
	assert_int_equal(e, ERR_DISK);
	db_rollback(db);
	sandbox_exec(db, "PRAGMA max_page_count = 100000");
	sandbox_exec(db, "INSERT INTO big VALUES (1)");
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM big"), 1);

	assert_int_equal(db_begin(db), ERR_OK);
	sandbox_exec(db, "ROLLBACK"); /* as SQLite may do */
	assert_int_equal(db_exec(db, "INSERT INTO big VALUES (2)", DB_NO_ARGS, NULL), ERR_DB);
	assert_int_equal(db_commit(db), ERR_DB);
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM big"), 1);
	db_close(db);
}

/* --- the file --- */

static void
test_file(void **state)
{
	struct db *db = open_with_table();
	char path[128];
	struct stat st;

	(void)state;
	assert_int_equal(stat(box->conf.database_dsn, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	(void)snprintf(path, sizeof(path), "%s-wal", box->conf.database_dsn);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* A short-lived program leaves the log as it is … */
	db_close(db);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_size > 0);
	/* … and a long-lived one moves it into the file. */
	db = open_db();
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM t"), 0);
	db_settle(db);
	db_close(db);
	assert_int_not_equal(stat(path, &st), 0);
	/* One of the original's is closed to others. */
	assert_int_equal(chmod(box->conf.database_dsn, 0644), 0);
	db_close(open_db());
	assert_int_equal(stat(box->conf.database_dsn, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
}

static void
expect_refused(const char *dsn, const char *words)
{
	struct conf conf = {.database_dsn = xstrdup(dsn)};
	struct errinfo info = {""};
	struct db *db = NULL;

	assert_int_equal(db_open(&conf, &db, &info), ERR_CONF);
	assert_null(db);
	if (strstr(info.text, words) == NULL || strncmp(info.text, "DATABASE_DSN: ", 14) != 0)
		fail_msg("\"%s\" does not say \"%s\"", info.text, words);
	free(conf.database_dsn);
}

static void
test_refused_files(void **state)
{
	char path[128];
	char link[128];
	FILE *f;

	(void)state;
	expect_refused("/nonexistent/x.db", "no such folder");
	expect_refused(box->dir, "is not a file");
	(void)snprintf(path, sizeof(path), "%s/text.db", box->dir);
	f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < 1000; i++)
		assert_true(fputs("this is no database\n", f) >= 0);
	assert_int_equal(fclose(f), 0);
	expect_refused(path, "is not an SQLite database");
	(void)snprintf(link, sizeof(link), "%s/link.db", box->dir);
	assert_int_equal(symlink(path, link), 0);
	expect_refused(link, "symbolic link");
	if (geteuid() != 0) {
		assert_int_equal(chmod(path, 0400), 0);
		expect_refused(path, "cannot be written");
	}
}

/* The folder, unlike the file, may be reached through a link. */
/* What was written into a file that is not there any more was lost without a word. */
static void
test_file_is_gone(void **state)
{
	AUTO_FREE char *aside = xasprintf("%s.aside", box->conf.database_dsn);
	struct db *other;
	struct db *db;

	(void)state;
	db = open_with_table();
	sandbox_exec(db, "INSERT INTO t (name) VALUES ('a')");
	assert_int_equal(rename(box->conf.database_dsn, aside), 0);
	assert_int_equal(db_exec(db, "INSERT INTO t (name) VALUES ('b')", DB_NO_ARGS, NULL),
			 ERR_DB_AWAY);
	assert_non_null(strstr(db_error(db), "is gone"));
	assert_int_equal(db_begin(db), ERR_DB_AWAY);
	/* The same again. */
	assert_int_equal(rename(aside, box->conf.database_dsn), 0);
	sandbox_exec(db, "INSERT INTO t (name) VALUES ('b')");
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM t"), 2);
	/* Another. */
	assert_int_equal(unlink(box->conf.database_dsn), 0);
	other = open_with_table();
	sandbox_exec(db, "INSERT INTO t (name) VALUES ('c')");
	assert_int_equal(sandbox_int(other, "SELECT count(*) FROM t"), 1);
	db_close(other);
	db_close(db);
}

static void
test_linked_folder(void **state)
{
	char link[128];
	char path[160];
	struct conf conf = {.database_dsn = path};
	struct errinfo info = {""};
	struct db *db;

	(void)state;
	(void)snprintf(link, sizeof(link), "%s/link", box->dir);
	assert_int_equal(symlink(box->dir, link), 0);
	(void)snprintf(path, sizeof(path), "%s/x.db", link);
	assert_int_equal(db_open(&conf, &db, &info), ERR_OK);
	db_close(db);
}

#define WITH_BOX(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_dialect),
	    WITH_BOX(test_round_trip),
	    WITH_BOX(test_odd_values),
	    WITH_BOX(test_errors),
	    WITH_BOX(test_statement_cache),
	    WITH_BOX(test_script),
	    WITH_BOX(test_pick),
	    WITH_BOX(test_transactions),
	    WITH_BOX(test_full),
	    WITH_BOX(test_file),
	    WITH_BOX(test_refused_files),
	    WITH_BOX(test_file_is_gone),
	    WITH_BOX(test_linked_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
