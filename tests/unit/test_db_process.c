/* SPDX-License-Identifier: MIT
 *
 * db: several processes at one database: writers, openers, and locks. What one
 * has to wait for is told through pipes.
 */
#include "lib/db.h"
#include "tests/unit/sandbox.h"

#include <sched.h>
#include <sqlite3.h>
#include <sys/wait.h>

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

static pid_t
start(void (*child)(void))
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		child();
		_exit(0);
	}
	return pid;
}

static void
expect_exit(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define WRITES 200

/* Reads, then writes what it read and one more: lost if two did so at once. */
static void
count_up(void)
{
	struct db *db = NULL;
	int64_t n;

	if (db_open(&box->conf, &db, NULL) != ERR_OK)
		_exit(10);
	for (int i = 0; i < WRITES; i++) {
		if (db_begin(db) != ERR_OK ||
		    db_query_int(db, "SELECT n FROM counter", DB_NO_ARGS, 0, &n) != ERR_OK ||
		    db_exec(db, "UPDATE counter SET n = ?", DB_ARGS(db_int(n + 1)), NULL) !=
			ERR_OK ||
		    db_commit(db) != ERR_OK)
			_exit(11);
	}
	db_close(db);
}

static void
test_concurrent_writers(void **state)
{
	struct db *db = open_db();
	pid_t a;
	pid_t b;

	(void)state;
	sandbox_exec(db, "CREATE TABLE counter (n integer)");
	sandbox_exec(db, "INSERT INTO counter VALUES (0)");
	db_close(db);
	a = start(count_up);
	b = start(count_up);
	expect_exit(a);
	expect_exit(b);
	db = open_db();
	assert_int_equal(sandbox_int(db, "SELECT n FROM counter"), 2 * WRITES);
	db_close(db);
}

static void
open_fresh(void)
{
	struct db *db = NULL;

	if (db_open(&box->conf, &db, NULL) != ERR_OK)
		_exit(10);
	db_close(db);
}

/* Several programs find no database: none of them fails. */
static void
test_concurrent_opening(void **state)
{
	pid_t pids[6];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pids); i++)
		pids[i] = start(open_fresh);
	for (size_t i = 0; i < ARRAY_LEN(pids); i++)
		expect_exit(pids[i]);
}

/* Two pipes: the child says that it has something, and is told to let go. */
static int told[2];
static int tell[2];

static void
say(int fd)
{
	assert_int_equal(write(fd, "x", 1), 1);
}

static void
hear(int fd)
{
	char c;

	assert_int_equal(read(fd, &c, 1), 1);
}

static void
make_pipes(void)
{
	assert_int_equal(pipe(told), 0);
	assert_int_equal(pipe(tell), 0);
}

static void
close_pipes(void)
{
	for (int i = 0; i < 2; i++) {
		assert_int_equal(close(told[i]), 0);
		assert_int_equal(close(tell[i]), 0);
	}
}

static void
hold_transaction(void)
{
	struct db *db = NULL;

	if (db_open(&box->conf, &db, NULL) != ERR_OK || db_begin(db) != ERR_OK ||
	    db_exec(db, "INSERT INTO t (name) VALUES ('first')", DB_NO_ARGS, NULL) != ERR_OK)
		_exit(10);
	say(told[1]);
	hear(tell[0]);
	if (db_commit(db) != ERR_OK)
		_exit(11);
	db_close(db);
}

static int
let_go(void *unused, int tries)
{
	(void)unused;
	if (tries == 0)
		say(tell[1]);
	(void)sched_yield();
	return 1;
}

