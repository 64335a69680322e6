/* SPDX-License-Identifier: MIT
 *
 * Causes of failures: what is one and the same cause, how often, and kept as JSON.
 */
#include "lib/cause.h"
#include "lib/json.h"
#include "lib/str.h"

#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static void
test_text(void **state UNUSED)
{
	static const struct {
		const char *why;
		const char *want;
	} cases[] = {
	    {"", ""},
	    {
		"[status 401] Incorrect API key provided: sk-dead*****efgh.",
		"[status 401] Incorrect API key provided: sk-….",
	    },
	    {"bad key AIza****wxyz given", "bad key … given"},
	    {"request req_011CTabcdef failed", "request req_… failed"},
	    {"Request-ID request-9f8e7d6c", "Request-ID request-…"},
	    {"trace 0198c0de-0000-7000-8000-000000000000, sorry", "trace …, sorry"},
	    /* What says something stays. */
	    {"The model `claude-3-haiku-20240307` does not exist",
	     "The model `claude-3-haiku-20240307` does not exist"},
	    {"see https://example.com/account/api-keys",
	     "see https://example.com/account/api-keys"},
	    {"req_1", "req_1"},
	    {"deadbeefdeadbeef", "deadbeefdeadbeef"},
	    {"** sk- * **", "… sk- * …"},
	    /* How long it took differs each time. */
	    {"Failed to connect to localhost port 9 after 12 ms: Couldn't connect to server",
	     "Failed to connect to localhost port 9 after … ms: Couldn't connect to server"},
	    {"Operation timed out after 5001 milliseconds with 0 bytes received",
	     "Operation timed out after … milliseconds with … bytes received"},
	    {"try again in 20s, not 20x", "try again in …, not 20x"},
	    /* What is left is in the text itself, as it stands there. */
	    {"密钥无效\n\tnow ", "密钥无效…now"},
	    {"\n{\n  \"error\": \"no\"\n}\n", "{…\"error\": \"no\"…}"},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct causes c;

		causes_init(&c);
		causes_add(&c, str_of(cases[i].why), 1);
		assert_int_equal(c.n, 1);
		assert_true(str_is(c.v[0].text, cases[i].want));
		causes_done(&c);
	}
}

static void
test_the_same_text_with_another_status(void **state UNUSED)
{
	struct causes c;

	causes_init(&c);
	causes_add_status(&c, 429, STR("slow down"), 1)->last = 7;
	causes_add_status(&c, 503, STR("slow down"), 2);
	struct cause *again = causes_add_status(&c, 429, STR("slow down "), 1);
	assert_int_equal(again->last, 7);
	assert_int_equal(again->n, 2);
	assert_int_equal(c.n, 2);
	while (c.n < LIMIT_CAUSES)
		causes_add_status(&c, (int64_t)c.n, STR("filler"), 1);
	assert_null(causes_add_status(&c, 500, STR("slow down"), 3));
	assert_int_equal(c.others, 3);
	causes_done(&c);
}

static void
test_long_text_is_cut_between_characters(void **state UNUSED)
{
	char why[4 * LIMIT_CAUSE_BYTES];
	struct causes c;

	causes_init(&c);
	for (size_t i = 0; i + 3 <= sizeof(why); i += 3)
		memcpy(why + i, "密", 3);
	causes_add(&c, (struct str){why, sizeof(why) / 3 * 3}, 1);
	assert_int_equal(c.v[0].text.n, LIMIT_CAUSE_BYTES / 3 * 3);
	causes_add(&c, (struct str){why, LIMIT_CAUSE_BYTES / 3 * 3}, 1);
	assert_int_equal(c.n, 1);
	assert_int_equal(c.v[0].n, 2);
	causes_done(&c);
}

/* Beyond the limit they are only counted; nothing is lost. */
static void
test_more_than_are_told_apart(void **state UNUSED)
{
	struct causes c;
	int64_t sum;

	causes_init(&c);
	for (int i = 0; i < 3 * LIMIT_CAUSES; i++) {
		char *why = xasprintf("cause %d", i % (LIMIT_CAUSES + 5));

		causes_add(&c, str_of(why), i < LIMIT_CAUSES ? 1 : 2);
		free(why);
	}
	assert_int_equal(c.n, LIMIT_CAUSES);
	sum = c.others;
	for (size_t i = 0; i < c.n; i++)
		sum += c.v[i].n;
	assert_int_equal(sum, LIMIT_CAUSES + 2 * 2 * LIMIT_CAUSES);
	assert_true(c.others > 0);
	causes_done(&c);
}

static void
test_kept_and_read_again(void **state UNUSED)
{
	AUTO_JSON struct json_object *parsed = NULL;
	struct causes one;
	struct causes two;
	struct buf text;

	causes_init(&one);
	causes_add(&one, STR("rare \"quoted\""), 1);
	causes_add(&one, STR("often"), 7);
	one.others = 3;
	buf_init(&text, 1000);
	buf_char(&text, '{');
	causes_write(&one, &text);
	buf_char(&text, '}');
	assert_int_equal(json_parse(buf_view(&text), &parsed, NULL), ERR_OK);
	causes_init(&two);
	causes_add(&two, STR("often"), 1);
	assert_int_equal(causes_read(&two, parsed), ERR_OK);
	causes_sort(&two);
	assert_int_equal(two.n, 2);
	assert_true(str_is(two.v[0].text, "often"));
	assert_int_equal(two.v[0].n, 8);
	assert_true(str_is(two.v[1].text, "rare \"quoted\""));
	assert_int_equal(two.others, 3);
	causes_done(&one);
	causes_done(&two);
	buf_done(&text);
}

static void
test_what_is_no_report(void **state UNUSED)
{
	static const struct {
		const char *json;
		enum err want;
	} cases[] = {
	    {"{}", ERR_OK},
	    {"{\"repeated\":1}", ERR_OK},
	    {"{\"causes\":[],\"others\":0}", ERR_OK},
	    {"{\"causes\":[]}", ERR_INTERNAL},
	    {"{\"causes\":7,\"others\":0}", ERR_INTERNAL},
	    {"{\"causes\":[[]],\"others\":0}", ERR_INTERNAL},
	    {"{\"causes\":[[\"x\",\"y\"]],\"others\":0}", ERR_INTERNAL},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_JSON struct json_object *parsed = NULL;
		struct causes c;

		assert_int_equal(json_parse(str_of(cases[i].json), &parsed, NULL), ERR_OK);
		causes_init(&c);
		assert_int_equal(causes_read(&c, parsed), cases[i].want);
		causes_done(&c);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_text),
	    cmocka_unit_test(test_the_same_text_with_another_status),
	    cmocka_unit_test(test_long_text_is_cut_between_characters),
	    cmocka_unit_test(test_more_than_are_told_apart),
	    cmocka_unit_test(test_kept_and_read_again),
	    cmocka_unit_test(test_what_is_no_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
