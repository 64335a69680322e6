/* SPDX-License-Identifier: MIT
 *
 * The responder's loop while Redis is away: it hangs, dies, or has forgotten all.
 */
#include "tests/unit/redis_pool_kit.h"
#include "lib/clock.h"
#include "lib/pool_redis.h"
#include "lib/str.h"

#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

/* Runs the loop until it is away, or is not. */
static void
until_away(struct own *o, bool away)
{
	struct pool_away now;

	for (pool_away(o->pool, &now); now.away != away; pool_away(o->pool, &now))
		assert_int_equal(event_base_loop(o->base, EVLOOP_ONCE), 0);
}

/* A pool that is whole, and whose three keys the loop has used. */
static void
be_whole(struct own *o)
{
	struct pool_identity id = {.installation = "x", .generation = 1, .complete = true};

	add_keys(o->pool, GROUP, 1, 3);
	assert_int_equal(pool_identity_set(o->pool, &id), ERR_OK);
}

static void
begin_loop(struct own *o)
{
	be_whole(o);
	pool_attach(o->pool, o->base);
	for (int i = 0; i < 3; i++)
		assert_int_equal(loop_pick(o).p.key_id, 1 + i);
}

static struct reported
loop_blame(struct own *o, int64_t id, int threshold)
{
	struct reported said = {0};

	pool_report(
	    o->pool,
	    &(struct report){
		.group_id = GROUP, .key_id = id, .verdict = VERDICT_BLAMED, .threshold = threshold},
	    on_report, &said);
	while (said.calls == 0)
		assert_int_equal(event_base_loop(o->base, EVLOOP_ONCE), 0);
	return said;
}

/* Until then every request was refused, and a server that hung was waited for. */
static void
test_loop_goes_on_without_a_server_that_hangs(void **state)
{
	struct own *o = *state;
	struct picked r[5] = {{0}};
	int64_t begun;

	NEEDS_SERVER(o);
	begin_loop(o);
	kill(server.pid, SIGSTOP);
	begun = clock_mono_us();
	for (size_t i = 0; i < ARRAY_LEN(r); i++)
		pool_pick(o->pool, &(struct pick_query){.group_id = GROUP}, on_pick, &r[i]);
	while (r[ARRAY_LEN(r) - 1].calls == 0)
		assert_int_equal(event_base_loop(o->base, EVLOOP_ONCE), 0);
	assert_true(clock_mono_us() - begun < 2 * (REDIS_AWAY_MS + REDIS_TICK_MS) * 1000);
	for (size_t i = 0; i < ARRAY_LEN(r); i++) {
		assert_int_equal(r[i].e, ERR_OK);
		assert_int_equal(r[i].p.key_id, 1 + i % 3);
		assert_int_equal(r[i].p.turn, 3 + i);
	}
	/* Nobody waits for a server that is known to be away. */
	memset(r, 0, sizeof(r));
	pool_pick(o->pool, &(struct pick_query){.group_id = GROUP}, on_pick, &r[0]);
	assert_int_equal(r[0].calls, 1);
	assert_int_equal(r[0].p.key_id, 3);
	kill(server.pid, SIGCONT);
	until_away(o, false);
	assert_int_equal(loop_pick(o).e, ERR_OK);
}

static void
test_loop_counts_failures_itself_and_tells_them_later(void **state)
{
	struct own *o = *state;
	struct pool_away now;
	uint64_t turn = 99;

	NEEDS_SERVER(o);
	begin_loop(o);
	assert_int_equal(loop_blame(o, 2, 3).fails, 1);
	kill(server.pid, SIGSTOP);
	assert_int_equal(loop_pick(o).p.key_id, 1);
	pool_turn(o->pool, GROUP, on_turn, &turn);
	assert_int_equal(turn, 4);
	assert_int_equal(loop_blame(o, 2, 3).fails, 2);
	assert_int_equal(loop_blame(o, 2, 3).move, POOL_MOVE_OUT);
	for (int i = 0; i < 4; i++)
		assert_int_not_equal(loop_pick(o).p.key_id, 2);
	pool_away(o->pool, &now);
	assert_int_equal(now.waiting, 2);
	kill(server.pid, SIGCONT);
	until_away(o, false);
	/* Behind what was kept. */
	assert_int_not_equal(loop_pick(o).p.key_id, 2);
	expect_counts(o->pool, GROUP, 2, 0, 1, 0);
	assert_int_equal(info_of(o->pool, 2).fails, 3);
	pool_away(o->pool, &now);
	assert_int_equal(now.waiting, 0);
	assert_int_equal(now.lost, 0);
}

