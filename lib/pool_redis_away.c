/* SPDX-License-Identifier: MIT
 *
 * The responder's hot path while Redis is away: it does not answer, or it answers and
 * has lost what the pool was. Picks are answered out of what this worker knows
 * (localpool.c). Where that is nothing, or nothing new, they wait for the jobs thread
 * to bring the group's keys from the DB. Reports are kept, and said when it is back;
 * so are those that a Redis that answers refuses, because its disk is full or its
 * replicas are too few: it is asked whether it takes a write, and only then told.
 *
 *	loop: pick ─▶ wants ─▶ jobs thread: DB ─▶ given, eventfd ─▶ loop: answers
 */
#include "lib/pool_redis.h"
#include "lib/clock.h"
#include "lib/localpool.h"
#include "lib/str.h"

#include <event2/event.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

/* How long a pick waits for keys, and how old they may get while Redis is away. */
#define PARKED_US INT64_C(2000000)
#define FRESH_US  INT64_C(10000000)
/* The DB did not have them: not asked for again so soon. */
#define NOT_GIVEN_US INT64_C(1000000)
#define WANTED_MAX   64
/* Groups that lost keys while Redis was away; beyond that, all are forgotten. */
#define GONE_MAX 16
/* A report that is refused so often while others are taken is given up. */
#define REFUSED_MAX 3

struct kept_report {
	TAILQ_ENTRY(kept_report) link;
	struct redis_away *away;
	struct report r; /* its text is `error` */
	bool proven;     /* was said last to a server that takes writes */
	int refused;     /* how often by such a one */
	char error[POOL_ERROR_TEXT];
};

/* A pick that waits for keys. */
struct parked {
	TAILQ_ENTRY(parked) link;
	int64_t until_us;
	pick_fn fn;
	void *arg;
	struct pick_query q; /* not_these is `ids` */
	int64_t ids[];
};

/* Keys on their way from the jobs thread. */
struct given {
	STAILQ_ENTRY(given) link;
	int64_t group_id;
	enum err err;
	struct pool_key *keys; /* their texts are `text` */
	size_t n;
	char *text;
};

struct redis_away {
	struct pool_redis *p;
	struct localpool *local;
	atomic_bool away;
	bool closed;
	bool asks; /* whether a write is taken */
	int64_t gone[GONE_MAX];
	size_t n_gone;
	bool all_gone;
	int64_t since_us;     /* mono */
	int64_t not_given_us; /* mono; when the DB had no keys for us */
	TAILQ_HEAD(, parked) parked;
	TAILQ_HEAD(, kept_report) kept;
	_Atomic uint64_t n_kept;
	_Atomic uint64_t n_lost;
	void (*on_want)(void *arg);
	void *on_want_arg;
	int fd; /* eventfd: `given` is not empty */
	struct event *ready;
	pthread_mutex_t lock; /* of what follows */
	int64_t wanted[WANTED_MAX];
	size_t n_wanted;
	STAILQ_HEAD(, given) given;
};

bool
rpool_is_away(const struct redis_away *a)
{
	return atomic_load_explicit(&a->away, memory_order_relaxed);
}

/* --- picks --- */

static void
want(struct redis_away *a, int64_t group_id)
{
	bool there = false;

	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < a->n_wanted; i++)
		there |= a->wanted[i] == group_id;
	if (!there && a->n_wanted < WANTED_MAX)
		a->wanted[a->n_wanted++] = group_id;
	pthread_mutex_unlock(&a->lock);
	if (!there && a->on_want != NULL)
		a->on_want(a->on_want_arg);
}

static bool
is_among(const struct pick_query *q, int64_t id)
{
	for (size_t i = 0; i < q->n_not_these; i++)
		if (q->not_these[i] == id)
			return true;
	return false;
}

static void
answer(struct redis_away *a, const struct pick_query *q, pick_fn fn, void *arg)
{
	struct pick pick = {0};
	enum err e = ERR_POOL;

	if (!a->closed && localpool_knows(a->local, q->group_id))
		e = localpool_pick(a->local, q, &pick);
	pick.version = atomic_load(&a->p->version);
	fn(arg, e, &pick);
}

