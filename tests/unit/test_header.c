/* SPDX-License-Identifier: MIT
 *
 * Tests of lib/header: order and repeated fields, names without case, and the
 * rules for names, values and hop-by-hop fields.
 */
#include "lib/header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct arena arena;

static int
set_up(void **state)
{
	(void)state;
	arena_init(&arena, 1024);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

/* "name=value " of every field in order. */
static const char *
shown(const struct headers *h)
{
	const char *text = "";

	for (size_t i = 0; i < h->n; i++)
		text = arena_printf(&arena, "%s" STR_FMT "=" STR_FMT " ", text,
				    STR_ARG(h->v[i].name), STR_ARG(h->v[i].value));
	return text;
}

static void
test_order_and_repeats(void **state)
{
	struct headers h;
	struct str value = STR("untouched");

	(void)state;
	headers_init(&h, &arena);
	assert_false(headers_get(&h, "a", &value));
	assert_true(str_is(value, "untouched"));
	headers_add(&h, STR("A"), STR("1"));
	headers_add(&h, STR("b"), STR("2"));
	headers_add(&h, STR("a"), STR("3"));
	assert_string_equal(shown(&h), "A=1 b=2 a=3 ");
	assert_true(headers_get(&h, "a", &value));
	assert_true(str_is(value, "1"));
	headers_set(&h, STR("a"), STR("4"));
	assert_string_equal(shown(&h), "b=2 a=4 ");
	headers_set(&h, STR("c"), STR(""));
	headers_remove(&h, STR("B"));
	headers_remove(&h, STR("none"));
	assert_string_equal(shown(&h), "a=4 c= ");
	headers_remove(&h, STR("a"));
	headers_remove(&h, STR("c"));
	assert_int_equal(h.n, 0);
}

static void
test_many(void **state)
{
	struct headers h;
	struct str value;

	(void)state;
	headers_init(&h, &arena);
	for (int i = 0; i < 100; i++)
		headers_add(&h, str_of(arena_printf(&arena, "x-%d", i)),
			    str_of(arena_printf(&arena, "%d", i)));
	assert_int_equal(h.n, 100);
	for (int i = 0; i < 100; i++) {
		assert_true(headers_get(&h, arena_printf(&arena, "X-%d", i), &value));
		assert_true(str_is(value, arena_printf(&arena, "%d", i)));
	}
}

static void
test_names(void **state)
{
	static const struct {
		struct str name;
		bool valid;
	} cases[] = {
	    {STR("a"), true},       {STR("X-Api-Key"), true}, {STR("!#$%&'*+-.^_`|~09azAZ"), true},
	    {STR(""), false},       {STR("a b"), false},      {STR("a:"), false},
	    {STR("a\r\nb"), false}, {STR("a\0"), false},      {STR("\xC3\xA9"), false},
	    {STR("(a)"), false},    {STR("a\t"), false},      {STR("\x7F"), false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(header_name_valid(cases[i].name), cases[i].valid);
}

static void
test_values(void **state)
{
	static const struct {
		struct str value;
		bool valid;
	} cases[] = {
	    {STR(""), true},           {STR("text/plain; charset=utf-8"), true},
	    {STR("a\tb"), true},       {STR("\xE4\xBD\xA0\xFF"), true},
	    {STR("a\r\nX: y"), false}, {STR("a\n"), false},
	    {STR("\r"), false},        {STR("a\0b"), false},
	    {STR("\x1f"), false},      {STR("\x7F"), false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(header_value_valid(cases[i].value), cases[i].valid);
}

static void
test_hop_by_hop(void **state)
{
	static const char *const hop[] = {"Connection",
					  "keep-alive",
					  "Proxy-Authorization",
					  "proxy-authenticate",
					  "Proxy-Connection",
					  "TE",
					  "Trailer",
					  "Transfer-Encoding",
					  "UPGRADE",
					  "HTTP2-Settings"};
	static const char *const end_to_end[] = {
	    "",          "Content-Type", "Proxy",          "Proxy-",
	    "TEX",       "X-Connection", "Content-Length", "Authorization",
	    "Set-Cookie"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(hop); i++)
		assert_true(header_is_hop_by_hop(str_of(hop[i])));
	for (size_t i = 0; i < ARRAY_LEN(end_to_end); i++)
		assert_false(header_is_hop_by_hop(str_of(end_to_end[i])));
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_order_and_repeats), TEST(test_many), TEST(test_names), TEST(test_values),
	    TEST(test_hop_by_hop),
	};

	return cmocka_run_group_tests_name("header", tests, NULL, NULL);
}
