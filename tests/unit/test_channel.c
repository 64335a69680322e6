/* SPDX-License-Identifier: MIT
 *
 * channel: what each vendor's file says of paths, keys, errors and waiting, tried with
 * the bodies and headers that the vendors really send. Model lists: test_modellist.c.
 */
#include "lib/channel.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "lib/json.h"
#include "lib/limits.h"
#include "lib/str.h"

#define NOW_MS INT64_C(1760000000000) /* 2025-10-09T08:53:20Z */

static struct arena arena;

static int
setup(void **state)
{
	(void)state;
	arena_init(&arena, 4096);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	arena_done(&arena);
	return 0;
}

static const struct channel *
get(const char *name)
{
	const struct channel *c = channel_find(str_of(name));

	if (c == NULL)
		fail_msg("no channel %s", name);
	return c;
}

static void
lists_all(void **state)
{
	static const char *const names[] = {"anthropic", "gemini", "openai", "openai-response"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		assert_non_null(get(names[i]));
	for (size_t i = 0; channel_at(i) != NULL; i++)
		assert_ptr_equal(get(channel_at(i)->name), channel_at(i));
	assert_null(channel_find(STR("")));
	assert_null(channel_find(STR("openai_response")));
	assert_null(channel_at(1000));
}

static void
joins_paths(void **state)
{
	static const struct {
		const char *channel;
		const char *base;
		const char *path;
		const char *want;
	} cases[] = {
	    {"openai", "", "/v1/chat/completions", "/v1/chat/completions"},
	    {"openai", "", "/chat/completions", "/v1/chat/completions"},
	    {"openai", "", "/models", "/v1/models"},
	    {"openai", "", "/models/gpt-4.1%2Fx", "/v1/models/gpt-4.1%2Fx"},
	    {"openai", "", "/models?limit=1", "/v1/models?limit=1"},
	    {"openai", "", "/files/file-1/content", "/v1/files/file-1/content"},
	    {"openai", "", "/fine_tuning/jobs", "/v1/fine_tuning/jobs"},
	    {"openai", "", "/modelsx", "/modelsx"},
	    {"openai", "", "/chat", "/chat"},
	    {"openai", "", "/rerank", "/rerank"},
	    {"openai", "", "/api/chat/completions", "/api/chat/completions"},
	    {"openai", "", "/", "/"},
	    {"openai", "", "", ""},
	    {"openai", "/v1", "/chat/completions", "/v1/chat/completions"},
	    {"openai", "/v1", "/v1/chat/completions", "/v1/chat/completions"},
	    {"openai", "/v1", "/v1", "/v1"},
	    {"openai", "/v1", "/v1beta/x", "/v1/v1beta/x"},
	    {"openai", "/api/v1", "/v1/models", "/api/v1/models"},
	    {"openai", "/xv1", "/models", "/xv1/models"},
	    {"openai", "/api/paas/v4", "/chat/completions", "/api/paas/v4/chat/completions"},
	    {"openai", "/api/paas/v4", "/v1/x", "/api/paas/v4/v1/x"},
	    {"openai", "/openai/deployments/d", "/chat/completions",
	     "/openai/deployments/d/chat/completions"},
	    {"openai-response", "", "/responses", "/v1/responses"},
	    {"openai-response", "/v1", "/v1/responses/r/cancel", "/v1/responses/r/cancel"},
	    {"anthropic", "", "/v1/messages", "/v1/messages"},
	    {"anthropic", "/anthropic", "/v1/messages", "/anthropic/v1/messages"},
	    {"gemini", "", "/v1beta/models", "/v1beta/models"},
	    {"gemini", "", "/models", "/models"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct str got = get(cases[i].channel)
				     ->join(str_of(cases[i].base), str_of(cases[i].path), &arena);

		if (!str_is(got, cases[i].want))
			fail_msg("%s + %s: " STR_FMT, cases[i].base, cases[i].path, STR_ARG(got));
	}
}

static void
puts_the_key(void **state)
{
	static const struct {
		const char *channel;
		const char *path;
		const char *header;
		const char *value;
		size_t n;
	} cases[] = {
	    {"openai", "/v1/x", "authorization", "Bearer sk-1", 1},
	    {"openai-response", "/v1/x", "authorization", "Bearer sk-1", 1},
	    {"gemini", "/v1beta/models/m:generateContent", "x-goog-api-key", "sk-1", 1},
	    {"gemini", "/v1beta/openai/chat/completions", "authorization", "Bearer sk-1", 1},
	    {"anthropic", "/v1/messages", "x-api-key", "sk-1", 2},
	    {"anthropic", "/v1/messages", "anthropic-version", "2023-06-01", 2},
	};
	struct headers h;
	struct str v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		headers_init(&h, &arena);
		get(cases[i].channel)->authorize(&h, str_of(cases[i].path), STR("sk-1"), &arena);
		assert_true(headers_get(&h, cases[i].header, &v));
		assert_true(str_is(v, cases[i].value));
		assert_int_equal(h.n, cases[i].n);
	}
	headers_init(&h, &arena);
	headers_add(&h, STR("Anthropic-Version"), STR("2099-01-01"));
	get("anthropic")->authorize(&h, STR("/v1/messages"), STR("k"), &arena);
	assert_true(headers_get(&h, "anthropic-version", &v));
	assert_true(str_is(v, "2099-01-01"));
	assert_int_equal(h.n, 2);
}

static void
reads_paths(void **state)
{
	static const struct {
		const char *channel;
		const char *path;
		const char *model;
		bool streams;
		bool heartbeat;
		bool in_body;
		bool list;
	} cases[] = {
	    {"openai", "/v1/chat/completions", "", false, true, true, false},
	    {"openai", "/v1/models", "", false, true, true, true},
	    {"openai", "/models", "", false, true, true, true},
	    {"openai", "/v1/models/gpt-4", "", false, true, true, false},
	    {"openai", "/api/models", "", false, true, true, false},
	    {"openai-response", "/v1/models", "", false, true, true, true},
	    {"anthropic", "/v1/messages", "", false, true, true, false},
	    {"anthropic", "/v1/models", "", false, true, true, true},
	    {"gemini", "/v1beta/models/gemini-2.0-flash:generateContent", "gemini-2.0-flash", false,
	     false, false, false},
	    {"gemini", "/v1beta/models/gemini-2.0-flash:streamGenerateContent", "gemini-2.0-flash",
	     true, false, false, false},
	    {"gemini", "/v1beta/models/gemini-2.0-flash%3AstreamGenerateContent",
	     "gemini-2.0-flash", true, false, false, false},
	    {"gemini", "/v1beta/models/a%20b%3acountTokens", "a%20b", false, false, false, false},
	    {"gemini", "/v1/publishers/google/models/g:streamGenerateContent", "g", true, false,
	     false, false},
	    {"gemini", "/v1beta/models/g", "g", false, false, false, false},
	    {"gemini", "/v1beta/models", "", false, false, false, true},
	    {"gemini", "/v1beta/models/", "", false, false, false, false},
	    {"gemini", "/v1/models", "", false, false, false, true},
	    {"gemini", "/v1beta/tunedModels/x:generateContent", "", false, false, false, false},
	    {"gemini", "/v1beta/openai/chat/completions", "", false, true, true, false},
	    {"gemini", "/v1beta/openai/models", "", false, true, true, true},
	    {"gemini", "/v1beta/openai/v1/models", "", false, true, true, true},
	    {"gemini", "/v1beta/openai/models/gemini-2.0", "", false, true, true, false},
	    {"gemini", "/v1beta/models/x%3", "x%3", false, false, false, false},
	    {"gemini", "", "", false, false, false, false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct channel *c = get(cases[i].channel);
		struct str path = str_of(cases[i].path);

		if (!str_is(c->path_model(path), cases[i].model) ||
		    c->path_streams(path) != cases[i].streams ||
		    c->heartbeat_allowed(path) != cases[i].heartbeat ||
		    c->model_in_body(path) != cases[i].in_body ||
		    c->is_model_list(path) != cases[i].list)
			fail_msg("%s %s", cases[i].channel, cases[i].path);
	}
}

#define GOOGLE_DETAILS(reason)                                                                     \
	"\"details\":[{\"@type\":\"type.googleapis.com/"                                           \
	"google.rpc.ErrorInfo\",\"reason\":\"" reason                                              \
	"\",\"domain\":\"googleapis.com\",\"metadata\":{\"service\":"                              \
	"\"generativelanguage.googleapis.com\"}},{\"@type\":"                                      \
	"\"type.googleapis.com/google.rpc.LocalizedMessage\",\"locale\":\"en-US\"}]"
#define GOOGLE_ERROR(code, message, status, rest)                                                  \
	"{\"error\":{\"code\":" code ",\"message\":\"" message "\",\"status\":\"" status "\"" rest \
	"}}"
#define OPENAI_ERROR(message, type, code)                                                          \
	"{\"error\":{\"message\":\"" message "\",\"type\":\"" type                                 \
	"\",\"param\":null,\"code\":" code "}}"
#define ANTHROPIC_ERROR(type, message)                                                             \
	"{\"type\":\"error\",\"error\":{\"type\":\"" type "\",\"message\":\"" message              \
	"\"},\"request_id\":\"req_011\"}"

static const struct {
	const char *channel;
	int status;
	bool blames;
	const char *body;
} blames[] = {
    {"gemini", 500, false,
     GOOGLE_ERROR("500", "Internal", "INTERNAL", "," GOOGLE_DETAILS("API_KEY_INVALID"))},
    {"gemini", 400, true,
     GOOGLE_ERROR("400", "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT",
		  "," GOOGLE_DETAILS("API_KEY_INVALID"))},
    {"gemini", 400, true,
     GOOGLE_ERROR("400", "API key expired. Please renew the API key.", "INVALID_ARGUMENT",
		  "," GOOGLE_DETAILS("API_KEY_INVALID"))},
    {"gemini", 400, true,
     "[" GOOGLE_ERROR("400", "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT",
		      "") "]"},
    {"gemini", 400, false,
     GOOGLE_ERROR("400",
		  "Invalid value at 'contents[0].parts[0].text', \\\"API key not "
		  "valid API_KEY_INVALID\\\"",
		  "INVALID_ARGUMENT",
		  ",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.BadRequest\","
		  "\"fieldViolations\":[{\"description\":\"API_KEY_INVALID\"}]}]")},
    {"gemini", 400, false,
     GOOGLE_ERROR("400", "User location is not supported for the API use.", "FAILED_PRECONDITION",
		  "")},
    {"gemini", 429, false,
     GOOGLE_ERROR("429", "Resource has been exhausted (e.g. check quota).", "RESOURCE_EXHAUSTED",
		  "")},
    {"gemini", 503, false,
     GOOGLE_ERROR("503", "The model is overloaded. Please try again later.", "UNAVAILABLE", "")},
    {"openai", 429, true,
     OPENAI_ERROR("You exceeded your current quota, please check your plan and billing "
		  "details.",
		  "insufficient_quota", "\"insufficient_quota\"")},
    {"openai", 429, true,
     OPENAI_ERROR("You exceeded your current quota", "insufficient_quota", "null")},
    {"openai", 400, true,
     OPENAI_ERROR("Billing hard limit has been reached", "invalid_request_error",
		  "\"billing_hard_limit_reached\"")},
    {"openai", 429, true,
     OPENAI_ERROR("Your account is not active, please check your billing details on our "
		  "website.",
		  "billing_not_active", "\"billing_not_active\"")},
    {"openai", 429, false,
     OPENAI_ERROR("Rate limit reached for gpt-4o in organization org-1 on tokens per min "
		  "(TPM): Limit 30000, Used 29000. Please try again in 6ms.",
		  "tokens", "\"rate_limit_exceeded\"")},
    {"openai", 400, false,
     OPENAI_ERROR("Invalid value: 'insufficient_quota'.", "invalid_request_error",
		  "\"invalid_value\"")},
    {"openai", 500, false,
     OPENAI_ERROR("insufficient_quota", "insufficient_quota", "\"insufficient_quota\"")},
    {"openai", 400, true,
     "{\"code\":\"Client specified an invalid argument\",\"error\":\"Incorrect API key "
     "provided: xa***3f. You can obtain an API key from https://console.x.ai.\"}"},
    {"openai", 400, false,
     "{\"code\":\"Client specified an invalid argument\",\"error\":\"The model expects a "
     "single `text` element per message.\"}"},
    {"openai", 400, true,
     "[" GOOGLE_ERROR("400", "API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT",
		      "," GOOGLE_DETAILS("API_KEY_INVALID")) "]"},
    {"openai", 429, false, "insufficient_quota"},
    {"openai", 429, false, ""},
    {"openai", 429, false, "{\"error\":{\"code\":429,\"type\":[\"insufficient_quota\"]}}"},
    {"openai-response", 429, true,
     OPENAI_ERROR("You exceeded your current quota", "insufficient_quota",
		  "\"insufficient_quota\"")},
    {"anthropic", 400, true,
     ANTHROPIC_ERROR(
	 "invalid_request_error",
	 "Your credit balance is too low to access the Anthropic API. Please go to Plans & "
	 "Billing to upgrade or purchase credits.")},
    {"anthropic", 400, true,
     ANTHROPIC_ERROR("invalid_request_error", "This organization has been disabled.")},
    {"anthropic", 400, false,
     ANTHROPIC_ERROR("invalid_request_error",
		     "messages.0.content: \\\"Your credit balance is too low\\\" is not a list")},
    {"anthropic", 429, false,
     ANTHROPIC_ERROR(
	 "rate_limit_error",
	 "This request would exceed your organization's rate limit of 50,000 input tokens "
	 "per minute.")},
    {"anthropic", 529, false, ANTHROPIC_ERROR("overloaded_error", "Overloaded")},
};

static void
knows_whom_to_blame(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(blames); i++)
		if (get(blames[i].channel)->blames_key(blames[i].status, str_of(blames[i].body)) !=
		    blames[i].blames)
			fail_msg("%s %d %s", blames[i].channel, blames[i].status, blames[i].body);
}

#define RETRY_INFO(delay)                                                                          \
	",\"details\":[{\"@type\":\"type.googleapis.com/"                                          \
	"google.rpc.QuotaFailure\",\"violations\":[]},"                                            \
	"{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"" delay "\"}]"
#define GOOGLE_429(delay)                                                                          \
	GOOGLE_ERROR("429", "You exceeded your current quota", "RESOURCE_EXHAUSTED",               \
		     RETRY_INFO(delay))

/* wait_ms from NOW_MS; headers as "name: value\n…". */
static const struct {
	const char *channel;
	const char *headers;
	const char *body;
	int64_t wait_ms;
} waits[] = {
    {"openai", "", "", 0},
    {"openai", "Retry-After: 20\n", "", 20000},
    {"openai", "retry-after: 1.5\n", "", 1500},
    {"openai", "retry-after: 0\n", "", 0},
    {"openai", "retry-after: -5\n", "", 0},
    {"openai", "retry-after: soon\n", "", 0},
    {"openai", "retry-after: \n", "", 0},
    {"openai", "retry-after: 99999999999999999999\n", "", 0},
    {"openai", "retry-after: 999999999999h999999999999h999999999999h\n", "", 0},
    {"openai", "retry-after: 86400\n", "", 3600000},
    {"openai", "retry-after: 3\nretry-after-ms: 2500\n", "", 2500},
    {"openai", "retry-after: Thu, 09 Oct 2025 08:53:50 GMT\n", "", 30000},
    {"openai", "retry-after: Thu, 09 Oct 2025 08:53:10 GMT\n", "", 0},
    {"openai", "retry-after: Thu, 09 Oct 2025 08:53:50 GMT and more than fits into it\n", "", 0},
    {"openai", "x-ratelimit-reset-requests: 1s\nx-ratelimit-reset-tokens: 6m0s\n", "", 360000},
    {"openai",
     "x-ratelimit-remaining-requests: 0\nx-ratelimit-reset-requests: 20ms\n"
     "x-ratelimit-remaining-tokens: 5\nx-ratelimit-reset-tokens: 6m0s\n",
     "", 20},
    {"openai",
     "x-ratelimit-remaining-requests: 100\nx-ratelimit-reset-requests: 1s\n"
     "x-ratelimit-remaining-tokens: 0\nx-ratelimit-reset-tokens: 2m59.56s\n",
     "", 179560},
    {"openai", "x-ratelimit-reset-requests: 8h0m\n", "", 3600000},
    {"openai", "x-ratelimit-reset-tokens: 1h2m3\n", "", 0},
    {"openai", "x-ratelimit-reset-tokens: 7 apples\n", "", 0},
    {"openai", "x-ratelimit-reset-tokens: 7\n", "", 7000},
    {"openai", "", "[" GOOGLE_429("27s") "]", 27000},
    {"openai-response", "x-ratelimit-reset-requests: 12ms\n", "", 12},
    {"anthropic", "anthropic-ratelimit-requests-reset: 2025-10-09T08:53:25Z\n", "", 5000},
    {"anthropic",
     "anthropic-ratelimit-requests-remaining: 3\n"
     "anthropic-ratelimit-requests-reset: 2025-10-09T08:53:25Z\n"
     "anthropic-ratelimit-input-tokens-remaining: 0\n"
     "anthropic-ratelimit-input-tokens-reset: 2025-10-09T10:54:20.25+02:00\n"
     "anthropic-ratelimit-output-tokens-remaining: 0\n"
     "anthropic-ratelimit-output-tokens-reset: 2025-10-09T08:53:30Z\n",
     "", 60250},
    {"anthropic",
     "anthropic-ratelimit-tokens-remaining: 9\n"
     "anthropic-ratelimit-tokens-reset: 2025-10-09T08:55:00Z\n"
     "anthropic-ratelimit-requests-remaining: 9\n"
     "anthropic-ratelimit-requests-reset: 2025-10-09T08:53:25Z\n",
     "", 5000},
    {"anthropic", "anthropic-ratelimit-requests-reset: 2025-10-09T08:53:15Z\n", "", 0},
    {"anthropic", "anthropic-ratelimit-requests-reset: 2025-10-09 08:53:25\n", "", 0},
    {"anthropic", "anthropic-ratelimit-requests-reset: 2025-10-09T08:53:25\n", "", 0},
    {"anthropic", "anthropic-ratelimit-requests-reset: 2025-10-09T08:53:25+2\n", "", 0},
    {"anthropic", "retry-after: 9\nanthropic-ratelimit-requests-reset: 2025-10-09T08:53:25Z\n", "",
     9000},
    {"gemini", "", GOOGLE_429("27s"), 27000},
    {"gemini", "", GOOGLE_429("27.834512s"), 27834},
    {"gemini", "", "[" GOOGLE_429("5s") "]", 5000},
    {"gemini", "", GOOGLE_429("0s"), 0},
    {"gemini", "", GOOGLE_429("later"), 0},
    {"gemini", "", GOOGLE_ERROR("429", "Quota", "RESOURCE_EXHAUSTED", ""), 0},
    {"gemini", "retry-after: 4\n", GOOGLE_429("27s"), 4000},
    {"gemini", "", "not JSON", 0},
};

static void
reads_times_to_wait(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		struct str rest = str_of(waits[i].headers);
		struct str line;
		struct headers h;
		int64_t until;

		headers_init(&h, &arena);
		while (str_split(&rest, '\n', &line)) {
			const char *colon = memchr(line.p, ':', line.n);

			if (colon != NULL)
				headers_add(&h, (struct str){line.p, (size_t)(colon - line.p)},
					    str_from(line, (size_t)(colon - line.p) + 2));
		}
		until =
		    channel_rest_until(get(waits[i].channel), &h, str_of(waits[i].body), NOW_MS);
		if (until != (waits[i].wait_ms > 0 ? NOW_MS + waits[i].wait_ms : 0))
			fail_msg("%s %s: %lld", waits[i].channel, waits[i].headers,
				 (long long)(until - NOW_MS));
	}
}

