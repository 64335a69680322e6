/* SPDX-License-Identifier: MIT
 *
 * A group's input, field by field, and what creating, changing, deleting and
 * putting groups together does to the DB.
 */
#include "lib/group.h"
#include "lib/str.h"

#include "tests/unit/sandbox.h"

/* A body of a standard group with `more` members. */
#define BODY_OF(url, more)                                                                         \
	"{\"name\":\"g\",\"channel_type\":\"openai\",\"test_model\":\"m\","                        \
	"\"upstreams\":[{\"url\":\"" url "\",\"weight\":1}]" more "}"
#define BODY(more) BODY_OF("https://api.example.com", more)
#define C10        "cccccccccc"
#define C100       C10 C10 C10 C10 C10 C10 C10 C10 C10 C10

/* --- input of a creation --- */

static const struct {
	const char *body;
	enum err want;
	const char *field; /* named in the message */
} creations[] = {
    {BODY(""), ERR_OK, NULL},
    {BODY(",\"sort\":-3,\"unknown\":[]"), ERR_OK, NULL},
    {BODY(",\"config\":null,\"header_rules\":null,\"sort\":null"), ERR_OK, NULL},
    {"", ERR_INVALID_JSON, ""},
    {"[]", ERR_INVALID_JSON, ""},
    {"{\"name\":", ERR_INVALID_JSON, ""},
    {BODY("} x"), ERR_INVALID_JSON, ""},
    /* types */
    {BODY(",\"name\":1"), ERR_INVALID_JSON, "name"},
    {BODY(",\"description\":{}"), ERR_INVALID_JSON, "description"},
    {BODY(",\"sort\":1.5"), ERR_INVALID_JSON, "sort"},
    {BODY(",\"sort\":\"1\""), ERR_INVALID_JSON, "sort"},
    {BODY(",\"model_redirect_strict\":\"yes\""), ERR_INVALID_JSON, "model_redirect_strict"},
    {BODY(",\"upstreams\":{}"), ERR_INVALID_JSON, "upstreams"},
    {BODY(",\"upstreams\":[1]"), ERR_INVALID_JSON, "upstreams"},
    {BODY(",\"upstreams\":[{\"url\":\"http://a\",\"weight\":\"1\"}]"), ERR_INVALID_JSON, "weight"},
    {BODY(",\"config\":[]"), ERR_INVALID_JSON, "config"},
    {BODY(",\"header_rules\":{}"), ERR_INVALID_JSON, "header_rules"},
    {BODY(",\"header_rules\":[{\"key\":1}]"), ERR_INVALID_JSON, "header_rules"},
    {BODY(",\"param_overrides\":[1]"), ERR_INVALID_JSON, "param_overrides"},
    {BODY(",\"param_overrides\":{\"a\":\"\\u0000\"}"), ERR_VALIDATION, "param_overrides"},
    {BODY(",\"param_overrides\":{\"\\u0000\":1}"), ERR_VALIDATION, "param_overrides"},
    {BODY(",\"param_overrides\":{\"a\":\"\\ud83d\"}"), ERR_VALIDATION, "param_overrides"},
    {BODY(",\"param_overrides\":{\"a\":\"\\ude00\\ud83d\"}"), ERR_VALIDATION, "param_overrides"},
    {BODY(",\"param_overrides\":{\"a\":\"\\ud83d\\ude00\\n\\\\u0000\"}"), ERR_OK, NULL},
    {BODY(",\"model_redirect_rules\":{\"a\":1}"), ERR_INVALID_JSON, "model_redirect_rules"},
    {BODY(",\"param_overrides\":{},\"param_overrides\":{}"), ERR_INVALID_JSON, "param_overrides"},
    {BODY(",\"group_type\":1"), ERR_INVALID_JSON, "group_type"},
    /* names and kinds */
    {BODY(",\"name\":\" a_b-9 \""), ERR_OK, NULL},
    {BODY(",\"name\":\"" C100 "\""), ERR_OK, NULL},
    {BODY(",\"name\":\"" C100 "c\""), ERR_VALIDATION, "name"},
    {BODY(",\"name\":\"A\""), ERR_VALIDATION, "name"},
    {BODY(",\"name\":\"\""), ERR_VALIDATION, "name"},
    {BODY(",\"name\":\"a b\""), ERR_VALIDATION, "name"},
    {BODY(",\"channel_type\":\"azure\""), ERR_VALIDATION, "channel_type"},
    {BODY(",\"group_type\":\"other\""), ERR_VALIDATION, "group_type"},
    {BODY(",\"test_model\":\" \""), ERR_VALIDATION, "test_model"},
    {BODY(",\"display_name\":\"" C100 C100 C100 "\""), ERR_VALIDATION, "display_name"},
    {BODY(",\"display_name\":\"a\\nb\""), ERR_VALIDATION, "display_name"},
    {BODY(",\"description\":\"a\\nb\""), ERR_OK, NULL},
    {BODY(",\"description\":\"a\\u0000b\""), ERR_VALIDATION, "description"},
    {BODY(",\"sort\":99999999999"), ERR_VALIDATION, "sort"},
    {BODY(",\"proxy_keys\":\"a b\""), ERR_VALIDATION, "proxy_keys"},
    {BODY(",\"validation_endpoint\":\"/v1/x?y=1\""), ERR_OK, NULL},
    {BODY(",\"validation_endpoint\":\"v1\""), ERR_VALIDATION, "validation_endpoint"},
    {BODY(",\"validation_endpoint\":\"/a b\""), ERR_VALIDATION, "validation_endpoint"},
    {BODY(",\"validation_endpoint\":\"/http://x\""), ERR_VALIDATION, "validation_endpoint"},
    /* upstreams */
    {"{\"name\":\"g\",\"channel_type\":\"openai\",\"test_model\":\"m\"}", ERR_VALIDATION,
     "upstreams"},
    {BODY(",\"upstreams\":[]"), ERR_VALIDATION, "upstreams"},
    {BODY(",\"upstreams\":[{\"url\":\"http://a\",\"weight\":-1}]"), ERR_VALIDATION, "weight"},
    {BODY(",\"upstreams\":[{\"url\":\"http://a\",\"weight\":1001}]"), ERR_VALIDATION, "weight"},
    {BODY(",\"upstreams\":[{\"url\":\"http://a\",\"weight\":0}]"), ERR_VALIDATION, "upstreams"},
    {BODY(",\"upstreams\":[{\"url\":\"http://a\"}]"), ERR_OK, NULL},
    {BODY_OF("http://[::1]:8080/base?api-version=1", ""), ERR_OK, NULL},
    {BODY_OF(" https://u:p%40w@host.example/v1 ", ""), ERR_OK, NULL},
    {BODY_OF("", ""), ERR_VALIDATION, "upstreams"},
    {BODY_OF("ftp://host", ""), ERR_VALIDATION, "upstreams"},
    {BODY_OF("http://", ""), ERR_VALIDATION, "upstreams"},
    {BODY_OF("http:///path", ""), ERR_VALIDATION, "upstreams"},
    {BODY_OF("http://host:0", ""), ERR_VALIDATION, "upstreams"},
    {BODY_OF("http://host:65536", ""), ERR_VALIDATION, "upstreams"},
    {BODY_OF("http://host:x", ""), ERR_VALIDATION, "upstreams"},
    {BODY_OF("http://ho st", ""), ERR_VALIDATION, "upstreams"},
    {BODY_OF("http://host/a\\r\\nb", ""), ERR_VALIDATION, "upstreams"},
    {BODY_OF("http://host/#f", ""), ERR_VALIDATION, "upstreams"},
    {BODY_OF("http://host/%zz", ""), ERR_VALIDATION, "upstreams"},
    /* overrides */
    {BODY(",\"config\":{\"request_timeout\":5,\"proxy_url\":\"\",\"max_retries\":null}"), ERR_OK,
     NULL},
    {BODY(",\"config\":{\"request_timeout\":0}"), ERR_VALIDATION, "request_timeout"},
    {BODY(",\"config\":{\"request_timeout\":\"5\"}"), ERR_VALIDATION, "request_timeout"},
    {BODY(",\"config\":{\"request_timeout\":1.5}"), ERR_VALIDATION, "request_timeout"},
    {BODY(",\"config\":{\"enable_request_body_logging\":1}"), ERR_VALIDATION,
     "enable_request_body_logging"},
    {BODY(",\"config\":{\"failover_status_codes\":\"99\"}"), ERR_VALIDATION,
     "failover_status_codes"},
    {BODY(",\"config\":{\"app_url\":\"http://x\"}"), ERR_VALIDATION, "app_url"},
    {BODY(",\"config\":{\"stream_idle_timeout\":5}"), ERR_VALIDATION, "stream_idle_timeout"},
    {BODY(",\"config\":{\"nonsense\":5}"), ERR_VALIDATION, "nonsense"},
    {BODY(",\"options\":{\"stream_idle_timeout\":5}"), ERR_OK, NULL},
    {BODY(",\"options\":{\"request_timeout\":5}"), ERR_VALIDATION, "request_timeout"},
    /* header rules, redirects */
    {BODY(",\"header_rules\":[{\"key\":\"x-a\",\"value\":\"1\",\"action\":\"set\"},"
	  "{\"key\":\" \"},{\"key\":\"B\",\"action\":\"remove\"}]"),
     ERR_OK, NULL},
    {BODY(",\"header_rules\":[{\"key\":\"x-a\"},{\"key\":\"X-A\"}]"), ERR_VALIDATION, "X-A"},
    {BODY(",\"header_rules\":[{\"key\":\"a b\"}]"), ERR_VALIDATION, "header_rules"},
    {BODY(",\"header_rules\":[{\"key\":\"a\",\"value\":\"x\\ny\"}]"), ERR_VALIDATION,
     "header_rules"},
    {BODY(",\"header_rules\":[{\"key\":\"a\",\"action\":\"add\"}]"), ERR_VALIDATION, "action"},
    {BODY(",\"model_redirect_rules\":{\"a\":\"b\"}"), ERR_OK, NULL},
    {BODY(",\"model_redirect_rules\":{\"a\":\" \"}"), ERR_VALIDATION, "model_redirect_rules"},
    {BODY(",\"model_redirect_rules\":{\"\":\"b\"}"), ERR_VALIDATION, "model_redirect_rules"},
    /* aggregates */
    {"{\"name\":\"g\",\"channel_type\":\"gemini\",\"group_type\":\"aggregate\"}", ERR_OK, NULL},
    {BODY(",\"group_type\":\"aggregate\",\"upstreams\":[],\"test_model\":\"\""), ERR_OK, NULL},
    {BODY(",\"group_type\":\"aggregate\",\"model_redirect_rules\":{\"a\":\"b\"}"), ERR_VALIDATION,
     "model_redirect_rules"},
};