/* It is back with nothing in it: what is remembered serves until it is filled. */
static void
test_loop_goes_on_until_a_server_that_forgot_is_filled(void **state)
{
	struct own *o = *state;
	struct pool_away now;

	NEEDS_SERVER(o);
	begin_loop(o);
	assert_true(redis_server_say(&server, "FLUSHALL"));
	for (int i = 0; i < 3; i++)
		assert_int_equal(loop_pick(o).p.key_id, 1 + i);
	pool_away(o->pool, &now);
	assert_true(now.away);
	redis_server_kill(&server);
	assert_int_equal(loop_pick(o).p.key_id, 1);
	assert_int_equal(loop_blame(o, 3, 1).move, POOL_MOVE_OUT);
	start(NULL);
	for (int i = 0; i < 20; i++)
		assert_int_equal(loop_pick(o).e, ERR_OK);
	/* As the jobs thread does it, which may ask as soon as the loop has seen it. */
	while (add_range(o->pool, GROUP, 1, 3) == ERR_POOL)
		assert_int_equal(event_base_loop(o->base, EVLOOP_ONCE), 0);
	be_whole(o);
	until_away(o, false);
	for (int i = 0; i < 4; i++)
		assert_int_equal(loop_pick(o).p.key_id, 1 + i % 2);
	expect_counts(o->pool, GROUP, 2, 0, 1, 0);
}

struct wanted {
	struct own *o;
	int calls;
	enum err e;
};

/* Stands for the jobs thread, which is woken. */
static void
on_want(void *arg)
{
	static const struct pool_key keys[] = {{.id = 8, .stored = {"sk-8", 4}},
					       {.id = 9, .stored = {"sk-9", 4}}};
	struct wanted *w = arg;
	int64_t group = 0;

	w->calls++;
	assert_true(pool_wants_keys(w->o->pool, &group));
	assert_int_equal(group, GROUP);
	assert_false(pool_wants_keys(w->o->pool, &group));
	pool_give_keys(w->o->pool, GROUP, keys, w->e == ERR_OK ? 2 : 0, w->e);
}

static void
test_a_group_that_was_never_used_is_brought_from_elsewhere(void **state)
{
	struct own *o = *state;
	struct wanted wanted = {.o = o, .e = ERR_DB_AWAY};
	struct picked refused = {0};

	NEEDS_SERVER(o);
	be_whole(o);
	pool_attach(o->pool, o->base);
	pool_on_want(o->pool, on_want, &wanted);
	redis_server_kill(&server);
	assert_int_equal(loop_pick(o).e, ERR_POOL);
	assert_int_equal(wanted.calls, 1);
	/* The next is not made to wait for the same answer. */
	pool_pick(o->pool, &(struct pick_query){.group_id = GROUP}, on_pick, &refused);
	assert_int_equal(refused.calls, 1);
	assert_int_equal(refused.e, ERR_POOL);
	wanted.e = ERR_OK;
	while (loop_pick(o).e == ERR_POOL)
		continue;
	assert_int_equal(loop_pick(o).p.key_id, 9);
	assert_int_equal(loop_pick(o).p.key_id, 8);
	assert_int_equal(wanted.calls, 2);
	start(NULL);
}

/* A key that was deleted must not live on in a worker's memory. */
static void
test_keys_that_went_are_forgotten(void **state)
{
	struct own *o = *state;
	struct wanted wanted = {.o = o, .e = ERR_DB_AWAY};
	struct pool *admin;
	uint64_t version;

	NEEDS_SERVER(o);
	begin_loop(o);
	pool_on_want(o->pool, on_want, &wanted);
	admin = open_more(o, "");
	assert_int_equal(pool_sync(admin, GROUP, 1, 3, NULL, 0, false), ERR_OK);
	pool_close(admin);
	assert_int_equal(loop_pick(o).e, ERR_NO_KEYS);
	assert_int_equal(pool_version(o->pool, &version), ERR_OK); /* reads the news */
	redis_server_kill(&server);
	assert_int_equal(loop_pick(o).e, ERR_POOL);
	start(NULL);
}

static void
say(const char *command)
{
	assert_true(redis_server_say(&server, command));
}

static uint64_t
waiting(struct own *o)
{
	struct pool_away now;

	pool_away(o->pool, &now);
	assert_false(now.away);
	assert_int_equal(now.lost, 0);
	return now.waiting;
}

/* How often the server has been told this, also when it refused. */
static long
times_said(const char *command)
{
	AUTO_FREE char *text = redis_server_ask(&server, "INFO commandstats");
	AUTO_FREE char *name = xasprintf("cmdstat_%s:", command);
	const char *at = strstr(text, name);
	long calls;
	long rejected;

	if (at == NULL)
		return 0;
	calls = strtol(strstr(at, "calls=") + 6, NULL, 10);
	rejected = strtol(strstr(at, "rejected_calls=") + 15, NULL, 10);
	return calls + rejected;
}

/* A server that answers, but takes no writes (a full disk, too few replicas), was told
 * only after it had been away once more, and then on top of what came meanwhile. */
