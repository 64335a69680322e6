/* SPDX-License-Identifier: MIT
 *
 * The columns of a group that are lists and objects: checked member by member and
 * rewritten in one form, so that whoever reads them later finds nothing unexpected.
 * Only `param_overrides` is kept as the very text that came in, since its numbers
 * must not be touched.
 */
#include "lib/group_input.h"

#include "lib/header.h"
#include "lib/json.h"
#include "lib/jsonscan.h"
#include "lib/limits.h"
#include "lib/setting_json.h"
#include "lib/str.h"
#include "lib/url.h"

#include <json-c/json.h>

/* --- upstreams --- */

enum err
group_check_url(struct str text, struct errinfo *info)
{
	struct arena scratch;
	struct str decoded;
	struct url url;

	if (text.n > LIMIT_URL)
		return err_set(info, ERR_VALIDATION, "the URL is longer than %d bytes", LIMIT_URL);
	if (!url_parse(text, &url))
		return err_set(info, ERR_VALIDATION,
			       "the URL must be http://host[:port]/path, without spaces and "
			       "control characters");
	if (!url_scheme_is(&url, "http") && !url_scheme_is(&url, "https"))
		return err_set(info, ERR_VALIDATION, "the URL must begin with http:// or https://");
	if (memchr(text.p, '#', text.n) != NULL)
		return err_set(info, ERR_VALIDATION, "the URL must not have a fragment ('#')");
	arena_init(&scratch, LIMIT_URL + 1);
	bool escapes = url_decode(text, &scratch, &decoded);
	arena_done(&scratch);
	if (!escapes)
		return err_set(info, ERR_VALIDATION, "the URL holds a malformed percent-encoding");
	return ERR_OK;
}

static enum err
read_upstream(const struct group_input *in, struct json_object *item, size_t number,
	      struct buf *out, int64_t *total)
{
	struct json_object *value = json_get(item, "weight");
	struct errinfo why = {0};
	struct str url;
	int64_t weight = 1;

	if (!json_object_is_type(item, json_type_object) ||
	    !json_get_text(json_get(item, "url"), &url))
		return err_set(in->info, ERR_INVALID_JSON,
			       "\"upstreams\" entry %zu must be an object with a string \"url\"",
			       number);
	if (value != NULL && !json_get_int(value, &weight))
		return err_set(in->info, ERR_INVALID_JSON,
			       "\"weight\" of \"upstreams\" entry %zu must be a whole number",
			       number);
	url = str_trim(url);
	if (group_check_url(url, &why) != ERR_OK)
		return err_set(in->info, ERR_VALIDATION, "\"upstreams\" entry %zu: %s", number,
			       why.text);
	if (weight < 0 || weight > LIMIT_WEIGHT)
		return err_set(in->info, ERR_VALIDATION,
			       "\"weight\" of \"upstreams\" entry %zu must be 0 to %d", number,
			       LIMIT_WEIGHT);
	*total += weight;
	buf_cstr(out, number > 1 ? ",{\"url\":" : "{\"url\":");
	buf_json(out, url);
	buf_printf(out, ",\"weight\":%lld}", (long long)weight);
	return ERR_OK;
}

/* What was built, in the arena; the buffer is done with. */
static enum err
column(const struct group_input *in, const char *name, struct buf *b, struct str *ret)
{
	enum err e = buf_err(b);

	if (e == ERR_OK)
		*ret = arena_str(in->arena, buf_view(b));
	else
		e = err_set(in->info, ERR_VALIDATION, "\"%s\" is larger than %d bytes", name,
			    LIMIT_GROUP_JSON);
	buf_done(b);
	return e;
}

enum err
group_check_upstreams(const struct group_input *in, struct group_row *row)
{
	struct json_object *list = json_get(in->body, "upstreams");
	int64_t total = 0;
	struct buf out;
	enum err e = ERR_OK;

	if (list == NULL && in->old != NULL && !json_has(in->body, "upstreams"))
		return ERR_OK;
	size_t n = list != NULL ? json_object_array_length(list) : 0;
	if (n == 0 || n > LIMIT_UPSTREAMS)
		return err_set(in->info, ERR_VALIDATION, "\"upstreams\" must have 1 to %d entries",
			       LIMIT_UPSTREAMS);
	buf_init(&out, LIMIT_GROUP_JSON);
	buf_char(&out, '[');
	for (size_t i = 0; i < n && e == ERR_OK; i++)
		e = read_upstream(in, json_object_array_get_idx(list, i), i + 1, &out, &total);
	buf_char(&out, ']');
	if (e == ERR_OK && total == 0)
		e = err_set(in->info, ERR_VALIDATION,
			    "at least one of \"upstreams\" must have a weight above 0");
	if (e != ERR_OK) {
		buf_done(&out);
		return e;
	}
	return column(in, "upstreams", &out, &row->upstreams_json);
}

