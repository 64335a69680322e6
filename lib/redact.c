/* SPDX-License-Identifier: MIT
 *
 * The redactor: what every log line, error text and row passes through on its
 * way out (log.h says what it replaces).
 *
 * One pass. A table of bytes at which something secret can begin lets ordinary
 * text through at one look-up a byte; only at such a byte are the forms and the
 * registered secrets tried, the latter found by a hash of their first six bytes.
 */
#include "lib/log.h"

#include "lib/str.h"

#include <pthread.h>
#include <stdlib.h>
/* uthash's usual function is a switch that falls through: clang warns of it. */
#define HASH_FUNCTION(key, n, ret) HASH_SAX(key, n, ret)
#include <uthash.h>

#define MASK       "[redacted]"
#define SECRET_MIN 6 /* bytes; of registered secrets, and of what is hashed */
#define EXTRA_MIN  4 /* bytes; of an exchange's own keys */
#define TOKEN_MIN  8 /* characters after a vendor's prefix */
#define BEARER_MIN 8
#define BUCKETS    1024

struct secret {
	struct secret *next; /* in its bucket */
	UT_hash_handle hh;
	size_t n;
	char text[];
};

static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct secret *known; /* by its whole text: is it registered already? */
static struct secret *buckets[BUCKETS];
/* Bytes at which a registered secret or one of the forms below may begin. */
static bool begins[256] = {
    [':'] = true, ['='] = true, ['s'] = true, ['A'] = true,
    ['g'] = true, ['x'] = true, ['B'] = true, ['b'] = true,
};

static unsigned int
bucket_of(const char *p)
{
	uint64_t six = 0;

	memcpy(&six, p, SECRET_MIN);
	return (unsigned int)((six * 0x9E3779B97F4A7C15u) >> 54);
}

void
redact_register(struct str secret)
{
	struct secret *s = NULL;
	struct secret **bucket;

	if (secret.n < SECRET_MIN)
		return;
	pthread_rwlock_wrlock(&lock);
	HASH_FIND(hh, known, secret.p, secret.n, s);
	if (s == NULL) {
		s = xcalloc(1, sizeof(*s) + secret.n);
		s->n = secret.n;
		memcpy(s->text, secret.p, secret.n);
		HASH_ADD_KEYPTR(hh, known, s->text, s->n, s);
		bucket = &buckets[bucket_of(s->text)];
		s->next = *bucket;
		*bucket = s;
		begins[(unsigned char)s->text[0]] = true;
	}
	pthread_rwlock_unlock(&lock);
}

static bool
is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '_' || c == '-';
}

/* Whether a value in a URL or a header goes on at c. */
static bool
is_value(char c)
{
	return (unsigned char)c > ' ' && strchr("&#\"'<>\\,;)}]", c) == NULL;
}

/* --- what is there? Each returns how many bytes to replace, 0 for none --- */

/* The longest registered secret that stands at p. */
static size_t
match_registered(const char *p, size_t n)
{
	size_t longest = 0;

	if (n < SECRET_MIN)
		return 0;
	for (const struct secret *s = buckets[bucket_of(p)]; s != NULL; s = s->next)
		if (s->n > longest && s->n <= n && memcmp(s->text, p, s->n) == 0)
			longest = s->n;
	return longest;
}

/* One secret, each of its bytes as it is or percent-encoded (clients and servers
 * differ in what they encode, and in the case of the digits). */
static size_t
match_encoded(struct str secret, const char *p, size_t n)
{
	size_t at = 0;

	for (size_t i = 0; i < secret.n; i++) {
		unsigned char c;

		if (at < n && p[at] == secret.p[i])
			at++;
		else if (n - at >= 3 && p[at] == '%' &&
			 hex_decode((struct str){p + at + 1, 2}, &c, 1) &&
			 c == (unsigned char)secret.p[i])
			at += 3;
		else
			return 0;
	}
	return at;
}

static size_t
match_extra(const struct str *extra, size_t n_extra, const char *p, size_t n)
{
	size_t longest = 0;

	for (size_t i = 0; i < n_extra; i++)
		if (extra[i].n >= EXTRA_MIN && (p[0] == extra[i].p[0] || p[0] == '%'))
			longest = MAX(longest, match_encoded(extra[i], p, n));
	return longest;
}

/* A key of a form that a vendor gives out. */
static size_t
match_token(struct str text, size_t at)
{
	static const char *const prefixes[] = {"sk-", "AIza", "gsk_", "xai-"};
	struct str rest = str_from(text, at);

	/* "task-force" holds no key. */
	if (at > 0 && is_word(text.p[at - 1]))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
		size_t prefix = strlen(prefixes[i]);
		size_t n = prefix;

		if (!str_starts(rest, prefixes[i]))
			continue;
		while (n < rest.n && is_word(rest.p[n]))
			n++;
		if (n - prefix >= TOKEN_MIN)
			return n;
	}
	return 0;
}

/* After the ':' of "https://user:password@host": up to the '@'. *ret_from is set
 * past the slashes. */
