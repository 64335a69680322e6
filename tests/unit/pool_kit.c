/* SPDX-License-Identifier: MIT
 *
 * What the tests of the key pool share; see pool_kit.h.
 */
#include "tests/unit/pool_kit.h"
#include "lib/clock.h"
#include "lib/str.h"
#include "tests/unit/redis_kit.h"

#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/wait.h>

struct pool_kind {
	const char *name;
	enum err (*open)(const struct conf *conf, struct pool **ret, struct errinfo *info);
};

static const struct pool_kind pool_kinds[] = {
    {"lmdb", pool_open},
#ifdef HAVE_REDIS
    {"redis", pool_redis_open},
#endif
};

static const struct pool_kind *kind = &pool_kinds[0];

static struct redis_server server;

static void
end_server(void)
{
	redis_server_end(&server);
}

static bool
is_redis(void)
{
	return strcmp(kind->name, "redis") == 0;
}

static bool
has_what_it_needs(const struct pool_kind *k)
{
	if (strcmp(k->name, "redis") != 0)
		return true;
	if (!redis_server_start(&server, NULL)) {
		print_message("# no redis-server here: its store is not tested\n");
		return false;
	}
	return atexit(end_server) == 0;
}

/* In one group: there is one plan in what a test program prints. */
int
run_on_all_kinds(const struct CMUnitTest *tests, size_t n)
{
	struct CMUnitTest *all = xcalloc(n * ARRAY_LEN(pool_kinds), sizeof(*all));
	size_t n_all = 0;
	int failed;

	for (size_t k = 0; k < ARRAY_LEN(pool_kinds); k++) {
		if (!has_what_it_needs(&pool_kinds[k]))
			continue;
		for (size_t i = 0; i < n; i++) {
			all[n_all] = tests[i];
			all[n_all].name = xasprintf("%s: %s", pool_kinds[k].name, tests[i].name);
			all[n_all++].initial_state = (void *)(uintptr_t)&pool_kinds[k];
		}
	}
	failed = _cmocka_run_group_tests("the key pool", all, n_all, NULL, NULL);
	for (size_t i = 0; i < n_all; i++)
		free((char *)(uintptr_t)all[i].name);
	free(all);
	return failed;
}

enum err
try_open(struct fixture *f, struct errinfo *info)
{
	info->text[0] = '\0';
	return kind->open(&f->conf, &f->pool, info);
}

void
open_pool(struct fixture *f)
{
	struct errinfo info;

	if (try_open(f, &info) != ERR_OK)
		fail_msg("open: %s", info.text);
}

void
close_pool(struct fixture *f)
{
	pool_close(f->pool);
	f->pool = NULL;
}

int
setup_closed(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct fixture *f = xcalloc(1, sizeof(*f));

	if (*state != NULL)
		kind = *state;
	(void)snprintf(f->dir, sizeof(f->dir), "%s/test-pool-XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	f->conf.data_dir = f->dir;
	f->conf.pool_size = POOL_MB * MB;
	if (is_redis()) {
		(void)snprintf(f->dsn, sizeof(f->dsn), "unix://%s?db=3", server.socket);
		f->conf.redis_dsn = f->dsn;
		if (!redis_server_say(&server, "FLUSHALL"))
			return -1;
	}
	*state = f;
	return 0;
}

int
setup(void **state)
{
	if (setup_closed(state) != 0)
		return -1;
	set_clock(NOW);
	open_pool(*state);
	return 0;
}

int
teardown(void **state)
{
	static const char *const files[] = {"pool.mdb", "pool.mdb-lock", "pool.open.lock"};
	struct fixture *f = *state;

	pool_close(f->pool);
	clock_fake(0);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		AUTO_FREE char *path = conf_path(&f->conf, files[i]);

		unlink(path);
	}
	rmdir(f->dir);
	free(f);
	return 0;
}

void
set_clock(int64_t ms)
{
	clock_fake(ms * 1000);
}

void
verify(struct pool *p)
{
	struct errinfo info = {""};

	if (pool_check(p, &info) != ERR_OK)
		fail_msg("pool_check: %s", info.text);
}

static struct pool_key *
make_keys(int64_t first, int64_t last, char (**ret_text)[16])
{
	size_t n = (size_t)(last - first + 1);
	struct pool_key *keys = xcalloc(n, sizeof(*keys));
	char(*text)[16] = xcalloc(n, sizeof(*text));

	for (size_t i = 0; i < n; i++) {
		int64_t id = first + (int64_t)i;

		(void)snprintf(text[i], sizeof(text[i]), "sk-%d", (int)id);
		keys[i] =
		    (struct pool_key){.id = id, .state = KEY_ACTIVE, .stored = str_of(text[i])};
		keys[i].hash[0] = (uint8_t)id;
	}
	*ret_text = text;
	return keys;
}

enum err
add_range(struct pool *p, int64_t group, int64_t first, int64_t last)
{
	char(*text)[16];
	struct pool_key *keys = make_keys(first, last, &text);
	enum err e = pool_sync(p, group, first, last, keys, (size_t)(last - first + 1), false);

	free(keys);
	free(text);
	return e;
}

