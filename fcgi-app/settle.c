/* SPDX-License-Identifier: MIT
 *
 * What the outcome of a try means: for the key, for the upstream, for the log, and
 * whether there is another try. The rules are verdict.c's; this carries them out.
 */
#include "fcgi-app/responder.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/validate.h"

#include <stdlib.h>

/* --- telling the pool --- */

struct told {
	int64_t key_id;
	int64_t group_id;
};

static void
on_reported(void *arg, enum err e, enum pool_move move, uint32_t fails)
{
	struct told *t = arg;

	if (e != ERR_OK)
		log_warn("key %lld: its failure could not be noted: %s", (long long)t->key_id,
			 err_message(e));
	else if (move == POOL_MOVE_OUT)
		log_warn("key %lld of group %lld is out after %u failures in a row",
			 (long long)t->key_id, (long long)t->group_id, fails);
	free(t);
}

static void
report(struct exchange *x, enum key_verdict verdict, int status, int64_t rest_until_ms,
       struct str error)
{
	const struct options *opt = &x->group->opt;
	struct report r = {
	    .group_id = x->group->id,
	    .key_id = x->try.key_id,
	    .verdict = verdict,
	    .threshold = opt->blacklist_threshold,
	    .rest_until_ms = rest_until_ms,
	    .status = status,
	    .error = error,
	};
	struct told *t;

	if (verdict == VERDICT_OK) {
		pool_report(x->w->pool, &r, NULL, NULL);
		return;
	}
	if (verdict == VERDICT_BLAMED)
		r.next_check_ms = validate_next_ms(opt, 0, clock_wall_ms());
	t = xmalloc(sizeof(*t));
	*t = (struct told){.key_id = r.key_id, .group_id = r.group_id};
	pool_report(x->w->pool, &r, on_reported, t);
}

void
settle_good(struct exchange *x)
{
	report(x, VERDICT_OK, x->try.call.status, 0, (struct str){NULL, 0});
}

static void
tell_breaker(struct exchange *x, const struct verdict *v, int64_t rest_us)
{
	int64_t now = clock_mono_us();

	switch (v->upstream) {
	case UPSTREAM_OK:
		breaker_ok(x->try.breaker);
		break;
	case UPSTREAM_FAILED:
		breaker_failed(x->try.breaker, x->try.probes, now);
		break;
	case UPSTREAM_LIMITED:
		breaker_limited(x->try.breaker, x->try.probes, x->try.key_id, rest_us, now);
		break;
	case UPSTREAM_UNTOUCHED:
		breaker_released(x->try.breaker, x->try.probes);
		break;
	}
	x->try.breaker = NULL;
}

/* --- is there another try --- */

static bool
tries_left(const struct exchange *x)
{
	const struct options *opt = &x->group->opt;

	return x->attempt <= opt->max_retries && x->n_tried_keys < ARRAY_LEN(x->tried_keys) &&
	       clock_mono_us() < x->started_us + (int64_t)opt->request_timeout_s * 1000000;
}

bool
settle_concerns(const struct exchange *x)
{
	const struct options *opt = &x->group->opt;

	return x->try.call.status >= 400 ||
	       (opt->failover_set && status_set_has(&opt->failover, x->try.call.status));
}

bool
settle_may_retry(const struct exchange *x)
{
	struct verdict v = verdict_of_answer(x->group, x->try.call.status, (struct str){NULL, 0});

	return settle_concerns(x) && v.retry && tries_left(x);
}

/* Everything of the try that the next one must not use again is noted here. */
static void
again(struct exchange *x)
{
	if (x->n_tried_upstreams < ARRAY_LEN(x->tried_upstreams))
		x->tried_upstreams[x->n_tried_upstreams++] = x->try.upstream;
	pick_next(x);
}

/* --- an answer that was collected --- */

/* Text of the answer as the client may see it: as it came, unless our key stands in
 * it (some vendors repeat it in their errors). */
