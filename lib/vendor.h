/* SPDX-License-Identifier: MIT
 *
 * What the vendors' files (channel_NAME.c) share: looking into an error body, the
 * ways in which vendors write a time to wait, and the few functions of struct channel
 * that are the same for most. What is shaped like OpenAI's API is in openai.h, model
 * lists are in modellist.h.
 */
#ifndef LIB_VENDOR_H
#define LIB_VENDOR_H

#include "lib/header.h"
#include "lib/json.h"
#include "lib/str.h"

/* --- error bodies --- */

/* An error body, parsed. Google puts its object into an array where it streams: then
 * `top` is the first element. `error` is top's member of that name. Both borrowed
 * from root, NULL when there is none. */
struct vendor_error {
	struct json_object *root;
	struct json_object *top;
	struct json_object *error;
};
#define AUTO_VENDOR_ERROR __attribute__((cleanup(vendor_error_done)))
struct vendor_error vendor_error_parse(struct str body) MUST_CHECK;
void vendor_error_done(struct vendor_error *e);

/* The text of obj's member; empty when it is no text or obj is NULL. Borrowed. */
struct str vendor_text(struct json_object *obj, const char *name);
/* Is it one of the list, which ends with NULL. */
bool vendor_is_one_of(struct str s, const char *const *list);
/* Google's way to say that the key is no good: 400, and the reason API_KEY_INVALID
 * or its message. */
bool vendor_google_blames_key(int status, const struct vendor_error *e);
/* Google's RetryInfo: milliseconds to wait, 0 when it is not there. */
int64_t vendor_google_retry_ms(const struct vendor_error *e);
/* Writes `,"code":…,"message":…}`: our own members and the end of the body. */
void vendor_error_end(struct buf *out, const char *code, const char *message);

/* --- times --- */

/* "1h2m3.5s", "6m0s", "20ms", or a bare number of seconds. */
bool vendor_duration_ms(struct str s, int64_t *ret) MUST_CHECK;
/* "2025-01-31T12:00:00.5Z", "…+08:00", as wall ms. */
bool vendor_rfc3339_ms(struct str s, int64_t *ret) MUST_CHECK;

/* Two headers of one limit. */
struct vendor_limit {
	const char *remaining; /* what is left; 0 is why we wait */
	const char *reset;     /* when it is whole again */
};
/* Reads a reset header into wall ms. */
typedef bool (*vendor_reset_fn)(struct str value, int64_t now_ms, int64_t *ret);
/* The last reset of the limits of which nothing is left; when all have something
 * left, the last of all (`last`) or the first. 0 when there is none ahead. */
int64_t vendor_limits_reset(const struct headers *h, const struct vendor_limit *limits, size_t n,
			    vendor_reset_fn parse, bool last, int64_t now_ms);

/* --- paths --- */

bool vendor_path_always(struct str path);
bool vendor_path_never(struct str path);
/* The path names no model. */
struct str vendor_path_no_model(struct str path);
/* Does the raw query have a parameter of this name. */
bool vendor_query_has(struct str query, const char *name);
/* Unreserved characters as they are, the others as %XX. */
void vendor_percent_encode(struct buf *out, struct str s);

#endif