static void
park(struct redis_away *a, const struct pick_query *q, pick_fn fn, void *arg)
{
	struct parked *w = xmalloc(sizeof(*w) + q->n_not_these * sizeof(w->ids[0]));

	*w = (struct parked){.until_us = clock_mono_us() + PARKED_US, .fn = fn, .arg = arg};
	if (q->n_not_these > 0)
		memcpy(w->ids, q->not_these, q->n_not_these * sizeof(w->ids[0]));
	w->q = (struct pick_query){
	    .group_id = q->group_id, .not_these = w->ids, .n_not_these = q->n_not_these};
	TAILQ_INSERT_TAIL(&a->parked, w, link);
}

static void
unpark(struct redis_away *a, struct parked *w)
{
	TAILQ_REMOVE(&a->parked, w, link);
	answer(a, &w->q, w->fn, w->arg);
	free(w);
}

void
rpool_away_pick(struct redis_away *a, const struct pick_query *q, pick_fn fn, void *arg)
{
	int64_t now = clock_mono_us();
	bool asks = !a->closed && now - a->not_given_us >= NOT_GIVEN_US;
	struct pick pick = {0};
	enum err e;

	if (asks && localpool_is_stale(a->local, q->group_id, MAX(a->since_us, now - FRESH_US)))
		want(a, q->group_id);
	/* With all keys of the group known, that none may be used is the answer. */
	if (!asks || !localpool_is_stale(a->local, q->group_id, a->since_us)) {
		answer(a, q, fn, arg);
		return;
	}
	e = localpool_pick(a->local, q, &pick);
	if (e == ERR_OK && !is_among(q, pick.key_id)) {
		pick.version = atomic_load(&a->p->version);
		fn(arg, e, &pick);
	} else {
		park(a, q, fn, arg);
	}
}

uint64_t
rpool_away_turn(struct redis_away *a, int64_t group_id)
{
	return localpool_turn(a->local, group_id);
}

void
rpool_away_learn(struct redis_away *a, int64_t group_id, const struct pick *p)
{
	localpool_learn(a->local, group_id, p);
}

/* What is remembered serves as long as Redis is away, then it goes. */
static void
forget_later(struct redis_away *a, int64_t group_id)
{
	for (size_t i = 0; i < a->n_gone; i++)
		if (a->gone[i] == group_id)
			return;
	if (group_id == 0 || a->n_gone == ARRAY_LEN(a->gone))
		a->all_gone = true;
	else
		a->gone[a->n_gone++] = group_id;
}

static void
forget_now(struct redis_away *a)
{
	if (a->all_gone)
		localpool_forget(a->local, 0);
	for (size_t i = 0; i < a->n_gone; i++)
		localpool_forget(a->local, a->gone[i]);
	a->all_gone = false;
	a->n_gone = 0;
}

void
rpool_away_forget(struct redis_away *a, int64_t group_id)
{
	if (rpool_is_away(a))
		forget_later(a, group_id);
	else
		localpool_forget(a->local, group_id);
}

/* --- reports --- */

struct kept_report *
rpool_away_note(struct redis_away *a, const struct report *r, enum pool_move *ret_move,
		uint32_t *ret_fails)
{
	struct str error = utf8_cut(r->error, POOL_ERROR_TEXT - 1);
	struct report copy = *r;
	bool changed = localpool_report(a->local, &copy, ret_move, ret_fails);
	struct kept_report *k;

	if (r->verdict == VERDICT_OK && !changed)
		return NULL;
	k = xmalloc(sizeof(*k));
	*k = (struct kept_report){.away = a, .r = copy};
	if (error.n > 0)
		memcpy(k->error, error.p, error.n);
	k->r.error = (struct str){k->error, error.n};
	return k;
}

void
rpool_away_drop(struct kept_report *k)
{
	free(k);
}

void
rpool_away_keep(struct redis_away *a, struct kept_report *k)
{
	if (k == NULL)
		return;
	if (a->n_kept >= LIMIT_LOCAL_REPORTS) {
		struct kept_report *oldest = TAILQ_FIRST(&a->kept);

		TAILQ_REMOVE(&a->kept, oldest, link);
		free(oldest);
		a->n_kept--;
		a->n_lost++;
	}
	TAILQ_INSERT_TAIL(&a->kept, k, link);
	a->n_kept++;
}

bool
rpool_away_keeps(const struct redis_away *a)
{
	return a->n_kept > 0;
}

