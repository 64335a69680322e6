/* SPDX-License-Identifier: MIT
 *
 * What is changed in a request on its way: parameter overrides and the model
 * redirect, in that order, each replacing only the bytes of one top-level value.
 * All other bytes go up as they came. The model for the row and the question
 * whether the client wants a stream are answered by the same look.
 */
#include "fcgi-app/responder.h"
#include "lib/cgi.h"
#include "lib/jsonscan.h"

/* Edited bodies up to this size are joined: libcurl then sends head and body in
 * one piece (it does so below 64 KiB). */
#define JOIN_BYTES 32768

/* Members that are looked for besides the overrides. */
enum {
	KEY_MODEL,
	KEY_STREAM,
	KEY_OVERRIDES
};

struct edits {
	struct json_edit *v; /* in the arena; room for every hit and every key */
	size_t n;
	struct json_edit *overrides; /* the same without the redirect, for the row */
	size_t n_overrides;
};

static bool
has_model_rules(const struct group *g)
{
	return g->n_redirects > 0;
}

static enum err
refuse_model(struct errinfo *info, struct str model)
{
	return err_set(info, ERR_VALIDATION,
		       "the model \"" STR_FMT "\" is not one of this group's models",
		       (int)MIN(model.n, (size_t)100), model.p);
}

/* The model of one value after the redirect; *ret_to.p stays NULL when it is to be
 * left alone. */
static enum err
redirect_model(const struct group *g, struct str model, struct str *ret_to, struct errinfo *info)
{
	const struct redirect *r = group_redirect(g, model);

	if (r == NULL && g->redirect_strict && has_model_rules(g))
		return refuse_model(info, model);
	if (r != NULL)
		*ret_to = r->to;
	return ERR_OK;
}

static struct str
as_json(struct str text, struct arena *arena)
{
	struct buf b;
	struct str s;

	buf_init(&b, 6 * text.n + 2);
	buf_json(&b, text);
	s = arena_str(arena, buf_view(&b));
	buf_done(&b);
	return s;
}

/* --- the model in the path (Gemini's own API) --- */

static enum err
prepare_path(struct exchange *x, struct errinfo *info)
{
	const struct channel *c = x->group->channel;
	struct str model = c->path_model(x->path);
	struct str to = {NULL, 0};
	enum err e;

	x->target_path = x->path;
	if (model.n == 0)
		return ERR_OK;
	x->model = model;
	e = redirect_model(x->group, model, &to, info);
	if (e != ERR_OK || to.p == NULL)
		return e;
	size_t before = (size_t)(model.p - x->path.p);
	struct str after = str_from(x->path, before + model.n);

	x->target_path = str_of(arena_printf(x->arena, STR_FMT STR_FMT STR_FMT, (int)before,
					     x->path.p, STR_ARG(to), STR_ARG(after)));
	return ERR_OK;
}

/* --- the model and the overrides in the body --- */

/* Where the value of a hit stands now: in an override, or in the body. */
static struct str
value_of(const struct exchange *x, const struct json_hit *hit, const struct override *ov)
{
	return ov != NULL ? ov->json
			  : (struct str){x->req->body.p + hit->start, hit->end - hit->start};
}

static const struct override *
override_of(const struct group *g, const char *key)
{
	for (size_t i = 0; i < g->n_overrides; i++)
		if (str_is(g->overrides[i].key, key))
			return &g->overrides[i];
	return NULL;
}

/* What a "model" value becomes, as JSON; .p NULL: it stays. Sets x->model. */
static enum err
model_value(struct exchange *x, struct str value, struct str *ret, struct errinfo *info)
{
	struct str model;
	struct str to = {NULL, 0};
	enum err e;

	if (json_text(value, x->arena, &model) != ERR_OK) {
		if (x->group->redirect_strict && has_model_rules(x->group))
			return err_set(info, ERR_VALIDATION, "model is not a string");
		return ERR_OK;
	}
	x->model = model;
	e = redirect_model(x->group, model, &to, info);
	if (e == ERR_OK && to.p != NULL)
		*ret = as_json(to, x->arena);
	return e;
}

static enum err
edit_hits(struct exchange *x, const struct json_top *top, const struct override *const *by_key,
	  struct edits *edits, struct errinfo *info)
{
	bool model_in_body = x->group->channel->model_in_body(x->path);

	for (size_t i = 0; i < top->n_hits; i++) {
		const struct json_hit *hit = &top->hits[i];
		const struct override *ov = by_key[hit->key];
		struct str value = value_of(x, hit, ov);
		struct str with = ov != NULL ? ov->json : (struct str){NULL, 0};

		if (hit->key == KEY_MODEL && model_in_body) {
			enum err e = model_value(x, value, &with, info);

			if (e != ERR_OK)
				return e;
		}
		if (hit->key == KEY_STREAM)
			x->wants_stream = json_is_true(value);
		if (ov != NULL)
			edits->overrides[edits->n_overrides++] =
			    (struct json_edit){hit->start, hit->end, ov->json};
		if (with.p != NULL)
			edits->v[edits->n++] = (struct json_edit){hit->start, hit->end, with};
	}
	return ERR_OK;
}

