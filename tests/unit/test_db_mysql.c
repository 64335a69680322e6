/* SPDX-License-Identifier: MIT
 *
 * db: the MySQL driver: its edges, and the tests of the other modules once
 * more on a MariaDB server of their own (as programs, by GPT_LOAD_TEST_DSN).
 */
#include "config.h"

#include "lib/db_mysql.h"
#include "tests/unit/mysql_kit.h"
#include "tests/unit/sandbox.h"

#include "lib/sql_text.h"

#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#ifdef HAVE_MYSQL

/* --- a server --- */

static bool is_there;
static struct sandbox *box;

static int
start_server(void **state)
{
	(void)state;
	is_there = mysql_kit_start();
	if (is_there)
		assert_int_equal(setenv("GPT_LOAD_TEST_DSN", mysql_kit_dsn(), 1), 0);
	return 0;
}

static int
stop_server(void **state)
{
	(void)state;
	if (is_there)
		mysql_kit_stop();
	return 0;
}

static void
need_server(void)
{
	if (!is_there) {
		print_message("# skipped: mariadbd is not installed\n");
		skip();
	}
}

static int
setup(void **state)
{
	(void)state;
	if (is_there)
		box = sandbox_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	if (is_there)
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

	assert_int_equal(
	    db_script(db, "CREATE TABLE IF NOT EXISTS t (id bigint AUTO_INCREMENT PRIMARY KEY, "
			  "name varchar(40) UNIQUE, n bigint, at datetime(3), body longtext)"),
	    ERR_OK);
	return db;
}

static enum err
add(struct db *db, const char *name, int64_t n, int64_t *ret_id)
{
	return db_insert(db, "INSERT INTO t (name, n) VALUES (?, ?)",
			 DB_ARGS(db_cstr(name), db_int(n)), ret_id);
}

static void
set_tz(const char *tz)
{
	assert_int_equal(setenv("TZ", tz, 1), 0);
	tzset();
}

static void
test_values(void **state)
{
	const int64_t us = 1136214245123999;
	static char body[100000];
	struct db_rows *rows;
	struct db *db;
	int64_t id = 0;
	enum err e;

	(void)state;
	need_server();
	db = open_with_table();
	set_tz("Asia/Kolkata");
	memset(body, 'x', sizeof(body));
	assert_int_equal(
	    db_insert(db, "INSERT INTO t (name, n, at, body) VALUES (?, ?, ?, ?)",
		      DB_ARGS(db_cstr("\xf0\x9f\x94\x91'\\\""), db_int(INT64_MIN), db_time(us),
			      db_text(((struct str){body, sizeof(body)}))),
		      &id),
	    ERR_OK);
	assert_int_equal(id, 1);
	assert_int_equal(db_insert(db, "INSERT INTO t (name, n, at, body) VALUES (?, ?, ?, ?)",
				   DB_ARGS(db_null(), db_null(), db_null(), db_cstr("short")), &id),
			 ERR_OK);
	assert_int_equal(id, 2);
	/* Cut to milliseconds, in the zone of TZ. */
	assert_int_equal(
	    sandbox_int(db, "SELECT COUNT(*) FROM t WHERE at = '2006-01-02 20:34:05.123'"), 1);
	assert_int_equal(
	    db_query(db, "SELECT name, n, at, body FROM \"t\" ORDER BY id", DB_NO_ARGS, &rows),
	    ERR_OK);
	assert_true(db_next(rows, &e));
	assert_true(str_is(db_col_text(rows, 0), "\xf0\x9f\x94\x91'\\\""));
	assert_true(db_col_int(rows, 1) == INT64_MIN);
	assert_true(db_col_time(rows, 2) == 1136214245123000);
	assert_int_equal(db_col_text(rows, 3).n, sizeof(body));
	assert_memory_equal(db_col_text(rows, 3).p, body, sizeof(body));
	assert_true(db_next(rows, &e));
	assert_true(db_col_is_null(rows, 0));
	assert_true(db_col_int(rows, 1) == 0);
	assert_true(db_col_time(rows, 2) == 0);
	assert_true(str_is(db_col_text(rows, 3), "short"));
	assert_false(db_next(rows, &e));
	assert_int_equal(e, ERR_OK);
	db_rows_done(rows);
	set_tz("UTC");
	db_close(db);
}

