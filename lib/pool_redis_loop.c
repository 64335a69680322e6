/* SPDX-License-Identifier: MIT
 *
 * The Redis store in the responder's loop: an asynchronous connection for commands,
 * and one that hears of new versions of the configuration. Nothing here waits, and
 * nothing resolves a name.
 *
 * A connection that is lost, or whose oldest command is not answered in time, is
 * dropped: whoever waits gets ERR_POOL, Redis is away (pool_redis_away.c), and a new
 * one is tried, at once and then with growing pauses. Being connected says little, since the kernel
 * also connects to a server that hangs: only when it has answered that the pool is whole it is
 * back.
 */
#include "lib/pool_redis.h"
#include "lib/clock.h"
#include "lib/str.h"

#include <event2/event.h>
#include <hiredis/async.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

#define PAUSE_MIN_MS  50
#define PAUSE_MAX_MS  1000
#define LAST_WORDS_MS 1000

/* A command that is under way. */
struct waiting {
	TAILQ_ENTRY(waiting) link;
	struct redis_loop *loop;
	enum script script; /* SCRIPT__MAX: none */
	struct buf cmd;
	int type;
	loop_fn fn;
	void *arg;
	int64_t until_us;
	bool again; /* its script was loaded once more */
};

/* One of the two connections. */
struct link {
	redisAsyncContext *ac; /* NULL: not connected */
	int64_t next_us;       /* when it is tried again */
	int pause_ms;
};

struct redis_loop {
	struct pool_redis *p;
	struct event_base *base;
	struct event *tick;
	struct link commands;
	struct link news;
	char channel[32];
	char address[sizeof(((struct pool_redis *)0)->address)];
	TAILQ_HEAD(, waiting) waiting; /* oldest first */
	bool asks_version;
	bool probes;
	bool hears; /* has subscribed once */
	bool closing;
};

/* Monotonic, and not of lib/clock.h: the loop must go on where a test has stopped that. */
static int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* --- the connections --- */

static struct link *
link_of(struct redis_loop *l, const redisAsyncContext *ac)
{
	if (l->commands.ac == ac)
		return &l->commands;
	return l->news.ac == ac ? &l->news : NULL;
}

/* hiredis frees the context itself. */
static void
lost(const redisAsyncContext *ac)
{
	struct redis_loop *l = ac->data;
	struct link *k = link_of(l, ac);

	if (k == NULL)
		return;
	k->ac = NULL;
	k->next_us = now_us() + k->pause_ms * INT64_C(1000);
	k->pause_ms = k->pause_ms == 0 ? PAUSE_MIN_MS : MIN(2 * k->pause_ms, PAUSE_MAX_MS);
	if (k == &l->commands) {
		atomic_store(&l->p->unreachable, true);
		rpool_away_begin(l->p->away);
	}
}

static void
on_disconnect(const redisAsyncContext *ac, int status UNUSED)
{
	lost(ac);
}

static void
on_connect(const redisAsyncContext *ac, int status)
{
	if (status != REDIS_OK)
		lost(ac);
}

static void
drop(struct link *k)
{
	redisAsyncContext *ac = k->ac;

	if (ac == NULL)
		return;
	lost(ac);
	redisAsyncFree(ac);
}

/* Of AUTH and SELECT. */
static void
on_signed_in(redisAsyncContext *ac, void *reply, void *arg UNUSED)
{
	struct redis_loop *l = ac->data;
	struct link *k = link_of(l, ac);

	if (reply == NULL)
		lost(ac);
	else if (((redisReply *)reply)->type == REDIS_REPLY_ERROR && k != NULL)
		drop(k);
}

static void
sign_in(struct redis_loop *l, redisAsyncContext *ac)
{
	const struct redis_dsn *d = &l->p->dsn;

	if (d->password != NULL && d->user != NULL)
		(void)redisAsyncCommand(ac, on_signed_in, NULL, "AUTH %s %s", d->user, d->password);
	else if (d->password != NULL)
		(void)redisAsyncCommand(ac, on_signed_in, NULL, "AUTH %s", d->password);
	if (d->db != 0)
		(void)redisAsyncCommand(ac, on_signed_in, NULL, "select %d", d->db);
}

