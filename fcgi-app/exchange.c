/* SPDX-License-Identifier: MIT
 *
 * One exchange: a client's request, the tries it takes, one answer. The states and
 * their moves are drawn in responder.h; this file holds the machine itself, picking,
 * the exchange's clock, and its ends. A try is in try.c.
 *
 * Every exchange ends in end(), called by: exchange_finish() once the client has
 * every byte, on_client() when it left, exchange_cut() and exchange_abort(). It may
 * be reached from inside a callback of the pool, so freeing waits for that.
 */
#include "fcgi-app/responder.h"
#include "lib/cgi.h"
#include "lib/clock.h"
#include "lib/log.h"

#include <stdlib.h>

/* Bits of member_flags. */
#define MEMBER_FAILED 1 /* a try of this exchange failed there */
#define MEMBER_EMPTY  2 /* has no key, or no upstream, to offer in this round */

static void pick(struct exchange *x);
static void begin_again(struct exchange *x, bool there);
static void on_timer(evutil_socket_t fd, short what, void *arg);

/* --- what is counted --- */

/* The try under way is over. */
static void
count_try(struct exchange *x)
{
	int64_t ended = x->call_ended_us != 0 ? x->call_ended_us : clock_mono_us();

	x->provider_us += ended - x->attempt_started_us;
	x->call_ended_us = 0;
}

/* Its answer is made; from here on only the client is waited for. */
static void
count_exchange(struct exchange *x)
{
	int64_t took = clock_mono_us() - x->started_us;

	if (x->stream_counted)
		gate_stream(x->w->gate, -1);
	counters_request(x->w->counters, x->named != NULL ? x->named->id : 0, x->status_out,
			 took - x->provider_us);
}

/* --- state --- */

void
exchange_set_state(struct exchange *x, enum exchange_state to)
{
	static const uint8_t allowed[] = {
	    [EX_ROUTED] = 1 << EX_PICKING | 1 << EX_DONE,
	    [EX_PICKING] = 1 << EX_ROUTED | 1 << EX_SENDING | 1 << EX_PICKING | 1 << EX_DONE,
	    [EX_SENDING] = 1 << EX_ANSWERING | 1 << EX_PICKING | 1 << EX_DONE,
	    [EX_ANSWERING] = 1 << EX_PICKING | 1 << EX_DONE,
	    [EX_DONE] = 0,
	};

	check(allowed[x->state] & 1 << to);
	if ((x->state == EX_SENDING || x->state == EX_ANSWERING) && to != EX_ANSWERING)
		count_try(x);
	if (to == EX_DONE)
		count_exchange(x);
	x->state = to;
}

/* --- the end --- */

static void
release(struct exchange *x)
{
	snapshot_unref(x->snapshot);
	request_free(x->req); /* and the exchange with it */
}

static void
end(struct exchange *x)
{
	struct worker *w = x->w;

	if (x->ended)
		return;
	x->ended = true;
	upstream_cancel(&x->call);
	if (x->breaker != NULL)
		breaker_released(x->breaker, x->probes);
	x->breaker = NULL;
	row_release(x, true);
	try_clear(x);
	event_del(&x->timer);
	client_close(&x->req->client);
	if (x->gate_held)
		gate_leave(w->gate);
	TAILQ_REMOVE(&w->exchanges, x, link);
	if (!x->waits)
		release(x);
	worker_exchange_ended(w);
}

void
exchange_finish(struct exchange *x)
{
	struct client *c = &x->req->client;

	exchange_set_state(x, EX_DONE);
	event_del(&x->timer);
	/* Before the client sees the end: what it may ask about is on disk then. */
	row_release(x, true);
	client_finish(c);
	if (c->gone || !client_is_full(c))
		end(x);
}

void
exchange_gone(struct exchange *x)
{
	if (x->state == EX_SENDING || x->state == EX_ANSWERING)
		row_hold(x, err_status(ERR_CLIENT_GONE), "client_gone",
			 STR("the client went away"));
	if (x->state != EX_DONE)
		x->status_out = err_status(ERR_CLIENT_GONE);
	if (x->state != EX_DONE)
		exchange_set_state(x, EX_DONE);
	end(x);
}

void
exchange_cut(struct exchange *x, const char *why)
{
	exchange_set_state(x, EX_DONE);
	if (x->sse_tracked && !x->req->client.gone) {
		answer_error_event(x, why);
		row_release(x, true);
		client_finish(&x->req->client);
		if (client_is_full(&x->req->client))
			return; /* ends when the client has taken it */
	}
	/* Without an end record, so that the web server breaks the connection off. */
	end(x);
}

static bool
own_error_is_logged(const struct exchange *x)
{
	return x->named != NULL && x->gate_held;
}

