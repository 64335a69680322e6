/* SPDX-License-Identifier: MIT
 *
 * Google's Gemini API: native (the model is in the path, and the path says whether
 * the answer streams), and its OpenAI-compatible path below v1beta/openai, which has
 * that API's shapes throughout.
 */
#include "lib/channel.h"
#include "lib/modellist.h"
#include "lib/openai.h"
#include "lib/vendor.h"

static const char *const usage_objects[] = {"usageMetadata", "usage", NULL};
static const char *const usage_prompt[] = {"promptTokenCount", "prompt_tokens", NULL};
static const char *const usage_completion[] = {"candidatesTokenCount", "completion_tokens", NULL};
static const char *const usage_cached[] = {"cachedContentTokenCount", "cached_tokens", NULL};
/* Counted apart; totalTokenCount has them all. */
static const char *const usage_prompt_parts[] = {"toolUsePromptTokenCount", NULL};
static const char *const usage_completion_parts[] = {"thoughtsTokenCount", NULL};

static const struct usage_names usage = {
    .objects = usage_objects,
    .prompt = usage_prompt,
    .completion = usage_completion,
    .cached = usage_cached,
    .prompt_parts = usage_prompt_parts,
    .completion_parts = usage_completion_parts,
};

/* --- paths --- */

static bool
is_openai(struct str path)
{
	return str_contains(path, "v1beta/openai");
}

/* Offset of the first colon, raw or encoded, from `from` on; s.n when there is none. */
static size_t
find_colon(struct str s, size_t from)
{
	for (size_t i = from; i < s.n; i++)
		if (s.p[i] == ':' || (s.n - i >= 3 && str_iis((struct str){s.p + i, 3}, "%3a")))
			return i;
	return s.n;
}

static bool
path_streams(struct str path)
{
	size_t at = find_colon(path, 0);
	size_t colon = at < path.n && path.p[at] == '%' ? 3 : 1;

	return str_is(str_from(path, at + colon), "streamGenerateContent");
}

/* The segment behind the first one that is "models", up to its colon. */
static struct str
path_model(struct str path)
{
	struct str segment;
	bool found = false;

	if (is_openai(path))
		return (struct str){NULL, 0};
	while (str_split(&path, '/', &segment)) {
		if (found && segment.n > 0)
			return (struct str){segment.p, find_colon(segment, 0)};
		found = str_is(segment, "models");
	}
	return (struct str){NULL, 0};
}

static bool
is_model_list(struct str path)
{
	static const char *const ends[] = {"/v1beta/models", "/v1alpha/models", "/v1/models",
					   "/v1beta/openai/models"};

	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		if (str_ends(path, ends[i]))
			return true;
	return str_is(path, "/models");
}

static void
authorize(struct headers *h, struct str path, struct str key, struct arena *arena)
{
	if (is_openai(path))
		openai_authorize(h, path, key, arena);
	else
		headers_set(h, STR("x-goog-api-key"), key);
}

/* --- errors --- */

static bool
blames_key(int status, struct str body)
{
	AUTO_VENDOR_ERROR struct vendor_error e = vendor_error_parse(body);

	return vendor_google_blames_key(status, &e);
}

static int64_t
reset_ms(const struct headers *h UNUSED, struct str body, int64_t now_ms)
{
	AUTO_VENDOR_ERROR struct vendor_error e = vendor_error_parse(body);
	int64_t wait_ms = vendor_google_retry_ms(&e);

	return wait_ms > 0 ? now_ms + wait_ms : 0;
}

/* google.rpc.Code */
static const char *
error_status(int status)
{
	switch (status) {
	case 401:
		return "UNAUTHENTICATED";
	case 403:
		return "PERMISSION_DENIED";
	case 404:
		return "NOT_FOUND";
	case 409:
		return "ABORTED";
	case 429:
		return "RESOURCE_EXHAUSTED";
	case 499:
		return "CANCELLED";
	case 501:
		return "UNIMPLEMENTED";
	case 502:
	case 503:
	case 529:
		return "UNAVAILABLE";
	case 504:
		return "DEADLINE_EXCEEDED";
	default:
		return status >= 500 ? "INTERNAL" : "INVALID_ARGUMENT";
	}
}

