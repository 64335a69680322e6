/* SPDX-License-Identifier: MIT
 *
 * One try: which upstream, which headers, and the answer's bytes on their way to
 * the client. What its outcome means is decided in settle.c.
 *
 * The callbacks of a call run inside libcurl; they never call back into it. They
 * decide by their return value, and on_done comes when libcurl has returned.
 */
#include "fcgi-app/responder.h"
#include "lib/cgi.h"
#include "lib/clock.h"
#include "lib/headerrule.h"
#include "lib/log.h"

#include <stdlib.h>

/* --- which upstream --- */

static bool
was_tried(const struct exchange *x, const struct upstream *u)
{
	for (size_t i = 0; i < x->n_tried_upstreams; i++)
		if (x->tried_upstreams[i] == u)
			return true;
	return false;
}

/* The upstream whose turn it is, past those whose breaker is open, and past those
 * that failed in this exchange while there is another. */
static bool
choose_upstream(struct exchange *x, uint64_t turn)
{
	const struct group *g = x->group;
	int64_t now = clock_mono_us();

	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < g->n_upstream_turns; i++) {
			const struct upstream *u = &g->upstreams[turns_index(
			    g->upstream_turns, g->n_upstream_turns, turn + i)];
			struct breaker *b = breaker_of(x->w->breakers, u->url);
			int64_t opens = breaker_opens_at(b);

			if (!breaker_allows(b, now)) {
				if (x->breaker_opens_us == 0 || opens < x->breaker_opens_us)
					x->breaker_opens_us = MAX(opens, now + 1);
				continue;
			}
			if (pass == 0 && was_tried(x, u))
				continue;
			x->try.upstream = u;
			x->try.breaker = b;
			return true;
		}
	}
	return false;
}

/* --- which headers --- */

/* Client headers that are about the way to us, or are set anew for the provider. */
static bool
stays_here(struct str name)
{
	static const struct str names[] = {
	    STR_INIT("host"),
	    STR_INIT("content-length"),
	    STR_INIT("content-type"),
	    STR_INIT("expect"),
	    STR_INIT("authorization"),
	    STR_INIT("x-api-key"),
	    STR_INIT("x-goog-api-key"),
	    STR_INIT("api-key"),
	    STR_INIT("proxy"),
	    STR_INIT("forwarded"),
	    STR_INIT("x-forwarded-for"),
	    STR_INIT("x-forwarded-host"),
	    STR_INIT("x-forwarded-proto"),
	    STR_INIT("x-forwarded-server"),
	    STR_INIT("x-real-ip"),
	};

	return str_iamong(name, names, ARRAY_LEN(names)) || header_is_hop_by_hop(name);
}

/* "HTTP_X_FOO=v" is the header x-foo: CGI keeps neither case nor '_' from '-'. */
static struct str
header_name_of(const char *var, struct arena *arena)
{
	size_t n = strcspn(var, "=");
	char *p = arena_strndup(arena, var, n);

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '_')
			p[i] = '-';
		else if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (char)(p[i] - 'A' + 'a');
	}
	return (struct str){p, n};
}

static void
client_headers(struct exchange *x)
{
	struct str connection = cgi_var(x->req->envp, "HTTP_CONNECTION");
	struct str type = cgi_var(x->req->envp, "CONTENT_TYPE");

	headers_init(&x->try.sent, x->arena);
	for (char **var = x->req->envp; *var != NULL; var++) {
		struct str name;
		struct str value;

		if (strncmp(*var, "HTTP_", 5) != 0)
			continue;
		name = header_name_of(*var + 5, x->arena);
		value = str_of(*var + 5 + MIN(name.n + 1, strlen(*var + 5)));
		if (stays_here(name) || str_listed(connection, name) || !header_name_valid(name) ||
		    !header_value_valid(value))
			continue;
		headers_add(&x->try.sent, name, value);
	}
	if (type.n > 0 && header_value_valid(type))
		headers_add(&x->try.sent, STR("content-type"), type);
}

static enum err
build_headers(struct exchange *x, struct errinfo *info)
{
	const struct rule_vars vars = {
	    .client_ip = x->client_ip,
	    .group_name = x->group->name,
	    .api_key = buf_view(&x->try.key),
	    .now_ms = clock_wall_ms(),
	};

	client_headers(x);
	x->group->channel->authorize(&x->try.sent, x->try.upstream_path, buf_view(&x->try.key),
				     x->arena);
	/* A list that is to be edited must be readable. */
	if (x->try.edits_models)
		headers_set(&x->try.sent, STR("accept-encoding"), STR("identity"));
	return header_rules_apply(x->group, &x->try.sent, &vars, x->arena, info);
}

