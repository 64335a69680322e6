/* SPDX-License-Identifier: MIT
 *
 * The key pool through its interface alone: keys that come and go, state on its way
 * back to the DB, keys to try again, and many processes and threads at once.
 */
#include "tests/unit/pool_kit.h"
#include "lib/str.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

/* --- keys come and go --- */

static void
sync_one(struct pool *p, struct pool_key key, bool force)
{
	assert_int_equal(pool_sync(p, GROUP, key.id, key.id, &key, 1, force), ERR_OK);
}

static void
test_sync_keeps_state(void **state)
{
	struct fixture *f = *state;
	struct key_info k;

	add_keys(f->pool, GROUP, 1, 3);
	blame(f->pool, 1, 1);
	limit(f->pool, 2, NOW + 1000);
	add_keys(f->pool, GROUP, 1, 3);
	expect_counts(f->pool, GROUP, 1, 1, 1, 0);
	k = info_of(f->pool, 1);
	assert_int_equal(k.fails, 1);
	assert_int_equal(k.seq, 1);
	assert_int_equal(k.next_check_ms, NOW + 5000);
	assert_string_equal(dirty_ids(f->pool), "1");
	/* The DB has the later state: it is taken, and nothing is owed to it. */
	sync_one(f->pool, (struct pool_key){.id = 1, .seq = 2, .stored = STR("sk-1")}, false);
	k = info_of(f->pool, 1);
	assert_int_equal(k.state, KEY_ACTIVE);
	assert_int_equal(k.fails, 0);
	assert_int_equal(k.seq, 2);
	assert_string_equal(dirty_ids(f->pool), "");
	sync_one(f->pool,
		 (struct pool_key){.id = 1, .state = KEY_DISABLED, .seq = 3, .stored = STR("sk-1")},
		 false);
	expect_counts(f->pool, GROUP, 1, 1, 0, 1);
	/* Force takes even an earlier one. */
	sync_one(f->pool,
		 (struct pool_key){
		     .id = 1, .state = KEY_INVALID, .seq = 1, .fails = 4, .stored = STR("sk-1")},
		 true);
	k = info_of(f->pool, 1);
	assert_int_equal(k.state, KEY_INVALID);
	assert_int_equal(k.fails, 4);
	assert_int_equal(k.seq, 1);
	expect_counts(f->pool, GROUP, 1, 1, 1, 0);
}

static void
test_sync_follows_text(void **state)
{
	struct fixture *f = *state;
	struct picked r;

	add_keys(f->pool, GROUP, 1, 1);
	blame(f->pool, 1, 0);
	sync_one(f->pool,
		 (struct pool_key){.id = 1, .hash = {9}, .stored = STR("longer than before")},
		 false);
	r = pick(f->pool, GROUP);
	assert_string_equal(r.stored, "longer than before");
	assert_int_equal(r.p.hash[0], 9);
	assert_int_equal(r.p.fails, 1);
	assert_string_equal(info_of(f->pool, 1).error, "no such key");
	sync_one(f->pool, (struct pool_key){.id = 1, .hash = {8}, .stored = STR("")}, false);
	assert_string_equal(pick(f->pool, GROUP).stored, "");
	assert_string_equal(info_of(f->pool, 1).error, "no such key");
}

static void
test_sync_range(void **state)
{
	struct fixture *f = *state;
	const struct pool_key keys[] = {{.id = 4, .stored = STR("a")},
					{.id = 6, .stored = STR("b")}};
	struct key_info k;

	add_keys(f->pool, GROUP, 1, 5);
	add_keys(f->pool, GROUP + 1, 11, 12);
	blame(f->pool, 5, 1);
	assert_int_equal(pool_sync(f->pool, GROUP, 3, 10, keys, 2, false), ERR_OK);
	expect_counts(f->pool, GROUP, 4, 0, 0, 0);
	assert_int_equal(pool_key_info(f->pool, 3, &k), ERR_NOT_FOUND);
	assert_int_equal(pool_key_info(f->pool, 5, &k), ERR_NOT_FOUND);
	assert_string_equal(dirty_ids(f->pool), "");
	/* An id of another group changes hands. */
	assert_int_equal(pool_sync(f->pool, GROUP, 11, 11,
				   &(struct pool_key){.id = 11, .stored = STR("c")}, 1, false),
			 ERR_OK);
	expect_counts(f->pool, GROUP, 5, 0, 0, 0);
	expect_counts(f->pool, GROUP + 1, 1, 0, 0, 0);
	assert_int_equal(info_of(f->pool, 11).group_id, GROUP);
	assert_int_equal(pool_sync(f->pool, GROUP, 0, INT64_MAX, NULL, 0, false), ERR_OK);
	expect_counts(f->pool, GROUP, 0, 0, 0, 0);
	assert_int_equal(pick(f->pool, GROUP).e, ERR_NO_KEYS);
	assert_int_equal(pick_id(f->pool, GROUP + 1), 12);
}

