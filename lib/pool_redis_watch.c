/* SPDX-License-Identifier: MIT
 *
 * A connection to Redis in the responder's loop: when hiredis may read and write. In the
 * place of hiredis' own adapter for libevent, where each command puts up a watch for
 * writing, waits a turn of the loop for it, and takes it down: three system calls before
 * its bytes go out, and two more around the answer. Here all commands of a turn go out
 * together at its end, and writing is watched only while the socket takes no more.
 */
#include "lib/pool_redis.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <hiredis/async.h>
#include <stdlib.h>

struct watch {
	redisAsyncContext *ac;
	struct event readable;
	struct event writable; /* while connecting, and when the socket is full */
	struct event turn_ends;
	bool *ret_gone; /* set while bytes are written: hiredis may drop the connection */
};

static void
on_readable(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct watch *w = arg;

	redisAsyncHandleRead(w->ac);
}

static void
on_writable(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct watch *w = arg;
	bool gone = false;

	w->ret_gone = &gone;
	redisAsyncHandleWrite(w->ac);
	if (!gone)
		w->ret_gone = NULL;
}

static void
add_read(void *arg)
{
	struct watch *w = arg;

	event_add(&w->readable, NULL);
}

static void
del_read(void *arg)
{
	struct watch *w = arg;

	event_del(&w->readable);
}

/* From inside a write: not all of it went out. */
static void
add_write(void *arg)
{
	struct watch *w = arg;

	if (w->ret_gone != NULL || !(w->ac->c.flags & REDIS_CONNECTED))
		event_add(&w->writable, NULL);
	else
		event_active(&w->turn_ends, 0, 0);
}

static void
del_write(void *arg)
{
	struct watch *w = arg;

	event_del(&w->writable);
}

static void
cleanup(void *arg)
{
	struct watch *w = arg;

	if (w->ret_gone != NULL)
		*w->ret_gone = true;
	event_del(&w->readable);
	event_del(&w->writable);
	event_del(&w->turn_ends);
	free(w);
}

void
rpool_watch(redisAsyncContext *ac, struct event_base *base)
{
	struct watch *w = xcalloc(1, sizeof(*w));

	w->ac = ac;
	event_assign(&w->readable, base, ac->c.fd, EV_READ | EV_PERSIST, on_readable, w);
	event_assign(&w->writable, base, ac->c.fd, EV_WRITE, on_writable, w);
	event_assign(&w->turn_ends, base, -1, 0, on_writable, w);
	ac->ev.data = w;
	ac->ev.addRead = add_read;
	ac->ev.delRead = del_read;
	ac->ev.addWrite = add_write;
	ac->ev.delWrite = del_write;
	ac->ev.cleanup = cleanup;
	event_add(&w->readable, NULL);
	event_add(&w->writable, NULL);
}