static void
test_creation(UNUSED void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(creations); i++) {
		struct errinfo info = {""};
		struct group_row row;
		struct arena arena;

		arena_init(&arena, 4096);
		enum err e = group_parse(str_of(creations[i].body), NULL, &arena, &row, &info);
		if (e != creations[i].want)
			fail_msg("%s: %s, %s", creations[i].body, err_code(e), info.text);
		if (e != ERR_OK && strstr(info.text, creations[i].field) == NULL)
			fail_msg("%s: \"%s\" does not name %s", creations[i].body, info.text,
				 creations[i].field);
		arena_done(&arena);
	}
}

static void
test_columns(UNUSED void **state)
{
	static const char body[] =
	    BODY(",\"name\":\" g1 \",\"proxy_keys\":\" a, b ,,a\",\"config\":{\"max_retries\":2.0,"
		 "\"proxy_url\":\"http://p:1\",\"request_timeout\":null},"
		 "\"header_rules\":[{\"key\":\"x-FOO\",\"value\":\"a\\\"b\"}],"
		 "\"param_overrides\": {\"seed\" : 9007199254740993, \"t\":1e0},"
		 "\"model_redirect_rules\":{\"z\":\"y\",\"a\":\"b\"}");
	struct group_row row;
	struct arena arena;

	arena_init(&arena, 4096);
	assert_int_equal(group_parse(str_of(body), NULL, &arena, &row, NULL), ERR_OK);
	assert_true(str_is(row.name, "g1"));
	assert_true(str_is(row.proxy_keys, "a,b"));
	assert_true(str_is(row.config_json, "{\"max_retries\":2,\"proxy_url\":\"http://p:1\"}"));
	assert_true(str_is(row.header_rules_json,
			   "[{\"key\":\"X-Foo\",\"value\":\"a\\\"b\",\"action\":\"set\"}]"));
	assert_true(str_is(row.param_overrides_json, "{\"seed\" : 9007199254740993, \"t\":1e0}"));
	assert_true(str_is(row.redirects_json, "{\"z\":\"y\",\"a\":\"b\"}"));
	assert_true(
	    str_is(row.upstreams_json, "[{\"url\":\"https://api.example.com\",\"weight\":1}]"));
	assert_null(row.options_json.p);
	arena_done(&arena);
}