static void
test_sync_long_keys(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE char *text = xcalloc(1, POOL_STORED_MAX + 1);
	struct pool_key key = {.id = 1, .stored = {text, POOL_STORED_MAX}};
	struct due_key due;
	size_t n = 0;

	memset(text, 'k', POOL_STORED_MAX + 1);
	sync_one(f->pool, key, false);
	blame(f->pool, 1, 1);
	assert_int_equal(pool_due(f->pool, GROUP, NOW + 5000, 100, &due, 1, &n), ERR_OK);
	assert_int_equal(n, 1);
	assert_int_equal(strlen(due.stored), POOL_STORED_MAX);
	free(due.stored);
	key.stored.n++;
	assert_int_equal(pool_sync(f->pool, GROUP, 1, 1, &key, 1, false), ERR_VALIDATION);
	expect_counts(f->pool, GROUP, 0, 0, 1, 0);
}

static void
test_many_keys(void **state)
{
	struct fixture *f = *state;
	int64_t *groups = NULL;
	size_t n = 0;

	add_keys(f->pool, GROUP, 1, 5000);
	add_keys(f->pool, GROUP + 1, 5001, 5010);
	expect_counts(f->pool, GROUP, 5000, 0, 0, 0);
	assert_int_equal(pool_groups(f->pool, &groups, &n), ERR_OK);
	assert_int_equal(n, 2);
	assert_int_equal(groups[0], GROUP);
	assert_int_equal(groups[1], GROUP + 1);
	free(groups);
	/* The last turn was of a key that is gone: the circle goes on. */
	for (int i = 0; i < 10; i++)
		pick_id(f->pool, GROUP);
	assert_int_equal(pool_sync(f->pool, GROUP, 5, 4990, NULL, 0, false), ERR_OK);
	expect_counts(f->pool, GROUP, 14, 0, 0, 0);
	assert_int_equal(pick_id(f->pool, GROUP), 4991);
	assert_int_equal(pool_drop_group(f->pool, GROUP), ERR_OK);
	assert_int_equal(pool_drop_group(f->pool, GROUP), ERR_OK);
	expect_counts(f->pool, GROUP, 0, 0, 0, 0);
	expect_counts(f->pool, GROUP + 1, 10, 0, 0, 0);
}

static void
test_set_state(void **state)
{
	struct fixture *f = *state;
	const int64_t ids[] = {1, 2, 3, 4, 99};
	struct key_info k;
	size_t changed = 99;

	add_keys(f->pool, GROUP, 1, 4);
	add_keys(f->pool, GROUP + 1, 99, 99);
	blame(f->pool, 1, 1);
	limit(f->pool, 2, NOW + 1000);
	assert_int_equal(pool_set_state(f->pool, GROUP, &ids[2], 1, KEY_DISABLED, &changed),
			 ERR_OK);
	assert_int_equal(changed, 1);
	expect_counts(f->pool, GROUP, 1, 1, 1, 1);
	assert_string_equal(dirty_ids(f->pool), "1 3");
	assert_int_equal(report_ok(f->pool, 3), POOL_MOVE_NONE);
	assert_int_equal(blame(f->pool, 3, 1).move, POOL_MOVE_NONE);
	assert_int_equal(limit(f->pool, 3, NOW + 1000), POOL_MOVE_NONE);
	expect_counts(f->pool, GROUP, 1, 1, 1, 1);
	assert_int_equal(pool_set_state(f->pool, GROUP, ids, 5, KEY_ACTIVE, &changed), ERR_OK);
	assert_int_equal(changed, 3);
	expect_counts(f->pool, GROUP, 4, 0, 0, 0);
	k = info_of(f->pool, 1);
	assert_int_equal(k.fails, 0);
	assert_int_equal(k.seq, 2);
	assert_int_equal(pool_set_state(f->pool, GROUP, ids, 5, KEY_ACTIVE, &changed), ERR_OK);
	assert_int_equal(changed, 0);
	assert_int_equal(pool_set_state(f->pool, GROUP, ids, 5, KEY_DISABLED, &changed), ERR_OK);
	assert_int_equal(changed, 4);
	assert_int_equal(pick(f->pool, GROUP).e, ERR_NO_KEYS);
	assert_int_equal(pick_id(f->pool, GROUP + 1), 99);
}

