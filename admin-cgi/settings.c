/* SPDX-License-Identifier: MIT
 *
 * GET and PUT /api/settings. All values of a PUT are checked before the first is
 * written; they are stored as text, numbers as plain digits.
 */
#include "admin-cgi/setting_out.h"

#include "lib/clock.h"
#include "lib/group.h"
#include "lib/json.h"
#include "lib/key.h"
#include "lib/setting_json.h"

#include <json-c/json.h>

static const struct {
	enum setting_category category;
	const char *id;
	enum msg name;
} categories[] = {
    {SETTING_BASIC, "basic", MSG_CATEGORY_BASIC},
    {SETTING_REQUEST, "request", MSG_CATEGORY_REQUEST},
    {SETTING_KEY, "key", MSG_CATEGORY_KEY},
};

/* app_url's default is this installation's own, made at its first start. */
static struct str
default_text(struct req *req, enum setting id)
{
	if (id == SETTING_APP_URL)
		return str_of(
		    arena_printf(&req->arena, "http://localhost:%d", req->admin->conf->port));
	return str_of(setting_def(id)->default_text);
}

/* --- which groups have a value of their own --- */

struct overrides {
	struct group_row *groups;
	struct json_object **config; /* of each group; NULL: none, or none that can be read */
	struct json_object **options;
	size_t n;
};

static void
free_json(void *object)
{
	json_done(object);
}

static struct json_object *
read_column(struct req *req, struct str column)
{
	struct json_object *object = NULL;

	if (str_trim(column).n == 0 || json_parse(column, &object, NULL) != ERR_OK ||
	    object == NULL)
		return NULL;
	arena_on_free(&req->arena, free_json, object);
	return json_object_is_type(object, json_type_object) ? object : NULL;
}

static enum err
read_overrides(struct req *req, struct db *db, struct overrides *ret)
{
	enum err e = group_list(db, &req->arena, &ret->groups, &ret->n);

	if (e != ERR_OK)
		return e;
	ret->config = arena_alloc(&req->arena, (ret->n + 1) * sizeof(struct json_object *));
	ret->options = arena_alloc(&req->arena, (ret->n + 1) * sizeof(struct json_object *));
	for (size_t i = 0; i < ret->n; i++) {
		ret->config[i] = read_column(req, ret->groups[i].config_json);
		ret->options[i] = read_column(req, ret->groups[i].options_json);
	}
	return ERR_OK;
}

static void
out_overrides(struct req *req, const struct overrides *o, enum setting id)
{
	const struct setting_def *def = setting_def(id);
	struct buf *b = &req->data;

	out_open(b, "overridden_by", '[');
	for (size_t i = 0; i < o->n && def->scope != SETTING_SYSTEM_ONLY; i++) {
		struct json_object *from =
		    def->scope == SETTING_GROUP_CONFIG ? o->config[i] : o->options[i];
		union setting_value value;

		if (json_get(from, def->key) == NULL ||
		    setting_read_json(id, json_get(from, def->key), &value, NULL) != ERR_OK)
			continue;
		out_open(b, NULL, '{');
		out_int(b, "group_id", o->groups[i].id);
		out_str(b, "name", o->groups[i].name);
		out_str(b, "display_name", o->groups[i].display_name);
		out_setting_value(b, "value", id, value);
		out_close(b, '}');
		setting_value_done(id, &value);
	}
	out_close(b, ']');
}

static const char *
scope_name(enum setting_scope scope)
{
	switch (scope) {
	case SETTING_SYSTEM_ONLY:
		return "system";
	case SETTING_GROUP_CONFIG:
		return "config";
	case SETTING_GROUP_OPTION:
		return "options";
	}
	return "";
}

/* --- GET --- */

static void
out_one(struct req *req, enum setting id, union setting_value value, const struct overrides *o)
{
	const struct setting_def *def = setting_def(id);
	struct buf *b = &req->data;

	out_open(b, NULL, '{');
	out_setting(req, b, id);
	if (id == SETTING_PROXY_KEYS)
		out_str(b, "value", req_show_keys(req, str_of(value.s)));
	else
		out_setting_value(b, "value", id, value);
	out_str(b, "default_value", default_text(req, id));
	out_str(b, "category", str_of(msg(req, categories[def->category].name)));
	out_bool(b, "required",
		 def->type == SETTING_INT || id == SETTING_APP_URL || id == SETTING_PROXY_KEYS);
	out_cstr(b, "scope", scope_name(def->scope));
	out_overrides(req, o, id);
	out_close(b, '}');
}

