/* SPDX-License-Identifier: MIT
 *
 * What a worker knows of keys while the pool is away: it learns, it is loaded, it
 * takes turns, counts failures, and stays within its bounds.
 */
#include "lib/localpool.h"
#include "lib/clock.h"
#include "lib/limits.h"
#include "lib/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define GROUP 7
#define NOW   1700000000000

static int
own_setup(void **state)
{
	clock_fake(NOW * INT64_C(1000));
	*state = localpool_new();
	return 0;
}

static int
own_teardown(void **state)
{
	localpool_free(*state);
	clock_fake(0);
	return 0;
}

static void
learn(struct localpool *lp, int64_t id, uint64_t turn)
{
	char text[32];
	struct pick p = {.key_id = id, .turn = turn, .fails = 0};

	(void)snprintf(text, sizeof(text), "sk-%lld", (long long)id);
	p.stored = str_of(text);
	p.hash[0] = (uint8_t)id;
	localpool_learn(lp, GROUP, &p);
}

static enum err
pick_not(struct localpool *lp, const int64_t *not_these, size_t n, struct pick *ret)
{
	struct pick_query q = {.group_id = GROUP, .not_these = not_these, .n_not_these = n};

	return localpool_pick(lp, &q, ret);
}

static int64_t
pick_id(struct localpool *lp)
{
	struct pick p;

	assert_int_equal(pick_not(lp, NULL, 0, &p), ERR_OK);
	return p.key_id;
}

static enum pool_move
report(struct localpool *lp, int64_t id, enum key_verdict verdict, int64_t until_ms)
{
	struct report r = {.group_id = GROUP,
			   .key_id = id,
			   .verdict = verdict,
			   .threshold = 2,
			   .rest_until_ms = until_ms};
	enum pool_move move;
	uint32_t fails;

	(void)localpool_report(lp, &r, &move, &fails);
	return move;
}

static void
load(struct localpool *lp, int64_t first, int64_t last)
{
	size_t n = (size_t)(last - first + 1);
	struct pool_key *keys = xcalloc(n, sizeof(*keys));

	for (size_t i = 0; i < n; i++)
		keys[i] = (struct pool_key){.id = first + (int64_t)i, .stored = STR("sk-loaded")};
	localpool_load(lp, GROUP, keys, n);
	free(keys);
}

static void
test_what_was_learnt_takes_turns_where_the_pool_stopped(void **state)
{
	struct localpool *lp = *state;
	struct pick p;

	learn(lp, 5, 40);
	learn(lp, 9, 41);
	learn(lp, 2, 42);
	assert_int_equal(pick_not(lp, NULL, 0, &p), ERR_OK);
	assert_int_equal(p.key_id, 5);
	assert_int_equal(p.turn, 43);
	assert_true(str_is(p.stored, "sk-5"));
	assert_int_equal(p.hash[0], 5);
	assert_int_equal(pick_id(lp), 9);
	assert_int_equal(pick_id(lp), 2);
	assert_int_equal(pick_id(lp), 5);
	assert_int_equal(localpool_turn(lp, GROUP), 47);
}

static void
test_a_key_that_was_tried_is_used_only_when_there_is_no_other(void **state)
{
	static const int64_t tried[] = {1, 2, 3};
	struct localpool *lp = *state;
	struct pick p;

	load(lp, 1, 3);
	assert_int_equal(pick_not(lp, tried, 2, &p), ERR_OK);
	assert_int_equal(p.key_id, 3);
	assert_int_equal(pick_not(lp, tried, 3, &p), ERR_OK);
	assert_int_equal(p.key_id, 1);
}

static void
test_failures_in_a_row_put_a_key_out_and_a_success_forgets_them(void **state)
{
	struct localpool *lp = *state;
	struct pick p;

	load(lp, 1, 2);
	assert_int_equal(report(lp, 1, VERDICT_BLAMED, 0), POOL_MOVE_NONE);
	assert_int_equal(report(lp, 1, VERDICT_OK, 0), POOL_MOVE_NONE);
	assert_int_equal(report(lp, 1, VERDICT_BLAMED, 0), POOL_MOVE_NONE);
	assert_int_equal(report(lp, 1, VERDICT_BLAMED, 0), POOL_MOVE_OUT);
	assert_int_equal(pick_id(lp), 2);
	assert_int_equal(pick_id(lp), 2);
	/* The DB does not know of it yet. */
	load(lp, 1, 2);
	assert_int_equal(pick_id(lp), 2);
	assert_int_equal(report(lp, 2, VERDICT_BLAMED, 0), POOL_MOVE_NONE);
	assert_int_equal(report(lp, 2, VERDICT_BLAMED, 0), POOL_MOVE_OUT);
	assert_int_equal(pick_not(lp, NULL, 0, &p), ERR_NO_KEYS);
	assert_int_equal(report(lp, 2, VERDICT_OK, 0), POOL_MOVE_BACK);
	assert_int_equal(pick_id(lp), 2);
}

