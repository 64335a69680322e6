/* SPDX-License-Identifier: MIT
 *
 * One pass over the text, which checks it and notes the wanted members on the way.
 * There is no recursion: what is open is a stack of bits, and what may come next is
 * one word of state. Inside strings, where large bodies spend their bytes, eight are
 * looked at together.
 */
#include "lib/jsonscan.h"

#include "lib/limits.h"

enum expect {
	EXPECT_VALUE,
	EXPECT_VALUE_OR_END, /* an array was opened */
	EXPECT_NAME,
	EXPECT_NAME_OR_END, /* an object was opened */
	EXPECT_MORE,        /* a comma, or the end of what is open */
};

struct scan {
	const char *begin;
	const char *p;
	const char *end;
	enum expect expect;
	size_t depth;
	uint64_t objects[(LIMIT_JSON_DEPTH + 63) / 64]; /* a bit each: object, else array */

	/* What is wanted; top is NULL when nothing is. */
	const struct str *keys;
	size_t n_keys;
	struct arena *arena;
	struct json_top *top;
	size_t cap;
	bool in_hit; /* the last of top->hits waits for its end */
};

#define BYTES(c)   ((uint64_t)(c)*UINT64_C(0x0101010101010101))
#define HIGH_BITS  BYTES(0x80)
#define UTF8_BYTES 4

/* Is one of the eight bytes a quote, a backslash or a control character: taking 1
 * (or 0x20) off a byte sets its high bit only when it was smaller. */
static inline bool
holds_stop(const char *p)
{
	uint64_t w;
	uint64_t hit;

	memcpy(&w, p, sizeof(w));
	hit = w - BYTES(0x20);
	hit |= (w ^ BYTES('"')) - BYTES(1);
	hit |= (w ^ BYTES('\\')) - BYTES(1);
	return (hit & ~w & HIGH_BITS) != 0;
}

/* The first byte from p on that ends a run of ordinary characters of a string. */
static inline const char *
plain_run(const char *p, const char *end)
{
	while (end - p >= 8 && !holds_stop(p))
		p += 8;
	while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20)
		p++;
	return p;
}

static inline bool
is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static int
hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits at p, which are there; -1 when they are not hex. */
static int
hex4(const char *p)
{
	int v = 0;

	for (int i = 0; i < 4; i++) {
		int d = hex_digit(p[i]);

		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

/* --- what a value is made of; each moves s->p behind it, false when malformed --- */

static inline void
skip_space(struct scan *s)
{
	while (s->p < s->end && is_space(*s->p))
		s->p++;
}

/* From behind the opening quote to behind the closing one. */
static bool
skip_string(struct scan *s, bool *ret_escaped)
{
	bool escaped = false;

	for (;;) {
		s->p = plain_run(s->p, s->end);
		if (s->p == s->end || (*s->p != '"' && *s->p != '\\'))
			return false;
		if (*s->p++ == '"')
			break;
		escaped = true;
		if (s->p == s->end || *s->p == '\0' || strchr("\"\\/bfnrtu", *s->p) == NULL)
			return false;
		if (*s->p++ == 'u') {
			if (s->end - s->p < 4 || hex4(s->p) < 0)
				return false;
			s->p += 4;
		}
	}
	*ret_escaped = escaped;
	return true;
}

static bool
skip_digits(struct scan *s)
{
	const char *start = s->p;

	while (s->p < s->end && is_digit(*s->p))
		s->p++;
	return s->p > start;
}

static bool
skip_number(struct scan *s)
{
	if (*s->p == '-')
		s->p++;
	if (s->p < s->end && *s->p == '0')
		s->p++;
	else if (!skip_digits(s))
		return false;
	if (s->p < s->end && *s->p == '.') {
		s->p++;
		if (!skip_digits(s))
			return false;
	}
	if (s->p < s->end && (*s->p | 0x20) == 'e') {
		s->p++;
		if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
			s->p++;
		return skip_digits(s);
	}
	return true;
}

static bool
skip_literal(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
		return false;
	s->p += n;
	return true;
}

/* --- decoding --- */

static size_t
utf8_put(char out[UTF8_BYTES], uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xC0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3F));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xE0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3F));
		out[2] = (char)(0x80 | (c & 0x3F));
		return 3;
	}
	out[0] = (char)(0xF0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3F));
	out[2] = (char)(0x80 | (c >> 6 & 0x3F));
	out[3] = (char)(0x80 | (c & 0x3F));
	return 4;
}

/* The character whose \u stands before p, in a string already checked. */
static uint32_t
decode_u(const char **p, const char *end)
{
	uint32_t c = (uint32_t)hex4(*p);

	*p += 4;
	if (c < 0xD800 || c > 0xDFFF)
		return c;
	if (c < 0xDC00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
		uint32_t low = (uint32_t)hex4(*p + 2);

		if (low >= 0xDC00 && low <= 0xDFFF) {
			*p += 6;
			return 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
		}
	}
	return 0xFFFD;
}

