/* SPDX-License-Identifier: MIT
 *
 * The Redis store beyond what every store does: the DSN, what is refused, a server
 * that forgets, dies and comes back, and the responder's loop. What that does while
 * the server is away is in test_pool_away.c.
 */
#include "tests/unit/pool_kit.h"
#include "tests/unit/redis_kit.h"
#include "lib/str.h"

#include <event2/event.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/socket.h>

static struct redis_server server;

struct own {
	char dsn[256];
	struct conf conf;
	struct pool *pool;
	struct event_base *base;
};

static struct pool *
open_dsn(struct own *o, const char *dsn)
{
	struct errinfo info = {""};
	struct pool *p = NULL;

	(void)snprintf(o->dsn, sizeof(o->dsn), "%s", dsn);
	o->conf.redis_dsn = o->dsn;
	if (pool_open(&o->conf, &p, &info) != ERR_OK)
		fail_msg("%s", info.text);
	return p;
}

static struct pool *
open_more(struct own *o, const char *end)
{
	AUTO_FREE
	char *dsn = xasprintf("unix://%s%s", server.socket, end);

	return open_dsn(o, dsn);
}

static void
start(const char *const *more)
{
	if (server.pid != 0)
		redis_server_kill(&server);
	if (!redis_server_start(&server, more))
		skip();
}

static int
own_setup(void **state)
{
	struct own *o = xcalloc(1, sizeof(*o));

	*state = o;
	if (server.pid == 0 && !redis_server_start(&server, NULL))
		return 0;
	(void)redis_server_say(&server, "FLUSHALL");
	o->base = event_base_new();
	o->pool = open_more(o, "");
	return 0;
}

static int
own_teardown(void **state)
{
	struct own *o = *state;

	pool_close(o->pool);
	if (o->base != NULL)
		event_base_free(o->base);
	free(o);
	return 0;
}

#define NEEDS_SERVER(o)                                                                            \
	if ((o)->pool == NULL)                                                                     \
	skip()

/* --- what is refused --- */

