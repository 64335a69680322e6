/* SPDX-License-Identifier: MIT
 *
 * The list of vendors, and what is the same for all of them.
 */
#include "lib/channel.h"

#include <time.h>

#include "lib/limits.h"
#include "lib/vendor.h"

#define X(name) extern const struct channel channel_##name;
#include "lib/channel_list.h"
#undef X

static const struct channel *const channels[] = {
#define X(name) &channel_##name,
#include "lib/channel_list.h"
#undef X
};

/* However long a vendor asks to wait: it may be wrong, or set its limits higher. */
#define REST_MAX_MS (INT64_C(3600) * 1000)

const struct channel *
channel_find(struct str name)
{
	for (size_t i = 0; i < ARRAY_LEN(channels); i++)
		if (str_is(name, channels[i]->name))
			return channels[i];
	return NULL;
}

const struct channel *
channel_at(size_t i)
{
	return i < ARRAY_LEN(channels) ? channels[i] : NULL;
}

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, 5.6.7; the obsolete forms are not sent
 * by any provider). */
static bool
http_date_ms(struct str s, int64_t *ret)
{
	char text[40];
	struct tm tm = {.tm_isdst = 0};
	const char *end;

	if (s.n >= sizeof(text))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
	if (end == NULL || *end != '\0')
		return false;
	*ret = (int64_t)timegm(&tm) * 1000;
	return true;
}

/* 0 when it is not there, in the past, or not understood. */
static int64_t
retry_after(const struct headers *h, int64_t now_ms)
{
	struct str text;
	int64_t v;

	/* OpenAI and Azure, more exact than the other. */
	if (headers_get(h, "retry-after-ms", &text) &&
	    str_to_i64(str_trim(text), 1, REST_MAX_MS, &v))
		return now_ms + v;
	if (!headers_get(h, "retry-after", &text))
		return 0;
	text = str_trim(text);
	if (text.n > 0 && vendor_duration_ms(text, &v) && v > 0)
		return now_ms + v;
	return text.n > 0 && http_date_ms(text, &v) && v > now_ms ? v : 0;
}

int64_t
channel_rest_until(const struct channel *c, const struct headers *h, struct str body,
		   int64_t now_ms)
{
	int64_t until = retry_after(h, now_ms);

	if (until == 0)
		until = c->reset_ms(h, body, now_ms);
	if (until <= now_ms)
		return 0;
	return MIN(until, now_ms + REST_MAX_MS);
}

struct str
channel_join_plain(struct str base_path, struct str path, struct arena *arena)
{
	size_t n = base_path.n + path.n;
	char *p;

	if (base_path.n == 0)
		return path;
	p = arena_alloc(arena, n + 1);
	memcpy(p, base_path.p, base_path.n);
	if (path.n > 0)
		memcpy(p + base_path.n, path.p, path.n);
	p[n] = '\0';
	return (struct str){p, n};
}

/* A copy, cut, in which U+FFFD stands for every byte that is no UTF-8, and for NUL. */
static struct str
clean_copy(struct str s, struct arena *arena)
{
	static const char bad[] = "\xEF\xBF\xBD";
	size_t max = MIN(s.n, LIMIT_ERROR_BODY) * strlen(bad);
	char *out = arena_alloc(arena, max + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n;) {
		size_t k = utf8_next(s.p + i, s.n - i);
		bool good = k > 0 && s.p[i] != '\0';
		size_t width = good ? k : strlen(bad);

		if (n + width > max)
			break;
		memcpy(out + n, good ? s.p + i : bad, width);
		n += width;
		i += good ? k : 1;
	}
	out[n] = '\0';
	return (struct str){out, n};
}

struct str
channel_error_message(struct str body, struct arena *arena)
{
	AUTO_VENDOR_ERROR struct vendor_error e = vendor_error_parse(body);
	const struct str places[] = {
	    vendor_text(e.error, "message"),
	    vendor_text(e.top, "error_msg"),
	    vendor_text(e.top, "error"),
	    vendor_text(e.top, "message"),
	    body,
	};
	struct str text = {NULL, 0};

	for (size_t i = 0; i < ARRAY_LEN(places) && text.n == 0; i++)
		text = str_trim(places[i]);
	return clean_copy(text, arena);
}
