/* SPDX-License-Identifier: MIT
 *
 * sse: the events of a stream, wherever its chunks are cut, and where a comment may
 * be put in.
 */
#include "lib/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lib/buf.h"

/* Each event's data, a '|' behind it. */
static void
on_data(void *arg, const char *p, size_t n)
{
	struct buf *b = arg;

	if (p == NULL)
		buf_char(b, '|');
	else
		buf_add(b, p, n);
}

/* From a block of exactly n bytes. */
static void
feed_exact(struct sse *s, const char *p, size_t n, struct buf *out)
{
	char *block = malloc(n > 0 ? n : 1);

	assert_non_null(block);
	memcpy(block, p, n);
	sse_feed(s, block, n, out != NULL ? on_data : NULL, out);
	free(block);
}

static const struct {
	const char *stream;
	const char *events;
	bool between; /* at the end */
} cases[] = {
    {"", "", false},
    {"\n\n", "", false},
    {"data: a\n\n", "a|", true},
    {"data: a\n", "a", false},
    {"data: a", "a", false},
    {"data:a\ndata:  b\ndata\n\n", "a\n b\n|", true},
    {"data\n\n", "|", true},
    {"data:\n\n", "|", true},
    {"event: x\nid: 1\nretry: 5\n\n", "", true},
    {"event: message_start\ndata: {\"a\":1}\n\nevent: ping\ndata: {}\n\n", "{\"a\":1}|{}|", true},
    {"data: a\r\n\r\ndata: b\r\n\r\n", "a|b|", true},
    {"data: a\r\rdata: b\r\r", "a|b|", false},
    {"data: a\n\r\ndata: b\r\n\n", "a|b|", true},
    {": comment\n\n", "", false},
    {"data: a\n\n: comment\n", "a|", true},
    {"data: a\n\n: comment", "a|", false},
    {"data: a\n\n:\n\n", "a|", true},
    {"data: a\n: data: c\ndata: b\n\n", "a\nb|", true},
    {"dat: a\ndataa: b\ndata : c\n data: d\nDATA: e\n\n", "", true},
    {"\xEF\xBB\xBF"
     "data: a\n\n",
     "a|", true},
    {"\xEF\xBB"
     "data: a\n\ndata: b\n\n",
     "b|", true},
    {"data: \xEF\xBB\xBF\n\ndata: [DONE]\n\n", "\xEF\xBB\xBF|[DONE]|", true},
    {"data: a\n\ndata: b", "a|b", false},
    {"data: a\n\nevent", "a|", false},
};

static void
check_end(size_t i, const struct sse *s, struct buf *out)
{
	if (strcmp(buf_text(out), cases[i].events) != 0 ||
	    sse_between_events(s) != cases[i].between)
		fail_msg("case %zu: %s", i, buf_text(out));
	buf_clear(out);
}

/* Cut once at every place, and into single bytes. */
static void
finds_data_however_cut(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *text = cases[i].stream;
		size_t n = strlen(text);
		struct sse s;

		for (size_t cut = 0; cut <= n; cut++) {
			sse_init(&s);
			feed_exact(&s, text, cut, &out);
			feed_exact(&s, text + cut, n - cut, &out);
			check_end(i, &s, &out);
		}
		sse_init(&s);
		for (size_t k = 0; k < n; k++)
			feed_exact(&s, text + k, 1, &out);
		check_end(i, &s, &out);
	}
	buf_done(&out);
}

/* A comment put in wherever it is allowed changes no event. */
static void
comments_change_nothing(void **state)
{
	struct buf plain;

	(void)state;
	buf_init(&plain, 1000);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *text = cases[i].stream;
		size_t n = strlen(text);
		struct sse watch;

		sse_init(&watch);
		for (size_t k = 0; k < n; k++) {
			struct sse s;

			feed_exact(&watch, text + k, 1, NULL);
			if (!sse_between_events(&watch))
				continue;
			sse_init(&s);
			feed_exact(&s, text, k + 1, &plain);
			feed_exact(&s, ": heartbeat\n\n", 13, &plain);
			feed_exact(&s, text + k + 1, n - k - 1, &plain);
			assert_string_equal(buf_text(&plain), cases[i].events);
			buf_clear(&plain);
		}
	}
	buf_done(&plain);
}

static void
needs_no_callback(void **state)
{
	struct sse s;

	(void)state;
	sse_init(&s);
	assert_false(sse_between_events(&s));
	sse_feed(&s, "data: a\ndata: b\n\n", 17, NULL, NULL);
	assert_true(sse_between_events(&s));
	sse_feed(&s, NULL, 0, NULL, NULL);
	assert_true(sse_between_events(&s));
	sse_feed(&s, "d", 1, NULL, NULL);
	assert_false(sse_between_events(&s));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(finds_data_however_cut),
	    cmocka_unit_test(comments_change_nothing),
	    cmocka_unit_test(needs_no_callback),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
