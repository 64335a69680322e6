/* SPDX-License-Identifier: MIT
 *
 * Slices and strict conversions. Nothing here allocates.
 */
#ifndef LIB_STR_H
#define LIB_STR_H

#include "lib/base.h"

/* NULL gives the empty slice. These are inline so that a literal's length is known when
 * compiled. */
static inline struct str
str_of(const char *s)
{
	return s != NULL ? (struct str){s, strlen(s)} : (struct str){NULL, 0};
}

static inline bool
str_eq(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool
str_is(struct str a, const char *b)
{
	return str_eq(a, str_of(b));
}

/* By bytes; like strcmp. */
int str_compare(struct str a, struct str b);
/* n bytes; ASCII letters compare without case. */
bool str_ieq_bytes(const char *a, const char *b, size_t n);

static inline bool
str_ieq(struct str a, struct str b)
{
	return a.n == b.n && str_ieq_bytes(a.p, b.p, a.n);
}

static inline bool
str_iis(struct str a, const char *b)
{
	return str_ieq(a, str_of(b));
}

/* Is `s` one of the list, case aside. */
static inline bool
str_iamong(struct str s, const struct str *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_ieq(list[i], s))
			return true;
	return false;
}

static inline bool
str_starts(struct str s, const char *prefix)
{
	size_t n = strlen(prefix);

	return s.n >= n && (n == 0 || memcmp(s.p, prefix, n) == 0);
}

bool str_ends(struct str s, const char *suffix);
bool str_contains(struct str s, const char *needle);
/* `needle` in lower case; ASCII letters of s compare without case. */
bool str_icontains(struct str s, const char *needle);
/* `lines`: line breaks and tabs are none. */
bool str_has_control(struct str s, bool lines);
/* Spaces, tabs, CR and LF off both ends. */
struct str str_trim(struct str s);
/* From byte `from` to the end; empty when past it. */
struct str str_from(struct str s, size_t from);
/* Cuts the next piece up to `sep` off *rest; false when there is none left. An
 * empty piece between two separators is a piece. */
bool str_split(struct str *rest, char sep, struct str *ret_piece);

/* Is `item` one of the comma-separated list, blanks and case aside. */
bool str_listed(struct str list, struct str item);

/* The whole slice as a decimal number within [min, max]; optional sign. */
bool str_to_i64(struct str s, int64_t min, int64_t max, int64_t *ret) MUST_CHECK;
/* true/1/yes/on, false/0/no/off, without case. */
bool str_to_bool(struct str s, bool *ret) MUST_CHECK;

/* Length in bytes of the valid UTF-8 sequence at p (1 to 4), 0 when invalid or
 * cut off. Overlong forms and surrogates are invalid. */
size_t utf8_next(const char *p, size_t n);
/* How many bytes at the start are printable ASCII, 0x20 to 0x7E; may stop up to 7 bytes
 * too early, so that it can look at 8 at once. */
size_t str_printable(struct str s);
bool utf8_valid(struct str s);
/* The longest start of s that is at most `max` bytes and cuts no sequence. */
struct str utf8_cut(struct str s, size_t max);

/* Lower-case hex of n bytes into out[2n + 1]. */
void hex_encode(char *out, const void *p, size_t n);
/* 0 to 15, or -1. */
int hex_value(char c);
/* s must be exactly 2n hex digits. */
bool hex_decode(struct str s, void *out, size_t n) MUST_CHECK;

#endif
