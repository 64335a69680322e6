/* SPDX-License-Identifier: MIT
 *
 * The way of the bytes: inflate (if encoded) → event stream (if one) → lexer → the
 * counts. The lexer does not check its text, it only knows strings, numbers,
 * brackets, colons and commas: a string followed by a colon is a name, whatever is
 * broken around it. Each part keeps its state, so that a chunk may end anywhere.
 */
#include "lib/usage.h"

#include <stdlib.h>
#include <zlib.h>

#include "lib/limits.h"
#include "lib/sse.h"
#include "lib/str.h"

/* Longer names are none of ours; longer numbers are no counts. */
#define WORD_MAX 32
/* Brackets that may stand open around the name of a counted object. */
#define OBJECT_DEPTH 3
/* A count above this is nonsense; sums of all parts stay far from overflow. */
#define COUNT_MAX      INT64_C(1000000000000000)
#define OBJECTS_MAX    4
#define PARTS_MAX      8
#define INFLATE_CHUNK  (16 * 1024)
#define INFLATE_HEADER 2

enum lex {
	LEX_BETWEEN, /* tokens */
	LEX_STRING,
	LEX_ESCAPE, /* behind the backslash */
	LEX_NUMBER,
};

/* What a number of this name is. */
enum {
	USE_PROMPT = 1,
	USE_COMPLETION = 2,
	USE_CACHED = 4,
	USE_PROMPT_PART = 8,
	USE_COMPLETION_PART = 16,
};

struct name {
	const char *text;
	uint8_t n;
	uint8_t uses;
	uint8_t part; /* where its number is kept when it is a part */
};

struct inflater {
	z_stream z;
	uint8_t header[INFLATE_HEADER];
	size_t n_header;
	size_t total;
	bool begun;
	bool over; /* ended, broken or too much: nothing more is looked at */
};

struct usage_scan {
	enum usage_form form;
	struct inflater *inflater; /* NULL: the bytes are plain */
	struct sse sse;
	struct name objects[OBJECTS_MAX];
	size_t n_objects;
	struct name names[USAGE_NAMES_MAX];
	size_t n_names;

	enum lex lex;
	unsigned int depth;
	unsigned int inside;       /* depth within the counted object; 0: not in one */
	bool collect;              /* the string may be a name that matters */
	bool opens;                /* the name before the colon is that of a counted object */
	const struct name *wanted; /* the name before the colon; NULL: of no interest */
	char word[WORD_MAX];
	size_t n_word; /* WORD_MAX + 1: too long */

	struct usage found;
	int64_t parts[PARTS_MAX];
	size_t n_parts;
	uint32_t completion_parts; /* bit i: parts[i] belongs to completion, not prompt */
};

/* --- the names --- */

static struct name *
add_name(struct usage_scan *s, const char *text)
{
	struct name *name;

	for (size_t i = 0; i < s->n_names; i++)
		if (strcmp(s->names[i].text, text) == 0)
			return &s->names[i];
	check(s->n_names < USAGE_NAMES_MAX && strlen(text) <= WORD_MAX);
	name = &s->names[s->n_names++];
	*name = (struct name){.text = text, .n = (uint8_t)strlen(text)};
	return name;
}

static void
add_list(struct usage_scan *s, const char *const *list, uint8_t use)
{
	for (; list != NULL && *list != NULL; list++) {
		struct name *name = add_name(s, *list);

		name->uses |= use;
		if (use != USE_PROMPT_PART && use != USE_COMPLETION_PART)
			continue;
		check(s->n_parts < PARTS_MAX);
		if (use == USE_COMPLETION_PART)
			s->completion_parts |= 1U << s->n_parts;
		name->part = (uint8_t)s->n_parts;
		s->parts[s->n_parts++] = -1;
	}
}

static void
add_objects(struct usage_scan *s, const char *const *list)
{
	for (; *list != NULL; list++) {
		check(s->n_objects < OBJECTS_MAX && strlen(*list) <= WORD_MAX);
		s->objects[s->n_objects++] =
		    (struct name){.text = *list, .n = (uint8_t)strlen(*list)};
	}
}

/* --- the lexer --- */

static const struct name *
find_name(const struct name *names, size_t n, const char *word, size_t n_word)
{
	for (size_t i = 0; i < n; i++)
		if (names[i].n == n_word && memcmp(names[i].text, word, n_word) == 0)
			return &names[i];
	return NULL;
}

static void
lex_reset(struct usage_scan *s)
{
	s->lex = LEX_BETWEEN;
	s->depth = 0;
	s->inside = 0;
	s->opens = false;
	s->wanted = NULL;
	s->n_word = 0;
}

static void
collect(struct usage_scan *s, const char *p, size_t n)
{
	if (s->n_word > WORD_MAX || n > WORD_MAX - s->n_word) {
		s->n_word = WORD_MAX + 1;
		return;
	}
	memcpy(s->word + s->n_word, p, n);
	s->n_word += n;
}

