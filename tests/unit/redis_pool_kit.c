/* SPDX-License-Identifier: MIT
 *
 * What the tests of the Redis store share; see redis_pool_kit.h.
 */
#include "tests/unit/redis_pool_kit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

struct redis_server server;

struct pool *
open_dsn(struct own *o, const char *dsn)
{
	struct errinfo info = {""};
	struct pool *p = NULL;

	(void)snprintf(o->dsn, sizeof(o->dsn), "%s", dsn);
	o->conf.redis_dsn = o->dsn;
	if (pool_open(&o->conf, &p, &info) != ERR_OK)
		fail_msg("%s", info.text);
	return p;
}

struct pool *
open_more(struct own *o, const char *end)
{
	AUTO_FREE
	char *dsn = xasprintf("unix://%s%s", server.socket, end);

	return open_dsn(o, dsn);
}

void
start(const char *const *more)
{
	if (server.pid != 0)
		redis_server_kill(&server);
	if (!redis_server_start(&server, more))
		skip();
}

struct picked
loop_pick(struct own *o)
{
	struct picked r = {0};

	pool_pick(o->pool, &(struct pick_query){.group_id = GROUP}, on_pick, &r);
	while (r.calls == 0)
		assert_int_equal(event_base_loop(o->base, EVLOOP_ONCE), 0);
	assert_int_equal(r.calls, 1);
	return r;
}

void
on_report(void *arg, enum err e, enum pool_move move, uint32_t fails)
{
	*(struct reported *)arg = (struct reported){1, e, move, fails};
}

void
on_turn(void *arg, enum err e, uint64_t turn)
{
	assert_int_equal(e, ERR_OK);
	*(uint64_t *)arg = turn;
}

int
own_setup(void **state)
{
	struct own *o = xcalloc(1, sizeof(*o));

	*state = o;
	if (server.pid == 0 && !redis_server_start(&server, NULL))
		return 0;
	(void)redis_server_say(&server, "FLUSHALL");
	o->base = event_base_new();
	o->pool = open_more(o, "");
	return 0;
}

int
own_teardown(void **state)
{
	struct own *o = *state;

	if (server.pid > 0)
		kill(server.pid, SIGCONT);
	pool_close(o->pool);
	if (o->base != NULL)
		event_base_free(o->base);
	free(o);
	return 0;
}

int
end_server(void **state)
{
	(void)state;
	redis_server_end(&server);
	return 0;
}