/* --- input of an update --- */

static void
test_update_input(UNUSED void **state)
{
	static const struct {
		const char *body;
		enum err want;
	} updates[] = {
	    {"{}", ERR_OK},
	    {"{\"upstreams\":null}", ERR_VALIDATION},
	    {"{\"test_model\":\"\"}", ERR_OK},
	    {"{\"test_model\":\"  \"}", ERR_VALIDATION},
	    {"{\"group_type\":\"aggregate\"}", ERR_OK},
	    {"{\"config\":null}", ERR_OK},
	    {"{\"name\":\"\"}", ERR_VALIDATION},
	};
	struct group_row old;
	struct group_row row;
	struct arena arena;

	arena_init(&arena, 4096);
	assert_int_equal(
	    group_parse(STR(BODY(",\"config\":{\"max_retries\":1},\"proxy_keys\":"
				 "\"sk-0123456789abcdef\",\"param_overrides\":{\"a\":1}")),
			NULL, &arena, &old, NULL),
	    ERR_OK);
	for (size_t i = 0; i < ARRAY_LEN(updates); i++) {
		enum err e = group_parse(str_of(updates[i].body), &old, &arena, &row, NULL);
		assert_int_equal(e, updates[i].want);
		if (e != ERR_OK)
			continue;
		assert_true(str_eq(row.name, old.name));
		assert_true(str_eq(row.test_model, old.test_model));
		assert_true(str_eq(row.config_json, old.config_json));
		assert_true(str_eq(row.param_overrides_json, old.param_overrides_json));
		assert_false(row.aggregate);
	}
	assert_int_equal(group_parse(STR("{\"config\":{},\"param_overrides\":{},\"proxy_keys\":"
					 "\"sk-0****cdef,new\"}"),
				     &old, &arena, &row, NULL),
			 ERR_OK);
	assert_true(str_is(row.config_json, "{}"));
	assert_true(str_is(row.param_overrides_json, "{}"));
	assert_true(str_is(row.proxy_keys, "sk-0123456789abcdef,new"));
	arena_done(&arena);
}