static void
test_a_limited_key_rests_for_as_long_as_is_said_or_doubles(void **state)
{
	struct localpool *lp = *state;
	struct report r = {.group_id = GROUP, .key_id = 2, .verdict = VERDICT_LIMITED};
	enum pool_move move;
	struct pick p;
	uint32_t fails;

	load(lp, 1, 2);
	assert_int_equal(report(lp, 1, VERDICT_LIMITED, NOW + 5000), POOL_MOVE_REST);
	assert_int_equal(pick_id(lp), 2);
	assert_true(localpool_report(lp, &r, &move, &fails));
	assert_int_equal(r.rest_until_ms, NOW + 1000);
	assert_int_equal(pick_not(lp, NULL, 0, &p), ERR_ALL_RESTING);
	assert_int_equal(p.rest_end_ms, NOW + 1000);
	clock_fake((NOW + 1500) * INT64_C(1000));
	assert_int_equal(pick_id(lp), 2);
	r.rest_until_ms = 0;
	assert_true(localpool_report(lp, &r, &move, &fails));
	assert_int_equal(r.rest_until_ms, NOW + 3500);
	clock_fake((NOW + 5000) * INT64_C(1000));
	assert_int_equal(pick_id(lp), 1);
}

/* What the pool gives out is active, whatever was thought of it. */
static void
test_the_pool_knows_better(void **state)
{
	struct localpool *lp = *state;

	learn(lp, 1, 0);
	assert_int_equal(report(lp, 1, VERDICT_LIMITED, NOW + 5000), POOL_MOVE_REST);
	learn(lp, 1, 1);
	assert_int_equal(pick_id(lp), 1);
}

static void
test_keys_that_went_are_not_used_any_more(void **state)
{
	struct localpool *lp = *state;
	struct pick p;

	learn(lp, 1, 0);
	learn(lp, 2, 1);
	assert_true(localpool_is_stale(lp, GROUP, 1));
	load(lp, 2, 3);
	assert_false(localpool_is_stale(lp, GROUP, 1));
	assert_true(localpool_is_stale(lp, GROUP, NOW * INT64_C(1000) + 1));
	assert_int_equal(pick_id(lp), 3);
	assert_int_equal(pick_id(lp), 2);
	assert_int_equal(pick_id(lp), 3);
	localpool_forget(lp, GROUP + 1);
	assert_true(localpool_knows(lp, GROUP));
	localpool_forget(lp, GROUP);
	assert_false(localpool_knows(lp, GROUP));
	assert_int_equal(localpool_count(lp), 0);
	assert_int_equal(pick_not(lp, NULL, 0, &p), ERR_NO_KEYS);
	localpool_load(lp, GROUP, NULL, 0);
	assert_true(localpool_knows(lp, GROUP));
	learn(lp, 4, 9);
	localpool_forget(lp, 0);
	assert_int_equal(localpool_count(lp), 0);
}

static void
test_it_stays_within_its_bounds(void **state)
{
	struct localpool *lp = *state;

	load(lp, 1, LIMIT_LOCAL_KEYS + 5);
	assert_int_equal(localpool_count(lp), LIMIT_LOCAL_KEYS);
	learn(lp, LIMIT_LOCAL_KEYS + 3, 0);
	assert_int_equal(localpool_count(lp), LIMIT_LOCAL_KEYS);
	assert_int_equal(pick_id(lp), 1);
	load(lp, 1, LIMIT_LOCAL_KEYS + 5);
	assert_int_equal(localpool_count(lp), LIMIT_LOCAL_KEYS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, own_setup, own_teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    TEST(test_what_was_learnt_takes_turns_where_the_pool_stopped),
	    TEST(test_a_key_that_was_tried_is_used_only_when_there_is_no_other),
	    TEST(test_failures_in_a_row_put_a_key_out_and_a_success_forgets_them),
	    TEST(test_a_limited_key_rests_for_as_long_as_is_said_or_doubles),
	    TEST(test_the_pool_knows_better),
	    TEST(test_keys_that_went_are_not_used_any_more),
	    TEST(test_it_stays_within_its_bounds),
	};

	return cmocka_run_group_tests_name("localpool", tests, NULL, NULL);
}
