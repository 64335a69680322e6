/* SPDX-License-Identifier: MIT
 *
 * See vendor.h. Everything here reads text that a provider controls: what cannot be
 * understood counts as not said.
 */
#include "lib/vendor.h"

#include <stdlib.h>
#include <time.h>
#include <json-c/json.h>

/* --- error bodies --- */

struct vendor_error
vendor_error_parse(struct str body)
{
	struct vendor_error e = {NULL, NULL, NULL};

	if (json_parse(body, &e.root, NULL) != ERR_OK)
		return (struct vendor_error){NULL, NULL, NULL};
	e.top = e.root;
	if (json_object_is_type(e.top, json_type_array))
		e.top = json_object_array_get_idx(e.top, 0);
	e.error = json_get(e.top, "error");
	return e;
}

void
vendor_error_done(struct vendor_error *e)
{
	json_done(e->root);
	*e = (struct vendor_error){NULL, NULL, NULL};
}

struct str
vendor_text(struct json_object *obj, const char *name)
{
	struct str s = {NULL, 0};

	if (!json_get_text(json_get(obj, name), &s))
		return (struct str){NULL, 0};
	return s;
}

bool
vendor_is_one_of(struct str s, const char *const *list)
{
	for (; *list != NULL; list++)
		if (str_is(s, *list))
			return true;
	return false;
}

/* The element of error.details that has the member; NULL when there is none. */
static struct json_object *
google_detail(const struct vendor_error *e, const char *member)
{
	struct json_object *details = json_get(e->error, "details");
	size_t n;

	if (!json_object_is_type(details, json_type_array))
		return NULL;
	n = json_object_array_length(details);
	for (size_t i = 0; i < n; i++) {
		struct json_object *detail = json_object_array_get_idx(details, i);

		if (vendor_text(detail, member).n > 0)
			return detail;
	}
	return NULL;
}

bool
vendor_google_blames_key(int status, const struct vendor_error *e)
{
	struct str message = vendor_text(e->error, "message");

	if (status != 400)
		return false;
	if (str_is(vendor_text(google_detail(e, "reason"), "reason"), "API_KEY_INVALID"))
		return true;
	return str_is(vendor_text(e->error, "status"), "INVALID_ARGUMENT") &&
	       (str_starts(message, "API key not valid") ||
		str_starts(message, "API key expired") || str_starts(message, "API Key not found"));
}

int64_t
vendor_google_retry_ms(const struct vendor_error *e)
{
	struct json_object *detail = google_detail(e, "retryDelay");
	int64_t ms;

	return vendor_duration_ms(vendor_text(detail, "retryDelay"), &ms) ? ms : 0;
}

void
vendor_error_end(struct buf *out, const char *code, const char *message)
{
	buf_cstr(out, ",\"code\":");
	buf_json(out, str_of(code));
	buf_cstr(out, ",\"message\":");
	buf_json(out, str_of(message));
	buf_char(out, '}');
}

/* --- times --- */

/* More digits than any time has, and few enough for exact arithmetic. */
#define DIGITS_MAX 12
/* Some thirty thousand years: longer is not understood. */
#define DURATION_MAX_MS 1e15

/* Digits and a fraction off the start of *s. */
static bool
take_number(struct str *s, double *ret)
{
	double v = 0;
	double place = 1;
	bool fraction = false;
	size_t digits = 0;
	size_t i = 0;

	for (; i < s->n; i++) {
		char c = s->p[i];

		if (c == '.' && !fraction) {
			fraction = true;
		} else if (c >= '0' && c <= '9' && digits++ < DIGITS_MAX) {
			v = v * 10 + (c - '0');
			place *= fraction ? 10 : 1;
		} else {
			break;
		}
	}
	if (digits == 0 || digits > DIGITS_MAX)
		return false;
	*s = str_from(*s, i);
	*ret = v / place;
	return true;
}

/* A unit off the start of *s, in milliseconds. */
static bool
take_unit(struct str *s, double *ret)
{
	static const struct {
		const char *text;
		double ms;
	} units[] = {{"ms", 1},   {"us", 0.001}, {"\xC2\xB5s", 0.001}, {"ns", 0.000001},
		     {"s", 1000}, {"m", 60000},  {"h", 3600000}};

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (str_starts(*s, units[i].text)) {
			*s = str_from(*s, strlen(units[i].text));
			*ret = units[i].ms;
			return true;
		}
	}
	return false;
}

