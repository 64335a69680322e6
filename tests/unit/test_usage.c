/* SPDX-License-Identifier: MIT
 *
 * usage: the numbers in answers as the vendors send them, wherever the chunks are cut,
 * plain and compressed, and what must not be taken for a number of ours.
 */
#include "lib/usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include <zlib.h>

#include "lib/channel.h"
#include "lib/limits.h"
#include "lib/str.h"

struct sample {
	const char *what;
	const char *channel;
	enum usage_form form;
	struct usage want;
	const char *text;
};

static const struct sample samples[] = {
    {"OpenAI chat",
     "openai",
     USAGE_JSON,
     {19, 10, 7},
     "{\n  \"id\": \"chatcmpl-B9\",\n  \"object\": \"chat.completion\",\n  \"created\": "
     "1741569952,\n"
     "  \"model\": \"gpt-4.1-2025-04-14\",\n  \"choices\": [\n    {\"index\": 0, \"message\": "
     "{\"role\": \"assistant\", \"content\": \"He said \\\"usage\\\": {\\\"prompt_tokens\\\": "
     "99}\","
     " \"refusal\": null, \"annotations\": []}, \"logprobs\": null, \"finish_reason\": \"stop\"}\n"
     "  ],\n  \"usage\": {\n    \"prompt_tokens\": 19,\n    \"completion_tokens\": 10,\n"
     "    \"total_tokens\": 29,\n    \"prompt_tokens_details\": {\n      \"cached_tokens\": 7,\n"
     "      \"audio_tokens\": 0\n    },\n    \"completion_tokens_details\": {\n"
     "      \"reasoning_tokens\": 0,\n      \"accepted_prediction_tokens\": 0,\n"
     "      \"prompt_tokens\": 5\n    }\n  },\n  \"service_tier\": \"default\"\n}\n"},
    {"OpenAI chat stream",
     "openai",
     USAGE_SSE,
     {8, 2, 0},
     "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,"
     "\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}"
     "\n\n"
     "data: {\"id\":\"chatcmpl-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}],"
     "\"usage\":null}\n\n"
     "data: {\"id\":\"chatcmpl-1\",\"choices\":[],\"usage\":{\"prompt_tokens\":8,"
     "\"completion_tokens\":2,\"total_tokens\":10,\"prompt_tokens_details\":{\"cached_tokens\":0,"
     "\"audio_tokens\":0}}}\n\ndata: [DONE]\n\n"},
    {"OpenAI chat stream without counts",
     "openai",
     USAGE_SSE,
     {-1, -1, -1},
     "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"}}]}\n\ndata: [DONE]\n\n"},
    {"OpenAI embeddings",
     "openai",
     USAGE_JSON,
     {5, -1, -1},
     "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,\"embedding\":"
     "[-0.006929283,-0.005336422,1e-5]}],\"model\":\"text-embedding-3-small\","
     "\"usage\":{\"prompt_tokens\":5,\"total_tokens\":5}}"},
    {"OpenAI responses",
     "openai-response",
     USAGE_JSON,
     {36, 87, 12},
     "{\"id\":\"resp_67\",\"object\":\"response\",\"status\":\"completed\",\"output\":[{\"type\":"
     "\"message\",\"content\":[{\"type\":\"output_text\",\"text\":\"x\",\"annotations\":[]}]}],"
     "\"tools\":[{\"type\":\"function\",\"parameters\":{\"properties\":{\"usage\":{\"input_"
     "tokens\":1}}}}],"
     "\"usage\":{\"input_tokens\":36,\"input_tokens_details\":{\"cached_tokens\":12},"
     "\"output_tokens\":87,\"output_tokens_details\":{\"reasoning_tokens\":0},\"total_tokens\":123}"
     ","
     "\"user\":null,\"metadata\":{}}"},
    {"OpenAI responses stream",
     "openai-response",
     USAGE_SSE,
     {37, 11, 0},
     "event: response.created\ndata: "
     "{\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\","
     "\"usage\":null}}\n\n"
     "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\","
     "\"delta\":\"Hi\"}\n\n"
     "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":"
     "\"resp_1\",\"output\":[],\"usage\":{\"input_tokens\":37,\"input_tokens_details\":"
     "{\"cached_tokens\":0},\"output_tokens\":11,\"output_tokens_details\":{\"reasoning_tokens\":0}"
     ","
     "\"total_tokens\":48}}}\n\n"},
    {"DeepSeek",
     "openai",
     USAGE_JSON,
     {70, 20, 64},
     "{\"choices\":[],\"usage\":{\"prompt_tokens\":70,\"completion_tokens\":20,\"total_tokens\":90,"
     "\"prompt_cache_hit_tokens\":64,\"prompt_cache_miss_tokens\":6}}"},
    {"Moonshot stream, in the choice",
     "openai",
     USAGE_SSE,
     {19, 13, -1},
     "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\",\"usage\":"
     "{\"prompt_tokens\":19,\"completion_tokens\":13,\"total_tokens\":32}}]}\n\ndata: [DONE]\n\n"},
    {"Anthropic",
     "anthropic",
     USAGE_JSON,
     {2095 + 30 + 400, 503, 400},
     "{\"id\":\"msg_01\",\"type\":\"message\",\"role\":\"assistant\",\"content\":[{\"type\":"
     "\"tool_use\",\"id\":\"toolu_1\",\"name\":\"bill\",\"input\":{\"usage\":{\"input_tokens\":1,"
     "\"output_tokens\":2}}}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":2095,"
     "\"cache_creation_input_tokens\":30,\"cache_read_input_tokens\":400,\"cache_creation\":"
     "{\"ephemeral_5m_input_tokens\":30,\"ephemeral_1h_input_tokens\":0},\"output_tokens\":503,"
     "\"service_tier\":\"standard\",\"iterations\":[{\"input_tokens\":3,"
     "\"cache_read_input_"
     "tokens\":5,\"output_tokens\":4}]}}"},
    {"Anthropic, counts before a tool's arguments",
     "anthropic",
     USAGE_JSON,
     {7, 8, -1},
     "{\"usage\":{\"input_tokens\":7,\"output_tokens\":8},\"content\":[{\"type\":\"tool_use\","
     "\"input\":{\"usage\":{\"input_tokens\":1,\"output_tokens\":2}}}]}"},
    {"Anthropic stream",
     "anthropic",
     USAGE_SSE,
     {25 + 100, 15, 100},
     "event: message_start\ndata: "
     "{\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":"
     "\"message\",\"role\":\"assistant\",\"content\":[],\"model\":\"claude-sonnet-4\",\"usage\":"
     "{\"input_tokens\":25,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":100,"
     "\"output_tokens\":1}}}\n\n"
     "event: ping\ndata: {\"type\": \"ping\"}\n\n"
     "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":"
     "{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n"
     "event: message_delta\ndata: "
     "{\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\","
     "\"stop_sequence\":null},\"usage\":{\"output_tokens\": 15}}\n\n"
     "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"},
    {"Gemini",
     "gemini",
     USAGE_JSON,
     {10, 33 + 50, 4},
     "{\n  \"candidates\": [\n    {\n      \"content\": {\n        \"parts\": [{\"functionCall\": "
     "{\"name\": \"f\", \"args\": {\"usageMetadata\": {\"promptTokenCount\": 1}}}}],\n"
     "        \"role\": \"model\"\n      },\n      \"finishReason\": \"STOP\"\n    }\n  ],\n"
     "  \"usageMetadata\": {\n    \"promptTokenCount\": 10,\n    \"candidatesTokenCount\": 33,\n"
     "    \"totalTokenCount\": 93,\n    \"cachedContentTokenCount\": 4,\n"
     "    \"promptTokensDetails\": [{\"modality\": \"TEXT\", \"tokenCount\": 10}],\n"
     "    \"thoughtsTokenCount\": 50\n  },\n  \"modelVersion\": \"gemini-2.5-flash\"\n}\n"},
    {"Gemini stream",
     "gemini",
     USAGE_SSE,
     {4, 12, -1},
     "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"A\"}],\"role\": \"model\"}}],"
     "\"usageMetadata\": {\"promptTokenCount\": 4,\"totalTokenCount\": 4}}\r\n\r\n"
     "data: {\"candidates\": [{\"content\": {\"parts\": [{\"text\": \"B\"}]}}],\"usageMetadata\": "
     "{\"promptTokenCount\": 4,\"candidatesTokenCount\": 12,\"totalTokenCount\": 16}}\r\n\r\n"},
    {"Gemini array stream",
     "gemini",
     USAGE_JSON,
     {4, 12, -1},
     "[{\n  \"candidates\": [{\"content\": {\"parts\": [{\"text\": \"A\"}]}}],\n  "
     "\"usageMetadata\": "
     "{\n    \"promptTokenCount\": 4,\n    \"candidatesTokenCount\": 1\n  }\n}\n,\r\n{\n"
     "  \"candidates\": [{\"content\": {\"parts\": [{\"text\": \"B\"}]}}],\n  \"usageMetadata\": "
     "{\n"
     "    \"promptTokenCount\": 4,\n    \"candidatesTokenCount\": 12\n  }\n}\n]"},
    {"Gemini, compatible path",
     "gemini",
     USAGE_JSON,
     {6, 9, 2},
     "{\"choices\":[],\"usage\":{\"completion_tokens\":9,\"prompt_tokens\":6,\"total_tokens\":15,"
     "\"prompt_tokens_details\":{\"cached_tokens\":2}}}"},
    {"one event on several lines, nothing behind it",
     "openai",
     USAGE_SSE,
     {3, 4, -1},
     "data: {\"usage\":\ndata: {\"prompt_tokens\":\ndata: 3,\ndata: \"completion_tokens\":4}"},
    {"an event cut short does not spoil the next",
     "openai",
     USAGE_SSE,
     {3, -1, -1},
     "data: {\"a\":[{\"b\":[\"c\n\ndata: {\"usage\":{\"prompt_tokens\":3}}\n\n"},
    {"numbers of other kinds",
     "openai",
     USAGE_JSON,
     {1000, -1, 0},
     "{\"usage\":{\"prompt_tokens\":1e3,\"completion_tokens\":-5,\"completion_tokens\":\"7\","
     "\"completion_tokens\":null,\"completion_tokens\":[8],\"completion_tokens\":1e99,"
     "\"completion_tokens\":123456789012345678901234567890123456789,\"cached_tokens\":0.0}}"},
    {"names that only resemble",
     "openai",
     USAGE_JSON,
     {-1, -1, -1},
     "{\"usages\":{\"prompt_tokens\":1},\"usag\":{\"prompt_tokens\":1},\"\\u0075sage\":"
     "{\"prompt_tokens\":1},\"usage\":[{\"prompt_tokens\":1}],\"usage\":{\"prompt_token\":1,"
     "\"xprompt_tokens\":1,\"a very long name, much longer than any name of ours\":1,"
     "\"x\":\"prompt_tokens\"},\"prompt_tokens\":1}"},
};

