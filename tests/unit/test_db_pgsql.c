/* SPDX-License-Identifier: MIT
 *
 * db_pgsql, with a server of the test's own: values, errors, lost connections and
 * locks, and the tests of what stands above the database once more on PostgreSQL.
 */
#include "lib/db_pgsql.h"
#include "lib/clock.h"
#include "lib/str.h"
#include "tests/unit/pgsql_kit.h"
#include "tests/unit/sandbox.h"

#include <signal.h>
#include <sys/wait.h>

static bool has_server;

static int
start_server(void **state)
{
	(void)state;
#ifdef HAVE_PGSQL
	has_server = pgsql_kit_start();
#endif
	if (has_server)
		assert_int_equal(setenv("GPT_LOAD_TEST_DSN", pgsql_kit_dsn(), 1), 0);
	return 0;
}

static int
stop_server(void **state)
{
	(void)state;
	if (has_server)
		pgsql_kit_stop();
	return 0;
}

#ifdef HAVE_PGSQL

static struct sandbox *box;

static int
setup(void **state)
{
	(void)state;
	box = has_server ? sandbox_new() : NULL;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (box != NULL)
		sandbox_free(box);
	return 0;
}

static void
need_server(void)
{
	if (!has_server) {
		print_message("skipped: PostgreSQL's server is not installed\n");
		skip();
	}
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

	sandbox_exec(db,
		     "CREATE TABLE IF NOT EXISTS t (id bigserial PRIMARY KEY, "
		     "name varchar(20) UNIQUE, n bigint, at timestamptz, flag boolean, j jsonb)");
	return db;
}

static void
expect_text(struct db *db, const char *sql, const char *is)
{
	struct db_rows *rows;
	enum err e = db_query(db, sql, DB_NO_ARGS, &rows);

	assert_int_equal(e, ERR_OK);
	assert_true(db_next(rows, &e));
	if (!str_is(db_col_text(rows, 0), is))
		fail_msg("%s: \"" STR_FMT "\"", sql, STR_ARG(db_col_text(rows, 0)));
	db_rows_done(rows);
}

static void
test_values(void **state)
{
	const int64_t us = 1136214245123456;
	struct db *db;
	struct db_rows *rows;
	int64_t changed = 0;
	int64_t id = 0;
	enum err e;

	(void)state;
	need_server();
	db = open_with_table();
	assert_int_equal(
	    db_insert(db, "INSERT INTO t (name, n, at, flag, j) VALUES (?, ?, ?, ?, ?)",
		      DB_ARGS(db_text(((struct str){"a\0\xFF", 3})), db_int(INT64_MIN), db_time(us),
			      db_bool(true), db_cstr("{\"b\":1e2,\"a\":1.50}")),
		      &id),
	    ERR_OK);
	assert_int_equal(id, 1);
	assert_int_equal(db_insert(db,
				   "INSERT INTO t (name, n, at, flag, j) VALUES (?, ?, ?, ?, ?)",
				   DB_ARGS(db_text(((struct str){NULL, 0})), db_null(), db_null(),
					   db_bool(false), db_null()),
				   &id),
			 ERR_OK);
	assert_int_equal(id, 2);
	e = db_query(db, "SELECT name, n, at, flag FROM t WHERE id >= ? ORDER BY id",
		     DB_ARGS(db_int(1)), &rows);
	assert_int_equal(e, ERR_OK);
	assert_true(db_next(rows, &e));
	assert_true(str_is(db_col_text(rows, 0), "a\xEF\xBF\xBD\xEF\xBF\xBD"));
	assert_int_equal(db_col_int(rows, 1), INT64_MIN);
	assert_int_equal(db_col_time(rows, 2), us);
	assert_true(db_col_bool(rows, 3));
	assert_true(db_next(rows, &e));
	assert_false(db_col_is_null(rows, 0));
	assert_int_equal(db_col_text(rows, 0).n, 0);
	assert_true(db_col_is_null(rows, 1));
	assert_int_equal(db_col_time(rows, 2), 0);
	assert_false(db_col_bool(rows, 3));
	assert_false(db_next(rows, &e));
	assert_int_equal(e, ERR_OK);
	db_rows_done(rows);
	/* What jsonb makes of a text: see schema.pgsql.sql. */
	expect_text(db, "SELECT j FROM t WHERE id = 1", "{\"a\": 1.50, \"b\": 100}");
	assert_int_equal(db_exec(db, "UPDATE t SET n = 5", DB_NO_ARGS, &changed), ERR_OK);
	assert_int_equal(changed, 2);
	assert_int_equal(sandbox_int(db, "SELECT sum(n) FROM t"), 10);
	db_close(db);
}