/* --- overrides of settings --- */

static enum err
read_override(const struct group_input *in, const char *field, enum setting_scope scope,
	      const char *key, struct json_object *value, struct buf *out)
{
	struct errinfo why = {0};
	enum setting id;
	struct str text;

	if (!setting_find(str_of(key), &id) || setting_def(id)->scope != scope)
		return err_set(in->info, ERR_VALIDATION,
			       "\"%s\" of \"%s\" is not a setting that a group can have there", key,
			       field);
	if (value == NULL) /* null: no override */
		return ERR_OK;
	if (setting_from_json(id, value, in->arena, &text, &why) != ERR_OK)
		return err_set(in->info, ERR_VALIDATION, "\"%s\": %s", field,
			       err_text(&why, ERR_VALIDATION));
	if (out->n > 1)
		buf_char(out, ',');
	buf_printf(out, "\"%s\":", key);
	if (setting_def(id)->type == SETTING_STRING)
		buf_json(out, text);
	else
		buf_str(out, text);
	return ERR_OK;
}

enum err
group_check_settings(const struct group_input *in, const char *field, enum setting_scope scope,
		     struct str *io)
{
	struct json_object *object = json_get(in->body, field);
	struct buf out;
	enum err e = ERR_OK;

	if (object == NULL)
		return ERR_OK;
	buf_init(&out, LIMIT_GROUP_JSON);
	buf_char(&out, '{');
	json_object_object_foreach(object, key, value)
	{
		e = read_override(in, field, scope, key, value, &out);
		if (e != ERR_OK)
			break;
	}
	buf_char(&out, '}');
	if (e != ERR_OK) {
		buf_done(&out);
		return e;
	}
	return column(in, field, &out, io);
}

/* --- header rules --- */

/* "x-foo" becomes "X-Foo". */
static struct str
canonical_name(struct str name, struct arena *arena)
{
	char *s = arena_strndup(arena, name.p, name.n);
	bool upper = true;

	for (size_t i = 0; i < name.n; i++) {
		if (upper && s[i] >= 'a' && s[i] <= 'z')
			s[i] = (char)(s[i] - 'a' + 'A');
		else if (!upper && s[i] >= 'A' && s[i] <= 'Z')
			s[i] = (char)(s[i] - 'A' + 'a');
		upper = s[i] == '-';
	}
	return (struct str){s, name.n};
}

/* An optional string member of a rule. */
static bool
rule_text(struct json_object *rule, const char *name, struct str *ret)
{
	struct json_object *value = json_get(rule, name);

	return value == NULL || json_get_text(value, ret);
}

static enum err
read_rule(const struct group_input *in, struct json_object *item, size_t number, struct str *names,
	  size_t *n_names, struct buf *out)
{
	struct str key = STR("");
	struct str value = STR("");
	struct str action = STR("set");

	if (!json_object_is_type(item, json_type_object) || !rule_text(item, "key", &key) ||
	    !rule_text(item, "value", &value) || !rule_text(item, "action", &action))
		return err_set(in->info, ERR_INVALID_JSON,
			       "\"header_rules\" entry %zu must be an object of strings", number);
	key = str_trim(key);
	if (key.n == 0)
		return ERR_OK;
	if (key.n > GROUP_COLUMN_CHARS || !header_name_valid(key))
		return err_set(in->info, ERR_VALIDATION,
			       "\"key\" of \"header_rules\" entry %zu is not a header name",
			       number);
	if (value.n > LIMIT_RULE_VALUE || !header_value_valid(value))
		return err_set(
		    in->info, ERR_VALIDATION,
		    "\"value\" of \"header_rules\" entry %zu is longer than %d bytes or holds a "
		    "control character",
		    number, LIMIT_RULE_VALUE);
	if (!str_is(action, "set") && !str_is(action, "remove"))
		return err_set(
		    in->info, ERR_VALIDATION,
		    "\"action\" of \"header_rules\" entry %zu must be \"set\" or \"remove\"",
		    number);
	key = canonical_name(key, in->arena);
	for (size_t i = 0; i < *n_names; i++)
		if (str_eq(names[i], key))
			return err_set(in->info, ERR_VALIDATION,
				       "\"header_rules\" names " STR_FMT " twice", STR_ARG(key));
	buf_cstr(out, *n_names > 0 ? ",{\"key\":" : "{\"key\":");
	buf_json(out, key);
	buf_cstr(out, ",\"value\":");
	buf_json(out, value);
	buf_cstr(out, ",\"action\":");
	buf_json(out, action);
	buf_char(out, '}');
	names[(*n_names)++] = key;
	return ERR_OK;
}