/* One escape, p at its backslash, in a string already checked: its bytes. */
static size_t
decode_escape(const char **p, const char *end, char out[UTF8_BYTES])
{
	char c = (*p)[1];

	*p += 2;
	switch (c) {
	case 'u':
		return utf8_put(out, decode_u(p, end));
	case 'b':
		*out = '\b';
		break;
	case 'f':
		*out = '\f';
		break;
	case 'n':
		*out = '\n';
		break;
	case 'r':
		*out = '\r';
		break;
	case 't':
		*out = '\t';
		break;
	default:
		*out = c;
	}
	return 1;
}

/* Does this text between quotes, with escapes, spell `key`. */
static bool
spells(struct str raw, struct str key)
{
	const char *p = raw.p;
	const char *end = raw.p + raw.n;
	size_t at = 0;

	while (p < end) {
		char c[UTF8_BYTES];
		size_t n = 1;

		if (*p == '\\')
			n = decode_escape(&p, end, c);
		else
			c[0] = *p++;
		if (n > key.n - at || memcmp(key.p + at, c, n) != 0)
			return false;
		at += n;
	}
	return at == key.n;
}

/* --- the pass --- */

static size_t
find_key(const struct scan *s, struct str raw, bool escaped)
{
	size_t i = 0;

	while (i < s->n_keys && !(escaped ? spells(raw, s->keys[i]) : str_eq(raw, s->keys[i])))
		i++;
	return i;
}

static enum err
note_hit(struct scan *s, struct str raw, size_t key)
{
	struct json_top *top = s->top;

	if (top->n_hits == LIMIT_JSON_EDITS)
		return ERR_TOO_LARGE;
	if (top->n_hits == s->cap) {
		size_t cap = s->cap > 0 ? s->cap * 2 : 8;
		struct json_hit *hits = arena_alloc(s->arena, cap * sizeof(*hits));

		if (s->cap > 0)
			memcpy(hits, top->hits, s->cap * sizeof(*hits));
		top->hits = hits;
		s->cap = cap;
	}
	top->hits[top->n_hits++] =
	    (struct json_hit){.key = key, .name = (size_t)(raw.p - 1 - s->begin)};
	s->in_hit = true;
	return ERR_OK;
}

/* A name and its colon. */
static enum err
scan_name(struct scan *s)
{
	struct str raw;
	bool escaped;

	if (*s->p != '"')
		return ERR_INVALID_JSON;
	raw.p = ++s->p;
	if (!skip_string(s, &escaped))
		return ERR_INVALID_JSON;
	raw.n = (size_t)(s->p - 1 - raw.p);
	skip_space(s);
	if (s->p == s->end || *s->p++ != ':')
		return ERR_INVALID_JSON;
	s->expect = EXPECT_VALUE;
	if (s->depth == 1 && s->top != NULL) {
		size_t key = find_key(s, raw, escaped);

		s->top->empty = false;
		if (key < s->n_keys)
			return note_hit(s, raw, key);
	}
	return ERR_OK;
}

static enum json_kind
kind_of(char first)
{
	switch (first) {
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case '"':
		return JSON_STRING;
	case 't':
	case 'f':
		return JSON_BOOL;
	case 'n':
		return JSON_NULL;
	default:
		return JSON_NUMBER;
	}
}

static void
value_ended(struct scan *s)
{
	s->expect = EXPECT_MORE;
	if (s->depth == 1 && s->in_hit) {
		s->top->hits[s->top->n_hits - 1].end = (size_t)(s->p - s->begin);
		s->in_hit = false;
	}
}

static enum err
open_level(struct scan *s)
{
	bool object = *s->p++ == '{';
	uint64_t bit = UINT64_C(1) << s->depth % 64;

	if (s->depth == LIMIT_JSON_DEPTH)
		return ERR_INVALID_JSON;
	if (object)
		s->objects[s->depth / 64] |= bit;
	else
		s->objects[s->depth / 64] &= ~bit;
	s->depth++;
	s->expect = object ? EXPECT_NAME_OR_END : EXPECT_VALUE_OR_END;
	return ERR_OK;
}

static inline bool
in_object(const struct scan *s)
{
	return (s->objects[(s->depth - 1) / 64] >> (s->depth - 1) % 64 & 1) != 0;
}

