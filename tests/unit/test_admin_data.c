/* SPDX-License-Identifier: MIT
 *
 * The management API's groups, members, keys and logs: whole requests, and what
 * they leave in the DB and in the pool.
 */
#include "lib/clock.h"
#include "lib/json.h"

#include "tests/unit/admin_kit.h"

#define CANARY "sk-canary-0123456789abcdef"

/* --- groups --- */

static void
test_groups(void **state)
{
	struct fixture *f = *state;
	int64_t a = make_group(f, "a", ",\"param_overrides\":{\"seed\": 9007199254740993}");

	assert_has(f, "\"param_overrides\":{\"seed\": 9007199254740993}");
	assert_string_equal(text(data(f), "endpoint"), "http://localhost:3001/proxy/a");
	assert_published(f);
	make_group(f, "b", ",\"sort\":-1");
	assert_int_equal(ask(f, "GET", "/api/groups", ""), 200);
	assert_int_equal(json_object_array_length(data(f)), 2);
	assert_string_equal(text(element(data(f), 0), "name"), "b");
	assert_has(f, "\"param_overrides\":{\"seed\": 9007199254740993}");
	assert_int_equal(ask(f, "GET", "/api/groups/list", ""), 200);
	assert_int_equal(json_object_object_length(element(data(f), 0)), 3);

	assert_int_equal(ask(f, "POST", "/api/groups",
			     "{\"name\":\"a\",\"channel_type\":\"openai\",\"test_model\":\"m\","
			     "\"upstreams\":[{\"url\":\"http://a\"}]}"),
			 409);
	assert_code(f, "DUPLICATE_RESOURCE");
	assert_int_equal(ask(f, "PUT", "/api/groups/1", "{\"display_name\":\"A\"}"), 200);
	assert_string_equal(text(data(f), "display_name"), "A");
	assert_has(f, "9007199254740993");
	assert_int_equal(ask(f, "PUT", "/api/groups/1", "{\"upstreams\":[{\"url\":\"x\"}]}"), 400);
	assert_code(f, "VALIDATION_FAILED");
	assert_published(f);

	assert_int_equal(ask(f, "GET", "/api/groups/1/stats", ""), 200);
	assert_int_equal(number(json_get(data(f), "key_stats"), "total_keys"), 0);
	assert_int_equal(ask(f, "GET", "/api/groups/77/stats", ""), 404);
	assert_int_equal(ask(f, "GET", "/api/groups/config-options", ""), 200);
	assert_int_equal(json_object_array_length(data(f)), 14);
	assert_int_equal(ask(f, "DELETE", "/api/groups/1", ""), 200);
	assert_false(json_has(f->json, "data"));
	assert_int_equal(ask(f, "DELETE", "/api/groups/1", ""), 404);
	assert_published(f);
	assert_int_equal(a, 1);
}

/* Hourly rows count into the windows that they are in, the current hour included. */
static void
test_stats(void **state)
{
	struct fixture *f = *state;
	static const int hours_ago[] = {0, 23, 24, 167, 168, 719, 720};
	const int64_t hour_us = INT64_C(3600000000);
	int64_t id = make_group(f, "a", "");
	int64_t hour = clock_wall_us() / hour_us * hour_us;

	for (size_t i = 0; i < ARRAY_LEN(hours_ago); i++)
		assert_int_equal(
		    db_exec(f->admin.db,
			    "INSERT INTO group_hourly_stats (time, group_id, "
			    "success_count, failure_count) VALUES (?, ?, 2, 1)",
			    DB_ARGS(db_time(hour - hours_ago[i] * hour_us), db_int(id)), NULL),
		    ERR_OK);
	assert_int_equal(ask(f, "GET", "/api/groups/1/stats", ""), 200);
	assert_int_equal(number(json_get(data(f), "stats_24_hour"), "total_requests"), 6);
	assert_int_equal(number(json_get(data(f), "stats_24_hour"), "failed_requests"), 2);
	assert_int_equal(number(json_get(data(f), "stats_7_day"), "total_requests"), 12);
	assert_int_equal(number(json_get(data(f), "stats_30_day"), "total_requests"), 18);
	assert_has(f, "\"failure_rate\":0.3333}");
}

