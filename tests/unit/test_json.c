/* SPDX-License-Identifier: MIT
 *
 * json: what is refused (RFC 8259 to the letter), how values read, what is written.
 */
#include "lib/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/limits.h"
#include "lib/str.h"

static enum err
parse(const char *text, struct json_object **ret)
{
	struct errinfo info = {""};
	enum err e = json_parse(str_of(text), ret, &info);

	assert_int_equal(e == ERR_OK, info.text[0] == '\0');
	return e;
}

static void
test_accepts(void **state)
{
	static const char *const texts[] = {"12",
					    " 12 \n",
					    "-0",
					    "0",
					    "1.5e-3",
					    "1E5",
					    "true",
					    "false",
					    "null",
					    "\"\"",
					    "\"\\u00e9\\n\\/\"",
					    "[]",
					    "{}",
					    "[1,[2],{\"a\":null}]",
					    "{\"N\":\"NaN, -01 and\\\\\"}",
					    "9223372036854775807",
					    "\"\\\"\""};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct json_object *obj = NULL;

		if (parse(texts[i], &obj) != ERR_OK)
			fail_msg("refused: %s", texts[i]);
		json_done(obj);
	}
}

static void
test_refuses(void **state)
{
	static const char *const texts[] = {
	    "",           " ",        "01",        "-01",      "1.",       "-.5",
	    ".5",         "+1",       "2.e3",      "1e",       "1e+",      "-",
	    "NaN",        "Infinity", "-Infinity", "NULL",     "True",     "nul",
	    "'a'",        "\"a\tb\"", "\"a",       "\"\\x\"",  "\"\xff\"", "[1,]",
	    "{\"a\":1,}", "{a:1}",    "{\"a\" 1}", "{\"a\":1", "[1}",      "[1] x",
	    "1 2",        "/* */1",   "0x10",      "[1\f]",    "{1:2}",    "\"\\"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct json_object *obj = NULL;

		if (parse(texts[i], &obj) != ERR_INVALID_JSON)
			fail_msg("accepted: %s", texts[i]);
		assert_null(obj);
	}
	assert_int_equal(json_parse((struct str){"1\0", 2}, &(struct json_object *){NULL}, NULL),
			 ERR_INVALID_JSON);
}

static void
test_depth(void **state)
{
	struct buf b;

	(void)state;
	for (int extra = 0; extra < 2; extra++) {
		struct json_object *obj = NULL;

		buf_init(&b, 4096);
		for (int i = 0; i < LIMIT_JSON_DEPTH + extra; i++)
			buf_char(&b, '[');
		buf_char(&b, '1');
		for (int i = 0; i < LIMIT_JSON_DEPTH + extra; i++)
			buf_char(&b, ']');
		assert_int_equal(json_parse(buf_view(&b), &obj, NULL),
				 extra == 0 ? ERR_OK : ERR_INVALID_JSON);
		json_done(obj);
		buf_done(&b);
	}
}

static void
test_reading(void **state)
{
	AUTO_JSON struct json_object *obj = NULL;
	struct str text;
	int64_t i = 0;
	bool b = false;

	(void)state;
	assert_int_equal(
	    parse("{\"s\":\"a\\u0000b\",\"i\":-5,\"w\":2.0,\"e\":1e3,\"f\":2.5,"
		  "\"big\":9223372036854775808,\"over\":1e19,\"min\":-9223372036854775808,"
		  "\"t\":true,\"z\":null}",
		  &obj),
	    ERR_OK);
	assert_true(json_get_text(json_get(obj, "s"), &text));
	assert_true(str_eq(text, (struct str){"a\0b", 3}));
	assert_true(json_get_int(json_get(obj, "i"), &i) && i == -5);
	assert_true(json_get_int(json_get(obj, "w"), &i) && i == 2);
	assert_true(json_get_int(json_get(obj, "e"), &i) && i == 1000);
	assert_true(json_get_int(json_get(obj, "min"), &i) && i == INT64_MIN);
	assert_false(json_get_int(json_get(obj, "f"), &i));
	assert_false(json_get_int(json_get(obj, "big"), &i));
	assert_false(json_get_int(json_get(obj, "over"), &i));
	assert_false(json_get_int(json_get(obj, "s"), &i));
	assert_false(json_get_int(json_get(obj, "t"), &i));
	assert_false(json_get_int(NULL, &i));
	assert_true(json_get_bool(json_get(obj, "t"), &b) && b);
	assert_false(json_get_bool(json_get(obj, "i"), &b));
	assert_false(json_get_text(json_get(obj, "i"), &text));
	assert_null(json_get(obj, "z"));
	assert_null(json_get(obj, "none"));
	assert_null(json_get(json_get(obj, "i"), "x"));
	assert_true(json_has(obj, "z"));
	assert_false(json_has(obj, "none"));
	assert_false(json_has(NULL, "z"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_accepts),
	    cmocka_unit_test(test_refuses),
	    cmocka_unit_test(test_depth),
	    cmocka_unit_test(test_reading),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