static enum err
get_settings(struct req *req)
{
	struct overrides overrides;
	struct settings settings;
	struct db *db;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = read_overrides(req, db, &overrides);
	if (e == ERR_OK)
		e = settings_load(db, &settings, NULL);
	if (e != ERR_OK)
		return e;
	out_open(&req->data, NULL, '[');
	for (size_t c = 0; c < ARRAY_LEN(categories); c++) {
		out_open(&req->data, NULL, '{');
		out_cstr(&req->data, "category_name", msg(req, categories[c].name));
		out_cstr(&req->data, "category_id", categories[c].id);
		out_open(&req->data, "settings", '[');
		for (int id = 0; id < SETTING__MAX; id++)
			if (setting_def((enum setting)id)->category == categories[c].category)
				out_one(req, (enum setting)id, settings.v[id], &overrides);
		out_close(&req->data, ']');
		out_close(&req->data, '}');
	}
	out_close(&req->data, ']');
	settings_done(&settings);
	return ERR_OK;
}

/* --- PUT --- */

/* Checked values as text, by setting; p is NULL where none was given. */
struct changes {
	struct str text[SETTING__MAX];
};

static enum err
read_change(struct req *req, const char *key, struct json_object *value, const struct settings *now,
	    struct changes *changes)
{
	enum setting id;
	struct str text;

	if (!setting_find(str_of(key), &id))
		return err_set(&req->info, ERR_VALIDATION, "\"%s\" is not a setting", key);
	enum err e = setting_from_json(id, value, &req->arena, &text, &req->info);
	if (e == ERR_OK && id == SETTING_PROXY_KEYS) {
		text = key_unmask_list(text, str_of(now->v[id].s), &req->arena);
		e = key_list_clean(text, key, &req->arena, &text, &req->info);
	}
	if (e == ERR_OK)
		changes->text[id] = text;
	return e;
}

static enum err
read_changes(struct req *req, struct json_object *body, const struct settings *now,
	     struct changes *changes)
{
	json_object_object_foreach(body, key, value)
	{
		enum err e = read_change(req, key, value, now, changes);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

static enum err
write_setting(struct db *db, enum setting id, struct str text)
{
	const struct db_arg now = db_time(clock_wall_us());
	int64_t changed;

	enum err e = db_exec(
	    db,
	    "UPDATE system_settings SET setting_value = ?, updated_at = ? WHERE setting_key = ?",
	    DB_ARGS(db_text(text), now, db_cstr(setting_def(id)->key)), &changed);
	if (e != ERR_OK || changed > 0)
		return e;
	return db_exec(
	    db,
	    "INSERT INTO system_settings (setting_key, setting_value, created_at, updated_at) "
	    "VALUES (?,?,?,?)",
	    DB_ARGS(db_cstr(setting_def(id)->key), db_text(text), now, now), NULL);
}

static enum err
write_changes(struct db *db, const struct changes *changes)
{
	enum err e = ERR_OK;

	for (int id = 0; id < SETTING__MAX && e == ERR_OK; id++)
		if (changes->text[id].p != NULL)
			e = write_setting(db, (enum setting)id, changes->text[id]);
	return e;
}

/* In one transaction, so that a masked list is compared with what it was. */
static enum err
change(struct req *req, struct db *db, struct json_object *body)
{
	struct changes changes = {0};
	struct settings now;

	enum err e = group_begin(db);
	if (e != ERR_OK)
		return e;
	e = settings_load(db, &now, NULL);
	if (e == ERR_OK) {
		e = read_changes(req, body, &now, &changes);
		settings_done(&now);
	}
	if (e == ERR_OK)
		e = write_changes(db, &changes);
	return group_finish(db, e);
}

static enum err
put_settings(struct req *req)
{
	struct json_object *body;
	struct db *db;

	enum err e = req_json(req, &body);
	if (e == ERR_OK)
		e = req_db(req, &db);
	if (e == ERR_OK && json_object_object_length(body) > 0) {
		e = change(req, db, body);
		if (e == ERR_OK)
			req_publish_config(req);
	}
	req->message = MSG_SETTINGS_UPDATED;
	return e;
}

const struct route routes_settings[] = {
    {METHOD_GET, "/api/settings", get_settings, 0},
    {METHOD_PUT, "/api/settings", put_settings, 0},
    {0},
};
