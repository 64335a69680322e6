/* SPDX-License-Identifier: MIT
 *
 * The management API's single rows, copies, orders and downloads: whole requests.
 */
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/key.h"

#include "tests/unit/admin_kit.h"

#include <stdio.h>

static void
add_keys(struct fixture *f, int64_t group_id, const char *keys)
{
	char *body =
	    xasprintf("{\"group_id\":%lld,\"keys_text\":\"%s\"}", (long long)group_id, keys);

	assert_int_equal(ask(f, "POST", "/api/keys/add-multiple", body), 200);
	free(body);
}

/* The body of a download, which need not be JSON. */
static const char *
download(struct fixture *f, const char *uri)
{
	assert_int_equal(ask(f, "GET", uri, ""), 200);
	return strstr(f->output.p, "\r\n\r\n") + 4;
}

static void
test_one_group(void **state)
{
	struct fixture *f = *state;

	make_group(f, "a", "");
	assert_int_equal(ask(f, "GET", "/api/groups/1", ""), 200);
	assert_string_equal(text(data(f), "name"), "a");
	assert_int_equal(ask(f, "GET", "/api/groups/9", ""), 404);
	assert_int_equal(ask(f, "GET", "/api/groups/list", ""), 200);
	assert_true(json_object_is_type(data(f), json_type_array));
	assert_int_equal(ask(f, "DELETE", "/api/groups/list", ""), 405);
	assert_int_equal(ask(f, "GET", "/api/version", ""), 200);
	assert_string_equal(text(data(f), "database"), "sqlite");
}

static void
test_reorder(void **state)
{
	struct fixture *f = *state;
	static const char *const refused[] = {
	    "{\"items\":[]}",
	    "{\"items\":[{\"id\":0,\"sort\":1}]}",
	    "{\"items\":[{\"id\":1,\"sort\":5},{\"id\":2,\"sort\":-1}]}",
	    "{\"items\":[{\"id\":1,\"sort\":5},{\"id\":1,\"sort\":6}]}",
	    "{\"items\":[{\"id\":1,\"sort\":5},{\"id\":77,\"sort\":6}]}",
	};

	make_group(f, "a", "");
	make_group(f, "b", "");
	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		assert_int_equal(ask(f, "PUT", "/api/groups/reorder", refused[i]), 400);
		assert_code(f, "VALIDATION_FAILED");
		assert_int_equal(sandbox_int(f->admin.db, "SELECT SUM(sort) FROM groups"), 0);
	}
	assert_int_equal(ask(f, "PUT", "/api/groups/reorder", "{\"items\":[{\"id\":\"1\"}]}"), 400);
	assert_code(f, "INVALID_JSON");
	assert_int_equal(ask(f, "PUT", "/api/groups/reorder",
			     "{\"items\":[{\"id\":1,\"sort\":1},{\"id\":2,\"sort\":2}]}"),
			 200);
	assert_false(json_has(f->json, "data"));
	assert_int_equal(ask(f, "GET", "/api/groups", ""), 200);
	assert_string_equal(text(element(data(f), 0), "name"), "a");
	assert_published(f);
}

static void
disable(struct fixture *f, const char *uri)
{
	assert_int_equal(
	    ask(f, "PUT", uri, "{\"status\":\"disabled\",\"reason\":\" over budget \"}"), 200);
}

