/* SPDX-License-Identifier: MIT
 *
 * A group's input: first the types of all members of the body (a wrong one is
 * ERR_INVALID_JSON), then, in a fixed order, whether the values are acceptable
 * (ERR_VALIDATION). What comes out is the row as it is to be stored.
 */
#include "lib/group_input.h"

#include "lib/channel.h"
#include "lib/json.h"
#include "lib/key.h"
#include "lib/limits.h"
#include "lib/str.h"

#include <json-c/json.h>

#define NAME_MAX_BYTES 100

/* --- reading members --- */

/* The member, or NULL when it is absent or null; ERR_INVALID_JSON: another type. */
static enum err
member_of_type(const struct group_input *in, const char *name, enum json_type type,
	       const char *what, struct json_object **ret)
{
	struct json_object *value = json_get(in->body, name);

	if (value != NULL && !json_object_is_type(value, type))
		return err_set(in->info, ERR_INVALID_JSON, "\"%s\" must be %s", name, what);
	*ret = value;
	return ERR_OK;
}

/* Leaves *io as it is when there is no such member. */
static enum err
read_text(const struct group_input *in, const char *name, struct str *io)
{
	struct json_object *value = NULL;
	struct str text;
	enum err e = member_of_type(in, name, json_type_string, "a string", &value);

	if (e == ERR_OK && json_get_text(value, &text))
		*io = arena_str(in->arena, text);
	return e;
}

static enum err
read_scalars(const struct group_input *in, struct group_row *row)
{
	const struct {
		const char *name;
		struct str *to;
	} texts[] = {
	    {"name", &row->name},
	    {"display_name", &row->display_name},
	    {"description", &row->description},
	    {"channel_type", &row->channel_type},
	    {"test_model", &row->test_model},
	    {"validation_endpoint", &row->validation_endpoint},
	    {"proxy_keys", &row->proxy_keys},
	};
	struct json_object *value;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		enum err e = read_text(in, texts[i].name, texts[i].to);
		if (e != ERR_OK)
			return e;
	}
	value = json_get(in->body, "sort");
	if (value != NULL && !json_get_int(value, &row->sort))
		return err_set(in->info, ERR_INVALID_JSON, "\"sort\" must be a whole number");
	value = json_get(in->body, "model_redirect_strict");
	if (value != NULL && !json_get_bool(value, &row->redirect_strict))
		return err_set(in->info, ERR_INVALID_JSON,
			       "\"model_redirect_strict\" must be true or false");
	return ERR_OK;
}

