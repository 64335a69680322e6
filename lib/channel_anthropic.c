/* SPDX-License-Identifier: MIT
 *
 * Anthropic's Messages API. Input read from or written to its cache is counted apart
 * from input_tokens; message_start has the first counts of a stream and message_delta
 * running totals.
 */
#include "lib/channel.h"
#include "lib/modellist.h"
#include "lib/vendor.h"

#define VALIDATION_PATH "/v1/messages"

static const char *const usage_objects[] = {"usage", NULL};
/* The second name of each is that of the OpenAI-compatible endpoint. */
static const char *const usage_prompt[] = {"input_tokens", "prompt_tokens", NULL};
static const char *const usage_completion[] = {"output_tokens", "completion_tokens", NULL};
static const char *const usage_cached[] = {"cache_read_input_tokens", NULL};
static const char *const usage_prompt_parts[] = {"cache_read_input_tokens",
						 "cache_creation_input_tokens", NULL};

static const struct usage_names usage = {
    .objects = usage_objects,
    .prompt = usage_prompt,
    .completion = usage_completion,
    .cached = usage_cached,
    .prompt_parts = usage_prompt_parts,
};

static void
authorize(struct headers *h, struct str path UNUSED, struct str key, struct arena *arena UNUSED)
{
	struct str version;

	headers_set(h, STR("x-api-key"), key);
	if (!headers_get(h, "anthropic-version", &version))
		headers_add(h, STR("anthropic-version"), STR("2023-06-01"));
}

/* --- errors --- */

/* An account that is out of credit, or shut, answers 400 whatever is asked of it. The
 * start of the message tells: it is the vendor's own text, where a client's may follow. */
static bool
blames_key(int status, struct str body)
{
	static const char *const messages[] = {"Your credit balance is too low",
					       "This organization has been disabled",
					       "You have reached your specified API usage limits"};
	AUTO_VENDOR_ERROR struct vendor_error e = vendor_error_parse(body);
	struct str message = vendor_text(e.error, "message");

	if (status != 400 || !str_is(vendor_text(e.error, "type"), "invalid_request_error"))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(messages); i++)
		if (str_starts(message, messages[i]))
			return true;
	return false;
}

static bool
parse_reset(struct str value, int64_t now_ms UNUSED, int64_t *ret)
{
	return vendor_rfc3339_ms(value, ret);
}

static int64_t
reset_ms(const struct headers *h, struct str body UNUSED, int64_t now_ms)
{
	static const struct vendor_limit limits[] = {
	    {"anthropic-ratelimit-requests-remaining", "anthropic-ratelimit-requests-reset"},
	    {"anthropic-ratelimit-tokens-remaining", "anthropic-ratelimit-tokens-reset"},
	    {"anthropic-ratelimit-input-tokens-remaining",
	     "anthropic-ratelimit-input-tokens-reset"},
	    {"anthropic-ratelimit-output-tokens-remaining",
	     "anthropic-ratelimit-output-tokens-reset"},
	};

	return vendor_limits_reset(h, limits, ARRAY_LEN(limits), parse_reset, false, now_ms);
}

static const char *
error_type(int status)
{
	switch (status) {
	case 401:
		return "authentication_error";
	case 403:
		return "permission_error";
	case 404:
		return "not_found_error";
	case 413:
		return "request_too_large";
	case 429:
		return "rate_limit_error";
	case 504:
		return "timeout_error";
	case 529:
		return "overloaded_error";
	default:
		return status >= 500 ? "api_error" : "invalid_request_error";
	}
}

static void
error_body(struct buf *out, struct str path UNUSED, int status, const char *code,
	   const char *message)
{
	buf_printf(
	    out, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":", error_type(status));
	buf_json(out, str_of(message));
	buf_char(out, '}');
	vendor_error_end(out, code, message);
}

/* --- models --- */

static bool
is_model_list(struct str path)
{
	return str_is(path, "/models") || str_ends(path, "/v1/models");
}

/* The epoch is what Anthropic gives for a model whose release date is not known. */
static void
model_entry(struct buf *out, struct str model)
{
	buf_cstr(out, "{\"type\":\"model\",\"id\":");
	buf_json(out, model);
	buf_cstr(out, ",\"display_name\":");
	buf_json(out, model);
	buf_cstr(out, ",\"created_at\":\"1970-01-01T00:00:00Z\"}");
}

enum {
	KEY_HAS_MORE = 1,
	KEY_FIRST_ID,
	KEY_LAST_ID
};

/* While there are more pages, last_id is the cursor to them: it stays the vendor's. */
static void
finish_models(struct modellist *m)
{
	bool more = false;

	for (size_t i = 0; i < m->top.n_hits; i++) {
		const struct json_hit *hit = &m->top.hits[i];

		if (hit->key == KEY_HAS_MORE)
			more = json_is_true(
			    (struct str){m->body.p + hit->start, hit->end - hit->start});
	}
	for (size_t i = 0; i < m->top.n_hits; i++) {
		const struct json_hit *hit = &m->top.hits[i];

		if (hit->key == KEY_HAS_MORE && m->strict)
			modellist_replace(m, hit, STR("false"));
		else if (hit->key == KEY_FIRST_ID && (m->strict || (m->was_empty && m->appended)))
			modellist_replace(m, hit, m->first_id);
		else if (hit->key == KEY_LAST_ID && (m->strict || (!more && m->appended)))
			modellist_replace(m, hit, m->last_id);
	}
}

static const struct modellist_shape models = {
    .array = "data",
    .id = "id",
    .id_prefix = "",
    .entry = model_entry,
    .others = {"has_more", "first_id", "last_id"},
    .finish = finish_models,
};

static enum err
edit_models(struct str body, const struct group *g, struct str query, struct buf *out)
{
	bool first_page =
	    !vendor_query_has(query, "after_id") && !vendor_query_has(query, "before_id");

	return modellist_edit(&models, body, g, first_page, out);
}

static void
validation_request(const struct group *g, struct buf *ret_path, struct buf *ret_body)
{
	if (g->validation_endpoint.n > 0)
		buf_str(ret_path, g->validation_endpoint);
	else
		buf_cstr(ret_path, VALIDATION_PATH);
	buf_cstr(ret_body, "{\"model\":");
	buf_json(ret_body, g->test_model);
	buf_cstr(ret_body,
		 ",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"max_tokens\":100}");
}

const struct channel channel_anthropic = {
    .name = "anthropic",
    .validation_path = VALIDATION_PATH,
    .usage = &usage,
    .join = channel_join_plain,
    .authorize = authorize,
    .path_streams = vendor_path_never,
    .heartbeat_allowed = vendor_path_always,
    .path_model = vendor_path_no_model,
    .model_in_body = vendor_path_always,
    .blames_key = blames_key,
    .reset_ms = reset_ms,
    .error_body = error_body,
    .is_model_list = is_model_list,
    .edit_models = edit_models,
    .validation_request = validation_request,
};