static enum err
scan_value(struct scan *s)
{
	enum json_kind kind = kind_of(*s->p);
	bool escaped;
	bool good = false;

	if (s->depth == 1 && s->in_hit) {
		struct json_hit *hit = &s->top->hits[s->top->n_hits - 1];

		hit->kind = kind;
		hit->start = (size_t)(s->p - s->begin);
	}
	switch (kind) {
	case JSON_OBJECT:
	case JSON_ARRAY:
		return open_level(s);
	case JSON_STRING:
		s->p++;
		good = skip_string(s, &escaped);
		break;
	case JSON_NUMBER:
		good = skip_number(s);
		break;
	case JSON_BOOL:
		good = skip_literal(s, *s->p == 't' ? "true" : "false");
		break;
	case JSON_NULL:
		good = skip_literal(s, "null");
		break;
	}
	if (!good)
		return ERR_INVALID_JSON;
	value_ended(s);
	return ERR_OK;
}

static enum err
close_level(struct scan *s)
{
	if (*s->p != (in_object(s) ? '}' : ']'))
		return ERR_INVALID_JSON;
	if (s->depth == 1 && s->top != NULL)
		s->top->close = (size_t)(s->p - s->begin);
	s->p++;
	s->depth--;
	value_ended(s);
	return ERR_OK;
}

static enum err
scan_step(struct scan *s)
{
	switch (s->expect) {
	case EXPECT_NAME_OR_END:
		return *s->p == '}' ? close_level(s) : scan_name(s);
	case EXPECT_NAME:
		return scan_name(s);
	case EXPECT_VALUE_OR_END:
		return *s->p == ']' ? close_level(s) : scan_value(s);
	case EXPECT_VALUE:
		return scan_value(s);
	case EXPECT_MORE:
		break;
	}
	if (*s->p != ',')
		return close_level(s);
	s->p++;
	s->expect = in_object(s) ? EXPECT_NAME : EXPECT_VALUE;
	return ERR_OK;
}

/* One whole value. */
static enum err
scan_whole(struct scan *s)
{
	do {
		enum err e;

		skip_space(s);
		if (s->p == s->end)
			return ERR_INVALID_JSON;
		if ((e = scan_step(s)) != ERR_OK)
			return e;
	} while (s->depth > 0);
	return ERR_OK;
}

enum err
json_scan(struct str body, const struct str *keys, size_t n_keys, struct arena *arena,
	  struct json_top *ret)
{
	struct json_top top = {.empty = true};
	struct scan s = {
	    .keys = keys,
	    .n_keys = n_keys,
	    .arena = arena,
	    .top = &top,
	};
	enum err e;

	if (body.n == 0)
		return ERR_INVALID_JSON;
	s.begin = s.p = body.p;
	s.end = body.p + body.n;
	skip_space(&s);
	if (s.p == s.end || *s.p != '{')
		return ERR_INVALID_JSON;
	if ((e = scan_whole(&s)) != ERR_OK)
		return e;
	skip_space(&s);
	if (s.p != s.end)
		return ERR_INVALID_JSON;
	*ret = top;
	return ERR_OK;
}

bool
json_next(struct str array, size_t *at, struct str *ret)
{
	struct scan s = {.expect = EXPECT_VALUE};
	const char *start;

	if (*at >= array.n)
		return false;
	s.begin = array.p;
	s.p = array.p + *at;
	s.end = array.p + array.n;
	skip_space(&s);
	/* Before the first element stands the bracket, before others a comma. */
	if (s.p == s.end || *s.p != (*at == 0 ? '[' : ','))
		return false;
	s.p++;
	skip_space(&s);
	start = s.p;
	if (s.p == s.end || *s.p == ']' || scan_whole(&s) != ERR_OK)
		return false;
	*ret = (struct str){start, (size_t)(s.p - start)};
	*at = (size_t)(s.p - array.p);
	return true;
}

enum err
json_text(struct str value, struct arena *arena, struct str *ret)
{
	struct scan s;
	const char *p;
	const char *end;
	char *out;
	size_t n = 0;
	bool escaped;

	if (value.n < 2 || value.p[0] != '"')
		return ERR_INVALID_JSON;
	s = (struct scan){.p = value.p + 1, .end = value.p + value.n};
	if (!skip_string(&s, &escaped) || s.p != s.end)
		return ERR_INVALID_JSON;
	p = value.p + 1;
	end = s.p - 1;
	if (!escaped) {
		*ret = (struct str){p, (size_t)(end - p)};
		return ERR_OK;
	}
	/* No escape is shorter than what it stands for. */
	out = arena_alloc(arena, value.n);
	while (p < end) {
		const char *stop = plain_run(p, end);
		char c[UTF8_BYTES];
		size_t k;

		memcpy(out + n, p, (size_t)(stop - p));
		n += (size_t)(stop - p);
		p = stop;
		if (p == end)
			break;
		k = decode_escape(&p, end, c);
		memcpy(out + n, c, k);
		n += k;
	}
	*ret = (struct str){out, n};
	return ERR_OK;
}

bool
json_is_true(struct str value)
{
	return str_is(value, "true");
}