static void
test_refusals(void **state)
{
	static const struct {
		const char *dsn;
		const char *says;
	} rows[] = {
	    {"http://h/0", "REDIS_DSN: it begins with redis://"},
	    {"nonsense", "REDIS_DSN: it is no URL"},
	    {"redis://h:99999/0", "REDIS_DSN: "},
	    {"redis://h/x", "REDIS_DSN: the database's number is none"},
	    {"redis://h/0?x=1", "REDIS_DSN: redis:// takes no parameters"},
	    {"redis://u:%zz@h/0", "REDIS_DSN: user or password"},
	    {"rediss://h/0", "REDIS_DSN: rediss:// needs a hiredis with TLS"},
	    {"unix://s", "REDIS_DSN: a Unix socket is written"},
	    {"unix://s/x", "REDIS_DSN: the path of a Unix socket"},
	    {"unix:///s?pool=3", "REDIS_DSN: after the socket"},
	    {"unix:///s?db=-1", "REDIS_DSN: the database's number is none"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char dsn[64];
		struct conf conf = {.redis_dsn = dsn};
		struct errinfo info = {""};
		struct pool *p = NULL;

		(void)snprintf(dsn, sizeof(dsn), "%s", rows[i].dsn);
		assert_int_equal(pool_open(&conf, &p, &info), ERR_CONF);
		if (!str_starts(str_of(info.text), rows[i].says))
			fail_msg("%s: %s", rows[i].dsn, info.text);
	}
}

static void
expect_refused(enum err e, const char *dsn, const char *says)
{
	AUTO_FREE
	char *copy = xstrdup(dsn);
	struct conf conf = {.redis_dsn = copy};
	struct errinfo info = {""};
	struct pool *p = NULL;

	assert_int_equal(pool_open(&conf, &p, &info), e);
	if (!str_contains(str_of(info.text), says))
		fail_msg("%s: %s", dsn, info.text);
	assert_false(str_contains(str_of(info.text), "s3cret"));
}

static void
test_away(void **state)
{
	(void)state;
	expect_refused(ERR_POOL, "unix:///nonexistent/socket", "cannot be reached");
	expect_refused(ERR_POOL, "redis://:s3cret@127.0.0.1:1/0", "cannot be reached");
	expect_refused(ERR_POOL, "redis://no.such.host.invalid/0", "has no address");
}

static void
test_password_and_user(void **state)
{
	static const char *const more[] = {"--requirepass", "s3cret/@:", NULL};
	struct own *o = *state;
	AUTO_FREE
	char *wrong = xasprintf("unix://:s3cretx@%s", server.socket);
	AUTO_FREE
	char *none = xasprintf("unix://%s", server.socket);
	AUTO_FREE
	char *right = xasprintf("unix://:s3cret%%2F%%40%%3a@%s?db=2", server.socket);
	AUTO_FREE
	char *user = xasprintf("unix://default:s3cret%%2F%%40%%3a@%s", server.socket);

	NEEDS_SERVER(o);
	start(more);
	expect_refused(ERR_CONF, wrong, "refuses the password");
	expect_refused(ERR_CONF, none, "does not answer INFO");
	pool_close(o->pool);
	o->pool = open_dsn(o, user);
	add_keys(o->pool, GROUP, 1, 2);
	pool_close(o->pool);
	o->pool = open_dsn(o, right);
	/* Another database. */
	assert_int_equal(pick(o->pool, GROUP).e, ERR_NO_KEYS);
	start(NULL);
}

static void
test_cluster(void **state)
{
	static const char *const more[] = {"--cluster-enabled", "yes", NULL};
	struct own *o = *state;
	AUTO_FREE
	char *dsn = xasprintf("unix://%s", server.socket);

	NEEDS_SERVER(o);
	start(more);
	expect_refused(ERR_CONF, dsn, "this is a Redis Cluster, which is not supported");
	start(NULL);
}

static void
test_database_number(void **state)
{
	struct own *o = *state;
	struct pool *other;
	AUTO_FREE
	char *far = xasprintf("unix://%s?db=999", server.socket);

	NEEDS_SERVER(o);
	other = open_more(o, "?db=5");
	add_keys(o->pool, GROUP, 1, 2);
	assert_int_equal(pick(other, GROUP).e, ERR_NO_KEYS);
	add_keys(other, GROUP, 7, 7);
	assert_int_equal(pick_id(other, GROUP), 7);
	assert_int_equal(pick_id(o->pool, GROUP), 1);
	pool_close(other);
	expect_refused(ERR_CONF, far, "refuses the database's number");
}

static void
test_warning(void **state)
{
	struct own *o = *state;
	struct pool *p;
	struct buf text;

	NEEDS_SERVER(o);
	assert_true(redis_server_say(&server, "CONFIG SET maxmemory-policy allkeys-lru"));
	assert_true(redis_server_say(&server, "CONFIG SET maxmemory 100000000"));
	p = open_more(o, "");
	buf_init(&text, 1000);
	pool_warning(p, &text);
	assert_true(str_contains(buf_view(&text), "would evict keys"));
	assert_true(str_contains(buf_view(&text), "keeps nothing on disk"));
	buf_done(&text);
	pool_close(p);
	start(NULL);
}

/* --- a server that forgets --- */

static void
test_scripts_forgotten(void **state)
{
	struct own *o = *state;

	NEEDS_SERVER(o);
	add_keys(o->pool, GROUP, 1, 3);
	assert_int_equal(pick_id(o->pool, GROUP), 1);
	assert_true(redis_server_say(&server, "SCRIPT FLUSH"));
	assert_int_equal(pick_id(o->pool, GROUP), 2);
	assert_int_equal(blame(o->pool, 1, 1).move, POOL_MOVE_OUT);
	verify(o->pool);
}

static void
test_all_forgotten(void **state)
{
	struct pool_identity id = {.installation = "x", .generation = 1, .complete = true};
	struct own *o = *state;
	uint64_t version = 9;

	NEEDS_SERVER(o);
	add_keys(o->pool, GROUP, 1, 3);
	assert_int_equal(pool_identity_set(o->pool, &id), ERR_OK);
	assert_int_equal(pool_snapshot_put(o->pool, 3, STR("x"), false), ERR_OK);
	assert_true(redis_server_say(&server, "FLUSHALL"));
	assert_int_equal(pool_identity_get(o->pool, &id), ERR_OK);
	assert_false(id.complete);
	assert_string_equal(id.installation, "");
	assert_int_equal(pool_version(o->pool, &version), ERR_OK);
	assert_int_equal(version, 0);
	assert_int_equal(pick(o->pool, GROUP).e, ERR_NO_KEYS);
}

static void
test_one_key_evicted(void **state)
{
	struct pool_identity id = {.installation = "x", .generation = 1, .complete = true};
	struct own *o = *state;

	NEEDS_SERVER(o);
	add_keys(o->pool, GROUP, 1, 3);
	assert_int_equal(pool_identity_set(o->pool, &id), ERR_OK);
	assert_true(redis_server_say(&server, "DEL gptl:k:1"));
	assert_int_equal(pick_id(o->pool, GROUP), 2);
	assert_int_equal(pool_identity_get(o->pool, &id), ERR_OK);
	assert_false(id.complete);
	verify(o->pool);
	add_keys(o->pool, GROUP, 1, 3);
	assert_int_equal(pick_id(o->pool, GROUP), 3);
	assert_int_equal(pick_id(o->pool, GROUP), 1);
	expect_counts(o->pool, GROUP, 3, 0, 0, 0);
}

static void
test_full(void **state)
{
	struct own *o = *state;

	NEEDS_SERVER(o);
	add_keys(o->pool, GROUP, 1, 3);
	assert_true(redis_server_say(&server, "CONFIG SET maxmemory 100kb"));
	assert_int_equal(add_range(o->pool, GROUP, 4, 6), ERR_POOL_FULL);
	/* What is there goes on moving. */
	assert_int_equal(pick_id(o->pool, GROUP), 1);
	assert_int_equal(blame(o->pool, 1, 1).move, POOL_MOVE_OUT);
	assert_true(redis_server_say(&server, "CONFIG SET maxmemory 0"));
	expect_counts(o->pool, GROUP, 2, 0, 1, 0);
}

static void
test_killed(void **state)
{
	struct own *o = *state;
	uint64_t version;

	NEEDS_SERVER(o);
	add_keys(o->pool, GROUP, 1, 3);
	redis_server_kill(&server);
	assert_int_equal(pick(o->pool, GROUP).e, ERR_POOL);
	assert_int_equal(pool_version(o->pool, &version), ERR_POOL);
	start(NULL);
	assert_int_equal(pick(o->pool, GROUP).e, ERR_NO_KEYS);
	add_keys(o->pool, GROUP, 1, 3);
	assert_int_equal(pick_id(o->pool, GROUP), 1);
}

/* --- the loop --- */

static struct picked
loop_pick(struct own *o)
{
	struct picked r = {0};

	pool_pick(o->pool, &(struct pick_query){.group_id = GROUP}, on_pick, &r);
	while (r.calls == 0)
		assert_int_equal(event_base_loop(o->base, EVLOOP_ONCE), 0);
	assert_int_equal(r.calls, 1);
	return r;
}

static void
on_report(void *arg, enum err e, enum pool_move move, uint32_t fails)
{
	*(struct reported *)arg = (struct reported){1, e, move, fails};
}

static void
on_turn(void *arg, enum err e, uint64_t turn)
{
	assert_int_equal(e, ERR_OK);
	*(uint64_t *)arg = turn;
}

static void
test_loop(void **state)
{
	struct own *o = *state;
	struct reported said = {0};
	uint64_t turn = 99;
	struct picked r[20] = {{0}};

	NEEDS_SERVER(o);
	pool_attach(o->pool, o->base);
	add_keys(o->pool, GROUP, 1, 3);
	/* Many at once, in the order in which they were asked. */
	for (size_t i = 0; i < ARRAY_LEN(r); i++)
		pool_pick(o->pool, &(struct pick_query){.group_id = GROUP}, on_pick, &r[i]);
	assert_int_equal(r[0].calls, 0);
	while (r[ARRAY_LEN(r) - 1].calls == 0)
		assert_int_equal(event_base_loop(o->base, EVLOOP_ONCE), 0);
	for (size_t i = 0; i < ARRAY_LEN(r); i++) {
		assert_int_equal(r[i].e, ERR_OK);
		assert_int_equal(r[i].p.key_id, 1 + i % 3);
		assert_int_equal(r[i].p.turn, i);
	}
	assert_true(redis_server_say(&server, "SCRIPT FLUSH"));
	assert_int_equal(loop_pick(o).p.key_id, 3);
	pool_report(o->pool,
		    &(struct report){
			.group_id = GROUP, .key_id = 1, .verdict = VERDICT_BLAMED, .threshold = 1},
		    on_report, &said);
	pool_turn(o->pool, GROUP, on_turn, &turn);
	while (turn == 99)
		assert_int_equal(event_base_loop(o->base, EVLOOP_ONCE), 0);
	assert_int_equal(turn, 21);
	assert_int_equal(said.move, POOL_MOVE_OUT);
	expect_counts(o->pool, GROUP, 2, 0, 1, 0);
}

static void
on_snapshot(void *arg, enum err e, struct str text, uint64_t version)
{
	assert_int_equal(e, ERR_OK);
	assert_true(str_is(text, "y"));
	*(uint64_t *)arg = version * 10;
}

/* A configuration put elsewhere is known at once, without the loop waiting. */
static void
test_loop_hears_of_versions(void **state)
{
	struct own *o = *state;
	struct pool *admin;
	uint64_t version = 0;

	NEEDS_SERVER(o);
	admin = open_more(o, "");
	assert_int_equal(pool_snapshot_put(admin, 5, STR("x"), false), ERR_OK);
	pool_attach(o->pool, o->base);
	while (version != 5) {
		assert_int_equal(event_base_loop(o->base, EVLOOP_ONCE), 0);
		assert_int_equal(pool_version(o->pool, &version), ERR_OK);
	}
	assert_int_equal(pool_snapshot_put(admin, 6, STR("x"), false), ERR_OK);
	while (version != 6) {
		assert_int_equal(event_base_loop(o->base, EVLOOP_ONCE), 0);
		assert_int_equal(pool_version(o->pool, &version), ERR_OK);
	}
	for (uint64_t v = 7; v < 100; v++) {
		assert_int_equal(pool_snapshot_put(admin, v, STR("y"), false), ERR_OK);
		assert_int_equal(pool_version(o->pool, &version), ERR_OK);
		assert_int_equal(version, v);
	}
	assert_int_equal(loop_pick(o).p.version, 99);
	pool_snapshot_ask(o->pool, on_snapshot, &version);
	assert_int_equal(version, 99); /* the answer comes by the loop */
	while (version != 990)
		assert_int_equal(event_base_loop(o->base, EVLOOP_ONCE), 0);
	pool_close(admin);
}

/* A client has its answer once the key was reported, and asks again, by way of another
 * worker, before this loop goes on: a key that is out must be out for that one too. */
static void
test_loop_report_is_there_before_the_next_pick(void **state)
{
	struct own *o = *state;
	struct reported said = {0};
	struct picked other = {0};
	struct pool *second;

	NEEDS_SERVER(o);
	second = open_more(o, "");
	add_keys(o->pool, GROUP, 1, 1);
	pool_attach(o->pool, o->base);
	assert_int_equal(loop_pick(o).p.key_id, 1);
	pool_report(o->pool,
		    &(struct report){
			.group_id = GROUP, .key_id = 1, .verdict = VERDICT_BLAMED, .threshold = 1},
		    on_report, &said);
	assert_int_equal(said.calls, 0);
	pool_pick(second, &(struct pick_query){.group_id = GROUP}, on_pick, &other);
	assert_int_equal(other.calls, 1);
	assert_int_not_equal(other.e, ERR_OK);
	pool_close(second);
	while (said.calls == 0)
		assert_int_equal(event_base_loop(o->base, EVLOOP_ONCE), 0);
	assert_int_equal(said.move, POOL_MOVE_OUT);
}

/* What was said last, without waiting, arrives. */
static void
test_loop_last_words(void **state)
{
	struct own *o = *state;
	struct reported said = {0};

	NEEDS_SERVER(o);
	add_keys(o->pool, GROUP, 1, 3);
	pool_attach(o->pool, o->base);
	pool_report(o->pool,
		    &(struct report){
			.group_id = GROUP, .key_id = 2, .verdict = VERDICT_BLAMED, .threshold = 1},
		    on_report, &said);
	pool_close(o->pool);
	assert_int_equal(said.calls, 1);
	assert_int_equal(said.move, POOL_MOVE_OUT);
	o->pool = open_more(o, "");
	expect_counts(o->pool, GROUP, 2, 0, 1, 0);
}

static int
free_port(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&addr, n), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &n), 0);
	close(fd);
	return ntohs(addr.sin_port);
}