static struct str
for_client(struct exchange *x, struct str text)
{
	struct str key = buf_view(&x->try.key);
	struct buf out;
	struct str s;

	if (text.n == 0 || key.n == 0 || memmem(text.p, text.n, key.p, key.n) == NULL)
		return text;
	buf_init(&out, 4 * text.n + LIMIT_ERROR_BODY);
	redact(&out, text, &key, 1);
	s = arena_str(x->arena, buf_view(&out));
	buf_done(&out);
	return s;
}

/* Also changes the answer's headers. `decoded` is what the collected bytes say; an
 * encoding that cannot be read here (br, zstd), which only a client that asked for it
 * gets, passes. */
static struct str
body_for_client(struct exchange *x, struct str decoded)
{
	struct str raw = buf_view(&x->try.collected);
	struct headers *h = &x->try.call.answer;
	struct str safe;

	for (size_t i = 0; i < h->n; i++)
		h->v[i].value = for_client(x, h->v[i].value);
	if (decoded.p == raw.p)
		return arena_str(x->arena, for_client(x, raw));
	safe = for_client(x, decoded);
	if (safe.p == decoded.p)
		return arena_str(x->arena, raw);
	headers_remove(h, STR("content-encoding"));
	return safe;
}

static void
keep_answer(struct exchange *x, struct str decoded)
{
	x->kept.status = x->try.call.status;
	x->kept.body = body_for_client(x, decoded);
	x->kept.headers = x->try.call.answer;
}

/* A HEAD's length is that of the body it did not send. */
static int64_t
length_for_client(const struct exchange *x, struct str body)
{
	return strcmp(x->method, "HEAD") == 0 ? x->try.expected_len : (int64_t)body.n;
}

static void
pass_collected(struct exchange *x, struct str body, const char *end, struct str error)
{
	answer_head(x, x->try.call.status, &x->try.call.answer, length_for_client(x, body), false);
	client_put(&x->req->client, body);
	x->try.bytes_out = (int64_t)body.n;
	row_hold(x, x->try.call.status, end, error);
	exchange_finish(x);
}

/* To the pool and the breaker: what this answer says. */
static void
carry_out(struct exchange *x, const struct verdict *v, struct str body, struct str message)
{
	int64_t now_ms = clock_wall_ms();
	int64_t until =
	    v->key_concerned && v->key == VERDICT_LIMITED
		? channel_rest_until(x->group->channel, &x->try.call.answer, body, now_ms)
		: 0;

	if (v->key_concerned) {
		struct str key = buf_view(&x->try.key);
		struct buf safe;

		buf_init(&safe, LIMIT_LOG_ERROR);
		redact_cut(&safe, message, LIMIT_LOG_ERROR, &key, 1);
		report(x, v->key, x->try.call.status, until, buf_view(&safe));
		buf_done(&safe);
	}
	tell_breaker(x, v, until > 0 ? (until - now_ms) * 1000 : 0);
}

static void
settle_error(struct exchange *x, bool whole)
{
	int status = x->try.call.status;
	struct str body = answer_decoded(x);
	struct verdict v = verdict_of_answer(x->group, status, body);
	struct str message = channel_error_message(body, x->arena);
	const char *end = whole ? "complete" : "truncated";

	carry_out(x, &v, body, message);
	if (v.retry && tries_left(x)) {
		keep_answer(x, body);
		x->failed_as = ERR_OK;
		row_hold(x, status, end, message);
		again(x);
	} else {
		pass_collected(x, body_for_client(x, body), end, message);
	}
}