static void
writes_error_bodies(void **state)
{
#define OURS ",\"code\":\"C\",\"message\":\"a \\\"b\\\"\"}"
	static const struct {
		const char *channel;
		const char *path;
		int status;
		const char *want;
	} cases[] = {
	    {"openai", "/v1/x", 401,
	     "{\"error\":{\"message\":\"a \\\"b\\\"\",\"type\":\"authentication_error\","
	     "\"param\":null,\"code\":\"C\"}" OURS},
	    {"openai-response", "/v1/x", 503,
	     "{\"error\":{\"message\":\"a \\\"b\\\"\",\"type\":\"server_error\","
	     "\"param\":null,\"code\":\"C\"}" OURS},
	    {"anthropic", "/v1/messages", 413,
	     "{\"type\":\"error\",\"error\":{\"type\":\"request_too_large\","
	     "\"message\":\"a \\\"b\\\"\"}" OURS},
	    {"gemini", "/v1beta/models/m:generateContent", 429,
	     "{\"error\":{\"code\":429,\"message\":\"a \\\"b\\\"\","
	     "\"status\":\"RESOURCE_EXHAUSTED\"}" OURS},
	    {"gemini", "/v1beta/openai/chat/completions", 429,
	     "{\"error\":{\"message\":\"a \\\"b\\\"\",\"type\":\"rate_limit_error\","
	     "\"param\":null,\"code\":\"C\"}" OURS},
	};
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		buf_clear(&b);
		get(cases[i].channel)
		    ->error_body(&b, str_of(cases[i].path), cases[i].status, "C", "a \"b\"");
		assert_string_equal(buf_text(&b), cases[i].want);
	}
	/* Every error of ours gives a JSON object, whatever the channel. */
	for (size_t c = 0; channel_at(c) != NULL; c++) {
		for (enum err e = ERR_BAD_REQUEST; e < ERR__MAX; e++) {
			struct json_object *obj;

			buf_clear(&b);
			channel_at(c)->error_body(&b, STR("/"), err_status(e), err_code(e),
						  err_message(e));
			assert_int_equal(json_parse(buf_view(&b), &obj, NULL), ERR_OK);
			assert_true(json_has(obj, "error") && json_has(obj, "code"));
			json_done(obj);
		}
	}
	buf_done(&b);
}