static void
test_copy(void **state)
{
	struct fixture *f = *state;
	struct pool_counts counts;

	make_group(f, "a", ",\"display_name\":\"A\",\"proxy_keys\":\"p\"");
	add_keys(f, 1, "k1 k2 k3");
	disable(f, "/api/keys/2/status");
	assert_int_equal(ask(f, "POST", "/api/groups/1/copy", "{}"), 200);
	struct json_object *group = json_get(data(f), "group");
	assert_string_equal(text(group, "name"), "a_copy");
	assert_string_equal(text(group, "display_name"), "A Copy");
	assert_string_equal(text(group, "proxy_keys"), "p");
	assert_published(f);
	assert_int_equal(pool_counts(f->admin.pool, 2, &counts), ERR_OK);
	assert_int_equal(counts.by_state[KEY_ACTIVE], 2);
	assert_int_equal(counts.by_state[KEY_DISABLED], 1);

	assert_int_equal(ask(f, "POST", "/api/groups/1/copy", "{\"copy_keys\":\"valid_only\"}"),
			 200);
	assert_string_equal(text(json_get(data(f), "group"), "name"), "a_copy_2");
	assert_int_equal(pool_counts(f->admin.pool, 3, &counts), ERR_OK);
	assert_int_equal(counts.by_state[KEY_ACTIVE], 2);
	assert_int_equal(counts.by_state[KEY_DISABLED], 0);
	assert_int_equal(ask(f, "POST", "/api/groups/1/copy", "{\"copy_keys\":\"none\"}"), 200);
	assert_int_equal(sandbox_int(f->admin.db, "SELECT COUNT(*) FROM api_keys"), 8);
	assert_int_equal(ask(f, "POST", "/api/groups/1/copy", "{\"copy_keys\":\"some\"}"), 400);
	assert_int_equal(ask(f, "POST", "/api/groups/1/copy", ""), 400);
	assert_code(f, "INVALID_JSON");
	assert_int_equal(ask(f, "POST", "/api/groups/99/copy", "{}"), 404);
}

/* An aggregate takes its members along, and no name grows beyond what is allowed. */
static void
test_copy_members_and_names(void **state)
{
	struct fixture *f = *state;
	char name[101];

	make_group(f, "a", "");
	memset(name, 'x', 100);
	name[100] = '\0';
	make_group(f, name, ",\"group_type\":\"aggregate\"");
	assert_int_equal(ask(f, "POST", "/api/groups/2/sub-groups",
			     "{\"sub_groups\":[{\"group_id\":1,\"weight\":4}]}"),
			 200);
	assert_int_equal(ask(f, "POST", "/api/groups/2/copy", "{}"), 200);
	assert_int_equal(strlen(text(json_get(data(f), "group"), "name")), 100);
	assert_int_equal(ask(f, "POST", "/api/groups/2/copy", "{}"), 200);
	assert_int_equal(ask(f, "GET", "/api/groups/4/sub-groups", ""), 200);
	assert_int_equal(number(element(data(f), 0), "weight"), 4);
}

static void
test_one_key(void **state)
{
	struct fixture *f = *state;
	char *notes = xasprintf("{\"notes\":\"%0256d\"}", 1);
	struct key_info info;

	make_group(f, "a", "");
	add_keys(f, 1, "k1 k2");
	assert_int_equal(ask(f, "GET", "/api/keys/2", ""), 200);
	assert_string_equal(text(data(f), "key_value"), "k2");
	assert_int_equal(ask(f, "GET", "/api/keys/3", ""), 404);
	assert_int_equal(ask(f, "GET", "/api/keys/x", ""), 400);
	assert_int_equal(ask(f, "GET", "/api/keys/clear-all", ""), 405);

	assert_int_equal(ask(f, "PUT", "/api/keys/1/notes", "{\"notes\":\" mine \"}"), 200);
	assert_int_equal(ask(f, "PUT", "/api/keys/1/notes", notes), 400);
	assert_code(f, "VALIDATION_FAILED");
	assert_int_equal(ask(f, "PUT", "/api/keys/1/notes", "{}"), 400);
	assert_int_equal(ask(f, "PUT", "/api/keys/9/notes", "{\"notes\":\"\"}"), 404);
	free(notes);

	disable(f, "/api/keys/1/status");
	assert_string_equal(text(data(f), "status"), "disabled");
	assert_string_equal(text(data(f), "disabled_reason"), "over budget");
	assert_string_equal(text(data(f), "notes"), "mine");
	assert_int_equal(
	    sandbox_int(f->admin.db, "SELECT COUNT(*) FROM api_keys WHERE status = 'disabled'"), 1);
	assert_int_equal(ask(f, "PUT", "/api/keys/1/status", "{\"status\":\"active\"}"), 200);
	assert_string_equal(text(data(f), "disabled_reason"), "");
	assert_int_equal(pool_key_info(f->admin.pool, 1, &info), ERR_OK);
	assert_int_equal(info.state, KEY_ACTIVE);
	assert_int_equal(ask(f, "PUT", "/api/keys/1/status", "{\"status\":\"invalid\"}"), 400);
	assert_int_equal(ask(f, "PUT", "/api/keys/9/status", "{\"status\":\"active\"}"), 404);
}