static void
test_members(void **state)
{
	struct fixture *f = *state;

	make_group(f, "a", "");
	make_group(f, "b", "");
	make_group(f, "agg", ",\"group_type\":\"aggregate\"");
	assert_int_equal(ask(f, "POST", "/api/groups/3/sub-groups",
			     "{\"sub_groups\":[{\"group_id\":1,\"weight\":2},{\"group_id\":2}]}"),
			 200);
	assert_int_equal(ask(f, "GET", "/api/groups/3/sub-groups", ""), 200);
	assert_int_equal(json_object_array_length(data(f)), 2);
	assert_string_equal(text(json_get(element(data(f), 0), "group"), "name"), "a");
	assert_int_equal(number(element(data(f), 0), "weight"), 2);
	assert_int_equal(number(element(data(f), 0), "active_keys"), 0);
	assert_int_equal(ask(f, "GET", "/api/groups/1/sub-groups", ""), 400);
	assert_code(f, "BAD_REQUEST");
	assert_int_equal(ask(f, "POST", "/api/groups/3/sub-groups", "{\"sub_groups\":[]}"), 400);
	assert_int_equal(ask(f, "POST", "/api/groups/3/sub-groups", "{\"sub_groups\":{}}"), 400);
	assert_code(f, "INVALID_JSON");
	assert_int_equal(ask(f, "PUT", "/api/groups/3/sub-groups/2/weight", "{\"weight\":7}"), 200);
	assert_int_equal(ask(f, "PUT", "/api/groups/3/sub-groups/2/weight", "{\"weight\":1001}"),
			 400);
	assert_int_equal(ask(f, "PUT", "/api/groups/3/sub-groups/9/weight", "{\"weight\":1}"), 404);
	assert_int_equal(ask(f, "GET", "/api/groups/2/parent-aggregate-groups", ""), 200);
	assert_int_equal(number(element(data(f), 0), "group_id"), 3);
	assert_int_equal(number(element(data(f), 0), "weight"), 7);
	assert_int_equal(ask(f, "PUT", "/api/groups/1", "{\"channel_type\":\"gemini\"}"), 400);
	assert_int_equal(ask(f, "DELETE", "/api/groups/3/sub-groups/2", ""), 200);
	assert_int_equal(ask(f, "DELETE", "/api/groups/3/sub-groups/2", ""), 404);
	assert_int_equal(
	    ask(f, "POST", "/api/keys/add-multiple", "{\"group_id\":3,\"keys_text\":\"k\"}"), 400);
	assert_code(f, "VALIDATION_FAILED");
	assert_published(f);
}

/* --- keys --- */

static void
blame(struct fixture *f, int64_t key_id)
{
	const struct report r = {.group_id = 1,
				 .key_id = key_id,
				 .verdict = VERDICT_BLAMED,
				 .threshold = 1,
				 .status = 401,
				 .error = STR("no such key")};

	pool_report(f->admin.pool, &r, NULL, NULL);
}

