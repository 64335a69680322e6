/* SPDX-License-Identifier: MIT
 *
 * Token counts, read from an answer as it passes. Nothing is kept but a few
 * counters: the scanner is a push lexer over the bytes, which follows the path of
 * keys to a small depth and picks numbers by name.
 *
 * One value of struct usage_scan serves one answer: a whole JSON body, or a
 * stream of events (text/event-stream), whose data lines it looks into.
 * Later numbers replace earlier ones (Anthropic and Gemini send running totals).
 */
#ifndef LIB_USAGE_H
#define LIB_USAGE_H

#include "lib/base.h"

/* Names of members; each list ends with NULL, a list left out is NULL. An object
 * counts where it stands at most three brackets deep ("usage" of a chunk, of its
 * "message" or "response", of one of its "choices"): deeper ones are a tool's
 * arguments or a schema. Numbers stand in the object itself; a name that is in
 * `cached` alone also further below ("prompt_tokens_details"). */
struct usage_names {
	const char *const *objects; /* "usage", "usageMetadata" */
	const char *const *prompt;
	const char *const *completion;
	const char *const *cached;
	/* Parts that `prompt` and `completion` leave out and that belong to them
	 * (Anthropic counts cached input apart, Gemini thinking): added. */
	const char *const *prompt_parts;
	const char *const *completion_parts;
};
/* Most different names in one struct usage_names, `objects` apart. */
#define USAGE_NAMES_MAX 16

struct usage {
	int64_t prompt; /* -1: not said */
	int64_t completion;
	int64_t cached;
};

enum usage_form {
	USAGE_JSON,
	USAGE_SSE
};

struct usage_scan;

/* About half a KiB; malloc'ed. `names` is borrowed for its life. */
struct usage_scan *usage_new(const struct usage_names *names, enum usage_form form) MUST_CHECK;
void usage_free(struct usage_scan *s); /* NULL is fine */
void usage_feed(struct usage_scan *s, const char *p, size_t n);
struct usage usage_result(const struct usage_scan *s);

/* Same, for an answer whose Content-Encoding is gzip or deflate: inflates beside, up
 * to LIMIT_INFLATED bytes in all, then stops looking (about 40 KiB more). No encoding
 * ("", identity, NULL) is usage_new(). NULL when the encoding is another. */
struct usage_scan *usage_new_encoded(const struct usage_names *names, enum usage_form form,
				     const char *encoding) MUST_CHECK;

#endif
