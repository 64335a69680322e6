/* SPDX-License-Identifier: MIT
 *
 * Causes of failures. A text is taken apart into words; those that are the failure's own
 * and not the cause's become "…".
 */
#include "lib/cause.h"

#include "lib/json.h"
#include "lib/str.h"

#include <json-c/json.h>
#include <stdlib.h>

#define HEX_MIN 16 /* characters of a word that is a number of something */

void
causes_init(struct causes *c)
{
	c->n = 0;
	c->others = 0;
	arena_init(&c->arena, 4096);
}

void
causes_done(struct causes *c)
{
	arena_done(&c->arena);
}

/* --- a cause's text --- */

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
in_word(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       c == '-' || c == '*';
}

static struct str
next_word(struct str text)
{
	size_t n = 0;

	while (n < text.n && in_word(text.p[n]))
		n++;
	return (struct str){text.p, n};
}

/* A number such as a UUID or a hash. */
static bool
is_hex(struct str word)
{
	bool digit = false;

	for (size_t i = 0; i < word.n; i++) {
		char c = word.p[i];

		if (!is_digit(c) && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F') && c != '-')
			return false;
		digit = digit || is_digit(c);
	}
	return digit && word.n >= HEX_MIN;
}

/* How long something took, or how much came: "12ms", "12 ms", "0 bytes". */
static bool
is_measure(struct str word, struct str behind)
{
	static const char *const units[] = {"ms",       "s",     " ms", " milliseconds",
					    " seconds", " bytes"};
	size_t digits = 0;

	while (digits < word.n && is_digit(word.p[digits]))
		digits++;
	for (size_t i = 0; digits > 0 && i < ARRAY_LEN(units); i++)
		if (units[i][0] == ' ' ? digits == word.n && str_starts(behind, units[i])
				       : str_is(str_from(word, digits), units[i]))
			return true;
	return false;
}

/* How much of the word says something: all of it, its prefix, or nothing. */
static size_t
telling(struct str word, struct str behind)
{
	static const char *const prefixes[] = {"req_", "req-", "request_", "request-", "sk-"};

	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		struct str prefix = str_of(prefixes[i]);

		if (word.n >= prefix.n + 4 && str_iis((struct str){word.p, prefix.n}, prefixes[i]))
			return prefix.n;
	}
	for (size_t i = 0; i + 1 < word.n; i++)
		if (word.p[i] == '*' && word.p[i + 1] == '*')
			return 0;
	return is_hex(word) || is_measure(word, behind) ? 0 : word.n;
}

/* What is between words, and behind it: a character, or all of a break of lines. */
static struct str
put_between(struct buf *b, struct str why)
{
	size_t n = 0;

	if ((unsigned char)why.p[0] >= ' ') {
		buf_char(b, why.p[0]);
		return str_from(why, 1);
	}
	if (!str_ends(buf_view(b), "…"))
		buf_cstr(b, "…");
	while (n < why.n && (unsigned char)why.p[n] <= ' ')
		n++;
	return str_from(why, n);
}

static void
put_text(struct buf *b, struct str why)
{
	while (why.n > 0) {
		struct str word = next_word(why);
		struct str behind = str_from(why, word.n);
		size_t keep = telling(word, behind);

		if (word.n == 0) {
			why = put_between(b, why);
			continue;
		}
		buf_str(b, (struct str){word.p, keep});
		if (keep < word.n)
			buf_cstr(b, "…");
		why = behind;
	}
}

struct cause *
causes_add_status(struct causes *c, int64_t status, struct str why, int64_t n)
{
	struct cause *ret = NULL;
	struct buf b;
	struct str text;
	size_t i;

	/* One character may become the three bytes of "…". */
	buf_init(&b, 3 * why.n + 1);
	put_text(&b, str_trim(why));
	check(buf_err(&b) == ERR_OK);
	text = str_trim(utf8_cut(buf_view(&b), LIMIT_CAUSE_BYTES));
	for (i = 0; i < c->n && !(c->v[i].status == status && str_eq(c->v[i].text, text)); i++)
		continue;
	if (i == c->n && c->n < ARRAY_LEN(c->v))
		c->v[c->n++] = (struct cause){.text = arena_str(&c->arena, text), .status = status};
	if (i < c->n) {
		ret = &c->v[i];
		ret->n += n;
	} else {
		c->others += n;
	}
	buf_done(&b);
	return ret;
}

void
causes_add(struct causes *c, struct str why, int64_t n)
{
	causes_add_status(c, 0, why, n);
}

static int
by_count(const void *a, const void *b)
{
	const struct cause *x = a;
	const struct cause *y = b;

	return x->n < y->n ? 1 : x->n > y->n ? -1 : 0;
}

void
causes_sort(struct causes *c)
{
	if (c->n > 1)
		qsort(c->v, c->n, sizeof(*c->v), by_count);
}

/* --- kept --- */

void
causes_write(const struct causes *c, struct buf *b)
{
	buf_cstr(b, "\"causes\":[");
	for (size_t i = 0; i < c->n; i++) {
		buf_cstr(b, i > 0 ? ",[" : "[");
		buf_json(b, c->v[i].text);
		buf_printf(b, ",%lld]", (long long)c->v[i].n);
	}
	buf_printf(b, "],\"others\":%lld", (long long)c->others);
}

enum err
causes_read(struct causes *c, struct json_object *from)
{
	struct json_object *list = json_get(from, "causes");
	int64_t others = 0;
	int64_t n;
	struct str text;

	if (list == NULL)
		return ERR_OK;
	if (!json_object_is_type(list, json_type_array) ||
	    !json_get_int(json_get(from, "others"), &others))
		return ERR_INTERNAL;
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct json_object *one = json_object_array_get_idx(list, i);

		if (!json_object_is_type(one, json_type_array) ||
		    !json_get_text(json_object_array_get_idx(one, 0), &text) ||
		    !json_get_int(json_object_array_get_idx(one, 1), &n))
			return ERR_INTERNAL;
		causes_add(c, text, n);
	}
	c->others += others;
	return ERR_OK;
}