/* A colon: the string before it was a name. */
static void
name_ended(struct usage_scan *s)
{
	if (s->n_word == 0)
		return;
	if (s->inside > 0) {
		s->wanted = find_name(s->names, s->n_names, s->word, s->n_word);
		/* Below the object itself only what is counted nowhere else. */
		if (s->wanted != NULL && s->depth != s->inside && s->wanted->uses != USE_CACHED)
			s->wanted = NULL;
	} else {
		s->opens = find_name(s->objects, s->n_objects, s->word, s->n_word) != NULL;
	}
	s->n_word = 0;
}

static void
opened(struct usage_scan *s, bool object)
{
	s->depth++;
	if (object && s->opens && s->inside == 0)
		s->inside = s->depth;
	s->opens = false;
	s->wanted = NULL;
	s->n_word = 0;
}

static void
closed(struct usage_scan *s)
{
	if (s->inside == s->depth)
		s->inside = 0;
	if (s->depth > 0)
		s->depth--;
	s->opens = false;
	s->wanted = NULL;
	s->n_word = 0;
}

static bool
word_to_count(const struct usage_scan *s, int64_t *ret)
{
	char text[WORD_MAX + 1];
	char *end;
	double d;

	if (s->n_word > WORD_MAX)
		return false;
	if (str_to_i64((struct str){s->word, s->n_word}, 0, COUNT_MAX, ret))
		return true;
	memcpy(text, s->word, s->n_word);
	text[s->n_word] = '\0';
	d = strtod(text, &end);
	if (end == text || *end != '\0' || !(d >= 0 && d <= (double)COUNT_MAX))
		return false;
	*ret = (int64_t)d;
	return true;
}

static void
number_ended(struct usage_scan *s)
{
	uint8_t uses = s->wanted->uses;
	int64_t v;

	if (word_to_count(s, &v)) {
		if (uses & USE_PROMPT)
			s->found.prompt = v;
		if (uses & USE_COMPLETION)
			s->found.completion = v;
		if (uses & USE_CACHED)
			s->found.cached = v;
		if (uses & (USE_PROMPT_PART | USE_COMPLETION_PART))
			s->parts[s->wanted->part] = v;
	}
	s->lex = LEX_BETWEEN;
	s->wanted = NULL;
	s->n_word = 0;
}

#define BYTES(c) ((uint64_t)(c)*UINT64_C(0x0101010101010101))

/* The first quote or backslash from p on, else end; eight bytes at a time. */
static inline const char *
string_stop(const char *p, const char *end)
{
	for (; end - p >= 8; p += 8) {
		uint64_t w;
		uint64_t hit;

		memcpy(&w, p, sizeof(w));
		hit = (w ^ BYTES('"')) - BYTES(1);
		hit |= (w ^ BYTES('\\')) - BYTES(1);
		if ((hit & ~w & BYTES(0x80)) != 0)
			break;
	}
	while (p < end && *p != '"' && *p != '\\')
		p++;
	return p;
}

static const char *
lex_string(struct usage_scan *s, const char *p, const char *end)
{
	const char *stop = string_stop(p, end);

	if (s->collect)
		collect(s, p, (size_t)(stop - p));
	if (stop == end)
		return end;
	if (*stop == '"') {
		s->lex = LEX_BETWEEN;
	} else {
		s->lex = LEX_ESCAPE;
		/* No name of ours is spelt with an escape. */
		s->n_word = s->collect ? WORD_MAX + 1 : 0;
	}
	return stop + 1;
}

static const char *
lex_number(struct usage_scan *s, const char *p, const char *end)
{
	const char *start = p;

	while (p < end && ((*p >= '0' && *p <= '9') || *p == '-' || *p == '+' || *p == '.' ||
			   (*p | 0x20) == 'e'))
		p++;
	collect(s, start, (size_t)(p - start));
	if (p < end)
		number_ended(s);
	return p;
}

static const char *
lex_between(struct usage_scan *s, const char *p, const char *end)
{
	for (; p < end; p++) {
		switch (*p) {
		case '"':
			s->collect = s->inside > 0 || s->depth <= OBJECT_DEPTH;
			s->n_word = 0;
			s->lex = LEX_STRING;
			return p + 1;
		case ':':
			name_ended(s);
			break;
		case ',':
			s->opens = false;
			s->wanted = NULL;
			s->n_word = 0;
			break;
		case '{':
		case '[':
			opened(s, *p == '{');
			break;
		case '}':
		case ']':
			closed(s);
			break;
		default:
			if (s->wanted != NULL && (*p == '-' || (*p >= '0' && *p <= '9'))) {
				s->n_word = 0;
				s->lex = LEX_NUMBER;
				return p;
			}
		}
	}
	return p;
}

static void
lex(struct usage_scan *s, const char *p, size_t n)
{
	const char *end = p + n;

	while (p < end) {
		switch (s->lex) {
		case LEX_BETWEEN:
			p = lex_between(s, p, end);
			break;
		case LEX_STRING:
			p = lex_string(s, p, end);
			break;
		case LEX_ESCAPE:
			s->lex = LEX_STRING;
			p++;
			break;
		case LEX_NUMBER:
			p = lex_number(s, p, end);
			break;
		}
	}
}

