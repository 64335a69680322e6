/* SPDX-License-Identifier: MIT
 *
 * Tests of fcgi-app/records: what counts as a whole request, which ones are taken apart
 * without libfcgi, and what comes out of them.
 */
#include "fcgi-app/responder.h"

#include <fastcgi.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct buf wire;
static struct arena arena;

static int
set_up(void **state)
{
	(void)state;
	buf_init(&wire, 1 << 20);
	arena_init(&arena, 1024);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	buf_done(&wire);
	arena_done(&arena);
	return 0;
}

static void
add(int type, int id, const void *content, size_t n, int padding)
{
	const char header[FCGI_HEADER_LEN] = {FCGI_VERSION_1, (char)type, (char)(id >> 8), (char)id,
					      (char)(n >> 8), (char)n,    (char)padding};
	static const char zeros[255];

	buf_add(&wire, header, sizeof(header));
	buf_add(&wire, content, n);
	buf_add(&wire, zeros, (size_t)padding);
}

static void
begin(int role)
{
	const char body[8] = {0, (char)role};

	add(FCGI_BEGIN_REQUEST, 1, body, sizeof(body), 0);
}

static enum look
look(struct records *ret)
{
	return records_look((const unsigned char *)wire.p, wire.n, ret);
}

static const char params[] = {"\x0e\x04"
			      "REQUEST_METHODPOST"
			      "\x01\x80\x00\x00\x03"
			      "Aabc"
			      "\x05\x00"
			      "EMPTY"};

static void
whole_request(void)
{
	begin(FCGI_RESPONDER);
	add(FCGI_PARAMS, 1, params, sizeof(params) - 1, 3);
	add(FCGI_PARAMS, 1, NULL, 0, 0);
	add(FCGI_STDIN, 1, "hello ", 6, 2);
	add(FCGI_STDIN, 1, "world", 5, 0);
	add(FCGI_STDIN, 1, NULL, 0, 0);
}

static void
test_a_whole_request(void **state)
{
	struct records r;
	char **envp;

	(void)state;
	whole_request();
	assert_int_equal(look(&r), LOOK_WHOLE);
	assert_true(r.usual);
	assert_int_equal(r.bytes, wire.n);
	assert_int_equal(r.request_id, 1);
	assert_true(records_variables(&r, &arena, &envp));
	assert_string_equal(envp[0], "REQUEST_METHOD=POST");
	assert_string_equal(envp[1], "A=abc");
	assert_string_equal(envp[2], "EMPTY=");
	assert_null(envp[3]);
	assert_true(str_is(records_body(&r, &arena), "hello world"));
}

/* Variables may be cut anywhere between records: here within every pair. */
static void
test_variables_in_many_records(void **state)
{
	struct records r;
	char **envp;

	(void)state;
	begin(FCGI_RESPONDER);
	for (size_t i = 0; i < sizeof(params) - 1; i++)
		add(FCGI_PARAMS, 1, params + i, 1, (int)i % 3);
	add(FCGI_PARAMS, 1, NULL, 0, 0);
	add(FCGI_STDIN, 1, NULL, 0, 0);
	assert_int_equal(look(&r), LOOK_WHOLE);
	assert_true(records_variables(&r, &arena, &envp));
	assert_string_equal(envp[1], "A=abc");
	assert_null(envp[3]);
	assert_int_equal(records_body(&r, &arena).n, 0);
}

/* Every shorter piece of a request is part of one, and what follows it is not its own. */
static void
test_a_request_ends_where_it_ends(void **state)
{
	struct records r;
	size_t n;

	(void)state;
	whole_request();
	n = wire.n;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(records_look((const unsigned char *)wire.p, i, &r), LOOK_PARTIAL);
	add(FCGI_ABORT_REQUEST, 1, NULL, 0, 0);
	assert_int_equal(look(&r), LOOK_WHOLE);
	assert_int_equal(r.bytes, n);
}

static void
test_what_is_unusual_is_left_to_libfcgi(void **state)
{
	struct records r;

	(void)state;
	begin(FCGI_FILTER);
	add(FCGI_PARAMS, 1, NULL, 0, 0);
	add(FCGI_STDIN, 1, NULL, 0, 0);
	assert_int_equal(look(&r), LOOK_WHOLE);
	assert_false(r.usual);

	buf_clear(&wire);
	begin(FCGI_RESPONDER);
	add(FCGI_PARAMS, 1, NULL, 0, 0);
	add(FCGI_STDIN, 2, "other", 5, 0);
	add(FCGI_STDIN, 1, NULL, 0, 0);
	assert_int_equal(look(&r), LOOK_WHOLE);
	assert_false(r.usual);

	buf_clear(&wire);
	add(FCGI_GET_VALUES, 0, NULL, 0, 0);
	whole_request();
	assert_int_equal(look(&r), LOOK_WHOLE);
	assert_false(r.usual);
}

static void
test_another_protocol(void **state)
{
	struct records r;

	(void)state;
	buf_cstr(&wire, "GET / HTTP/1.1\r\n\r\n");
	assert_int_equal(look(&r), LOOK_CLOSED);
}

/* A length that points past the end is refused, not read. */
static void
test_malformed_variables(void **state)
{
	static const struct str bad[] = {
	    {"\x05", 1},
	    {"\x05\x05"
	     "NAME",
	     6},
	    {"\x80\x00", 2},
	    {"\xff\xff\xff\xff\x01"
	     "N",
	     6},
	    {"\x01\xff\xff\xff\xff"
	     "N",
	     6},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct records r;
		char **envp;

		buf_clear(&wire);
		begin(FCGI_RESPONDER);
		add(FCGI_PARAMS, 1, bad[i].p, bad[i].n, 0);
		add(FCGI_PARAMS, 1, NULL, 0, 0);
		add(FCGI_STDIN, 1, NULL, 0, 0);
		assert_int_equal(look(&r), LOOK_WHOLE);
		assert_false(records_variables(&r, &arena, &envp));
	}
}

/* Only what ends the request may lack its padding; what comes after another record would be
 * looked for behind the bytes. */
static void
test_padding_that_is_not_there_yet(void **state)
{
	struct records r;
	unsigned char *bytes;

	(void)state;
	add(FCGI_STDIN, 1, NULL, 0, 255);
	bytes = xmalloc(FCGI_HEADER_LEN);
	memcpy(bytes, wire.p, FCGI_HEADER_LEN);
	assert_int_equal(records_look(bytes, FCGI_HEADER_LEN, &r), LOOK_PARTIAL);
	free(bytes);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_a_whole_request),
	    TEST(test_variables_in_many_records),
	    TEST(test_a_request_ends_where_it_ends),
	    TEST(test_what_is_unusual_is_left_to_libfcgi),
	    TEST(test_another_protocol),
	    TEST(test_malformed_variables),
	    TEST(test_padding_that_is_not_there_yet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
