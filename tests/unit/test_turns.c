/* SPDX-License-Identifier: MIT
 *
 * snapshot: sequences of weighted turns.
 */
#include "lib/snapshot.h"
#include "lib/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct arena arena;

static int
setup(void **state)
{
	(void)state;
	arena_init(&arena, 65536);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static void
test_sequences(void **state)
{
	static const struct {
		int weights[4];
		size_t n;
		const char *sequence;
	} rows[] = {
	    {{1}, 1, "a"},          {{500}, 1, "a"},           {{1, 1, 1}, 3, "abc"},
	    {{30, 10}, 2, "aaba"},  {{5, 1, 1}, 3, "aabacaa"}, {{2, 4}, 2, "bab"},
	    {{3, 3, 6}, 3, "cabc"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = 0;
		uint16_t *turns = turns_build(&arena, rows[i].weights, rows[i].n, &n);

		assert_int_equal(n, strlen(rows[i].sequence));
		for (size_t t = 0; t < n; t++)
			assert_int_equal(turns[t], rows[i].sequence[t] - 'a');
	}
}

static void
test_shares(void **state)
{
	static const int weights[] = {7, 3, 1};
	size_t count[3] = {0};
	size_t n;
	uint16_t *turns = turns_build(&arena, weights, 3, &n);

	(void)state;
	assert_int_equal(n, 11);
	for (uint64_t t = 0; t < n * n; t++)
		count[turns_index(turns, n, t)]++;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(count[i], (size_t)weights[i] * n);
	/* Turn numbers do not end. */
	assert_true(turns_index(turns, n, UINT64_MAX) < 3);
}

/* Each key is met every n-th turn: it must not always meet the same upstream. */
static void
test_not_tied(void **state)
{
	static const int weights[] = {1, 1};
	size_t n;
	uint16_t *turns = turns_build(&arena, weights, 2, &n);

	(void)state;
	assert_int_equal(turns_index(turns, n, 0), 0);
	assert_int_equal(turns_index(turns, n, 1), 1);
	assert_int_equal(turns_index(turns, n, 2), 1);
	assert_int_equal(turns_index(turns, n, 3), 0);
	assert_int_equal(turns_index(turns, n, 4), 0);
}

static void
test_large_weights(void **state)
{
	static const int two[] = {1000003, 1};
	static const int coprime[] = {INT32_MAX, INT32_MAX - 1};
	int many[LIMIT_MEMBERS];
	size_t ones = 0;
	size_t n;
	uint16_t *turns = turns_build(&arena, two, 2, &n);

	(void)state;
	assert_true(n <= LIMIT_TURNS);
	for (size_t i = 0; i < n; i++)
		ones += turns[i];
	assert_int_equal(ones, 1);
	(void)turns_build(&arena, coprime, 2, &n);
	assert_true(n <= LIMIT_TURNS);
	for (int i = 0; i < LIMIT_MEMBERS; i++)
		many[i] = 1000 - i % 3;
	(void)turns_build(&arena, many, LIMIT_MEMBERS, &n);
	assert_true(n <= LIMIT_TURNS);
	assert_true(n >= LIMIT_MEMBERS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_sequences, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_shares, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_not_tied, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_large_weights, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
