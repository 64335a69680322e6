/* SPDX-License-Identifier: MIT
 *
 * CGI variables read the same way by the responder and the admin programs:
 * request target, client keys in every place a vendor's SDK puts them, and the
 * client's address behind trusted proxies.
 */
#include "lib/cgi.h"
#include "lib/limits.h"

#include <arpa/inet.h>

/* Set before there are threads. */
static bool begins_at_script;

struct str
cgi_var(char *const *envp, const char *name)
{
	size_t n = strlen(name);

	for (; *envp != NULL; envp++)
		if (**envp == *name && strncmp(*envp, name, n) == 0 && (*envp)[n] == '=')
			return str_of(*envp + n + 1);
	return (struct str){NULL, 0};
}

/* --- request target --- */

/* The byte that "%XY" at s stands for, or -1. */
static int
percent_byte(struct str s)
{
	if (s.n < 3 || hex_value(s.p[1]) < 0 || hex_value(s.p[2]) < 0)
		return -1;
	return hex_value(s.p[1]) << 4 | hex_value(s.p[2]);
}

/* Is this path segment "." or "..", with any of its dots percent-encoded. */
static bool
is_dot_segment(struct str seg)
{
	int dots = 0;

	while (seg.n > 0) {
		if (seg.p[0] == '.')
			seg = str_from(seg, 1);
		else if (percent_byte(seg) == '.')
			seg = str_from(seg, 3);
		else
			return false;
		dots++;
	}
	return dots == 1 || dots == 2;
}

/* Cuts "scheme://authority" off an absolute-form target (RFC 9112, 3.2.2). */
static struct str
without_authority(struct str uri)
{
	const char *sep = uri.n > 0 && uri.p[0] != '/' ? memmem(uri.p, uri.n, "://", 3) : NULL;
	const char *slash;
	struct str rest;

	if (sep == NULL)
		return uri;
	rest = str_from(uri, (size_t)(sep - uri.p) + 3);
	slash = rest.n > 0 ? memchr(rest.p, '/', rest.n) : NULL;
	return slash != NULL ? str_from(rest, (size_t)(slash - rest.p)) : STR("/");
}

/* The length of `folder` at the start of the raw path, where a byte may be encoded;
 * 0: the path is not below it. The slash behind it is not counted. */
static size_t
length_of_folder(struct str path, struct str folder)
{
	struct str rest = path;

	for (size_t i = 0; i < folder.n; i++) {
		int byte = rest.n > 0 && rest.p[0] == '%' ? percent_byte(rest) : -1;

		if (rest.n == 0 ||
		    (byte >= 0 ? byte : (unsigned char)rest.p[0]) != (unsigned char)folder.p[i])
			return 0;
		rest = str_from(rest, byte >= 0 ? 3 : 1);
	}
	return rest.n > 0 && rest.p[0] == '/' ? path.n - rest.n : 0;
}

/* Cuts the folder of the program off. */
static struct str
below_script(char *const *envp, struct str path)
{
	struct str script = cgi_var(envp, "SCRIPT_NAME");

	while (script.n > 0 && script.p[script.n - 1] != '/')
		script.n--;
	if (script.n > 0)
		script.n--;
	return str_from(path, length_of_folder(path, script));
}

void
cgi_begin_at_script(void)
{
	begins_at_script = true;
}

static enum err
check_bytes(struct str s, struct errinfo *info)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c <= 0x20 || c == 0x7F)
			return err_set(info, ERR_BAD_REQUEST,
				       "the request target holds a space or control character");
		if (c != '%')
			continue;
		switch (percent_byte(str_from(s, i))) {
		case -1:
			return err_set(info, ERR_BAD_REQUEST,
				       "the request target holds a malformed percent-encoding");
		case 0:
			return err_set(info, ERR_BAD_REQUEST,
				       "the request target holds an encoded NUL");
		default:
			break;
		}
	}
	return ERR_OK;
}

