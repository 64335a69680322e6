/* SPDX-License-Identifier: MIT
 *
 * What a turn costs: pick, and the report of a good answer, in the embedded pool
 * or in Redis, at three sizes and with 1, 2 and 4 processes at once. Prints a table: medians of
 * batches in microseconds a call, and pairs of calls a second over all processes.
 *
 *	pick [FOLDER]	FOLDER (TMPDIR, else /tmp) gets a pool of 1 GiB for a while
 *	pick REDIS_DSN	a database of Redis that holds nothing worth keeping
 */
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/pool.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/wait.h>

#define GROUP         1
#define POOL_SIZE     ((int64_t)1024 * 1024 * 1024)
#define SYNC_BATCH    10000
#define STORED_SIZE   158 /* a key of 51 bytes, encrypted */
#define BATCHES       300
#define BATCH         100 /* calls between two looks at the clock */
#define MAX_PROCESSES 4

/* Medians of one process, in microseconds. */
struct result {
	double pick;
	double report;
};

static NORETURN void
give_up(const char *what, enum err e, const struct errinfo *info)
{
	fprintf(stderr, "pick: %s: %s\n", what, err_text(info, e));
	exit(1);
}

static struct pool *
open_pool(const struct conf *conf)
{
	struct errinfo info = {""};
	struct pool *p = NULL;
	enum err e = pool_open(conf, &p, &info);

	if (e != ERR_OK)
		give_up("open", e, &info);
	return p;
}

/* Puts keys 1 … n in; returns the seconds it took. */
static double
load(struct pool *p, int64_t n)
{
	struct pool_key *keys = xcalloc(SYNC_BATCH, sizeof(*keys));
	char stored[STORED_SIZE];
	int64_t began = clock_mono_us();

	memset(stored, 'a', sizeof(stored));
	for (int64_t first = 1; first <= n; first += SYNC_BATCH) {
		int64_t last = MIN(first + SYNC_BATCH - 1, n);
		enum err e;

		for (int64_t id = first; id <= last; id++)
			keys[id - first] =
			    (struct pool_key){.id = id, .stored = {stored, sizeof(stored)}};
		e = pool_sync(p, GROUP, first, last, keys, (size_t)(last - first + 1), false);
		if (e != ERR_OK)
			give_up("load", e, NULL);
	}
	free(keys);
	return (double)(clock_mono_us() - began) / 1e6;
}

static void
on_pick(void *arg, enum err e, const struct pick *p)
{
	if (e != ERR_OK)
		give_up("pick", e, NULL);
	*(int64_t *)arg = p->key_id;
}

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a;
	int64_t y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Of the batches, in microseconds a call. */
static double
median(int64_t *us)
{
	qsort(us, BATCHES, sizeof(*us), by_value);
	return (double)us[BATCHES / 2] / BATCH;
}

static struct result
measure(struct pool *p)
{
	static int64_t pick_us[BATCHES];
	static int64_t report_us[BATCHES];
	const struct pick_query query = {.group_id = GROUP};

	for (size_t i = 0; i < BATCHES; i++) {
		int64_t ids[BATCH];
		int64_t began = clock_mono_us();
		int64_t between;

		for (size_t k = 0; k < BATCH; k++)
			pool_pick(p, &query, on_pick, &ids[k]);
		between = clock_mono_us();
		for (size_t k = 0; k < BATCH; k++)
			pool_report(p, &(struct report){.group_id = GROUP, .key_id = ids[k]}, NULL,
				    NULL);
		pick_us[i] = between - began;
		report_us[i] = clock_mono_us() - between;
	}
	return (struct result){median(pick_us), median(report_us)};
}

static void
run(const struct conf *conf, int64_t keys, double load_s, int processes)
{
	struct result sum = {0};
	int64_t began = clock_mono_us();
	double seconds;
	int fd[2];

	if (pipe(fd) != 0)
		give_up("pipe", ERR_IO, NULL);
	fflush(stdout);
	for (int i = 0; i < processes; i++) {
		if (fork() == 0) {
			struct result r = measure(open_pool(conf));

			_exit(write(fd[1], &r, sizeof(r)) == sizeof(r) ? 0 : 1);
		}
	}
	close(fd[1]);
	for (int i = 0; i < processes; i++) {
		struct result r;

		if (read(fd[0], &r, sizeof(r)) != sizeof(r))
			give_up("a process ended early", ERR_IO, NULL);
		sum.pick += r.pick / processes;
		sum.report += r.report / processes;
	}
	seconds = (double)(clock_mono_us() - began) / 1e6;
	close(fd[0]);
	while (wait(NULL) > 0)
		;
	printf("%9lld %7.2f %10d %8.2f %10.2f %9.0f\n", (long long)keys, load_s, processes,
	       sum.pick, sum.report, processes * BATCHES * BATCH / seconds);
}

int
main(int argc, char **argv)
{
	static const int64_t sizes[] = {10, 10000, 1000000};
	static const char *const files[] = {"pool.mdb", "pool.mdb-lock", "pool.open.lock"};
	const char *tmp = getenv("TMPDIR");
	char dir[PATH_MAX];
	struct conf conf = {.data_dir = dir, .pool_size = POOL_SIZE};

	if (argc > 1 && strstr(argv[1], "://") != NULL)
		conf.redis_dsn = argv[1];
	(void)snprintf(dir, sizeof(dir), "%s/bench-pick-XXXXXX",
		       argc > 1 && conf.redis_dsn == NULL ? argv[1]
		       : tmp != NULL                      ? tmp
							  : "/tmp");
	if (mkdtemp(dir) == NULL)
		give_up(dir, ERR_IO, NULL);
	printf("     keys  load s  processes  pick us  report us   pairs/s\n");
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct pool *p = open_pool(&conf);
		double load_s = load(p, sizes[i]);

		pool_close(p);
		for (int processes = 1; processes <= MAX_PROCESSES; processes *= 2)
			run(&conf, sizes[i], load_s, processes);
	}
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		AUTO_FREE char *path = conf_path(&conf, files[i]);

		unlink(path);
	}
	rmdir(dir);
	return 0;
}