enum err
group_check_header_rules(const struct group_input *in, struct group_row *row)
{
	struct json_object *list = json_get(in->body, "header_rules");
	struct str names[LIMIT_HEADER_RULES];
	size_t n_names = 0;
	struct buf out;
	enum err e = ERR_OK;

	if (list == NULL)
		return ERR_OK;
	size_t n = json_object_array_length(list);
	if (n > LIMIT_HEADER_RULES)
		return err_set(in->info, ERR_VALIDATION,
			       "\"header_rules\" has more than %d entries", LIMIT_HEADER_RULES);
	buf_init(&out, LIMIT_GROUP_JSON);
	buf_char(&out, '[');
	for (size_t i = 0; i < n && e == ERR_OK; i++)
		e = read_rule(in, json_object_array_get_idx(list, i), i + 1, names, &n_names, &out);
	buf_char(&out, ']');
	if (e != ERR_OK) {
		buf_done(&out);
		return e;
	}
	return column(in, "header_rules", &out, &row->header_rules_json);
}

/* --- model redirects, parameter overrides --- */

static enum err
read_redirect(const struct group_input *in, const char *from, struct json_object *value,
	      struct buf *out)
{
	struct str source = str_of(from);
	struct str target;

	if (!json_get_text(value, &target))
		return err_set(in->info, ERR_INVALID_JSON,
			       "\"model_redirect_rules\" must map strings to strings");
	if (str_trim(source).n == 0 || str_trim(target).n == 0)
		return err_set(in->info, ERR_VALIDATION,
			       "\"model_redirect_rules\" holds an empty model name");
	enum err e =
	    group_check_text(in, "model_redirect_rules", &source, GROUP_COLUMN_CHARS, false);
	if (e == ERR_OK)
		e = group_check_text(in, "model_redirect_rules", &target, GROUP_COLUMN_CHARS,
				     false);
	if (e != ERR_OK)
		return e;
	if (out->n > 1)
		buf_char(out, ',');
	buf_json(out, source);
	buf_char(out, ':');
	buf_json(out, target);
	return ERR_OK;
}

enum err
group_check_redirects(const struct group_input *in, struct group_row *row)
{
	struct json_object *object = json_get(in->body, "model_redirect_rules");
	struct buf out;
	enum err e = ERR_OK;

	if (object == NULL)
		return ERR_OK;
	int n = json_object_object_length(object);
	if (row->aggregate && n > 0)
		return err_set(in->info, ERR_VALIDATION,
			       "\"model_redirect_rules\" must be empty in an aggregate group");
	if (n > LIMIT_REDIRECTS)
		return err_set(in->info, ERR_VALIDATION,
			       "\"model_redirect_rules\" has more than %d entries",
			       LIMIT_REDIRECTS);
	buf_init(&out, LIMIT_GROUP_JSON);
	buf_char(&out, '{');
	json_object_object_foreach(object, key, value)
	{
		e = read_redirect(in, key, value, &out);
		if (e != ERR_OK)
			break;
	}
	buf_char(&out, '}');
	if (e != ERR_OK) {
		buf_done(&out);
		return e;
	}
	return column(in, "model_redirect_rules", &out, &row->redirects_json);
}

enum err
group_check_param_overrides(const struct group_input *in, struct group_row *row)
{
	static const struct str key = {"param_overrides", 15};
	struct json_object *object = json_get(in->body, "param_overrides");
	struct json_top top;

	if (object == NULL)
		return ERR_OK;
	if (json_object_object_length(object) > LIMIT_OVERRIDES)
		return err_set(in->info, ERR_VALIDATION,
			       "\"param_overrides\" has more than %d members", LIMIT_OVERRIDES);
	enum err e = json_scan(in->text, &key, 1, in->arena, &top);
	if (e != ERR_OK)
		return err_set(in->info, ERR_INVALID_JSON, "the body is not a valid JSON object");
	if (top.n_hits != 1)
		return err_set(in->info, ERR_INVALID_JSON,
			       "\"param_overrides\" stands there twice");
	struct str raw = {in->text.p + top.hits[0].start, top.hits[0].end - top.hits[0].start};
	if (raw.n > LIMIT_GROUP_JSON)
		return err_set(in->info, ERR_VALIDATION,
			       "\"param_overrides\" is larger than %d bytes", LIMIT_GROUP_JSON);
	if (!json_is_storable(raw))
		return err_set(in->info, ERR_VALIDATION,
			       "\"param_overrides\" holds text that is no valid Unicode or NUL");
	row->param_overrides_json = arena_str(in->arena, raw);
	return ERR_OK;
}