enum err
cgi_target(char *const *envp, struct cgi_target *ret, struct errinfo *info)
{
	struct str uri = without_authority(cgi_var(envp, "REQUEST_URI"));
	struct cgi_target t = {.path = uri, .query = {"", 0}};
	struct str rest;
	struct str seg;
	const char *mark;
	enum err e;

	if (uri.n > LIMIT_TARGET_BYTES)
		return err_set(info, ERR_TARGET_TOO_LONG,
			       "the request target is longer than %d bytes", LIMIT_TARGET_BYTES);
	if (uri.n == 0 || uri.p[0] != '/')
		return err_set(info, ERR_BAD_REQUEST, "the request target is not a path");
	mark = memchr(uri.p, '?', uri.n);
	if (mark != NULL) {
		t.path.n = (size_t)(mark - uri.p);
		t.query = str_from(uri, t.path.n + 1);
	}
	e = check_bytes(uri, info);
	if (e != ERR_OK)
		return e;
	for (rest = t.path; str_split(&rest, '/', &seg);)
		if (is_dot_segment(seg))
			return err_set(info, ERR_BAD_REQUEST,
				       "the request path holds a dot segment");
	if (begins_at_script)
		t.path = below_script(envp, t.path);
	*ret = t;
	return ERR_OK;
}

/* --- query --- */

static struct str
percent_decode(struct str s, struct arena *arena)
{
	char *out = arena_alloc(arena, s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		int byte = s.p[i] == '%' ? percent_byte(str_from(s, i)) : -1;

		if (byte >= 0) {
			out[n++] = (char)byte;
			i += 2;
		} else {
			out[n++] = s.p[i] == '+' ? ' ' : s.p[i];
		}
	}
	out[n] = '\0';
	return (struct str){out, n};
}

/* Does the pair "name=value" (or "name") carry this name. */
static bool
pair_is(struct str pair, const char *name, struct str *ret_value)
{
	size_t n = strlen(name);

	if (!str_starts(pair, name) || (pair.n > n && pair.p[n] != '='))
		return false;
	*ret_value = str_from(pair, n + 1);
	return true;
}

bool
query_get(struct str query, const char *name, struct arena *arena, struct str *ret)
{
	struct str pair;
	struct str value;

	while (str_split(&query, '&', &pair)) {
		if (pair_is(pair, name, &value)) {
			*ret = percent_decode(value, arena);
			return true;
		}
	}
	return false;
}

struct str
query_without(struct str query, const char *name, struct arena *arena)
{
	char *out = arena_alloc(arena, query.n + 1);
	struct str pair;
	struct str value;
	size_t n = 0;
	bool first = true;

	while (str_split(&query, '&', &pair)) {
		if (pair_is(pair, name, &value))
			continue;
		if (!first)
			out[n++] = '&';
		first = false;
		if (pair.n > 0)
			memcpy(out + n, pair.p, pair.n);
		n += pair.n;
	}
	out[n] = '\0';
	return (struct str){out, n};
}

/* --- client keys --- */

/* Some servers hand the header on under another name after an internal redirect
 * (Apache with a rewrite rule). */
static bool
bearer(char *const *envp, struct str *ret)
{
	struct str v = cgi_var(envp, "HTTP_AUTHORIZATION");

	if (v.n == 0)
		v = cgi_var(envp, "REDIRECT_HTTP_AUTHORIZATION");
	if (v.n < 6 || !str_iis((struct str){v.p, 6}, "bearer") || (v.n > 6 && v.p[6] != ' '))
		return false;
	*ret = str_trim(str_from(v, 6));
	return true;
}

enum client_key_place
cgi_client_key(char *const *envp, struct str query, struct arena *arena, struct str *ret_key)
{
	static const struct {
		const char *var;
		enum client_key_place place;
	} headers[] = {
	    {"HTTP_X_API_KEY", CLIENT_KEY_X_API_KEY},
	    {"HTTP_X_GOOG_API_KEY", CLIENT_KEY_X_GOOG_API_KEY},
	    {"HTTP_API_KEY", CLIENT_KEY_API_KEY},
	};

	if (query_get(query, "key", arena, ret_key) && ret_key->n > 0)
		return CLIENT_KEY_QUERY;
	if (bearer(envp, ret_key))
		return CLIENT_KEY_BEARER;
	for (size_t i = 0; i < ARRAY_LEN(headers); i++) {
		*ret_key = cgi_var(envp, headers[i].var);
		if (ret_key->n > 0)
			return headers[i].place;
	}
	*ret_key = (struct str){NULL, 0};
	return CLIENT_KEY_NONE;
}

