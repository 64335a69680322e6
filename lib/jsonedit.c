/* SPDX-License-Identifier: MIT
 *
 * The editing half of jsonscan.h: an edited body is never built, it is a list of
 * slices of the old one with the new values between them.
 */
#include "lib/jsonscan.h"

#include "lib/buf.h"

struct json_edit
json_addition(const struct json_top *top, bool first, struct str key, struct str value,
	      struct arena *arena)
{
	struct buf b;
	struct json_edit edit = {.start = top->close, .end = top->close};

	buf_init(&b, SIZE_MAX / 2);
	if (!first)
		buf_char(&b, ',');
	buf_json(&b, key);
	buf_char(&b, ':');
	buf_str(&b, value);
	edit.with = arena_str(arena, buf_view(&b));
	buf_done(&b);
	return edit;
}

static size_t
add_slice(struct str *out, size_t n, struct str s)
{
	if (s.n > 0)
		out[n++] = s;
	return n;
}

struct str *
json_slices(struct str body, const struct json_edit *edits, size_t n, struct arena *arena,
	    size_t *ret_n)
{
	struct str *out = arena_alloc(arena, (2 * n + 1) * sizeof(*out));
	size_t at = 0;
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		check(edits[i].start >= at && edits[i].end >= edits[i].start &&
		      edits[i].end <= body.n);
		k = add_slice(out, k, (struct str){body.p + at, edits[i].start - at});
		k = add_slice(out, k, edits[i].with);
		at = edits[i].end;
	}
	k = add_slice(out, k, str_from(body, at));
	*ret_n = k;
	return out;
}
