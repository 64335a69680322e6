/* SPDX-License-Identifier: MIT
 *
 * Growable buffer with a maximum; see buf.h.
 */
#include "lib/buf.h"
#include "lib/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_FIRST_CAP 64

void
buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void
buf_done(struct buf *b)
{
	free(b->p);
	buf_init(b, b->max);
}

void
buf_clear(struct buf *b)
{
	b->n = 0;
	b->overflowed = false;
	if (b->p != NULL)
		b->p[0] = '\0';
}

/* Makes room for n more bytes and the NUL; false when over the maximum. */
static bool
reserve(struct buf *b, size_t n)
{
	size_t cap = b->cap;

	if (n > b->max - b->n) {
		b->overflowed = true;
		return false;
	}
	if (b->n + n + 1 <= cap)
		return true;
	if (cap < BUF_FIRST_CAP)
		cap = BUF_FIRST_CAP;
	while (cap < b->n + n + 1)
		cap += cap / 2;
	if (cap - 1 > b->max)
		cap = b->max + 1;
	b->p = xrealloc(b->p, cap);
	b->cap = cap;
	return true;
}

void
buf_reserve(struct buf *b, size_t n)
{
	if (n <= b->max - b->n && b->n + n + 1 > b->cap) {
		b->cap = b->n + n + 1;
		b->p = xrealloc(b->p, b->cap);
		b->p[b->n] = '\0';
	}
}

void
buf_grow_and_add(struct buf *b, const void *p, size_t n)
{
	if (!reserve(b, n))
		return;
	memcpy(b->p + b->n, p, n);
	b->n += n;
	b->p[b->n] = '\0';
}

void
buf_int(struct buf *b, int64_t v)
{
	char digits[24];
	char *p = digits + sizeof(digits);
	uint64_t rest = v < 0 ? -(uint64_t)v : (uint64_t)v;

	do {
		*--p = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest > 0);
	if (v < 0)
		*--p = '-';
	buf_add(b, p, (size_t)(digits + sizeof(digits) - p));
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	check(n >= 0);
	if (!reserve(b, (size_t)n))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->n += (size_t)n;
}

static void
json_char(struct buf *b, unsigned char c)
{
	switch (c) {
	case '"':
		buf_cstr(b, "\\\"");
		break;
	case '\\':
		buf_cstr(b, "\\\\");
		break;
	case '\n':
		buf_cstr(b, "\\n");
		break;
	case '\r':
		buf_cstr(b, "\\r");
		break;
	case '\t':
		buf_cstr(b, "\\t");
		break;
	default:
		buf_printf(b, "\\u%04x", c);
	}
}

void
buf_json(struct buf *b, struct str s)
{
	size_t i = 0;

	buf_char(b, '"');
	while (i < s.n) {
		size_t start = i;
		size_t n = 0;

		while (i < s.n && (n = utf8_next(s.p + i, s.n - i)) > 0 &&
		       (unsigned char)s.p[i] >= 0x20 && s.p[i] != '"' && s.p[i] != '\\')
			i += n;
		buf_add(b, s.p + start, i - start);
		if (i == s.n)
			break;
		if (n == 0)
			buf_cstr(b, "\xEF\xBF\xBD");
		else
			json_char(b, (unsigned char)s.p[i]);
		i++;
	}
	buf_char(b, '"');
}

enum err
buf_err(const struct buf *b)
{
	return b->overflowed ? ERR_TOO_LARGE : ERR_OK;
}

struct str
buf_view(const struct buf *b)
{
	return (struct str){b->p, b->n};
}

const char *
buf_text(const struct buf *b)
{
	return b->p != NULL ? b->p : "";
}

char *
buf_take(struct buf *b, size_t *ret_n)
{
	char *p = b->p != NULL ? b->p : xcalloc(1, 1);

	if (ret_n != NULL)
		*ret_n = b->n;
	buf_init(b, b->max);
	return p;
}