static void
test_keys(void **state)
{
	struct fixture *f = *state;

	make_group(f, "a", "");
	assert_int_equal(ask(f, "POST", "/api/keys/add-multiple",
			     "{\"group_id\":1,\"keys_text\":\"k1 k2,k3;k1\"}"),
			 200);
	assert_int_equal(number(data(f), "added_count"), 3);
	assert_int_equal(number(data(f), "ignored_count"), 1);
	assert_int_equal(number(data(f), "total_in_group"), 3);
	assert_published(f);

	/* What the pool did shows at once, and the filter agrees. */
	blame(f, 2);
	assert_int_equal(ask(f, "GET", "/api/keys?group_id=1&status=invalid", ""), 200);
	struct json_object *items = json_get(data(f), "items");
	assert_int_equal(json_object_array_length(items), 1);
	assert_string_equal(text(element(items, 0), "key_value"), "k2");
	assert_string_equal(text(element(items, 0), "state"), "invalid");
	assert_string_equal(text(element(items, 0), "last_error"), "no such key");
	assert_int_equal(number(element(items, 0), "last_status"), 401);
	assert_int_equal(number(json_get(data(f), "pagination"), "total_items"), 1);
	assert_int_equal(ask(f, "GET", "/api/groups/1/stats", ""), 200);
	assert_int_equal(number(json_get(data(f), "key_stats"), "invalid_keys"), 1);

	assert_int_equal(ask(f, "POST", "/api/keys/restore-multiple",
			     "{\"group_id\":1,\"keys_text\":\"k2 k3 k9\"}"),
			 200);
	assert_int_equal(number(data(f), "restored_count"), 1);
	assert_int_equal(
	    sandbox_int(f->admin.db, "SELECT COUNT(*) FROM api_keys WHERE status = 'active'"), 3);
	blame(f, 1);
	blame(f, 3);
	assert_int_equal(ask(f, "POST", "/api/keys/restore-all-invalid", "{\"group_id\":1}"), 200);
	assert_int_equal(number(data(f), "restored_count"), 2);
	blame(f, 1);
	assert_int_equal(ask(f, "POST", "/api/keys/clear-all-invalid", "{\"group_id\":1}"), 200);
	assert_int_equal(number(data(f), "deleted_count"), 1);
	assert_int_equal(ask(f, "POST", "/api/keys/delete-multiple",
			     "{\"group_id\":1,\"keys_text\":\"[\\\"k2\\\",\\\"k9\\\"]\"}"),
			 200);
	assert_int_equal(number(data(f), "deleted_count"), 1);
	assert_int_equal(number(data(f), "ignored_count"), 1);
	struct pool_counts counts;
	assert_int_equal(pool_counts(f->admin.pool, 1, &counts), ERR_OK);
	assert_int_equal(counts.by_state[KEY_ACTIVE], 1);
	assert_int_equal(ask(f, "POST", "/api/keys/clear-all", "{\"group_id\":1}"), 200);
	assert_int_equal(number(data(f), "deleted_count"), 1);
	assert_int_equal(pool_counts(f->admin.pool, 1, &counts), ERR_OK);
	assert_int_equal(counts.by_state[KEY_ACTIVE], 0);
	assert_published(f);
}

static void
test_key_input(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *body;
		int status;
		const char *code;
	} bodies[] = {
	    {"{}", 400, "INVALID_JSON"},
	    {"{\"keys_text\":\"a\"}", 400, "INVALID_JSON"},
	    {"{\"group_id\":0,\"keys_text\":\"a\"}", 400, "INVALID_JSON"},
	    {"{\"group_id\":\"1\",\"keys_text\":\"a\"}", 400, "INVALID_JSON"},
	    {"{\"group_id\":1,\"keys_text\":\"\"}", 400, "INVALID_JSON"},
	    {"{\"group_id\":1,\"keys_text\":[\"a\"]}", 400, "INVALID_JSON"},
	    {"{\"group_id\":1,\"keys_text\":\" \"}", 400, "VALIDATION_FAILED"},
	    {"{\"group_id\":1,\"keys_text\":\"[\\\"a\\\"\"}", 400, "VALIDATION_FAILED"},
	    {"{\"group_id\":9,\"keys_text\":\"a\"}", 404, "NOT_FOUND"},
	};
	static const char *const paths[] = {"/api/keys/add-multiple", "/api/keys/delete-multiple",
					    "/api/keys/restore-multiple"};

	make_group(f, "a", "");
	for (size_t p = 0; p < ARRAY_LEN(paths); p++) {
		for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
			assert_int_equal(ask(f, "POST", paths[p], bodies[i].body),
					 bodies[i].status);
			assert_code(f, bodies[i].code);
		}
	}
	assert_int_equal(ask(f, "GET", "/api/keys", ""), 400);
	assert_int_equal(ask(f, "GET", "/api/keys?group_id=x", ""), 400);
	assert_int_equal(ask(f, "GET", "/api/keys?group_id=1&status=bad", ""), 400);
	assert_int_equal(ask(f, "GET", "/api/keys?group_id=9", ""), 404);
	assert_int_equal(sandbox_int(f->admin.db, "SELECT COUNT(*) FROM api_keys"), 0);
}

