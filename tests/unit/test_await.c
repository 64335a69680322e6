/* SPDX-License-Identifier: MIT
 *
 * Waiting at a start: for what, for how long, and how often it is said.
 */
#include "lib/await.h"
#include "lib/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void
test_only_what_may_come_is_waited_for(void **state)
{
	char dsn[] = "redis://h/0";
	char none[] = "";
	struct conf redis = {.redis_dsn = dsn};
	struct conf lmdb = {.redis_dsn = none};

	(void)state;
	assert_true(await_may_come(&redis, ERR_DB_AWAY));
	assert_true(await_may_come(&lmdb, ERR_DB_AWAY));
	assert_true(await_may_come(&redis, ERR_POOL));
	assert_false(await_may_come(&lmdb, ERR_POOL));
	assert_false(await_may_come(&redis, ERR_CONF));
	assert_false(await_may_come(&redis, ERR_DB));
	assert_false(await_may_come(&redis, ERR_OK));
}

static bool
says(struct await *a, const char *text, int *ret_ms)
{
	struct errinfo info;
	bool say;

	(void)err_set(&info, ERR_DB_AWAY, "%s", text);
	*ret_ms = await_next(a, ERR_DB_AWAY, &info, &say);
	return say;
}

static void
test_it_is_said_once_a_minute_and_when_the_reason_changes(void **state)
{
	struct await a = {0};
	int ms = 0;

	(void)state;
	clock_fake(1000000);
	assert_true(says(&a, "refused", &ms));
	assert_int_equal(ms, 250);
	assert_false(says(&a, "refused", &ms));
	assert_int_equal(ms, 500);
	assert_true(says(&a, "loading", &ms));
	assert_false(says(&a, "loading", &ms));
	assert_false(says(&a, "loading", &ms));
	assert_int_equal(ms, 2000);
	clock_fake(62000000);
	assert_true(says(&a, "loading", &ms));
	assert_false(says(&a, "loading", &ms));
	clock_fake(0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_only_what_may_come_is_waited_for),
	    cmocka_unit_test(test_it_is_said_once_a_minute_and_when_the_reason_changes),
	};

	return cmocka_run_group_tests_name("await", tests, NULL, NULL);
}
