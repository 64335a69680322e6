/* SPDX-License-Identifier: MIT
 *
 * jsonscan: what is valid, what is found, and that edits leave every other byte. All
 * texts are scanned from blocks of exactly their size, so that a sanitizer sees a read
 * past the end.
 */
#include "lib/jsonscan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lib/buf.h"
#include "lib/limits.h"

static struct arena arena;

static int
setup(void **state)
{
	(void)state;
	arena_init(&arena, 4096);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static const struct str keys[] = {
    {"model", 5}, {"stream", 6}, {"", 0}, {"\xC3\xA9\xF0\x9F\x98\x80", 6}};

/* Scans a block of exactly n bytes. */
static enum err
scan_exact(const char *p, size_t n, struct json_top *ret)
{
	char *block = malloc(n > 0 ? n : 1);
	enum err e;

	assert_non_null(block);
	if (n > 0)
		memcpy(block, p, n);
	e = json_scan((struct str){block, n}, keys, ARRAY_LEN(keys), &arena, ret);
	free(block);
	return e;
}

static enum err
scan(const char *text, struct json_top *ret)
{
	return scan_exact(text, strlen(text), ret);
}

static const char *const valid[] = {
    "{}",
    " \t\r\n{ } \n",
    "{\"a\":1}",
    "{\"\":null}",
    "{\"a\":[]}",
    "{\"a\":[[],{},[{}]]}",
    "{\"a\":0,\"b\":-0,\"c\":0.0,\"d\":-1.5e+10,\"e\":1E5,\"f\":123456789012345678901234567890}",
    "{\"a\":true,\"b\":false,\"c\":null}",
    "{ \"a\" : [ 1 , 2 , \"x\" ] , \"b\" : { \"c\" : { } } }",
    "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uD83D\\ude00\"}",
    "{\"a\":\"half \\uD83D pair\"}",
    "{\"a\":\"\x7F\xFF\xC3\xA9 not necessarily UTF-8\"}",
    "{\"a\":1,\"a\":2}",
};

static const char *const invalid[] = {
    "",
    " ",
    "null",
    "1",
    "\"a\"",
    "[]",
    "[{}]",
    "{",
    "}",
    "{}}",
    "{}{}",
    "{} x",
    "{]",
    "{\"a\":[}",
    "{\"a\":{]}",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\" 1}",
    "{a:1}",
    "{'a':1}",
    "{\"a\":1,}",
    "{,\"a\":1}",
    "{\"a\":1 \"b\":2}",
    "{\"a\":[1,]}",
    "{\"a\":[,1]}",
    "{\"a\":[1 2]}",
    "{\"a\":01}",
    "{\"a\":-}",
    "{\"a\":+1}",
    "{\"a\":.5}",
    "{\"a\":1.}",
    "{\"a\":1.e5}",
    "{\"a\":1e}",
    "{\"a\":1e+}",
    "{\"a\":0x10}",
    "{\"a\":NaN}",
    "{\"a\":Infinity}",
    "{\"a\":tru}",
    "{\"a\":True}",
    "{\"a\":nul}",
    "{\"a\":truefalse}",
    "{\"a\":\"\n\"}",
    "{\"a\":\"\x01\"}",
    "{\"a\":\"long enough for eight at once\x1F\"}",
    "{\"a\":\"\\x\"}",
    "{\"a\":\"\\u12\"}",
    "{\"a\":\"\\u12G4\"}",
    "{\"a\":\"\\",
    "{\"a\":\"\\u",
    "{\"a\":\"no end}",
    "{/* comment */}",
    "\xEF\xBB\xBF{}",
    "{\"a\":1}\v",
};

static void
takes_valid_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(valid); i++) {
		struct json_top top;

		if (scan(valid[i], &top) != ERR_OK)
			fail_msg("not taken: %s", valid[i]);
	}
}

static void
refuses_invalid_texts(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(invalid); i++) {
		struct json_top top;

		if (scan(invalid[i], &top) != ERR_INVALID_JSON)
			fail_msg("taken: %s", invalid[i]);
	}
	/* A NUL is a control character, and no escape. */
	for (size_t n = 0; n < 2; n++) {
		static const char *const nul[] = {"{\"a\":\"\0\"}", "{\"a\":\"\\\0\"}"};
		struct json_top top;

		assert_int_equal(scan_exact(nul[n], 9 + n, &top), ERR_INVALID_JSON);
	}
}

