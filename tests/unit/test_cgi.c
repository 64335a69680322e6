/* SPDX-License-Identifier: MIT
 *
 * Tests of lib/cgi: what a request target may be, every place of a client key
 * and their precedence, percent-decoding of queries, and whose
 * X-Forwarded-For is believed.
 */
#include "lib/cgi.h"
#include "lib/limits.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct arena arena;

static int
set_up(void **state)
{
	(void)state;
	arena_init(&arena, 4096);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static void
assert_str(struct str got, const char *want)
{
	assert_string_equal(arena_strndup(&arena, got.p, got.n), want);
	assert_int_equal(got.n, strlen(want));
}

/* An environment of up to three variables; NULL ones are left out. */
static char **
env(const char *a, const char *b, const char *c)
{
	const char *in[] = {a, b, c};
	char **envp = arena_zalloc(&arena, 4 * sizeof(*envp));
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(in); i++)
		if (in[i] != NULL)
			envp[n++] = arena_strdup(&arena, in[i]);
	return envp;
}

static void
test_var(void **state)
{
	char **envp = env("ABC=1", "AB=2", "E=");

	(void)state;
	assert_str(cgi_var(envp, "AB"), "2");
	assert_str(cgi_var(envp, "ABC"), "1");
	assert_str(cgi_var(envp, "E"), "");
	assert_str(cgi_var(envp, "A"), "");
	assert_str(cgi_var(env("A=x=y", "A=z", NULL), "A"), "x=y");
	assert_str(cgi_var(env(NULL, NULL, NULL), "A"), "");
}