void
exchange_refuse(struct exchange *x, enum err e, const char *message, int retry_after_s)
{
	int status;

	/* A try failed before, and that there is no other key is not the news. */
	if (x->row_held && x->failed_as != ERR_OK && e != x->failed_as) {
		e = x->failed_as;
		message = err_message(e);
	}
	status = err_status(e);
	if (x->kept.status != 0) {
		/* The provider's own last words say more than ours. */
		answer_kept(x);
	} else {
		if (own_error_is_logged(x) && !x->row_held)
			row_hold(x, status, err_code(e), str_of(message));
		answer_error(x, e, message, retry_after_s);
		log_line(status >= 500 ? LOG_WARN : LOG_INFO, "request %s: %d %s: %s",
			 x->request_id, status, err_code(e), message);
	}
	exchange_finish(x);
}

void
exchange_abort(struct exchange *x, const char *why)
{
	if (x->state == EX_DONE) {
		end(x);
		return;
	}
	if (x->state == EX_SENDING || x->state == EX_ANSWERING) {
		upstream_cancel(&x->call);
		row_hold(x, err_status(ERR_BUSY), "shutdown", str_of(why));
	}
	if (x->passing) {
		exchange_cut(x, why);
		return;
	}
	client_take_back(&x->req->client);
	x->kept.status = 0;
	exchange_refuse(x, ERR_BUSY, why, 1);
}

/* --- the client --- */

static void
on_client(void *arg, enum client_event ev)
{
	struct exchange *x = arg;
	struct worker *w = x->w;

	if (ev == CLIENT_LEFT || x->state == EX_DONE) {
		exchange_gone(x);
	} else {
		x->last_byte_us = clock_mono_us();
		upstream_resume(&x->call);
		if (x->req->client.gone)
			exchange_gone(x);
	}
	upstreams_run(w->upstreams);
}

/* --- the clock --- */

static int64_t
request_deadline(const struct exchange *x)
{
	return x->started_us + (int64_t)x->group->opt.request_timeout_s * 1000000;
}

/* Until when the answer's headers must be there; while the request is still going
 * out, when to look again. */
static int64_t
headers_deadline(const struct exchange *x, bool *ret_final)
{
	int64_t timeout_us = (int64_t)x->group->opt.response_header_timeout_s * 1000000;
	int64_t sending_since;
	bool written;

	upstream_progress(&x->call, &written, &sending_since);
	*ret_final = written;
	if (!written)
		return clock_mono_us() + MIN(timeout_us, INT64_C(1000000));
	return x->attempt_started_us + sending_since + timeout_us;
}

static bool
bounded_as_stream(const struct exchange *x)
{
	return x->state == EX_ANSWERING && x->is_stream;
}

static bool
heartbeats(const struct exchange *x)
{
	return x->sse_tracked && x->group->opt.stream_heartbeat_s > 0 && x->passing &&
	       x->group->channel->heartbeat_allowed(x->upstream_path);
}

static int64_t
heartbeat_due(const struct exchange *x)
{
	return MAX(x->last_byte_us, x->last_heartbeat_us) +
	       (int64_t)x->group->opt.stream_heartbeat_s * 1000000;
}

static int64_t
idle_deadline(const struct exchange *x)
{
	return x->last_byte_us + (int64_t)x->group->opt.stream_idle_timeout_s * 1000000;
}

void
exchange_arm(struct exchange *x)
{
	int64_t due = INT64_MAX;
	bool final;

	if (!x->lasts || x->state == EX_DONE)
		return;
	if (bounded_as_stream(x)) {
		due = idle_deadline(x);
		if (heartbeats(x))
			due = MIN(due, heartbeat_due(x));
	} else if (x->group != NULL) {
		due = request_deadline(x);
		if (x->state == EX_SENDING)
			due = MIN(due, headers_deadline(x, &final));
	}
	if (due == INT64_MAX)
		return;
	due = MAX(due - clock_mono_us(), 0) + 1000;
	struct timeval tv = {.tv_sec = due / 1000000, .tv_usec = due % 1000000};

	event_add(&x->timer, &tv);
}

static enum overdue
what_is_overdue(const struct exchange *x)
{
	int64_t now = clock_mono_us();
	bool final;

	if (bounded_as_stream(x))
		return now >= idle_deadline(x) ? OVERDUE_STREAM : OVERDUE_NOT;
	if (x->group == NULL)
		return OVERDUE_NOT;
	if (now >= request_deadline(x))
		return OVERDUE_REQUEST;
	if (x->state == EX_SENDING && now >= headers_deadline(x, &final) && final)
		return OVERDUE_HEADERS;
	return OVERDUE_NOT;
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct exchange *x = arg;
	struct worker *w = x->w;

	(void)fd;
	(void)what;
	/* While the client does not read, the provider's silence is not its fault. */
	if (client_is_full(&x->req->client))
		x->last_byte_us = clock_mono_us();
	x->overdue = what_is_overdue(x);
	if (x->overdue != OVERDUE_NOT) {
		try_overdue(x);
		upstreams_run(w->upstreams);
		return;
	}
	if (bounded_as_stream(x) && heartbeats(x) && clock_mono_us() >= heartbeat_due(x)) {
		x->last_heartbeat_us = clock_mono_us();
		if (sse_between_events(&x->sse) && !client_is_full(&x->req->client)) {
			client_write(&x->req->client, STR(": heartbeat\n\n"));
			if (x->req->client.gone) {
				exchange_gone(x);
				return;
			}
		}
	}
	exchange_arm(x);
}