static const struct usage_names *
names_of(const struct sample *s)
{
	return channel_find(str_of(s->channel))->usage;
}

static void
feed_exact(struct usage_scan *scan, const char *p, size_t n)
{
	char *block = malloc(n > 0 ? n : 1);

	assert_non_null(block);
	if (n > 0)
		memcpy(block, p, n);
	usage_feed(scan, block, n);
	free(block);
}

static void
check_result(const struct sample *s, struct usage_scan *scan)
{
	struct usage u = usage_result(scan);

	if (u.prompt != s->want.prompt || u.completion != s->want.completion ||
	    u.cached != s->want.cached)
		fail_msg("%s: %lld %lld %lld", s->what, (long long)u.prompt,
			 (long long)u.completion, (long long)u.cached);
	usage_free(scan);
}

static void
counts_however_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		const struct sample *s = &samples[i];
		size_t n = strlen(s->text);
		struct usage_scan *scan;

		for (size_t cut = 0; cut <= n; cut++) {
			scan = usage_new(names_of(s), s->form);
			feed_exact(scan, s->text, cut);
			feed_exact(scan, s->text + cut, n - cut);
			check_result(s, scan);
		}
		scan = usage_new(names_of(s), s->form);
		for (size_t k = 0; k < n; k++)
			feed_exact(scan, s->text + k, 1);
		check_result(s, scan);
	}
}

