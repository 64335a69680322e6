/* SPDX-License-Identifier: MIT
 *
 * The dashboard's sums: slots and percentiles, sums of flushed rows against a count over
 * the rows, models and keys beyond their limits, rows of before, and the end of old sums.
 */
#include "lib/rollup.h"
#include "lib/clock.h"
#include "lib/flush.h"
#include "lib/limits.h"

#include "tests/unit/sandbox.h"

#define US_PER_S INT64_C(1000000)

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
test_slots(void **state UNUSED)
{
	int last = 0;

	assert_int_equal(rollup_slot(-5), 0);
	assert_int_equal(rollup_slot(0), 0);
	assert_int_equal(rollup_slot(1), 1);
	assert_int_equal(rollup_slot(2), 5);
	assert_int_equal(rollup_slot(INT64_MAX), ROLLUP_SLOTS - 1);
	for (int64_t ms = 1; ms < 10000000; ms += 1 + ms / 64) {
		assert_true(rollup_slot(ms) >= last);
		last = rollup_slot(ms);
	}
}

/* One value alone is found again to within the error that the header promises. */
static void
test_percentile_error(void **state UNUSED)
{
	int64_t slots[ROLLUP_SLOTS] = {0};

	assert_int_equal(rollup_percentile(slots, 50), -1);
	for (int64_t ms = 8; ms < 10000000; ms += 1 + ms / 7) {
		int slot = rollup_slot(ms);
		int64_t got;

		slots[slot] = 3;
		got = rollup_percentile(slots, 95);
		slots[slot] = 0;
		assert_true(got * 100 < ms * 119 + 100 && got * 119 + 119 > ms * 100);
	}
}

static void
test_percentile_of_many(void **state UNUSED)
{
	int64_t slots[ROLLUP_SLOTS] = {0};
	int64_t p50;
	int64_t p95;

	for (int ms = 1; ms <= 1000; ms++)
		slots[rollup_slot(ms)]++;
	p50 = rollup_percentile(slots, 50);
	p95 = rollup_percentile(slots, 95);
	assert_true(p50 > 480 && p50 < 520);
	assert_true(p95 > 900 && p95 < 1000);
	memset(slots, 0, sizeof(slots));
	slots[0] = 9;
	assert_int_equal(rollup_percentile(slots, 95), 0);
}

/* --- sums of flushed rows --- */

static struct logrow
sample(int i)
{
	struct logrow row = {
	    .time_us = clock_wall_us() - (int64_t)(i % 90) * 60 * US_PER_S,
	    .group_id = 7 + i % 2,
	    .group_name = STR("a"),
	    .key_id = 1 + i % 5,
	    .model = i % 3 == 0 ? STR("m-1") : STR("m-2"),
	    .is_success = i % 4 != 0,
	    .status = i % 4 == 0 ? 503 : 200,
	    .duration_ms = i * 7,
	    .is_final = i % 4 != 0 || i % 8 == 0,
	    .ttfb_ms = 3,
	    .prompt_tokens = i % 2 == 0 ? i : -1,
	    .completion_tokens = 8,
	    .cached_tokens = -1,
	    .end = STR("complete"),
	};

	if (i % 5 == 0)
		row.parent_id = 9;
	(void)snprintf(row.id, sizeof(row.id), "id-%08d", i);
	return row;
}

static void
flush(struct sandbox *s, struct db *db, int from, int to)
{
	struct flush_bounds bounds = {0};
	struct flush_result result;
	struct errinfo info = {""};
	struct spool *spool;

	assert_int_equal(spool_open(&s->conf, &spool, &info), ERR_OK);
	for (int i = from; i < to; i++) {
		struct logrow row = sample(i);
		assert_int_equal(spool_append(spool, &row), ERR_OK);
	}
	spool_close(spool);
	if (flush_run(&s->conf, db, &bounds, &result, &info) != ERR_OK)
		fail_msg("flush: %s", info.text);
}

/* Of one step and kind, `what` summed. */
static int64_t
sum(struct db *db, int step, enum rollup_kind kind, const char *what, const char *where)
{
	AUTO_FREE char *sql = xasprintf(
	    "SELECT COALESCE(SUM(%s), 0) FROM gptl_rollups WHERE step = %d AND kind = %d %s", what,
	    step, (int)kind, where);

	return sandbox_int(db, sql);
}

