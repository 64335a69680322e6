/* SPDX-License-Identifier: MIT
 *
 * setting: the table against GPT-Load 1.4's, the check of each kind of value, the
 * system's values, and lists of status codes.
 */
#include "lib/setting.h"
#include "lib/json.h"
#include "lib/limits.h"
#include "lib/str.h"
#include "tests/unit/sandbox.h"

/* The original's order and defaults; a script may depend on either. */
static void
test_table(void **state)
{
	static const struct {
		const char *key;
		const char *default_text;
		enum setting_scope scope;
	} original[] = {
	    {"app_url", "", SETTING_SYSTEM_ONLY},
	    {"proxy_keys", "", SETTING_SYSTEM_ONLY},
	    {"request_log_retention_days", "7", SETTING_SYSTEM_ONLY},
	    {"request_log_write_interval_minutes", "1", SETTING_SYSTEM_ONLY},
	    {"enable_request_body_logging", "false", SETTING_GROUP_CONFIG},
	    {"request_timeout", "600", SETTING_GROUP_CONFIG},
	    {"connect_timeout", "15", SETTING_GROUP_CONFIG},
	    {"idle_conn_timeout", "120", SETTING_GROUP_CONFIG},
	    {"response_header_timeout", "600", SETTING_GROUP_CONFIG},
	    {"max_idle_conns", "100", SETTING_GROUP_CONFIG},
	    {"max_idle_conns_per_host", "50", SETTING_GROUP_CONFIG},
	    {"proxy_url", "", SETTING_GROUP_CONFIG},
	    {"max_retries", "3", SETTING_GROUP_CONFIG},
	    {"blacklist_threshold", "3", SETTING_GROUP_CONFIG},
	    {"failover_status_codes", "400-403,405-999", SETTING_GROUP_CONFIG},
	    {"key_validation_interval_minutes", "60", SETTING_GROUP_CONFIG},
	    {"key_validation_concurrency", "10", SETTING_GROUP_CONFIG},
	    {"key_validation_timeout_seconds", "20", SETTING_GROUP_CONFIG},
	};
	enum setting id;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(original); i++) {
		const struct setting_def *def = setting_def((enum setting)i);

		assert_string_equal(def->key, original[i].key);
		assert_string_equal(def->default_text, original[i].default_text);
		assert_int_equal(def->scope, original[i].scope);
	}
	for (int i = (int)ARRAY_LEN(original); i < SETTING__MAX; i++)
		assert_int_not_equal(setting_def((enum setting)i)->scope, SETTING_GROUP_CONFIG);
	assert_true(setting_find(STR("max_retries"), &id));
	assert_int_equal(id, SETTING_MAX_RETRIES);
	assert_false(setting_find(STR("Max_Retries"), &id));
	assert_false(setting_find(STR(""), &id));
	assert_int_equal(setting_def(SETTING_MAX_RETRIES)->max, LIMIT_RETRIES);
}