static const struct {
	const char *encoding;
	int window_bits;
} encodings[] = {
    {"gzip", 16 + MAX_WBITS},
    {" X-GZIP ", 16 + MAX_WBITS},
    {"deflate", MAX_WBITS},
    {"deflate", -MAX_WBITS},
};

static size_t
compress_text(const char *p, size_t n, int window_bits, unsigned char *out, size_t max)
{
	z_stream z = {.next_out = out, .avail_out = (uInt)max};
	char *copy = xstrndup(p, n);

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (Bytef *)copy;
	z.avail_in = (uInt)n;
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	n = max - z.avail_out;
	deflateEnd(&z);
	free(copy);
	return n;
}

static void
counts_in_compressed_answers(void **state)
{
	unsigned char packed[8192];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(samples); i++) {
		const struct sample *s = &samples[i];

		for (size_t e = 0; e < ARRAY_LEN(encodings); e++) {
			size_t n = compress_text(s->text, strlen(s->text), encodings[e].window_bits,
						 packed, sizeof(packed));

			for (size_t cut = 0; cut <= n; cut += 1 + cut / 16) {
				struct usage_scan *scan =
				    usage_new_encoded(names_of(s), s->form, encodings[e].encoding);

				assert_non_null(scan);
				feed_exact(scan, (char *)packed, cut);
				feed_exact(scan, (char *)packed + cut, n - cut);
				check_result(s, scan);
			}
		}
	}
}