static bool
connect_link(struct redis_loop *l, struct link *k)
{
	struct pool_redis *p = l->p;
	redisAsyncContext *ac;

	if (p->dsn.host != NULL) {
		pthread_mutex_lock(&p->address_lock);
		memcpy(l->address, p->address, sizeof(l->address));
		pthread_mutex_unlock(&p->address_lock);
		ac = redisAsyncConnect(l->address, p->dsn.port);
	} else {
		ac = redisAsyncConnectUnix(p->dsn.path);
	}
	check(ac != NULL);
	ac->data = l;
	k->ac = ac;
	if (ac->err != 0) {
		drop(k);
		return false;
	}
	rpool_watch(ac, l->base);
	if (p->dsn.host != NULL)
		(void)redisEnableKeepAlive(&ac->c);
	(void)redisAsyncSetConnectCallback(ac, on_connect);
	(void)redisAsyncSetDisconnectCallback(ac, on_disconnect);
	sign_in(l, ac);
	return true;
}

/* --- the version --- */

/* A version, or '-' and a group that lost keys. */
static void
take_news(struct redis_loop *l, struct str text)
{
	int64_t n;

	if (str_starts(text, "-") && str_to_i64(str_from(text, 1), 1, INT64_MAX, &n))
		rpool_away_forget(l->p->away, n);
	else if (str_to_i64(text, 0, INT64_MAX, &n))
		rpool_saw_version(l->p, (uint64_t)n);
}

/* Not for the first time: something may have been missed. */
static void
subscribed(struct redis_loop *l)
{
	if (l->hears)
		rpool_away_forget(l->p->away, 0);
	l->hears = true;
}

static void
on_news(redisAsyncContext *ac, void *reply, void *arg UNUSED)
{
	struct redis_loop *l = ac->data;
	const redisReply *r = reply;

	if (r == NULL) {
		lost(ac);
	} else if (r->type == REDIS_REPLY_ARRAY && r->elements == 3) {
		l->news.pause_ms = 0;
		if (str_is(rpool_text(r->element[0]), "message"))
			take_news(l, rpool_text(r->element[2]));
		else
			subscribed(l);
	}
}

void
rpool_loop_listen(struct redis_loop *l)
{
	if (l->news.ac != NULL)
		redisAsyncHandleRead(l->news.ac);
}

static void
on_version(void *arg, enum err e, const redisReply *r)
{
	struct redis_loop *l = arg;

	l->asks_version = false;
	if (e == ERR_OK && r->elements == 1)
		rpool_saw_version(l->p, rpool_number(r->element[0]));
}

/* --- commands --- */

static void
end_waiting(struct waiting *w, const redisReply *r)
{
	struct redis_loop *l = w->loop;
	enum err e = rpool_reply_err(r, w->type);

	TAILQ_REMOVE(&l->waiting, w, link);
	w->fn(w->arg, e, e == ERR_OK ? r : NULL);
	buf_done(&w->cmd);
	free(w);
}

static void on_reply(redisAsyncContext *ac, void *reply, void *arg);

static bool
send_waiting(struct waiting *w, redisAsyncContext *ac)
{
	return redisAsyncFormattedCommand(ac, on_reply, w, w->cmd.p, w->cmd.n) == REDIS_OK;
}

static bool
load_and_send(struct waiting *w, redisAsyncContext *ac)
{
	struct buf load;
	bool ok;

	w->again = true;
	rpool_script_load(w->loop->p, w->script, &load);
	ok = redisAsyncFormattedCommand(ac, NULL, NULL, load.p, load.n) == REDIS_OK;
	buf_done(&load);
	return ok && send_waiting(w, ac);
}

static void
on_reply(redisAsyncContext *ac, void *reply, void *arg)
{
	struct waiting *w = arg;

	/* Before anybody hears of it and asks for the next. */
	if (reply == NULL)
		lost(ac);
	else
		w->loop->commands.pause_ms = 0;
	if (rpool_is_noscript(reply) && !w->again && load_and_send(w, ac))
		return;
	end_waiting(w, reply);
}

void
rpool_loop_say(struct redis_loop *l, enum script script, struct buf *cmd, int type, loop_fn fn,
	       void *arg)
{
	struct waiting *w = xcalloc(1, sizeof(*w));

	*w = (struct waiting){.loop = l,
			      .script = script,
			      .cmd = *cmd,
			      .type = type,
			      .fn = fn,
			      .arg = arg,
			      .until_us = now_us() + REDIS_AWAY_MS * INT64_C(1000)};
	TAILQ_INSERT_TAIL(&l->waiting, w, link);
	if (l->commands.ac == NULL || buf_err(&w->cmd) != ERR_OK ||
	    !send_waiting(w, l->commands.ac))
		end_waiting(w, NULL);
}

