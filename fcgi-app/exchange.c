/* SPDX-License-Identifier: MIT
 *
 * One exchange: a client's request, the tries it takes, one answer. The states and
 * their moves are drawn in responder.h; this file holds the machine itself, the
 * exchange's clock, its beginning and its ends. Whose turn it is, is pick.c; a try is
 * try.c.
 *
 * Every exchange ends in end(), called by: exchange_finish() once the client has
 * every byte, on_client() when it left, exchange_cut() and exchange_abort(). It may
 * be reached from inside a callback of the pool, so freeing waits for that.
 */
#include "fcgi-app/responder.h"
#include "lib/cgi.h"
#include "lib/clock.h"
#include "lib/log.h"

/* --- what is counted --- */

/* The try under way is over. */
static void
count_try(struct exchange *x)
{
	int64_t ended = x->try.ended_us != 0 ? x->try.ended_us : clock_mono_us();

	x->provider_us += ended - x->try.started_us;
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
	upstream_cancel(&x->try.call);
	if (x->try.breaker != NULL)
		breaker_released(x->try.breaker, x->try.probes);
	x->try.breaker = NULL;
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
	if (x->try.sse_tracked && !x->req->client.gone) {
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
		upstream_cancel(&x->try.call);
		row_hold(x, err_status(ERR_BUSY), "shutdown", str_of(why));
	}
	if (x->try.passing) {
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
		upstream_resume(&x->try.call);
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

	upstream_progress(&x->try.call, &written, &sending_since);
	*ret_final = written;
	if (!written)
		return clock_mono_us() + MIN(timeout_us, INT64_C(1000000));
	return x->try.started_us + sending_since + timeout_us;
}

static bool
bounded_as_stream(const struct exchange *x)
{
	return x->state == EX_ANSWERING && x->try.is_stream;
}

static bool
heartbeats(const struct exchange *x)
{
	return x->try.sse_tracked && x->group->opt.stream_heartbeat_s > 0 && x->try.passing &&
	       x->group->channel->heartbeat_allowed(x->try.upstream_path);
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
	x->try.overdue = what_is_overdue(x);
	if (x->try.overdue != OVERDUE_NOT) {
		try_overdue(x);
		upstreams_run(w->upstreams);
		return;
	}
	if (bounded_as_stream(x) && heartbeats(x) && clock_mono_us() >= heartbeat_due(x)) {
		x->last_heartbeat_us = clock_mono_us();
		if (sse_between_events(&x->try.sse) && !client_is_full(&x->req->client)) {
			client_write(&x->req->client, STR(": heartbeat\n\n"));
			if (x->req->client.gone) {
				exchange_gone(x);
				return;
			}
		}
	}
	exchange_arm(x);
}

bool
exchange_waited(struct exchange *x)
{
	x->waits = false;
	if (!x->ended)
		return true;
	release(x);
	return false;
}

/* --- the beginning --- */

static void begin(struct exchange *x);

static void
begin_with_config(struct exchange *x, bool there)
{
	if (!exchange_waited(x))
		return;
	x->config_failed = !there;
	config_take(x);
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
	*ret_waits = config_waits(x, newest, begin_with_config);
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
		if (config_waits(x, config_newest(x->w), begin_with_config))
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
	pick_next(x);
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
	x->method = cgi_var(req->envp, "REQUEST_METHOD").p;
	if (x->method == NULL)
		x->method = "GET";
	x->client_ip = cgi_client_ip(req->envp, w->conf->trusted_proxies, x->arena);
	uuid7(x->request_id);
	try_clear(x);
	event_assign(&x->timer, w->base, -1, 0, on_timer, x);
	TAILQ_INSERT_TAIL(&w->exchanges, x, link);
	client_attach(&req->client, w->base, on_client, x);
	begin(x);
}