static void
asks_for_validation(void **state)
{
	static const struct {
		const char *channel;
		const char *model;
		const char *endpoint;
		const char *path;
		const char *body;
	} cases[] = {
	    {"openai", "gpt", "", "/v1/chat/completions",
	     "{\"model\":\"gpt\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"},
	    {"openai", "g\"t", "/chat?api-version=1", "/chat?api-version=1",
	     "{\"model\":\"g\\\"t\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"},
	    {"openai-response", "gpt", "", "/v1/responses", "{\"model\":\"gpt\",\"input\":\"hi\"}"},
	    {"anthropic", "claude", "", "/v1/messages",
	     "{\"model\":\"claude\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],"
	     "\"max_tokens\":100}"},
	    {"gemini", "gemini-2.0", "/ignored", "/v1beta/models/gemini-2.0:generateContent",
	     "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}]}"},
	    {"gemini", "models/a b/\xC3\xA9", "", "/v1beta/models/a%20b%2F%C3%A9:generateContent",
	     "{\"contents\":[{\"role\":\"user\",\"parts\":[{\"text\":\"hi\"}]}]}"},
	};
	struct buf path;
	struct buf body;

	(void)state;
	buf_init(&path, 1000);
	buf_init(&body, 1000);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct group g = {
		    .test_model = str_of(cases[i].model),
		    .validation_endpoint = str_of(cases[i].endpoint),
		};

		buf_clear(&path);
		buf_clear(&body);
		get(cases[i].channel)->validation_request(&g, &path, &body);
		assert_string_equal(buf_text(&path), cases[i].path);
		assert_string_equal(buf_text(&body), cases[i].body);
	}
	buf_done(&path);
	buf_done(&body);
}

