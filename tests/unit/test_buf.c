/* SPDX-License-Identifier: MIT
 *
 * Tests of lib/buf: both sides of the maximum, what is left after an overflow,
 * and the JSON string form.
 */
#include "lib/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define REPLACEMENT "\xEF\xBF\xBD"

static void
test_empty(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10);
	assert_string_equal(buf_text(&b), "");
	assert_int_equal(buf_view(&b).n, 0);
	assert_int_equal(buf_err(&b), ERR_OK);
	buf_add(&b, NULL, 0);
	buf_str(&b, (struct str){NULL, 0});
	buf_cstr(&b, "");
	assert_string_equal(buf_text(&b), "");
	buf_done(&b);
	buf_done(&b);
}

static void
test_add_forms(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	buf_add(&b, "ab\0c", 4);
	buf_str(&b, STR("d"));
	buf_cstr(&b, "ef");
	buf_char(&b, 'g');
	buf_printf(&b, "%03d", 7);
	buf_printf(&b, "%s", "");
	assert_int_equal(b.n, 11);
	assert_memory_equal(b.p, "ab\0cdefg007", 12);
	assert_int_equal(buf_err(&b), ERR_OK);
	buf_done(&b);
}

static void
test_maximum(void **state)
{
	static const struct {
		size_t max;
		const char *first;
		const char *second;
		const char *want;
		enum err err;
	} cases[] = {
	    {0, "", "", "", ERR_OK},
	    {0, "", "a", "", ERR_TOO_LARGE},
	    {3, "ab", "c", "abc", ERR_OK},
	    {3, "abc", "", "abc", ERR_OK},
	    {3, "ab", "cd", "ab", ERR_TOO_LARGE},
	    {3, "abcd", "", "", ERR_TOO_LARGE},
	    {3, "abcd", "e", "e", ERR_TOO_LARGE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf added;
		struct buf printed;

		buf_init(&added, cases[i].max);
		buf_cstr(&added, cases[i].first);
		buf_cstr(&added, cases[i].second);
		buf_init(&printed, cases[i].max);
		buf_printf(&printed, "%s", cases[i].first);
		buf_printf(&printed, "%s", cases[i].second);
		assert_string_equal(buf_text(&added), cases[i].want);
		assert_string_equal(buf_text(&printed), cases[i].want);
		assert_int_equal(buf_err(&added), cases[i].err);
		assert_int_equal(buf_err(&printed), cases[i].err);
		buf_done(&added);
		buf_done(&printed);
	}
}

/* A size that would wrap around is too large, not small. */
static void
test_size_does_not_wrap(void **state)
{
	volatile size_t most = SIZE_MAX; /* the compiler would refuse to try */
	size_t wrapping = most - 3;
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	buf_cstr(&b, "abc");
	buf_add(&b, "x", most);
	buf_add(&b, "x", wrapping);
	assert_string_equal(buf_text(&b), "abc");
	assert_int_equal(buf_err(&b), ERR_TOO_LARGE);
	buf_done(&b);
}

static void
test_clear_forgets(void **state)
{
	struct buf b;
	char *memory;

	(void)state;
	buf_init(&b, 4);
	buf_cstr(&b, "abcd");
	buf_char(&b, 'e');
	assert_int_equal(buf_err(&b), ERR_TOO_LARGE);
	memory = b.p;
	buf_clear(&b);
	assert_int_equal(buf_err(&b), ERR_OK);
	assert_string_equal(buf_text(&b), "");
	buf_cstr(&b, "xy");
	assert_ptr_equal(b.p, memory);
	assert_string_equal(buf_text(&b), "xy");
	buf_done(&b);
}

static void
test_grows(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100000);
	for (int i = 0; i < 100000; i++)
		buf_char(&b, (char)('a' + i % 26));
	assert_int_equal(buf_err(&b), ERR_OK);
	assert_int_equal(b.n, 100000);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(b.p[i], 'a' + i % 26);
	assert_int_equal(b.p[b.n], '\0');
	buf_char(&b, 'x');
	assert_int_equal(buf_err(&b), ERR_TOO_LARGE);
	buf_done(&b);
}

