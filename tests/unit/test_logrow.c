/* SPDX-License-Identifier: MIT
 *
 * Log rows as bytes: what comes back, what is cleaned, and what damage does.
 */
#include "lib/logrow.h"
#include "lib/limits.h"
#include "lib/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include <cmocka.h>

#define ID "01890a5d-ac96-774b-bcce-b302099a8057"

static struct logrow
sample(void)
{
	return (struct logrow){
	    .id = ID,
	    .time_us = 1700000000123456,
	    .group_id = 7,
	    .group_name = STR("openai"),
	    .parent_id = 9,
	    .parent_name = STR("all"),
	    .key_id = 1234567890123,
	    .key_stored = STR("deadbeef"),
	    .key_hash = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
	    .model = STR("gpt-4.1-nano"),
	    .is_success = true,
	    .source_ip = STR("2001:db8::1"),
	    .status = 200,
	    .path = STR("/proxy/openai/v1/chat/completions?x=1"),
	    .duration_ms = 345,
	    .error = STR("r\xC3\xA9sum\xC3\xA9"),
	    .user_agent = STR("curl/8"),
	    .is_final = true,
	    .upstream = STR("https://api.openai.com/v1/chat/completions"),
	    .is_stream = true,
	    .request_body = STR("{\n\t\"a\": 1\r\n}"),
	    .request_id = "01890a5d-ac96-774b-bcce-b302099a8058",
	    .attempt = 2,
	    .ttfb_ms = 12,
	    .bytes_in = 13,
	    .bytes_out = 1LL << 40,
	    .prompt_tokens = -1,
	    .completion_tokens = 5,
	    .cached_tokens = 0,
	    .end = STR("complete"),
	};
}

static struct buf
encoded(const struct logrow *row)
{
	struct buf out;

	buf_init(&out, 4 * LIMIT_LOG_RECORD);
	logrow_encode(row, &out);
	assert_int_equal(buf_err(&out), ERR_OK);
	return out;
}

static void
assert_text(struct str got, struct str want)
{
	assert_int_equal(got.n, want.n);
	if (want.n > 0)
		assert_memory_equal(got.p, want.p, want.n);
}

static void
assert_same(const struct logrow *a, const struct logrow *b)
{
	assert_string_equal(a->id, b->id);
	assert_string_equal(a->key_hash, b->key_hash);
	assert_string_equal(a->request_id, b->request_id);
	assert_text(a->group_name, b->group_name);
	assert_text(a->parent_name, b->parent_name);
	assert_text(a->key_stored, b->key_stored);
	assert_text(a->model, b->model);
	assert_text(a->source_ip, b->source_ip);
	assert_text(a->path, b->path);
	assert_text(a->error, b->error);
	assert_text(a->user_agent, b->user_agent);
	assert_text(a->upstream, b->upstream);
	assert_text(a->request_body, b->request_body);
	assert_text(a->end, b->end);
	assert_true(a->time_us == b->time_us && a->group_id == b->group_id);
	assert_true(a->parent_id == b->parent_id && a->key_id == b->key_id);
	assert_true(a->is_success == b->is_success && a->is_final == b->is_final);
	assert_true(a->is_stream == b->is_stream && a->status == b->status);
	assert_true(a->duration_ms == b->duration_ms && a->attempt == b->attempt);
	assert_true(a->ttfb_ms == b->ttfb_ms && a->bytes_in == b->bytes_in);
	assert_true(a->bytes_out == b->bytes_out && a->prompt_tokens == b->prompt_tokens);
	assert_true(a->completion_tokens == b->completion_tokens);
	assert_true(a->cached_tokens == b->cached_tokens);
}

static void
test_round_trip(void **state UNUSED)
{
	struct logrow row = sample();
	struct logrow empty = {.id = "x", .ttfb_ms = -1};
	struct logrow got;
	struct buf out = encoded(&row);
	struct str in;

	logrow_encode(&empty, &out);
	in = buf_view(&out);
	assert_int_equal(logrow_decode(&in, &got), ERR_OK);
	assert_same(&got, &row);
	assert_int_equal(logrow_decode(&in, &got), ERR_OK);
	assert_same(&got, &empty);
	assert_int_equal(in.n, 0);
	assert_int_equal(logrow_decode(&in, &got), ERR_NOT_FOUND);
	buf_done(&out);
}

static void
test_clean(void **state UNUSED)
{
#define REPLACED "\xEF\xBF\xBD"
	static const struct {
		struct str in;
		struct str out;
	} cases[] = {
	    {STR(""), STR("")},
	    {STR("plain"), STR("plain")},
	    {STR("a\0b\x01\x1F\x7F"
		 "c"),
	     STR("abc")},
	    {STR("tab\tline\r\n"), STR("tab\tline\r\n")},
	    {STR("\xF0\x9F\x98\x80"), STR("\xF0\x9F\x98\x80")},
	    {STR("\xFFx"), STR(REPLACED "x")},
	    {STR("x\xE2\x82"), STR("x" REPLACED REPLACED)},
	    {STR("\xED\xA0\x80"), STR(REPLACED REPLACED REPLACED)},
	    {STR("\xC0\x80"), STR(REPLACED REPLACED)},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct logrow row = {.id = ID, .model = cases[i].in, .end = STR("after")};
		struct buf out = encoded(&row);
		struct str in = buf_view(&out);
		struct logrow got;

		assert_int_equal(logrow_decode(&in, &got), ERR_OK);
		assert_text(got.model, cases[i].out);
		assert_text(got.end, STR("after"));
		buf_done(&out);
	}
}