static void
test_paging(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *query;
		int64_t page;
		int64_t size;
	} pages[] = {
	    {"", 1, 15},
	    {"&page_size=0", 1, 15},
	    {"&page_size=-1", 1, 15},
	    {"&page_size=abc", 1, 15},
	    {"&page_size=5000", 1, 1000},
	    {"&page=0", 1, 15},
	    {"&page=x&page_size=2", 1, 2},
	    {"&page=2&page_size=2", 2, 2},
	    {"&page=2147483647&page_size=1000", 2147483647, 1000},
	};
	char uri[128];

	make_group(f, "a", "");
	assert_int_equal(
	    ask(f, "POST", "/api/keys/add-multiple", "{\"group_id\":1,\"keys_text\":\"k1 k2 k3\"}"),
	    200);
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		(void)snprintf(uri, sizeof(uri), "/api/keys?group_id=1%s", pages[i].query);
		assert_int_equal(ask(f, "GET", uri, ""), 200);
		struct json_object *p = json_get(data(f), "pagination");
		assert_int_equal(number(p, "page"), pages[i].page);
		assert_int_equal(number(p, "page_size"), pages[i].size);
		assert_int_equal(number(p, "total_items"), 3);
	}
	assert_int_equal(ask(f, "GET", "/api/keys?group_id=1&page=2&page_size=2", ""), 200);
	assert_int_equal(json_object_array_length(json_get(data(f), "items")), 1);
	assert_int_equal(number(json_get(data(f), "pagination"), "total_pages"), 2);
	assert_int_equal(ask(f, "GET", "/api/keys?group_id=1&key_value=k2", ""), 200);
	assert_int_equal(json_object_array_length(json_get(data(f), "items")), 1);
}

static void
test_masks(void **state)
{
	struct fixture *f = *state;

	f->sandbox->conf.mask_keys = true;
	make_group(f, "a", ",\"proxy_keys\":\"" CANARY "\"");
	assert_hasnt(f, CANARY);
	assert_string_equal(text(data(f), "proxy_keys"), "sk-c****cdef");
	assert_int_equal(ask(f, "POST", "/api/keys/add-multiple",
			     "{\"group_id\":1,\"keys_text\":\"" CANARY "\"}"),
			 200);
	assert_int_equal(ask(f, "GET", "/api/keys?group_id=1", ""), 200);
	assert_hasnt(f, CANARY);
	/* What was shown masked and comes back changes nothing. */
	assert_int_equal(ask(f, "PUT", "/api/groups/1", "{\"proxy_keys\":\"sk-c****cdef\"}"), 200);
	assert_int_equal(ask(f, "PUT", "/api/settings", "{\"proxy_keys\":\"" CANARY ",x\"}"), 200);
	assert_int_equal(ask(f, "GET", "/api/settings", ""), 200);
	assert_hasnt(f, CANARY);
	assert_int_equal(ask(f, "PUT", "/api/settings", "{\"proxy_keys\":\"sk-c****cdef,y\"}"),
			 200);
	f->sandbox->conf.mask_keys = false;
	assert_int_equal(ask(f, "GET", "/api/groups", ""), 200);
	assert_string_equal(text(element(data(f), 0), "proxy_keys"), CANARY);
	assert_int_equal(ask(f, "GET", "/api/settings", ""), 200);
	assert_has(f, "\"value\":\"" CANARY ",y\"");
}

/* --- logs --- */