static void
test_take(void **state)
{
	struct buf b;
	size_t n = 99;
	char *p;

	(void)state;
	buf_init(&b, 10);
	p = buf_take(&b, &n);
	assert_string_equal(p, "");
	assert_int_equal(n, 0);
	free(p);
	buf_cstr(&b, "mine");
	p = buf_take(&b, NULL);
	assert_string_equal(p, "mine");
	assert_null(b.p);
	free(p);
	buf_cstr(&b, "0123456789");
	assert_int_equal(buf_err(&b), ERR_OK);
	buf_done(&b);
}

static void
test_json(void **state)
{
	static const struct {
		struct str in;
		const char *want;
	} cases[] = {
	    {{NULL, 0}, "\"\""},
	    {STR("plain"), "\"plain\""},
	    {STR("a\"b\\c/d"), "\"a\\\"b\\\\c/d\""},
	    {STR("\n\r\t"), "\"\\n\\r\\t\""},
	    {STR("\b\f\x01\x1f"), "\"\\u0008\\u000c\\u0001\\u001f\""},
	    {STR("a\0b"), "\"a\\u0000b\""},
	    {STR(" \x7f"), "\" \x7f\""},
	    {STR("\xC3\xA9 \xE4\xBD\xA0 \xF0\x9F\x98\x80"),
	     "\"\xC3\xA9 \xE4\xBD\xA0 \xF0\x9F\x98\x80\""},
	    {STR("\xFF"), "\"" REPLACEMENT "\""},
	    {STR("a\xC3"), "\"a" REPLACEMENT "\""},
	    {STR("\xC0\x80z"), "\"" REPLACEMENT REPLACEMENT "z\""},
	    {STR("\xED\xA0\x80"), "\"" REPLACEMENT REPLACEMENT REPLACEMENT "\""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf b;

		buf_init(&b, 100);
		buf_json(&b, cases[i].in);
		assert_string_equal(buf_text(&b), cases[i].want);
		buf_done(&b);
	}
}

static void
test_json_too_large(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 7);
	buf_json(&b, STR("abcde"));
	assert_int_equal(buf_err(&b), ERR_OK);
	buf_clear(&b);
	buf_json(&b, STR("abcdef"));
	assert_int_equal(buf_err(&b), ERR_TOO_LARGE);
	buf_done(&b);
}

static void
test_int(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	buf_int(&b, 0);
	buf_char(&b, ' ');
	buf_int(&b, -7);
	buf_char(&b, ' ');
	buf_int(&b, INT64_MAX);
	buf_char(&b, ' ');
	buf_int(&b, INT64_MIN);
	assert_string_equal(buf_text(&b), "0 -7 9223372036854775807 -9223372036854775808");
	buf_done(&b);
}

static void
test_reserve_is_a_hint(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	buf_reserve(&b, 101);
	assert_int_equal(buf_err(&b), ERR_OK);
	assert_int_equal(b.cap, 0);
	buf_reserve(&b, 100);
	assert_string_equal(buf_text(&b), "");
	buf_cstr(&b, "kept");
	buf_reserve(&b, 50);
	assert_string_equal(buf_text(&b), "kept");
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_int),
	    cmocka_unit_test(test_reserve_is_a_hint),
	    cmocka_unit_test(test_empty),
	    cmocka_unit_test(test_add_forms),
	    cmocka_unit_test(test_maximum),
	    cmocka_unit_test(test_size_does_not_wrap),
	    cmocka_unit_test(test_clear_forgets),
	    cmocka_unit_test(test_grows),
	    cmocka_unit_test(test_take),
	    cmocka_unit_test(test_json),
	    cmocka_unit_test(test_json_too_large),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