static void
refuses_every_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(valid); i++) {
		struct str s = str_trim(str_of(valid[i]));
		struct json_top top;

		for (size_t n = 0; n < s.n; n++)
			assert_int_equal(scan_exact(s.p, n, &top), ERR_INVALID_JSON);
	}
}

static void
bounds_the_depth(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	for (size_t depth = LIMIT_JSON_DEPTH - 1; depth <= LIMIT_JSON_DEPTH + 1; depth++) {
		struct json_top top;

		buf_clear(&b);
		buf_cstr(&b, "{\"a\":");
		for (size_t i = 1; i < depth; i++)
			buf_char(&b, '[');
		for (size_t i = 1; i < depth; i++)
			buf_char(&b, ']');
		buf_char(&b, '}');
		assert_int_equal(scan_exact(b.p, b.n, &top),
				 depth <= LIMIT_JSON_DEPTH ? ERR_OK : ERR_INVALID_JSON);
	}
	buf_done(&b);
}

static void
finds_members(void **state)
{
	static const char text[] =
	    "{\"x\":{\"model\":1},\"model\" : \"gpt\" ,\"y\":[{\"stream\":1}],"
	    "\"str\\u0065am\":true,\"mod\\u0065l\":[1],\"\":null,\"models\":0,\"Model\":0,"
	    "\"\\u00E9\\uD83D\\uDE00\":{\"a\":{}},\"mode\":-1.5}";
	static const struct {
		size_t key;
		enum json_kind kind;
		const char *value;
	} want[] = {
	    {0, JSON_STRING, "\"gpt\""}, {1, JSON_BOOL, "true"},         {0, JSON_ARRAY, "[1]"},
	    {2, JSON_NULL, "null"},      {3, JSON_OBJECT, "{\"a\":{}}"},
	};
	struct json_top top;

	(void)state;
	assert_int_equal(scan(text, &top), ERR_OK);
	assert_false(top.empty);
	assert_int_equal(top.close, strlen(text) - 1);
	assert_int_equal(top.n_hits, ARRAY_LEN(want));
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		const struct json_hit *hit = &top.hits[i];
		struct str value = {text + hit->start, hit->end - hit->start};

		assert_int_equal(hit->key, want[i].key);
		assert_int_equal(hit->kind, want[i].kind);
		assert_true(str_is(value, want[i].value));
		assert_int_equal(text[hit->name], '"');
		assert_true(hit->name < hit->start);
	}
	assert_int_equal(scan(" { } ", &top), ERR_OK);
	assert_true(top.empty);
	assert_int_equal(top.close, 3);
	assert_int_equal(top.n_hits, 0);
}

static void
bounds_the_hits(void **state)
{
	struct json_top top;
	struct buf b;

	(void)state;
	buf_init(&b, 64 * 1024);
	buf_cstr(&b, "{\"model\":0");
	for (size_t i = 1; i < LIMIT_JSON_EDITS; i++)
		buf_cstr(&b, ",\"model\":1");
	buf_char(&b, '}');
	assert_int_equal(scan_exact(b.p, b.n, &top), ERR_OK);
	assert_int_equal(top.n_hits, LIMIT_JSON_EDITS);
	b.n--;
	buf_cstr(&b, ",\"model\":1}");
	assert_int_equal(scan_exact(b.p, b.n, &top), ERR_TOO_LARGE);
	buf_done(&b);
}

/* Damage of every byte never reads outside, and what is found lies inside. */
static void
survives_damage(void **state)
{
	static const char base[] =
	    "{\"model\":\"a\\u00e9b\",\"stream\":[true,{\"a\":-1.5e3}],\"\":{}}";
	static const char bytes[] = "\"\\{}[],:0-eu \n\x01\xFF";
	char text[sizeof(base)];
	size_t n = sizeof(base) - 1;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < sizeof(bytes); k++) {
			struct json_top top;

			memcpy(text, base, sizeof(base));
			text[i] = bytes[k];
			if (scan_exact(text, n, &top) != ERR_OK)
				continue;
			assert_true(top.close < n && text[top.close] == '}');
			for (size_t h = 0; h < top.n_hits; h++)
				assert_true(top.hits[h].name < top.hits[h].start &&
					    top.hits[h].start < top.hits[h].end &&
					    top.hits[h].end <= top.close);
		}
	}
}