static const char *
build_target(struct exchange *x)
{
	const struct upstream *u = x->try.upstream;

	return ARENA_CONCAT(x->arena, x->try.upstream_path,
			    u->query.n + x->query.n > 0 ? STR("?") : STR(""), u->query,
			    u->query.n > 0 && x->query.n > 0 ? STR("&") : STR(""), x->query);
}

/* --- the answer --- */

static void
begin_scanners(struct exchange *x)
{
	const struct channel *c = x->group->channel;
	enum usage_form form = x->try.is_event_stream ? USAGE_SSE : USAGE_JSON;
	struct str encoding;
	struct str type = {NULL, 0};
	bool encoded = headers_get(&x->try.call.answer, "content-encoding", &encoding) &&
		       !str_iis(encoding, "identity");

	x->try.sse_tracked = x->try.is_event_stream && !encoded;
	if (x->try.sse_tracked)
		sse_init(&x->try.sse);
	if (!x->try.is_event_stream && (!headers_get(&x->try.call.answer, "content-type", &type) ||
					!str_icontains(type, "json")))
		return;
	x->try.usage = encoded ? usage_new_encoded(c->usage, form,
						   arena_strndup(x->arena, encoding.p, encoding.n))
			       : usage_new(c->usage, form);
}

static void
pass_head(struct exchange *x)
{
	x->try.mode = ANSWER_PASS;
	answer_head(x, x->try.call.status, &x->try.call.answer, x->try.expected_len,
		    x->try.is_stream);
	if (x->try.is_stream && !x->stream_counted) {
		x->stream_counted = true;
		gate_stream(x->w->gate, 1);
	}
}

static void
on_head(struct call *c)
{
	struct exchange *x = container_of(c, struct exchange, try.call);
	struct str value;
	int64_t len = -1;

	x->try.first_byte_us = clock_mono_us();
	x->last_byte_us = x->try.first_byte_us;
	exchange_set_state(x, EX_ANSWERING);
	x->try.is_event_stream = headers_get(&c->answer, "content-type", &value) && value.n >= 17 &&
				 str_iis((struct str){value.p, 17}, "text/event-stream");
	x->try.is_stream = x->wants_stream || x->try.is_event_stream;
	if (headers_get(&c->answer, "content-length", &value) &&
	    str_to_i64(value, 0, INT64_MAX, &len))
		x->try.expected_len = len;
	if (settle_concerns(x) || (x->try.edits_models && c->status < 300)) {
		x->try.mode = ANSWER_COLLECT;
	} else {
		settle_good(x);
		breaker_alive(x->try.breaker, x->try.probes);
		begin_scanners(x);
		pass_head(x);
		/* A stream's head goes out at once: the client may wait for it, and
		 * some servers tell of a client that leaves only after it. */
		if (x->try.is_stream) {
			x->try.passing = true;
			client_write(&x->req->client, (struct str){NULL, 0});
			c->stopped = x->req->client.gone;
		}
	}
	exchange_arm(x);
}

static enum call_flow
pass(struct exchange *x, const char *p, size_t n)
{
	struct client *client = &x->req->client;

	if (client_is_full(client))
		return CALL_PAUSE;
	x->try.received += (int64_t)n;
	x->try.bytes_out += (int64_t)n;
	if (x->try.usage != NULL)
		usage_feed(x->try.usage, p, n);
	if (x->try.sse_tracked)
		sse_feed(&x->try.sse, p, n, NULL, NULL);
	/* The last bytes wait for the end record, which comes in this same turn of
	 * the loop: one system call and one waking of the web server less. */
	if (x->try.expected_len >= 0 && x->try.received == x->try.expected_len) {
		client_put(client, (struct str){p, n});
	} else {
		x->try.passing = true;
		client_write(client, (struct str){p, n});
	}
	return client->gone ? CALL_STOP : CALL_GO_ON;
}

/* An answer that was to be kept grows too large for that: now it must be decided by
 * its status and what is there. */
static enum call_flow
outgrown(struct exchange *x, const char *p, size_t n)
{
	if (settle_may_retry(x))
		return CALL_STOP;
	begin_scanners(x);
	pass_head(x);
	x->try.passing = true;
	client_put(&x->req->client, buf_view(&x->try.collected));
	x->try.received = (int64_t)x->try.collected.n;
	x->try.bytes_out = x->try.received;
	buf_done(&x->try.collected);
	return pass(x, p, n);
}

static enum call_flow
on_data(struct call *c, const char *p, size_t n)
{
	struct exchange *x = container_of(c, struct exchange, try.call);
	size_t limit = settle_concerns(x) ? LIMIT_ERROR_BODY : LIMIT_MODEL_LIST;
	enum call_flow flow = CALL_GO_ON;

	x->last_byte_us = clock_mono_us();
	if (x->try.mode == ANSWER_PASS)
		flow = pass(x, p, n);
	else if (x->try.collected.n + n > limit)
		flow = outgrown(x, p, n);
	else
		buf_add(&x->try.collected, p, n);
	return flow;
}

