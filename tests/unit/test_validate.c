/* SPDX-License-Identifier: MIT
 *
 * One key tried against a provider: what is sent, what the answer means, and when
 * a key that is out is tried again. (The keys of a pool: test_jobs.c.)
 */
#include "lib/validate.h"
#include "lib/channel.h"
#include "lib/probe.h"
#include "lib/str.h"

#include "tests/unit/httpmock.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define MINUTE_MS 60000LL

struct fixture {
	struct httpmock *mock;
	struct arena arena;
	struct conf conf;
	struct upstream upstream;
	uint16_t turns[1];
	struct header_rule rule;
	struct group group;
};

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->mock = httpmock_new(200, "{}");
	arena_init(&f->arena, 1024);
	f->upstream = (struct upstream){
	    .origin = str_of(arena_printf(&f->arena, "http://127.0.0.1:%d", f->mock->port)),
	    .path = STR("/base"),
	    .query = STR("api-version=1"),
	    .weight = 1,
	};
	f->rule = (struct header_rule){STR("X-Rule"), STR("${GROUP_NAME} ${CLIENT_IP}"), false};
	f->group = (struct group){
	    .id = 1,
	    .name = STR("g"),
	    .channel = channel_find(STR("openai")),
	    .upstreams = &f->upstream,
	    .n_upstreams = 1,
	    .upstream_turns = f->turns,
	    .n_upstream_turns = 1,
	    .test_model = STR("tiny"),
	    .validation_endpoint = STR("/v1/check?x=2"),
	    .header_rules = &f->rule,
	    .n_header_rules = 1,
	    .opt = {.connect_timeout_s = 5, .validation_timeout_s = 20},
	};
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	httpmock_free(f->mock);
	arena_done(&f->arena);
	free(f);
	return 0;
}

/* *why is to be freed. */
static struct probe_answer
try_key(struct fixture *f, const char *key, char **why)
{
	struct errinfo info = {""};
	struct probe_answer answer;
	struct probe probe;

	if (probe_init(&probe, &f->conf, &f->group, &f->upstream, str_of(key), &info) != ERR_OK)
		fail_msg("%s", info.text);
	probe_judge(&probe, curl_easy_perform(probe.easy), &answer);
	*why = buf_take(&answer.why, NULL);
	probe_done(&probe);
	return answer;
}

static void
test_request(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE char *why = NULL;
	struct probe_answer result = try_key(f, "sk-secret-key", &why);

	assert_true(result.ok);
	assert_int_equal(result.status, 200);
	assert_string_equal(why, "");
	assert_non_null(
	    strstr(f->mock->last, "POST /base/v1/check?api-version=1&x=2 HTTP/1.1\r\n"));
	assert_non_null(strstr(f->mock->last, "\r\nAuthorization: Bearer sk-secret-key\r\n"));
	assert_non_null(strstr(f->mock->last, "\r\nContent-Type: application/json\r\n"));
	assert_non_null(strstr(f->mock->last, "\r\nX-Rule: g 127.0.0.1\r\n"));
	assert_non_null(strstr(f->mock->last, "\"model\":\"tiny\""));
}

static void
test_answers(void **state)
{
	static const struct {
		int status;
		const char *body;
		bool ok;
		const char *why;
	} cases[] = {
	    {201, "", true, ""},
	    {204, "", true, ""},
	    {302, "moved", false, "[status 302] moved"},
	    {401, "{\"error\":{\"message\":\"bad key sk-secret-key\"}}", false,
	     "[status 401] bad key [redacted]"},
	    {500, "boom", false, "[status 500] boom"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE char *why = NULL;
		struct probe_answer result;

		httpmock_answer(f->mock, cases[i].status, cases[i].body);
		result = try_key(f, "sk-secret-key", &why);
		assert_int_equal(result.ok, cases[i].ok);
		assert_int_equal(result.status, cases[i].status);
		assert_string_equal(why, cases[i].why);
	}
}

static void
test_no_answer(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE char *late = NULL;
	AUTO_FREE char *refused = NULL;
	AUTO_FREE char *scheme = NULL;
	struct probe_answer result;

	httpmock_answer(f->mock, 0, "");
	f->group.opt.validation_timeout_s = 1;
	result = try_key(f, "k", &late);
	assert_false(result.ok);
	assert_int_equal(result.status, 0);
	assert_non_null(strstr(late, "timed out"));
	f->upstream.origin = STR("http://127.0.0.1:1");
	result = try_key(f, "k", &refused);
	assert_false(result.ok);
	assert_true(refused[0] != '\0');
	f->upstream.origin = STR("file://localhost");
	result = try_key(f, "k", &scheme);
	assert_false(result.ok);
	assert_int_equal(result.status, 0);
}

/* The proxy of the group is used, and the environment of this process is not. */
static void
test_proxy(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE char *direct = NULL;
	AUTO_FREE char *through = NULL;

	assert_int_equal(setenv("http_proxy", "http://127.0.0.1:1", 1), 0);
	assert_int_equal(setenv("ALL_PROXY", "http://127.0.0.1:1", 1), 0);
	assert_true(try_key(f, "k", &direct).ok);
	f->group.opt.proxy_url = f->upstream.origin;
	f->upstream.origin = STR("http://provider.invalid");
	assert_true(try_key(f, "k", &through).ok);
	assert_non_null(strstr(f->mock->last, "POST http://provider.invalid/base/v1/check?"));
	assert_int_equal(unsetenv("http_proxy") | unsetenv("ALL_PROXY"), 0);
}

static void
test_unusable(void **state)
{
	struct fixture *f = *state;
	struct errinfo info = {""};
	struct probe probe;

	f->rule.value = STR("a\nb");
	assert_int_equal(probe_init(&probe, &f->conf, &f->group, &f->upstream, STR("k"), &info),
			 ERR_CONF);
	assert_int_equal(f->mock->requests, 0);
}

static void
test_next(void **state UNUSED)
{
	static const struct {
		int interval_min;
		uint32_t checks;
		int64_t want_min;
	} cases[] = {
	    {60, 0, 60},  {60, 1, 60},     {60, 2, 60},      {60, 3, 120},           {60, 4, 240},
	    {60, 5, 480}, {60, 7, 1440},   {60, 1000, 1440}, {60, UINT32_MAX, 1440}, {1, 0, 1},
	    {1, 3, 2},    {2880, 0, 2880}, {2880, 9, 2880},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct options opt = {.validation_interval_min = cases[i].interval_min};
		int64_t want = cases[i].want_min * MINUTE_MS;

		for (int k = 0; k < 100; k++) {
			int64_t in = validate_next_ms(&opt, cases[i].checks, 1000) - 1000;

			assert_true(in <= want - want / 50 && in >= want - want / 10);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_request, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_answers, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_answer, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_proxy, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_unusable, setup, teardown),
	    cmocka_unit_test(test_next),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
