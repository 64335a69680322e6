/* SPDX-License-Identifier: MIT
 *
 * snapshot: what rows of the DB become for the data plane, what is left out of
 * them and said, and that a damaged text harms nobody.
 */
#include "lib/snapshot.h"
#include "lib/channel.h"
#include "lib/limits.h"
#include "lib/str.h"
#include "tests/unit/sandbox.h"

static struct sandbox *box;
static struct db *db;
static struct buf text;
static struct buf warnings;

static int
setup(void **state)
{
	(void)state;
	box = sandbox_new();
	db = sandbox_db(box);
	buf_init(&text, LIMIT_SNAPSHOT);
	buf_init(&warnings, 65536);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	buf_done(&text);
	buf_done(&warnings);
	db_close(db);
	sandbox_free(box);
	return 0;
}

static struct snapshot *
compile_and_parse(void)
{
	struct errinfo info = {""};
	struct snapshot *s = NULL;
	uint64_t version = 0;

	buf_clear(&warnings);
	if (snapshot_compile(db, &text, &version, &warnings, &info) != ERR_OK)
		fail_msg("%s", info.text);
	if (snapshot_parse(buf_view(&text), &s, &info) != ERR_OK)
		fail_msg("%s: %s", info.text, buf_text(&text));
	assert_int_equal(s->version, version);
	return s;
}

static void
add_group(const char *name, const char *upstreams)
{
	assert_int_equal(
	    db_exec(
		db,
		"INSERT INTO \"groups\" (name, upstreams, channel_type, test_model, proxy_keys) "
		"VALUES (?, ?, 'openai', 'gpt-x', '')",
		DB_ARGS(db_cstr(name), db_cstr(upstreams)), NULL),
	    ERR_OK);
}

/* One column of the group "g", which has nothing else in it. */
static const struct group *
with_column(struct snapshot **ret, const char *column, const char *value)
{
	char sql[128];

	sandbox_exec(db, "DELETE FROM \"groups\"");
	add_group("g", "[{\"url\":\"http://h\",\"weight\":1}]");
	(void)snprintf(sql, sizeof(sql), "UPDATE \"groups\" SET %s = ?", column);
	assert_int_equal(db_exec(db, sql, DB_ARGS(db_cstr(value)), NULL), ERR_OK);
	*ret = compile_and_parse();
	return snapshot_group(*ret, STR("g"));
}

static void
expect_warning(const char *words)
{
	if (strstr(buf_text(&warnings), words) == NULL)
		fail_msg("\"%s\" is not among: %s", words, buf_text(&warnings));
}

/* --- the system --- */

static void
test_system(void **state)
{
	struct snapshot *s;

	(void)state;
	sandbox_exec(db, "UPDATE system_settings SET setting_value = 'sk-a, sk-b' "
			 "WHERE setting_key = 'proxy_keys'");
	sandbox_exec(db, "UPDATE system_settings SET setting_value = 'http://x.y' "
			 "WHERE setting_key = 'app_url'");
	sandbox_exec(db, "UPDATE system_settings SET setting_value = '30' "
			 "WHERE setting_key = 'request_log_retention_days'");
	add_group("g", "[]");
	s = compile_and_parse();
	assert_int_equal(s->version, 1);
	assert_true(str_is(s->app_url, "http://x.y"));
	assert_int_equal(s->log_retention_days, 30);
	assert_int_equal(s->log_write_interval_min, 1);
	assert_int_equal(s->proxy_keys.n, 2);
	/* No client key travels. */
	assert_null(strstr(buf_text(&text), "sk-a"));
	assert_true(snapshot_key_opens(s, &s->groups[0], STR("sk-a")));
	assert_true(snapshot_key_opens(s, &s->groups[0], STR("sk-b")));
	assert_false(snapshot_key_opens(s, &s->groups[0], STR("sk-c")));
	assert_false(snapshot_key_opens(s, &s->groups[0], STR("")));
	assert_ptr_equal(snapshot_ref(s), s);
	snapshot_unref(s);
	assert_int_equal(s->refs, 1);
	snapshot_unref(s);
	snapshot_unref(NULL);

	sandbox_exec(db, "UPDATE system_settings SET setting_value = 'never' "
			 "WHERE setting_key = 'request_timeout'");
	s = compile_and_parse();
	expect_warning("request_timeout");
	assert_int_equal(s->groups[0].opt.request_timeout_s, 600);
	snapshot_unref(s);
}

