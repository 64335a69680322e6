/* SPDX-License-Identifier: MIT
 *
 * db_begin_bounded(): a search that takes too long ends at its time, and the connection
 * goes on as before. On each database (sandbox.h).
 */
#include "lib/clock.h"

#include "tests/unit/sandbox.h"

/* Seconds; a tenth of one. */
static const struct sql slow = {
    .sqlite = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
	      "WHERE i < 2000000000) SELECT COUNT(*) FROM n",
    .mysql = "SELECT SLEEP(20)",
    .pgsql = "SELECT 1 FROM pg_sleep(20)",
};
static const struct sql brief = {
    .sqlite = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
	      "WHERE i < 300000) SELECT COUNT(*) FROM n",
    .mysql = "SELECT SLEEP(0.1)",
    .pgsql = "SELECT 1 FROM pg_sleep(0.1)",
};

static int
setup(void **state)
{
	*state = sandbox_new();
	return 0;
}

static int
teardown(void **state)
{
	sandbox_free(*state);
	return 0;
}

static void
test_a_slow_statement_ends(void **state)
{
	struct db *db = sandbox_db(*state);
	int64_t began = clock_mono_us();
	int64_t n = 0;

	assert_int_equal(db_begin_bounded(db, 200), ERR_OK);
	enum err e = db_query_int(db, db_pick(db, &slow), DB_NO_ARGS, 0, &n);
	if (e != ERR_TIMEOUT)
		fail_msg("%d: %s", (int)e, db_error(db));
	db_rollback(db);
	assert_true(clock_mono_us() - began < 5000000);
	assert_int_equal(sandbox_int(db, "SELECT 7"), 7);
	db_close(db);
}

static void
test_the_bound_goes_with_the_transaction(void **state)
{
	struct db *db = sandbox_db(*state);
	int64_t n = 0;

	assert_int_equal(db_begin_bounded(db, 5), ERR_OK);
	db_rollback(db);
	assert_int_equal(db_query_int(db, db_pick(db, &brief), DB_NO_ARGS, 0, &n), ERR_OK);
	assert_int_equal(db_begin_bounded(db, 20000), ERR_OK);
	assert_int_equal(db_query_int(db, db_pick(db, &brief), DB_NO_ARGS, 0, &n), ERR_OK);
	db_rollback(db);
	db_close(db);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_a_slow_statement_ends, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_the_bound_goes_with_the_transaction, setup,
					    teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