static void
finds_error_messages(void **state)
{
	static const struct {
		const char *body;
		const char *want;
	} cases[] = {
	    {"{\"error\":{\"message\":\" bad key \"},\"message\":\"x\"}", "bad key"},
	    {"{\"error\":{\"message\":\" \"},\"error_msg\":\"m\"}", "m"},
	    {"{\"error\":\"text\",\"message\":\"x\"}", "text"},
	    {"{\"error\":{\"code\":1},\"message\":\"x\"}", "x"},
	    {"[{\"error\":{\"message\":\"in an array\"}}]", "in an array"},
	    {"{\"error\":{\"message\":\"a\\u0000b\\u00e9\"}}", "a\xEF\xBF\xBD"
							       "b\xC3\xA9"},
	    {"{\"other\":1}", "{\"other\":1}"},
	    {"  <html>Bad Gateway</html>\n", "<html>Bad Gateway</html>"},
	    {"bad \xFF utf\xC3", "bad \xEF\xBF\xBD utf\xEF\xBF\xBD"},
	    {"[]", "[]"},
	    {"", ""},
	};
	char *longer = malloc(5000);

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_string_equal(channel_error_message(str_of(cases[i].body), &arena).p,
				    cases[i].want);
	assert_non_null(longer);
	memset(longer, 'a', 5000);
	/* Who cuts it redacts it first. */
	assert_int_equal(channel_error_message((struct str){longer, 5000}, &arena).n, 5000);
	free(longer);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(lists_all),
	    cmocka_unit_test(joins_paths),
	    cmocka_unit_test(puts_the_key),
	    cmocka_unit_test(reads_paths),
	    cmocka_unit_test(knows_whom_to_blame),
	    cmocka_unit_test(reads_times_to_wait),
	    cmocka_unit_test(writes_error_bodies),
	    cmocka_unit_test(asks_for_validation),
	    cmocka_unit_test(finds_error_messages),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