static void
test_version(void **state)
{
	struct snapshot *s;
	int64_t version;

	(void)state;
	assert_int_equal(db_begin(db), ERR_OK);
	assert_int_equal(meta_bump_version(db, &version), ERR_OK);
	assert_int_equal(db_commit(db), ERR_OK);
	s = compile_and_parse();
	assert_int_equal(s->version, 2);
	assert_int_equal(s->n_groups, 0);
	assert_null(snapshot_group(s, STR("g")));
	assert_null(snapshot_group_id(s, 1));
	snapshot_unref(s);
}

/* --- groups --- */

static void
test_names(void **state)
{
	static const char *const good[] = {"a", "b-1", "b_1", "b1", "zzz"};
	static const char *const bad[] = {"B", "a b", "é", "a/b", ""};
	struct snapshot *s;

	(void)state;
	for (size_t i = ARRAY_LEN(good); i > 0; i--)
		add_group(good[i - 1], "[{\"url\":\"http://h\",\"weight\":1}]");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		add_group(bad[i], "[]");
	s = compile_and_parse();
	assert_int_equal(s->n_groups, ARRAY_LEN(good));
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		const struct group *g = snapshot_group(s, str_of(good[i]));

		assert_non_null(g);
		assert_true(str_is(g->name, good[i]));
		assert_ptr_equal(snapshot_group_id(s, g->id), g);
	}
	assert_null(snapshot_group(s, STR("b")));
	assert_null(snapshot_group(s, STR("zzzz")));
	assert_null(snapshot_group_id(s, 999));
	expect_warning("group \"B\": its name is not usable");
	snapshot_unref(s);
}

static void
test_group(void **state)
{
	const struct group *g;
	struct snapshot *s;

	(void)state;
	g = with_column(&s, "proxy_keys", " own-1 ,, own-2");
	assert_false(g->aggregate);
	assert_true(str_is(g->channel_name, "openai"));
	assert_ptr_equal(g->channel, channel_find(STR("openai")));
	assert_true(str_is(g->test_model, "gpt-x"));
	assert_int_equal(g->validation_endpoint.n, 0);
	assert_int_equal(g->proxy_keys.n, 2);
	assert_true(snapshot_key_opens(s, g, STR("own-1")));
	assert_false(snapshot_key_opens(s, g, STR("own-3")));
	assert_int_equal(warnings.n, 0);
	snapshot_unref(s);

	g = with_column(&s, "channel_type", "of-another-build");
	assert_null(g->channel);
	assert_true(str_is(g->channel_name, "of-another-build"));
	snapshot_unref(s);
	g = with_column(&s, "validation_endpoint", "/v1/x?y=1");
	assert_true(str_is(g->validation_endpoint, "/v1/x?y=1"));
	snapshot_unref(s);
	g = with_column(&s, "validation_endpoint", "http://evil/");
	assert_int_equal(g->validation_endpoint.n, 0);
	expect_warning("validation endpoint");
	snapshot_unref(s);
}

