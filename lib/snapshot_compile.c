/* SPDX-License-Identifier: MIT
 *
 * The compiler: rows of the DB in, one JSON text out.
 *
 *	{"format":1, "version":7, "app_url":"…", "keys":"<digest><digest>…",
 *	 "request_log_…":…, "options":{every option of the system},
 *	 "groups":[{"id":1, "name":"…", "channel":"openai",
 *	            "upstreams":[["https://…",1],…], "options":{those that differ},
 *	            "overrides":[["seed","12345678901234567890"],…], …},…]}
 *
 * Whatever a row holds that cannot be used is left out here, with a warning, so
 * that the parser need not judge. Warnings name things, never their values:
 * URLs and header values may hold secrets.
 */
#include "lib/snapshot.h"
#include "lib/crypt.h"
#include "lib/header.h"
#include "lib/json.h"
#include "lib/jsonscan.h"
#include "lib/limits.h"
#include "lib/migrate.h"
#include "lib/str.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define ARENA_CHUNK 16384

struct member_row {
	int64_t group_id;
	int64_t member_id;
	int64_t weight;
};

struct compiler {
	struct db *db;
	struct buf *out;
	struct buf *warnings; /* may be NULL */
	struct settings system;
	struct member_row *members; /* sorted by group, then by row */
	size_t n_members;
	/* Of the group at hand: */
	struct arena arena;
	struct str name;
};

static void PRINTF_LIKE(2, 3) warn(struct compiler *c, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	if (c->warnings == NULL)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (c->name.n > 0)
		buf_printf(c->warnings, "group \"" STR_FMT "\": ", (int)MIN(c->name.n, 100),
			   c->name.p);
	buf_printf(c->warnings, "%s\n", text);
}

/* --- pieces of JSON --- */

/* `,"name":"text"`; nothing for an empty text. */
static void
write_text(struct buf *out, const char *name, struct str text)
{
	if (text.n == 0)
		return;
	buf_printf(out, ",\"%s\":", name);
	buf_json(out, text);
}

static void
write_pair(struct buf *out, bool *first, struct str a, struct str b)
{
	buf_cstr(out, *first ? "[" : ",[");
	buf_json(out, a);
	buf_char(out, ',');
	buf_json(out, b);
	buf_char(out, ']');
	*first = false;
}

/* A JSON column's value; NULL when it is empty, null, or of no use (with a
 * warning). The caller's reference. */
static struct json_object *
column_json(struct compiler *c, struct str text, const char *column, enum json_type type)
{
	struct json_object *obj = NULL;

	if (str_trim(text).n == 0)
		return NULL;
	if (json_parse(text, &obj, NULL) == ERR_OK &&
	    (obj == NULL || json_object_is_type(obj, type)))
		return obj;
	json_done(obj);
	warn(c, "%s is not the expected JSON and is ignored", column);
	return NULL;
}

/* --- keys --- */

/* The digests of a comma-separated list, one after the other in hex. */
static void
write_keys(struct compiler *c, struct str list)
{
	struct str key;
	size_t n = 0;

	while (str_split(&list, ',', &key)) {
		uint8_t digest[32];
		char hex[2 * sizeof(digest) + 1];

		key = str_trim(key);
		if (key.n == 0)
			continue;
		if (n == LIMIT_PROXY_KEYS) {
			warn(c, "more than %d proxy keys; the rest is ignored", LIMIT_PROXY_KEYS);
			break;
		}
		sha256(key, digest);
		hex_encode(hex, digest, sizeof(digest));
		buf_cstr(c->out, n++ == 0 ? ",\"keys\":\"" : "");
		buf_cstr(c->out, hex);
	}
	if (n > 0)
		buf_char(c->out, '"');
}

/* --- options --- */