/* --- dirty and due --- */

static void
test_dirty(void **state)
{
	struct fixture *f = *state;
	struct key_info got[2];
	size_t n = 0;

	add_keys(f->pool, GROUP, 1, 3);
	assert_string_equal(dirty_ids(f->pool), "");
	blame(f->pool, 1, 0);
	blame(f->pool, 2, 0);
	blame(f->pool, 3, 0);
	assert_int_equal(pool_dirty(f->pool, got, 2, &n), ERR_OK);
	assert_int_equal(n, 2);
	assert_int_equal(got[1].id, 2);
	assert_int_equal(got[1].fails, 1);
	/* What changed again meanwhile stays. */
	blame(f->pool, 2, 0);
	assert_int_equal(pool_dirty_clear(f->pool, got, 2), ERR_OK);
	assert_string_equal(dirty_ids(f->pool), "2 3");
	assert_int_equal(pool_dirty_clear(f->pool, NULL, 0), ERR_OK);
	assert_int_equal(pool_dirty(f->pool, got, 2, &n), ERR_OK);
	assert_int_equal(pool_sync(f->pool, GROUP, 3, 3, NULL, 0, false), ERR_OK);
	assert_int_equal(pool_dirty_clear(f->pool, got, n), ERR_OK);
	assert_string_equal(dirty_ids(f->pool), "");
	verify(f->pool);
}

static size_t
take_due(struct pool *p, int64_t now, struct due_key *ret, size_t max)
{
	size_t n = 99;

	assert_int_equal(pool_due(p, GROUP, now, 60000, ret, max, &n), ERR_OK);
	for (size_t i = 0; i < n; i++)
		free(ret[i].stored);
	return n;
}

static void
test_due(void **state)
{
	struct fixture *f = *state;
	struct due_key due[4];
	struct key_info k;

	add_keys(f->pool, GROUP, 1, 4);
	assert_int_equal(take_due(f->pool, NOW + 99999, due, 4), 0);
	for (int64_t id = 1; id <= 3; id++)
		report(f->pool, (struct report){.key_id = id,
						.verdict = VERDICT_BLAMED,
						.threshold = 1,
						.next_check_ms = NOW + 1000 * id});
	assert_int_equal(take_due(f->pool, NOW + 999, due, 4), 0);
	assert_int_equal(take_due(f->pool, NOW + 2000, due, 4), 2);
	assert_int_equal(due[0].id, 1);
	assert_int_equal(due[0].group_id, GROUP);
	assert_int_equal(due[0].checks, 0);
	assert_int_equal(due[1].id, 2);
	/* Taken, for as long as the lease lasts. */
	assert_int_equal(take_due(f->pool, NOW + 3000, due, 4), 1);
	assert_int_equal(due[0].id, 3);
	assert_int_equal(pool_check_failed(f->pool, 2, NOW + 70000, 403, STR("later")), ERR_OK);
	k = info_of(f->pool, 2);
	assert_int_equal(k.checks, 1);
	assert_int_equal(k.status, 403);
	assert_string_equal(k.error, "later");
	assert_int_equal(take_due(f->pool, NOW + 62000, due, 4), 1);
	assert_int_equal(due[0].id, 1);
	assert_int_equal(take_due(f->pool, NOW + 900000, due, 2), 2);
	/* Not out: not our matter. */
	assert_int_equal(pool_check_failed(f->pool, 4, NOW, 403, STR("x")), ERR_OK);
	assert_int_equal(pool_check_failed(f->pool, 44, NOW, 403, STR("x")), ERR_OK);
	assert_int_equal(info_of(f->pool, 4).checks, 0);
	expect_counts(f->pool, GROUP, 1, 0, 3, 0);
}

/* --- many at once --- */

#define PROCESSES 4
#define ROUNDS    300
#define KEYS      7

