/* SPDX-License-Identifier: MIT
 *
 * What the client receives: status and end-to-end headers of the provider's answer,
 * or an answer of our own in the shape that the vendor's SDK parses. Bytes of an
 * answer that passes never come here (exchange.c hands them to client.c).
 */
#include "fcgi-app/responder.h"
#include "lib/cgi.h"
#include "lib/cors.h"
#include "lib/log.h"

#include <zlib.h>

#define HEAD_MAX   (2 * LIMIT_RESPONSE_HEADER_BYTES)
#define HEAD_USUAL 1000

/* --- headers --- */

/* Fields of a provider's answer that are not passed on, besides those of one
 * connection: what the web server sets itself, what would steer it, and what
 * invites the client to go around us. */
static bool
is_ours_to_say(struct str name)
{
	static const struct str names[] = {
	    STR_INIT("status"),
	    STR_INIT("content-length"),
	    STR_INIT("date"),
	    STR_INIT("server"),
	    STR_INIT("alt-svc"),
	    STR_INIT("x-sendfile"),
	    STR_INIT("x-lighttpd-send-file"),
	    STR_INIT("x-accel-redirect"),
	    STR_INIT("x-accel-buffering"),
	    STR_INIT("x-accel-charset"),
	    STR_INIT("x-accel-expires"),
	    STR_INIT("x-accel-limit-rate"),
	};

	return str_iamong(name, names, ARRAY_LEN(names)) || header_is_hop_by_hop(name);
}

static bool
named_in_connection(const struct headers *h, struct str name)
{
	struct str listed;

	return headers_get(h, "connection", &listed) && str_listed(listed, name);
}

static void
field(struct buf *b, const char *name, struct str value)
{
	buf_cstr(b, name);
	buf_cstr(b, ": ");
	buf_str(b, value);
	buf_cstr(b, "\r\n");
}

static struct str
value_for_client(struct exchange *x, const struct header *h)
{
	const struct channel *c = x->named != NULL ? x->named->channel : NULL;

	if (c == NULL || c->client_header == NULL)
		return h->value;
	return c->client_header(h, str_of(ARENA_CONCAT(x->arena, STR("/proxy/"), x->named->name)),
				cgi_var(x->req->envp, "HTTP_X_GOOG_API_CLIENT"), x->arena);
}

static void
begin_head(struct buf *b, int status)
{
	buf_init(b, HEAD_MAX);
	buf_reserve(b, HEAD_USUAL);
	buf_cstr(b, "Status: ");
	buf_int(b, status);
	buf_char(b, ' ');
	buf_cstr(b, status_reason(status));
	buf_cstr(b, "\r\n");
}

static void
end_head(struct exchange *x, struct buf *b)
{
	buf_cstr(b, "X-Gpt-Load-Request-Id: ");
	buf_cstr(b, x->request_id);
	buf_cstr(b, "\r\n\r\n");
	client_put(&x->req->client, buf_view(b));
	buf_done(b);
}

void
answer_head(struct exchange *x, int status, const struct headers *h, int64_t body_len, bool streams)
{
	bool cors = cors_allows(x->w->conf, x->req->envp);
	struct buf b;

	x->status_out = status;
	begin_head(&b, status);
	for (size_t i = 0; h != NULL && i < h->n; i++) {
		struct str name = h->v[i].name;

		if (is_ours_to_say(name) || named_in_connection(h, name) ||
		    (cors && name.n > 15 && str_iis((struct str){name.p, 15}, "access-control-")))
			continue;
		/* Under CGI a Location with status 200 makes Apache fetch it. */
		if (str_iis(name, "location") && status == 200)
			continue;
		buf_str(&b, name);
		buf_cstr(&b, ": ");
		buf_str(&b, value_for_client(x, &h->v[i]));
		buf_cstr(&b, "\r\n");
	}
	if (body_len >= 0 && status != 204 && status != 304) {
		buf_cstr(&b, "Content-Length: ");
		buf_int(&b, body_len);
		buf_cstr(&b, "\r\n");
	}
	if (streams)
		field(&b, "X-Accel-Buffering", STR("no"));
	cors_fields(x->w->conf, x->req->envp, &b);
	end_head(x, &b);
}

/* --- answers of our own --- */

static void
own_head(struct exchange *x, struct buf *b, int status, const char *content_type, size_t n)
{
	x->status_out = status;
	begin_head(b, status);
	field(b, "Content-Type", str_of(content_type));
	buf_printf(b, "Content-Length: %zu\r\n", n);
	field(b, "Cache-Control", STR("no-store"));
	field(b, "X-Content-Type-Options", STR("nosniff"));
	cors_fields(x->w->conf, x->req->envp, b);
}