static void
write_option(struct buf *out, bool *first, enum setting id, union setting_value v)
{
	buf_printf(out, "%s\"%s\":", *first ? "" : ",", setting_def(id)->key);
	*first = false;
	switch (setting_def(id)->type) {
	case SETTING_INT:
		buf_printf(out, "%lld", (long long)v.i);
		break;
	case SETTING_BOOL:
		buf_cstr(out, v.b ? "true" : "false");
		break;
	case SETTING_STRING:
		buf_json(out, str_of(v.s));
		break;
	}
}

/* One override; absent and null inherit. */
static void
write_override_option(struct compiler *c, bool *first, enum setting id, struct json_object *config)
{
	struct json_object *value = json_get(config, setting_def(id)->key);
	union setting_value v;

	if (value == NULL)
		return;
	if (setting_read_json(id, value, &v, NULL) != ERR_OK) {
		warn(c, "its %s is not usable; the system's is", setting_def(id)->key);
		return;
	}
	if (!setting_equal(id, v, c->system.v[id])) {
		buf_cstr(c->out, *first ? ",\"options\":{" : "");
		write_option(c->out, first, id, v);
	}
	setting_value_done(id, &v);
}

static void
write_group_options(struct compiler *c, struct str config_text, struct str option_column)
{
	AUTO_JSON struct json_object *config =
	    column_json(c, config_text, "config", json_type_object);
	AUTO_JSON struct json_object *ours =
	    column_json(c, option_column, "gptl_options", json_type_object);
	bool first = true;

	for (int i = 0; i < SETTING__MAX; i++) {
		enum setting id = (enum setting)i;
		enum setting_scope scope = setting_def(id)->scope;

		if (scope != SETTING_SYSTEM_ONLY)
			write_override_option(c, &first, id,
					      scope == SETTING_GROUP_OPTION ? ours : config);
	}
	if (!first)
		buf_char(c->out, '}');
}

static void
write_system_options(struct compiler *c)
{
	bool first = true;

	buf_cstr(c->out, ",\"options\":{");
	for (int i = 0; i < SETTING__MAX; i++)
		if (setting_def((enum setting)i)->scope != SETTING_SYSTEM_ONLY)
			write_option(c->out, &first, (enum setting)i, c->system.v[i]);
	buf_char(c->out, '}');
}

/* --- upstreams and members --- */

/* *ret_weight is left alone when this upstream is not to be used. */
static void
read_upstream(struct compiler *c, struct json_object *item, size_t number, struct str *ret_url,
	      int64_t *ret_weight)
{
	struct upstream upstream;
	struct str url;
	int64_t weight;

	if (!json_get_text(json_get(item, "url"), &url) ||
	    !upstream_parse(str_trim(url), &c->arena, &upstream)) {
		warn(c, "upstream %zu is no http or https URL and is ignored", number);
		return;
	}
	if (!json_get_int(json_get(item, "weight"), &weight) || weight <= 0)
		return;
	*ret_url = str_trim(url);
	*ret_weight = MIN(weight, INT32_MAX);
}

static void
write_upstreams(struct compiler *c, struct str column)
{
	AUTO_JSON struct json_object *list = column_json(c, column, "upstreams", json_type_array);
	size_t n = list != NULL ? json_object_array_length(list) : 0;
	size_t used = 0;

	for (size_t i = 0; i < n; i++) {
		struct str url = {NULL, 0};
		int64_t weight = 0;

		read_upstream(c, json_object_array_get_idx(list, i), i + 1, &url, &weight);
		if (weight == 0)
			continue;
		if (used == LIMIT_UPSTREAMS) {
			warn(c, "more than %d upstreams; the rest is ignored", LIMIT_UPSTREAMS);
			break;
		}
		buf_cstr(c->out, used++ == 0 ? ",\"upstreams\":[[" : ",[");
		buf_json(c->out, url);
		buf_printf(c->out, ",%lld]", (long long)weight);
	}
	if (used > 0)
		buf_char(c->out, ']');
	else
		warn(c, "it has no usable upstream");
}

