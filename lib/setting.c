/* SPDX-License-Identifier: MIT
 *
 * The settings' table, the check of one value, and the system's values read from
 * their rows. Also the grammar of status code lists.
 */
#include "lib/setting.h"
#include "lib/json.h"
#include "lib/limits.h"
#include "lib/str.h"
#include "lib/url.h"

#include <stdio.h>
#include <stdlib.h>

static const struct setting_def defs[SETTING__MAX] = {
#define X(id, k, t, d, lo, hi, c, s)                                                               \
	[SETTING_##id] = {.key = (k),                                                              \
			  .type = SETTING_##t,                                                     \
			  .default_text = (d),                                                     \
			  .min = (lo),                                                             \
			  .max = (hi),                                                             \
			  .category = SETTING_##c,                                                 \
			  .scope = SETTING_##s},
    SETTING_TABLE(X)
#undef X
};

const struct setting_def *
setting_def(enum setting id)
{
	return &defs[id];
}

bool
setting_find(struct str key, enum setting *ret)
{
	for (int i = 0; i < SETTING__MAX; i++) {
		if (str_is(key, defs[i].key)) {
			*ret = (enum setting)i;
			return true;
		}
	}
	return false;
}

/* --- one value --- */

static enum err
refuse(struct errinfo *info, enum setting id, const char *what)
{
	return err_set(info, ERR_VALIDATION, "%s: %s", defs[id].key, what);
}

static enum err
parse_int(enum setting id, struct str text, bool hold, union setting_value *ret,
	  struct errinfo *info)
{
	const struct setting_def *def = &defs[id];
	int64_t v;

	if (!number_parse(text, &v))
		return refuse(info, id, "a whole number is wanted");
	if (hold && v > def->max)
		v = def->max;
	if (v < def->min || v > def->max)
		return err_set(info, ERR_VALIDATION, "%s: must be %lld to %lld", def->key,
			       (long long)def->min, (long long)def->max);
	ret->i = v;
	return ERR_OK;
}

/* Trimmed, without empty ones; malloc'ed. *ret_n counts them. */
static char *
clean_list(struct str list, size_t *ret_n)
{
	char *out = xmalloc(list.n + 1);
	struct str piece;
	size_t n = 0;

	*ret_n = 0;
	while (str_split(&list, ',', &piece)) {
		piece = str_trim(piece);
		if (piece.n == 0)
			continue;
		if (n > 0)
			out[n++] = ',';
		memcpy(out + n, piece.p, piece.n);
		n += piece.n;
		++*ret_n;
	}
	out[n] = '\0';
	return out;
}

static enum err
parse_proxy_keys(struct str text, union setting_value *ret, struct errinfo *info)
{
	size_t n;
	char *list = clean_list(text, &n);

	if (n == 0 || n > LIMIT_PROXY_KEYS) {
		free(list);
		return n == 0 ? refuse(info, SETTING_PROXY_KEYS, "at least one key is wanted")
			      : refuse(info, SETTING_PROXY_KEYS, "too many keys");
	}
	ret->s = list;
	return ERR_OK;
}

static bool
is_url_of(struct str text, const char *const *schemes)
{
	struct url url;

	if (!url_parse(text, &url))
		return false;
	for (; *schemes != NULL; schemes++)
		if (url_scheme_is(&url, *schemes))
			return true;
	return false;
}

static enum err
check_string(enum setting id, struct str text, struct errinfo *info)
{
	static const char *const web[] = {"http", "https", NULL};
	static const char *const proxy[] = {"http", "https", "socks5", "socks5h", NULL};
	struct status_set set;

	if (id == SETTING_APP_URL && !is_url_of(text, web))
		return refuse(info, id, "a URL is wanted: http://… or https://…");
	if (id == SETTING_PROXY_URL && text.n > 0 && !is_url_of(text, proxy))
		return refuse(
		    info, id,
		    "a URL with a host is wanted: http://, https://, socks5:// or socks5h://");
	if (id == SETTING_FAILOVER_STATUS_CODES)
		return status_set_parse(text, &set, info);
	return ERR_OK;
}

static enum err
parse_string(enum setting id, struct str text, union setting_value *ret, struct errinfo *info)
{
	enum err e;

	text = str_trim(text);
	if (text.n > (id == SETTING_PROXY_KEYS ? LIMIT_SETTING_LIST : LIMIT_SETTING_TEXT))
		return refuse(info, id, "the text is too long");
	if (!utf8_valid(text) || (text.n > 0 && memchr(text.p, '\0', text.n) != NULL))
		return refuse(info, id, "the text is not valid UTF-8");
	if (id == SETTING_PROXY_KEYS)
		return parse_proxy_keys(text, ret, info);
	e = check_string(id, text, info);
	if (e != ERR_OK)
		return e;
	ret->s = xstrndup(text.n > 0 ? text.p : "", text.n);
	return ERR_OK;
}

static enum err
parse(enum setting id, struct str text, bool hold, union setting_value *ret, struct errinfo *info)
{
	switch (defs[id].type) {
	case SETTING_INT:
		return parse_int(id, text, hold, ret, info);
	case SETTING_BOOL:
		if (!str_to_bool(str_trim(text), &ret->b))
			return refuse(info, id, "true or false is wanted");
		return ERR_OK;
	case SETTING_STRING:
		break;
	}
	return parse_string(id, text, ret, info);
}

enum err
setting_parse(enum setting id, struct str text, union setting_value *ret, struct errinfo *info)
{
	return parse(id, text, false, ret, info);
}

/* Of what stands in the database already (setting.h). */
static enum err
parse_stored(enum setting id, struct str text, union setting_value *ret, struct errinfo *info)
{
	return parse(id, text, true, ret, info);
}

/* A value of JSON as the text that parse_stored() takes; false: of a wrong type. */
static bool
json_to_text(enum setting id, struct json_object *value, struct buf *ret)
{
	struct str text;
	int64_t i;
	bool b;

	switch (defs[id].type) {
	case SETTING_INT:
		if (!json_get_int(value, &i))
			return false;
		buf_printf(ret, "%lld", (long long)i);
		return true;
	case SETTING_BOOL:
		if (!json_get_bool(value, &b))
			return false;
		buf_cstr(ret, b ? "true" : "false");
		return true;
	case SETTING_STRING:
		break;
	}
	if (!json_get_text(value, &text))
		return false;
	buf_str(ret, text);
	return buf_err(ret) == ERR_OK;
}

enum err
setting_read_json(enum setting id, struct json_object *value, union setting_value *ret,
		  struct errinfo *info)
{
	struct buf text;
	enum err e;

	buf_init(&text, LIMIT_SETTING_TEXT);
	if (json_to_text(id, value, &text))
		e = parse_stored(id, buf_view(&text), ret, info);
	else
		e = refuse(info, id, "the value is of a wrong type");
	buf_done(&text);
	return e;
}

void
setting_value_done(enum setting id, union setting_value *v)
{
	if (defs[id].type == SETTING_STRING)
		free(v->s);
}

bool
setting_equal(enum setting id, union setting_value a, union setting_value b)
{
	switch (defs[id].type) {
	case SETTING_INT:
		return a.i == b.i;
	case SETTING_BOOL:
		return a.b == b.b;
	case SETTING_STRING:
		break;
	}
	return strcmp(a.s, b.s) == 0;
}

/* --- the system's --- */

static void
value_default(enum setting id, union setting_value *ret)
{
	const struct setting_def *def = &defs[id];

	if (def->type == SETTING_STRING)
		ret->s = xstrdup(def->default_text);
	else
		check(setting_parse(id, str_of(def->default_text), ret, NULL) == ERR_OK);
}

/* One row; of a name that is not ours it does nothing. */
static void
load_row(struct settings *s, struct str key, struct str text, struct str *ret_bad)
{
	union setting_value v;
	enum setting id;

	if (!setting_find(key, &id))
		return;
	if (parse_stored(id, text, &v, NULL) == ERR_OK) {
		setting_value_done(id, &s->v[id]);
		s->v[id] = v;
	} else if (ret_bad != NULL && ret_bad->n == 0) {
		*ret_bad = str_of(defs[id].key);
	}
}

enum err
settings_load(struct db *db, struct settings *ret, struct str *ret_bad)
{
	struct settings s;
	struct str bad = {NULL, 0};
	struct db_rows *rows;
	enum err e;

	for (int i = 0; i < SETTING__MAX; i++)
		value_default((enum setting)i, &s.v[i]);
	for (e = db_query(db, "SELECT setting_key, setting_value FROM system_settings", DB_NO_ARGS,
			  &rows);
	     e == ERR_OK && db_next(rows, &e);)
		load_row(&s, db_col_text(rows, 0), db_col_text(rows, 1), &bad);
	db_rows_done(rows);
	if (e != ERR_OK) {
		settings_done(&s);
		return e;
	}
	*ret = s;
	if (ret_bad != NULL)
		*ret_bad = bad;
	return ERR_OK;
}

enum err
settings_there(struct db *db, bool ret[SETTING__MAX])
{
	struct db_rows *rows;
	enum setting id;
	enum err e;

	memset(ret, 0, SETTING__MAX * sizeof(*ret));
	for (e = db_query(db, "SELECT setting_key FROM system_settings", DB_NO_ARGS, &rows);
	     e == ERR_OK && db_next(rows, &e);)
		if (setting_find(db_col_text(rows, 0), &id))
			ret[id] = true;
	db_rows_done(rows);
	return e;
}

void
settings_done(struct settings *s)
{
	for (int i = 0; i < SETTING__MAX; i++)
		setting_value_done((enum setting)i, &s->v[i]);
}

/* --- status codes --- */

bool
status_set_has(const struct status_set *s, int status)
{
	return status >= 0 && status < 1024 && (s->bits[status / 64] >> (status % 64) & 1) != 0;
}

/* "429" or "400-403", blanks around. */
static bool
parse_range(struct str text, int64_t *ret_first, int64_t *ret_last)
{
	struct str first;

	if (!str_split(&text, '-', &first))
		return false;
	first = str_trim(first);
	if (first.n != 3 || !str_to_i64(first, 100, 999, ret_first))
		return false;
	*ret_last = *ret_first;
	if (text.p == NULL)
		return true;
	text = str_trim(text);
	return text.n == 3 && str_to_i64(text, *ret_first, 999, ret_last);
}

enum err
status_set_parse(struct str text, struct status_set *ret, struct errinfo *info)
{
	struct status_set set = {0};
	struct str line;
	struct str item;
	int64_t first;
	int64_t last;

	while (str_split(&text, '\n', &line)) {
		while (str_split(&line, ',', &item)) {
			item = str_trim(item);
			if (item.n == 0)
				continue;
			if (!parse_range(item, &first, &last))
				return err_set(
				    info, ERR_VALIDATION,
				    "failover_status_codes: \"" STR_FMT
				    "\" is no status code (100 to 999) and no range of them",
				    (int)MIN(item.n, 32), item.p);
			for (int64_t i = first; i <= last; i++)
				set.bits[i / 64] |= UINT64_C(1) << (i % 64);
		}
	}
	*ret = set;
	return ERR_OK;
}