static void
test_upstreams(void **state)
{
	const struct group *g;
	struct snapshot *s;

	(void)state;
	g = with_column(
	    &s, "upstreams",
	    "[{\"url\":\" https://u:p%40@h.x:8443/base//?api-version=1#f \",\"weight\":3},"
	    "{\"url\":\"http://[::1]\",\"weight\":1.0},"
	    "{\"url\":\"http://parked\",\"weight\":0},{\"url\":\"http://none\"},"
	    "{\"url\":\"ftp://secret:pw@h\",\"weight\":1},{\"url\":5,\"weight\":1},7]");
	assert_int_equal(g->n_upstreams, 2);
	assert_true(str_is(g->upstreams[0].url, "https://h.x:8443/base//?api-version=1"));
	assert_true(str_is(g->upstreams[0].origin, "https://h.x:8443"));
	assert_true(str_is(g->upstreams[0].userinfo, "u:p@"));
	assert_true(str_is(g->upstreams[0].path, "/base"));
	assert_true(str_is(g->upstreams[0].query, "api-version=1"));
	assert_int_equal(g->upstreams[0].weight, 3);
	assert_true(str_is(g->upstreams[1].origin, "http://[::1]"));
	assert_int_equal(g->upstreams[1].path.n, 0);
	assert_int_equal(g->upstreams[1].userinfo.n, 0);
	assert_int_equal(g->n_upstream_turns, 4);
	expect_warning("upstream 5");
	expect_warning("upstream 7");
	assert_null(strstr(buf_text(&warnings), "secret"));
	snapshot_unref(s);

	/* A server's column takes no other text than JSON. */
	static const char *const none[] = {"[]", "null", "{}", "[{}]", "", "["};
	for (size_t i = 0; i < (db_dialect(db) == DB_SQLITE ? 6 : 4); i++) {
		g = with_column(&s, "upstreams", none[i]);
		assert_non_null(g);
		assert_int_equal(g->n_upstreams, 0);
		assert_int_equal(g->n_upstream_turns, 0);
		expect_warning("no usable upstream");
		snapshot_unref(s);
	}
}

/* Numbers, spacing and order of a value are as they were typed. */
static void
test_overrides(void **state)
{
	static const struct {
		const char *key;
		const char *json;
	} rows[] = {
	    {"seed", "12345678901234567890123"},
	    {"t", "0.10000000000000000000000000001"},
	    {"é\"", "{ \"a\" : [ 1e2 , null ] }"},
	    {"n", "null"},
	    {"twice", "2"},
	};
	/* The same in jsonb, which keeps values and not texts. */
	static const struct {
		const char *key;
		const char *json;
	} in_jsonb[] = {
	    {"n", "null"},
	    {"t", "0.10000000000000000000000000001"},
	    {"é\"", "{\"a\": [100, null]}"},
	    {"seed", "12345678901234567890123"},
	    {"twice", "2"},
	};
	bool jsonb = db_dialect(db) == DB_PGSQL;
	const struct group *g;
	struct snapshot *s;

	(void)state;
	g = with_column(
	    &s, "param_overrides",
	    "{ \"seed\" : 12345678901234567890123 , \"t\":0.10000000000000000000000000001,"
	    "\"\\u00e9\\\"\":{ \"a\" : [ 1e2 , null ] }, \"n\":null,\"twice\":1,\"twice\":2 }");
	assert_int_equal(g->n_overrides, ARRAY_LEN(rows));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_true(str_is(g->overrides[i].key, jsonb ? in_jsonb[i].key : rows[i].key));
		assert_true(str_is(g->overrides[i].json, jsonb ? in_jsonb[i].json : rows[i].json));
	}
	snapshot_unref(s);

	g = with_column(&s, "param_overrides", "[1]");
	assert_int_equal(g->n_overrides, 0);
	expect_warning("param_overrides");
	snapshot_unref(s);
	g = with_column(&s, "param_overrides", "{}");
	assert_int_equal(g->n_overrides, 0);
	assert_int_equal(warnings.n, 0);
	snapshot_unref(s);
}