/* --- in the DB --- */

struct fixture {
	struct sandbox *sandbox;
	struct db *db;
	struct arena arena;
};

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->sandbox = sandbox_new();
	f->db = sandbox_db(f->sandbox);
	arena_init(&f->arena, 4096);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	arena_done(&f->arena);
	db_close(f->db);
	sandbox_free(f->sandbox);
	free(f);
	return 0;
}

/* A group of this name with `more` members in its body. */
static int64_t
create(struct fixture *f, const char *name, const char *more)
{
	struct errinfo info = {""};
	struct group_row row;
	char *body =
	    arena_printf(&f->arena,
			 "{\"name\":\"%s\",\"channel_type\":\"openai\",\"test_model\":\"m\","
			 "\"upstreams\":[{\"url\":\"http://a\",\"weight\":1}]%s}",
			 name, more);

	if (group_create(f->db, str_of(body), &f->arena, &row, &info) != ERR_OK)
		fail_msg("%s", info.text);
	return row.id;
}

#define AGGREGATE ",\"group_type\":\"aggregate\""

static void
test_create_update_delete(void **state)
{
	struct fixture *f = *state;
	int64_t a = create(f, "a", "");
	int64_t b = create(f, "b", ",\"sort\":-1");
	struct group_row *list;
	struct group_row row;
	int64_t before;
	int64_t after;
	size_t n;

	assert_int_equal(meta_version(f->db, &before), ERR_OK);
	assert_int_equal(group_create(f->db, STR(BODY(",\"name\":\"a\"")), &f->arena, &row, NULL),
			 ERR_DUPLICATE);
	assert_int_equal(group_update(f->db, b, STR("{\"name\":\"a\"}"), &f->arena, &row, NULL),
			 ERR_DUPLICATE);
	assert_int_equal(group_update(f->db, 99, STR("{}"), &f->arena, &row, NULL), ERR_NOT_FOUND);
	assert_int_equal(meta_version(f->db, &after), ERR_OK);
	assert_int_equal(before, after);

	assert_int_equal(
	    group_update(f->db, b, STR("{\"display_name\":\"B\"}"), &f->arena, &row, NULL), ERR_OK);
	assert_true(str_is(row.display_name, "B"));
	assert_int_equal(meta_version(f->db, &after), ERR_OK);
	assert_true(after > before);

	assert_int_equal(group_list(f->db, &f->arena, &list, &n), ERR_OK);
	assert_int_equal(n, 2);
	assert_int_equal(list[0].id, b);
	assert_true(str_is(list[0].display_name, "B"));
	assert_true(list[0].created_at > 0);
	assert_null(list[0].param_overrides_json.p);

	sandbox_exec(f->db,
		     "INSERT INTO api_keys (key_value, group_id) SELECT 'k', id FROM \"groups\"");
	assert_int_equal(group_delete(f->db, a, NULL), ERR_OK);
	assert_int_equal(group_delete(f->db, a, NULL), ERR_NOT_FOUND);
	assert_int_equal(sandbox_int(f->db, "SELECT COUNT(*) FROM api_keys"), 1);
	assert_int_equal(sandbox_int(f->db, "SELECT group_id FROM gptl_outbox"), a);
}