bool
vendor_duration_ms(struct str s, int64_t *ret)
{
	double total = 0;
	double v;
	double unit;

	s = str_trim(s);
	if (!take_number(&s, &v))
		return false;
	if (s.n == 0) {
		*ret = (int64_t)(v * 1000);
		return true;
	}
	for (;;) {
		if (!take_unit(&s, &unit))
			return false;
		total += v * unit;
		if (total > DURATION_MAX_MS)
			return false;
		if (s.n == 0)
			break;
		if (!take_number(&s, &v))
			return false;
	}
	*ret = (int64_t)total;
	return true;
}

/* Exactly n digits off the start of *s, then the character `end` unless it is NUL. */
static bool
take_field(struct str *s, size_t n, char end, int *ret)
{
	int64_t v;

	if (s->n < n || s->p[0] < '0' || s->p[0] > '9' ||
	    !str_to_i64((struct str){s->p, n}, 0, 9999, &v))
		return false;
	*s = str_from(*s, n);
	if (end != '\0') {
		if (s->n == 0 || s->p[0] != end)
			return false;
		*s = str_from(*s, 1);
	}
	*ret = (int)v;
	return true;
}

/* "Z" or "+hh:mm", the whole of s. */
static bool
take_offset(struct str s, int64_t *ret_ms)
{
	int sign;
	int hours;
	int minutes;

	if (str_iis(s, "z")) {
		*ret_ms = 0;
		return true;
	}
	if (s.n == 0 || (s.p[0] != '+' && s.p[0] != '-'))
		return false;
	sign = s.p[0] == '-' ? -1 : 1;
	s = str_from(s, 1);
	if (!take_field(&s, 2, ':', &hours) || !take_field(&s, 2, '\0', &minutes) || s.n > 0)
		return false;
	*ret_ms = sign * (hours * 60 + minutes) * INT64_C(60000);
	return true;
}

bool
vendor_rfc3339_ms(struct str s, int64_t *ret)
{
	struct tm tm = {.tm_isdst = 0};
	double fraction = 0;
	int64_t offset_ms;

	s = str_trim(s);
	if (!take_field(&s, 4, '-', &tm.tm_year) || !take_field(&s, 2, '-', &tm.tm_mon) ||
	    !take_field(&s, 2, 'T', &tm.tm_mday) || !take_field(&s, 2, ':', &tm.tm_hour) ||
	    !take_field(&s, 2, ':', &tm.tm_min) || !take_field(&s, 2, '\0', &tm.tm_sec))
		return false;
	if (s.n > 0 && s.p[0] == '.' && !take_number(&s, &fraction))
		return false;
	if (!take_offset(s, &offset_ms))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*ret = (int64_t)timegm(&tm) * 1000 + (int64_t)(fraction * 1000) - offset_ms;
	return true;
}

int64_t
vendor_limits_reset(const struct headers *h, const struct vendor_limit *limits, size_t n,
		    vendor_reset_fn parse, bool last, int64_t now_ms)
{
	int64_t used_up = 0;
	int64_t any = 0;

	for (size_t i = 0; i < n; i++) {
		struct str text;
		int64_t remaining;
		int64_t at;

		if (!headers_get(h, limits[i].reset, &text) || !parse(text, now_ms, &at) ||
		    at <= now_ms)
			continue;
		any = any == 0 ? at : (last ? MAX(any, at) : MIN(any, at));
		if (headers_get(h, limits[i].remaining, &text) &&
		    str_to_i64(str_trim(text), INT64_MIN, INT64_MAX, &remaining) && remaining <= 0)
			used_up = MAX(used_up, at);
	}
	return used_up > 0 ? used_up : any;
}

/* --- paths --- */

bool
vendor_path_always(struct str path UNUSED)
{
	return true;
}

bool
vendor_path_never(struct str path UNUSED)
{
	return false;
}

struct str
vendor_path_no_model(struct str path UNUSED)
{
	return (struct str){NULL, 0};
}

bool
vendor_query_has(struct str query, const char *name)
{
	size_t n = strlen(name);
	struct str pair;

	while (str_split(&query, '&', &pair))
		if (str_starts(pair, name) && (pair.n == n || pair.p[n] == '='))
			return true;
	return false;
}

void
vendor_percent_encode(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    (c != '\0' && strchr("-._~", c) != NULL))
			buf_char(out, c);
		else
			buf_printf(out, "%%%02X", (unsigned char)c);
	}
}