static void
test_header_rules(void **state)
{
	const struct group *g;
	struct snapshot *s;

	(void)state;
	g = with_column(
	    &s, "header_rules",
	    "[{\"key\":\"X-A\",\"value\":\"${API_KEY}\",\"action\":\"set\"},"
	    "{\"key\":\"X-B\",\"value\":\"ignored\",\"action\":\"remove\"},"
	    "{\"key\":\"X-C\",\"value\":\"\",\"action\":\"set\"},"
	    "{\"key\":\"X D\",\"value\":\"hush\",\"action\":\"set\"},"
	    "{\"key\":\"X-E\",\"value\":\"a\\r\\nB: c\",\"action\":\"set\"},"
	    "{\"key\":\"X-F\",\"value\":\"x\",\"action\":\"add\"},{\"value\":\"x\"},5]");
	assert_int_equal(g->n_header_rules, 3);
	assert_true(str_is(g->header_rules[0].name, "X-A"));
	assert_true(str_is(g->header_rules[0].value, "${API_KEY}"));
	assert_false(g->header_rules[0].remove);
	assert_true(str_is(g->header_rules[1].name, "X-B"));
	assert_true(g->header_rules[1].remove);
	assert_true(str_is(g->header_rules[2].name, "X-C"));
	assert_false(g->header_rules[2].remove);
	expect_warning("header rule 4");
	expect_warning("header rule 5");
	expect_warning("header rule 6 has an unknown action");
	assert_null(strstr(buf_text(&warnings), "hush"));
	snapshot_unref(s);
}

static void
test_redirects(void **state)
{
	const struct group *g;
	struct snapshot *s;

	(void)state;
	g = with_column(
	    &s, "model_redirect_rules",
	    "{\"z\":\"last\",\"a\":\"first\",\"ab\":\"x/y:z\",\"n\":5,\"\":\"x\",\"e\":\"\"}");
	assert_int_equal(g->n_redirects, 3);
	assert_true(str_is(group_redirect(g, STR("a"))->to, "first"));
	assert_true(str_is(group_redirect(g, STR("ab"))->to, "x/y:z"));
	assert_true(str_is(group_redirect(g, STR("z"))->to, "last"));
	assert_null(group_redirect(g, STR("A")));
	assert_null(group_redirect(g, STR("")));
	assert_false(g->redirect_strict);
	expect_warning("model redirect 4");
	snapshot_unref(s);
	g = with_column(&s, "model_redirect_strict", "1");
	assert_true(g->redirect_strict);
	assert_null(group_redirect(g, STR("a")));
	snapshot_unref(s);
}

/* --- options --- */

static void
test_options(void **state)
{
	const struct group *g;
	struct snapshot *s;

	(void)state;
	sandbox_exec(db, "UPDATE system_settings SET setting_value = '50' "
			 "WHERE setting_key = 'request_timeout'");
	sandbox_exec(db, "UPDATE system_settings SET setting_value = 'http://p:1' "
			 "WHERE setting_key = 'proxy_url'");
	g = with_column(
	    &s, "config",
	    "{\"connect_timeout\":7,\"request_timeout\":null,\"max_retries\":1000,"
	    "\"blacklist_threshold\":1e6,\"proxy_url\":\"\",\"enable_request_body_logging\":true,"
	    "\"idle_conn_timeout\":\"9\",\"key_validation_concurrency\":0,"
	    "\"stream_idle_timeout\":5,\"app_url\":\"http://x\",\"unknown\":1}");
	assert_int_equal(g->opt.request_timeout_s, 50);
	assert_int_equal(g->opt.connect_timeout_s, 7);
	assert_int_equal(g->opt.max_retries, LIMIT_RETRIES);
	assert_int_equal(g->opt.blacklist_threshold, 1000000);
	assert_int_equal(g->opt.proxy_url.n, 0);
	assert_true(g->opt.log_bodies);
	/* Of the wrong type, and below the minimum: the system's. */
	assert_int_equal(g->opt.idle_conn_timeout_s, 120);
	assert_int_equal(g->opt.validation_concurrency, 10);
	expect_warning("idle_conn_timeout");
	expect_warning("key_validation_concurrency");
	/* Ours never come from `config`. */
	assert_int_equal(g->opt.stream_idle_timeout_s, 300);
	assert_int_equal(g->opt.stream_heartbeat_s, 15);
	assert_int_equal(g->opt.response_header_timeout_s, 600);
	assert_int_equal(g->opt.max_idle_conns, 100);
	assert_int_equal(g->opt.max_idle_conns_per_host, 50);
	assert_int_equal(g->opt.validation_interval_min, 60);
	assert_int_equal(g->opt.validation_timeout_s, 20);
	snapshot_unref(s);

	g = with_column(
	    &s, "gptl_options",
	    "{\"stream_idle_timeout\":5,\"stream_heartbeat_seconds\":0,\"connect_timeout\":9}");
	assert_int_equal(g->opt.stream_idle_timeout_s, 5);
	assert_int_equal(g->opt.stream_heartbeat_s, 0);
	assert_int_equal(g->opt.connect_timeout_s, 15);
	assert_true(str_is(g->opt.proxy_url, "http://p:1"));
	assert_false(g->opt.log_bodies);
	snapshot_unref(s);
}

