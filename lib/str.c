/* SPDX-License-Identifier: MIT
 *
 * Slices, strict conversions, UTF-8 and hex.
 */
#include "lib/str.h"

#include <ctype.h>
#include <strings.h>

int
str_compare(struct str a, struct str b)
{
	size_t n = MIN(a.n, b.n);
	int order = n > 0 ? memcmp(a.p, b.p, n) : 0;

	return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool
str_ieq_bytes(const char *a, const char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (lower(a[i]) != lower(b[i]))
			return false;
	return true;
}

bool
str_ends(struct str s, const char *suffix)
{
	size_t n = strlen(suffix);

	return s.n >= n && (n == 0 || memcmp(s.p + s.n - n, suffix, n) == 0);
}

bool
str_contains(struct str s, const char *needle)
{
	return s.n > 0 && memmem(s.p, s.n, needle, strlen(needle)) != NULL;
}

bool
str_icontains(struct str s, const char *needle)
{
	size_t n = strlen(needle);

	for (size_t i = 0; i + n <= s.n; i++)
		if (n == 0 || (lower(s.p[i]) == needle[0] && strncasecmp(s.p + i, needle, n) == 0))
			return true;
	return false;
}

bool
str_has_control(struct str s, bool lines)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if ((c < ' ' || c == 0x7f) && !(lines && (c == '\n' || c == '\r' || c == '\t')))
			return true;
	}
	return false;
}

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str
str_trim(struct str s)
{
	while (s.n > 0 && is_blank(s.p[0])) {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

struct str
str_from(struct str s, size_t from)
{
	return from >= s.n ? (struct str){NULL, 0} : (struct str){s.p + from, s.n - from};
}

bool
str_split(struct str *rest, char sep, struct str *ret_piece)
{
	const char *end;

	if (rest->p == NULL)
		return false;
	end = rest->n > 0 ? memchr(rest->p, sep, rest->n) : NULL;
	if (end == NULL) {
		*ret_piece = *rest;
		*rest = (struct str){NULL, 0};
		return true;
	}
	*ret_piece = (struct str){rest->p, (size_t)(end - rest->p)};
	rest->n -= ret_piece->n + 1;
	rest->p = end + 1;
	return true;
}

bool
str_listed(struct str list, struct str item)
{
	struct str one;

	while (str_split(&list, ',', &one))
		if (str_ieq(str_trim(one), item))
			return true;
	return false;
}

bool
str_to_i64(struct str s, int64_t min, int64_t max, int64_t *ret)
{
	bool negative = false;
	int64_t v = 0;
	size_t i = 0;

	if (s.n > 0 && (s.p[0] == '-' || s.p[0] == '+')) {
		negative = s.p[0] == '-';
		i = 1;
	}
	if (i == s.n)
		return false;
	for (; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		/* Built up below zero, where the range is one larger. */
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_sub_overflow(v, s.p[i] - '0', &v))
			return false;
	}
	if (!negative && __builtin_sub_overflow(0, v, &v))
		return false;
	if (v < min || v > max)
		return false;
	*ret = v;
	return true;
}

bool
str_to_bool(struct str s, bool *ret)
{
	static const char *const yes[] = {"true", "1", "yes", "on"};
	static const char *const no[] = {"false", "0", "no", "off"};

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (str_iis(s, yes[i]) || str_iis(s, no[i])) {
			*ret = str_iis(s, yes[i]);
			return true;
		}
	}
	return false;
}

size_t
str_printable(struct str s)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	const uint64_t tops = UINT64_C(0x8080808080808080);
	size_t i = 0;

	for (; i + sizeof(uint64_t) <= s.n; i += sizeof(uint64_t)) {
		uint64_t v;
		uint64_t del;

		memcpy(&v, s.p + i, sizeof(v));
		/* A top bit is left by a byte that has one, is below 0x20, or is 0x7F; the
		 * borrow of one may mark its neighbour too, never unmark it. */
		del = v ^ (ones * 0x7F);
		if (((v | (v - ones * 0x20) | (del - ones)) & tops) != 0)
			break;
	}
	return i;
}

size_t
utf8_next(const char *p, size_t n)
{
	const unsigned char *u = (const unsigned char *)p;
	unsigned char low = 0x80;
	unsigned char high = 0xBF;
	size_t len;

	if (n == 0)
		return 0;
	if (u[0] < 0x80)
		return 1;
	if (u[0] >= 0xC2 && u[0] <= 0xDF)
		len = 2;
	else if (u[0] >= 0xE0 && u[0] <= 0xEF)
		len = 3;
	else if (u[0] >= 0xF0 && u[0] <= 0xF4)
		len = 4;
	else
		return 0;
	if (n < len)
		return 0;
	/* The second byte's range excludes overlong forms, surrogates and what
	 * lies beyond U+10FFFF (RFC 3629, section 4). */
	if (u[0] == 0xE0)
		low = 0xA0;
	else if (u[0] == 0xED)
		high = 0x9F;
	else if (u[0] == 0xF0)
		low = 0x90;
	else if (u[0] == 0xF4)
		high = 0x8F;
	if (u[1] < low || u[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if (u[i] < 0x80 || u[i] > 0xBF)
			return 0;
	return len;
}

bool
utf8_valid(struct str s)
{
	for (size_t i = 0; i < s.n;) {
		size_t n = utf8_next(s.p + i, s.n - i);

		if (n == 0)
			return false;
		i += n;
	}
	return true;
}

struct str
utf8_cut(struct str s, size_t max)
{
	if (s.n <= max)
		return s;
	s.n = max;
	while (s.n > 0 && ((unsigned char)s.p[s.n] & 0xC0) == 0x80)
		s.n--;
	return s;
}

void
hex_encode(char *out, const void *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	const unsigned char *u = p;

	for (size_t i = 0; i < n; i++) {
		*out++ = digits[u[i] >> 4];
		*out++ = digits[u[i] & 15];
	}
	*out = '\0';
}

int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
hex_decode(struct str s, void *out, size_t n)
{
	unsigned char *u = out;

	if (s.n != 2 * n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int high = hex_value(s.p[2 * i]);
		int low = hex_value(s.p[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		u[i] = (unsigned char)(high << 4 | low);
	}
	return true;
}