static size_t
match_userinfo(struct str text, size_t at, size_t *ret_from)
{
	struct str rest = str_from(text, at);
	size_t end = 0;

	if (!str_starts(rest, "://"))
		return 0;
	for (size_t i = 3; i < rest.n && strchr("/?#\"'<> \t\r\n", rest.p[i]) == NULL; i++)
		if (rest.p[i] == '@')
			end = i;
	*ret_from = at + 3;
	return end > 3 ? end - 3 : 0;
}

/* After the '=' of "?key=…": the value, when the name before it is one that holds
 * a secret and stands in a query. */
static size_t
match_query_value(struct str text, size_t at)
{
	static const char *const names[] = {"key",      "api_key",      "api-key", "apikey",
					    "auth_key", "access_token", "token"};
	size_t from = at;
	size_t end = at + 1;
	struct str name;

	while (from > 0 && is_word(text.p[from - 1]))
		from--;
	if (from > 0 && text.p[from - 1] != '?' && text.p[from - 1] != '&')
		return 0;
	name = (struct str){text.p + from, at - from};
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!str_iis(name, names[i]))
			continue;
		while (end < text.n && is_value(text.p[end]))
			end++;
		return end - at - 1;
	}
	return 0;
}

/* The token of "Bearer token"; *ret_from is set to its start. */
static size_t
match_bearer(struct str text, size_t at, size_t *ret_from)
{
	struct str rest = str_from(text, at);
	size_t n = strlen("bearer ");
	size_t end = n;
	bool prose = true; /* "Bearer authentication" holds no token */

	if (rest.n < n || !str_ieq((struct str){rest.p, n}, STR("bearer ")))
		return 0;
	for (; end < rest.n && is_value(rest.p[end]); end++)
		prose = prose && rest.p[end] >= 'a' && rest.p[end] <= 'z';
	*ret_from = at + n;
	return end - n >= BEARER_MIN && !prose ? end - n : 0;
}

/* Anything secret at text[at]: its length, and where it starts (>= at). */
static size_t
match(struct str text, size_t at, size_t *ret_from)
{
	size_t n;

	*ret_from = at;
	n = match_registered(text.p + at, text.n - at);
	if (n > 0)
		return n;
	switch (text.p[at]) {
	case ':':
		return match_userinfo(text, at, ret_from);
	case '=':
		*ret_from = at + 1;
		return match_query_value(text, at);
	case 'B':
	case 'b':
		return match_bearer(text, at, ret_from);
	default:
		return match_token(text, at);
	}
}

/* The table for this text: where the exchange's own keys may begin, too. */
static void
begins_with(bool table[256], const struct str *extra, size_t n_extra)
{
	memcpy(table, begins, sizeof(begins));
	for (size_t i = 0; i < n_extra; i++)
		if (extra[i].n >= EXTRA_MIN)
			table[(unsigned char)extra[i].p[0]] = table['%'] = true;
}

/* The next thing that is secret and begins within [at, end): its length, and where it
 * starts. 0: there is none. With the lock. */
static size_t
next_secret(struct str text, size_t at, size_t end, const bool here[256], const struct str *extra,
	    size_t n_extra, size_t *ret_from)
{
	for (; at < end; at++) {
		size_t n = 0;

		if (!here[(unsigned char)text.p[at]])
			continue;
		*ret_from = at;
		if (n_extra > 0)
			n = match_extra(extra, n_extra, text.p + at, text.n - at);
		if (n == 0 && begins[(unsigned char)text.p[at]])
			n = match(text, at, ret_from);
		if (n > 0)
			return n;
	}
	return 0;
}

void
redact(struct buf *out, struct str text, const struct str *extra, size_t n_extra)
{
	redact_cut(out, text, REDACT_GROWTH(text.n), extra, n_extra);
}

/* With `left` bytes still to be said, what begins more than that many bytes on is not
 * looked at. */
void
redact_cut(struct buf *out, struct str text, size_t max, const struct str *extra, size_t n_extra)
{
	size_t left = max;
	size_t copied = 0;
	size_t from;
	size_t n;
	bool here[256];

	pthread_rwlock_rdlock(&lock);
	begins_with(here, extra, n_extra);
	while ((n = next_secret(text, copied, copied + MIN(left, text.n - copied), here, extra,
				n_extra, &from)) > 0) {
		struct str plain = utf8_cut((struct str){text.p + copied, from - copied}, left);
		struct str mask = utf8_cut(STR(MASK), left - plain.n);

		buf_str(out, plain);
		buf_str(out, mask);
		left -= plain.n + mask.n;
		copied = from + n;
	}
	pthread_rwlock_unlock(&lock);
	buf_str(out, utf8_cut(str_from(text, copied), left));
}

bool
redact_finds(struct str text, size_t max, const struct str *extra, size_t n_extra)
{
	bool here[256];
	size_t from;
	size_t n;

	pthread_rwlock_rdlock(&lock);
	begins_with(here, extra, n_extra);
	n = next_secret(text, 0, MIN(max, text.n), here, extra, n_extra, &from);
	pthread_rwlock_unlock(&lock);
	return n > 0;
}
