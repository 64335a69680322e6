/* SPDX-License-Identifier: MIT
 *
 * Tests of lib/arena: alignment, sizes around a chunk's edges, what a large
 * allocation leaves of the current chunk, copies, and the order of hooks.
 */
#include "lib/arena.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>

#include <cmocka.h>

#define CHUNK 1024

static struct arena arena;

static int
set_up(void **state)
{
	(void)state;
	arena_init(&arena, CHUNK);
	return 0;
}

static int
tear_down(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static void
test_alignment(void **state)
{
	(void)state;
	for (size_t size = 0; size < 200; size++) {
		void *p = arena_alloc(&arena, size);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % alignof(max_align_t), 0);
		memset(p, 0xA5, size);
	}
}

/* Blocks filled with their own number keep it: none lies over another. */
static void
test_disjoint(void **state)
{
	static const size_t sizes[] = {1, 15, 16, 17, 255, 256, 257, 1023, 1024, 1025, 70000};
	unsigned char *block[ARRAY_LEN(sizes) * 3];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(block); i++) {
		block[i] = arena_alloc(&arena, sizes[i % ARRAY_LEN(sizes)]);
		memset(block[i], (int)i + 1, sizes[i % ARRAY_LEN(sizes)]);
	}
	for (size_t i = 0; i < ARRAY_LEN(block); i++)
		for (size_t k = 0; k < sizes[i % ARRAY_LEN(sizes)]; k++)
			assert_int_equal(block[i][k], i + 1);
}

static void
test_chunk_is_used_to_its_end(void **state)
{
	char *first = arena_alloc(&arena, CHUNK / 2);
	char *second = arena_alloc(&arena, CHUNK / 2);

	(void)state;
	assert_ptr_equal(second, first + CHUNK / 2);
	assert_int_equal(arena.total, CHUNK);
	(void)!arena_alloc(&arena, 1);
	assert_int_equal(arena.total, 2 * CHUNK);
}

/* What exceeds a quarter of a chunk and does not fit gets a chunk of its own;
 * the current one goes on being filled. */
static void
test_large_keeps_current_chunk(void **state)
{
	char *first = arena_alloc(&arena, 16);
	char *large = arena_alloc(&arena, 10 * CHUNK);
	char *next = arena_alloc(&arena, 16);

	(void)state;
	memset(large, 1, 10 * CHUNK);
	assert_ptr_equal(next, first + 16);
	assert_int_equal(arena.total, 11 * CHUNK);
}

static void
test_large_first(void **state)
{
	char *large = arena_alloc(&arena, 10 * CHUNK);

	(void)state;
	memset(large, 1, 10 * CHUNK);
	assert_int_equal(arena.total, 10 * CHUNK);
}

static void
test_zalloc(void **state)
{
	unsigned char *p;

	(void)state;
	memset(arena_alloc(&arena, CHUNK), 0xFF, CHUNK);
	p = arena_zalloc(&arena, 500);
	for (size_t i = 0; i < 500; i++)
		assert_int_equal(p[i], 0);
}

static void
test_copies(void **state)
{
	struct str s = arena_str(&arena, STR("a\0b"));
	struct str none = arena_str(&arena, (struct str){NULL, 0});

	(void)state;
	assert_string_equal(arena_strdup(&arena, ""), "");
	assert_string_equal(arena_strdup(&arena, "abc"), "abc");
	assert_string_equal(arena_strndup(&arena, "abc", 2), "ab");
	assert_int_equal(s.n, 3);
	assert_memory_equal(s.p, "a\0b", 4);
	assert_int_equal(none.n, 0);
	assert_string_equal(none.p, "");
	assert_string_equal(arena_printf(&arena, "%s/%d", "v", 1), "v/1");
	assert_string_equal(ARENA_CONCAT(&arena, STR("a"), STR(""), {NULL, 0}, STR("bc")), "abc");
	assert_int_equal(strlen(arena_printf(&arena, "%*s", 3 * CHUNK, "x")), 3 * CHUNK);
}

static char order[8];

static void
note(void *obj)
{
	size_t n = strlen(order);

	assert_true(n + 1 < sizeof(order));
	order[n] = *(char *)obj;
	order[n + 1] = '\0';
}

static void
test_hooks_run_backwards_once(void **state)
{
	(void)state;
	order[0] = '\0';
	for (char c = 'a'; c <= 'c'; c++) {
		char *p = arena_alloc(&arena, 1);

		*p = c;
		arena_on_free(&arena, note, p);
	}
	assert_string_equal(order, "");
	arena_done(&arena);
	assert_string_equal(order, "cba");
	arena_done(&arena);
	assert_string_equal(order, "cba");
}

static void
test_again_after_done(void **state)
{
	(void)state;
	(void)!arena_alloc(&arena, 3 * CHUNK);
	arena_done(&arena);
	assert_int_equal(arena.total, 0);
	assert_string_equal(arena_strdup(&arena, "again"), "again");
	assert_int_equal(arena.total, CHUNK);
}

static void
count_call(void *obj)
{
	++*(int *)obj;
}

/* After a reset the usual chunk is there for what comes next, hooks have run. */
static void
test_reset_keeps_a_chunk(void **state)
{
	static const size_t sizes[] = {100, 10 * (size_t)CHUNK, CHUNK - 50};
	int calls = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++)
		memset(arena_alloc(&arena, sizes[i]), 1, sizes[i]);
	arena_on_free(&arena, count_call, &calls);
	for (int i = 0; i < 2; i++) {
		arena_reset(&arena);
		assert_int_equal(calls, 1);
		assert_int_equal(arena.total, CHUNK);
		memset(arena_alloc(&arena, CHUNK), 1, CHUNK);
		assert_int_equal(arena.total, CHUNK);
	}
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	    TEST(test_reset_keeps_a_chunk),
	    TEST(test_alignment),
	    TEST(test_disjoint),
	    TEST(test_chunk_is_used_to_its_end),
	    TEST(test_large_keeps_current_chunk),
	    TEST(test_large_first),
	    TEST(test_zalloc),
	    TEST(test_copies),
	    TEST(test_hooks_run_backwards_once),
	    TEST(test_again_after_done),
	};

	return cmocka_run_group_tests_name("arena", tests, NULL, NULL);
}