/* A writer waits for the other, and a reader does not. */
static void
test_busy(void **state)
{
	struct db *db = open_with_table();
	sqlite3 *raw;
	pid_t pid;

	(void)state;
	make_pipes();
	pid = start(hold_transaction);
	hear(told[0]);
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM t"), 0);
	/* That the holder is in the way is seen by a connection that does not wait. */
	assert_int_equal(sqlite3_open(box->conf.database_dsn, &raw), SQLITE_OK);
	assert_int_equal(sqlite3_exec(raw, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_BUSY);
	/* And one that does tells it to let go once it has met it. */
	(void)sqlite3_busy_handler(raw, let_go, NULL);
	assert_int_equal(sqlite3_exec(raw, "BEGIN IMMEDIATE; ROLLBACK", NULL, NULL, NULL),
			 SQLITE_OK);
	(void)sqlite3_close(raw);
	assert_int_equal(db_begin(db), ERR_OK);
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM t"), 1);
	assert_int_equal(db_commit(db), ERR_OK);
	expect_exit(pid);
	close_pipes();
	db_close(db);
}

static void
hold_lock(void)
{
	struct db *db = NULL;

	if (db_open(&box->conf, &db, NULL) != ERR_OK || db_lock(db, "job-1", 0) != ERR_OK)
		_exit(10);
	say(told[1]);
	hear(tell[0]);
	_exit(0); /* without db_unlock(): the lock ends with the process */
}

static void
test_lock(void **state)
{
	struct db *db = open_db();
	struct db *other = open_db();
	pid_t pid;

	(void)state;
	make_pipes();
	pid = start(hold_lock);
	hear(told[0]);
	assert_int_equal(db_lock(db, "job-1", 0), ERR_TASK);
	assert_non_null(strstr(db_error(db), "job-1"));
	assert_int_equal(db_lock(db, "job-2", 0), ERR_OK);
	say(tell[1]);
	assert_int_equal(db_lock(db, "job-1", 10), ERR_OK);
	expect_exit(pid);
	close_pipes();

	/* Two connections of one process are strangers to each other. */
	assert_int_equal(db_lock(other, "job-1", 0), ERR_TASK);
	db_unlock(db, "job-1");
	assert_int_equal(db_lock(other, "job-1", 0), ERR_OK);
	/* A closed connection holds nothing. */
	db_close(other);
	assert_int_equal(db_lock(db, "job-1", 0), ERR_OK);
	db_close(db);
}

/* The file of a lock goes away with it: whoever waited on the old one must not
 * think that he holds the new one. */
static void
take_and_leave(void)
{
	struct db *db = NULL;
	int64_t n;

	if (db_open(&box->conf, &db, NULL) != ERR_OK)
		_exit(10);
	for (int i = 0; i < 50; i++) {
		if (db_lock(db, "turn", 30) != ERR_OK)
			_exit(11);
		/* Not in a transaction: the lock alone keeps the others out. */
		if (db_query_int(db, "SELECT n FROM counter", DB_NO_ARGS, 0, &n) != ERR_OK ||
		    db_exec(db, "UPDATE counter SET n = ?", DB_ARGS(db_int(n + 1)), NULL) != ERR_OK)
			_exit(12);
		db_unlock(db, "turn");
	}
	db_close(db);
}

static void
test_lock_contended(void **state)
{
	struct db *db = open_db();
	pid_t pids[3];
	char path[128];

	(void)state;
	sandbox_exec(db, "CREATE TABLE counter (n integer)");
	sandbox_exec(db, "INSERT INTO counter VALUES (0)");
	for (size_t i = 0; i < ARRAY_LEN(pids); i++)
		pids[i] = start(take_and_leave);
	for (size_t i = 0; i < ARRAY_LEN(pids); i++)
		expect_exit(pids[i]);
	assert_int_equal(sandbox_int(db, "SELECT n FROM counter"), 150);
	(void)snprintf(path, sizeof(path), "%s-turn.lock", box->conf.database_dsn);
	assert_int_not_equal(access(path, F_OK), 0);
	db_close(db);
}

#define WITH_BOX(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_BOX(test_concurrent_writers),
	    WITH_BOX(test_concurrent_opening),
	    WITH_BOX(test_busy),
	    WITH_BOX(test_lock),
	    WITH_BOX(test_lock_contended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