/* Errors are told apart, and hold no value. */
static void
test_errors(void **state)
{
	struct db *db;

	(void)state;
	need_server();
	db = open_with_table();
	sandbox_exec(db, "INSERT INTO t (name) VALUES ('secret')");
	assert_int_equal(
	    db_exec(db, "INSERT INTO t (name) VALUES (?)", DB_ARGS(db_cstr("secret")), NULL),
	    ERR_DUPLICATE);
	assert_null(strstr(db_error(db), "secret"));
	assert_int_equal(
	    db_exec(db, "INSERT INTO t (n) VALUES (?)", DB_ARGS(db_cstr("secret")), NULL), ERR_DB);
	assert_null(strstr(db_error(db), "secret"));
	assert_int_equal(
	    db_exec(db, "INSERT INTO t (j) VALUES (?)", DB_ARGS(db_cstr("{secret")), NULL), ERR_DB);
	assert_null(strstr(db_error(db), "secret"));
	assert_int_equal(db_exec(db, "INSERT INTO t (name) VALUES (?)",
				 DB_ARGS(db_cstr("longer than twenty characters")), NULL),
			 ERR_DB);
	assert_non_null(strstr(db_error(db), "too long"));
	assert_int_equal(db_exec(db, "SELEKT", DB_NO_ARGS, NULL), ERR_DB);
	/* What failed within a transaction is not committed. */
	assert_int_equal(db_begin(db), ERR_OK);
	sandbox_exec(db, "INSERT INTO t (name) VALUES ('other')");
	assert_int_equal(db_exec(db, "SELEKT", DB_NO_ARGS, NULL), ERR_DB);
	assert_int_equal(db_commit(db), ERR_DB);
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM t"), 1);
	db_close(db);
}

/* More statements than are kept, and others while rows are still to come. */
static void
test_statements(void **state)
{
	struct db *db;
	struct db_rows *rows;
	int64_t sum = 0;
	enum err e;

	(void)state;
	need_server();
	db = open_with_table();
	e = db_query(db, "SELECT i FROM generate_series(1, 3000) i", DB_NO_ARGS, &rows);
	assert_int_equal(e, ERR_OK);
	assert_true(db_next(rows, &e));
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 100; i++) {
			char sql[64];

			(void)snprintf(sql, sizeof(sql), "INSERT INTO t (n) VALUES (%d + ?)", i);
			assert_int_equal(db_exec(db, sql, DB_ARGS(db_int(1)), NULL), ERR_OK);
		}
	}
	do
		sum += db_col_int(rows, 0);
	while (db_next(rows, &e));
	assert_int_equal(e, ERR_OK);
	assert_int_equal(sum, 3000 * 3001 / 2);
	db_rows_done(rows);
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM t"), 200);
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM pg_prepared_statements") <= 64, 1);
	/* Rows that nobody wants to the end. */
	e = db_query(db, "SELECT i FROM generate_series(1, 3000) i", DB_NO_ARGS, &rows);
	assert_int_equal(e, ERR_OK);
	assert_true(db_next(rows, &e));
	db_rows_done(rows);
	/* A statement that the server forgot, or that gives other columns than before. */
	sandbox_exec(db, "DEALLOCATE ALL");
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM t"), 200);
	assert_int_equal(sandbox_int(db, "SELECT max(n) FROM t"), 100);
	sandbox_exec(db, "ALTER TABLE t ALTER COLUMN n TYPE text");
	expect_text(db, "SELECT max(n) FROM t", "99");
	/* Likewise in a transaction, which cannot go on: the next one can. */
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM t"), 200);
	sandbox_exec(db, "DEALLOCATE ALL");
	for (int i = 0; i < 2; i++) {
		assert_int_equal(db_begin(db), ERR_OK);
		e = db_query(db, "SELECT count(*) FROM t", DB_NO_ARGS, &rows);
		assert_int_equal(e, i == 0 ? ERR_DB : ERR_OK);
		db_rows_done(rows);
		db_rollback(db);
	}
	/* An error behind the first row. */
	e = db_query(db, "SELECT 1 / (3 - i) FROM generate_series(1, 5) i", DB_NO_ARGS, &rows);
	while (e == ERR_OK && db_next(rows, &e))
		assert_true(db_col_int(rows, 0) >= 0);
	db_rows_done(rows);
	assert_int_equal(e, ERR_DB);
	assert_int_equal(sandbox_int(db, "SELECT 1"), 1);
	db_close(db);
}

/* A statement that was planned for an empty table reads all of a full one; in bulk, not
 * even one that was counted by nobody. */
