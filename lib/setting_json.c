/* SPDX-License-Identifier: MIT
 *
 * JSON type first, then setting_parse(): one rule for what a setting may be.
 */
#include "lib/setting_json.h"

#include "lib/json.h"
#include "lib/str.h"

#include <stdlib.h>

/* The text form of a value of the right type; false for another. */
static bool
value_text(enum setting_type type, struct json_object *value, struct arena *arena, struct str *ret)
{
	int64_t number;
	bool flag;

	switch (type) {
	case SETTING_STRING:
		return json_get_text(value, ret);
	case SETTING_INT:
		if (!json_get_int(value, &number))
			return false;
		*ret = str_of(arena_printf(arena, "%lld", (long long)number));
		return true;
	case SETTING_BOOL:
		if (!json_get_bool(value, &flag))
			return false;
		*ret = flag ? STR("true") : STR("false");
		return true;
	}
	return false;
}

enum err
setting_from_json(enum setting id, struct json_object *value, struct arena *arena, struct str *ret,
		  struct errinfo *info)
{
	static const char *const wants[] = {
	    [SETTING_STRING] = "a string",
	    [SETTING_INT] = "a whole number",
	    [SETTING_BOOL] = "true or false",
	};
	const struct setting_def *def = setting_def(id);
	union setting_value checked;
	struct str text;

	if (!value_text(def->type, value, arena, &text))
		return err_set(info, ERR_VALIDATION, "%s: must be %s", def->key, wants[def->type]);
	enum err e = setting_parse(id, text, &checked, info);
	if (e != ERR_OK)
		return e;
	if (def->type == SETTING_STRING) {
		text = str_of(arena_strdup(arena, checked.s));
		free(checked.s);
	}
	*ret = text;
	return ERR_OK;
}