/* --- client address --- */

struct address {
	int family; /* AF_INET, AF_INET6 */
	uint8_t bytes[16];
};

/* Plain, in brackets, or with a port ("1.2.3.4:5", "[::1]:5"). */
static bool
address_parse(struct str s, struct address *ret)
{
	char text[INET6_ADDRSTRLEN + 1];
	const char *end;

	s = str_trim(s);
	if (s.n > 0 && s.p[0] == '[') {
		end = memchr(s.p, ']', s.n);
		if (end == NULL)
			return false;
		s = (struct str){s.p + 1, (size_t)(end - s.p) - 1};
	} else if (s.n > 0 && (end = memchr(s.p, ':', s.n)) != NULL &&
		   memchr(end + 1, ':', s.n - (size_t)(end + 1 - s.p)) == NULL) {
		s.n = (size_t)(end - s.p);
	}
	if (s.n == 0 || s.n >= sizeof(text))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, text, ret->bytes) == 1) {
		ret->family = AF_INET;
		return true;
	}
	if (inet_pton(AF_INET6, text, ret->bytes) != 1)
		return false;
	ret->family = AF_INET6;
	if (IN6_IS_ADDR_V4MAPPED((struct in6_addr *)ret->bytes)) {
		memmove(ret->bytes, ret->bytes + 12, 4);
		ret->family = AF_INET;
	}
	return true;
}

static bool
in_network(const struct address *a, struct str cidr)
{
	const char *slash = memchr(cidr.p, '/', cidr.n);
	struct address net;
	int64_t bits = -1;

	if (slash != NULL) {
		size_t at = (size_t)(slash - cidr.p);

		if (!str_to_i64(str_from(cidr, at + 1), 0, 128, &bits))
			return false;
		cidr.n = at;
	}
	if (!address_parse(cidr, &net) || net.family != a->family)
		return false;
	if (bits < 0 || bits > (net.family == AF_INET ? 32 : 128))
		bits = net.family == AF_INET ? 32 : 128;
	for (int64_t i = 0; i < bits; i += 8) {
		uint8_t mask = bits - i >= 8 ? 0xFF : (uint8_t)(0xFF << (8 - (bits - i)));

		if ((a->bytes[i / 8] & mask) != (net.bytes[i / 8] & mask))
			return false;
	}
	return true;
}

static bool
is_trusted(struct str address, const char *trusted)
{
	struct str rest = str_of(trusted != NULL ? trusted : "127.0.0.0/8,::1");
	struct address a;
	struct str piece;

	/* A Unix socket has no address: the peer is on this machine. */
	if (address.n == 0 || str_starts(address, "unix:"))
		return true;
	if (!address_parse(address, &a))
		return false;
	while (str_split(&rest, ',', &piece)) {
		piece = str_trim(piece);
		if (piece.n > 0 && in_network(&a, piece))
			return true;
	}
	return false;
}

struct str
cgi_client_ip(char *const *envp, const char *trusted, struct arena *arena)
{
	struct str ip = cgi_var(envp, "REMOTE_ADDR");
	struct str forwarded = cgi_var(envp, "HTTP_X_FORWARDED_FOR");
	struct address a;

	while (forwarded.n > 0 && is_trusted(ip, trusted)) {
		const char *comma = memrchr(forwarded.p, ',', forwarded.n);
		size_t at = comma != NULL ? (size_t)(comma - forwarded.p) + 1 : 0;
		struct str last = str_trim(str_from(forwarded, at));

		if (!address_parse(last, &a))
			break;
		ip = last;
		forwarded.n = comma != NULL ? at - 1 : 0;
	}
	return ip.n > 0 ? arena_str(arena, ip) : STR("-");
}