static void
error_body(struct buf *out, struct str path, int status, const char *code, const char *message)
{
	if (is_openai(path)) {
		openai_error_body(out, path, status, code, message);
		return;
	}
	buf_printf(out, "{\"error\":{\"code\":%d,\"message\":", status);
	buf_json(out, str_of(message));
	buf_printf(out, ",\"status\":\"%s\"}", error_status(status));
	vendor_error_end(out, code, message);
}

/* --- models --- */

static void
model_entry(struct buf *out, struct str model)
{
	AUTO_FREE char *name = xasprintf("models/" STR_FMT, STR_ARG(model));

	buf_cstr(out, "{\"name\":");
	buf_json(out, str_of(name));
	buf_cstr(out, ",\"displayName\":");
	buf_json(out, model);
	buf_cstr(out, ",\"supportedGenerationMethods\":[\"generateContent\"]}");
}

/* The sources are the whole list: no other page follows. */
static void
finish_models(struct modellist *m)
{
	for (size_t i = 0; m->strict && i < m->top.n_hits; i++)
		if (m->top.hits[i].key != 0)
			modellist_remove(m, &m->top.hits[i]);
}

static const struct modellist_shape models = {
    .array = "models",
    .id = "name",
    .id_prefix = "models/",
    .entry = model_entry,
    .others = {"nextPageToken"},
    .finish = finish_models,
};

static enum err
edit_models(struct str body, const struct group *g, struct str query, struct buf *out)
{
	enum err e = modellist_edit(&models, body, g, !vendor_query_has(query, "pageToken"), out);

	/* The compatible path lists in "data". */
	return e == ERR_INVALID_JSON ? openai_edit_models_prefixed(body, g, "models/", out) : e;
}

static void
validation_request(const struct group *g, struct buf *ret_path, struct buf *ret_body)
{
	struct str model = g->test_model;

	if (str_starts(model, "models/"))
		model = str_from(model, strlen("models/"));
	buf_cstr(ret_path, "/v1beta/models/");
	vendor_percent_encode(ret_path, model);
	buf_cstr(ret_path, ":generateContent");
	buf_cstr(ret_body, "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}]}");
}

/* A resumable upload goes on at the address in this header. The Python client goes
 * there, past us, as Google means it: the address is the permission. The Node client
 * replaces the host by its base URL's and keeps the path, so that there the path
 * must begin with ours. */
static struct str
client_header(const struct header *h, struct str prefix, struct str client, struct arena *arena)
{
	const char *scheme;
	const char *path;
	size_t before;

	if (!str_iis(h->name, "x-goog-upload-url") || !str_contains(client, "gl-node/"))
		return h->value;
	scheme = memmem(h->value.p, h->value.n, "://", 3);
	if (scheme == NULL)
		return h->value;
	before = (size_t)(scheme - h->value.p) + 3;
	path = memchr(h->value.p + before, '/', h->value.n - before);
	if (path == NULL)
		return h->value;
	before = (size_t)(path - h->value.p);
	return str_of(arena_printf(arena, STR_FMT STR_FMT STR_FMT, (int)before, h->value.p,
				   STR_ARG(prefix), STR_ARG(str_from(h->value, before))));
}

const struct channel channel_gemini = {
    .name = "gemini",
    .validation_path = "/v1beta/models/{test_model}:generateContent",
    .own_validation_path = true,
    .usage = &usage,
    .join = channel_join_plain,
    .authorize = authorize,
    .path_streams = path_streams,
    .heartbeat_allowed = is_openai,
    .path_model = path_model,
    .model_in_body = is_openai,
    .blames_key = blames_key,
    .reset_ms = reset_ms,
    .client_header = client_header,
    .error_body = error_body,
    .is_model_list = is_model_list,
    .edit_models = edit_models,
    .validation_request = validation_request,
};
