/* SPDX-License-Identifier: MIT
 *
 * The LMDB store when there is no room in it, and when processes are killed in the
 * middle of anything.
 */
#include "tests/unit/pool_kit.h"
#include "lib/clock.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define OTHER 8
#define KILLS 100
#define KEPT  50 /* keys of GROUP that nobody removes */

static void
on_report(void *arg, enum err e, enum pool_move move, uint32_t fails)
{
	(void)move;
	(void)fails;
	*(enum err *)arg = e;
}

/* A report with all that it can bring; the rest is of 2 ms. */
static enum err
judge(struct pool *p, int64_t id, enum key_verdict verdict, int threshold)
{
	struct report r = {.group_id = GROUP,
			   .key_id = id,
			   .verdict = verdict,
			   .threshold = threshold,
			   .rest_until_ms = clock_wall_ms() + 2,
			   .status = 401,
			   .error = STR("a long story of what the provider thinks of this key")};
	enum err e = ERR__MAX;

	pool_report(p, &r, on_report, &e);
	return e;
}

/* --- full --- */

static int64_t
fill(struct pool *p)
{
	int64_t first = 1;
	enum err e;

	while ((e = add_sized(p, GROUP, first, 500, 300)) == ERR_OK)
		first += 500;
	assert_int_equal(e, ERR_POOL_FULL);
	return first - 1;
}

static void
test_full(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE char *text = xcalloc(1, 8 * MB);
	const struct str large = {text, 8 * MB};
	struct key_info info;
	uint64_t turn;
	int64_t n;

	open_pool(f);
	assert_int_equal(pool_snapshot_put(f->pool, 1, STR("x"), false), ERR_OK);
	n = fill(f->pool);
	assert_true(n > 10000);
	/* The batch that did not fit left nothing. */
	assert_int_equal(count(f->pool, GROUP), n);
	assert_int_equal(pool_key_info(f->pool, n + 1, &info), ERR_NOT_FOUND);
	assert_int_equal(pool_snapshot_put(f->pool, 2, large, false), ERR_POOL_FULL);
	verify(f->pool);
	/* The hot path goes on. */
	turn = pick(f->pool, GROUP).p.turn;
	for (int64_t i = 1; i <= 20000; i++) {
		struct picked r = pick(f->pool, GROUP);

		assert_int_equal(r.e, ERR_OK);
		assert_int_equal(r.p.turn, turn + (uint64_t)i);
		if (i % 10 == 0)
			assert_int_equal(judge(f->pool, r.p.key_id, VERDICT_LIMITED, 0), ERR_OK);
		if (i % 100 == 0)
			assert_int_equal(judge(f->pool, r.p.key_id, VERDICT_BLAMED, 1), ERR_OK);
	}
	verify(f->pool);
	/* What is there already may come again. */
	assert_int_equal(add_sized(f->pool, GROUP, 1, 500, 300), ERR_OK);
	assert_int_equal(pool_drop_group(f->pool, GROUP), ERR_OK);
	assert_int_equal(count(f->pool, GROUP), 0);
	assert_int_equal(pool_snapshot_put(f->pool, 2, large, false), ERR_OK);
	assert_int_equal(add_sized(f->pool, GROUP, 1, 500, 300), ERR_OK);
	verify(f->pool);
}

/* Every key fails with a text, until the reserve is used up as well. */
static void
test_full_of_errors(void **state)
{
	struct fixture *f = *state;
	int64_t n;

	f->conf.pool_size = 16 * MB;
	open_pool(f);
	n = fill(f->pool);
	for (int64_t id = 1; id <= n; id++)
		assert_int_equal(judge(f->pool, id, VERDICT_BLAMED, 1), ERR_OK);
	assert_int_equal(pick(f->pool, GROUP).e, ERR_NO_KEYS);
	verify(f->pool);
}

static void
test_smallest(void **state)
{
	struct fixture *f = *state;

	f->conf.pool_size = MB;
	open_pool(f);
	assert_int_equal(add_sized(f->pool, GROUP, 1, 100, 300), ERR_OK);
	fill(f->pool);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(pick(f->pool, GROUP).e, ERR_OK);
	verify(f->pool);
}

/* --- kill -9 --- */

static unsigned int
next_random(unsigned int *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 17;
	*seed ^= *seed << 5;
	return *seed;
}