/* By a host's name, which only opening resolves, as an ACL user. */
static void
test_tcp(void **state)
{
	struct own *o = *state;
	AUTO_FREE
	char *port = xasprintf("%d", free_port());
	const char *const more[] = {"--port", port, NULL};
	AUTO_FREE
	char *dsn = xasprintf("redis://worker:pass%%40word@localhost:%s/1", port);

	NEEDS_SERVER(o);
	start(more);
	assert_true(redis_server_say(&server, "ACL SETUSER worker on >pass@word ~gptl:* "
					      "&gptl:* +@all -config"));
	pool_close(o->pool);
	o->pool = open_dsn(o, dsn);
	add_keys(o->pool, GROUP, 1, 3);
	pool_attach(o->pool, o->base);
	for (int i = 0; i < 9; i++)
		assert_int_equal(loop_pick(o).p.key_id, 1 + i % 3);
	expect_counts(o->pool, GROUP, 3, 0, 0, 0);
	start(NULL);
}

static void *
pick_beside_the_loop(void *arg)
{
	struct own *o = arg;

	for (int i = 0; i < 100; i++)
		(void)pick(o->pool, GROUP);
	return NULL;
}

/* Other threads get their answers before the call returns, as from every store. */
static void
test_loop_and_another_thread(void **state)
{
	struct own *o = *state;
	pthread_t thread;

	NEEDS_SERVER(o);
	pool_attach(o->pool, o->base);
	add_keys(o->pool, GROUP, 1, 3);
	assert_int_equal(pthread_create(&thread, NULL, pick_beside_the_loop, o), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(loop_pick(o).e, ERR_OK);
	pthread_join(thread, NULL);
	assert_int_equal(loop_pick(o).p.turn, 200);
}

static int
end_server(void **state)
{
	(void)state;
	redis_server_end(&server);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, own_setup, own_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    TEST(test_refusals),
	    TEST(test_away),
	    TEST(test_password_and_user),
	    TEST(test_cluster),
	    TEST(test_database_number),
	    TEST(test_warning),
	    TEST(test_scripts_forgotten),
	    TEST(test_all_forgotten),
	    TEST(test_one_key_evicted),
	    TEST(test_full),
	    TEST(test_killed),
	    TEST(test_loop),
	    TEST(test_loop_hears_of_versions),
	    TEST(test_loop_report_is_there_before_the_next_pick),
	    TEST(test_loop_last_words),
	    TEST(test_loop_and_another_thread),
	    TEST(test_tcp),
	};

	return _cmocka_run_group_tests("pool_redis", tests, ARRAY_LEN(tests), NULL, end_server);
}
