/* SPDX-License-Identifier: MIT
 *
 * Helpers over json-c: strict parsing of small documents (management bodies,
 * configuration), typed reading, and owning references. Proxied bodies never come
 * here (jsonscan.h looks into them in place).
 */
#ifndef LIB_JSON_H
#define LIB_JSON_H

#include "lib/buf.h"
#include "lib/err.h"

struct json_object;

/* One whole document, valid UTF-8, nesting up to LIMIT_JSON_DEPTH, nothing but
 * white space behind it. *ret has one reference (json_done). *info says where it
 * broke. Note that the JSON value null gives *ret == NULL. */
enum err json_parse(struct str text, struct json_object **ret, struct errinfo *info) MUST_CHECK;
void json_done(struct json_object *obj); /* NULL is fine */
#define AUTO_JSON __attribute__((cleanup(json_done_at_exit_of_scope)))
void json_done_at_exit_of_scope(struct json_object **obj);

/* The member of an object; NULL when `obj` is no object, has no such member, or
 * the member is null. Borrowed. */
struct json_object *json_get(struct json_object *obj, const char *name);
/* Is the member there at all (null counts). */
bool json_has(struct json_object *obj, const char *name);

/* Reading a value; false when it is of another type. Text is borrowed. Integers
 * must be whole (2.0 is, 2.5 is not) and fit. */
bool json_get_text(struct json_object *value, struct str *ret);
bool json_get_int(struct json_object *value, int64_t *ret);
bool json_get_bool(struct json_object *value, bool *ret);

/* Is all text in this valid JSON such that every database can hold it: without NUL and
 * half surrogate pairs, which only an escape can write. */
bool json_is_storable(struct str text);

#endif
