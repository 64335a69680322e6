/* SPDX-License-Identifier: MIT
 *
 * modellist: the redirect sources in each vendor's list of models.
 */
#include "lib/modellist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "lib/channel.h"
#include "lib/json.h"

static struct redirect redirects[] = {
    {{"a", 1}, {"x", 1}},
    {{"b\"c", 3}, {"y", 1}},
};

#define OPENAI_A  "{\"id\":\"a\",\"object\":\"model\",\"created\":0,\"owned_by\":\"system\"}"
#define OPENAI_BC "{\"id\":\"b\\\"c\",\"object\":\"model\",\"created\":0,\"owned_by\":\"system\"}"
#define GEMINI(n)                                                                                  \
	"{\"name\":\"models/" n "\",\"displayName\":\"" n                                          \
	"\",\"supportedGenerationMethods\":[\"generateContent\"]}"
#define ANTHROPIC(n)                                                                               \
	"{\"type\":\"model\",\"id\":\"" n "\",\"display_name\":\"" n                               \
	"\",\"created_at\":\"1970-01-01T00:00:00Z\"}"

static const struct {
	const char *channel;
	bool strict;
	const char *query;
	const char *body;
	const char *want; /* NULL: not the shape */
} cases[] = {
    {"openai", false, "", "{\"object\":\"list\", \"data\":[]}",
     "{\"object\":\"list\", \"data\":[" OPENAI_A "," OPENAI_BC "]}"},
    {"openai", false, "",
     "{ \"data\" : [ {\"id\":\"m\",\"big\":12345678901234567890} \n ] , \"z\":1}",
     "{ \"data\" : [ {\"id\":\"m\",\"big\":12345678901234567890}," OPENAI_A "," OPENAI_BC
     " \n ] , \"z\":1}"},
    {"openai", false, "", "{\"data\":[{\"x\":[{\"id\":\"a\"}],\"id\":\"b\\u0022c\"}]}",
     "{\"data\":[{\"x\":[{\"id\":\"a\"}],\"id\":\"b\\u0022c\"}," OPENAI_A "]}"},
    {"openai", false, "",
     "{\"data\":[ {\"id\":\"a\"},{\"id\":\"b\\\"c\"}, 1, null,\"a\",[\"a\"] ]}",
     "{\"data\":[ {\"id\":\"a\"},{\"id\":\"b\\\"c\"}, 1, null,\"a\",[\"a\"] ]}"},
    {"openai", true, "", "{\"object\":\"list\",\"data\":[{\"id\":\"m\"},{\"id\":\"a\",\"o\":1}]}",
     "{\"object\":\"list\",\"data\":[" OPENAI_A "," OPENAI_BC "]}"},
    {"openai-response", true, "", "{\"data\":[ ]}", "{\"data\":[" OPENAI_A "," OPENAI_BC "]}"},
    {"openai", true, "", "{\"data\":{}}", NULL},
    {"openai", true, "", "{\"models\":[]}", NULL},
    {"openai", true, "", "[]", NULL},
    {"openai", true, "", "<html>", NULL},
    {"openai", true, "", "", NULL},
    {"openai", false, "", "{\"data\":[],\"data\":[]}", NULL},
    {"anthropic", false, "limit=5",
     "{\"data\":[{\"type\":\"model\",\"id\":\"m\"}],\"has_more\":false,\"first_id\":\"m\","
     "\"last_id\":\"m\"}",
     "{\"data\":[{\"type\":\"model\",\"id\":\"m\"}," ANTHROPIC("a") "," ANTHROPIC(
	 "b\\\"c") "],\"has_more\":false,\"first_id\":\"m\",\"last_id\":\"b\\\"c\"}"},
    {"anthropic", false, "",
     "{\"first_id\":\"m\",\"has_more\":true,\"last_id\":\"m\",\"data\":[{\"id\":\"m\"}]}",
     "{\"first_id\":\"m\",\"has_more\":true,\"last_id\":\"m\",\"data\":[{\"id\":\"m\"}," ANTHROPIC(
	 "a") "," ANTHROPIC("b\\\"c") "]}"},
    {"anthropic", false, "limit=5&after_id=m", "{\"data\":[],\"has_more\":false,\"last_id\":null}",
     "{\"data\":[],\"has_more\":false,\"last_id\":null}"},
    {"anthropic", false, "", "{\"data\":[],\"first_id\":null,\"last_id\":null}",
     "{\"data\":[" ANTHROPIC("a") "," ANTHROPIC(
	 "b\\\"c") "],\"first_id\":\"a\",\"last_id\":\"b\\\"c\"}"},
    {"anthropic", true, "after_id=m",
     "{\"last_id\":\"m\",\"data\":[{\"id\":\"m\"}],\"has_more\":true,\"first_id\":\"m\"}",
     "{\"last_id\":\"b\\\"c\",\"data\":[" ANTHROPIC("a") "," ANTHROPIC(
	 "b\\\"c") "],\"has_more\":false,\"first_id\":\"a\"}"},
    {"gemini", false, "", "{\"models\":[{\"name\":\"models/a\"}],\"nextPageToken\":\"t\"}",
     "{\"models\":[{\"name\":\"models/a\"}," GEMINI("b\\\"c") "],\"nextPageToken\":\"t\"}"},
    {"gemini", false, "pageSize=2&pageToken=t", "{\"models\":[{\"name\":\"models/x\"}]}",
     "{\"models\":[{\"name\":\"models/x\"}]}"},
    {"gemini", true, "", "{\"models\":[{\"name\":\"models/x\"}],\n \"nextPageToken\":\"t\"\n}",
     "{\"models\":[" GEMINI("a") "," GEMINI("b\\\"c") "]\n}"},
    {"gemini", true, "pageToken=t", "{\"nextPageToken\":\"t\" ,\"models\":[]}",
     "{\"models\":[" GEMINI("a") "," GEMINI("b\\\"c") "]}"},
    {"gemini", false, "", "{\"object\":\"list\",\"data\":[{\"id\":\"models/a\"}]}",
     "{\"object\":\"list\",\"data\":[{\"id\":\"models/a\"}," OPENAI_BC "]}"},
    {"gemini", true, "", "{\"object\":\"list\",\"data\":[{\"id\":\"models/z\"}]}",
     "{\"object\":\"list\",\"data\":[" OPENAI_A "," OPENAI_BC "]}"},
    {"gemini", true, "", "{\"error\":{}}", NULL},
};