/* Text longer than its column, of one byte, of four, and of what becomes three:
 * never more than the column takes, and always valid. */
static void
test_cut(void **state UNUSED)
{
	static const struct str units[] = {
	    {"a", 1}, {"\xC3\xA9", 2}, {"\xF0\x9F\x98\x80", 4}, {"\xFF", 1}, {"\x01", 1}};
	enum {
		UNITS = 70000
	};

	for (size_t u = 0; u < ARRAY_LEN(units); u++) {
		char *text = xmalloc(UNITS * units[u].n);
		struct str s = {text, UNITS * units[u].n};
		struct logrow row = {.id = ID};
		struct logrow got;
		struct buf out;
		struct str in;

		for (size_t i = 0; i < UNITS; i++)
			memcpy(text + i * units[u].n, units[u].p, units[u].n);
		row.group_name = row.parent_name = row.key_stored = row.model = s;
		row.source_ip = row.path = row.error = row.user_agent = s;
		row.upstream = row.request_body = row.end = s;
		out = encoded(&row);
		assert_true(out.n <= LIMIT_LOG_RECORD + 8);
		in = buf_view(&out);
		assert_int_equal(logrow_decode(&in, &got), ERR_OK);
		assert_true(got.model.n <= LIMIT_LOG_MODEL && utf8_valid(got.model));
		assert_true(got.path.n <= LIMIT_LOG_PATH && utf8_valid(got.path));
		assert_true(got.error.n <= LIMIT_LOG_ERROR && utf8_valid(got.error));
		assert_true(got.request_body.n <= LIMIT_LOG_REQUEST_BODY);
		assert_true(utf8_valid(got.request_body));
		assert_true(got.end.n <= LIMIT_LOG_END && utf8_valid(got.end));
		if (u == 0)
			assert_int_equal(got.model.n, LIMIT_LOG_MODEL);
		buf_done(&out);
		free(text);
	}
}

/* Every byte of a record changed, and every length of it cut off. */
static void
test_damage(void **state UNUSED)
{
	struct logrow row = sample();
	struct buf out = encoded(&row);
	struct logrow got;

	for (size_t i = 0; i < out.n; i++) {
		struct str in = buf_view(&out);
		enum err e;

		out.p[i] ^= 0x40;
		e = logrow_decode(&in, &got);
		assert_true(e == ERR_IO || (e == ERR_NOT_FOUND && i < 4));
		assert_true(in.p == out.p && in.n == out.n);
		out.p[i] ^= 0x40;
	}
	for (size_t n = 0; n < out.n; n++) {
		struct str in = {out.p, n};

		assert_int_equal(logrow_decode(&in, &got), ERR_NOT_FOUND);
		assert_int_equal(in.n, n);
	}
	buf_done(&out);
}

/* A record with this payload, as another version of the program might write it. */
static struct buf
framed(struct str payload)
{
	uint32_t n = (uint32_t)payload.n;
	uint32_t crc = (uint32_t)crc32_z(0, (const Bytef *)payload.p, payload.n);
	struct buf out;

	buf_init(&out, LIMIT_LOG_RECORD + 64);
	buf_add(&out, &n, sizeof(n));
	buf_add(&out, &crc, sizeof(crc));
	buf_str(&out, payload);
	return out;
}

static void
test_versions(void **state UNUSED)
{
	struct logrow row = sample();
	struct logrow got;
	struct buf out = encoded(&row);
	struct str payload = {out.p + 8, out.n - 8};
	struct buf longer;
	struct buf other;
	struct str in;

	/* A later version has more fields at the end. */
	buf_init(&longer, LIMIT_LOG_RECORD);
	buf_str(&longer, payload);
	longer.p[0] = 2;
	buf_cstr(&longer, "more");
	other = framed(buf_view(&longer));
	in = buf_view(&other);
	assert_int_equal(logrow_decode(&in, &got), ERR_OK);
	assert_same(&got, &row);
	buf_done(&other);

	/* An earlier one had fewer: without `end` and the token counts. */
	other = framed((struct str){payload.p, payload.n - 3 * 8 - 4 - strlen("complete")});
	in = buf_view(&other);
	assert_int_equal(logrow_decode(&in, &got), ERR_OK);
	assert_int_equal(got.completion_tokens, -1);
	assert_int_equal(got.end.n, 0);
	assert_int_equal(got.bytes_in, 13);
	buf_done(&other);

	/* A field that is cut is damage, whatever the checksum says. */
	other = framed((struct str){payload.p, payload.n - 1});
	in = buf_view(&other);
	assert_int_equal(logrow_decode(&in, &got), ERR_IO);
	buf_done(&other);
	buf_done(&longer);
	buf_done(&out);
}

static void
test_unusable_id(void **state UNUSED)
{
	static const char *const ids[] = {"", "../../etc/passwd", "a b"};

	for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
		struct logrow row = {0};
		struct logrow got;
		struct buf out;
		struct str in;

		(void)snprintf(row.id, sizeof(row.id), "%s", ids[i]);
		out = encoded(&row);
		in = buf_view(&out);
		assert_int_equal(logrow_decode(&in, &got), ERR_IO);
		buf_done(&out);
	}
}

static void
test_drop_body(void **state UNUSED)
{
	struct logrow row = sample();

	logrow_drop_body(&row);
	assert_int_equal(row.request_body.n, 0);
	assert_string_equal(row.id, ID);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip), cmocka_unit_test(test_clean),
	    cmocka_unit_test(test_cut),        cmocka_unit_test(test_damage),
	    cmocka_unit_test(test_versions),   cmocka_unit_test(test_unusable_id),
	    cmocka_unit_test(test_drop_body),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