/* One of the things that a process does with a pool. */
static void
do_something(struct pool *p, unsigned int *seed)
{
	static char text[20000];
	const int64_t ids[] = {1, 2, 3, 4, 5};
	int64_t id = 1 + next_random(seed) % KEPT;
	struct key_info info[16];
	struct due_key due[4];
	uint64_t version = 0;
	size_t n = 0;

	switch (next_random(seed) % 12) {
	case 0:
		(void)judge(p, id, VERDICT_BLAMED, 3);
		break;
	case 1:
		(void)judge(p, id, VERDICT_LIMITED, 0);
		break;
	case 2:
		(void)judge(p, id, VERDICT_OK, 0);
		break;
	case 3:
		(void)!add_sized(p, OTHER, 1000 + (int64_t)(*seed % 300), 200, 50);
		break;
	case 4:
		(void)!pool_drop_group(p, OTHER);
		break;
	case 5:
		(void)!pool_set_state(p, GROUP, ids, ARRAY_LEN(ids),
				      *seed % 2 == 0 ? KEY_ACTIVE : KEY_DISABLED, &n);
		break;
	case 6:
		if (pool_dirty(p, info, ARRAY_LEN(info), &n) == ERR_OK)
			(void)!pool_dirty_clear(p, info, n);
		break;
	case 7:
		if (pool_due(p, GROUP, clock_wall_ms(), 5, due, ARRAY_LEN(due), &n) == ERR_OK)
			for (size_t k = 0; k < n; k++)
				free(due[k].stored);
		break;
	case 8:
		(void)!pool_version(p, &version);
		(void)!pool_snapshot_put(p, version + 1, (struct str){text, *seed % sizeof(text)},
					 false);
		break;
	default:
		(void)pick(p, GROUP);
		(void)pick(p, OTHER);
	}
}

/* Far longer than it is let live. */
static int
work(struct pool *p, int n)
{
	unsigned int seed = (unsigned int)n;

	for (int i = 0; i < INT_MAX; i++)
		do_something(p, &seed);
	return 0;
}

static void
wait_us(unsigned int us)
{
	struct timespec ts = {.tv_nsec = (long)us * 1000};

	nanosleep(&ts, NULL);
}

/* Two processes at work; one is killed, the other must be able to go on, and what
 * they leave must be whole. */
static void
test_killed_at_any_moment(void **state)
{
	struct fixture *f = *state;
	unsigned int seed = 20260101;

	open_pool(f);
	assert_int_equal(add_sized(f->pool, GROUP, 1, KEPT, 100), ERR_OK);
	close_pool(f);
	for (int i = 0; i < KILLS; i++) {
		pid_t a = start_process(f, work, (int)next_random(&seed));
		pid_t b = start_process(f, work, (int)next_random(&seed));
		struct picked first;

		wait_us(next_random(&seed) % 3000);
		kill_process(a);
		open_pool(f);
		first = pick(f->pool, GROUP);
		assert_true(first.e == ERR_OK || first.e == ERR_ALL_RESTING ||
			    first.e == ERR_NO_KEYS);
		verify(f->pool);
		kill_process(b);
		pool_tend(f->pool);
		verify(f->pool);
		assert_int_equal(count(f->pool, GROUP), KEPT);
		close_pool(f);
	}
}

/* Killed while it opens, or makes, the file. */
static void
test_killed_while_opening(void **state)
{
	struct fixture *f = *state;
	unsigned int seed = 7;

	for (int i = 0; i < KILLS; i++) {
		AUTO_FREE char *path = conf_path(&f->conf, "pool.mdb");
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			struct pool *p;

			if (pool_open(&f->conf, &p, NULL) != ERR_OK)
				_exit(1);
			hold_pool(p, 0);
		}
		wait_us(next_random(&seed) % 2000);
		kill_process(pid);
		open_pool(f);
		assert_int_equal(add_sized(f->pool, GROUP, 1, 3, 20), ERR_OK);
		verify(f->pool);
		close_pool(f);
		if (i % 2 == 0)
			unlink(path);
	}
}

/* Many that come and go use up no slot. */
static void
test_reader_slots(void **state)
{
	struct fixture *f = *state;
	uint64_t version;

	open_pool(f);
	add_keys(f->pool, GROUP, 1, KEPT);
	for (int i = 0; i < 50; i++) {
		kill_process(start_process(f, work, i + 1));
		pool_tend(f->pool);
		assert_int_equal(pool_version(f->pool, &version), ERR_OK);
	}
	verify(f->pool);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_closed, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    TEST(test_full),
	    TEST(test_full_of_errors),
	    TEST(test_smallest),
	    TEST(test_killed_at_any_moment),
	    TEST(test_killed_while_opening),
	    TEST(test_reader_slots),
	};

	return cmocka_run_group_tests_name("pool_kill", tests, NULL, NULL);
}