static void
add_log(struct fixture *f, const char *id, int64_t us, const char *model, int status,
	const char *type)
{
	assert_int_equal(
	    db_exec(f->admin.db,
		    "INSERT INTO request_logs (id, timestamp, group_id, group_name, "
		    "key_value, key_hash, model, is_success, status_code, duration, "
		    "request_type, is_stream, error_message) "
		    "VALUES (?, ?, 1, 'a', 'k', "
		    "'8254c329a92850f6d539dd376f4816ee2764517da5e0235514af433164480d7a', "
		    "?, ?, ?, 5, ?, ?, '50% off')",
		    DB_ARGS(db_cstr(id), db_time(us), db_cstr(model), db_bool(status < 400),
			    db_int(status), db_cstr(type), db_bool(false)),
		    NULL),
	    ERR_OK);
}

static void
test_logs(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *query;
		const char *ids; /* in order */
	} filters[] = {
	    {"", "4321"},
	    {"page_size=2", "43"},
	    {"page_size=2&page=2", "21"},
	    {"page=9", ""},
	    {"model=gpt", "21"},
	    {"model=g_t", ""},
	    {"model=%25", ""},
	    {"error_contains=50%25", "4321"},
	    {"error_contains=5!", ""},
	    {"group_name=a", "4321"},
	    {"parent_group_name=a", ""},
	    {"is_success=true", "31"},
	    {"is_success=F", "42"},
	    {"request_type=retry", "2"},
	    {"status_code=429", "42"},
	    {"status_code=429&request_type=final", "4"},
	    {"key_value=k", "4321"},
	    {"key_value=other", ""},
	    {"start_time=2026-01-01T00:00:02Z", "432"},
	    {"end_time=2026-01-01T08:00:01%2B08:00", "1"},
	    {"source_ip=192.0.2.1", ""},
	};
	static const char *const bad[] = {"is_success=maybe", "request_type=all", "status_code=4xx",
					  "start_time=yesterday", "end_time=2026-01-01"};
	const int64_t base = INT64_C(1767225600000000); /* 2026-01-01 */
	char uri[256];

	assert_int_equal(ask(f, "GET", "/api/logs", ""), 200);
	add_log(f, "1", base + 1000000, "gpt-5", 200, "final");
	add_log(f, "2", base + 2000000, "gpt-5", 429, "retry");
	add_log(f, "3", base + 3000000, "claude", 200, "final");
	add_log(f, "4", base + 3000000, "claude", 429, "final");
	for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
		char ids[16] = "";
		(void)snprintf(uri, sizeof(uri), "/api/logs?%s", filters[i].query);
		assert_int_equal(ask(f, "GET", uri, ""), 200);
		struct json_object *items = json_get(data(f), "items");
		for (size_t k = 0; k < json_object_array_length(items); k++)
			ids[k] = text(element(items, k), "id")[0];
		if (strcmp(ids, filters[i].ids) != 0)
			fail_msg("%s: %s", filters[i].query, ids);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		(void)snprintf(uri, sizeof(uri), "/api/logs?%s", bad[i]);
		assert_int_equal(ask(f, "GET", uri, ""), 400);
		assert_code(f, "VALIDATION_FAILED");
	}
	assert_int_equal(ask(f, "GET", "/api/logs?page_size=1", ""), 200);
	struct json_object *row = element(json_get(data(f), "items"), 0);
	assert_string_equal(text(row, "key_value"), "k");
	assert_int_equal(number(row, "parent_group_id"), 0);
	assert_int_equal(number(row, "duration_ms"), 5);
	assert_int_equal(number(row, "attempt"), 1);
	assert_true(json_has(row, "prompt_tokens") && json_get(row, "prompt_tokens") == NULL);
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, kit_setup, kit_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_groups),    TEST(test_stats),  TEST(test_members), TEST(test_keys),
	    TEST(test_key_input), TEST(test_paging), TEST(test_masks),   TEST(test_logs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