static void
on_data(void *arg, const char *p, size_t n)
{
	struct usage_scan *s = arg;

	if (p == NULL)
		lex_reset(s);
	else
		lex(s, p, n);
}

static void
feed_plain(struct usage_scan *s, const char *p, size_t n)
{
	if (s->form == USAGE_SSE)
		sse_feed(&s->sse, p, n, on_data, s);
	else
		lex(s, p, n);
}

/* --- encoded answers --- */

static void
inflate_some(struct usage_scan *s, const uint8_t *p, size_t n)
{
	struct inflater *f = s->inflater;
	uint8_t out[INFLATE_CHUNK];
	bool full = false;

	f->z.next_in = (z_const Bytef *)(uintptr_t)p;
	f->z.avail_in = (uInt)n;
	while (!f->over && (f->z.avail_in > 0 || full)) {
		int rc;

		f->z.next_out = out;
		f->z.avail_out = sizeof(out);
		rc = inflate(&f->z, Z_NO_FLUSH);
		full = f->z.avail_out == 0;
		n = sizeof(out) - f->z.avail_out;
		f->total += n;
		if (f->total > LIMIT_INFLATED) {
			f->over = true;
			return;
		}
		feed_plain(s, (const char *)out, n);
		/* A gzip file may be several, one behind another. */
		if (rc == Z_STREAM_END)
			rc = f->z.avail_in > 0 ? inflateReset(&f->z) : Z_STREAM_END;
		f->over = rc != Z_OK && rc != Z_BUF_ERROR;
	}
}

/* "deflate" should be zlib's format, and is raw deflate from some servers: the first
 * two bytes tell. */
static int
window_bits(const uint8_t header[INFLATE_HEADER])
{
	bool gzip = header[0] == 0x1F && header[1] == 0x8B;
	bool zlib = (header[0] & 0x0F) == Z_DEFLATED && (header[0] << 8 | header[1]) % 31 == 0;

	return gzip || zlib ? 32 + MAX_WBITS : -MAX_WBITS;
}

static void
feed_encoded(struct usage_scan *s, const uint8_t *p, size_t n)
{
	struct inflater *f = s->inflater;

	if (!f->begun) {
		while (f->n_header < INFLATE_HEADER && n > 0) {
			f->header[f->n_header++] = *p++;
			n--;
		}
		if (f->n_header < INFLATE_HEADER)
			return;
		f->begun = true;
		f->over = inflateInit2(&f->z, window_bits(f->header)) != Z_OK;
		inflate_some(s, f->header, INFLATE_HEADER);
	}
	while (n > 0 && !f->over) {
		size_t k = MIN(n, (size_t)UINT32_MAX);

		inflate_some(s, p, k);
		p += k;
		n -= k;
	}
}

/* --- from outside --- */

static void
begin(struct usage_scan *s, const struct usage_names *names)
{
	*s = (struct usage_scan){.found = {-1, -1, -1}};
	sse_init(&s->sse);
	add_objects(s, names->objects);
	add_list(s, names->prompt, USE_PROMPT);
	add_list(s, names->completion, USE_COMPLETION);
	add_list(s, names->cached, USE_CACHED);
	add_list(s, names->prompt_parts, USE_PROMPT_PART);
	add_list(s, names->completion_parts, USE_COMPLETION_PART);
}

/* This thread's last one as it was at its beginning: the next is mostly of the same
 * names. */
struct usage_scan *
usage_new(const struct usage_names *names, enum usage_form form)
{
	static _Thread_local struct usage_scan fresh;
	static _Thread_local const struct usage_names *fresh_names;
	struct usage_scan *s = xmalloc(sizeof(*s));

	if (fresh_names != names) {
		begin(&fresh, names);
		fresh_names = names;
	}
	*s = fresh;
	s->form = form;
	return s;
}

struct usage_scan *
usage_new_encoded(const struct usage_names *names, enum usage_form form, const char *encoding)
{
	struct str e = str_trim(str_of(encoding));
	struct usage_scan *s;

	if (e.n == 0 || str_iis(e, "identity"))
		return usage_new(names, form);
	if (!str_iis(e, "gzip") && !str_iis(e, "x-gzip") && !str_iis(e, "deflate"))
		return NULL;
	s = usage_new(names, form);
	s->inflater = xcalloc(1, sizeof(*s->inflater));
	return s;
}

void
usage_free(struct usage_scan *s)
{
	if (s == NULL)
		return;
	if (s->inflater != NULL && s->inflater->begun)
		(void)inflateEnd(&s->inflater->z);
	free(s->inflater);
	free(s);
}

void
usage_feed(struct usage_scan *s, const char *p, size_t n)
{
	if (s->inflater != NULL)
		feed_encoded(s, (const uint8_t *)p, n);
	else
		feed_plain(s, p, n);
}

struct usage
usage_result(const struct usage_scan *s)
{
	struct usage u = s->found;

	for (size_t i = 0; i < s->n_parts; i++) {
		bool completion = (s->completion_parts >> i & 1) != 0;
		int64_t *sum = completion ? &u.completion : &u.prompt;

		if (s->parts[i] >= 0)
			*sum = MAX(*sum, 0) + s->parts[i];
	}
	return u;
}