static enum err
add_member(struct fixture *f, int64_t aggregate, int64_t id, int64_t weight)
{
	const struct group_weight member = {id, weight};

	return group_members_add(f->db, aggregate, &member, 1, NULL);
}

static void
test_members(void **state)
{
	struct fixture *f = *state;
	int64_t a = create(f, "a", "");
	int64_t b = create(f, "b", "");
	int64_t other = create(f, "other", ",\"channel_type\":\"gemini\"");
	int64_t path = create(f, "path", ",\"validation_endpoint\":\"/x\"");
	int64_t agg = create(f, "agg", AGGREGATE);
	const struct group_weight twice[] = {{b, 1}, {b, 2}};
	const struct group_weight half[] = {{b, 1}, {other, 2}};
	struct group_member *members;
	struct group_parent *parents;
	struct errinfo info;
	size_t n;

	assert_int_equal(add_member(f, a, b, 1), ERR_BAD_REQUEST);
	assert_int_equal(add_member(f, 99, b, 1), ERR_NOT_FOUND);
	assert_int_equal(add_member(f, agg, 99, 1), ERR_VALIDATION);
	assert_int_equal(add_member(f, agg, agg, 1), ERR_VALIDATION);
	assert_int_equal(add_member(f, agg, other, 1), ERR_VALIDATION);
	assert_int_equal(add_member(f, agg, a, 1001), ERR_VALIDATION);
	assert_int_equal(add_member(f, agg, a, -1), ERR_VALIDATION);
	assert_int_equal(add_member(f, agg, a, 5), ERR_OK);
	assert_int_equal(add_member(f, agg, a, 5), ERR_BAD_REQUEST);
	assert_int_equal(add_member(f, agg, path, 1), ERR_VALIDATION);
	assert_int_equal(group_members_add(f->db, agg, twice, 2, NULL), ERR_VALIDATION);
	assert_int_equal(group_members_add(f->db, agg, half, 2, NULL), ERR_VALIDATION);
	assert_int_equal(sandbox_int(f->db, "SELECT COUNT(*) FROM group_sub_groups"), 1);
	assert_int_equal(add_member(f, agg, b, 9), ERR_OK);

	assert_int_equal(group_members(f->db, agg, &f->arena, &members, &n, &info), ERR_OK);
	assert_int_equal(n, 2);
	assert_int_equal(members[0].group.id, b);
	assert_int_equal(members[0].weight, 9);
	assert_int_equal(group_members(f->db, a, &f->arena, &members, &n, &info), ERR_BAD_REQUEST);

	assert_int_equal(group_member_weigh(f->db, agg, b, 0, &info), ERR_OK);
	assert_int_equal(group_member_weigh(f->db, agg, other, 1, &info), ERR_NOT_FOUND);
	assert_int_equal(group_member_weigh(f->db, agg, b, 1001, &info), ERR_VALIDATION);
	assert_int_equal(group_parents(f->db, b, &f->arena, &parents, &n), ERR_OK);
	assert_int_equal(n, 1);
	assert_int_equal(parents[0].id, agg);
	assert_int_equal(parents[0].weight, 0);
	assert_int_equal(group_parents(f->db, 99, &f->arena, &parents, &n), ERR_OK);
	assert_int_equal(n, 0);

	assert_int_equal(group_member_remove(f->db, agg, b, &info), ERR_OK);
	assert_int_equal(group_member_remove(f->db, agg, b, &info), ERR_NOT_FOUND);
	assert_int_equal(group_delete(f->db, agg, NULL), ERR_OK);
	assert_int_equal(sandbox_int(f->db, "SELECT COUNT(*) FROM group_sub_groups"), 0);
}