void
add_keys(struct pool *p, int64_t group, int64_t first, int64_t last)
{
	assert_int_equal(add_range(p, group, first, last), ERR_OK);
}

void
on_pick(void *arg, enum err e, const struct pick *p)
{
	struct picked *r = arg;

	r->calls++;
	r->e = e;
	r->p = *p;
	(void)snprintf(r->stored, sizeof(r->stored), STR_FMT, STR_ARG(p->stored));
	r->p.stored = str_of(NULL);
}

struct picked
pick_not(struct pool *p, int64_t group, const int64_t *not_these, size_t n)
{
	struct picked r = {0};

	pool_pick(p, &(struct pick_query){group, not_these, n}, on_pick, &r);
	assert_int_equal(r.calls, 1);
	return r;
}

struct picked
pick(struct pool *p, int64_t group)
{
	return pick_not(p, group, NULL, 0);
}

int64_t
pick_id(struct pool *p, int64_t group)
{
	struct picked r = pick(p, group);

	assert_int_equal(r.e, ERR_OK);
	return r.p.key_id;
}

static void
on_report(void *arg, enum err e, enum pool_move move, uint32_t fails)
{
	*(struct reported *)arg = (struct reported){1, e, move, fails};
}

struct reported
report(struct pool *p, struct report r)
{
	struct reported answer = {0};

	if (r.group_id == 0)
		r.group_id = GROUP;
	pool_report(p, &r, on_report, &answer);
	assert_int_equal(answer.calls, 1);
	assert_int_equal(answer.e, ERR_OK);
	return answer;
}

enum pool_move
report_ok(struct pool *p, int64_t id)
{
	return report(p, (struct report){.key_id = id, .verdict = VERDICT_OK}).move;
}

struct reported
blame(struct pool *p, int64_t id, int threshold)
{
	return report(p, (struct report){.key_id = id,
					 .verdict = VERDICT_BLAMED,
					 .threshold = threshold,
					 .next_check_ms = NOW + 5000,
					 .status = 401,
					 .error = STR("no such key")});
}

enum pool_move
limit(struct pool *p, int64_t id, int64_t until_ms)
{
	return report(p, (struct report){.key_id = id,
					 .verdict = VERDICT_LIMITED,
					 .rest_until_ms = until_ms})
	    .move;
}

struct key_info
info_of(struct pool *p, int64_t id)
{
	struct key_info info = {0};

	assert_int_equal(pool_key_info(p, id, &info), ERR_OK);
	return info;
}

void
expect_counts(struct pool *p, int64_t group, int64_t active, int64_t resting, int64_t invalid,
	      int64_t disabled)
{
	struct pool_counts c;

	assert_int_equal(pool_counts(p, group, &c), ERR_OK);
	assert_int_equal(c.by_state[KEY_ACTIVE], active);
	assert_int_equal(c.by_state[KEY_RESTING], resting);
	assert_int_equal(c.by_state[KEY_INVALID], invalid);
	assert_int_equal(c.by_state[KEY_DISABLED], disabled);
	verify(p);
}

const char *
dirty_ids(struct pool *p)
{
	static char text[256];
	struct key_info info[32];
	size_t n = 0;
	size_t at = 0;

	assert_int_equal(pool_dirty(p, info, ARRAY_LEN(info), &n), ERR_OK);
	text[0] = '\0';
	for (size_t i = 0; i < n && at < sizeof(text); i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%d", i > 0 ? " " : "",
				       (int)info[i].id);
	return text;
}

enum err
add_sized(struct pool *p, int64_t group, int64_t first, int64_t n, size_t size)
{
	struct pool_key *keys = xcalloc((size_t)n, sizeof(*keys));
	char *stored = xcalloc(1, size);
	enum err e;

	memset(stored, 'k', size);
	for (int64_t i = 0; i < n; i++)
		keys[i] = (struct pool_key){.id = first + i, .stored = {stored, size}};
	e = pool_sync(p, group, first, first + n - 1, keys, (size_t)n, false);
	free(stored);
	free(keys);
	return e;
}

int64_t
count(struct pool *p, int64_t group)
{
	struct pool_counts c;
	int64_t sum = 0;

	assert_int_equal(pool_counts(p, group, &c), ERR_OK);
	for (size_t i = 0; i < KEY__MAX; i++)
		sum += c.by_state[i];
	return sum;
}

pid_t
start_process(struct fixture *f, int (*fn)(struct pool *p, int n), int n)
{
	struct errinfo info;
	char go = 0;
	pid_t pid;
	int fd[2];

	assert_int_equal(pipe(fd), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		close(fd[0]);
		if (try_open(f, &info) != ERR_OK || write(fd[1], "g", 1) != 1)
			_exit(100);
		close(fd[1]);
		_exit(fn(f->pool, n));
	}
	close(fd[1]);
	assert_int_equal(read(fd[0], &go, 1), 1);
	close(fd[0]);
	return pid;
}

void
expect_end(pid_t pid, int code)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), code);
}

void
kill_process(pid_t pid)
{
	int status = 0;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGKILL);
}

int
hold_pool(struct pool *p, int n)
{
	(void)p;
	(void)n;
	for (;;)
		pause();
}