static void
on_done(struct call *c, enum call_end end)
{
	struct exchange *x = container_of(c, struct exchange, try.call);

	if (x->req->client.gone)
		exchange_gone(x);
	else
		settle(x, end);
}

/* --- the beginning and the end of a try --- */

void
try_clear(struct exchange *x)
{
	struct try_state *t = &x->try;

	wipe(t->key.p, t->key.cap);
	buf_done(&t->key);
	buf_done(&t->collected);
	usage_free(t->usage);
	*t = (struct try_state){.expected_len = -1};
	buf_init(&t->key, LIMIT_KEY_BYTES);
	buf_init(&t->collected, LIMIT_MODEL_LIST);
}

static bool
key_was_tried(const struct exchange *x, int64_t key_id)
{
	for (size_t i = 0; i < x->n_tried_keys; i++)
		if (x->tried_keys[i] == key_id)
			return true;
	return x->n_tried_keys == ARRAY_LEN(x->tried_keys);
}

static void
take_key(struct exchange *x, const struct pick *p)
{
	x->try.key_id = p->key_id;
	memcpy(x->try.key_hash, p->hash, sizeof(x->try.key_hash));
	x->try.key_stored = arena_str(x->arena, p->stored);
	if (x->n_tried_keys < ARRAY_LEN(x->tried_keys))
		x->tried_keys[x->n_tried_keys++] = p->key_id;
}

static bool
is_model_list(const struct exchange *x)
{
	return strcmp(x->method, "GET") == 0 && x->group->n_redirects > 0 &&
	       x->group->channel->is_model_list(x->path);
}

/* libcurl cannot send one with HEAD, whose answer would be waited for as one with a body. */
static bool
sends_body(const struct exchange *x)
{
	static const struct str with_body[] = {STR_INIT("POST"), STR_INIT("PUT"),
					       STR_INIT("PATCH")};
	struct str method = str_of(x->method);

	return !str_is(method, "HEAD") &&
	       (x->body_len > 0 || str_iamong(method, with_body, ARRAY_LEN(with_body)));
}

static void
fill_call(struct exchange *x)
{
	const struct upstream *u = x->try.upstream;
	struct call *c = &x->try.call;

	*c = (struct call){
	    .url = ARENA_CONCAT(x->arena, u->origin, STR("/")),
	    .target = build_target(x),
	    .method = x->method,
	    .headers = &x->try.sent,
	    .slices = x->slices,
	    .n_slices = x->n_slices,
	    .has_body = sends_body(x),
	    .userinfo =
		u->userinfo.n > 0 ? arena_strndup(x->arena, u->userinfo.p, u->userinfo.n) : NULL,
	    .opt = &x->group->opt,
	    .arena = x->arena,
	    .on_head = on_head,
	    .on_data = on_data,
	    .on_done = on_done,
	};
}

void
try_begin(struct exchange *x, const struct pick *p)
{
	struct errinfo info = {""};
	bool again = key_was_tried(x, p->key_id);
	enum err e;

	try_clear(x);
	take_key(x, p);
	if (x->group->n_upstreams == 0) {
		exchange_refuse(x, ERR_INTERNAL, "the group has no usable upstream", 0);
		return;
	}
	if (!choose_upstream(x, p->turn)) {
		x->n_tried_keys--;
		pick_elsewhere(x);
		return;
	}
	x->try.upstream_path =
	    x->group->channel->join(x->try.upstream->path, x->target_path, x->arena);
	e = crypt_decrypt(x->w->crypt, x->try.key_stored, &x->try.key);
	x->try.edits_models = is_model_list(x);
	if (e == ERR_OK)
		e = build_headers(x, &info);
	if (e != ERR_OK) {
		/* Closed: a key that does not open is never sent as it is stored. */
		log_error("group " STR_FMT ", key %lld: %s", STR_ARG(x->group->name),
			  (long long)x->try.key_id, err_text(&info, e));
		x->try.breaker = NULL;
		if (e == ERR_CRYPT && !again)
			pick_next(x);
		else
			exchange_refuse(x, e, err_message(e), 0);
		return;
	}
	/* There is a try indeed, so that the one before was not the last. */
	row_release(x, false);
	x->attempt++;
	x->try.started_us = clock_mono_us();
	x->last_byte_us = x->try.started_us;
	x->try.probes = breaker_begin(x->try.breaker, x->try.started_us);
	fill_call(x);
	exchange_set_state(x, EX_SENDING);
	upstream_start(x->w->upstreams, &x->try.call);
	exchange_arm(x);
}