static void
test_member_is_held(void **state)
{
	struct fixture *f = *state;
	int64_t a = create(f, "a", "");
	int64_t agg = create(f, "agg", AGGREGATE);
	struct errinfo info = {""};
	struct group_row row;

	assert_int_equal(add_member(f, agg, a, 1), ERR_OK);
	assert_int_equal(
	    group_update(f->db, a, STR("{\"channel_type\":\"gemini\"}"), &f->arena, &row, &info),
	    ERR_VALIDATION);
	assert_non_null(strstr(info.text, "1 aggregate"));
	assert_int_equal(
	    group_update(f->db, a, STR("{\"validation_endpoint\":\"/x\"}"), &f->arena, &row, &info),
	    ERR_VALIDATION);
	/* The same, and the default spelt out, change nothing. */
	assert_int_equal(group_update(f->db, a,
				      STR("{\"channel_type\":\"openai\","
					  "\"validation_endpoint\":\"/v1/chat/completions\"}"),
				      &f->arena, &row, &info),
			 ERR_OK);
	/* An aggregate keeps what it has. */
	assert_int_equal(group_update(f->db, agg,
				      STR("{\"channel_type\":\"gemini\",\"test_model\":\"x\","
					  "\"upstreams\":[{\"url\":\"http://x\"}]}"),
				      &f->arena, &row, &info),
			 ERR_OK);
	assert_true(str_is(row.channel_type, "openai"));
	assert_true(str_is(row.test_model, "-"));
	assert_true(str_is(row.upstreams_json, "[]"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_creation),
	    cmocka_unit_test(test_columns),
	    cmocka_unit_test(test_update_input),
	    cmocka_unit_test_setup_teardown(test_create_update_delete, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_members, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_member_is_held, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
