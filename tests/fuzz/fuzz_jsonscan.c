/* SPDX-License-Identifier: MIT
 *
 * jsonscan against json.c, which is another reader of the same grammar: both take a
 * text or both refuse it. What an edit makes of a valid text is valid.
 */
#include "lib/buf.h"
#include "lib/json.h"
#include "lib/jsonscan.h"
#include "lib/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct str keys[] = {{"model", 5}, {"stream", 6}};

static void
check_parser(struct str text, bool taken)
{
	size_t start = 0;
	struct json_object *obj;
	enum err e;

	/* Bytes that are no UTF-8 pass here and not there; only objects pass here. */
	while (start < text.n && strchr(" \t\r\n", text.p[start]) != NULL && text.p[start] != '\0')
		start++;
	if (!utf8_valid(text) || start == text.n || text.p[start] != '{')
		return;
	e = json_parse(text, &obj, NULL);
	check((e == ERR_OK) == taken || e == ERR_TOO_LARGE);
	if (e == ERR_OK)
		json_done(obj);
}

static void
check_edits(struct str text, const struct json_top *top, struct arena *arena)
{
	struct json_edit *edits = arena_alloc(arena, (top->n_hits + 1) * sizeof(*edits));
	struct json_top again;
	struct str *slices;
	struct buf b;
	size_t n = 0;

	for (; n < top->n_hits; n++) {
		struct str value = {text.p + top->hits[n].start,
				    top->hits[n].end - top->hits[n].start};
		struct str decoded;

		check(top->hits[n].key < ARRAY_LEN(keys));
		check((json_text(value, arena, &decoded) == ERR_OK) ==
		      (top->hits[n].kind == JSON_STRING));
		edits[n] = (struct json_edit){top->hits[n].start, top->hits[n].end, STR("\"x\"")};
	}
	edits[n++] = json_addition(top, top->empty, STR("model"), STR("[1]"), arena);
	slices = json_slices(text, edits, n, arena, &n);
	buf_init(&b, 2 * text.n + 10000);
	for (size_t i = 0; i < n; i++)
		buf_str(&b, slices[i]);
	check(buf_err(&b) == ERR_OK);
	check(json_scan(buf_view(&b), keys, ARRAY_LEN(keys), arena, &again) ==
	      (top->n_hits < LIMIT_JSON_EDITS ? ERR_OK : ERR_TOO_LARGE));
	buf_done(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = {(const char *)data, size};
	struct str element;
	struct json_top top;
	struct arena arena;
	size_t at = 0;
	enum err e;

	arena_init(&arena, 4096);
	e = json_scan(text, keys, ARRAY_LEN(keys), &arena, &top);
	if (e != ERR_TOO_LARGE)
		check_parser(text, e == ERR_OK);
	if (e == ERR_OK)
		check_edits(text, &top, &arena);
	while (json_next(text, &at, &element))
		check(element.n > 0 && element.p + element.n == text.p + at);
	arena_done(&arena);
	return 0;
}
