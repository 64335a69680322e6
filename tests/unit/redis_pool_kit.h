/* SPDX-License-Identifier: MIT
 *
 * What the tests of the Redis store share: a server of their own (redis_kit.h), a pool
 * in it that is empty when a test begins, and a loop.
 */
#ifndef TESTS_UNIT_REDIS_POOL_KIT_H
#define TESTS_UNIT_REDIS_POOL_KIT_H

#include "tests/unit/pool_kit.h"
#include "tests/unit/redis_kit.h"

#include <event2/event.h>

/* Of the whole program. */
extern struct redis_server server;

struct own {
	char dsn[256];
	struct conf conf;
	struct pool *pool; /* NULL: this machine has no server */
	struct event_base *base;
};

#define NEEDS_SERVER(o)                                                                            \
	if ((o)->pool == NULL)                                                                     \
	skip()

/* Once more, by another DSN; or by the usual one with `end` behind it. */
struct pool *open_dsn(struct own *o, const char *dsn);
struct pool *open_more(struct own *o, const char *end);
/* The server anew, with further arguments to NULL, or NULL. */
void start(const char *const *more);

/* A pick by the loop, which runs until it has its answer. */
struct picked loop_pick(struct own *o);
/* arg: struct reported. */
void on_report(void *arg, enum err e, enum pool_move move, uint32_t fails);
/* arg: uint64_t. */
void on_turn(void *arg, enum err e, uint64_t turn);

int own_setup(void **state);
int own_teardown(void **state);
int end_server(void **state);
#define TEST(name) cmocka_unit_test_setup_teardown(name, own_setup, own_teardown)

#endif