static void
decodes_text(void **state)
{
	static const struct {
		const char *json;
		const char *text; /* NULL: refused */
	} cases[] = {
	    {"\"\"", ""},
	    {"\"plain\"", "plain"},
	    {"\"a\\\"b\\\\c\\/d\\b\\f\\n\\r\\te\"", "a\"b\\c/d\b\f\n\r\te"},
	    {"\"\\u0041\\u00e9\\u20AC\\uD83D\\uDE00\"", "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80"},
	    {"\"\\uD83Dx\"", "\xEF\xBF\xBDx"},
	    {"\"\\uDE00\\uD83D\"", "\xEF\xBF\xBD\xEF\xBF\xBD"},
	    {"\"\\uDE00\\uDE00\"", "\xEF\xBF\xBD\xEF\xBF\xBD"},
	    {"\"\\uD83D\\u0041\"", "\xEF\xBF\xBD"
				   "A"},
	    {"\"a longer text, then one \\n escape, then more text\"",
	     "a longer text, then one \n escape, then more text"},
	    {"1", NULL},
	    {"\"", NULL},
	    {"", NULL},
	    {"\"a", NULL},
	    {"\"a\"b\"", NULL},
	    {"\"\\\"", NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str s;
		enum err e = json_text(str_of(cases[i].json), &arena, &s);

		assert_int_equal(e, cases[i].text != NULL ? ERR_OK : ERR_INVALID_JSON);
		if (e == ERR_OK && !str_is(s, cases[i].text))
			fail_msg("%s gives " STR_FMT, cases[i].json, STR_ARG(s));
	}
}

static void
walks_arrays(void **state)
{
	static const struct {
		const char *array;
		const char *joined;
	} cases[] = {
	    {"[]", ""},
	    {"[ ]", ""},
	    {"[1]", "1|"},
	    {"[ 1 , [2,[3]] ,{\"a\":[]}, \"x,]\" ,null]", "1|[2,[3]]|{\"a\":[]}|\"x,]\"|null|"},
	    {"{}", ""},
	    {"[1,,2]", "1|"},
	    {"[1", "1|"},
	    {"", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str element;
		struct buf b;
		size_t at = 0;

		buf_init(&b, 1000);
		while (json_next(str_of(cases[i].array), &at, &element)) {
			buf_str(&b, element);
			buf_char(&b, '|');
		}
		assert_string_equal(buf_text(&b), cases[i].joined);
		buf_done(&b);
	}
}

/* The body with every `model` replaced and two members added. */
static void
check_edit(const char *text, const char *want)
{
	struct json_edit edits[8];
	struct json_top top;
	struct str *slices;
	struct buf b;
	size_t n = 0;

	assert_int_equal(json_scan(str_of(text), keys, 1, &arena, &top), ERR_OK);
	for (size_t i = 0; i < top.n_hits; i++)
		edits[n++] = (struct json_edit){top.hits[i].start, top.hits[i].end, STR("\"new\"")};
	edits[n++] = json_addition(&top, top.empty, STR("a\"b"), STR("[1]"), &arena);
	edits[n++] = json_addition(&top, false, STR("c"), STR("null"), &arena);
	slices = json_slices(str_of(text), edits, n, &arena, &n);
	buf_init(&b, 1000);
	for (size_t i = 0; i < n; i++) {
		assert_true(slices[i].n > 0);
		buf_str(&b, slices[i]);
	}
	assert_string_equal(buf_text(&b), want);
	buf_done(&b);
}

static void
edits_in_place(void **state)
{
	size_t n;

	(void)state;
	check_edit("{}", "{\"a\\\"b\":[1],\"c\":null}");
	check_edit(
	    " { \"seed\" : 12345678901234567890 , \"model\":\"x\" }\n",
	    " { \"seed\" : 12345678901234567890 , \"model\":\"new\" ,\"a\\\"b\":[1],\"c\":null}\n");
	check_edit("{\"model\":{\"model\":1},\"model\":2}",
		   "{\"model\":\"new\",\"model\":\"new\",\"a\\\"b\":[1],\"c\":null}");
	(void)json_slices(STR("abc"), NULL, 0, &arena, &n);
	assert_int_equal(n, 1);
}

static void
knows_true(void **state)
{
	(void)state;
	assert_true(json_is_true(STR("true")));
	assert_false(json_is_true(STR("\"true\"")));
	assert_false(json_is_true(STR("1")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(takes_valid_texts), cmocka_unit_test(refuses_invalid_texts),
	    cmocka_unit_test(refuses_every_cut), cmocka_unit_test(bounds_the_depth),
	    cmocka_unit_test(finds_members),     cmocka_unit_test(bounds_the_hits),
	    cmocka_unit_test(survives_damage),   cmocka_unit_test(decodes_text),
	    cmocka_unit_test(walks_arrays),      cmocka_unit_test(edits_in_place),
	    cmocka_unit_test(knows_true),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