/* --- waiting --- */

/* What was waited for is there; false: in vain, since the exchange has ended. */
static bool
waited(struct exchange *x)
{
	x->waits = false;
	if (!x->ended)
		return true;
	release(x);
	return false;
}

/* For a newer configuration, if this is one: fn goes on. */
static bool
waits_for_config(struct exchange *x, uint64_t version, void (*fn)(struct exchange *x, bool there))
{
	if (x->config_failed || version <= x->snapshot->version ||
	    version <= x->w->config_unreadable)
		return false;
	x->waits = true;
	config_await(x, version, fn);
	return true;
}

static void
take_config(struct exchange *x)
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

/* --- picking --- */

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
	if (!waits_for_config(x, config_newest(x->w), begin_again))
		out_of_keys(x, ERR_NO_KEYS);
}

static void
on_turn(void *arg, enum err e, uint64_t turn)
{
	struct exchange *x = arg;

	if (!waited(x))
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

	if (!waited(x))
		return;
	x->config_failed = !there;
	if (!there) {
		if (x->group != NULL)
			pick(x);
		else
			out_of_keys(x, ERR_NO_KEYS);
		return;
	}
	take_config(x);
	exchange_set_state(x, EX_ROUTED);
	e = route(x, &info);
	if (e != ERR_OK)
		exchange_refuse(x, e, err_text(&info, e), err_status(e) == 503 ? 1 : 0);
	else
		exchange_next_try(x);
}

static void
on_pick(void *arg, enum err e, const struct pick *p)
{
	struct exchange *x = arg;

	if (!waited(x))
		return;
	if ((e == ERR_OK || e == ERR_NO_KEYS || e == ERR_ALL_RESTING) &&
	    waits_for_config(x, p->version, begin_again))
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
exchange_next_try(struct exchange *x)
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
exchange_upstreams_rest(struct exchange *x)
{
	nothing_here(x, ERR_UPSTREAM_RESTING);
}

/* --- the beginning --- */

static void begin(struct exchange *x);

static void
begin_with_config(struct exchange *x, bool there)
{
	if (!waited(x))
		return;
	x->config_failed = !there;
	take_config(x);
	begin(x);
}

/* Before anything is refused, what this worker knows is compared with what is in
 * force: the group or the key may be a moment old. *ret_waits: it comes back. */
static enum err
route_with_newest(struct exchange *x, struct errinfo *info, bool *ret_waits)
{
	enum err e = route(x, info);
	uint64_t newest;

	if (e != ERR_NOT_FOUND && e != ERR_UNAUTHORIZED)
		return e;
	newest = config_newest(x->w);
	*ret_waits = waits_for_config(x, newest, begin_with_config);
	if (!*ret_waits && newest > x->snapshot->version)
		return err_set(info, ERR_POOL, "a newer configuration cannot be read now");
	return e;
}

static void
begin(struct exchange *x)
{
	struct errinfo info = {""};
	enum err e = x->req->err;
	bool waits = false;

	if (e == ERR_OK && route_is_preflight(x)) {
		answer_preflight(x);
		exchange_finish(x);
		return;
	}
	if (e == ERR_OK && route_is_integration(x)) {
		if (waits_for_config(x, config_newest(x->w), begin_with_config))
			return;
		route_answer_integration(x);
		exchange_finish(x);
		return;
	}
	/* A client without access is not told what else is wrong. */
	if (e != ERR_HEADERS_TOO_LARGE && e != ERR_BUSY) {
		enum err routed = route_with_newest(x, &info, &waits);

		e = routed != ERR_OK ? routed : e;
	}
	if (waits)
		return;
	if (e == ERR_OK && !gate_enter(x->w->gate))
		e = ERR_BUSY;
	if (e != ERR_OK) {
		exchange_refuse(x, e, err_text(&info, e), err_status(e) == 503 ? 1 : 0);
		return;
	}
	x->gate_held = true;
	exchange_next_try(x);
}

void
exchange_start(struct worker *w, struct request *req)
{
	struct exchange *x = arena_zalloc(&req->arena, sizeof(*x));

	x->w = w;
	x->req = req;
	x->arena = &req->arena;
	x->state = EX_ROUTED;
	x->snapshot = snapshot_ref(w->snapshot);
	x->started_us = clock_mono_us();
	x->expected_len = -1;
	x->method = cgi_var(req->envp, "REQUEST_METHOD").p;
	if (x->method == NULL)
		x->method = "GET";
	x->client_ip = cgi_client_ip(req->envp, w->conf->trusted_proxies, x->arena);
	uuid7(x->request_id);
	buf_init(&x->key, LIMIT_KEY_BYTES);
	buf_init(&x->collected, LIMIT_MODEL_LIST);
	event_assign(&x->timer, w->base, -1, 0, on_timer, x);
	TAILQ_INSERT_TAIL(&w->exchanges, x, link);
	client_attach(&req->client, w->base, on_client, x);
	begin(x);
}