/* Overrides of members that the body does not have are added at its end. */
static enum err
add_missing(struct exchange *x, const struct json_top *top, const struct override *const *by_key,
	    size_t n_keys, struct edits *edits, struct errinfo *info)
{
	bool empty = top->empty;

	for (size_t k = 0; k < n_keys; k++) {
		const struct override *ov = by_key[k];
		struct str value;
		bool there = false;

		for (size_t i = 0; i < top->n_hits && !there; i++)
			there = top->hits[i].key == k;
		if (ov == NULL || there)
			continue;
		value = ov->json;
		if (k == KEY_MODEL && x->group->channel->model_in_body(x->path)) {
			enum err e = model_value(x, ov->json, &value, info);

			if (e != ERR_OK)
				return e;
		}
		if (k == KEY_STREAM)
			x->wants_stream = json_is_true(value);
		edits->overrides[edits->n_overrides++] =
		    json_addition(top, empty, ov->key, ov->json, x->arena);
		edits->v[edits->n++] = json_addition(top, empty, ov->key, value, x->arena);
		empty = false;
	}
	return ERR_OK;
}

static void
use_slices(struct exchange *x, struct str *slices, size_t n)
{
	size_t total = 0;
	char *p;

	for (size_t i = 0; i < n; i++)
		total += slices[i].n;
	x->slices = slices;
	x->n_slices = n;
	x->body_len = (int64_t)total;
	if (n < 2 || total > JOIN_BYTES)
		return;
	p = arena_alloc(x->arena, total);
	x->slices = arena_alloc(x->arena, sizeof(*x->slices));
	x->slices[0] = (struct str){p, total};
	x->n_slices = 1;
	for (size_t i = 0; i < n; i++) {
		memcpy(p, slices[i].p, slices[i].n);
		p += slices[i].n;
	}
}

/* The body for the row: with the overrides, and the model that was asked for. */
static void
keep_for_row(struct exchange *x, const struct edits *edits)
{
	struct str *slices;
	struct buf b;
	size_t n;

	if (!x->group->opt.log_bodies || edits->n_overrides == 0)
		return;
	slices = json_slices(x->req->body, edits->overrides, edits->n_overrides, x->arena, &n);
	buf_init(&b, LIMIT_LOG_REQUEST_BODY);
	for (size_t i = 0; i < n; i++)
		buf_add(&b, slices[i].p, MIN(slices[i].n, b.max - b.n));
	x->body_for_row = arena_str(x->arena, buf_view(&b));
	buf_done(&b);
}

static enum err
prepare_body(struct exchange *x, struct errinfo *info)
{
	const struct group *g = x->group;
	const struct override *by_key[KEY_OVERRIDES + LIMIT_OVERRIDES];
	struct str keys[KEY_OVERRIDES + LIMIT_OVERRIDES] = {
	    [KEY_MODEL] = STR("model"), [KEY_STREAM] = STR("stream")};
	size_t n = KEY_OVERRIDES;
	struct edits edits = {.n = 0};
	struct json_top top;
	enum err e;

	by_key[KEY_MODEL] = override_of(g, "model");
	by_key[KEY_STREAM] = override_of(g, "stream");
	for (size_t i = 0; i < g->n_overrides && i < LIMIT_OVERRIDES; i++) {
		const struct override *ov = &g->overrides[i];

		if (ov == by_key[KEY_MODEL] || ov == by_key[KEY_STREAM])
			continue;
		keys[n] = ov->key;
		by_key[n++] = ov;
	}
	e = json_scan(x->req->body, keys, n, x->arena, &top);
	if (e == ERR_TOO_LARGE)
		return err_set(info, ERR_VALIDATION,
			       "the body names the same member more than %d times",
			       LIMIT_JSON_EDITS);
	if (e != ERR_OK) {
		/* Not JSON, or compressed: it passes, unless only listed models may. */
		if (g->redirect_strict && has_model_rules(g) && g->channel->model_in_body(x->path))
			return err_set(
			    info, ERR_VALIDATION,
			    "only listed models are allowed, and this body cannot be looked into");
		return ERR_OK;
	}
	edits.v = arena_alloc(x->arena, (top.n_hits + n) * sizeof(*edits.v));
	edits.overrides = arena_alloc(x->arena, (top.n_hits + n) * sizeof(*edits.v));
	e = edit_hits(x, &top, by_key, &edits, info);
	if (e == ERR_OK)
		e = add_missing(x, &top, by_key, n, &edits, info);
	keep_for_row(x, &edits);
	if (e == ERR_OK && edits.n > 0) {
		size_t n_slices;
		struct str *slices =
		    json_slices(x->req->body, edits.v, edits.n, x->arena, &n_slices);

		use_slices(x, slices, n_slices);
	}
	return e;
}

enum err
body_prepare(struct exchange *x, struct errinfo *info)
{
	struct str accept = cgi_var(x->req->envp, "HTTP_ACCEPT");
	struct str stream;
	enum err e;

	if (x->prepared_for == x->group)
		return ERR_OK;
	x->model = (struct str){NULL, 0};
	x->wants_stream = false;
	x->body_for_row = x->req->body;
	use_slices(x, &x->req->body, x->req->body.n > 0 ? 1 : 0);
	e = prepare_path(x, info);
	if (e == ERR_OK && x->req->body.n > 0)
		e = prepare_body(x, info);
	if (e != ERR_OK)
		return e;
	if (x->group->channel->path_streams(x->path) || str_contains(accept, "text/event-stream") ||
	    (query_get(x->query, "stream", x->arena, &stream) && str_is(stream, "true")))
		x->wants_stream = true;
	x->prepared_for = x->group;
	return ERR_OK;
}