static void
test_bulk_reads_no_table_whole(void **state)
{
	static const char find[] = "SELECT count(*) FROM t WHERE name IN (?, ?)";
	static const char whole[] = "SELECT seq_scan FROM pg_stat_xact_user_tables "
				    "WHERE relname = 't'";
	struct db *db;
	int64_t before;
	int64_t n = 0;

	(void)state;
	need_server();
	db = open_with_table();
	for (int i = 0; i < 10; i++)
		assert_int_equal(db_query_int(db, find, DB_ARGS(db_cstr("a"), db_cstr("b")), 0, &n),
				 ERR_OK);
	sandbox_exec(db,
		     "INSERT INTO t (name) SELECT 'name ' || i FROM generate_series(1, 9000) i");
	db_bulk(db, true);
	assert_int_equal(db_begin(db), ERR_OK);
	before = sandbox_int(db, whole);
	assert_int_equal(
	    db_query_int(db, find, DB_ARGS(db_cstr("name 5"), db_cstr("name 6")), 0, &n), ERR_OK);
	assert_int_equal(n, 2);
	assert_int_equal(sandbox_int(db, whole), before);
	assert_int_equal(db_commit(db), ERR_OK);
	db_bulk(db, false);
	expect_text(db, "SHOW enable_seqscan", "on");
	expect_text(db, "SHOW plan_cache_mode", "auto");
	db_close(db);
}

static void
end_session(struct db *other, int64_t pid)
{
	assert_int_equal(db_exec(other, "SELECT pg_terminate_backend(CAST(? AS int), 5000)",
				 DB_ARGS(db_int(pid)), NULL),
			 ERR_OK);
}

static void
test_lost(void **state)
{
	struct db *db;
	struct db *other;

	(void)state;
	need_server();
	db = open_with_table();
	other = open_db();
	/* Idle: nobody notices. */
	end_session(other, sandbox_int(db, "SELECT pg_backend_pid()"));
	sandbox_exec(db, "INSERT INTO t (name) VALUES ('a')");
	/* In a transaction: all of it fails, what follows works. */
	assert_int_equal(db_begin(db), ERR_OK);
	sandbox_exec(db, "INSERT INTO t (name) VALUES ('b')");
	end_session(other, sandbox_int(db, "SELECT pg_backend_pid()"));
	assert_int_equal(db_exec(db, "INSERT INTO t (name) VALUES ('c')", DB_NO_ARGS, NULL),
			 ERR_DB_AWAY);
	assert_int_equal(db_exec(db, "INSERT INTO t (name) VALUES ('d')", DB_NO_ARGS, NULL),
			 ERR_DB_AWAY);
	assert_int_equal(db_commit(db), ERR_DB_AWAY);
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM t"), 1);
	/* With a lock: not before that is given up. */
	assert_int_equal(db_lock(db, "name", 0), ERR_OK);
	end_session(other, sandbox_int(db, "SELECT pg_backend_pid()"));
	assert_int_equal(db_exec(db, "DELETE FROM t", DB_NO_ARGS, NULL), ERR_DB_AWAY);
	db_unlock(db, "name");
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM t"), 1);
	db_close(other);
	db_close(db);
}

/* The server is away and comes back; tries have a pause between them. */
static void
test_restart(void **state)
{
	struct errinfo info = {""};
	struct db *none = NULL;
	struct db *db;
	int64_t n = 0;

	(void)state;
	need_server();
	db = open_with_table();
	clock_fake(1700000000000000);
	pgsql_kit_stop_server();
	assert_int_equal(db_query_int(db, "SELECT 1", DB_NO_ARGS, 0, &n), ERR_DB_AWAY);
	assert_int_equal(db_query_int(db, "SELECT 1", DB_NO_ARGS, 0, &n), ERR_DB_AWAY);
	assert_non_null(strstr(db_error(db), "next try"));
	assert_int_equal(db_open(&box->conf, &none, &info), ERR_DB_AWAY);
	pgsql_kit_start_server();
	assert_int_equal(db_query_int(db, "SELECT 1", DB_NO_ARGS, 0, &n), ERR_DB_AWAY);
	clock_fake(1700000001000000);
	assert_int_equal(db_query_int(db, "SELECT 1", DB_NO_ARGS, 0, &n), ERR_OK);
	assert_int_equal(n, 1);
	clock_fake(0);
	db_close(db);
}

static void
test_locks(void **state)
{
	struct db *db;
	struct db *other;

	(void)state;
	need_server();
	db = open_with_table();
	other = open_db();
	assert_int_equal(db_lock(db, "one", 0), ERR_OK);
	assert_int_equal(db_lock(other, "two", 0), ERR_OK);
	assert_int_equal(db_lock(other, "one", 0), ERR_TASK);
	db_unlock(db, "one");
	assert_int_equal(db_lock(other, "one", 0), ERR_OK);
	db_close(other);
	assert_int_equal(db_lock(db, "one", 5), ERR_OK);
	assert_int_equal(db_begin(db), ERR_OK);
	assert_int_equal(db_exec(db, "SELEKT", DB_NO_ARGS, NULL), ERR_DB);
	db_rollback(db);
	db_close(db);
	/* Two writers of one row: the second waits as long as it is told to. */
	db = open_with_table();
	other = open_db();
	sandbox_exec(db, "INSERT INTO t (name, n) VALUES ('x', 1)");
	sandbox_exec(other, "SET statement_timeout = '50ms'");
	assert_int_equal(db_begin(db), ERR_OK);
	sandbox_exec(db, "UPDATE t SET n = 2");
	assert_int_equal(db_exec(other, "UPDATE t SET n = 3", DB_NO_ARGS, NULL), ERR_DB_AWAY);
	assert_int_equal(db_commit(db), ERR_OK);
	assert_int_equal(sandbox_int(other, "SELECT n FROM t"), 2);
	db_close(other);
	db_close(db);
}

