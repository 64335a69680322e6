/* SPDX-License-Identifier: MIT
 *
 * Keys as text: what people paste, comma-separated lists of client keys, and the
 * masks that stand for keys on a screen. Nothing here knows the DB.
 */
#include "lib/key.h"

#include "lib/json.h"
#include "lib/limits.h"
#include "lib/str.h"

#include <json-c/json.h>

/* A set of slices: open addressing in an arena, at most half full. */
struct str_set {
	struct str *slots;
	size_t mask;
};

static void
set_init(struct str_set *set, size_t n, struct arena *arena)
{
	size_t cap = 16;

	while (cap < 2 * n)
		cap *= 2;
	set->slots = arena_zalloc(arena, cap * sizeof(*set->slots));
	set->mask = cap - 1;
}

/* FNV-1a. */
static size_t
set_hash(struct str s)
{
	uint64_t h = 0xcbf29ce484222325U;

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * 0x100000001b3U;
	return (size_t)(h ^ (h >> 32));
}

/* false when it was there already. `s` is not empty. */
static bool
set_add(struct str_set *set, struct str s)
{
	size_t i = set_hash(s) & set->mask;

	for (; set->slots[i].n > 0; i = (i + 1) & set->mask)
		if (str_eq(set->slots[i], s))
			return false;
	set->slots[i] = s;
	return true;
}

static bool
is_separator(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r') || c == ',' || c == ';';
}

/* Cuts the next piece off *rest; false when there is none left. */
static bool
next_piece(struct str *rest, struct str *ret)
{
	size_t start = 0;

	while (start < rest->n && is_separator(rest->p[start]))
		start++;
	size_t end = start;
	while (end < rest->n && !is_separator(rest->p[end]))
		end++;
	*ret = (struct str){rest->p + start, end - start};
	*rest = str_from(*rest, end);
	return ret->n > 0;
}

/* Text on its way to being keys. */
struct sifting {
	struct arena *arena;
	struct errinfo *info;
	size_t max;
	bool lenient; /* what is no good is left out */
	struct key_text *out;
	size_t room; /* of out->v */
};

/* May it be a key: it goes into a header and into one line of a list. */
static bool
is_usable(struct str key, enum key_fault_kind *ret_kind)
{
	*ret_kind = KEY_FAULT_LONG;
	if (key.n > LIMIT_KEY_BYTES)
		return false;
	*ret_kind = KEY_FAULT_CHARACTER;
	for (size_t i = 0; i < key.n; i++) {
		unsigned char c = (unsigned char)key.p[i];
		if (c <= ' ' || c == 0x7f)
			return false;
	}
	return true;
}

static enum err
refuse_key(const struct sifting *s, enum key_fault_kind kind, size_t line)
{
	size_t number = s->out->given + 1;

	switch (kind) {
	case KEY_FAULT_LONG:
		return err_set(s->info, ERR_VALIDATION, "key %zu is longer than %d bytes", number,
			       LIMIT_KEY_BYTES);
	case KEY_FAULT_CHARACTER:
		return err_set(s->info, ERR_VALIDATION,
			       "key %zu holds a space or a control character", number);
	case KEY_FAULT_NO_TEXT:
	case KEY_FAULT__MAX:
		break;
	}
	return err_set(s->info, ERR_VALIDATION,
		       "entry %zu of the JSON array in \"keys_text\" is not a string", line);
}

static enum err
put_fault(struct sifting *s, enum key_fault_kind kind, size_t line, struct str key)
{
	struct key_faults *faults = &s->out->faults;

	if (!s->lenient)
		return refuse_key(s, kind, line);
	if (faults->v == NULL)
		faults->v = arena_alloc(s->arena, LIMIT_KEY_FAULTS * sizeof(*faults->v));
	if (faults->n < LIMIT_KEY_FAULTS)
		faults->v[faults->n] = (struct key_fault){line, kind, key_mask(key, s->arena)};
	faults->n++;
	return ERR_OK;
}

static enum err
put_key(struct sifting *s, struct str key, size_t line)
{
	enum key_fault_kind kind;

	if (s->out->given + s->out->faults.n >= s->max)
		return err_set(s->info, ERR_VALIDATION, "more than %zu keys in one call", s->max);
	if (!is_usable(key, &kind))
		return put_fault(s, kind, line, key);
	if (s->out->given == s->room) {
		size_t room = MAX(2 * s->room, (size_t)64);
		struct str *v = arena_alloc(s->arena, room * sizeof(*v));
		if (s->room > 0)
			memcpy(v, s->out->v, s->room * sizeof(*v));
		s->out->v = v;
		s->room = room;
	}
	s->out->v[s->out->given++] = arena_str(s->arena, key);
	return ERR_OK;
}

static enum err
take_pieces(struct sifting *s, struct str text)
{
	const char *seen = text.p;
	struct str piece;
	struct str rest = text;
	size_t line = 1;
	enum err e = ERR_OK;

	while (e == ERR_OK && next_piece(&rest, &piece)) {
		for (; seen < piece.p; seen++)
			line += *seen == '\n';
		e = put_key(s, piece, line);
	}
	return e;
}

static enum err
take_array(struct sifting *s, struct str text)
{
	AUTO_JSON struct json_object *array = NULL;
	enum err e = ERR_OK;

	if (json_parse(text, &array, NULL) != ERR_OK ||
	    !json_object_is_type(array, json_type_array))
		return err_set(s->info, ERR_VALIDATION,
			       "\"keys_text\" begins like a JSON array but is not a valid one");
	size_t n = json_object_array_length(array);
	for (size_t i = 0; i < n && e == ERR_OK; i++) {
		struct str key;
		if (!json_get_text(json_object_array_get_idx(array, i), &key))
			e = put_fault(s, KEY_FAULT_NO_TEXT, i + 1, STR(""));
		else if (str_trim(key).n > 0)
			e = put_key(s, str_trim(key), i + 1);
	}
	return e;
}

