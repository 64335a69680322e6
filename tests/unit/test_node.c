/* SPDX-License-Identifier: MIT
 *
 * Which nodes may serve together: two of them, a folder each, on one database and a
 * Redis of the test's own.
 */
#include "lib/node.h"
#include "lib/str.h"

#include <fcntl.h>
#include <pthread.h>

#include "tests/unit/redis_kit.h"
#include "tests/unit/sandbox.h"

struct one {
	struct conf conf;
	char data_dir[128];
	char redis_dsn[128];
	struct pool *pool;
};

struct fixture {
	struct sandbox *box;
	struct db *db;
	struct one a;
	struct one b;
};

static struct redis_server server;

static void
close_one(struct one *n)
{
	pool_close(n->pool);
	n->pool = NULL;
}

static void
open_one(struct one *n)
{
	struct errinfo info = {""};

	if (pool_open(&n->conf, &n->pool, &info) != ERR_OK)
		fail_msg("%s", info.text);
}

/* `db` of Redis; -1: none, the embedded pool. */
static void
make_one(struct fixture *f, struct one *n, const char *name, int db)
{
	bool generated;

	n->conf = f->box->conf;
	(void)snprintf(n->data_dir, sizeof(n->data_dir), "%s/%s", f->box->dir, name);
	(void)snprintf(n->redis_dsn, sizeof(n->redis_dsn), "unix://%s?db=%d", server.socket, db);
	n->conf.data_dir = n->data_dir;
	n->conf.redis_dsn = db >= 0 ? n->redis_dsn : NULL;
	n->conf.auth_key = xstrdup("sk-one");
	assert_int_equal(conf_prepare(&n->conf, &generated, NULL), ERR_OK);
	open_one(n);
}

static void
free_one(struct one *n)
{
	close_one(n);
	free(n->conf.auth_key);
	free(n->conf.encryption_key);
}

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	assert_true(redis_server_say(&server, "FLUSHALL"));
	f->box = sandbox_new();
	f->db = sandbox_db(f->box);
	make_one(f, &f->a, "a", 0);
	make_one(f, &f->b, "b", 0);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	free_one(&f->a);
	free_one(&f->b);
	db_close(f->db);
	sandbox_free(f->box);
	free(f);
	return 0;
}

static void
set(char **value, const char *text)
{
	free(*value);
	*value = text != NULL ? xstrdup(text) : NULL;
}

static void
admitted(struct fixture *f, struct one *n)
{
	struct errinfo info = {""};

	if (node_admit(&n->conf, f->db, n->pool, &info) != ERR_OK)
		fail_msg("%s", info.text);
	assert_true(node_was_admitted(&n->conf, true));
}

/* Refused with one line that begins with `name`. */
static void
refused(struct fixture *f, struct one *n, const char *name)
{
	struct errinfo info = {""};

	assert_int_equal(node_admit(&n->conf, f->db, n->pool, &info), ERR_CONF);
	if (!str_starts(str_of(info.text), name))
		fail_msg("\"%s\" does not begin with %s", info.text, name);
	assert_null(strchr(info.text, '\n'));
	assert_false(node_was_admitted(&n->conf, false));
}

/* Nobody has given a sign of life for so long. */
static void
pass(struct fixture *f, int seconds)
{
	AUTO_FREE char *sql = xasprintf("UPDATE gptl_nodes SET seen_at = seen_at - %d", seconds);

	sandbox_exec(f->db, sql);
}