static void
check_step(struct db *db, int step)
{
	int64_t final = sandbox_int(db, "SELECT COUNT(*) FROM request_logs WHERE "
					"request_type = 'final'");
	int64_t bad = sandbox_int(db, "SELECT COUNT(*) FROM request_logs WHERE "
				      "request_type = 'final' AND status_code = 503");
	int64_t all = sandbox_int(db, "SELECT COUNT(*) FROM request_logs");
	int64_t tokens = sandbox_int(db, "SELECT SUM(gptl_prompt_tokens) FROM request_logs WHERE "
					 "gptl_prompt_tokens >= 0");

	for (enum rollup_kind k = ROLLUP_GROUP; k <= ROLLUP_MODEL; k++) {
		assert_int_equal(sum(db, step, k, "requests", ""), final);
		assert_int_equal(sum(db, step, k, "errors", ""), bad);
		assert_int_equal(sum(db, step, k, "c5xx", ""), bad);
		assert_int_equal(sum(db, step, k, "c2xx", ""), final - bad);
		assert_int_equal(sum(db, step, k, "retries", ""), all - final);
		assert_int_equal(sum(db, step, k, "prompt_tokens", ""), tokens);
		assert_int_equal(sum(db, step, k, "completion_tokens", ""), 8 * all);
	}
	assert_int_equal(sum(db, step, ROLLUP_KEY, "requests", ""), all);
	assert_int_equal(sum(db, step, ROLLUP_KEY, "requests", "AND item = '3'"), all / 5);
	assert_int_equal(sum(db, step, ROLLUP_PARENT_KEY, "requests", ""), all / 5);
	assert_int_equal(sum(db, step, ROLLUP_MODEL, "requests", "AND item = '=m-1'"),
			 sandbox_int(db, "SELECT COUNT(*) FROM request_logs WHERE "
					 "request_type = 'final' AND model = 'm-1'"));
	assert_int_equal(sum(db, step, ROLLUP_PARENT_GROUP, "requests", "AND group_id = 9"),
			 sandbox_int(db, "SELECT COUNT(*) FROM request_logs WHERE "
					 "request_type = 'final' AND parent_group_id = 9"));
}

static void
test_sums_agree_with_the_rows(void **state)
{
	struct sandbox *s = *state;
	struct db *db = sandbox_db(s);

	flush(s, db, 0, 500);
	check_step(db, ROLLUP_MINUTE);
	check_step(db, ROLLUP_HOUR);
	check_step(db, ROLLUP_DAY);
	/* Rows that are there already, of a spool that was copied, count once. */
	flush(s, db, 400, 600);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(*) FROM request_logs"), 600);
	check_step(db, ROLLUP_HOUR);
	db_close(db);
}

static void
test_items_beyond_the_limit_share_one(void **state)
{
	struct db *db = sandbox_db(*state);
	struct rollup *r = rollup_new();
	char name[24];

	assert_int_equal(db_begin(db), ERR_OK);
	for (int i = 0; i < LIMIT_ROLLUP_KEYS + 50; i++) {
		struct logrow row = sample(8);

		row.time_us = 1000 * 86400 * US_PER_S;
		row.key_id = 1000 + i;
		(void)snprintf(name, sizeof(name), "model-%d", i);
		row.model = str_of(name);
		assert_int_equal(rollup_add(r, db, &row), ERR_OK);
	}
	assert_int_equal(rollup_write(r, db), ERR_OK);
	assert_int_equal(db_commit(db), ERR_OK);
	rollup_free(r);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(DISTINCT item) FROM gptl_rollups "
					 "WHERE kind = 3"),
			 LIMIT_ROLLUP_KEYS + 1);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(DISTINCT item) FROM gptl_rollups "
					 "WHERE kind = 2"),
			 LIMIT_ROLLUP_MODELS + 1);
	assert_int_equal(sum(db, ROLLUP_DAY, ROLLUP_KEY, "requests", "AND item = '*'"), 50);
	db_close(db);
}

static void
add_model(struct rollup *r, struct db *db, const char *model)
{
	struct logrow row = sample(8);

	row.model = str_of(model);
	assert_int_equal(rollup_add(r, db, &row), ERR_OK);
}

/* Two nodes that see the same new models, in another order: neither holds what the other
 * waits for. SQLite has one writer. */