static void
test_session(void **state)
{
	struct errinfo info = {""};
	struct conf conf = {0};
	struct db *db = NULL;

	(void)state;
	need_server();
	conf.database_dsn = xasprintf("%s&TimeZone=Asia%%2FShanghai&statement_timeout=1234&"
				      "pool_max_conns=3&application_name=mine",
				      pgsql_kit_dsn());
	assert_int_equal(db_open(&conf, &db, &info), ERR_OK);
	expect_text(db, "SHOW statement_timeout", "1234ms");
	expect_text(db, "SHOW application_name", "mine");
	expect_text(db, "SHOW TimeZone", "UTC");
	db_close(db);
	free(conf.database_dsn);
	conf.database_dsn = xasprintf("%s&no_such_parameter=1", pgsql_kit_dsn());
	assert_int_equal(db_open(&conf, &db, &info), ERR_DB);
	assert_non_null(strstr(info.text, "no_such_parameter"));
	free(conf.database_dsn);
	/* Nothing that waiting mends. */
	conf.database_dsn = xasprintf("postgres://tester@/no_such?host=%s", pgsql_kit_dir());
	assert_int_equal(db_open(&conf, &db, &info), ERR_CONF);
	free(conf.database_dsn);
	conf.database_dsn = xasprintf("postgres://no_such@/postgres?host=%s", pgsql_kit_dir());
	assert_int_equal(db_open(&conf, &db, &info), ERR_CONF);
	free(conf.database_dsn);
	conf.database_dsn = xasprintf("postgres://tester:secret@h:nonsense-secret/db");
	assert_int_equal(db_open(&conf, &db, &info), ERR_CONF);
	assert_null(strstr(info.text, "secret"));
	free(conf.database_dsn);
}

/* --- what stands above it --- */

/* The test program of this name, beside this one, on this server. */
static void
run_suite(const char *name)
{
	char path[512];
	char *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
	int status;
	pid_t pid;

	need_server();
	assert_true(n > 0);
	path[n] = '\0';
	slash = strrchr(path, '/');
	(void)snprintf(slash + 1, 64, "%s", name);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (dup2(2, 1) < 0)
			_exit(126);
		(void)execl(path, path, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0)
		fail_msg("%s fails on PostgreSQL", name);
}

#define SUITE(name)                                                                                \
	static void suite_##name(void **state)                                                     \
	{                                                                                          \
		(void)state;                                                                       \
		run_suite(#name);                                                                  \
	}
SUITE(test_admin)
SUITE(test_admin_data)
SUITE(test_db_bounded)
SUITE(test_flush)
SUITE(test_group)
SUITE(test_jobs)
SUITE(test_key)
SUITE(test_lease)
SUITE(test_migrate)
SUITE(test_publish)
SUITE(test_rollup)
SUITE(test_setting)
SUITE(test_snapshot)

#define WITH_BOX(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif

int
main(void)
{
	const struct CMUnitTest tests[] = {
#ifdef HAVE_PGSQL
	    WITH_BOX(test_values),
	    WITH_BOX(test_errors),
	    WITH_BOX(test_statements),
	    WITH_BOX(test_bulk_reads_no_table_whole),
	    WITH_BOX(test_lost),
	    WITH_BOX(test_restart),
	    WITH_BOX(test_locks),
	    WITH_BOX(test_session),
	    cmocka_unit_test(suite_test_admin),
	    cmocka_unit_test(suite_test_admin_data),
	    cmocka_unit_test(suite_test_db_bounded),
	    cmocka_unit_test(suite_test_flush),
	    cmocka_unit_test(suite_test_group),
	    cmocka_unit_test(suite_test_jobs),
	    cmocka_unit_test(suite_test_key),
	    cmocka_unit_test(suite_test_lease),
	    cmocka_unit_test(suite_test_migrate),
	    cmocka_unit_test(suite_test_publish),
	    cmocka_unit_test(suite_test_rollup),
	    cmocka_unit_test(suite_test_setting),
	    cmocka_unit_test(suite_test_snapshot),
#endif
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}
