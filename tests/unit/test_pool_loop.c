/* SPDX-License-Identifier: MIT
 *
 * The Redis store in the responder's loop. What it does while the server is away is in
 * test_pool_away.c.
 */
#include "tests/unit/redis_pool_kit.h"
#include "lib/pool_redis.h"
#include "lib/str.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/socket.h>

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

/* More than the socket takes at once: the rest follows as it drains. */
static void
test_loop_asks_more_than_the_socket_holds(void **state)
{
	enum {
		MANY = 5000
	};
	struct own *o = *state;
	struct picked *r = xcalloc(MANY, sizeof(*r));

	if (o->pool == NULL) {
		free(r);
		skip();
	}
	pool_attach(o->pool, o->base);
	add_keys(o->pool, GROUP, 1, 3);
	assert_int_equal(loop_pick(o).p.key_id, 1);
	for (size_t i = 0; i < MANY; i++)
		pool_pick(o->pool, &(struct pick_query){.group_id = GROUP}, on_pick, &r[i]);
	while (r[MANY - 1].calls == 0)
		assert_int_equal(event_base_loop(o->base, EVLOOP_ONCE), 0);
	for (size_t i = 0; i < MANY; i++) {
		assert_int_equal(r[i].e, ERR_OK);
		assert_int_equal(r[i].p.turn, i + 1);
	}
	free(r);
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

/* The message of a new version overtook the answer to an earlier pick, which then took it
 * back: a group that had just been made was not there. */
static void
test_an_answer_that_is_late_takes_no_version_back(void **state)
{
	struct own *o = *state;
	struct picked late = {0};
	struct pool *admin;
	uint64_t version = 0;

	NEEDS_SERVER(o);
	admin = open_more(o, "");
	add_keys(o->pool, GROUP, 1, 3);
	assert_int_equal(pool_snapshot_put(admin, 5, STR("x"), false), ERR_OK);
	pool_attach(o->pool, o->base);
	assert_int_equal(loop_pick(o).p.version, 5);
	while (version != 5) { /* and the channel is listened to */
		assert_int_equal(event_base_loop(o->base, EVLOOP_ONCE), 0);
		assert_int_equal(pool_version(o->pool, &version), ERR_OK);
	}
	pool_pick(o->pool, &(struct pick_query){.group_id = GROUP}, on_pick, &late);
	rpool_loop_push(redis_of(o->pool)->loop);
	assert_int_equal(pool_version(admin, &version), ERR_OK); /* it has been answered */
	assert_int_equal(pool_snapshot_put(admin, 6, STR("y"), false), ERR_OK);
	assert_int_equal(pool_version(o->pool, &version), ERR_OK);
	assert_int_equal(version, 6);
	while (late.calls == 0)
		assert_int_equal(event_base_loop(o->base, EVLOOP_ONCE), 0);
	assert_int_equal(late.p.version, 5);
	assert_int_equal(pool_version(o->pool, &version), ERR_OK);
	assert_int_equal(version, 6);
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

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    TEST(test_loop),
	    TEST(test_loop_asks_more_than_the_socket_holds),
	    TEST(test_loop_hears_of_versions),
	    TEST(test_an_answer_that_is_late_takes_no_version_back),
	    TEST(test_loop_report_is_there_before_the_next_pick),
	    TEST(test_loop_last_words),
	    TEST(test_loop_and_another_thread),
	    TEST(test_tcp),
	};

	return _cmocka_run_group_tests("pool_loop", tests, ARRAY_LEN(tests), NULL, end_server);
}