static void
own_body(struct exchange *x, struct str body)
{
	if (strcmp(x->method, "HEAD") != 0)
		client_put(&x->req->client, body);
}

void
answer_own(struct exchange *x, int status, const char *content_type, struct str body)
{
	struct buf b;

	own_head(x, &b, status, content_type, body.n);
	end_head(x, &b);
	own_body(x, body);
}

/* The channel whose envelope fits: the group's, else OpenAI's, which most clients
 * understand. */
static const struct channel *
envelope(const struct exchange *x)
{
	const struct group *g = x->group != NULL ? x->group : x->named;

	return g != NULL && g->channel != NULL ? g->channel : channel_find(STR("openai"));
}

void
answer_error(struct exchange *x, enum err e, const char *message, int retry_after_s)
{
	int status = err_status(e);
	struct buf body;
	struct buf head;

	buf_init(&body, LIMIT_ERROR_BODY);
	envelope(x)->error_body(&body, x->path, status, err_code(e), message);
	own_head(x, &head, status, "application/json", body.n);
	if (retry_after_s > 0)
		buf_printf(&head, "Retry-After: %d\r\n", retry_after_s);
	end_head(x, &head);
	own_body(x, buf_view(&body));
	buf_done(&body);
}

void
answer_preflight(struct exchange *x)
{
	struct buf b;

	x->status_out = 204;
	begin_head(&b, 204);
	cors_fields(x->w->conf, x->req->envp, &b);
	cors_preflight_fields(x->w->conf, x->req->envp, &b);
	end_head(x, &b);
}

void
answer_error_event(struct exchange *x, const char *message)
{
	const struct channel *c = envelope(x);
	struct buf b;

	buf_init(&b, LIMIT_ERROR_BODY);
	/* What was cut in the middle is ended first. Clients that cannot be given a
	 * comment know no event names either. */
	if (!sse_between_events(&x->try.sse))
		buf_cstr(&b, "\n\n");
	if (c->heartbeat_allowed(x->try.upstream_path))
		buf_cstr(&b, "event: error\n");
	buf_cstr(&b, "data: ");
	c->error_body(&b, x->try.upstream_path, err_status(ERR_UPSTREAM), err_code(ERR_UPSTREAM),
		      message);
	buf_cstr(&b, "\n\n");
	client_put(&x->req->client, buf_view(&b));
	buf_done(&b);
}

/* --- answers that were kept --- */

/* gzip, zlib, or bare deflate, which some servers send as "deflate". */
static bool
inflate_to(struct str in, int window_bits, struct buf *out)
{
	z_stream z = {.next_in = (Bytef *)(uintptr_t)in.p, .avail_in = (uInt)in.n};
	char step[16384];
	int rc;

	if (inflateInit2(&z, window_bits) != Z_OK)
		return false;
	do {
		z.next_out = (Bytef *)step;
		z.avail_out = sizeof(step);
		rc = inflate(&z, Z_NO_FLUSH);
		buf_add(out, step, sizeof(step) - z.avail_out);
	} while (rc == Z_OK && !out->overflowed);
	inflateEnd(&z);
	/* A body that was cut is still worth reading. */
	return (rc == Z_STREAM_END || rc == Z_BUF_ERROR) && out->n > 0;
}

struct str
answer_decoded(struct exchange *x)
{
	static const int windows[] = {MAX_WBITS + 32, -MAX_WBITS};
	struct str raw = buf_view(&x->try.collected);
	struct str encoding;
	struct buf out;

	if (!headers_get(&x->try.call.answer, "content-encoding", &encoding) ||
	    (!str_iis(encoding, "gzip") && !str_iis(encoding, "deflate")))
		return raw;
	buf_init(&out, LIMIT_MODEL_LIST);
	for (size_t i = 0; i < ARRAY_LEN(windows); i++) {
		buf_clear(&out);
		if (inflate_to(raw, windows[i], &out)) {
			raw = arena_str(x->arena, buf_view(&out));
			break;
		}
	}
	buf_done(&out);
	return raw;
}

void
answer_kept(struct exchange *x)
{
	struct kept_answer *k = &x->kept;

	answer_head(x, k->status, &k->headers, (int64_t)k->body.n, false);
	own_body(x, k->body);
}
