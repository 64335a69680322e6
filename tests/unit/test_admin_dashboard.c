/* SPDX-License-Identifier: MIT
 *
 * The dashboard's numbers against rows that the test puts into the DB, and what it says
 * of secrets.
 */
#include "lib/clock.h"
#include "lib/json.h"

#include "tests/unit/admin_kit.h"

#define HOUR_US INT64_C(3600000000)

static void
add_hour(struct fixture *f, int64_t group_id, int hours_ago, int good, int bad)
{
	int64_t hour = clock_wall_us() / HOUR_US * HOUR_US;

	assert_int_equal(db_exec(f->admin.db,
				 "INSERT INTO group_hourly_stats (time, group_id, success_count, "
				 "failure_count) VALUES (?, ?, ?, ?)",
				 DB_ARGS(db_time(hour - hours_ago * HOUR_US), db_int(group_id),
					 db_int(good), db_int(bad)),
				 NULL),
			 ERR_OK);
}

static void
add_log(struct fixture *f, int64_t us_ago, const char *type, int64_t parent)
{
	char id[37];

	uuid7(id);
	assert_int_equal(
	    db_exec(f->admin.db,
		    "INSERT INTO request_logs (id, timestamp, group_id, parent_group_id, "
		    "is_success, status_code, duration, request_type, is_stream) "
		    "VALUES (?, ?, 1, ?, 1, 200, 1, ?, 0)",
		    DB_ARGS(db_cstr(id), db_time(clock_wall_us() - us_ago), db_int(parent),
			    db_cstr(type)),
		    NULL),
	    ERR_OK);
}

static struct json_object *
card(struct fixture *f, const char *name)
{
	assert_int_equal(ask(f, "GET", "/api/dashboard/stats", ""), 200);
	return json_get(data(f), name);
}

static void
assert_card(struct fixture *f, const char *name, const char *value, const char *trend, bool good)
{
	struct json_object *c = card(f, name);

	assert_string_equal(text(c, "value"), value);
	assert_string_equal(text(c, "trend"), trend);
	assert_string_equal(text(c, "trend_is_growth"), good ? "true" : "false");
}

static void
test_empty(void **state)
{
	struct fixture *f = *state;

	assert_card(f, "key_count", "0", "0", false);
	assert_card(f, "rpm", "0", "0", true);
	assert_card(f, "request_count", "0", "0", true);
	assert_card(f, "error_rate", "0", "0", true);
}

/* The value has the 24 hours with the current one; the trend compares whole ones. */
static void
test_windows(void **state)
{
	struct fixture *f = *state;

	make_group(f, "a", "");
	add_hour(f, 1, 0, 1000, 0);
	add_hour(f, 1, 23, 30, 10);
	assert_card(f, "request_count", "1040", "100", true);
	assert_card(f, "error_rate", "0.96", "25", false);
	add_hour(f, 1, 25, 80, 0);
	assert_card(f, "request_count", "1040", "-50", false);
	add_hour(f, 1, 48, 0, 20);
	assert_card(f, "request_count", "1040", "-60", false);
	assert_card(f, "error_rate", "0.96", "5", false);
	add_hour(f, 1, 49, 1000, 0);
	assert_card(f, "request_count", "1040", "-60", false);
}

static void
test_rpm(void **state)
{
	struct fixture *f = *state;
	const int64_t minute = INT64_C(60000000);

	make_group(f, "a", "");
	for (int i = 0; i < 15; i++)
		add_log(f, minute, "final", 0);
	add_log(f, minute, "retry", 0);
	for (int i = 0; i < 10; i++)
		add_log(f, 11 * minute, "final", 0);
	add_log(f, 21 * minute, "final", 0);
	assert_card(f, "rpm", "1.5", "50", true);
}

/* An aggregate's hours are its members' again, also after it has been deleted. */
static void
test_aggregates_count_once(void **state)
{
	struct fixture *f = *state;

	make_group(f, "a", "");
	make_group(f, "agg", ",\"group_type\":\"aggregate\"");
	make_group(f, "gone", "");
	add_hour(f, 1, 1, 5, 0);
	add_hour(f, 2, 1, 5, 0);
	add_hour(f, 3, 1, 7, 0);
	add_log(f, 1000, "final", 2);
	assert_card(f, "request_count", "12", "100", true);
	assert_int_equal(ask(f, "DELETE", "/api/groups/2", ""), 200);
	assert_int_equal(ask(f, "DELETE", "/api/groups/3", ""), 200);
	assert_card(f, "request_count", "12", "100", true);
}

static int64_t
sum(struct json_object *values)
{
	int64_t all = 0;

	assert_int_equal(json_object_array_length(values), 24);
	for (size_t i = 0; i < 24; i++)
		all += json_object_get_int64(element(values, i));
	return all;
}

