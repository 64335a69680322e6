/* SPDX-License-Identifier: MIT
 *
 * URLs of the configuration; see url.h. The syntax is RFC 3986's, looser in what
 * a host name may hold: names that are not ASCII are for the resolver to judge.
 */
#include "lib/url.h"
#include "lib/str.h"

/* Cuts what stands before the first of `seps` off *rest. */
static struct str
cut_before(struct str *rest, const char *seps)
{
	size_t n = 0;
	struct str piece;

	while (n < rest->n && strchr(seps, rest->p[n]) == NULL)
		n++;
	piece = (struct str){rest->p, n};
	*rest = str_from(*rest, n);
	return piece;
}

static bool
bytes_valid(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c <= 0x20 || c == 0x7f || strchr("\"<>\\^`{|}", c) != NULL)
			return false;
	}
	return utf8_valid(s);
}

static bool
scheme_valid(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = (char)(s.p[i] | 0x20);
		bool letter = c >= 'a' && c <= 'z';

		if (!letter && (i == 0 || strchr("0123456789+-.", s.p[i]) == NULL))
			return false;
	}
	return s.n > 0;
}

static bool
host_valid(struct str s)
{
	if (s.n == 0)
		return false;
	if (s.p[0] == '[') {
		for (size_t i = 1; i + 1 < s.n; i++)
			if (strchr("0123456789abcdefABCDEF:.", s.p[i]) == NULL)
				return false;
		return s.n > 3 && s.p[s.n - 1] == ']';
	}
	for (size_t i = 0; i < s.n; i++)
		if (strchr("[]@:%!$&'()*+,;=", s.p[i]) != NULL)
			return false;
	return true;
}

/* "host", "host:80", "[::1]:80"; an empty port is none. */
static bool
take_host(struct str s, struct url *url)
{
	const char *bracket = s.n > 0 && s.p[0] == '[' ? memchr(s.p, ']', s.n) : NULL;
	size_t from = bracket != NULL ? (size_t)(bracket - s.p) : 0;
	struct str tail = str_from(s, from);
	int64_t port;

	url->host = cut_before(&tail, ":");
	url->host = (struct str){s.p, from + url->host.n};
	url->port = str_from(tail, 1);
	return host_valid(url->host) &&
	       (url->port.n == 0 ||
		(url->port.p[0] >= '0' && str_to_i64(url->port, 1, 65535, &port)));
}

bool
url_parse(struct str text, struct url *ret)
{
	struct str rest = text;
	struct str authority;
	struct url url = {0};
	const char *at;

	if (!bytes_valid(text))
		return false;
	url.scheme = cut_before(&rest, ":");
	if (!scheme_valid(url.scheme) || !str_starts(rest, "://"))
		return false;
	rest = str_from(rest, 3);
	authority = cut_before(&rest, "/?#");
	at = authority.n > 0 ? memrchr(authority.p, '@', authority.n) : NULL;
	if (at != NULL) {
		url.userinfo = (struct str){authority.p, (size_t)(at - authority.p)};
		authority = str_from(authority, url.userinfo.n + 1);
	}
	if (!take_host(authority, &url))
		return false;
	url.path = cut_before(&rest, "?#");
	if (str_starts(rest, "?")) {
		rest = str_from(rest, 1);
		url.query = cut_before(&rest, "#");
	}
	*ret = url;
	return true;
}

bool
url_scheme_is(const struct url *url, const char *scheme)
{
	return str_iis(url->scheme, scheme);
}

bool
url_decode(struct str text, struct arena *arena, struct str *ret)
{
	char *out = arena_strndup(arena, text.p, text.n);
	size_t n = 0;

	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];

		if (c == '%') {
			if (text.n - i < 3 || !hex_decode((struct str){text.p + i + 1, 2}, &c, 1))
				return false;
			i += 2;
		}
		if (c < 0x20 || c == 0x7f)
			return false;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	*ret = (struct str){out, n};
	return true;
}