static void
age_mark(const struct one *n, int seconds)
{
	AUTO_FREE char *path = conf_path(&n->conf, "run/node");
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	struct timespec times[2] = {st.st_mtim, st.st_mtim};
	times[0].tv_sec -= seconds;
	times[1].tv_sec -= seconds;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static int64_t
rows(struct fixture *f)
{
	return sandbox_int(f->db, "SELECT COUNT(*) FROM gptl_nodes");
}

static void
test_same_secrets(void **state)
{
	struct fixture *f = *state;

	set(&f->a.conf.encryption_key, "a long passphrase");
	set(&f->b.conf.encryption_key, "a long passphrase");
	admitted(f, &f->a);
	admitted(f, &f->b);
	admitted(f, &f->a);
	assert_int_equal(rows(f), 2);
	assert_int_equal(sandbox_int(f->db, "SELECT COUNT(*) FROM gptl_nodes WHERE "
					    "auth_digest = encryption_digest OR pool = '' OR "
					    "auth_digest LIKE '%sk-one%'"),
			 0);
}

static void
test_another_secret(void **state)
{
	struct fixture *f = *state;

	admitted(f, &f->a);
	set(&f->b.conf.auth_key, "sk-two");
	refused(f, &f->b, "AUTH_KEY ");
	set(&f->b.conf.auth_key, "sk-one");
	set(&f->b.conf.encryption_key, "a long passphrase");
	refused(f, &f->b, "ENCRYPTION_KEY ");
	assert_int_equal(rows(f), 1);
	/* The node itself may come again with others. */
	set(&f->a.conf.auth_key, "sk-two");
	assert_false(node_was_admitted(&f->a.conf, false));
	admitted(f, &f->a);
}

static void
test_the_others_are_gone(void **state)
{
	struct fixture *f = *state;

	admitted(f, &f->a);
	set(&f->b.conf.auth_key, "sk-two");
	pass(f, NODE_ALIVE_S - 5);
	refused(f, &f->b, "AUTH_KEY ");
	pass(f, 6);
	admitted(f, &f->b);
	/* Now it is the first one that has the wrong key. */
	refused(f, &f->a, "AUTH_KEY ");
	assert_int_equal(node_leave(&f->b.conf, f->db), ERR_OK);
	assert_false(node_was_admitted(&f->b.conf, false));
	admitted(f, &f->a);
	pass(f, 2 * 86400);
	admitted(f, &f->b);
	assert_int_equal(rows(f), 1);
}

static void
test_without_redis(void **state)
{
	struct fixture *f = *state;

	free_one(&f->b);
	f->b = (struct one){.pool = NULL};
	make_one(f, &f->b, "b", -1);
	admitted(f, &f->a);
	refused(f, &f->b, "REDIS_DSN is not set, ");
	pass(f, NODE_ALIVE_S + 1);
	admitted(f, &f->b);
	refused(f, &f->a, "REDIS_DSN is not set for the node ");
}

static void
test_another_redis_database(void **state)
{
	struct fixture *f = *state;

	free_one(&f->b);
	f->b = (struct one){.pool = NULL};
	make_one(f, &f->b, "b", 1);
	admitted(f, &f->a);
	refused(f, &f->b, "REDIS_DSN is not that of the node ");
}

static void *
beat(void *arg)
{
	struct fixture *f = arg;
	struct db *db = sandbox_db(f->box);
	enum err e;

	age_mark(&f->a, NODE_BEAT_S);
	e = node_beat(&f->a.conf, db, f->a.pool, NULL);
	db_close(db);
	return e == ERR_OK ? NULL : arg;
}

/* The other node does not know yet that its pool has lost its name. */
static void
test_redis_was_emptied(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;
	void *failed;

	admitted(f, &f->a);
	assert_true(redis_server_say(&server, "FLUSHALL"));
	assert_int_equal(pthread_create(&thread, NULL, beat, f), 0);
	admitted(f, &f->b);
	assert_int_equal(pthread_join(thread, &failed), 0);
	assert_null(failed);
}

static void
test_another_installation_in_redis(void **state)
{
	struct fixture *f = *state;
	struct fixture *other;

	/* One test DSN is one database. */
	if (getenv("GPT_LOAD_TEST_DSN") != NULL)
		return;
	admitted(f, &f->a);
	other = xcalloc(1, sizeof(*other));
	other->box = sandbox_new();
	other->db = sandbox_db(other->box);
	make_one(other, &other->a, "a", 0);
	refused(other, &other->a, "REDIS_DSN: another installation");
	assert_true(redis_server_say(&server, "DEL gptl:alive"));
	admitted(other, &other->a);
	refused(f, &f->b, "REDIS_DSN: another installation");
	free_one(&other->a);
	db_close(other->db);
	sandbox_free(other->box);
	free(other);
}

static void
test_signs_of_life(void **state)
{
	struct fixture *f = *state;
	static const char *const fresh =
	    "SELECT COUNT(*) FROM gptl_nodes WHERE seen_at > 1000000000";

	admitted(f, &f->a);
	sandbox_exec(f->db, "UPDATE gptl_nodes SET seen_at = 1");
	/* Another process of the node has just given one. */
	assert_int_equal(node_beat(&f->a.conf, f->db, f->a.pool, NULL), ERR_OK);
	assert_int_equal(sandbox_int(f->db, fresh), 0);
	age_mark(&f->a, NODE_BEAT_S);
	assert_int_equal(node_beat(&f->a.conf, f->db, f->a.pool, NULL), ERR_OK);
	assert_int_equal(sandbox_int(f->db, fresh), 1);
	/* A row that somebody removed comes again. */
	sandbox_exec(f->db, "DELETE FROM gptl_nodes");
	age_mark(&f->a, NODE_BEAT_S);
	assert_int_equal(node_beat(&f->a.conf, f->db, f->a.pool, NULL), ERR_OK);
	assert_int_equal(rows(f), 1);
	age_mark(&f->a, NODE_ALIVE_S + 1);
	assert_false(node_was_admitted(&f->a.conf, true));
	assert_true(node_was_admitted(&f->a.conf, false));
}

/* Away for so long that another came with another key: the node says so. */
static void
test_away_for_too_long(void **state)
{
	struct fixture *f = *state;
	struct errinfo info = {""};

	admitted(f, &f->a);
	pass(f, NODE_ALIVE_S + 1);
	set(&f->b.conf.auth_key, "sk-two");
	admitted(f, &f->b);
	age_mark(&f->a, NODE_ALIVE_S + 1);
	assert_int_equal(node_beat(&f->a.conf, f->db, f->a.pool, &info), ERR_CONF);
	assert_true(str_starts(str_of(info.text), "AUTH_KEY "));
}

/* A node lives on while Redis does not. */
static void
test_redis_is_away(void **state)
{
	struct fixture *f = *state;

	admitted(f, &f->a);
	sandbox_exec(f->db, "UPDATE gptl_nodes SET seen_at = 1");
	age_mark(&f->a, NODE_BEAT_S);
	redis_server_kill(&server);
	assert_int_equal(node_beat(&f->a.conf, f->db, f->a.pool, NULL), ERR_OK);
	assert_true(redis_server_start(&server, NULL));
	assert_int_equal(sandbox_int(f->db, "SELECT COUNT(*) FROM gptl_nodes WHERE seen_at > "
					    "1000000000 AND pool <> ''"),
			 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_same_secrets, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_another_secret, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_the_others_are_gone, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_without_redis, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_another_redis_database, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_redis_was_emptied, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_another_installation_in_redis, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_signs_of_life, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_away_for_too_long, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_redis_is_away, setup, teardown),
	};
	int failed;

	if (!redis_server_start(&server, NULL)) {
		puts("1..0 # SKIP the machine has no Redis");
		return 0;
	}
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	redis_server_end(&server);
	return failed;
}
