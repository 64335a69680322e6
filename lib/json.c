/* SPDX-License-Identifier: MIT
 *
 * Over json-c; see json.h. json-c's strict mode still lets through what RFC 8259
 * does not: "01" after a minus, "1.", NaN, raw control characters in strings. A
 * look over the text refuses those first.
 */
#include "lib/json.h"
#include "lib/limits.h"
#include "lib/str.h"

#include <json-c/json.h>
#include <limits.h>

/* --- the look over the text --- */

static size_t
skip_digits(struct str s, size_t i)
{
	while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
		i++;
	return i;
}

/* The end of the number at i; i itself when it is malformed. */
static size_t
number_end(struct str s, size_t i)
{
	size_t start = i;
	size_t digits;

	if (s.p[i] == '-')
		i++;
	digits = i;
	i = skip_digits(s, i);
	if (i == digits || (s.p[digits] == '0' && i > digits + 1))
		return start;
	if (i < s.n && s.p[i] == '.') {
		digits = ++i;
		i = skip_digits(s, i);
		if (i == digits)
			return start;
	}
	if (i < s.n && (s.p[i] | 0x20) == 'e') {
		i++;
		if (i < s.n && (s.p[i] == '+' || s.p[i] == '-'))
			i++;
		digits = i;
		i = skip_digits(s, i);
		if (i == digits)
			return start;
	}
	return i;
}

/* The end of the string that begins at i; i itself when a control character is in
 * it. One without an end is left for json-c to refuse. */
static size_t
string_end(struct str s, size_t i)
{
	size_t start = i;

	for (i++; i < s.n && s.p[i] != '"'; i++) {
		if ((unsigned char)s.p[i] < 0x20)
			return start;
		if (s.p[i] == '\\' && i + 1 < s.n)
			i++;
	}
	return MIN(i + 1, s.n);
}

/* The first byte that json-c would wrongly accept; s.n when there is none. */
static size_t
first_laxness(struct str s)
{
	for (size_t i = 0; i < s.n;) {
		char c = s.p[i];
		size_t next = i + 1;

		if (c == '"')
			next = string_end(s, i);
		else if (c == '-' || (c >= '0' && c <= '9'))
			next = number_end(s, i);
		else if (c == 'N' || c == 'I' || c == '\0')
			return i;
		if (next == i)
			return i;
		i = next;
	}
	return s.n;
}

/* --- parsing --- */

static enum err
refuse(struct errinfo *info, const char *what, size_t at)
{
	return err_set(info, ERR_INVALID_JSON, "not valid JSON: %s at byte %zu", what, at);
}

enum err
json_parse(struct str text, struct json_object **ret, struct errinfo *info)
{
	struct json_tokener *tok;
	struct json_object *obj;
	enum json_tokener_error error;
	size_t at;

	if (text.n >= INT_MAX)
		return err_set(info, ERR_TOO_LARGE, "the JSON text is too large");
	at = first_laxness(text);
	if (at < text.n)
		return refuse(info, "unexpected character", at);
	/* json-c counts the scalar inside as a level. */
	tok = json_tokener_new_ex(LIMIT_JSON_DEPTH + 1);
	check(tok != NULL);
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	obj = json_tokener_parse_ex(tok, text.n > 0 ? text.p : "", (int)text.n);
	error = json_tokener_get_error(tok);
	at = json_tokener_get_parse_end(tok);
	/* A number at the top level is whole only when the NUL behind it is seen. */
	if (error == json_tokener_continue) {
		obj = json_tokener_parse_ex(tok, "", 1);
		error = json_tokener_get_error(tok);
	}
	json_tokener_free(tok);
	if (error != json_tokener_success)
		return refuse(info, json_tokener_error_desc(error), at);
	*ret = obj;
	return ERR_OK;
}

void
json_done(struct json_object *obj)
{
	(void)json_object_put(obj);
}

void
json_done_at_exit_of_scope(struct json_object **obj)
{
	json_done(*obj);
}

/* --- reading --- */

struct json_object *
json_get(struct json_object *obj, const char *name)
{
	struct json_object *member = NULL;

	if (!json_object_is_type(obj, json_type_object))
		return NULL;
	(void)json_object_object_get_ex(obj, name, &member);
	return member;
}

bool
json_has(struct json_object *obj, const char *name)
{
	return json_object_is_type(obj, json_type_object) &&
	       json_object_object_get_ex(obj, name, NULL);
}

bool
json_get_text(struct json_object *value, struct str *ret)
{
	if (!json_object_is_type(value, json_type_string))
		return false;
	*ret =
	    (struct str){json_object_get_string(value), (size_t)json_object_get_string_len(value)};
	return true;
}

bool
json_get_int(struct json_object *value, int64_t *ret)
{
	double d;

	if (json_object_is_type(value, json_type_int)) {
		if (json_object_get_int64(value) == INT64_MAX &&
		    json_object_get_uint64(value) > INT64_MAX)
			return false;
		*ret = json_object_get_int64(value);
		return true;
	}
	if (!json_object_is_type(value, json_type_double))
		return false;
	d = json_object_get_double(value);
	/* 2^63 itself does not fit. */
	if (!(d >= -0x1p63 && d < 0x1p63) || (double)(int64_t)d != d)
		return false;
	*ret = (int64_t)d;
	return true;
}

bool
json_get_bool(struct json_object *value, bool *ret)
{
	if (!json_object_is_type(value, json_type_boolean))
		return false;
	*ret = json_object_get_boolean(value);
	return true;
}

/* The unit that the escape at i writes, -1 where none of four digits stands there. */
static int
unit_at(struct str text, size_t i)
{
	uint8_t bytes[2];

	if (i + 6 > text.n || text.p[i] != '\\' || text.p[i + 1] != 'u' ||
	    !hex_decode((struct str){text.p + i + 2, 4}, bytes, sizeof(bytes)))
		return -1;
	return bytes[0] << 8 | bytes[1];
}

bool
json_is_storable(struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] != '\\')
			continue;
		int unit = unit_at(text, i);
		if (unit >= 0xd800 && unit <= 0xdbff) {
			int second = unit_at(text, i += 6);
			if (second < 0xdc00 || second > 0xdfff)
				return false;
		} else if (unit == 0 || (unit >= 0xdc00 && unit <= 0xdfff)) {
			return false;
		}
		i++; /* the second of two backslashes begins nothing */
	}
	return true;
}
