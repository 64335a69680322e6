/* SPDX-License-Identifier: MIT
 *
 * A growable byte buffer that knows its maximum. Too much is an ordinary
 * error: the buffer then keeps what it had and remembers the failure, so that
 * a run of buf_add…() may be checked once, at its end, with buf_err().
 */
#ifndef LIB_BUF_H
#define LIB_BUF_H

#include "lib/base.h"
#include "lib/err.h"

struct buf {
	char *p; /* always NUL-terminated once something was added */
	size_t n;
	size_t cap; /* never above max + 1 */
	size_t max; /* most bytes it may hold */
	bool overflowed;
};

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);
/* Empties it, keeps the memory, forgets an overflow. */
void buf_clear(struct buf *b);

/* Room for n bytes at once, when that many are expected; within the maximum. */
void buf_reserve(struct buf *b, size_t n);
/* For buf_add(), when it does not fit. */
void buf_grow_and_add(struct buf *b, const void *p, size_t n);

/* These are inline so that a literal's length, or a number's, is known when compiled. */
static inline void
buf_add(struct buf *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	if (n >= b->cap - b->n) {
		buf_grow_and_add(b, p, n);
		return;
	}
	memcpy(b->p + b->n, p, n);
	b->n += n;
	b->p[b->n] = '\0';
}

static inline void
buf_str(struct buf *b, struct str s)
{
	buf_add(b, s.p, s.n);
}

static inline void
buf_cstr(struct buf *b, const char *s)
{
	buf_add(b, s, strlen(s));
}

static inline void
buf_char(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_int(struct buf *b, int64_t v); /* in decimal */
void buf_printf(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* The text between quotes as a JSON string wants it; invalid UTF-8 becomes
 * U+FFFD. Adds the quotes. */
void buf_json(struct buf *b, struct str s);

/* ERR_TOO_LARGE when anything since the last clear did not fit. */
enum err buf_err(const struct buf *b) MUST_CHECK;
struct str buf_view(const struct buf *b);
/* NUL-terminated; "" when empty. Borrowed. */
const char *buf_text(const struct buf *b);
/* Hands the malloc'ed, NUL-terminated bytes over and leaves it empty. */
char *buf_take(struct buf *b, size_t *ret_n);

#endif