static void
test_values(void **state)
{
	static const struct {
		enum setting id;
		const char *text;
		const char *is; /* NULL: refused */
	} rows[] = {
	    {SETTING_REQUEST_TIMEOUT, "30", "30"},
	    {SETTING_REQUEST_TIMEOUT, " 30 ", "30"},
	    {SETTING_REQUEST_TIMEOUT, "1e+04", "10000"},
	    {SETTING_REQUEST_TIMEOUT, "0", NULL},
	    {SETTING_REQUEST_TIMEOUT, "86401", NULL},
	    {SETTING_REQUEST_TIMEOUT, "1.5", NULL},
	    {SETTING_REQUEST_TIMEOUT, "", NULL},
	    {SETTING_BLACKLIST_THRESHOLD, "1e+06", "1000000"},
	    {SETTING_BLACKLIST_THRESHOLD, "0", "0"},
	    {SETTING_MAX_RETRIES, "33", NULL},
	    {SETTING_LOG_BODIES, "TRUE", "1"},
	    {SETTING_LOG_BODIES, "off", "0"},
	    {SETTING_LOG_BODIES, "maybe", NULL},
	    {SETTING_APP_URL, " https://x.y:1/z ", "https://x.y:1/z"},
	    {SETTING_APP_URL, "", NULL},
	    {SETTING_APP_URL, "x.y", NULL},
	    {SETTING_APP_URL, "ftp://x", NULL},
	    {SETTING_PROXY_URL, "", ""},
	    {SETTING_PROXY_URL, "http://p:8080", "http://p:8080"},
	    {SETTING_PROXY_URL, "https://u:p@p", "https://u:p@p"},
	    {SETTING_PROXY_URL, "socks5://127.0.0.1:1080", "socks5://127.0.0.1:1080"},
	    {SETTING_PROXY_URL, "SOCKS5H://[::1]", "SOCKS5H://[::1]"},
	    {SETTING_PROXY_URL, "socks4://p", NULL},
	    {SETTING_PROXY_URL, "http://", NULL},
	    {SETTING_PROXY_URL, "p:8080", NULL},
	    {SETTING_PROXY_URL, "http://p/\r\nX: y", NULL},
	    {SETTING_PROXY_KEYS, " a , ,b,, c d ", "a,b,c d"},
	    {SETTING_PROXY_KEYS, " , ", NULL},
	    {SETTING_PROXY_KEYS, "\xff", NULL},
	    {SETTING_FAILOVER_STATUS_CODES, "", ""},
	    {SETTING_FAILOVER_STATUS_CODES, "429, 500-599", "429, 500-599"},
	    {SETTING_FAILOVER_STATUS_CODES, "42", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		enum setting id = rows[i].id;
		struct errinfo info = {""};
		union setting_value v = {.i = 0};
		enum err e = setting_parse(id, str_of(rows[i].text), &v, &info);

		assert_int_equal(e, rows[i].is != NULL ? ERR_OK : ERR_VALIDATION);
		if (e != ERR_OK) {
			assert_true(str_starts(str_of(info.text), setting_def(id)->key));
			continue;
		}
		switch (setting_def(id)->type) {
		case SETTING_INT:
			assert_int_equal(v.i, strtol(rows[i].is, NULL, 10));
			break;
		case SETTING_BOOL:
			assert_int_equal(v.b, rows[i].is[0] == '1');
			break;
		case SETTING_STRING:
			assert_string_equal(v.s, rows[i].is);
			break;
		}
		setting_value_done(id, &v);
	}
}

static void
test_lengths(void **state)
{
	union setting_value v;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_cstr(&b, "http://x/");
	while (b.n < LIMIT_SETTING_TEXT)
		buf_char(&b, 'a');
	assert_int_equal(setting_parse(SETTING_PROXY_URL, buf_view(&b), &v, NULL), ERR_OK);
	setting_value_done(SETTING_PROXY_URL, &v);
	buf_char(&b, 'a');
	assert_int_equal(setting_parse(SETTING_PROXY_URL, buf_view(&b), &v, NULL), ERR_VALIDATION);
	buf_clear(&b);
	for (int i = 0; i <= LIMIT_PROXY_KEYS; i++)
		buf_cstr(&b, "k,");
	assert_int_equal(setting_parse(SETTING_PROXY_KEYS, buf_view(&b), &v, NULL), ERR_VALIDATION);
	buf_clear(&b);
	while (b.n <= LIMIT_SETTING_LIST)
		buf_char(&b, 'k');
	assert_int_equal(setting_parse(SETTING_PROXY_KEYS, buf_view(&b), &v, NULL), ERR_VALIDATION);
	buf_done(&b);
}

/* What a group's config may hold. */
static void
test_json(void **state)
{
	static const struct {
		enum setting id;
		const char *json;
		enum err e;
		int64_t is;
	} rows[] = {
	    {SETTING_REQUEST_TIMEOUT, "30", ERR_OK, 30},
	    {SETTING_REQUEST_TIMEOUT, "3e1", ERR_OK, 30},
	    {SETTING_REQUEST_TIMEOUT, "30.5", ERR_VALIDATION, 0},
	    {SETTING_REQUEST_TIMEOUT, "\"30\"", ERR_VALIDATION, 0},
	    {SETTING_REQUEST_TIMEOUT, "99999999", ERR_OK, 86400},
	    {SETTING_REQUEST_TIMEOUT, "0", ERR_VALIDATION, 0},
	    {SETTING_MAX_RETRIES, "100", ERR_OK, LIMIT_RETRIES},
	    {SETTING_LOG_BODIES, "true", ERR_OK, 1},
	    {SETTING_LOG_BODIES, "\"true\"", ERR_VALIDATION, 0},
	    {SETTING_LOG_BODIES, "1", ERR_VALIDATION, 0},
	    {SETTING_PROXY_URL, "5", ERR_VALIDATION, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_JSON struct json_object *obj = NULL;
		union setting_value v = {.i = 0};

		assert_int_equal(json_parse(str_of(rows[i].json), &obj, NULL), ERR_OK);
		assert_int_equal(setting_read_json(rows[i].id, obj, &v, NULL), rows[i].e);
		if (rows[i].e == ERR_OK)
			assert_int_equal(setting_def(rows[i].id)->type == SETTING_BOOL ? v.b : v.i,
					 rows[i].is);
	}
}

static void
test_equal(void **state)
{
	char one[] = "x";
	char two[] = "x";
	char three[] = "y";

	(void)state;
	assert_true(setting_equal(SETTING_PROXY_URL, (union setting_value){.s = one},
				  (union setting_value){.s = two}));
	assert_false(setting_equal(SETTING_PROXY_URL, (union setting_value){.s = one},
				   (union setting_value){.s = three}));
	assert_false(setting_equal(SETTING_MAX_RETRIES, (union setting_value){.i = 1},
				   (union setting_value){.i = 2}));
	assert_true(setting_equal(SETTING_LOG_BODIES, (union setting_value){.b = true},
				  (union setting_value){.b = true}));
}

static void
test_load(void **state)
{
	struct sandbox *box = sandbox_new();
	struct db *db = sandbox_db(box);
	struct settings s;
	struct str bad = {"x", 1};

	(void)state;
	assert_int_equal(settings_load(db, &s, &bad), ERR_OK);
	assert_int_equal(bad.n, 0);
	assert_int_equal(s.v[SETTING_REQUEST_TIMEOUT].i, 600);
	settings_done(&s);

	sandbox_exec(db, "UPDATE system_settings SET setting_value = '1e+06' "
			 "WHERE setting_key = 'blacklist_threshold'");
	sandbox_exec(db, "UPDATE system_settings SET setting_value = '50' "
			 "WHERE setting_key = 'max_retries'");
	sandbox_exec(db, "UPDATE system_settings SET setting_value = 'soon' "
			 "WHERE setting_key = 'request_timeout'");
	sandbox_exec(db, "UPDATE system_settings SET setting_value = 'p://' "
			 "WHERE setting_key = 'proxy_url'");
	sandbox_exec(db, "DELETE FROM system_settings WHERE setting_key = 'connect_timeout'");
	sandbox_exec(db, "INSERT INTO system_settings (setting_key, setting_value) "
			 "VALUES ('of_another_version', 'x')");
	assert_int_equal(settings_load(db, &s, &bad), ERR_OK);
	assert_int_equal(s.v[SETTING_BLACKLIST_THRESHOLD].i, 1000000);
	assert_int_equal(s.v[SETTING_MAX_RETRIES].i, LIMIT_RETRIES);
	assert_int_equal(s.v[SETTING_REQUEST_TIMEOUT].i, 600);
	assert_int_equal(s.v[SETTING_CONNECT_TIMEOUT].i, 15);
	assert_string_equal(s.v[SETTING_PROXY_URL].s, "");
	assert_true(str_is(bad, "request_timeout") || str_is(bad, "proxy_url"));
	settings_done(&s);

	sandbox_exec(db, "DROP TABLE system_settings");
	assert_int_equal(settings_load(db, &s, NULL), ERR_DB);
	db_close(db);
	sandbox_free(box);
}

static void
test_status_sets(void **state)
{
	static const char *const bad[] = {"99",      "1000", "4",       "abc",
					  "400-",    "-400", "500-400", "400-403-405",
					  "400;401", "+400", "0400",    "400 401"};
	struct errinfo info;
	struct status_set s;

	(void)state;
	assert_int_equal(
	    status_set_parse(STR(" 400 - 403 ,,\n429\r\n, 500-599, 590-601"), &s, &info), ERR_OK);
	for (int i = -1; i < 1100; i++)
		assert_int_equal(status_set_has(&s, i),
				 (i >= 400 && i <= 403) || i == 429 || (i >= 500 && i <= 601));
	assert_int_equal(status_set_parse(STR(""), &s, &info), ERR_OK);
	for (int i = 0; i < 1024; i++)
		assert_false(status_set_has(&s, i));
	assert_int_equal(status_set_parse(STR("100-999"), &s, &info), ERR_OK);
	assert_true(status_set_has(&s, 100) && status_set_has(&s, 999));
	assert_false(status_set_has(&s, 1000));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (status_set_parse(str_of(bad[i]), &s, &info) != ERR_VALIDATION)
			fail_msg("accepted: %s", bad[i]);
		assert_non_null(strstr(info.text, "failover_status_codes"));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),       cmocka_unit_test(test_values),
	    cmocka_unit_test(test_lengths),     cmocka_unit_test(test_json),
	    cmocka_unit_test(test_equal),       cmocka_unit_test(test_load),
	    cmocka_unit_test(test_status_sets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
