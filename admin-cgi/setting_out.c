/* SPDX-License-Identifier: MIT
 *
 * Names and descriptions of the settings, and their JSON.
 */
#include "admin-cgi/setting_out.h"

static const struct {
	enum msg name;
	enum msg help;
} texts[SETTING__MAX] = {
#define X(id, ...) [SETTING_##id] = {MSG_NAME_##id, MSG_HELP_##id},
    SETTING_TABLE(X)
#undef X
};

static const char *
type_name(enum setting_type type)
{
	switch (type) {
	case SETTING_STRING:
		return "string";
	case SETTING_INT:
		return "int";
	case SETTING_BOOL:
		return "bool";
	}
	return "";
}

void
out_setting(struct req *req, struct buf *b, enum setting id)
{
	const struct setting_def *def = setting_def(id);

	out_cstr(b, "key", def->key);
	out_cstr(b, "name", msg(req, texts[id].name));
	out_cstr(b, "description", msg(req, texts[id].help));
	out_cstr(b, "type", type_name(def->type));
	if (def->type == SETTING_INT) {
		out_int(b, "min_value", def->min);
		out_int(b, "max_value", def->max);
	}
}

void
out_setting_value(struct buf *b, const char *name, enum setting id, union setting_value value)
{
	switch (setting_def(id)->type) {
	case SETTING_STRING:
		out_cstr(b, name, value.s);
		return;
	case SETTING_INT:
		out_int(b, name, value.i);
		return;
	case SETTING_BOOL:
		out_bool(b, name, value.b);
		return;
	}
}