static void
settle_models(struct exchange *x)
{
	struct verdict v = {.upstream = UPSTREAM_OK};
	struct str raw = buf_view(&x->try.collected);
	struct str encoding;
	struct buf out;

	settle_good(x);
	tell_breaker(x, &v, 0);
	buf_init(&out, 2 * (size_t)LIMIT_MODEL_LIST);
	if (x->group->channel->edit_models(answer_decoded(x), x->group, x->query, &out) == ERR_OK &&
	    buf_err(&out) == ERR_OK) {
		if (headers_get(&x->try.call.answer, "content-encoding", &encoding))
			headers_remove(&x->try.call.answer, STR("content-encoding"));
		headers_remove(&x->try.call.answer, STR("etag"));
		raw = buf_view(&out);
	}
	pass_collected(x, raw, "complete", (struct str){NULL, 0});
	buf_done(&out);
}

/* --- a transfer that failed --- */

static enum err
failure_of(const struct exchange *x, enum call_end end)
{
	return x->try.overdue != OVERDUE_NOT || end == CALL_TOO_SLOW_CONNECT ? ERR_TIMEOUT
									     : ERR_UPSTREAM;
}

static const char *
failure_text(const struct exchange *x, enum call_end end)
{
	switch (x->try.overdue) {
	case OVERDUE_HEADERS:
		return "no answer within response_header_timeout";
	case OVERDUE_REQUEST:
		return "not done within request_timeout";
	case OVERDUE_STREAM:
		return "the stream was silent for stream_idle_timeout";
	case OVERDUE_NOT:
		break;
	}
	return x->try.call.error[0] != '\0'   ? x->try.call.error
	       : end == CALL_TOO_SLOW_CONNECT ? "no connection within connect_timeout"
					      : "the upstream failed";
}

static void
settle_failure(struct exchange *x, enum call_end end)
{
	bool begun = x->try.call.head_done;
	struct verdict v = verdict_of_failure(end, x->try.overdue, begun);
	enum err e = failure_of(x, end);
	struct str error = str_of(failure_text(x, end));

	tell_breaker(x, &v, 0);
	if (x->try.passing) {
		row_hold(x, x->try.call.status,
			 x->try.overdue != OVERDUE_NOT ? "timeout" : "truncated", error);
		log_warn("request %s: group " STR_FMT ": the answer was cut: " STR_FMT,
			 x->request_id, STR_ARG(x->group->name), STR_ARG(error));
		exchange_cut(x, "the upstream ended in the middle of its answer");
		return;
	}
	/* A head that was kept has not gone out: the client gets a clean error. */
	client_take_back(&x->req->client);
	x->failed_as = e;
	row_hold(x, err_status(e), err_code(e), error);
	log_warn("request %s: group " STR_FMT ": " STR_FMT, x->request_id, STR_ARG(x->group->name),
		 STR_ARG(error));
	if (v.retry && tries_left(x))
		again(x);
	else
		exchange_refuse(x, e, err_message(e), 0);
}

/* An answer that has gone to the client as it came. One that concerns and was too large
 * to be kept is judged by its status. */
static void
settle_passed(struct exchange *x)
{
	const struct str none = {NULL, 0};
	struct verdict v = {.upstream = UPSTREAM_OK};

	if (settle_concerns(x)) {
		v = verdict_of_answer(x->group, x->try.call.status, none);
		carry_out(x, &v, none, none);
	} else {
		tell_breaker(x, &v, 0);
	}
	row_hold(x, x->try.call.status, "complete", none);
	exchange_finish(x);
}

void
settle(struct exchange *x, enum call_end end)
{
	x->try.ended_us = clock_mono_us();
	if (x->try.mode == ANSWER_COLLECT && x->try.call.head_done && settle_concerns(x)) {
		settle_error(x, end == CALL_COMPLETE);
	} else if (end != CALL_COMPLETE) {
		settle_failure(x, end);
	} else if (x->try.mode == ANSWER_COLLECT) {
		settle_models(x);
	} else {
		settle_passed(x);
	}
}

void
try_overdue(struct exchange *x)
{
	upstream_cancel(&x->try.call);
	if (x->state == EX_SENDING || x->state == EX_ANSWERING)
		settle(x, CALL_BROKEN);
}
