/* SPDX-License-Identifier: MIT
 *
 * A row of the table fits when the text is its English with something in place of each
 * {}. What stands there is looked up in turn, since one error may quote another.
 */
#include "admin-cgi/errtext.h"

#include "admin-cgi/errtext_table.h"
#include "lib/buf.h"
#include "lib/limits.h"
#include "lib/str.h"

#include <ctype.h>

#define ARGS_MAX  4
#define DEPTH_MAX 3

static const char *const rows[][LANGUAGE__MAX] = {
#define X(en, zh, ja) {[LANGUAGE_ZH] = (zh), [LANGUAGE_EN] = (en), [LANGUAGE_JA] = (ja)},
    ERRTEXT_TABLE(X)
#undef X
};

struct match {
	struct str args[ARGS_MAX];
	size_t n;
};

/* Cuts what comes before the next "{}" off the pattern; false: there is none, and it is
 * all that is left. */
static bool
next_literal(const char **pattern, struct str *ret)
{
	const char *at = strstr(*pattern, "{}");

	*ret = at != NULL ? (struct str){*pattern, (size_t)(at - *pattern)} : str_of(*pattern);
	*pattern = at != NULL ? at + 2 : *pattern + ret->n;
	return at != NULL;
}

static bool
cut_prefix(struct str *text, struct str prefix)
{
	if (prefix.n == 0)
		return true;
	if (text->n < prefix.n || memcmp(text->p, prefix.p, prefix.n) != 0)
		return false;
	*text = str_from(*text, prefix.n);
	return true;
}

/* What stands before the literal: at its first place, or, of the last one, at the end. */
static bool
cut_argument(struct str *text, struct str literal, bool last, struct str *ret)
{
	size_t at = text->n - MIN(text->n, literal.n);

	if (!last) {
		const char *found =
		    text->n > 0 ? memmem(text->p, text->n, literal.p, literal.n) : NULL;
		if (found == NULL)
			return false;
		at = (size_t)(found - text->p);
	}
	*ret = (struct str){text->p, at};
	*text = str_from(*text, at);
	return cut_prefix(text, literal);
}

static bool
fits(const char *pattern, struct str text, struct match *ret)
{
	struct str literal;
	bool more = next_literal(&pattern, &literal);

	ret->n = 0;
	if (!cut_prefix(&text, literal))
		return false;
	while (more && ret->n < ARGS_MAX) {
		more = next_literal(&pattern, &literal);
		if (!cut_argument(&text, literal, !more, &ret->args[ret->n++]))
			return false;
	}
	return text.n == 0;
}

/* A pattern of marks alone fits nearly everything. */
static bool
says_something(const char *pattern)
{
	while (*pattern != '\0' && !isalpha((unsigned char)*pattern))
		pattern++;
	return *pattern != '\0';
}

static void
fill(const char *text, const struct match *m, struct buf *out)
{
	for (; *text != '\0'; text++) {
		size_t i = (size_t)(text[0] == '{' ? text[1] - '1' : -1);
		if (i < m->n && text[2] == '}') {
			buf_str(out, m->args[i]);
			text += 2;
		} else {
			buf_char(out, *text);
		}
	}
}

static bool
translate(struct str text, enum language language, struct arena *arena, int depth, struct str *ret)
{
	struct match m;

	for (size_t row = 0; row < ARRAY_LEN(rows); row++) {
		const char *pattern = rows[row][LANGUAGE_EN];
		bool known = true;
		struct buf out;

		if (!fits(pattern, text, &m))
			continue;
		for (size_t i = 0; i < m.n && depth < DEPTH_MAX; i++)
			known = translate(m.args[i], language, arena, depth + 1, &m.args[i]);
		if (!known && !says_something(pattern))
			continue;
		buf_init(&out, LIMIT_LOG_LINE);
		fill(rows[row][language], &m, &out);
		*ret = arena_str(arena, buf_view(&out));
		buf_done(&out);
		return true;
	}
	return false;
}

struct str
errtext(struct str text, enum language language, struct arena *arena)
{
	if (language != LANGUAGE_EN)
		(void)translate(text, language, arena, 0, &text);
	return text;
}