/* The first of the group's rows, or of what follows them. */
static size_t
members_begin(const struct compiler *c, int64_t group_id)
{
	size_t low = 0;
	size_t high = c->n_members;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (c->members[mid].group_id < group_id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void
write_members(struct compiler *c, int64_t group_id)
{
	size_t used = 0;

	for (size_t i = members_begin(c, group_id); i < c->n_members; i++) {
		const struct member_row *m = &c->members[i];

		if (m->group_id != group_id)
			break;
		if (used == LIMIT_MEMBERS) {
			warn(c, "more than %d sub-groups; the rest is ignored", LIMIT_MEMBERS);
			break;
		}
		buf_printf(c->out, "%s[%lld,%lld]", used++ == 0 ? ",\"members\":[" : ",",
			   (long long)m->member_id, (long long)MIN(m->weight, INT32_MAX));
	}
	if (used > 0)
		buf_char(c->out, ']');
}

/* --- what changes a request --- */

/* The last one of a repeated member counts, as with any JSON parser. */
static bool
last_hit(const struct json_top *top, size_t key, struct str text, struct str *ret)
{
	for (size_t i = top->n_hits; i > 0; i--) {
		const struct json_hit *hit = &top->hits[i - 1];

		if (hit->key == key) {
			*ret = (struct str){text.p + hit->start, hit->end - hit->start};
			return true;
		}
	}
	return false;
}

/* Values are taken from the column's text, not from a parsed tree: a 64-bit seed
 * or a long decimal goes up digit by digit as it was configured. */
static void
write_overrides(struct compiler *c, struct str column)
{
	AUTO_JSON struct json_object *obj =
	    column_json(c, column, "param_overrides", json_type_object);
	struct str keys[LIMIT_OVERRIDES];
	struct json_top top;
	struct str value;
	size_t n = 0;
	bool first = true;

	if (obj == NULL || json_object_object_length(obj) == 0)
		return;
	json_object_object_foreach(obj, name, ignored)
	{
		(void)ignored;
		if (n == LIMIT_OVERRIDES) {
			warn(c, "more than %d overrides; the rest is ignored", LIMIT_OVERRIDES);
			break;
		}
		keys[n++] = str_of(name);
	}
	if (json_scan(column, keys, n, &c->arena, &top) != ERR_OK) {
		warn(c, "param_overrides cannot be read and is ignored");
		return;
	}
	buf_cstr(c->out, ",\"overrides\":[");
	for (size_t i = 0; i < n; i++)
		if (last_hit(&top, i, column, &value))
			write_pair(c->out, &first, keys[i], value);
	buf_char(c->out, ']');
}

/* One rule; a name alone means "remove". */
static void
write_header_rule(struct compiler *c, struct json_object *rule, size_t number, bool *first)
{
	struct str name = {NULL, 0};
	struct str value = {NULL, 0};
	struct str action = {NULL, 0};

	(void)json_get_text(json_get(rule, "key"), &name);
	(void)json_get_text(json_get(rule, "value"), &value);
	(void)json_get_text(json_get(rule, "action"), &action);
	name = str_trim(name);
	if (!header_name_valid(name) || !header_value_valid(value)) {
		warn(c, "header rule %zu is no valid header and is ignored", number);
	} else if (str_is(action, "set")) {
		write_pair(c->out, first, name, value);
	} else if (str_is(action, "remove")) {
		buf_cstr(c->out, *first ? "[" : ",[");
		buf_json(c->out, name);
		buf_char(c->out, ']');
		*first = false;
	} else {
		warn(c, "header rule %zu has an unknown action and is ignored", number);
	}
}

static void
write_header_rules(struct compiler *c, struct str column)
{
	AUTO_JSON struct json_object *list =
	    column_json(c, column, "header_rules", json_type_array);
	size_t n = list != NULL ? json_object_array_length(list) : 0;
	bool first = true;

	if (n == 0)
		return;
	if (n > LIMIT_HEADER_RULES) {
		warn(c, "more than %d header rules; the rest is ignored", LIMIT_HEADER_RULES);
		n = LIMIT_HEADER_RULES;
	}
	buf_cstr(c->out, ",\"headers\":[");
	for (size_t i = 0; i < n; i++)
		write_header_rule(c, json_object_array_get_idx(list, i), i + 1, &first);
	buf_char(c->out, ']');
}

static void
write_redirects(struct compiler *c, struct str column)
{
	AUTO_JSON struct json_object *obj =
	    column_json(c, column, "model_redirect_rules", json_type_object);
	bool first = true;
	size_t n = 0;

	if (obj == NULL || json_object_object_length(obj) == 0)
		return;
	buf_cstr(c->out, ",\"redirects\":[");
	json_object_object_foreach(obj, from, value)
	{
		struct str to;

		if (n++ == LIMIT_REDIRECTS) {
			warn(c, "more than %d redirects; the rest is ignored", LIMIT_REDIRECTS);
			break;
		}
		if (json_get_text(value, &to) && to.n > 0 && *from != '\0')
			write_pair(c->out, &first, str_of(from), to);
		else
			warn(c, "model redirect %zu is not usable and is ignored", n);
	}
	buf_char(c->out, ']');
}

/* --- groups --- */

/* Columns of the query, in its order. */
enum {
	COL_ID,
	COL_NAME,
	COL_TYPE,
	COL_CHANNEL,
	COL_PROXY_KEYS,
	COL_UPSTREAMS,
	COL_ENDPOINT,
	COL_MODEL,
	COL_OVERRIDES,
	COL_CONFIG,
	COL_HEADERS,
	COL_REDIRECTS,
	COL_STRICT,
	COL_OPTIONS,
	COL_DISPLAY_NAME,
};

static const char groups_query[] =
    "SELECT id, name, group_type, channel_type, proxy_keys, upstreams, validation_endpoint, "
    "test_model, param_overrides, config, header_rules, model_redirect_rules, "
    "model_redirect_strict, gptl_options, display_name FROM \"groups\" ORDER BY name";

static void
write_standard(struct compiler *c, struct db_rows *rows)
{
	struct str endpoint = db_col_text(rows, COL_ENDPOINT);

	write_upstreams(c, db_col_text(rows, COL_UPSTREAMS));
	write_text(c->out, "test_model", db_col_text(rows, COL_MODEL));
	if (endpoint.n == 0 || (endpoint.p[0] == '/' && !str_contains(endpoint, "://")))
		write_text(c->out, "validation_endpoint", endpoint);
	else
		warn(c, "its validation endpoint is no path and is ignored");
	write_overrides(c, db_col_text(rows, COL_OVERRIDES));
	write_header_rules(c, db_col_text(rows, COL_HEADERS));
	write_redirects(c, db_col_text(rows, COL_REDIRECTS));
	if (db_col_bool(rows, COL_STRICT))
		buf_cstr(c->out, ",\"strict\":true");
}

static void
write_group(struct compiler *c, struct db_rows *rows)
{
	bool aggregate = str_is(db_col_text(rows, COL_TYPE), "aggregate");

	buf_printf(c->out, "{\"id\":%lld", (long long)db_col_int(rows, COL_ID));
	write_text(c->out, "name", c->name);
	write_text(c->out, "display_name", db_col_text(rows, COL_DISPLAY_NAME));
	write_text(c->out, "channel", db_col_text(rows, COL_CHANNEL));
	write_keys(c, db_col_text(rows, COL_PROXY_KEYS));
	if (aggregate) {
		buf_cstr(c->out, ",\"aggregate\":true");
		write_members(c, db_col_int(rows, COL_ID));
	} else {
		write_standard(c, rows);
	}
	write_group_options(c, db_col_text(rows, COL_CONFIG), db_col_text(rows, COL_OPTIONS));
	buf_char(c->out, '}');
}

static enum err
write_groups(struct compiler *c)
{
	struct db_rows *rows;
	size_t n = 0;
	enum err e;

	buf_cstr(c->out, ",\"groups\":[");
	for (e = db_query(c->db, groups_query, DB_NO_ARGS, &rows);
	     e == ERR_OK && db_next(rows, &e);) {
		c->name = db_col_text(rows, COL_NAME);
		if (!group_name_valid(c->name)) {
			warn(c, "its name is not usable; it is left out");
			continue;
		}
		if (n == LIMIT_GROUPS) {
			warn(c, "more than %d groups; the rest is left out", LIMIT_GROUPS);
			break;
		}
		buf_cstr(c->out, n++ == 0 ? "" : ",");
		write_group(c, rows);
		arena_done(&c->arena);
	}
	db_rows_done(rows);
	buf_char(c->out, ']');
	return e;
}

/* --- the whole --- */

/* Into c->members (malloc'ed). */
static enum err
load_members(struct compiler *c)
{
	struct db_rows *rows;
	size_t cap = 0;
	enum err e;

	for (e = db_query(c->db,
			  "SELECT s.group_id, s.sub_group_id, s.weight FROM group_sub_groups s "
			  "JOIN \"groups\" m ON m.id = s.sub_group_id "
			  "WHERE s.weight > 0 AND COALESCE(m.group_type, '') <> 'aggregate' "
			  "ORDER BY s.group_id, s.id",
			  DB_NO_ARGS, &rows);
	     e == ERR_OK && db_next(rows, &e);) {
		if (c->n_members == cap) {
			cap = cap > 0 ? cap * 2 : 64;
			c->members = xrealloc(c->members, cap * sizeof(*c->members));
		}
		c->members[c->n_members++] = (struct member_row){
		    .group_id = db_col_int(rows, 0),
		    .member_id = db_col_int(rows, 1),
		    .weight = db_col_int(rows, 2),
		};
	}
	db_rows_done(rows);
	return e;
}

static enum err
write_snapshot(struct compiler *c, int64_t version)
{
	static const enum setting plain[] = {SETTING_APP_URL, SETTING_RETENTION_DAYS,
					     SETTING_WRITE_INTERVAL};
	bool first = false;

	buf_printf(c->out, "{\"format\":%d,\"version\":%lld", SNAPSHOT_FORMAT, (long long)version);
	for (size_t i = 0; i < ARRAY_LEN(plain); i++)
		write_option(c->out, &first, plain[i], c->system.v[plain[i]]);
	write_keys(c, str_of(c->system.v[SETTING_PROXY_KEYS].s));
	write_system_options(c);
	return write_groups(c);
}

static enum err
compile(struct compiler *c, int64_t *ret_version)
{
	struct str bad = {NULL, 0};
	enum err e = meta_version(c->db, ret_version);

	if (e == ERR_OK)
		e = settings_load(c->db, &c->system, &bad);
	if (e != ERR_OK)
		return e;
	if (bad.n > 0)
		warn(c, "the setting " STR_FMT " is not usable; its default is", STR_ARG(bad));
	e = load_members(c);
	if (e == ERR_OK)
		e = write_snapshot(c, *ret_version);
	buf_char(c->out, '}');
	settings_done(&c->system);
	free(c->members);
	return e;
}

enum err
snapshot_compile(struct db *db, struct buf *out, uint64_t *ret_version, struct buf *warnings,
		 struct errinfo *info)
{
	struct compiler c = {.db = db, .out = out, .warnings = warnings};
	int64_t version = 0;
	enum err e;

	buf_clear(out);
	arena_init(&c.arena, ARENA_CHUNK);
	e = db_begin_read(db);
	if (e == ERR_OK)
		e = compile(&c, &version);
	db_rollback(db);
	arena_done(&c.arena);
	if (e != ERR_OK)
		return err_set(info, e, "database: %s", db_error(db));
	if (buf_err(out) != ERR_OK)
		return err_set(info, ERR_TOO_LARGE, "the configuration is too large");
	*ret_version = (uint64_t)version;
	return ERR_OK;
}