/* The original's default counts as not set, however it is written. */
static void
test_failover(void **state)
{
	static const struct {
		const char *system;
		const char *config;
		bool set;
		bool has_429;
	} rows[] = {
	    {"400-403,405-999", "{}", false, false},
	    {"405 - 999, 400-402,403", "{}", false, false},
	    {"429", "{}", true, true},
	    {"", "{}", true, false},
	    {"400-403,405-999", "{\"failover_status_codes\":\"429,500-599\"}", true, true},
	    {"429", "{\"failover_status_codes\":\"400-403,405-999\"}", false, false},
	    {"429", "{\"failover_status_codes\":\"nonsense\"}", true, true},
	    {"429", "{\"failover_status_codes\":\"\"}", true, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct group *g;
		struct snapshot *s;

		assert_int_equal(db_exec(db,
					 "UPDATE system_settings SET setting_value = ? "
					 "WHERE setting_key = 'failover_status_codes'",
					 DB_ARGS(db_cstr(rows[i].system)), NULL),
				 ERR_OK);
		g = with_column(&s, "config", rows[i].config);
		assert_int_equal(g->opt.failover_set, rows[i].set);
		if (rows[i].set)
			assert_int_equal(status_set_has(&g->opt.failover, 429), rows[i].has_429);
		snapshot_unref(s);
	}
}

/* --- aggregates --- */

static void
test_aggregate(void **state)
{
	const struct group *g;
	struct snapshot *s;

	(void)state;
	add_group("one", "[{\"url\":\"http://h\",\"weight\":1}]");
	add_group("two", "[{\"url\":\"http://h\",\"weight\":1}]");
	add_group("all", "[]");
	add_group("more", "[]");
	add_group("Bad", "[]");
	sandbox_exec(db, "UPDATE \"groups\" SET group_type = 'aggregate', test_model = '-', "
			 "proxy_keys = 'agg-key' WHERE name IN ('all', 'more')");
	sandbox_exec(db, "INSERT INTO group_sub_groups (group_id, sub_group_id, weight) VALUES "
			 "(3, 2, 20), (3, 1, 10), (3, 4, 5), (3, 99, 5), (3, 5, 5), (4, 1, 0)");
	s = compile_and_parse();
	g = snapshot_group(s, STR("all"));
	assert_true(g->aggregate);
	assert_int_equal(g->n_members, 2);
	assert_ptr_equal(g->members[0].group, snapshot_group(s, STR("two")));
	assert_int_equal(g->members[0].weight, 20);
	assert_ptr_equal(g->members[1].group, snapshot_group(s, STR("one")));
	assert_int_equal(g->n_member_turns, 3);
	assert_int_equal(g->n_upstreams, 0);
	assert_true(snapshot_key_opens(s, g, STR("agg-key")));
	assert_false(snapshot_key_opens(s, snapshot_group(s, STR("one")), STR("agg-key")));
	g = snapshot_group(s, STR("more"));
	assert_true(g->aggregate);
	assert_int_equal(g->n_members, 0);
	snapshot_unref(s);
}

/* --- texts that cannot be read --- */

static void
test_bad_text(void **state)
{
	static const char *const bad[] = {"",
					  "{",
					  "[]",
					  "null",
					  "{}",
					  "{\"format\":1}",
					  "{\"format\":2,\"version\":1}",
					  "{\"format\":1,\"version\":\"1\"}"};
	static const char *const odd[] = {
	    "{\"format\":1,\"version\":1}",
	    "{\"format\":1,\"version\":1,\"groups\":{},\"options\":[],\"keys\":5}",
	    "{\"format\":1,\"version\":1,\"groups\":[null,1,{},{\"id\":1},{\"name\":\"g\"}],"
	    "\"keys\":\"zz\"}",
	    "{\"format\":1,\"version\":1,\"groups\":[{\"id\":1,\"name\":\"g\",\"aggregate\":true,"
	    "\"members\":[[1,1],[2],null,[1,\"x\"],[1,0],[1,-5]]}]}",
	    "{\"format\":1,\"version\":1,\"groups\":[{\"id\":1,\"name\":\"g\",\"upstreams\":"
	    "[[],[\"http://h\"],[\"http://h\",0],[\"h\",1],{}],\"overrides\":[[],[\"a\"],5],"
	    "\"headers\":[[],5],\"redirects\":[[\"a\"],[]],\"options\":{\"request_timeout\":-1,"
	    "\"max_retries\":99999999999,\"failover_status_codes\":\"x\"}}]}",
	};
	struct errinfo info;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct snapshot *s = NULL;

		assert_int_equal(snapshot_parse(str_of(bad[i]), &s, &info), ERR_INVALID_JSON);
		assert_null(s);
	}
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		struct snapshot *s = NULL;

		assert_int_equal(snapshot_parse(str_of(odd[i]), &s, &info), ERR_OK);
		snapshot_unref(s);
	}
}