static void
test_export_keys(void **state)
{
	struct fixture *f = *state;
	struct buf keys;

	make_group(f, "a", "");
	add_keys(f, 1, "k1 k2 k3");
	disable(f, "/api/keys/2/status");
	assert_string_equal(download(f, "/api/keys/export?group_id=1"), "k1\nk2\nk3\n");
	assert_has(f, "Content-Type: text/plain; charset=utf-8\r\n");
	assert_has(f, "Content-Disposition: attachment; filename=\"keys-a-all.txt\"\r\n");
	assert_hasnt(f, "Content-Length");
	assert_string_equal(download(f, "/api/keys/export?group_id=1&status=active"), "k1\nk3\n");
	assert_string_equal(download(f, "/api/keys/export?group_id=1&status=invalid"), "");
	assert_int_equal(ask(f, "HEAD", "/api/keys/export?group_id=1", ""), 200);
	assert_hasnt(f, "k1");
	assert_int_equal(ask(f, "GET", "/api/keys/export?group_id=1&status=odd", ""), 400);
	assert_int_equal(ask(f, "GET", "/api/keys/export", ""), 400);
	assert_int_equal(ask(f, "GET", "/api/keys/export?group_id=9", ""), 404);

	/* More than one portion, each key once and in order. */
	buf_init(&keys, 1 << 20);
	for (int i = 0; i < 1203; i++)
		buf_printf(&keys, "many-%d ", i);
	make_group(f, "b", "");
	add_keys(f, 2, buf_text(&keys));
	struct str rest = str_of(download(f, "/api/keys/export?group_id=2"));
	struct str line;
	for (int i = 0; i < 1203; i++) {
		char want[32];
		(void)snprintf(want, sizeof(want), "many-%d", i);
		assert_true(str_split(&rest, '\n', &line));
		assert_true(str_is(line, want));
	}
	assert_int_equal(rest.n, 0);
	buf_done(&keys);
}

static void
add_log(struct fixture *f, const char *id, const char *key, int status, int64_t us)
{
	char hash[CRYPT_HASH_HEX + 1];
	uint8_t digest[32];

	sha256(str_of(key), digest);
	hex_encode(hash, digest, sizeof(digest));
	assert_int_equal(
	    db_exec(f->admin.db,
		    "INSERT INTO request_logs (id, timestamp, group_id, group_name, key_value, "
		    "key_hash, model, is_success, source_ip, status_code, request_path, duration, "
		    "request_type, is_stream) VALUES (?,?,1,'a',?,?,'m',1,'',?,'/',1,'final',0)",
		    DB_ARGS(db_cstr(id), db_time(us), db_cstr(key), db_cstr(hash), db_int(status)),
		    NULL),
	    ERR_OK);
}

static void
test_one_log_and_export(void **state)
{
	struct fixture *f = *state;
	int64_t now = clock_wall_us();

	make_group(f, "a", "");
	add_log(f, "row-1", "k1", 200, now - 3000000);
	add_log(f, "row-2", "k1", 429, now - 1000000);
	add_log(f, "row-3", "odd\\\"key,x", 500, now - 2000000);
	add_log(f, "row-4", "", 503, now);
	assert_int_equal(ask(f, "GET", "/api/logs/row-2", ""), 200);
	assert_int_equal(number(data(f), "status_code"), 429);
	assert_int_equal(ask(f, "GET", "/api/logs/row-9", ""), 404);

	const char *csv = download(f, "/api/logs/export");
	assert_memory_equal(csv, "key_value,group_name,status_code\n", 33);
	assert_non_null(strstr(csv, "k1,a,429\n"));
	assert_non_null(strstr(csv, "\"odd\\\"\"key,x\",a,500\n"));
	assert_null(strstr(csv, "200"));
	assert_null(strstr(csv, "503"));
	assert_has(f, "filename=\"log_keys_export_");
	csv = download(f, "/api/logs/export?status_code=200");
	assert_non_null(strstr(csv, "k1,a,200\n"));
	assert_int_equal(ask(f, "GET", "/api/logs/export?status_code=x", ""), 400);
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, kit_setup, kit_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_one_group),
	    TEST(test_reorder),
	    TEST(test_copy),
	    TEST(test_copy_members_and_names),
	    TEST(test_one_key),
	    TEST(test_export_keys),
	    TEST(test_one_log_and_export),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