static void
on_said(void *arg, enum err e, const redisReply *r UNUSED)
{
	struct kept_report *k = arg;
	struct redis_away *a = k->away;

	if (e != ERR_POOL || a->closed) {
		free(k);
		return;
	}
	/* A connection that was lost refuses nothing. */
	if (k->proven && !rpool_is_away(a) && ++k->refused == REFUSED_MAX) {
		a->n_lost++;
		free(k);
		return;
	}
	rpool_away_keep(a, k);
}

/* What was kept while a command fails goes behind the others: as many as there are
 * now are said. */
static void
say_kept(struct redis_away *a, bool proven)
{
	int64_t now_ms = clock_wall_ms();

	for (uint64_t n = a->n_kept; n > 0 && !TAILQ_EMPTY(&a->kept); n--) {
		struct kept_report *k = TAILQ_FIRST(&a->kept);
		struct buf cmd;

		TAILQ_REMOVE(&a->kept, k, link);
		a->n_kept--;
		if (k->r.verdict == VERDICT_LIMITED && k->r.rest_until_ms <= now_ms) {
			free(k); /* that rest is over */
			continue;
		}
		k->proven = proven;
		rpool_report_cmd(a->p, &k->r, &cmd);
		rpool_loop_say(a->p->loop, SCRIPT_REPORT, &cmd, REDIS_REPLY_ARRAY, on_said, k);
	}
}

static void
on_writes(void *arg, enum err e, const redisReply *r UNUSED)
{
	struct redis_away *a = arg;

	a->asks = false;
	if (e != ERR_POOL && !a->closed && !rpool_is_away(a))
		say_kept(a, e == ERR_OK);
}

/* By a write that changes nothing, so that no report need be refused again. */
static void
ask_whether_it_writes(struct redis_away *a)
{
	struct buf cmd;

	if (a->asks || a->closed || rpool_is_away(a) || a->n_kept == 0)
		return;
	a->asks = true;
	buf_init(&cmd, 64);
	rpool_cmd(&cmd, 2);
	rpool_arg(&cmd, STR("DEL"));
	rpool_arg(&cmd, STR("gptl:none"));
	rpool_loop_say(a->p->loop, SCRIPT__MAX, &cmd, REDIS_REPLY_INTEGER, on_writes, a);
}

/* --- away and back --- */

void
rpool_away_begin(struct redis_away *a)
{
	if (rpool_is_away(a))
		return;
	a->since_us = clock_mono_us();
	a->not_given_us = 0;
	atomic_store(&a->away, true);
}

void
rpool_away_end(struct redis_away *a)
{
	struct parked *w;

	if (!rpool_is_away(a))
		return;
	atomic_store(&a->away, false);
	forget_now(a);
	say_kept(a, false);
	/* Whoever still waits can have a key of Redis now. */
	while ((w = TAILQ_FIRST(&a->parked)) != NULL) {
		TAILQ_REMOVE(&a->parked, w, link);
		rpool_pick(&a->p->pool, &w->q, w->fn, w->arg);
		free(w);
	}
}

void
rpool_away_tick(struct redis_away *a)
{
	int64_t now = clock_mono_us();
	struct parked *w;

	while ((w = TAILQ_FIRST(&a->parked)) != NULL && w->until_us <= now)
		unpark(a, w);
	ask_whether_it_writes(a);
}

/* --- keys from the DB --- */

static void
free_given(struct given *g)
{
	free(g->keys);
	free(g->text);
	free(g);
}

static struct given *
take_given(struct redis_away *a)
{
	struct given *g;

	pthread_mutex_lock(&a->lock);
	g = STAILQ_FIRST(&a->given);
	if (g != NULL)
		STAILQ_REMOVE_HEAD(&a->given, link);
	pthread_mutex_unlock(&a->lock);
	return g;
}

/* Those who waited for this group have what there is. */
static void
release(struct redis_away *a, int64_t group_id)
{
	struct parked *w = TAILQ_FIRST(&a->parked);

	while (w != NULL) {
		struct parked *next = TAILQ_NEXT(w, link);

		if (w->q.group_id == group_id) {
			unpark(a, w);
			next = TAILQ_FIRST(&a->parked); /* it may have parked again */
		}
		w = next;
	}
}