static enum err
sift(struct str text, size_t max, bool lenient, struct arena *arena, struct key_text *ret,
     struct errinfo *info)
{
	struct sifting s = {
	    .arena = arena, .info = info, .max = max, .lenient = lenient, .out = ret};
	struct str_set seen;

	*ret = (struct key_text){0};
	/* Lines are counted from the text's beginning. */
	enum err e = str_starts(str_trim(text), "[") ? take_array(&s, str_trim(text))
						     : take_pieces(&s, text);
	if (e != ERR_OK)
		return e;
	set_init(&seen, ret->given, arena);
	for (size_t i = 0; i < ret->given; i++)
		if (set_add(&seen, ret->v[i]))
			ret->v[ret->n++] = ret->v[i];
	return ERR_OK;
}

enum err
key_text_parse(struct str text, size_t max, struct arena *arena, struct key_text *ret,
	       struct errinfo *info)
{
	enum err e = sift(text, max, false, arena, ret, info);

	if (e == ERR_OK && ret->n == 0)
		return err_set(info, ERR_VALIDATION, "\"keys_text\" holds no key");
	return e;
}

enum err
key_text_sift(struct str text, size_t max, bool some, struct arena *arena, struct key_text *ret,
	      struct errinfo *info)
{
	enum err e = sift(text, max, true, arena, ret, info);

	if (e == ERR_OK && ret->n == 0 && some)
		return err_set(info, ERR_VALIDATION, "\"keys_text\" holds no usable key");
	return e;
}

/* --- masks and lists --- */

#define MASK_SHOWN 4
#define MASK_STARS "****"

struct str
key_mask(struct str key, struct arena *arena)
{
	if (key.n < 4 * MASK_SHOWN)
		return STR(MASK_STARS);
	return str_of(arena_printf(arena, "%.*s" MASK_STARS "%.*s", MASK_SHOWN, key.p, MASK_SHOWN,
				   key.p + key.n - MASK_SHOWN));
}

/* The next item that is not empty, trimmed. */
static bool
next_item(struct str *rest, struct str *ret)
{
	while (str_split(rest, ',', ret)) {
		*ret = str_trim(*ret);
		if (ret->n > 0)
			return true;
	}
	return false;
}

static struct str
taken(struct buf *b, struct arena *arena)
{
	struct str s = arena_str(arena, buf_view(b));

	buf_done(b);
	return s;
}

static void
join(struct buf *out, struct str item)
{
	if (out->n > 0)
		buf_char(out, ',');
	buf_str(out, item);
}

struct str
key_mask_list(struct str list, struct arena *arena)
{
	struct str item;
	struct buf out;

	buf_init(&out, 2 * list.n + 64);
	while (next_item(&list, &item))
		join(&out, key_mask(item, arena));
	return taken(&out, arena);
}

/* The first item of `old` with that mask, from *pos on; empty when there is none. */
static struct str
find_masked(struct str mask, struct str old, bool *used, struct arena *arena)
{
	struct str item;

	for (size_t i = 0; next_item(&old, &item); i++) {
		if (used[i] || !str_eq(key_mask(item, arena), mask))
			continue;
		used[i] = true;
		return item;
	}
	return (struct str){NULL, 0};
}

struct str
key_unmask_list(struct str list, struct str old, struct arena *arena)
{
	bool *used = arena_zalloc(arena, old.n + 1);
	struct str item;
	struct buf out;

	if (!str_contains(list, MASK_STARS))
		return list;
	buf_init(&out, list.n + old.n + 64);
	while (next_item(&list, &item)) {
		struct str found = {NULL, 0};
		if (str_contains(item, MASK_STARS))
			found = find_masked(item, old, used, arena);
		join(&out, found.n > 0 ? found : item);
	}
	return taken(&out, arena);
}

enum err
key_list_clean(struct str list, const char *field, struct arena *arena, struct str *ret,
	       struct errinfo *info)
{
	struct str_set seen;
	enum key_fault_kind kind;
	struct str item;
	struct buf out;
	size_t n = 0;
	char *text = arena_strndup(arena, list.p, list.n);

	for (size_t i = 0; i < list.n; i++) {
		if (text[i] == '\n' || text[i] == '\r')
			text[i] = ',';
		n += text[i] == ',';
	}
	if (list.n > LIMIT_SETTING_LIST)
		return err_set(info, ERR_VALIDATION, "\"%s\" is longer than %d bytes", field,
			       LIMIT_SETTING_LIST);
	if (n >= LIMIT_PROXY_KEYS)
		return err_set(info, ERR_VALIDATION, "\"%s\" holds more than %d keys", field,
			       LIMIT_PROXY_KEYS);
	set_init(&seen, n + 1, arena);
	buf_init(&out, list.n + 1);
	list.p = text;
	while (next_item(&list, &item)) {
		if (!is_usable(item, &kind)) {
			buf_done(&out);
			return err_set(
			    info, ERR_VALIDATION,
			    "a key in \"%s\" is too long or holds a space or a control character",
			    field);
		}
		if (set_add(&seen, item))
			join(&out, item);
	}
	*ret = taken(&out, arena);
	return ERR_OK;
}