static void
edits_lists(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 4096);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct group g = {
		    .redirects = redirects,
		    .n_redirects = ARRAY_LEN(redirects),
		    .redirect_strict = cases[i].strict,
		};
		const struct channel *c = channel_find(str_of(cases[i].channel));
		struct json_object *obj;
		enum err e;

		buf_clear(&b);
		e = c->edit_models(str_of(cases[i].body), &g, str_of(cases[i].query), &b);
		assert_int_equal(e, cases[i].want != NULL ? ERR_OK : ERR_INVALID_JSON);
		assert_string_equal(buf_text(&b), cases[i].want != NULL ? cases[i].want : "");
		if (e == ERR_OK) {
			assert_int_equal(json_parse(buf_view(&b), &obj, NULL), ERR_OK);
			json_done(obj);
		}
	}
	buf_done(&b);
}

static void
without_rules_nothing_changes(void **state)
{
	static const char body[] = "{\"data\" : [ {\"id\":\"m\"} ],\"has_more\":true}";

	(void)state;
	for (size_t i = 0; channel_at(i) != NULL; i++) {
		const struct group g = {.redirect_strict = true};
		struct buf b;

		buf_init(&b, 4096);
		assert_int_equal(channel_at(i)->edit_models(STR(body), &g, STR(""), &b), ERR_OK);
		assert_string_equal(buf_text(&b), body);
		buf_done(&b);
	}
}

static void
says_when_too_large(void **state)
{
	const struct group g = {.redirects = redirects, .n_redirects = ARRAY_LEN(redirects)};
	struct buf b;

	(void)state;
	buf_init(&b, 30);
	assert_int_equal(
	    channel_find(STR("openai"))->edit_models(STR("{\"data\":[]}"), &g, STR(""), &b),
	    ERR_TOO_LARGE);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(edits_lists),
	    cmocka_unit_test(without_rules_nothing_changes),
	    cmocka_unit_test(says_when_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
