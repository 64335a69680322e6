/* SPDX-License-Identifier: MIT
 *
 * The configuration that this worker knows, and getting a newer one. The pool's
 * version says that there is one: it comes with every pick, and is looked at before
 * anything is refused and on a timer. An exchange that needs the newer one waits for
 * it here; with LMDB that takes no time, with Redis one round trip, or longer where
 * Redis is away just now.
 */
#include "fcgi-app/responder.h"
#include "lib/clock.h"
#include "lib/log.h"

/* How long an exchange waits at most. */
#define WAIT_US INT64_C(2000000)

static void
take(struct worker *w, struct str text, uint64_t version)
{
	struct errinfo info = {""};
	struct snapshot *s = NULL;
	enum err e = snapshot_parse(text, &s, &info);

	if (e != ERR_OK) {
		log_error("configuration version %llu cannot be loaded: %s",
			  (unsigned long long)version, err_text(&info, e));
		w->config_unreadable = version;
		return;
	}
	s->version = version;
	snapshot_unref(w->snapshot);
	w->snapshot = s;
	log_debug("configuration version %llu is in force", (unsigned long long)version);
}

static bool
is_known(const struct worker *w, uint64_t version)
{
	return version <= MAX(w->snapshot->version, w->config_unreadable);
}

/* Those whose configuration is there or of no use go on, as do those who waited too long,
 * or all. */
static void
release(struct worker *w, bool all)
{
	int64_t before = clock_mono_us() - WAIT_US;
	struct exchange_list ready = TAILQ_HEAD_INITIALIZER(ready);
	struct exchange *x = TAILQ_FIRST(&w->awaiting);

	while (x != NULL) {
		struct exchange *next = TAILQ_NEXT(x, await_link);

		if (all || is_known(w, x->awaits_version) || x->awaits_since_us < before) {
			TAILQ_REMOVE(&w->awaiting, x, await_link);
			TAILQ_INSERT_TAIL(&ready, x, await_link);
		}
		x = next;
	}
	/* They may come to wait again. */
	while ((x = TAILQ_FIRST(&ready)) != NULL) {
		TAILQ_REMOVE(&ready, x, await_link);
		x->on_config(x, x->awaits_version <= w->snapshot->version);
	}
}

static void
on_snapshot(void *arg, enum err e, struct str text, uint64_t version)
{
	struct worker *w = arg;

	w->asks_config = false;
	if (e == ERR_OK && (w->snapshot == NULL || version > w->snapshot->version))
		take(w, text, version);
	else if (e != ERR_OK)
		log_warn("the configuration cannot be read: %s", err_message(e));
	release(w, false);
}

/* A pool that is away is asked again when it is back. */
static void
ask(struct worker *w)
{
	struct pool_away away = {.away = false};

	pool_away(w->pool, &away);
	if (w->asks_config || away.away)
		return;
	w->asks_config = true;
	pool_snapshot_ask(w->pool, on_snapshot, w);
}

uint64_t
config_newest(struct worker *w)
{
	uint64_t version;

	return pool_version(w->pool, &version) == ERR_OK ? version : 0;
}

bool
config_waits(struct exchange *x, uint64_t version, void (*fn)(struct exchange *x, bool there))
{
	struct worker *w = x->w;

	if (x->config_failed || version <= x->snapshot->version || version <= w->config_unreadable)
		return false;
	x->waits = true;
	x->awaits_version = version;
	x->awaits_since_us = clock_mono_us();
	x->on_config = fn;
	TAILQ_INSERT_TAIL(&w->awaiting, x, await_link);
	if (is_known(w, version))
		release(w, false);
	else
		ask(w);
	return true;
}

void
config_take(struct exchange *x)
{
	/* What a failed try has left borrows from the snapshot that goes. */
	row_keep(x);
	try_clear(x);
	x->model = (struct str){NULL, 0};
	snapshot_unref(x->snapshot);
	x->snapshot = snapshot_ref(x->w->snapshot);
	x->named = NULL;
	x->group = NULL;
	x->prepared_for = NULL;
	x->member_flags = NULL;
	x->n_tried_upstreams = 0;
}

void
config_tick(struct worker *w)
{
	release(w, false);
	if (!TAILQ_EMPTY(&w->awaiting) || !is_known(w, config_newest(w)))
		ask(w);
}

void
config_load(struct worker *w)
{
	ask(w);
}

void
config_close(struct worker *w)
{
	if (w->snapshot != NULL)
		release(w, true);
}