static void
takes_members_behind_one_another(void **state)
{
	static const char a[] = "{\"usage\":{\"prompt_tokens\"";
	static const char b[] = ":12}}";
	const struct usage_names *names = channel_find(STR("openai"))->usage;
	struct usage_scan *scan = usage_new_encoded(names, USAGE_JSON, "gzip");
	unsigned char packed[500];
	size_t n = compress_text(a, strlen(a), 31, packed, sizeof(packed));

	(void)state;
	n += compress_text(b, strlen(b), 31, packed + n, sizeof(packed) - n);
	feed_exact(scan, (char *)packed, n);
	assert_int_equal(usage_result(scan).prompt, 12);
	usage_free(scan);
}

/* Broken or endless data ends the looking, and what was counted stays. */
static void
stops_at_the_limits(void **state)
{
	static const char count[] = "{\"usage\":{\"prompt_tokens\":1}}";
	const struct usage_names *names = channel_find(STR("openai"))->usage;
	struct usage_scan *scan = usage_new_encoded(names, USAGE_JSON, "gzip");
	size_t n = LIMIT_INFLATED + 100;
	char *spaces = malloc(n);
	unsigned char *packed = malloc(n);

	(void)state;
	assert_true(spaces != NULL && packed != NULL);
	memset(spaces, ' ', n);
	memcpy(spaces, count, strlen(count));
	memcpy(spaces + n - strlen(count), count, strlen(count));
	spaces[n - 4] = '2';
	n = compress_text(spaces, n, 31, packed, n);
	usage_feed(scan, (char *)packed, n);
	assert_int_equal(usage_result(scan).prompt, 1);
	usage_free(scan);
	free(spaces);
	free(packed);

	scan = usage_new_encoded(names, USAGE_JSON, "gzip");
	usage_feed(scan, "this is not gzip at all", 23);
	usage_feed(scan, count, strlen(count));
	assert_int_equal(usage_result(scan).prompt, -1);
	usage_free(scan);
}

static void
knows_encodings(void **state)
{
	static const char *const plain[] = {NULL, "", "identity"};
	static const char *const unknown[] = {"br", "zstd", "gzip, br", "x"};
	const struct usage_names *names = channel_find(STR("openai"))->usage;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
		struct usage_scan *scan = usage_new_encoded(names, USAGE_JSON, plain[i]);

		assert_non_null(scan);
		usage_feed(scan, "{\"usage\":{\"prompt_tokens\":1}}", 29);
		assert_int_equal(usage_result(scan).prompt, 1);
		usage_free(scan);
	}
	for (size_t i = 0; i < ARRAY_LEN(unknown); i++)
		assert_null(usage_new_encoded(names, USAGE_JSON, unknown[i]));
	usage_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(counts_however_cut),
	    cmocka_unit_test(counts_in_compressed_answers),
	    cmocka_unit_test(takes_members_behind_one_another),
	    cmocka_unit_test(stops_at_the_limits),
	    cmocka_unit_test(knows_encodings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