/* Picks, and writes the ids to a pipe whose descriptor is n. */
static int
pick_and_tell(struct pool *p, int n)
{
	for (int i = 0; i < ROUNDS * KEYS; i++) {
		struct picked r = {0};
		uint8_t id;

		pool_pick(p, &(struct pick_query){.group_id = GROUP}, on_pick, &r);
		if (r.e != ERR_OK)
			return 1;
		id = (uint8_t)r.p.key_id;
		if (write(n, &id, 1) != 1)
			return 2;
	}
	return 0;
}

static void
test_rotation_over_processes(void **state)
{
	struct fixture *f = *state;
	int seen[KEYS + 1] = {0};
	pid_t pids[PROCESSES];
	uint8_t ids[512];
	int fd[2];
	ssize_t n;

	add_keys(f->pool, GROUP, 1, KEYS);
	assert_int_equal(pipe(fd), 0);
	for (int i = 0; i < PROCESSES; i++)
		pids[i] = start_process(f, pick_and_tell, fd[1]);
	close(fd[1]);
	while ((n = read(fd[0], ids, sizeof(ids))) > 0)
		for (ssize_t i = 0; i < n; i++)
			seen[ids[i]]++;
	close(fd[0]);
	for (int i = 0; i < PROCESSES; i++)
		expect_end(pids[i], 0);
	for (int id = 1; id <= KEYS; id++)
		assert_int_equal(seen[id], PROCESSES * ROUNDS);
	assert_int_equal(pick(f->pool, GROUP).p.turn, PROCESSES * ROUNDS * KEYS);
	verify(f->pool);
}

static int
blame_often(struct pool *p, int n)
{
	for (int i = 0; i < n; i++)
		pool_report(p,
			    &(struct report){.group_id = GROUP,
					     .key_id = 1,
					     .verdict = VERDICT_BLAMED,
					     .threshold = PROCESSES * n},
			    NULL, NULL);
	return 0;
}

static void
test_failures_over_processes(void **state)
{
	struct fixture *f = *state;
	pid_t pids[PROCESSES];
	struct key_info k;

	add_keys(f->pool, GROUP, 1, 2);
	for (int i = 0; i < PROCESSES; i++)
		pids[i] = start_process(f, blame_often, 200);
	for (int i = 0; i < PROCESSES; i++)
		expect_end(pids[i], 0);
	k = info_of(f->pool, 1);
	assert_int_equal(k.fails, PROCESSES * 200);
	assert_int_equal(k.seq, PROCESSES * 200);
	assert_int_equal(k.state, KEY_INVALID);
	expect_counts(f->pool, GROUP, 1, 0, 1, 0);
}

struct load {
	struct pool *pool;
	_Atomic bool stop;
	_Atomic int faults;
};

/* What a jobs thread does beside the loop. */
static void *
sync_on(void *arg)
{
	struct load *l = arg;

	while (!l->stop) {
		struct key_info info[8];
		uint64_t version;
		size_t n;

		if (add_range(l->pool, GROUP + 1, 1001, 1100) != ERR_OK ||
		    pool_dirty(l->pool, info, 8, &n) != ERR_OK ||
		    pool_dirty_clear(l->pool, info, n) != ERR_OK ||
		    pool_version(l->pool, &version) != ERR_OK ||
		    pool_drop_group(l->pool, GROUP + 1) != ERR_OK)
			l->faults++;
	}
	return NULL;
}

static void
test_threads(void **state)
{
	struct fixture *f = *state;
	struct load load = {.pool = f->pool};
	pthread_t thread;

	add_keys(f->pool, GROUP, 1, 5);
	assert_int_equal(pthread_create(&thread, NULL, sync_on, &load), 0);
	for (int i = 0; i < 2000; i++) {
		assert_int_equal(pick_id(f->pool, GROUP), 1 + i % 5);
		blame(f->pool, 1 + i % 5, 0);
		report_ok(f->pool, 1 + i % 5);
	}
	load.stop = true;
	pthread_join(thread, NULL);
	assert_int_equal(load.faults, 0);
	expect_counts(f->pool, GROUP, 5, 0, 0, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    TEST(test_sync_keeps_state),
	    TEST(test_sync_follows_text),
	    TEST(test_sync_range),
	    TEST(test_sync_long_keys),
	    TEST(test_many_keys),
	    TEST(test_set_state),
	    TEST(test_dirty),
	    TEST(test_due),
	    TEST(test_rotation_over_processes),
	    TEST(test_failures_over_processes),
	    TEST(test_threads),
	};

	return run_on_all_kinds(tests, ARRAY_LEN(tests));
}
