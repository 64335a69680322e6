/* SPDX-License-Identifier: MIT
 *
 * Whose turn it is: the member of an aggregate, then the key of its group. What the
 * pool says of them comes with the version of the configuration that it belongs to;
 * an exchange that knows an older one waits, and begins again with the newer.
 */
#include "fcgi-app/responder.h"
#include "lib/clock.h"

/* Bits of member_flags. */
#define MEMBER_FAILED 1 /* a try of this exchange failed there */
#define MEMBER_EMPTY  2 /* has no key, or no upstream, to offer in this round */

static void pick(struct exchange *x);
static void begin_again(struct exchange *x, bool there);

/* Seconds until a wall-clock time, for Retry-After: at least one. */
static int
seconds_until(int64_t us)
{
	return (int)MAX((us + 999999) / 1000000, 1);
}

static void
out_of_keys(struct exchange *x, enum err last)
{
	if (x->rest_end_ms > 0)
		exchange_refuse(x, ERR_ALL_RESTING, err_message(ERR_ALL_RESTING),
				seconds_until((x->rest_end_ms - clock_wall_ms()) * 1000));
	else if (x->breaker_opens_us > 0)
		exchange_refuse(x, ERR_UPSTREAM_RESTING, err_message(ERR_UPSTREAM_RESTING),
				seconds_until(x->breaker_opens_us - clock_mono_us()));
	else
		exchange_refuse(x, last, err_message(last), last == ERR_NO_KEYS ? 10 : 1);
}

/* The member whose turn it is, or the next that may still have something: first
 * those where nothing has failed yet. */
static bool
choose_member(struct exchange *x, uint64_t turn)
{
	const struct group *g = x->named;

	for (int pass = 0; pass < 2; pass++) {
		uint8_t avoid = pass == 0 ? MEMBER_FAILED | MEMBER_EMPTY : MEMBER_EMPTY;

		for (size_t i = 0; i < g->n_member_turns; i++) {
			size_t m = turns_index(g->member_turns, g->n_member_turns, turn + i);

			if (x->member_flags[m] & avoid)
				continue;
			x->member = m;
			x->group = g->members[m].group;
			return true;
		}
	}
	return false;
}

/* Nothing was picked that would have told the version: the members may have come since. */
static void
no_member(struct exchange *x)
{
	if (!config_waits(x, config_newest(x->w), begin_again))
		out_of_keys(x, ERR_NO_KEYS);
}

static void
on_turn(void *arg, enum err e, uint64_t turn)
{
	struct exchange *x = arg;

	if (!exchange_waited(x))
		return;
	if (e != ERR_OK)
		exchange_refuse(x, e, err_message(e), 1);
	else if (!choose_member(x, turn))
		no_member(x);
	else
		pick(x);
}

/* This group has nothing to offer now: another member may. */
static void
nothing_here(struct exchange *x, enum err e)
{
	if (!x->named->aggregate) {
		out_of_keys(x, e);
		return;
	}
	x->member_flags[x->member] |= MEMBER_EMPTY;
	x->waits = true;
	pool_turn(x->w->pool, x->named->id, on_turn, x);
}

/* A newer configuration is in force: begins again with it, key and group included.
 * Where it cannot be had, goes on with the old one. */
static void
begin_again(struct exchange *x, bool there)
{
	struct errinfo info = {""};
	enum err e;

	if (!exchange_waited(x))
		return;
	x->config_failed = !there;
	if (!there) {
		if (x->group != NULL)
			pick(x);
		else
			out_of_keys(x, ERR_NO_KEYS);
		return;
	}
	config_take(x);
	exchange_set_state(x, EX_ROUTED);
	e = route(x, &info);
	if (e != ERR_OK)
		exchange_refuse(x, e, err_text(&info, e), err_status(e) == 503 ? 1 : 0);
	else
		pick_next(x);
}

static void
on_pick(void *arg, enum err e, const struct pick *p)
{
	struct exchange *x = arg;

	if (!exchange_waited(x))
		return;
	if ((e == ERR_OK || e == ERR_NO_KEYS || e == ERR_ALL_RESTING) &&
	    config_waits(x, p->version, begin_again))
		return;
	if (e == ERR_ALL_RESTING && (x->rest_end_ms == 0 || p->rest_end_ms < x->rest_end_ms))
		x->rest_end_ms = p->rest_end_ms;
	if (e == ERR_OK)
		try_begin(x, p);
	else if (e == ERR_NO_KEYS || e == ERR_ALL_RESTING)
		nothing_here(x, e);
	else
		exchange_refuse(x, e, err_message(e), 1);
}

static void
pick(struct exchange *x)
{
	struct pick_query q = {
	    .group_id = x->group->id, .not_these = x->tried_keys, .n_not_these = x->n_tried_keys};
	struct errinfo info = {""};
	enum err e = body_prepare(x, &info);

	if (e != ERR_OK) {
		exchange_refuse(x, e, err_text(&info, e), 0);
		return;
	}
	x->waits = true;
	pool_pick(x->w->pool, &q, on_pick, x);
}

void
pick_next(struct exchange *x)
{
	const struct group *g = x->named;

	exchange_set_state(x, EX_PICKING);
	x->rest_end_ms = 0;
	x->breaker_opens_us = 0;
	if (!g->aggregate) {
		pick(x);
		return;
	}
	/* The member of a try before belongs to the flags that there were. */
	if (x->member_flags == NULL)
		x->member_flags = arena_zalloc(x->arena, g->n_members + 1);
	else if (x->attempt > 0)
		x->member_flags[x->member] |= MEMBER_FAILED;
	for (size_t i = 0; i < g->n_members; i++)
		x->member_flags[i] &= (uint8_t)~MEMBER_EMPTY;
	x->waits = true;
	pool_turn(x->w->pool, g->id, on_turn, x);
}

void
pick_elsewhere(struct exchange *x)
{
	nothing_here(x, ERR_UPSTREAM_RESTING);
}