static void
test_what_a_server_refused_was_never_told(void **state)
{
	struct own *o = *state;
	struct reported good = {0};
	int64_t until;
	long said;

	NEEDS_SERVER(o);
	begin_loop(o);
	assert_int_equal(loop_blame(o, 2, 5).fails, 1);
	say("CONFIG SET min-replicas-to-write 1");
	assert_int_equal(loop_blame(o, 2, 5).fails, 2);
	assert_int_equal(loop_blame(o, 2, 5).fails, 3);
	assert_int_equal(loop_blame(o, 3, 5).fails, 1);
	assert_int_equal(waiting(o), 3);
	/* While it refuses, it is asked now and then, and not all of it. */
	say("CONFIG RESETSTAT");
	until = clock_mono_us() + 4 * REDIS_TICK_MS * INT64_C(1000);
	while (clock_mono_us() < until)
		assert_int_equal(event_base_loop(o->base, EVLOOP_ONCE), 0);
	assert_int_equal(waiting(o), 3);
	said = times_said("evalsha") + times_said("del");
	assert_in_range(said, 1, 5);
	say("CONFIG SET min-replicas-to-write 0");
	/* In their order, also with what comes before the others are told. */
	pool_report(o->pool,
		    &(struct report){.group_id = GROUP, .key_id = 3, .verdict = VERDICT_OK},
		    on_report, &good);
	while (waiting(o) > 0 || good.calls == 0)
		assert_int_equal(event_base_loop(o->base, EVLOOP_ONCE), 0);
	assert_int_equal(loop_pick(o).e, ERR_OK); /* behind them */
	assert_int_equal(info_of(o->pool, 2).fails, 3);
	assert_int_equal(info_of(o->pool, 3).fails, 0);
}

static void
test_what_was_to_be_told_ended_with_the_worker(void **state)
{
	struct own *o = *state;

	NEEDS_SERVER(o);
	begin_loop(o);
	say("CONFIG SET min-replicas-to-write 1");
	assert_int_equal(loop_blame(o, 2, 5).fails, 1);
	assert_int_equal(waiting(o), 1);
	say("CONFIG SET min-replicas-to-write 0");
	pool_close(o->pool);
	o->pool = open_more(o, "");
	assert_int_equal(info_of(o->pool, 2).fails, 1);
}

/* It was not heard while Redis was away: between hearing again and knowing that the pool
 * is whole. */
static void
test_keys_that_went_before_the_pool_was_whole_are_forgotten(void **state)
{
	struct pool_identity id = {.installation = "x", .generation = 2, .complete = true};
	struct own *o = *state;
	struct wanted wanted = {.o = o, .e = ERR_DB_AWAY};
	struct pool *admin;
	uint64_t version;

	NEEDS_SERVER(o);
	begin_loop(o);
	pool_on_want(o->pool, on_want, &wanted);
	say("FLUSHALL");
	assert_int_equal(loop_pick(o).e, ERR_OK);
	until_away(o, true);
	admin = open_more(o, "");
	add_keys(admin, GROUP, 1, 3);
	assert_int_equal(pool_sync(admin, GROUP, 1, 3, NULL, 0, false), ERR_OK);
	assert_int_equal(pool_version(o->pool, &version), ERR_OK); /* reads the news */
	assert_int_equal(pool_identity_set(admin, &id), ERR_OK);
	pool_close(admin);
	until_away(o, false);
	redis_server_kill(&server);
	assert_int_equal(loop_pick(o).e, ERR_POOL);
	start(NULL);
}

static atomic_int wall_step_s;

/* libevent's, too: the wall clock can be set. */
int
gettimeofday(struct timeval *tv, void *tz UNUSED)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	*tv = (struct timeval){ts.tv_sec + wall_step_s, ts.tv_nsec / 1000};
	return 0;
}

static void
test_a_clock_that_was_set_let_a_server_hang(void **state)
{
	struct own *o = *state;
	struct picked r = {0};
	int64_t begun;

	NEEDS_SERVER(o);
	begin_loop(o);
	kill(server.pid, SIGSTOP);
	wall_step_s = 3600;
	begun = clock_mono_us();
	pool_pick(o->pool, &(struct pick_query){.group_id = GROUP}, on_pick, &r);
	while (r.calls == 0) {
		assert_int_equal(event_base_loop(o->base, EVLOOP_ONCE), 0);
		assert_true(clock_mono_us() - begun < 5000000);
	}
	wall_step_s = 0;
	assert_int_equal(r.e, ERR_OK);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    TEST(test_loop_goes_on_without_a_server_that_hangs),
	    TEST(test_loop_counts_failures_itself_and_tells_them_later),
	    TEST(test_loop_goes_on_until_a_server_that_forgot_is_filled),
	    TEST(test_a_group_that_was_never_used_is_brought_from_elsewhere),
	    TEST(test_keys_that_went_are_forgotten),
	    TEST(test_what_a_server_refused_was_never_told),
	    TEST(test_what_was_to_be_told_ended_with_the_worker),
	    TEST(test_keys_that_went_before_the_pool_was_whole_are_forgotten),
	    TEST(test_a_clock_that_was_set_let_a_server_hang),
	};

	(void)signal(SIGPIPE, SIG_IGN); /* as in the programs */
	return _cmocka_run_group_tests("pool_away", tests, ARRAY_LEN(tests), NULL, end_server);
}
