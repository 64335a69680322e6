/* SPDX-License-Identifier: MIT
 *
 * lib/gate: one count over all processes of a node, which a process that dies gives
 * back.
 */
#include "lib/gate.h"

#include "lib/clock.h"
#include "lib/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#define MAX_UNDER_WAY 3

static char dir[64];
static struct conf conf;

static int
set_up(void **state)
{
	char run[80];

	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/test_gate.XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	(void)snprintf(run, sizeof(run), "%s/run", dir);
	conf = (struct conf){.data_dir = dir, .max_concurrent_requests = MAX_UNDER_WAY};
	return mkdir(run, 0700);
}

static int
tear_down(void **state)
{
	char path[80];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/run/gate", dir);
	(void)unlink(path);
	(void)snprintf(path, sizeof(path), "%s/run", dir);
	return rmdir(path) == 0 && rmdir(dir) == 0 ? 0 : -1;
}

static struct gate *
open_gate(void)
{
	struct gate *g = NULL;

	assert_int_equal(gate_open(&conf, &g, NULL), ERR_OK);
	return g;
}

static void
assert_node(int processes, int64_t under_way)
{
	struct gate_view view;

	gate_look(&conf, &view);
	assert_int_equal(view.processes, processes);
	assert_int_equal(view.under_way, under_way);
}

static void
test_the_bound_is_over_all_processes(void **state)
{
	struct gate *a = open_gate();
	struct gate *b = open_gate();

	(void)state;
	assert_true(gate_enter(a));
	assert_true(gate_enter(b));
	assert_true(gate_enter(b));
	assert_false(gate_enter(a));
	assert_false(gate_enter(b));
	assert_node(2, 3);
	gate_leave(b);
	assert_true(gate_enter(a));
	assert_false(gate_enter(a));
	/* One that ends in order gives back what it still held. */
	gate_close(b);
	assert_node(1, 2);
	assert_true(gate_enter(a));
	gate_close(a);
	assert_node(0, 0);
}

static void
test_a_dead_process_gives_its_count_back(void **state)
{
	struct gate *a = open_gate();
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		struct gate *own = NULL;

		/* Ends as by kill -9: nothing is given back. */
		_exit(gate_open(&conf, &own, NULL) == ERR_OK && gate_enter(own) &&
			      gate_enter(own) && gate_enter(own)
			  ? 0
			  : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_false(gate_enter(a));
	gate_tend(a);
	assert_true(gate_enter(a));
	gate_close(a);
}

/* Killed between the two counts that an exchange has, its own process's and the node's. */
static void
test_what_a_killed_process_left_half_counted(void **state)
{
	const int64_t total = MAX_UNDER_WAY;
	char path[80];
	struct gate *g = open_gate();
	FILE *file;

	(void)state;
	gate_close(g);
	(void)snprintf(path, sizeof(path), "%s/run/gate", dir);
	file = fopen(path, "r+");
	assert_non_null(file);
	assert_int_equal(fseek(file, sizeof(uint64_t), SEEK_SET), 0);
	assert_int_equal(fwrite(&total, sizeof(total), 1, file), 1);
	assert_int_equal(fclose(file), 0);
	g = open_gate();
	for (int i = 0; i < MAX_UNDER_WAY; i++)
		assert_true(gate_enter(g));
	assert_false(gate_enter(g));
	/* Who comes later leaves alone what is under way. */
	gate_close(open_gate());
	assert_false(gate_enter(g));
	gate_close(g);
}

/* One too many is refused, and takes nothing from the others. */
static void
test_as_many_processes_as_there_may_be(void **state)
{
	struct gate *all[LIMIT_PROCESSES];
	struct gate *more = NULL;
	struct rlimit limit;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	for (int i = 0; i < LIMIT_PROCESSES; i++)
		all[i] = open_gate();
	assert_true(gate_enter(all[0]));
	assert_int_equal(gate_open(&conf, &more, NULL), ERR_BUSY);
	assert_node(LIMIT_PROCESSES, 1);
	gate_leave(all[0]);
	for (int i = 0; i < MAX_UNDER_WAY; i++)
		assert_true(gate_enter(all[1]));
	assert_false(gate_enter(all[1]));
	for (int i = 0; i < LIMIT_PROCESSES; i++)
		gate_close(all[i]);
}

static void
test_what_others_see(void **state)
{
	struct gate_view view;
	struct gate *g;

	(void)state;
	gate_look(&conf, &view);
	assert_int_equal(view.processes, 0);
	clock_fake(INT64_C(1700000000000000));
	g = open_gate();
	clock_fake(0);
	gate_look(&conf, &view);
	assert_int_equal(view.processes, 1);
	assert_int_equal(view.since_us, INT64_C(1700000000000000));
	gate_close(g);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_the_bound_is_over_all_processes),
	    TEST(test_a_dead_process_gives_its_count_back),
	    TEST(test_what_a_killed_process_left_half_counted),
	    TEST(test_as_many_processes_as_there_may_be),
	    TEST(test_what_others_see),
	};

	return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