static void
test_limits(void **state)
{
	const struct group *g;
	struct snapshot *s;
	struct buf b;

	(void)state;
	buf_init(&b, 1 << 20);
	buf_cstr(&b, "[{\"url\":\"http://h\",\"weight\":1}");
	for (int i = 0; i < LIMIT_UPSTREAMS; i++)
		buf_cstr(&b, ",{\"url\":\"http://h\",\"weight\":1}");
	buf_char(&b, ']');
	g = with_column(&s, "upstreams", buf_text(&b));
	assert_int_equal(g->n_upstreams, LIMIT_UPSTREAMS);
	assert_int_equal(g->n_upstream_turns, LIMIT_UPSTREAMS);
	expect_warning("upstreams; the rest");
	snapshot_unref(s);

	buf_clear(&b);
	buf_cstr(&b, "{\"k\":0");
	for (int i = 0; i < LIMIT_OVERRIDES; i++)
		buf_printf(&b, ",\"k%d\":%d", i, i);
	buf_char(&b, '}');
	g = with_column(&s, "param_overrides", buf_text(&b));
	assert_int_equal(g->n_overrides, LIMIT_OVERRIDES);
	expect_warning("overrides; the rest");
	snapshot_unref(s);
	buf_done(&b);

	/* The text itself has a bound too. */
	buf_init(&b, 100);
	assert_int_equal(snapshot_compile(db, &b, &(uint64_t){0}, NULL, NULL), ERR_TOO_LARGE);
	buf_done(&b);
}

#define WITH_DB(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_DB(test_system),       WITH_DB(test_version),   WITH_DB(test_names),
	    WITH_DB(test_group),        WITH_DB(test_upstreams), WITH_DB(test_overrides),
	    WITH_DB(test_header_rules), WITH_DB(test_redirects), WITH_DB(test_options),
	    WITH_DB(test_failover),     WITH_DB(test_aggregate), cmocka_unit_test(test_bad_text),
	    WITH_DB(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