static void
test_counts_and_errors(void **state)
{
	struct db *db;
	int64_t changed = 0;
	int64_t id;

	(void)state;
	need_server();
	db = open_with_table();
	assert_int_equal(add(db, "sk-secret", 1, &id), ERR_OK);
	assert_int_equal(add(db, "sk-secret", 2, &id), ERR_DUPLICATE);
	assert_null(strstr(db_error(db), "sk-secret"));
	/* Found counts, changed or not. */
	assert_int_equal(db_exec(db, "UPDATE t SET n = 1", DB_NO_ARGS, &changed), ERR_OK);
	assert_int_equal(changed, 1);
	assert_int_equal(
	    db_exec(db, "INSERT INTO t (n) VALUES (?)", DB_ARGS(db_cstr("sk-secret")), NULL),
	    ERR_DB);
	assert_null(strstr(db_error(db), "sk-secret"));
	assert_int_equal(add(db, "a name that is longer than the forty characters of it", 1, &id),
			 ERR_DB);
	assert_int_equal(db_exec(db, "SELECT nothing FROM nowhere", DB_NO_ARGS, NULL), ERR_DB);
	assert_int_equal(db_exec(db, "SELECT id FROM t", DB_NO_ARGS, NULL), ERR_OK);
	/* More texts than are kept prepared. */
	for (int i = 0; i < 150; i++) {
		char text[64];

		(void)snprintf(text, sizeof(text), "SELECT COUNT(*) + %d FROM t", i);
		assert_int_equal(sandbox_int(db, text), i + 1);
	}
	db_close(db);
}

static void
test_transactions(void **state)
{
	struct db *a;
	struct db *b;
	int64_t id;

	(void)state;
	need_server();
	a = open_with_table();
	b = open_db();
	assert_int_equal(db_begin(a), ERR_OK);
	assert_int_equal(add(a, "one", 1, &id), ERR_OK);
	assert_int_equal(sandbox_int(b, "SELECT COUNT(*) FROM t"), 0);
	db_rollback(a);
	assert_int_equal(add(a, "two", 1, &id), ERR_OK);
	/* A snapshot stays, and writes nothing. */
	assert_int_equal(db_begin_read(b), ERR_OK);
	assert_int_equal(add(a, "three", 1, &id), ERR_OK);
	assert_int_equal(sandbox_int(b, "SELECT COUNT(*) FROM t"), 1);
	assert_int_equal(add(b, "four", 1, &id), ERR_DB);
	db_rollback(b);
	assert_int_equal(sandbox_int(b, "SELECT COUNT(*) FROM t"), 2);
	db_close(a);
	db_close(b);
}

/* Rolls back and says how it ended, as a process of its own. */
static int
update_both(const char *first, const char *second, int in, int out)
{
	struct db *db = open_db();
	char c = 'x';
	enum err e = db_begin(db);

	if (e == ERR_OK)
		e = db_exec(db, first, DB_NO_ARGS, NULL);
	if (write(out, &c, 1) != 1 || read(in, &c, 1) != 1)
		return 2;
	if (e == ERR_OK)
		e = db_exec(db, second, DB_NO_ARGS, NULL);
	if (e == ERR_DB_AWAY) {
		/* What follows is not committed alone. */
		if (db_exec(db, first, DB_NO_ARGS, NULL) != ERR_DB_AWAY ||
		    db_commit(db) != ERR_DB_AWAY)
			return 3;
		db_close(db);
		return 1;
	}
	if (e == ERR_OK)
		e = db_commit(db);
	db_close(db);
	return e == ERR_OK ? 0 : 4;
}