static void
test_new_items_lock_nobody_out(void **state)
{
	struct db *a = sandbox_db(*state);
	struct db *b = sandbox_db(*state);
	struct rollup *of_a = rollup_new();
	struct rollup *of_b = rollup_new();

	if (db_dialect(a) != DB_SQLITE) {
		assert_int_equal(db_begin(a), ERR_OK);
		assert_int_equal(db_begin(b), ERR_OK);
		add_model(of_a, a, "one");
		add_model(of_b, b, "two");
		add_model(of_a, a, "two");
		add_model(of_b, b, "one");
		assert_int_equal(rollup_write(of_a, a), ERR_OK);
		assert_int_equal(db_commit(a), ERR_OK);
		assert_int_equal(rollup_write(of_b, b), ERR_OK);
		assert_int_equal(db_commit(b), ERR_OK);
		assert_int_equal(sandbox_int(a, "SELECT COUNT(*) FROM gptl_rollup_items "
						"WHERE item IN ('=one', '=two')"),
				 2);
	}
	rollup_free(of_a);
	rollup_free(of_b);
	db_close(a);
	db_close(b);
}

/* --- rows of before --- */

static void
fill(struct db *db)
{
	struct errinfo info = {""};
	bool more = true;

	while (more)
		if (rollup_fill_step(db, &more, &info) != ERR_OK)
			fail_msg("%s", info.text);
}

static void
test_rows_of_before_are_added_once(void **state)
{
	struct sandbox *s = *state;
	struct db *db = sandbox_db(s);
	bool complete = true;

	assert_int_equal(rollup_is_complete(db, &complete), ERR_OK);
	assert_false(complete);
	flush(s, db, 0, 300);
	/* As GPT-Load 1.4 left them: no sums, no mark; keys known by their hash. */
	sandbox_exec(db, "DELETE FROM gptl_rollups");
	sandbox_exec(db, "DELETE FROM gptl_rollup_items");
	sandbox_exec(db, "UPDATE request_logs SET gptl_rolled = 0, key_hash = 'hash-3' "
			 "WHERE group_id = 7");
	sandbox_exec(db, "UPDATE request_logs SET gptl_rolled = 0 WHERE group_id = 8");
	sandbox_exec(db, "INSERT INTO \"groups\" (id, name, upstreams, channel_type, test_model) "
			 "VALUES (7, 'a', '[]', 'openai', 'm')");
	sandbox_exec(db, "INSERT INTO api_keys (id, key_value, key_hash, group_id) "
			 "VALUES (3, 'k', 'hash-3', 7)");
	flush(s, db, 300, 400);
	fill(db);
	assert_int_equal(rollup_is_complete(db, &complete), ERR_OK);
	assert_true(complete);
	assert_int_equal(sum(db, ROLLUP_DAY, ROLLUP_GROUP, "requests", ""),
			 sandbox_int(db, "SELECT COUNT(*) FROM request_logs WHERE "
					 "request_type = 'final'"));
	assert_int_equal(sum(db, ROLLUP_DAY, ROLLUP_KEY, "requests", "AND item = '3'"), 150 + 20);
	int64_t before = sum(db, ROLLUP_MINUTE, ROLLUP_GROUP, "requests", "");

	fill(db);
	flush(s, db, 400, 401);
	fill(db);
	assert_int_equal(sum(db, ROLLUP_MINUTE, ROLLUP_GROUP, "requests", ""), before + 1);
	db_close(db);
}

static void
test_old_sums_go(void **state)
{
	struct db *db = sandbox_db(*state);
	int64_t now = clock_wall_us() / US_PER_S;
	const struct {
		int step;
		int64_t age;
	} rows[] = {
	    {ROLLUP_MINUTE, 6 * 3600}, {ROLLUP_MINUTE, 8 * 3600}, {ROLLUP_HOUR, 6 * 86400},
	    {ROLLUP_HOUR, 9 * 86400},  {ROLLUP_DAY, 6 * 86400},   {ROLLUP_DAY, 20 * 86400},
	};
	struct errinfo info = {""};
	bool more = true;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(
		    db_exec(db,
			    "INSERT INTO gptl_rollups (step, kind, time, group_id, item, "
			    "slot) VALUES (?, 1, ?, 7, '7', 3)",
			    DB_ARGS(db_int(rows[i].step), db_int(now - rows[i].age)), NULL),
		    ERR_OK);
	while (more)
		assert_int_equal(rollup_prune_step(db, 10, &more, &info), ERR_OK);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(*) FROM gptl_rollups"), 3);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(DISTINCT step) FROM gptl_rollups"), 3);
	more = true;
	while (more)
		assert_int_equal(rollup_prune_step(db, 1, &more, &info), ERR_OK);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(*) FROM gptl_rollups"), 1);
	db_close(db);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_slots),
	    cmocka_unit_test(test_percentile_error),
	    cmocka_unit_test(test_percentile_of_many),
	    cmocka_unit_test_setup_teardown(test_sums_agree_with_the_rows, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_items_beyond_the_limit_share_one, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_new_items_lock_nobody_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_rows_of_before_are_added_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_old_sums_go, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