static void
test_chart(void **state)
{
	struct fixture *f = *state;

	make_group(f, "a", "");
	make_group(f, "agg", ",\"group_type\":\"aggregate\"");
	add_hour(f, 1, 0, 3, 1);
	add_hour(f, 1, 23, 4, 2);
	add_hour(f, 1, 24, 100, 100);
	add_hour(f, 2, 0, 3, 0);
	assert_int_equal(ask(f, "GET", "/api/dashboard/chart", ""), 200);
	struct json_object *sets = json_get(data(f), "datasets");
	assert_int_equal(json_object_array_length(json_get(data(f), "labels")), 24);
	assert_string_equal(text(element(sets, 0), "id"), "success");
	assert_int_equal(sum(json_get(element(sets, 0), "data")), 7);
	assert_int_equal(sum(json_get(element(sets, 1), "data")), 3);
	assert_int_equal(json_object_get_int64(element(json_get(element(sets, 0), "data"), 23)), 3);
	assert_int_equal(ask(f, "GET", "/api/dashboard/chart?groupId=2", ""), 200);
	sets = json_get(data(f), "datasets");
	assert_int_equal(sum(json_get(element(sets, 0), "data")), 3);
	assert_int_equal(ask(f, "GET", "/api/dashboard/chart?groupId=x", ""), 400);
}

static void
test_keys_and_warnings(void **state)
{
	struct fixture *f = *state;

	make_group(f, "a", ",\"proxy_keys\":\"sk-123456,Ab0-Ab0-Ab0-Ab0-Ab0-Ab0-Ab0-Ab0-\"");
	assert_int_equal(
	    ask(f, "POST", "/api/keys/add-multiple", "{\"group_id\":1,\"keys_text\":\"k1 k2 k3\"}"),
	    200);
	assert_int_equal(sandbox_int(f->admin.db, "SELECT COUNT(*) FROM api_keys"), 3);
	sandbox_exec(f->admin.db, "UPDATE api_keys SET status = 'invalid' WHERE id = 1");
	sandbox_exec(f->admin.db, "UPDATE api_keys SET status = 'disabled' WHERE id = 2");
	struct json_object *keys = card(f, "key_count");
	assert_int_equal(number(keys, "value"), 1);
	assert_int_equal(number(keys, "sub_value"), 1);

	assert_has(f, "ENCRYPTION_KEY is not set");
	assert_has(f, "a: proxy_keys #1 is shorter than 16 characters");
	assert_has(f, "a: proxy_keys #1 contains a word");
	assert_hasnt(f, "a: proxy_keys #2");
	assert_has(f, "AUTH_KEY is shorter than 32 characters");
	assert_hasnt(f, "sk-123456");
}

static void
test_encryption_status(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, "GET", "/api/dashboard/encryption-status", ""), 200);
	assert_string_equal(text(data(f), "scenario_type"), "");
	make_group(f, "a", "");
	assert_int_equal(
	    ask(f, "POST", "/api/keys/add-multiple", "{\"group_id\":1,\"keys_text\":\"k1 k2 k3\"}"),
	    200);
	assert_int_equal(ask(f, "GET", "/api/dashboard/encryption-status", ""), 200);
	assert_string_equal(text(data(f), "has_mismatch"), "false");

	crypt_free(f->admin.crypt);
	f->admin.crypt = NULL;
	f->sandbox->conf.encryption_key = xstrdup("another password");
	assert_int_equal(ask(f, "GET", "/api/dashboard/encryption-status", ""), 200);
	assert_string_equal(text(data(f), "scenario_type"), "data_not_encrypted");
	sandbox_exec(f->admin.db, "UPDATE api_keys SET key_value = 'abcd'");
	assert_int_equal(ask(f, "GET", "/api/dashboard/encryption-status", ""), 200);
	assert_string_equal(text(data(f), "scenario_type"), "key_mismatch");
	free(f->sandbox->conf.encryption_key);
	f->sandbox->conf.encryption_key = NULL;
	crypt_free(f->admin.crypt);
	f->admin.crypt = NULL;
	assert_int_equal(ask(f, "GET", "/api/dashboard/encryption-status", ""), 200);
	assert_string_equal(text(data(f), "scenario_type"), "key_not_configured");
	assert_true(text(data(f), "suggestion")[0] != '\0');
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, kit_setup, kit_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_empty),
	    TEST(test_windows),
	    TEST(test_rpm),
	    TEST(test_aggregates_count_once),
	    TEST(test_chart),
	    TEST(test_keys_and_warnings),
	    TEST(test_encryption_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