static void
test_deadlock(void **state)
{
	struct db *db;
	int there[2];
	int back[2];
	int status;
	int64_t id;
	pid_t pid;
	int mine;

	(void)state;
	need_server();
	db = open_with_table();
	assert_int_equal(add(db, "one", 0, &id), ERR_OK);
	assert_int_equal(add(db, "two", 0, &id), ERR_OK);
	assert_int_equal(pipe(there), 0);
	assert_int_equal(pipe(back), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(update_both("UPDATE t SET n = n + 1 WHERE id = 1",
				  "UPDATE t SET n = n + 1 WHERE id = 2", there[0], back[1]));
	mine = update_both("UPDATE t SET n = n + 1 WHERE id = 2",
			   "UPDATE t SET n = n + 1 WHERE id = 1", back[0], there[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* One of them. */
	assert_true(WIFEXITED(status) && mine + WEXITSTATUS(status) == 1);
	assert_int_equal(sandbox_int(db, "SELECT SUM(n) FROM t"), 2);
	for (int i = 0; i < 2; i++) {
		(void)close(there[i]);
		(void)close(back[i]);
	}
	db_close(db);
}

static void
test_locks(void **state)
{
	struct db *a;
	struct db *b;

	(void)state;
	need_server();
	a = open_db();
	b = open_db();
	assert_int_equal(db_lock(a, "migrate", 0), ERR_OK);
	assert_int_equal(db_lock(a, "other", 0), ERR_OK);
	assert_int_equal(db_lock(b, "migrate", 0), ERR_TASK);
	db_unlock(a, "migrate");
	assert_int_equal(db_lock(b, "migrate", 0), ERR_OK);
	assert_int_equal(db_lock(b, "other", 0), ERR_TASK);
	db_close(a); /* gives up what it holds */
	assert_int_equal(db_lock(b, "other", 1), ERR_OK);
	db_close(b);
}

static void
test_lost_connection(void **state)
{
	struct db *db;
	struct db *busy;
	struct db *locking;
	int64_t id = 0;

	(void)state;
	need_server();
	db = open_with_table();
	busy = open_db();
	locking = open_db();
	assert_int_equal(db_begin(busy), ERR_OK);
	assert_int_equal(add(busy, "lost", 1, &id), ERR_OK);
	assert_int_equal(db_lock(locking, "migrate", 0), ERR_OK);
	mysql_kit_restart();
	/* Reading is repeated; a transaction is over, and so is a lock. */
	assert_int_equal(sandbox_int(db, "SELECT COUNT(*) FROM t"), 0);
	assert_int_equal(add(busy, "more", 1, &id), ERR_DB_AWAY);
	assert_int_equal(add(busy, "more", 1, &id), ERR_DB_AWAY);
	assert_int_equal(db_commit(busy), ERR_DB_AWAY);
	assert_int_equal(add(busy, "again", 1, &id), ERR_OK);
	assert_int_equal(add(locking, "more", 1, &id), ERR_DB_AWAY);
	assert_int_equal(add(locking, "more", 1, &id), ERR_DB_AWAY);
	db_unlock(locking, "migrate");
	assert_int_equal(add(locking, "more", 1, &id), ERR_OK);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(*) FROM t"), 2);
	db_close(db);
	db_close(busy);
	db_close(locking);
}

/* --- between us and the server: cuts the connection at the first command --- */

struct cutter {
	pthread_t thread;
	int listener;
	char server[108];
};

static int
unix_socket(const char *path, struct sockaddr_un *ret)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	*ret = (struct sockaddr_un){.sun_family = AF_UNIX};
	(void)snprintf(ret->sun_path, sizeof(ret->sun_path), "%s", path);
	return fd;
}

/* One side's bytes to the other; false: it is over, or a command begins. */
static bool
pass_on(int from, int to)
{
	unsigned char bytes[4096];
	ssize_t n = read(from, bytes, sizeof(bytes));
	bool is_command = n > 4 && bytes[3] == 0 && bytes[4] == 3; /* COM_QUERY */

	return n > 0 && !is_command && write(to, bytes, (size_t)n) == n;
}

static void *
cut(void *arg)
{
	const struct cutter *c = arg;
	struct sockaddr_un at;
	int server = unix_socket(c->server, &at);
	int client = accept(c->listener, NULL, NULL);
	struct pollfd p[2] = {{.fd = client, .events = POLLIN}, {.fd = server, .events = POLLIN}};
	bool goes_on = connect(server, (struct sockaddr *)&at, sizeof(at)) == 0;

	while (goes_on && poll(p, 2, -1) > 0)
		goes_on = p[1].revents != 0 ? pass_on(server, client) : pass_on(client, server);
	close(client);
	close(server);
	return NULL;
}

/* The server ends, or what stands before it, just after it let us in. */
static void
test_lost_while_the_session_is_made(void **state)
{
	char *dsn;
	struct errinfo info = {""};
	struct cutter c = {.listener = -1};
	AUTO_FREE char *path = NULL;
	struct sockaddr_un at;
	struct db *db = NULL;
	struct str rest;
	struct str server;

	(void)state;
	need_server();
	dsn = box->conf.database_dsn;
	rest = str_of(strchr(dsn, '(') + 1);
	assert_true(str_split(&rest, ')', &server));
	(void)snprintf(c.server, sizeof(c.server), STR_FMT, STR_ARG(server));
	path = xasprintf("%s/cut", box->dir);
	c.listener = unix_socket(path, &at);
	assert_int_equal(bind(c.listener, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(c.listener, 1), 0);
	assert_int_equal(pthread_create(&c.thread, NULL, cut, &c), 0);
	box->conf.database_dsn = xasprintf("root@unix(%s)" STR_FMT, path, STR_ARG(rest));
	assert_int_equal(db_open(&box->conf, &db, &info), ERR_DB_AWAY);
	assert_int_equal(pthread_join(c.thread, NULL), 0);
	free(box->conf.database_dsn);
	box->conf.database_dsn = dsn;
	close(c.listener);
}

static void
test_refused(void **state)
{
	char *dsn;
	struct errinfo info = {""};
	struct db *db;

	(void)state;
	need_server();
	dsn = box->conf.database_dsn;
	box->conf.database_dsn = xasprintf("nobody:hunter2%s", strchr(dsn, '@'));
	assert_int_equal(db_open(&box->conf, &db, &info), ERR_CONF);
	assert_null(strstr(info.text, "hunter2"));
	free(box->conf.database_dsn);
	box->conf.database_dsn = xasprintf("%s&tls=true", dsn);
	assert_int_not_equal(db_open(&box->conf, &db, &info), ERR_OK);
	free(box->conf.database_dsn);
	box->conf.database_dsn = xasprintf("%s&tls=preferred&collation=utf8mb4_bin", dsn);
	if (db_open(&box->conf, &db, &info) != ERR_OK)
		fail_msg("%s", info.text);
	db_close(db);
	free(box->conf.database_dsn);
	box->conf.database_dsn = xstrdup("u:hunter2@unix(/nowhere/socket)/db");
	assert_int_equal(db_open(&box->conf, &db, &info), ERR_DB_AWAY);
	assert_null(strstr(info.text, "hunter2"));
	free(box->conf.database_dsn);
	box->conf.database_dsn = dsn;
}

/* The text of the schema, which is GPT-Load 1.4's. */
static const char *
schema_text(void)
{
	for (size_t i = 0; i < ARRAY_LEN(sql_texts); i++)
		if (strcmp(sql_texts[i].name, "schema.mysql.sql") == 0)
			return sql_texts[i].text;
	fail();
	return NULL;
}

/* Rows of the original stay; its missing hashes come; it can go on afterwards. */
static void
test_take_over(void **state)
{
	struct crypt *crypt;
	struct errinfo info = {""};
	struct db *db;

	(void)state;
	need_server();
	db = open_db();
	assert_int_equal(db_script(db, schema_text()), ERR_OK);
	sandbox_exec(db, "INSERT INTO system_settings (setting_key, setting_value, updated_at) "
			 "VALUES ('proxy_keys', 'sk-old', '2026-01-02 03:04:05.678')");
	sandbox_exec(db, "INSERT INTO \"groups\" (id, name, upstreams, channel_type, test_model) "
			 "VALUES (1, 'g', '[]', 'openai', 'm')");
	sandbox_exec(db, "INSERT INTO api_keys (key_value, group_id, key_hash) "
			 "VALUES ('abc', 1, ''), ('abc', 1, NULL), ('', 1, '')");
	assert_int_equal(crypt_new(&crypt, NULL, NULL, &info), ERR_OK);
	for (int i = 0; i < 2; i++)
		if (migrate_run(db, &box->conf, crypt, &info) != ERR_OK)
			fail_msg("%s", info.text);
	crypt_free(crypt);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(*) FROM system_settings WHERE "
					 "setting_value = 'sk-old' AND "
					 "updated_at = '2026-01-02 03:04:05.678'"),
			 1);
	assert_int_equal(
	    sandbox_int(db, "SELECT COUNT(*) FROM api_keys WHERE key_hash = "
			    "'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'"),
	    2);
	sandbox_exec(db, "INSERT INTO api_keys (key_value, group_id) VALUES ('abc', 1)");
	sandbox_exec(db, "INSERT INTO request_logs (id, timestamp, group_id, is_success, "
			 "status_code, duration, is_stream) VALUES ('x', '2026-01-02', 1, 1, 200, "
			 "5, 0)");
	assert_int_equal(sandbox_int(db,
				     "SELECT COUNT(*) FROM request_logs WHERE "
				     "gptl_attempt = 1 AND gptl_ttfb_ms = -1 AND gptl_end = ''"),
			 1);
	db_close(db);
}

/* The hour of a summer's end comes twice; all others are found again. */
static void
test_zones(void **state)
{
	static const char *const zones[] = {"UTC", "America/New_York", "Asia/Kolkata",
					    "Australia/Lord_Howe"};
	struct db *db;

	(void)state;
	need_server();
	db = open_with_table();
	for (size_t i = 0; i < ARRAY_LEN(zones); i++) {
		set_tz(zones[i]);
		for (int64_t day = 0; day < 365; day += 7) {
			const int64_t us = 1767225600000000 + day * 86400000000 + 43200123000;
			struct db_rows *rows;
			enum err e;

			assert_int_equal(db_query(db, "SELECT CAST(? AS datetime(3))",
						  DB_ARGS(db_time(us)), &rows),
					 ERR_OK);
			assert_true(db_next(rows, &e));
			assert_true(db_col_time(rows, 0) == us);
			db_rows_done(rows);
		}
	}
	set_tz("UTC");
	db_close(db);
}

/* A migration that was cut off is done again, over what is there. */
static void
test_migration_cut_off(void **state)
{
	struct crypt *crypt;
	struct errinfo info = {""};
	struct db *db;

	(void)state;
	need_server();
	db = sandbox_db(box);
	sandbox_exec(db, "UPDATE gptl_meta SET value = '0' WHERE name = 'schema'");
	sandbox_exec(db, "ALTER TABLE request_logs DROP COLUMN gptl_end");
	assert_int_equal(crypt_new(&crypt, NULL, NULL, &info), ERR_OK);
	if (migrate_run(db, &box->conf, crypt, &info) != ERR_OK)
		fail_msg("%s", info.text);
	crypt_free(crypt);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(gptl_end) FROM request_logs"), 0);
	assert_int_equal(migrate_check(db, &info), ERR_OK);
	db_close(db);
}

/* --- the tests of the others --- */

static void
run_program(const char *name)
{
	char path[4096];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
	char *slash;
	int status;
	pid_t pid;

	need_server();
	assert_true(n > 0);
	path[n] = '\0';
	slash = strrchr(path, '/');
	(void)snprintf(slash, 64, "/%s", name);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		/* Its TAP is not ours: the errors suffice. */
		if (dup2(2, 1) < 0)
			_exit(126);
		(void)execl(path, name, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0)
		fail_msg("%s failed on MariaDB", name);
}

#define PROGRAMS(X)                                                                                \
	X(test_publish)                                                                            \
	X(test_flush)                                                                              \
	X(test_db_bounded)                                                                         \
	X(test_rollup)                                                                             \
	X(test_lease)                                                                              \
	X(test_group)                                                                              \
	X(test_key)                                                                                \
	X(test_snapshot)                                                                           \
	X(test_setting)                                                                            \
	X(test_jobs)                                                                               \
	X(test_spool)                                                                              \
	X(test_admin)                                                                              \
	X(test_admin_data)                                                                         \
	X(test_validate)

#define X(name)                                                                                    \
	static void run_##name(void **state UNUSED)                                                \
	{                                                                                          \
		run_program(#name);                                                                \
	}
PROGRAMS(X)
#undef X

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_values, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_counts_and_errors, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_transactions, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_deadlock, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_locks, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_lost_connection, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_lost_while_the_session_is_made, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_migration_cut_off, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_take_over, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_zones, setup, teardown),
#define X(name) cmocka_unit_test(run_##name),
	    PROGRAMS(X)
#undef X
	};

	return cmocka_run_group_tests(tests, start_server, stop_server);
}

#else

static void
test_nothing(void **state)
{
	(void)state;
	print_message("# skipped: built without MySQL\n");
	skip();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_nothing)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#endif
