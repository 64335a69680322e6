/* SPDX-License-Identifier: MIT
 *
 * Settings as they come in a JSON body: system settings and a group's overrides.
 */
#ifndef LIB_SETTING_JSON_H
#define LIB_SETTING_JSON_H

#include "lib/arena.h"
#include "lib/setting.h"

struct json_object;

/* Checks a value, which must be of the setting's own JSON type. *ret: its text as
 * it is stored, numbers as plain digits; in the arena. ERR_VALIDATION: *info names
 * the setting. */
enum err setting_from_json(enum setting id, struct json_object *value, struct arena *arena,
			   struct str *ret, struct errinfo *info) MUST_CHECK;

#endif
