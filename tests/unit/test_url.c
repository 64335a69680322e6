/* SPDX-License-Identifier: MIT
 *
 * url: taking a configured URL apart.
 */
#include "lib/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/str.h"

static void
test_parts(void **state)
{
	static const struct {
		const char *text;
		const char *scheme, *userinfo, *host, *port, *path, *query;
	} rows[] = {
	    {"https://api.openai.com", "https", "", "api.openai.com", "", "", ""},
	    {"HTTP://h:80/", "HTTP", "", "h", "80", "/", ""},
	    {"http://u:p%40@h.x:8080/a/b//?k=v&x#f", "http", "u:p%40", "h.x", "8080", "/a/b//",
	     "k=v&x"},
	    {"http://a@b@h", "http", "a@b", "h", "", "", ""},
	    {"socks5h://[::1]:1080", "socks5h", "", "[::1]", "1080", "", ""},
	    {"http://[fe80::1]", "http", "", "[fe80::1]", "", "", ""},
	    {"http://h:", "http", "", "h", "", "", ""},
	    {"http://h?q=/", "http", "", "h", "", "", "q=/"},
	    {"http://h#f?x", "http", "", "h", "", "", ""},
	    {"http://例え.jp/é", "http", "", "例え.jp", "", "/é", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct url url;

		if (!url_parse(str_of(rows[i].text), &url))
			fail_msg("refused: %s", rows[i].text);
		assert_true(str_is(url.scheme, rows[i].scheme));
		assert_true(str_is(url.userinfo, rows[i].userinfo));
		assert_true(str_is(url.host, rows[i].host));
		assert_true(str_is(url.port, rows[i].port));
		assert_true(str_is(url.path, rows[i].path));
		assert_true(str_is(url.query, rows[i].query));
	}
}

static void
test_refused(void **state)
{
	static const char *const texts[] = {"",
					    "h",
					    "http:",
					    "http:/h",
					    "http://",
					    "http:///p",
					    "http://:80",
					    "http://h:0",
					    "http://h:65536",
					    "http://h:+1",
					    "http://h:x",
					    "http://h:1:2",
					    "http://[::1",
					    "http://[]",
					    "http://::1/",
					    "http://h h/",
					    "http://h/a b",
					    "http://h/\r\n",
					    "http://h/\x7f",
					    "http://h/\xff",
					    "http://u@",
					    "://h",
					    "1a://h",
					    "ht tp://h",
					    "http://h%20/",
					    "http://[::1]x/",
					    "http://h/\"",
					    "http://a,b"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct url url;

		if (url_parse(str_of(texts[i]), &url))
			fail_msg("accepted: %s", texts[i]);
	}
}

static void
test_decode(void **state)
{
	struct arena arena;
	struct str out;

	(void)state;
	arena_init(&arena, 256);
	assert_true(url_decode(STR("u%3a:p%40%2Fé"), &arena, &out));
	assert_true(str_is(out, "u::p@/é"));
	assert_true(url_decode((struct str){NULL, 0}, &arena, &out));
	assert_int_equal(out.n, 0);
	assert_false(url_decode(STR("%"), &arena, &out));
	assert_false(url_decode(STR("%4"), &arena, &out));
	assert_false(url_decode(STR("%zz"), &arena, &out));
	assert_false(url_decode(STR("a%00"), &arena, &out));
	assert_false(url_decode(STR("a%0d%0a"), &arena, &out));
	arena_done(&arena);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parts),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_decode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
