/* SPDX-License-Identifier: MIT
 *
 * The log row of one try. What goes into it from outside passes the redactor; the
 * texts live in the exchange's arena.
 */
#include "fcgi-app/responder.h"
#include "lib/cgi.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/str.h"

static struct str
redacted(struct exchange *x, struct str text, size_t max)
{
	struct str secrets[] = {buf_view(&x->try.key), x->client_key};
	struct buf out;
	struct str s;

	if (text.n == 0)
		return (struct str){NULL, 0};
	if (!redact_finds(text, max, secrets, ARRAY_LEN(secrets)))
		return arena_str(x->arena, utf8_cut(text, max));
	buf_init(&out, max);
	redact_cut(&out, text, max, secrets, ARRAY_LEN(secrets));
	s = arena_str(x->arena, buf_view(&out));
	buf_done(&out);
	return s;
}

static struct str
client_path(struct exchange *x)
{
	struct str name = x->named->name;
	const char *p = ARENA_CONCAT(x->arena, STR("/proxy/"), name, x->path,
				     x->query.n > 0 ? STR("?") : STR(""), x->query);

	return redacted(x, str_of(p), LIMIT_LOG_PATH);
}

static void
fill_try(struct exchange *x, struct logrow *row)
{
	if (x->attempt == 0 || x->try.key_id == 0)
		return;
	row->key_id = x->try.key_id;
	row->key_stored = x->try.key_stored;
	hex_encode(row->key_hash, x->try.key_hash, sizeof(x->try.key_hash));
	if (x->try.upstream != NULL && x->try.call.target != NULL)
		row->upstream = redacted(x,
					 str_of(ARENA_CONCAT(x->arena, x->try.upstream->origin,
							     str_of(x->try.call.target))),
					 LIMIT_LOG_UPSTREAM);
	if (x->try.first_byte_us > 0)
		row->ttfb_ms = (x->try.first_byte_us - x->try.started_us) / 1000;
}

void
row_hold(struct exchange *x, int status, const char *end, struct str error)
{
	struct logrow *row = &x->row;
	struct usage used = {-1, -1, -1};
	const struct group *g = x->group != NULL ? x->group : x->named;

	if (g == NULL)
		return;
	if (x->try.usage != NULL)
		used = usage_result(x->try.usage);
	*row = (struct logrow){
	    .time_us = clock_wall_us(),
	    .group_id = g->id,
	    .group_name = g->name,
	    .model = redacted(x, x->model, LIMIT_LOG_MODEL),
	    .is_success = status < 400 && strcmp(end, "complete") == 0,
	    .source_ip = x->client_ip,
	    .status = status,
	    .path = client_path(x),
	    .duration_ms = (clock_mono_us() - x->started_us) / 1000,
	    .error = redacted(x, error, LIMIT_LOG_ERROR),
	    .is_stream = x->try.is_stream || x->wants_stream,
	    .attempt = MAX(x->attempt, 1),
	    .ttfb_ms = -1,
	    .bytes_in = (int64_t)x->req->body.n,
	    .bytes_out = x->try.bytes_out,
	    .prompt_tokens = used.prompt,
	    .completion_tokens = used.completion,
	    .cached_tokens = used.cached,
	    .end = str_of(end),
	};
	uuid7(row->id);
	memcpy(row->request_id, x->request_id, sizeof(row->request_id));
	if (x->named != g) {
		row->parent_id = x->named->id;
		row->parent_name = x->named->name;
	}
	if (g->opt.log_bodies) {
		row->user_agent =
		    redacted(x, cgi_var(x->req->envp, "HTTP_USER_AGENT"), LIMIT_LOG_USER_AGENT);
		row->request_body = redacted(x, x->body_for_row, LIMIT_LOG_REQUEST_BODY);
	}
	fill_try(x, row);
	x->row_held = true;
}

void
row_keep(struct exchange *x)
{
	struct logrow *row = &x->row;

	if (!x->row_held)
		return;
	row->group_name = arena_str(x->arena, row->group_name);
	row->parent_name = arena_str(x->arena, row->parent_name);
}

void
row_release(struct exchange *x, bool final)
{
	enum err e;

	if (!x->row_held)
		return;
	x->row_held = false;
	x->row.is_final = final;
	if (!final)
		counters_retry(x->w->counters,
			       x->row.parent_id != 0 ? x->row.parent_id : x->row.group_id);
	e = spool_append(x->w->spool, &x->row);
	if (e != ERR_OK)
		log_error("a log row was lost: %s", err_message(e));
	worker_row_written(x->w);
}
