/* SPDX-License-Identifier: MIT
 *
 * Looking into a JSON body without parsing it into a tree, and editing single
 * top-level values without touching any other byte: numbers of 64 bits, order,
 * spacing and duplicates survive.
 */
#ifndef LIB_JSONSCAN_H
#define LIB_JSONSCAN_H

#include "lib/arena.h"
#include "lib/err.h"
#include "lib/str.h"

enum json_kind {
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT
};

/* A top-level member that was asked for. */
struct json_hit {
	size_t key;   /* index into keys */
	size_t name;  /* the opening quote of its name */
	size_t start; /* first byte of its value */
	size_t end;   /* one past the last */
	enum json_kind kind;
};

struct json_top {
	struct json_hit *hits; /* in order of the text; in the arena */
	size_t n_hits;         /* at most LIMIT_JSON_EDITS */
	size_t close;          /* of the closing brace */
	bool empty;            /* has no member */
};

/* Checks that `body` is one whole, valid JSON object (RFC 8259; nesting up to
 * LIMIT_JSON_DEPTH) and finds every top-level member whose name, escapes decoded,
 * is one of `keys`: duplicates too. ERR_INVALID_JSON otherwise; ERR_TOO_LARGE when
 * there are more than LIMIT_JSON_EDITS of them. Bytes from 0x80 on are taken as they
 * come, UTF-8 or not. */
enum err json_scan(struct str body, const struct str *keys, size_t n_keys, struct arena *arena,
		   struct json_top *ret) MUST_CHECK;
/* The text of a string value (with its quotes), escapes decoded; in the arena when
 * there were any, else a slice of it. Half a surrogate pair becomes U+FFFD.
 * ERR_INVALID_JSON: not a string. */
enum err json_text(struct str value, struct arena *arena, struct str *ret) MUST_CHECK;

/* Walks the elements of a valid array: the text of the next one; *at is 0 at first.
 * False after the last. */
bool json_next(struct str array, size_t *at, struct str *ret) MUST_CHECK;

/* One replacement: bytes [start, end) of the body become `with`. */
struct json_edit {
	size_t start;
	size_t end;
	struct str with;
};
/* The edit that adds `"key":value` before the closing brace. Several may follow one
 * another, behind all other edits; `first` tells whether the object is still empty
 * then. In `arena`. */
struct json_edit json_addition(const struct json_top *top, bool first, struct str key,
			       struct str value, struct arena *arena);

/* The edited body as slices, in order: untouched stretches of `body` and the
 * replacements, empty ones left out. *ret_n slices; in the arena. Edits are sorted
 * by start and do not overlap. */
struct str *json_slices(struct str body, const struct json_edit *edits, size_t n,
			struct arena *arena, size_t *ret_n);

/* Is this value, as a hit gives it, the literal true (`"stream": true`). */
bool json_is_true(struct str value);

#endif
