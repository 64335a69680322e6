/* SPDX-License-Identifier: MIT
 *
 * Header rules, and the choice of a proxy: the two things that the responder and
 * key validation must do alike.
 */
#include "lib/headerrule.h"
#include "lib/proxyurl.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct rule_vars vars = {
    .client_ip = {"203.0.113.7", 11},
    .group_name = {"g", 1},
    .api_key = {"sk-${GROUP_NAME}", 16},
    .now_ms = 1700000000123,
};

static void
test_values(void **state UNUSED)
{
	static const struct {
		const char *value;
		const char *want; /* NULL: refused */
	} cases[] = {
	    {"", ""},
	    {"plain", "plain"},
	    {"${CLIENT_IP}", "203.0.113.7"},
	    {"a${GROUP_NAME}b${GROUP_NAME}", "agbg"},
	    {"${TIMESTAMP_MS} ${TIMESTAMP_S}", "1700000000123 1700000000"},
	    {"Bearer ${API_KEY}!", "Bearer sk-${GROUP_NAME}!"}, /* one pass */
	    {"${UNKNOWN}${GROUP_NAME}", "${UNKNOWN}g"},
	    {"${GROUP_NAME", "${GROUP_NAME"},
	    {"${${GROUP_NAME}}", "${g}"},
	    {"$${GROUP_NAME}", "$g"},
	    {"${}", "${}"},
	    {"${group_name}", "${group_name}"},
	    {"tab\there", "tab\there"},
	    {"a\r\nInjected: 1", NULL},
	    {"a\x01", NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct header_rule rule = {STR("X-Rule"), str_of(cases[i].value), false};
		struct group g = {.name = STR("g"), .header_rules = &rule, .n_header_rules = 1};
		struct errinfo info = {""};
		struct headers h;
		struct arena arena;
		struct str got;
		enum err e;

		arena_init(&arena, 512);
		headers_init(&h, &arena);
		e = header_rules_apply(&g, &h, &vars, &arena, &info);
		assert_int_equal(e, cases[i].want != NULL ? ERR_OK : ERR_CONF);
		if (e == ERR_OK) {
			assert_true(headers_get(&h, "x-rule", &got));
			assert_int_equal(got.n, strlen(cases[i].want));
			assert_memory_equal(got.p, cases[i].want, got.n + 1);
		} else {
			assert_non_null(strstr(info.text, "X-Rule"));
		}
		arena_done(&arena);
	}
}

static void
test_many_variables(void **state UNUSED)
{
	struct header_rule rule = {STR("X"), {NULL, 0}, false};
	struct group g = {.header_rules = &rule, .n_header_rules = 1};
	struct headers h;
	struct arena arena;
	struct str got;

	arena_init(&arena, 512);
	rule.value = str_of("");
	for (int i = 0; i < 100; i++)
		rule.value =
		    str_of(arena_printf(&arena, STR_FMT "${GROUP_NAME}", STR_ARG(rule.value)));
	headers_init(&h, &arena);
	assert_int_equal(header_rules_apply(&g, &h, &vars, &arena, NULL), ERR_OK);
	assert_true(headers_get(&h, "X", &got));
	assert_true(str_starts(got, "gggggggggggggggggggggggggggggggg${GROUP_NAME}"));
	arena_done(&arena);
}

static void
test_actions(void **state UNUSED)
{
	struct header_rule rules[] = {
	    {STR("Authorization"), STR(""), true},     {STR("X-Twice"), STR("once"), false},
	    {STR("Host"), STR("elsewhere"), false},    {STR("Content-Length"), STR("1"), false},
	    {STR("transfer-encoding"), STR(""), true},
	};
	struct group g = {.header_rules = rules, .n_header_rules = ARRAY_LEN(rules)};
	struct headers h;
	struct arena arena;
	struct str got;

	arena_init(&arena, 512);
	headers_init(&h, &arena);
	headers_add(&h, STR("authorization"), STR("Bearer x"));
	headers_add(&h, STR("x-twice"), STR("1"));
	headers_add(&h, STR("X-Twice"), STR("2"));
	headers_add(&h, STR("Transfer-Encoding"), STR("chunked"));
	assert_int_equal(header_rules_apply(&g, &h, &vars, &arena, NULL), ERR_OK);
	assert_int_equal(h.n, 2);
	assert_true(headers_get(&h, "x-twice", &got) && str_is(got, "once"));
	assert_true(headers_get(&h, "transfer-encoding", &got));
	rules[0].name = STR("no name");
	assert_int_equal(header_rules_apply(&g, &h, &vars, &arena, NULL), ERR_CONF);
	arena_done(&arena);
}

static void
test_proxy(void **state UNUSED)
{
	static char http[] = "http://p:1";
	static char https[] = "http://q:2";
	static char none[] = "internal";
	static const struct {
		const char *group;
		char *http;
		char *https;
		char *no;
		const char *origin;
		const char *url;
		const char *except;
	} cases[] = {
	    {"", NULL, NULL, NULL, "http://a", "", ""},
	    {"", NULL, NULL, none, "http://a", "", ""},
	    {"", http, https, none, "http://a", "http://p:1", "internal"},
	    {"", http, https, NULL, "https://a:8443", "http://q:2", ""},
	    {"", http, NULL, none, "https://a", "", ""},
	    {"socks5://s:3", http, https, none, "https://a", "socks5://s:3", ""},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct conf conf = {.http_proxy = cases[i].http,
				    .https_proxy = cases[i].https,
				    .no_proxy = cases[i].no};
		struct options opt = {.proxy_url = str_of(cases[i].group)};
		struct proxy_choice got;
		struct arena arena;

		arena_init(&arena, 64);
		got = proxy_choose(&conf, &opt, str_of(cases[i].origin), &arena);
		assert_string_equal(got.url, cases[i].url);
		assert_string_equal(got.except, cases[i].except);
		arena_done(&arena);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_many_variables),
	    cmocka_unit_test(test_actions),
	    cmocka_unit_test(test_proxy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
