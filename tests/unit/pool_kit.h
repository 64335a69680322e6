/* SPDX-License-Identifier: MIT
 *
 * What the tests of the key pool share: a folder and a pool in it, and short words
 * for the calls of the interface. A call that fails where it must not fails the
 * test.
 */
#ifndef TESTS_UNIT_POOL_KIT_H
#define TESTS_UNIT_POOL_KIT_H

#include "lib/conf.h"
#include "lib/pool_store.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/types.h>

#include <cmocka.h>

#define GROUP 7
#define NOW   1700000000000 /* where set-up stops the clock */

struct fixture {
	char dir[PATH_MAX];
	struct conf conf; /* of `dir`, with a pool of POOL_MB */
	char dsn[128];
	struct pool *pool;
};

#define POOL_MB 32
#define MB      (1024 * 1024)

/* Runs tests of the interface once for each store; setup() knows which. Redis gets a
 * server of its own, which ends with the program; where the machine has none, and in
 * a build without it, LMDB is alone. */
int run_on_all_kinds(const struct CMUnitTest *tests, size_t n);

/* An empty folder and, for the first, an open pool and a clock that stands. */
int setup(void **state);
int setup_closed(void **state);
int teardown(void **state);

enum err try_open(struct fixture *f, struct errinfo *info) MUST_CHECK;
void open_pool(struct fixture *f);
void close_pool(struct fixture *f);
void set_clock(int64_t ms);
/* pool_check(). */
void verify(struct pool *p);

/* Keys first … last, "sk-<id>", all ACTIVE, and the id as the hash's first byte. */
enum err add_range(struct pool *p, int64_t group, int64_t first, int64_t last) MUST_CHECK;
void add_keys(struct pool *p, int64_t group, int64_t first, int64_t last);
/* n keys from `first` on, each of `size` bytes. */
enum err add_sized(struct pool *p, int64_t group, int64_t first, int64_t n, size_t size) MUST_CHECK;
/* Keys of the group, in whatever state. */
int64_t count(struct pool *p, int64_t group);

struct picked {
	int calls;
	enum err e;
	struct pick p;
	char stored[32];
};

struct picked pick_not(struct pool *p, int64_t group, const int64_t *not_these, size_t n);
struct picked pick(struct pool *p, int64_t group);
/* The id of a key that must be there. */
int64_t pick_id(struct pool *p, int64_t group);
/* For pool_pick() itself; arg is a struct picked. */
void on_pick(void *arg, enum err e, const struct pick *p);

struct reported {
	int calls;
	enum err e;
	enum pool_move move;
	uint32_t fails;
};

/* r.group_id 0: GROUP. */
struct reported report(struct pool *p, struct report r);
enum pool_move report_ok(struct pool *p, int64_t id);
/* 401, "no such key", the next check 5 s after NOW. */
struct reported blame(struct pool *p, int64_t id, int threshold);
enum pool_move limit(struct pool *p, int64_t id, int64_t until_ms);

struct key_info info_of(struct pool *p, int64_t id);
/* And verify(). */
void expect_counts(struct pool *p, int64_t group, int64_t active, int64_t resting, int64_t invalid,
		   int64_t disabled);
/* Ids of the dirty keys, as "1 2 3"; static memory. */
const char *dirty_ids(struct pool *p);

/* A process that opens the pool for itself, and ends with what fn returns. Returns
 * when the pool is open there. */
pid_t start_process(struct fixture *f, int (*fn)(struct pool *p, int n), int n);
void expect_end(pid_t pid, int code);
/* kill -9; it must have been alive. */
void kill_process(pid_t pid);
/* For start_process(): keeps the pool open until it is killed. */
int hold_pool(struct pool *p, int n);

#endif
