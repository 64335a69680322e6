/* SPDX-License-Identifier: MIT
 *
 * The node's counters: over several processes, beyond the table, over a restart.
 */
#include "lib/counters.h"

#include <sys/wait.h>

#include "tests/unit/sandbox.h"

#define PROCESSES 4
#define ROUNDS    20000

static int
setup(void **state)
{
	struct sandbox *s = sandbox_new();
	AUTO_FREE char *run = xasprintf("%s/run", s->dir);

	assert_int_equal(mkdir(run, 0700), 0);
	*state = s;
	return 0;
}

static int
teardown(void **state)
{
	sandbox_free(*state);
	return 0;
}

static struct counters *
opened(struct sandbox *s, bool starts)
{
	struct errinfo info = {""};
	struct counters *c;

	if (counters_open(&s->conf, starts, &c, &info) != ERR_OK)
		fail_msg("%s", info.text);
	return c;
}

static const struct counters_group *
find(const struct counters_view *view, int64_t id)
{
	for (size_t i = 0; i < view->n_groups; i++)
		if (view->groups[i].id == id)
			return &view->groups[i];
	fail_msg("group %lld is not counted", (long long)id);
	abort();
}

static void
test_classes_and_buckets(void **state)
{
	AUTO_FREE struct counters_view *view = xcalloc(1, sizeof(*view));
	struct counters *c = opened(*state, true);
	static const int statuses[] = {200, 204, 304, 404, 429, 499, 500, 504, 599, 0};

	for (size_t i = 0; i < ARRAY_LEN(statuses); i++)
		counters_request(c, 7, statuses[i], 60);
	counters_request(c, 0, 401, -5);
	counters_request(c, 8, 200, INT64_C(1) << 40);
	counters_retry(c, 8);
	counters_look(&((struct sandbox *)*state)->conf, view);
	assert_int_equal(view->n_groups, 3);
	assert_int_equal(find(view, 7)->requests[CLASS_2XX], 2);
	assert_int_equal(find(view, 7)->requests[CLASS_3XX], 1);
	assert_int_equal(find(view, 7)->requests[CLASS_4XX], 2);
	assert_int_equal(find(view, 7)->requests[CLASS_5XX], 3);
	assert_int_equal(find(view, 7)->requests[CLASS_GONE], 2);
	assert_int_equal(find(view, 8)->retries, 1);
	assert_int_equal(find(view, 0)->requests[CLASS_4XX], 1);
	assert_int_equal(view->overhead[0], 1);
	assert_int_equal(view->overhead[1], 10);
	assert_int_equal(view->overhead[OVERHEAD_BUCKETS - 1], 1);
	counters_close(c);
}

static void
test_groups_beyond_the_table_share_one(void **state)
{
	AUTO_FREE struct counters_view *view = xcalloc(1, sizeof(*view));
	struct counters *c = opened(*state, true);

	for (int i = 1; i <= LIMIT_METRIC_GROUPS + 9; i++)
		counters_request(c, i * 1000, 200, 10);
	counters_request(c, 1000, 200, 10);
	counters_look(&((struct sandbox *)*state)->conf, view);
	assert_int_equal(view->n_groups, LIMIT_METRIC_GROUPS + 1);
	assert_int_equal(find(view, -1)->requests[CLASS_2XX], 9);
	assert_int_equal(find(view, 1000)->requests[CLASS_2XX], 2);
	counters_close(c);
}

static void
test_several_processes_lose_nothing(void **state)
{
	AUTO_FREE struct counters_view *view = xcalloc(1, sizeof(*view));
	struct counters *c = opened(*state, true);
	int64_t all = 0;

	for (int p = 0; p < PROCESSES; p++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			struct counters *mine = opened(*state, true);

			for (int i = 0; i < ROUNDS; i++)
				counters_request(mine, 1 + i % 100, 200, i % 2000);
			_exit(0);
		}
	}
	for (int p = 0; p < PROCESSES; p++) {
		int status;

		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	counters_look(&((struct sandbox *)*state)->conf, view);
	assert_int_equal(view->n_groups, 100);
	for (size_t i = 0; i < view->n_groups; i++)
		all += view->groups[i].requests[CLASS_2XX];
	assert_int_equal(all, PROCESSES * ROUNDS);
	counters_close(c);
}

/* One of a master's own that comes after one that died goes on; of another, begins anew;
 * plain CGI never does. */
static void
test_begins_anew_with_the_server(void **state)
{
	AUTO_FREE struct counters_view *view = xcalloc(1, sizeof(*view));
	struct sandbox *s = *state;
	struct counters *c = opened(s, true);
	int status;

	counters_look(&s->conf, view);
	assert_int_equal(view->n_groups, 0);
	counters_request(c, 7, 200, 10);
	counters_close(c);
	counters_close(opened(s, true));
	counters_look(&s->conf, view);
	assert_int_equal(view->n_groups, 1);
	for (int starts = 0; starts < 2; starts++) {
		if (fork() == 0) {
			counters_close(opened(s, starts == 1));
			_exit(0);
		}
		assert_true(wait(&status) > 0);
		counters_look(&s->conf, view);
		assert_int_equal(view->n_groups, starts == 1 ? 0 : 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_classes_and_buckets, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_groups_beyond_the_table_share_one, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_several_processes_lose_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_begins_anew_with_the_server, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
