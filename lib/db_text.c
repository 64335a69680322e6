/* SPDX-License-Identifier: MIT
 *
 * Times and numbers as text: how they stand in SQLite and in JSON, GPT-Load 1.4's ways
 * included.
 */
#include "lib/db.h"
#include "lib/str.h"

#include <stdio.h>
#include <time.h>

#define US_PER_S 1000000

/* --- times in text --- */

/* The last n digits of v, ended by no NUL. */
static char *
put_digits(char *out, int64_t v, int n)
{
	for (int i = n - 1; i >= 0; i--) {
		out[i] = (char)('0' + v % 10);
		v /= 10;
	}
	return out + n;
}

void
time_format(char out[40], int64_t us, char sep)
{
	int64_t fraction = us % US_PER_S;
	time_t s = (time_t)(us / US_PER_S);
	struct tm tm;
	char *p = out;
	long offset;

	if (fraction < 0) {
		fraction += US_PER_S;
		s--;
	}
	check(localtime_r(&s, &tm) != NULL);
	p = put_digits(p, tm.tm_year + 1900, 4);
	*p++ = '-';
	p = put_digits(p, tm.tm_mon + 1, 2);
	*p++ = '-';
	p = put_digits(p, tm.tm_mday, 2);
	*p++ = sep;
	p = put_digits(p, tm.tm_hour, 2);
	*p++ = ':';
	p = put_digits(p, tm.tm_min, 2);
	*p++ = ':';
	p = put_digits(p, tm.tm_sec, 2);
	if (fraction > 0) {
		*p++ = '.';
		p = put_digits(p, fraction, 6);
		while (p[-1] == '0')
			p--;
	}
	offset = tm.tm_gmtoff / 60;
	*p++ = offset < 0 ? '-' : '+';
	offset = offset < 0 ? -offset : offset;
	p = put_digits(p, offset / 60, 2);
	*p++ = ':';
	p = put_digits(p, offset % 60, 2);
	*p = '\0';
}

/* Cuts exactly n digits off *s. */
static bool
take_digits(struct str *s, size_t n, int *ret)
{
	int v = 0;

	if (s->n < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return false;
		v = v * 10 + (s->p[i] - '0');
	}
	*ret = v;
	*s = str_from(*s, n);
	return true;
}

static bool
take_char(struct str *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = str_from(*s, 1);
	return true;
}

/* ".123456789": to microseconds, the rest is cut. */
static bool
take_fraction(struct str *s, int64_t *ret_us)
{
	int64_t us = 0;
	int n = 0;
	int digit;

	if (!take_char(s, '.')) {
		*ret_us = 0;
		return true;
	}
	for (; take_digits(s, 1, &digit); n++)
		if (n < 6)
			us = us * 10 + digit;
	if (n == 0 || n > 9)
		return false;
	for (; n < 6; n++)
		us *= 10;
	*ret_us = us;
	return true;
}

/* "Z" or "+08:00", to the end of s. */
static bool
take_offset(struct str *s, int64_t *ret_s)
{
	bool west = s->n > 0 && s->p[0] == '-';
	int hours;
	int minutes;

	if (take_char(s, 'Z') || take_char(s, 'z')) {
		*ret_s = 0;
		return s->n == 0;
	}
	if (!take_char(s, west ? '-' : '+') || !take_digits(s, 2, &hours) || !take_char(s, ':') ||
	    !take_digits(s, 2, &minutes) || s->n > 0 || hours > 23 || minutes > 59)
		return false;
	*ret_s = (west ? -1 : 1) * (hours * 60 + minutes) * 60;
	return true;
}

bool
time_parse(struct str text, int64_t *ret_us)
{
	struct tm tm = {0};
	struct tm same;
	int64_t offset;
	int64_t us;
	time_t s;

	if (!take_digits(&text, 4, &tm.tm_year) || !take_char(&text, '-') ||
	    !take_digits(&text, 2, &tm.tm_mon) || !take_char(&text, '-') ||
	    !take_digits(&text, 2, &tm.tm_mday) ||
	    !(take_char(&text, 'T') || take_char(&text, 't') || take_char(&text, ' ')) ||
	    !take_digits(&text, 2, &tm.tm_hour) || !take_char(&text, ':') ||
	    !take_digits(&text, 2, &tm.tm_min) || !take_char(&text, ':') ||
	    !take_digits(&text, 2, &tm.tm_sec) || !take_fraction(&text, &us) ||
	    !take_offset(&text, &offset))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	/* timegm() carries "31 April" over into May: what comes out must be what went
	 * in. */
	same = tm;
	s = timegm(&same);
	if (same.tm_year != tm.tm_year || same.tm_mon != tm.tm_mon || same.tm_mday != tm.tm_mday ||
	    same.tm_hour != tm.tm_hour || same.tm_min != tm.tm_min || same.tm_sec != tm.tm_sec)
		return false;
	*ret_us = ((int64_t)s - offset) * US_PER_S + us;
	return true;
}

/* --- numbers in text --- */

/* Digits with at most one point among them, written to `digits` without it and
 * without zeros in front; *ret_point is how many stood behind the point. */
static bool
take_mantissa(struct str *s, char digits[32], size_t *ret_n, int *ret_point)
{
	bool point = false;
	bool any = false;
	size_t n = 0;
	int behind = 0;

	for (; s->n > 0; *s = str_from(*s, 1)) {
		char c = s->p[0];

		if (c == '.' && any && !point) {
			point = true;
			continue;
		}
		if (c < '0' || c > '9')
			break;
		any = true;
		behind += point;
		if (n == 0 && c == '0')
			continue;
		if (n == 31)
			return false;
		digits[n++] = c;
	}
	*ret_n = n;
	*ret_point = behind;
	return any;
}

bool
number_parse(struct str text, int64_t *ret)
{
	char digits[32];
	char whole[32] = "-";
	int64_t exponent = 0;
	bool negative;
	size_t n;
	int point;

	text = str_trim(text);
	if (str_to_i64(text, INT64_MIN, INT64_MAX, ret))
		return true;
	negative = take_char(&text, '-');
	if (!take_mantissa(&text, digits, &n, &point))
		return false;
	if (text.n > 0 &&
	    ((text.p[0] | 0x20) != 'e' || !str_to_i64(str_from(text, 1), -1000, 1000, &exponent)))
		return false;
	exponent -= point;
	/* The digits, shifted: zeros added, or zeros (nothing else) taken away. */
	for (; exponent < 0 && n > 0; exponent++)
		if (digits[--n] != '0')
			return false;
	if (n == 0) {
		*ret = 0;
		return true;
	}
	for (; exponent > 0; exponent--) {
		if (n == 20)
			return false;
		digits[n++] = '0';
	}
	if (n > 20)
		return false;
	memcpy(whole + 1, digits, n);
	return str_to_i64((struct str){negative ? whole : whole + 1, negative ? n + 1 : n},
			  INT64_MIN, INT64_MAX, ret);
}
