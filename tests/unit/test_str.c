/* SPDX-License-Identifier: MIT
 *
 * Tests of lib/str: comparison, cutting, strict conversions at the ends of
 * their ranges, the edges of UTF-8 (RFC 3629), and hex.
 */
#include "lib/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define NONE ((struct str){NULL, 0})

static void
assert_str(struct str got, const char *want)
{
	assert_int_equal(got.n, strlen(want));
	if (got.n > 0)
		assert_memory_equal(got.p, want, got.n);
}

static void
test_compare(void **state)
{
	static const struct {
		struct str a;
		const char *b;
		bool same;
		bool same_without_case;
	} cases[] = {
	    {STR(""), "", true, true},        {STR("a"), "", false, false},
	    {STR(""), "a", false, false},     {STR("abc"), "abc", true, true},
	    {STR("aBc"), "AbC", false, true}, {STR("abc"), "abcd", false, false},
	    {STR("@["), "`{", false, false},  {STR("\xC3\xA9"), "\xC3\x89", false, false},
	    {STR("a\0b"), "a", false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(str_is(cases[i].a, cases[i].b), cases[i].same);
		assert_int_equal(str_iis(cases[i].a, cases[i].b), cases[i].same_without_case);
	}
	assert_true(str_eq(NONE, STR("")));
	assert_true(str_ieq(NONE, STR("")));
	assert_true(str_eq(NONE, str_of(NULL)));
	assert_true(str_eq(STR("a\0b"), STR("a\0b")));
	assert_false(str_eq(STR("a\0b"), STR("a\0c")));
	assert_false(str_ieq(STR("a\0b"), STR("a\0c")));
}

static void
test_parts(void **state)
{
	static const struct {
		struct str s;
		const char *part;
		bool starts;
		bool ends;
		bool contains;
		bool contains_without_case;
	} cases[] = {
	    {STR("abc"), "", true, true, true, true},
	    {STR("abc"), "abc", true, true, true, true},
	    {STR("abc"), "abcd", false, false, false, false},
	    {STR("abc"), "ab", true, false, true, true},
	    {STR("abc"), "bc", false, true, true, true},
	    {STR("ABC"), "bc", false, false, false, true},
	    {STR("x\0yz"), "yz", false, true, true, true},
	    {{NULL, 0}, "a", false, false, false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(str_starts(cases[i].s, cases[i].part), cases[i].starts);
		assert_int_equal(str_ends(cases[i].s, cases[i].part), cases[i].ends);
		assert_int_equal(str_contains(cases[i].s, cases[i].part), cases[i].contains);
		assert_int_equal(str_icontains(cases[i].s, cases[i].part),
				 cases[i].contains_without_case);
	}
}

static void
test_trim_and_from(void **state)
{
	(void)state;
	assert_str(str_trim(STR(" \t\r\n a b \n")), "a b");
	assert_str(str_trim(STR("ab")), "ab");
	assert_str(str_trim(STR(" \t ")), "");
	assert_str(str_trim(NONE), "");
	assert_str(str_trim(STR("\va\f")), "\va\f");
	assert_str(str_from(STR("abc"), 0), "abc");
	assert_str(str_from(STR("abc"), 2), "c");
	assert_str(str_from(STR("abc"), 3), "");
	assert_str(str_from(STR("abc"), SIZE_MAX), "");
	assert_str(str_from(NONE, 1), "");
}

static void
test_split(void **state)
{
	static const struct {
		struct str in;
		const char *want; /* every piece, between bars */
	} cases[] = {
	    {{NULL, 0}, ""},        {STR(""), "||"},           {STR("a"), "|a|"},
	    {STR("a,b"), "|a||b|"}, {STR(","), "||||"},        {STR(",a"), "|||a|"},
	    {STR("a,"), "|a|||"},   {STR("a,,b"), "|a||||b|"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char got[64] = "";
		size_t n = 0;
		struct str rest = cases[i].in;
		struct str piece;

		while (str_split(&rest, ',', &piece))
			n += (size_t)snprintf(got + n, sizeof(got) - n, "|" STR_FMT "|",
					      STR_ARG(piece));
		assert_string_equal(got, cases[i].want);
	}
}

static void
test_to_i64(void **state)
{
	static const struct {
		const char *in;
		int64_t min;
		int64_t max;
		bool ok;
		int64_t want;
	} cases[] = {
	    {"0", 0, 0, true, 0},
	    {"-0", 0, 0, true, 0},
	    {"+7", 0, 7, true, 7},
	    {"8", 0, 7, false, 0},
	    {"-1", 0, 7, false, 0},
	    {"007", 0, 7, true, 7},
	    {"1", 2, 7, false, 0},
	    {"2", 2, 7, true, 2},
	    {"9223372036854775807", INT64_MIN, INT64_MAX, true, INT64_MAX},
	    {"9223372036854775808", INT64_MIN, INT64_MAX, false, 0},
	    {"-9223372036854775808", INT64_MIN, INT64_MAX, true, INT64_MIN},
	    {"-9223372036854775809", INT64_MIN, INT64_MAX, false, 0},
	    {"92233720368547758070", INT64_MIN, INT64_MAX, false, 0},
	    {"99999999999999999999999999", INT64_MIN, INT64_MAX, false, 0},
	    {"", 0, 7, false, 0},
	    {"-", INT64_MIN, 7, false, 0},
	    {"+", 0, 7, false, 0},
	    {"--1", INT64_MIN, 7, false, 0},
	    {" 1", 0, 7, false, 0},
	    {"1 ", 0, 7, false, 0},
	    {"1.0", 0, 7, false, 0},
	    {"1e0", 0, 7, false, 0},
	    {"0x1", 0, 7, false, 0},
	    {"1_0", 0, 70, false, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		int64_t got = 4242;
		bool ok = str_to_i64(str_of(cases[i].in), cases[i].min, cases[i].max, &got);

		assert_int_equal(ok, cases[i].ok);
		assert_true(got == (ok ? cases[i].want : 4242));
	}
}

static void
test_to_bool(void **state)
{
	static const char *const yes[] = {"true", "TRUE", "1", "yes", "On"};
	static const char *const no[] = {"false", "False", "0", "no", "OFF"};
	static const char *const bad[] = {"", "2", "t", "truee", " true", "enabled", "-1"};
	bool got;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		got = false;
		assert_true(str_to_bool(str_of(yes[i]), &got));
		assert_true(got);
	}
	for (size_t i = 0; i < ARRAY_LEN(no); i++) {
		got = true;
		assert_true(str_to_bool(str_of(no[i]), &got));
		assert_false(got);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		got = true;
		assert_false(str_to_bool(str_of(bad[i]), &got));
		assert_true(got);
	}
}

static void
test_utf8_next(void **state)
{
	static const struct {
		struct str in;
		size_t want;
	} cases[] = {
	    {{NULL, 0}, 0},
	    {STR("\0"), 1},
	    {STR("\x7F"), 1},
	    {STR("\x80"), 0},
	    {STR("\xBF"), 0},
	    {STR("\xC0\x80"), 0}, /* overlong NUL */
	    {STR("\xC1\xBF"), 0},
	    {STR("\xC2\x80"), 2}, /* U+0080 */
	    {STR("\xDF\xBF"), 2}, /* U+07FF */
	    {STR("\xC2"), 0},
	    {STR("\xC2\x7F"), 0},
	    {STR("\xC2\xC0"), 0},
	    {STR("\xE0\x9F\xBF"), 0}, /* overlong */
	    {STR("\xE0\xA0\x80"), 3}, /* U+0800 */
	    {STR("\xED\x9F\xBF"), 3}, /* U+D7FF */
	    {STR("\xED\xA0\x80"), 0}, /* surrogate */
	    {STR("\xEE\x80\x80"), 3}, /* U+E000 */
	    {STR("\xEF\xBF\xBF"), 3}, /* U+FFFF */
	    {STR("\xE4\xBD"), 0},
	    {STR("\xE4\xBD\x41"), 0},
	    {STR("\xF0\x8F\xBF\xBF"), 0}, /* overlong */
	    {STR("\xF0\x90\x80\x80"), 4}, /* U+10000 */
	    {STR("\xF4\x8F\xBF\xBF"), 4}, /* U+10FFFF */
	    {STR("\xF4\x90\x80\x80"), 0},
	    {STR("\xF5\x80\x80\x80"), 0},
	    {STR("\xF0\x9F\x98"), 0},
	    {STR("\xF0\x9F\x98\x41"), 0},
	    {STR("\xFF"), 0},
	    {STR("ab"), 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(utf8_next(cases[i].in.p, cases[i].in.n), cases[i].want);
}

static void
test_utf8_valid(void **state)
{
	(void)state;
	assert_true(utf8_valid(NONE));
	assert_true(utf8_valid(STR("a\xC3\xA9\xE4\xBD\xA0\xF0\x9F\x98\x80z")));
	assert_false(utf8_valid(STR("ok\xC3")));
	assert_false(utf8_valid(STR("\xA9z")));
}

static void
test_utf8_cut(void **state)
{
	static const struct {
		const char *in;
		size_t max;
		const char *want;
	} cases[] = {
	    {"", 0, ""},
	    {"abc", 3, "abc"},
	    {"abc", 2, "ab"},
	    {"abc", 0, ""},
	    {"a\xC3\xA9", 3, "a\xC3\xA9"},
	    {"a\xC3\xA9", 2, "a"},
	    {"\xF0\x9F\x98\x80x", 4, "\xF0\x9F\x98\x80"},
	    {"\xF0\x9F\x98\x80x", 3, ""},
	    {"a\xF0\x9F\x98\x80", 4, "a"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_str(utf8_cut(str_of(cases[i].in), cases[i].max), cases[i].want);
}

static void
test_hex(void **state)
{
	unsigned char bytes[4] = {0, 0, 0, 0};
	char text[9];

	(void)state;
	hex_encode(text, "\x00\x7f\x80\xff", 4);
	assert_string_equal(text, "007f80ff");
	hex_encode(text, "", 0);
	assert_string_equal(text, "");
	assert_true(hex_decode(STR("007F80fF"), bytes, 4));
	assert_memory_equal(bytes, "\x00\x7f\x80\xff", 4);
	assert_true(hex_decode(NONE, bytes, 0));
	assert_false(hex_decode(STR("007F80f"), bytes, 4));
	assert_false(hex_decode(STR("007F80ff0"), bytes, 4));
	assert_false(hex_decode(STR("0g"), bytes, 1));
	assert_false(hex_decode(STR("g0"), bytes, 1));
	assert_false(hex_decode(STR("0x"), bytes, 1));
}

/* Whatever byte stands wherever: what is passed over is printable, and a text of
 * printable bytes alone is passed over but for its last few. */
static void
test_printable(void **state)
{
	char text[40];

	(void)state;
	for (size_t at = 0; at < sizeof(text); at++) {
		for (int c = 0; c < 256; c++) {
			bool printable = c >= 0x20 && c <= 0x7E;
			size_t n;

			memset(text, 'x', sizeof(text));
			text[at] = (char)c;
			n = str_printable((struct str){text, sizeof(text)});
			assert_true(n <= sizeof(text));
			assert_true(printable ? n == sizeof(text) : n <= at);
			assert_true(n + 8 > at || n + 8 > sizeof(text));
		}
	}
	assert_int_equal(str_printable((struct str){"abc", 3}), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_printable),  cmocka_unit_test(test_compare),
	    cmocka_unit_test(test_parts),      cmocka_unit_test(test_trim_and_from),
	    cmocka_unit_test(test_split),      cmocka_unit_test(test_to_i64),
	    cmocka_unit_test(test_to_bool),    cmocka_unit_test(test_utf8_next),
	    cmocka_unit_test(test_utf8_valid), cmocka_unit_test(test_utf8_cut),
	    cmocka_unit_test(test_hex),
	};

	return cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