static void
on_given(evutil_socket_t fd, short what UNUSED, void *arg)
{
	struct redis_away *a = arg;
	struct given *g;
	uint64_t n;

	if (read((int)fd, &n, sizeof(n)) < 0)
		return;
	while ((g = take_given(a)) != NULL) {
		if (g->err == ERR_OK)
			localpool_load(a->local, g->group_id, g->keys, g->n);
		else
			a->not_given_us = clock_mono_us();
		release(a, g->group_id);
		free_given(g);
	}
}

bool
rpool_wants_keys(struct pool *pool, int64_t *ret_group)
{
	struct redis_away *a = redis_of(pool)->away;
	bool wanted;

	if (a == NULL)
		return false;
	pthread_mutex_lock(&a->lock);
	wanted = a->n_wanted > 0;
	if (wanted)
		*ret_group = a->wanted[--a->n_wanted];
	pthread_mutex_unlock(&a->lock);
	return wanted;
}

static struct given *
copy_given(int64_t group_id, const struct pool_key *keys, size_t n, enum err e)
{
	struct given *g = xcalloc(1, sizeof(*g));
	size_t bytes = 0;
	char *at;

	*g = (struct given){.group_id = group_id, .err = e, .n = n};
	for (size_t i = 0; i < n; i++)
		bytes += keys[i].stored.n;
	g->keys = xcalloc(n + 1, sizeof(*keys));
	g->text = at = xmalloc(bytes + 1);
	for (size_t i = 0; i < n; i++) {
		g->keys[i] = keys[i];
		g->keys[i].stored.p = at;
		memcpy(at, keys[i].stored.p, keys[i].stored.n);
		at += keys[i].stored.n;
	}
	return g;
}

void
rpool_give_keys(struct pool *pool, int64_t group_id, const struct pool_key *keys, size_t n,
		enum err e)
{
	struct redis_away *a = redis_of(pool)->away;
	struct given *g = copy_given(group_id, keys, n, e);
	const uint64_t one = 1;

	pthread_mutex_lock(&a->lock);
	STAILQ_INSERT_TAIL(&a->given, g, link);
	pthread_mutex_unlock(&a->lock);
	check(write(a->fd, &one, sizeof(one)) == sizeof(one));
}

void
rpool_on_want(struct pool *pool, void (*fn)(void *arg), void *arg)
{
	struct redis_away *a = redis_of(pool)->away;

	a->on_want = fn;
	a->on_want_arg = arg;
}

/* --- the whole --- */

void
rpool_away(struct pool *pool, struct pool_away *ret)
{
	const struct redis_away *a = redis_of(pool)->away;

	if (a == NULL)
		return;
	ret->away = rpool_is_away(a);
	ret->waiting = a->n_kept;
	ret->lost = a->n_lost;
}

struct redis_away *
rpool_away_new(struct pool_redis *p, struct event_base *base)
{
	struct redis_away *a = xcalloc(1, sizeof(*a));

	a->p = p;
	a->local = localpool_new();
	TAILQ_INIT(&a->parked);
	TAILQ_INIT(&a->kept);
	STAILQ_INIT(&a->given);
	pthread_mutex_init(&a->lock, NULL);
	a->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	check(a->fd >= 0);
	a->ready = event_new(base, a->fd, EV_READ | EV_PERSIST, on_given, a);
	check(a->ready != NULL && event_add(a->ready, NULL) == 0);
	return a;
}

void
rpool_away_close(struct redis_away *a)
{
	struct parked *w;

	/* The loop's last words. */
	if (!rpool_is_away(a))
		say_kept(a, false);
	a->closed = true;
	while ((w = TAILQ_FIRST(&a->parked)) != NULL)
		unpark(a, w);
}

void
rpool_away_free(struct redis_away *a)
{
	struct kept_report *k;
	struct given *g;

	if (a == NULL)
		return;
	while ((k = TAILQ_FIRST(&a->kept)) != NULL) {
		TAILQ_REMOVE(&a->kept, k, link);
		free(k);
	}
	while ((g = take_given(a)) != NULL)
		free_given(g);
	event_free(a->ready);
	(void)close(a->fd);
	pthread_mutex_destroy(&a->lock);
	localpool_free(a->local);
	free(a);
}