/* An error is left to the loop, where the connection may be dropped. */
void
rpool_loop_push(struct redis_loop *l)
{
	redisAsyncContext *ac = l->commands.ac;
	int done = 0;

	if (ac != NULL && (ac->c.flags & REDIS_CONNECTED) && ac->err == 0)
		(void)!redisBufferWrite(&ac->c, &done);
}

/* --- back --- */

static void
on_probe(void *arg, enum err e, const redisReply *r)
{
	struct redis_loop *l = arg;

	l->probes = false;
	if (e != ERR_OK || r->elements != 1)
		return;
	atomic_store(&l->p->unreachable, false);
	if (rpool_number(r->element[0]) == 1)
		rpool_away_end(l->p->away);
}

/* Asks whether the pool is whole, to end the time away; again while it is not. */
static void
probe(struct redis_loop *l)
{
	struct buf cmd;

	if (l->probes || l->commands.ac == NULL || !rpool_is_away(l->p->away))
		return;
	l->probes = true;
	buf_init(&cmd, 128);
	rpool_cmd(&cmd, 3);
	rpool_arg(&cmd, STR("HMGET"));
	rpool_arg(&cmd, STR("gptl:id"));
	rpool_arg(&cmd, STR("complete"));
	rpool_loop_say(l, SCRIPT__MAX, &cmd, REDIS_REPLY_ARRAY, on_probe, l);
}

/* --- the timer --- */

static void
ask_version(struct redis_loop *l)
{
	struct buf cmd;

	if (l->asks_version || l->commands.ac == NULL || rpool_is_away(l->p->away))
		return;
	l->asks_version = true;
	buf_init(&cmd, 64);
	rpool_cmd(&cmd, 2);
	rpool_arg(&cmd, STR("MGET"));
	rpool_arg(&cmd, STR("gptl:version"));
	rpool_loop_say(l, SCRIPT__MAX, &cmd, REDIS_REPLY_ARRAY, on_version, l);
}

static void
connect_all(struct redis_loop *l)
{
	int64_t now = now_us();

	if (l->commands.ac == NULL && l->commands.next_us <= now)
		(void)connect_link(l, &l->commands);
	if (l->news.ac == NULL && l->news.next_us <= now && connect_link(l, &l->news))
		(void)redisAsyncCommand(l->news.ac, on_news, NULL, "SUBSCRIBE %s", l->channel);
}

static void
on_tick(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct redis_loop *l = arg;
	struct waiting *oldest = TAILQ_FIRST(&l->waiting);

	if (oldest != NULL && oldest->until_us < now_us())
		drop(&l->commands);
	connect_all(l);
	ask_version(l);
	probe(l);
	rpool_away_tick(l->p->away);
}

/* --- the whole --- */

struct redis_loop *
rpool_loop_new(struct pool_redis *p, struct event_base *base)
{
	static const struct timeval tick = {.tv_usec = REDIS_TICK_MS * INT64_C(1000)};
	struct redis_loop *l = xcalloc(1, sizeof(*l));

	l->p = p;
	l->base = base;
	TAILQ_INIT(&l->waiting);
	rpool_channel(p, l->channel, sizeof(l->channel));
	l->tick = event_new(base, -1, EV_PERSIST, on_tick, l);
	check(l->tick != NULL && event_add(l->tick, &tick) == 0);
	connect_all(l);
	ask_version(l);
	return l;
}

/* What was said without waiting, a failure of a key at least, shall arrive. */
static void
last_words(struct redis_loop *l)
{
	int64_t until = clock_mono_us() + LAST_WORDS_MS * INT64_C(1000);
	int rounds = LAST_WORDS_MS / 10;

	while (!TAILQ_EMPTY(&l->waiting) && l->commands.ac != NULL && rounds-- > 0 &&
	       clock_mono_us() < until) {
		redisContext *c = &l->commands.ac->c;
		struct pollfd fd = {.fd = c->fd, .events = POLLIN};

		if (!(c->flags & REDIS_CONNECTED))
			fd.events = POLLOUT;
		redisAsyncHandleWrite(l->commands.ac);
		if (l->commands.ac != NULL && poll(&fd, 1, 10) > 0)
			redisAsyncHandleRead(l->commands.ac);
	}
}

void
rpool_loop_free(struct redis_loop *l)
{
	if (l == NULL)
		return;
	l->closing = true;
	last_words(l);
	drop(&l->commands);
	drop(&l->news);
	event_free(l->tick);
	free(l);
}