static enum err
check_compound_types(const struct group_input *in)
{
	static const struct {
		const char *name;
		enum json_type type;
		const char *what;
	} members[] = {
	    {"upstreams", json_type_array, "an array"},
	    {"param_overrides", json_type_object, "an object"},
	    {"model_redirect_rules", json_type_object, "an object"},
	    {"config", json_type_object, "an object"},
	    {"options", json_type_object, "an object"},
	    {"header_rules", json_type_array, "an array"},
	};
	struct json_object *value;

	for (size_t i = 0; i < ARRAY_LEN(members); i++) {
		enum err e =
		    member_of_type(in, members[i].name, members[i].type, members[i].what, &value);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

/* --- plain fields --- */

static size_t
count_chars(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

enum err
group_check_text(const struct group_input *in, const char *name, struct str *io, size_t max_chars,
		 bool lines)
{
	struct str s = str_trim(*io);

	if (str_has_control(s, lines))
		return err_set(in->info, ERR_VALIDATION, "\"%s\" must not hold control characters",
			       name);
	if (count_chars(s) > max_chars)
		return err_set(in->info, ERR_VALIDATION, "\"%s\" is longer than %zu characters",
			       name, max_chars);
	*io = s;
	return ERR_OK;
}

static enum err
check_name(const struct group_input *in, struct group_row *row)
{
	struct str s = str_trim(row->name);
	bool good = s.n >= 1 && s.n <= NAME_MAX_BYTES;

	for (size_t i = 0; i < s.n && good; i++) {
		char c = s.p[i];
		good = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
	}
	if (!good)
		return err_set(in->info, ERR_VALIDATION,
			       "\"name\" must be 1 to %d lower-case letters, digits, '-' or '_'",
			       NAME_MAX_BYTES);
	row->name = s;
	return ERR_OK;
}

static enum err
check_kind(const struct group_input *in, struct group_row *row)
{
	struct str type = STR("standard");

	row->channel_type = str_trim(row->channel_type);
	if (channel_find(row->channel_type) == NULL)
		return err_set(in->info, ERR_VALIDATION,
			       "\"channel_type\" is not one of GET /api/channel-types");
	if (in->old != NULL) /* fixed at creation */
		return ERR_OK;
	enum err e = read_text(in, "group_type", &type);
	if (e != ERR_OK)
		return e;
	row->aggregate = str_is(type, "aggregate");
	if (!row->aggregate && !str_is(type, "standard") && type.n > 0)
		return err_set(in->info, ERR_VALIDATION,
			       "\"group_type\" must be \"standard\" or \"aggregate\"");
	return ERR_OK;
}

static enum err
check_test_model(const struct group_input *in, struct group_row *row)
{
	if (in->old != NULL && row->test_model.n == 0)
		row->test_model = in->old->test_model;
	enum err e =
	    group_check_text(in, "test_model", &row->test_model, GROUP_COLUMN_CHARS, false);
	if (e == ERR_OK && row->test_model.n == 0)
		return err_set(in->info, ERR_VALIDATION, "\"test_model\" is required");
	return e;
}

enum err
group_check_endpoint(const struct group_input *in, struct group_row *row)
{
	struct str s = str_trim(row->validation_endpoint);
	bool good = s.n == 0 || (s.p[0] == '/' && !str_contains(s, "://"));

	for (size_t i = 0; i < s.n && good; i++)
		good = s.p[i] > ' ' && s.p[i] < 0x7f && s.p[i] != '#' && s.p[i] != '\\';
	if (!good || s.n > GROUP_COLUMN_CHARS)
		return err_set(in->info, ERR_VALIDATION,
			       "\"validation_endpoint\" must be empty or a path that begins with "
			       "'/', of at most "
			       "%d characters, without spaces, '#' and \"://\"",
			       GROUP_COLUMN_CHARS);
	row->validation_endpoint = s;
	return ERR_OK;
}

/* --- the whole --- */

static enum err
check_proxy_keys(const struct group_input *in, struct group_row *row)
{
	if (in->old != NULL)
		row->proxy_keys = key_unmask_list(row->proxy_keys, in->old->proxy_keys, in->arena);
	return key_list_clean(row->proxy_keys, "proxy_keys", in->arena, &row->proxy_keys, in->info);
}

/* What only a standard group has. */
static enum err
check_target(const struct group_input *in, struct group_row *row)
{
	if (row->aggregate) {
		row->upstreams_json = STR("[]");
		row->test_model = STR("-");
		row->validation_endpoint = STR("");
		return ERR_OK;
	}
	enum err e = check_test_model(in, row);
	if (e == ERR_OK)
		e = group_check_upstreams(in, row);
	return e == ERR_OK ? group_check_endpoint(in, row) : e;
}

/* The order is the original's: its page shows the first failure. */
static enum err
check_all(const struct group_input *in, struct group_row *row)
{
	enum err e = check_name(in, row);

	if (e == ERR_OK)
		e = check_kind(in, row);
	if (e == ERR_OK)
		e = check_target(in, row);
	if (e == ERR_OK)
		e = group_check_settings(in, "config", SETTING_GROUP_CONFIG, &row->config_json);
	if (e == ERR_OK)
		e = group_check_settings(in, "options", SETTING_GROUP_OPTION, &row->options_json);
	if (e == ERR_OK)
		e = group_check_header_rules(in, row);
	if (e == ERR_OK)
		e = group_check_redirects(in, row);
	if (e == ERR_OK)
		e = group_check_param_overrides(in, row);
	if (e == ERR_OK)
		e = group_check_text(in, "display_name", &row->display_name, GROUP_COLUMN_CHARS,
				     false);
	if (e == ERR_OK)
		e = group_check_text(in, "description", &row->description,
				     2 * GROUP_COLUMN_CHARS + 2, true);
	if (e == ERR_OK)
		e = check_proxy_keys(in, row);
	if (e == ERR_OK && (row->sort < INT32_MIN || row->sort > INT32_MAX))
		e = err_set(in->info, ERR_VALIDATION, "\"sort\" is out of range");
	return e;
}

enum err
group_parse(struct str body, const struct group_row *old, struct arena *arena,
	    struct group_row *ret, struct errinfo *info)
{
	AUTO_JSON struct json_object *object = NULL;
	struct group_row row = {.header_rules_json = STR("[]"), .redirects_json = STR("{}")};

	enum err e = json_parse(body, &object, info);
	if (e != ERR_OK)
		return e;
	if (!json_object_is_type(object, json_type_object))
		return err_set(info, ERR_INVALID_JSON, "the body must be a JSON object");
	struct group_input in = {body, object, old, arena, info};
	if (old != NULL)
		row = *old;
	e = read_scalars(&in, &row);
	if (e == ERR_OK)
		e = check_compound_types(&in);
	if (e == ERR_OK && old != NULL && old->aggregate)
		row.channel_type = old->channel_type;
	if (e == ERR_OK)
		e = check_all(&in, &row);
	if (e == ERR_OK)
		*ret = row;
	return e;
}
