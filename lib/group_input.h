/* SPDX-License-Identifier: MIT
 *
 * Between group_check.c, which goes through a group's input in order, and
 * group_columns.c, which checks and rewrites the parts that are lists and objects.
 */
#ifndef LIB_GROUP_INPUT_H
#define LIB_GROUP_INPUT_H

#include "lib/group.h"
#include "lib/setting.h"

struct json_object;

/* Most characters of a short text column. */
#define GROUP_COLUMN_CHARS 255

struct group_input {
	struct str text;
	struct json_object *body;    /* of `text` */
	const struct group_row *old; /* NULL: a creation */
	struct arena *arena;
	struct errinfo *info;
};

/* Trims *io and checks its length in characters, as a column counts it; control
 * characters are refused, line breaks and tabs allowed where `lines` says so. */
enum err group_check_text(const struct group_input *in, const char *name, struct str *io,
			  size_t max_chars, bool lines) MUST_CHECK;

/* Trims row->validation_endpoint. */
enum err group_check_endpoint(const struct group_input *in, struct group_row *row) MUST_CHECK;

/* Each takes its member of the body, of the right type already, and sets its column
 * of the row; a member that is absent or null changes nothing. */
enum err group_check_upstreams(const struct group_input *in, struct group_row *row) MUST_CHECK;
enum err group_check_header_rules(const struct group_input *in, struct group_row *row) MUST_CHECK;
enum err group_check_redirects(const struct group_input *in, struct group_row *row) MUST_CHECK;
enum err group_check_param_overrides(const struct group_input *in, struct group_row *row)
    MUST_CHECK;
/* Overrides of settings with that scope, from the member `field` into *io. */
enum err group_check_settings(const struct group_input *in, const char *field,
			      enum setting_scope scope, struct str *io) MUST_CHECK;

#endif