static void
test_target(void **state)
{
	static const struct {
		const char *uri;
		const char *path;
		const char *query;
	} cases[] = {
	    {"/", "/", ""},
	    {"/proxy/g/v1/x", "/proxy/g/v1/x", ""},
	    {"/a?b=c", "/a", "b=c"},
	    {"/a?", "/a", ""},
	    {"/a?b?c=/../d", "/a", "b?c=/../d"},
	    {"/a//b/", "/a//b/", ""},
	    {"/a%2Fb%20c", "/a%2Fb%20c", ""},
	    {"/v1beta/models/gemini-pro:generateContent",
	     "/v1beta/models/gemini-pro:generateContent", ""},
	    {"/...", "/...", ""},
	    {"/.a/b./..c", "/.a/b./..c", ""},
	    {"/%2e%2e%2e/.%2ex", "/%2e%2e%2e/.%2ex", ""},
	    {"/\xC3\xA9", "/\xC3\xA9", ""},
	    {"http://host/a?b", "/a", "b"},
	    {"https://u@host:1/", "/", ""},
	    {"http://host", "/", ""},
	    {"/a?u=http://x/", "/a", "u=http://x/"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char **envp =
		    env("X=y", arena_printf(&arena, "REQUEST_URI=%s", cases[i].uri), NULL);
		struct cgi_target t;
		struct errinfo info = {""};

		assert_int_equal(cgi_target(envp, &t, &info), ERR_OK);
		assert_str(t.path, cases[i].path);
		assert_str(t.query, cases[i].query);
	}
}

static void
test_bad_target(void **state)
{
	static const char *const bad[] = {
	    "",        "a",       "*",        "?a=b",   "/.",       "/..",
	    "/a/../b", "/a/./b",  "/a/..",    "/a/.?x", "/%2e",     "/%2E%2e/b",
	    "/.%2E/b", "/%2e./b", "/a b",     "/a\tb",  "/a\rb",    "/a\nb",
	    "/a\x7F",  "/a?b c",  "/a?b\x01", "/%",     "/%4",      "/%4g",
	    "/%g4",    "/a?%",    "/a?x=%zz", "/%00",   "/a?x=%00", "http://host/../a",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		char **envp = env(arena_printf(&arena, "REQUEST_URI=%s", bad[i]), NULL, NULL);
		struct cgi_target t = {STR("kept"), STR("kept")};
		struct errinfo info = {""};

		assert_int_equal(cgi_target(envp, &t, &info), ERR_BAD_REQUEST);
		assert_str(t.path, "kept");
		assert_string_not_equal(info.text, "");
		assert_int_equal(cgi_target(envp, &t, NULL), ERR_BAD_REQUEST);
	}
	assert_int_equal(cgi_target(env(NULL, NULL, NULL), &(struct cgi_target){0}, NULL),
			 ERR_BAD_REQUEST);
}

static void
test_target_length(void **state)
{
	struct cgi_target t;
	char *var = arena_alloc(&arena, LIMIT_TARGET_BYTES + 64);
	size_t prefix = strlen("REQUEST_URI=");

	(void)state;
	memset(var, 'a', LIMIT_TARGET_BYTES + 64);
	memcpy(var, "REQUEST_URI=/", prefix + 1);
	var[prefix + LIMIT_TARGET_BYTES] = '\0';
	assert_int_equal(cgi_target((char *[]){var, NULL}, &t, NULL), ERR_OK);
	assert_int_equal(t.path.n, LIMIT_TARGET_BYTES);
	var[prefix + LIMIT_TARGET_BYTES] = 'a';
	var[prefix + LIMIT_TARGET_BYTES + 1] = '\0';
	assert_int_equal(cgi_target((char *[]){var, NULL}, &t, NULL), ERR_TARGET_TOO_LONG);
}

static void
test_query_get(void **state)
{
	static const struct {
		struct str query;
		const char *name;
		const char *want; /* NULL: not there */
	} cases[] = {
	    {{NULL, 0}, "a", NULL},
	    {STR(""), "a", NULL},
	    {STR("a=1"), "a", "1"},
	    {STR("a"), "a", ""},
	    {STR("a="), "a", ""},
	    {STR("ab=1&a=2"), "a", "2"},
	    {STR("a=1&a=2"), "a", "1"},
	    {STR("&&a=1&"), "a", "1"},
	    {STR("A=1"), "a", NULL},
	    {STR("b=a=1"), "a", NULL},
	    {STR("b=a=1"), "b", "a=1"},
	    {STR("a=x+y%20z%2B"), "a", "x y z+"},
	    {STR("a=%41%4a%4A"), "a", "AJJ"},
	    {STR("a=%e4%BD%a0"), "a", "\xE4\xBD\xA0"},
	    {STR("a=100%"), "a", "100%"},
	    {STR("a=%4"), "a", "%4"},
	    {STR("a=%zz%"), "a", "%zz%"},
	    {STR("a=%%41"), "a", "%A"},
	    {STR("a=%26b%3D"), "a", "&b="},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str got = STR("kept");
		bool found = query_get(cases[i].query, cases[i].name, &arena, &got);

		assert_int_equal(found, cases[i].want != NULL);
		assert_str(got, cases[i].want != NULL ? cases[i].want : "kept");
	}
}

static void
test_query_without(void **state)
{
	static const struct {
		const char *query;
		const char *want;
	} cases[] = {
	    {"", ""},
	    {"key=1", ""},
	    {"key", ""},
	    {"key=1&a=2", "a=2"},
	    {"a=2&key=1", "a=2"},
	    {"a=1&key=x&b=%2f+%", "a=1&b=%2f+%"},
	    {"key=1&key=2&a", "a"},
	    {"keys=1&KEY=2&a=key", "keys=1&KEY=2&a=key"},
	    {"a=1&&b", "a=1&&b"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_str(query_without(str_of(cases[i].query), "key", &arena), cases[i].want);
	assert_str(query_without((struct str){NULL, 0}, "key", &arena), "");
}

static void
test_client_key(void **state)
{
	static const struct {
		const char *query;
		const char *var[3];
		enum client_key_place place;
		const char *key;
	} cases[] = {
	    {"", {NULL, NULL, NULL}, CLIENT_KEY_NONE, ""},
	    {"key=q", {NULL, NULL, NULL}, CLIENT_KEY_QUERY, "q"},
	    {"key=a%2Bb", {NULL, NULL, NULL}, CLIENT_KEY_QUERY, "a+b"},
	    {"key=", {"HTTP_X_API_KEY=x", NULL, NULL}, CLIENT_KEY_X_API_KEY, "x"},
	    {"key=q", {"HTTP_AUTHORIZATION=Bearer b", NULL, NULL}, CLIENT_KEY_QUERY, "q"},
	    {"", {"HTTP_AUTHORIZATION=Bearer b", "HTTP_X_API_KEY=x", NULL}, CLIENT_KEY_BEARER, "b"},
	    {"", {"HTTP_AUTHORIZATION=bEARER  b ", NULL, NULL}, CLIENT_KEY_BEARER, "b"},
	    {"", {"HTTP_AUTHORIZATION=Bearer ", "HTTP_X_API_KEY=x", NULL}, CLIENT_KEY_BEARER, ""},
	    {"",
	     {"HTTP_AUTHORIZATION=Basic b", "HTTP_X_API_KEY=x", NULL},
	     CLIENT_KEY_X_API_KEY,
	     "x"},
	    {"", {"HTTP_AUTHORIZATION=Bearerb", NULL, NULL}, CLIENT_KEY_NONE, ""},
	    {"", {"REDIRECT_HTTP_AUTHORIZATION=Bearer r", NULL, NULL}, CLIENT_KEY_BEARER, "r"},
	    {"",
	     {"REDIRECT_HTTP_AUTHORIZATION=Bearer r", "HTTP_AUTHORIZATION=Bearer b", NULL},
	     CLIENT_KEY_BEARER,
	     "b"},
	    {"",
	     {"HTTP_X_GOOG_API_KEY=g", "HTTP_API_KEY=z", "HTTP_X_API_KEY=x"},
	     CLIENT_KEY_X_API_KEY,
	     "x"},
	    {"", {"HTTP_API_KEY=z", "HTTP_X_GOOG_API_KEY=g", NULL}, CLIENT_KEY_X_GOOG_API_KEY, "g"},
	    {"", {"HTTP_API_KEY=z", "HTTP_X_API_KEY=", NULL}, CLIENT_KEY_API_KEY, "z"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *const *v = cases[i].var;
		struct str key = STR("unset");

		assert_int_equal(
		    cgi_client_key(env(v[0], v[1], v[2]), str_of(cases[i].query), &arena, &key),
		    cases[i].place);
		assert_str(key, cases[i].key);
	}
}

static void
test_client_ip(void **state)
{
	static const struct {
		const char *remote;
		const char *forwarded;
		const char *trusted;
		const char *want;
	} cases[] = {
	    {"203.0.113.9", NULL, NULL, "203.0.113.9"},
	    {NULL, NULL, NULL, "-"},
	    {"", "198.51.100.1", NULL, "198.51.100.1"}, /* a Unix socket */
	    {"unix:", "198.51.100.1", NULL, "198.51.100.1"},
	    {"127.0.0.1", "198.51.100.1", NULL, "198.51.100.1"},
	    {"::1", "198.51.100.1", NULL, "198.51.100.1"},
	    {"::ffff:127.0.0.1", "198.51.100.1", NULL, "198.51.100.1"},
	    {"203.0.113.9", "198.51.100.1", NULL, "203.0.113.9"}, /* a stranger says so */
	    {"127.0.0.1", "6.6.6.6, 198.51.100.1", NULL, "198.51.100.1"},
	    {"127.0.0.1", "198.51.100.1, 127.0.0.1", NULL, "198.51.100.1"},
	    {"127.0.0.1", "127.0.0.2,127.0.0.3", NULL, "127.0.0.2"},
	    {"127.0.0.1", "6.6.6.6,junk", NULL, "127.0.0.1"},
	    {"127.0.0.1", "6.6.6.6,", NULL, "127.0.0.1"},
	    {"127.0.0.1", "", NULL, "127.0.0.1"},
	    {"10.1.2.3", "198.51.100.1", "10.0.0.0/8", "198.51.100.1"},
	    {"11.1.2.3", "198.51.100.1", "10.0.0.0/8", "11.1.2.3"},
	    {"10.0.0.127", "198.51.100.1", "10.0.0.0/25", "198.51.100.1"},
	    {"10.0.0.128", "198.51.100.1", "10.0.0.0/25", "10.0.0.128"},
	    {"10.0.0.1", "198.51.100.1", "10.0.0.1", "198.51.100.1"},
	    {"10.0.0.2", "198.51.100.1", "10.0.0.1", "10.0.0.2"},
	    {"10.0.0.2", "198.51.100.1", "10.0.0.1 , 10.0.0.2", "198.51.100.1"},
	    {"8.8.8.8", "198.51.100.1", "0.0.0.0/0", "198.51.100.1"},
	    {"2001:db8::1", "2001:db8:ffff::2", "2001:db8::/48", "2001:db8:ffff::2"},
	    {"2001:db8:1::1", "2001:db8:ffff::2", "2001:db8::/48", "2001:db8:1::1"},
	    {"127.0.0.1", "198.51.100.1", "10.0.0.0/8", "127.0.0.1"},
	    {"127.0.0.1", "198.51.100.1", "", "127.0.0.1"},
	    {"127.0.0.1", "198.51.100.1", "127.0.0.0/x", "127.0.0.1"},
	    {"127.0.0.1", "198.51.100.1", "::/0", "127.0.0.1"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *remote = cases[i].remote;
		const char *forwarded = cases[i].forwarded;
		char **envp = env(
		    remote ? arena_printf(&arena, "REMOTE_ADDR=%s", remote) : NULL,
		    forwarded ? arena_printf(&arena, "HTTP_X_FORWARDED_FOR=%s", forwarded) : NULL,
		    NULL);

		assert_str(cgi_client_ip(envp, cases[i].trusted, &arena), cases[i].want);
	}
}

/* Last: it holds for the rest of the process. */
static void
test_below_the_folder_of_the_program(void **state)
{
	static const struct {
		const char *script;
		const char *uri;
		const char *path;
	} cases[] = {
	    {"SCRIPT_NAME=/ai/gpt-load.cgi", "REQUEST_URI=/ai/proxy/g/x?a=/ai/", "/proxy/g/x"},
	    {"SCRIPT_NAME=/gpt-load.cgi", "REQUEST_URI=/proxy/g/x", "/proxy/g/x"},
	    {"SCRIPT_NAME=/~u/a b/api.cgi", "REQUEST_URI=/%7Eu/a%20b/api/groups", "/api/groups"},
	    {"SCRIPT_NAME=/~u/a b/api.cgi", "REQUEST_URI=/%7eu/a%2/api/groups", NULL},
	    {"SCRIPT_NAME=/ai/gpt-load.cgi", "REQUEST_URI=/ai//proxy/g", "//proxy/g"},
	    {"SCRIPT_NAME=/ai/gpt-load.cgi", "REQUEST_URI=/aiproxy/g", "/aiproxy/g"},
	    {"SCRIPT_NAME=/ai/gpt-load.cgi", "REQUEST_URI=/a", "/a"},
	    {"SCRIPT_NAME=/ai/gpt-load.cgi", "REQUEST_URI=/ai", "/ai"},
	    {"SCRIPT_NAME=gpt-load.cgi", "REQUEST_URI=/ai/x", "/ai/x"},
	    {NULL, "REQUEST_URI=/proxy/g", "/proxy/g"},
	};

	(void)state;
	cgi_begin_at_script();
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char **envp = env(cases[i].uri, cases[i].script, NULL);
		struct cgi_target t;

		if (cases[i].path == NULL) {
			assert_int_equal(cgi_target(envp, &t, NULL), ERR_BAD_REQUEST);
			continue;
		}
		assert_int_equal(cgi_target(envp, &t, NULL), ERR_OK);
		assert_str(t.path, cases[i].path);
	}
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_var),
	    TEST(test_target),
	    TEST(test_bad_target),
	    TEST(test_target_length),
	    TEST(test_query_get),
	    TEST(test_query_without),
	    TEST(test_client_key),
	    TEST(test_client_ip),
	    TEST(test_below_the_folder_of_the_program),
	};

	return cmocka_run_group_tests_name("cgi", tests, NULL, NULL);
}
