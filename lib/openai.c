/* SPDX-License-Identifier: MIT
 *
 * OpenAI's API and its relatives. Where a relative answers in a way of its own
 * (xAI's 400 for a bad key, Google's errors behind the compatible path), that is
 * understood here too, since such upstreams stand in ordinary openai groups.
 */
#include "lib/openai.h"

#include "lib/modellist.h"
#include "lib/vendor.h"

static const char *const usage_objects[] = {"usage", NULL};
/* Chat names, then those of the Responses API, images and transcriptions. */
static const char *const usage_prompt[] = {"prompt_tokens", "input_tokens", NULL};
static const char *const usage_completion[] = {"completion_tokens", "output_tokens", NULL};
/* The second is DeepSeek's. */
static const char *const usage_cached[] = {"cached_tokens", "prompt_cache_hit_tokens", NULL};

const struct usage_names openai_usage = {
    .objects = usage_objects,
    .prompt = usage_prompt,
    .completion = usage_completion,
    .cached = usage_cached,
};

/* --- paths --- */

/* First segments of the paths below https://api.openai.com/v1. */
static const char *const endpoints[] = {
    "assistants",    "audio",       "batches",       "chat/completions", "chatkit",
    "completions",   "containers",  "conversations", "embeddings",       "evals",
    "files",         "fine_tuning", "images",        "models",           "moderations",
    "organization",  "realtime",    "responses",     "threads",          "uploads",
    "vector_stores", "videos",
};

/* Is `prefix` the start of the path, up to the end of a segment. */
static bool
starts_segment(struct str path, const char *prefix)
{
	size_t n;

	if (path.n == 0 || path.p[0] != prefix[0])
		return false;
	n = strlen(prefix);
	return str_starts(path, prefix) && (path.n == n || path.p[n] == '/' || path.p[n] == '?');
}

static bool
is_endpoint(struct str path)
{
	if (!str_starts(path, "/"))
		return false;
	path = str_from(path, 1);
	for (size_t i = 0; i < ARRAY_LEN(endpoints); i++)
		if (starts_segment(path, endpoints[i]))
			return true;
	return false;
}

struct str
openai_join(struct str base_path, struct str path, struct arena *arena)
{
	if (base_path.n == 0 && is_endpoint(path))
		return channel_join_plain(STR("/v1"), path, arena);
	if (str_ends(base_path, "/v1") && starts_segment(path, "/v1"))
		path = str_from(path, strlen("/v1"));
	return channel_join_plain(base_path, path, arena);
}

bool
openai_is_model_list(struct str path)
{
	return str_is(path, "/models") || str_ends(path, "/v1/models");
}

void
openai_authorize(struct headers *h, struct str path UNUSED, struct str key, struct arena *arena)
{
	char *value = ARENA_CONCAT(arena, STR("Bearer "), key);

	headers_set(h, STR("Authorization"), str_of(value));
}

/* --- errors --- */

bool
openai_blames_key(int status, struct str body)
{
	static const char *const codes[] = {"insufficient_quota", "billing_hard_limit_reached",
					    "billing_not_active", "account_deactivated",
					    "invalid_api_key",    NULL};

	if (status != 400 && status != 429)
		return false;
	AUTO_VENDOR_ERROR struct vendor_error e = vendor_error_parse(body);
	if (vendor_is_one_of(vendor_text(e.error, "code"), codes) ||
	    vendor_is_one_of(vendor_text(e.error, "type"), codes))
		return true;
	/* xAI: {"code":"Client specified an invalid argument","error":"Incorrect API…"} */
	if (status == 400 && str_starts(vendor_text(e.top, "error"), "Incorrect API key provided"))
		return true;
	return vendor_google_blames_key(status, &e);
}

static bool
parse_reset(struct str value, int64_t now_ms, int64_t *ret)
{
	int64_t ms;

	if (!vendor_duration_ms(value, &ms))
		return false;
	*ret = now_ms + ms;
	return true;
}

int64_t
openai_reset_ms(const struct headers *h, struct str body, int64_t now_ms)
{
	static const struct vendor_limit limits[] = {
	    {"x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"},
	    {"x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"},
	};
	int64_t at = vendor_limits_reset(h, limits, ARRAY_LEN(limits), parse_reset, true, now_ms);
	AUTO_VENDOR_ERROR struct vendor_error e = vendor_error_parse(body);
	int64_t wait_ms = vendor_google_retry_ms(&e);

	return at == 0 && wait_ms > 0 ? now_ms + wait_ms : at;
}

static const char *
error_type(int status)
{
	switch (status) {
	case 401:
		return "authentication_error";
	case 403:
		return "permission_error";
	case 429:
		return "rate_limit_error";
	default:
		return status >= 500 ? "server_error" : "invalid_request_error";
	}
}

void
openai_error_body(struct buf *out, struct str path UNUSED, int status, const char *code,
		  const char *message)
{
	buf_cstr(out, "{\"error\":{\"message\":");
	buf_json(out, str_of(message));
	buf_printf(out, ",\"type\":\"%s\",\"param\":null,\"code\":", error_type(status));
	buf_json(out, str_of(code));
	buf_char(out, '}');
	vendor_error_end(out, code, message);
}

/* --- models --- */

static void
model_entry(struct buf *out, struct str model)
{
	buf_cstr(out, "{\"id\":");
	buf_json(out, model);
	buf_cstr(out, ",\"object\":\"model\",\"created\":0,\"owned_by\":\"system\"}");
}

enum err
openai_edit_models_prefixed(struct str body, const struct group *g, const char *id_prefix,
			    struct buf *out)
{
	const struct modellist_shape shape = {
	    .array = "data",
	    .id = "id",
	    .id_prefix = id_prefix,
	    .entry = model_entry,
	};

	return modellist_edit(&shape, body, g, true, out);
}

enum err
openai_edit_models(struct str body, const struct group *g, struct str query UNUSED, struct buf *out)
{
	return openai_edit_models_prefixed(body, g, "", out);
}
