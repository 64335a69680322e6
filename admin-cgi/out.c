/* SPDX-License-Identifier: MIT
 *
 * A finished value never ends in an opening bracket or a colon, so the last byte
 * written tells whether a comma is due.
 */
#include "admin-cgi/out.h"

#include "lib/db.h"
#include "lib/json.h"
#include "lib/str.h"

#include <json-c/json.h>

static void
begin(struct buf *b, const char *name)
{
	if (b->n > 0 && strchr("{[:", b->p[b->n - 1]) == NULL)
		buf_char(b, ',');
	if (name != NULL)
		buf_printf(b, "\"%s\":", name);
}

void
out_open(struct buf *b, const char *name, char bracket)
{
	begin(b, name);
	buf_char(b, bracket);
}

void
out_close(struct buf *b, char bracket)
{
	buf_char(b, bracket);
}

void
out_str(struct buf *b, const char *name, struct str value)
{
	begin(b, name);
	buf_json(b, value);
}

void
out_cstr(struct buf *b, const char *name, const char *value)
{
	out_str(b, name, str_of(value));
}

void
out_int(struct buf *b, const char *name, int64_t value)
{
	begin(b, name);
	buf_printf(b, "%lld", (long long)value);
}

void
out_bool(struct buf *b, const char *name, bool value)
{
	out_raw(b, name, value ? STR("true") : STR("false"));
}

void
out_time(struct buf *b, const char *name, int64_t us)
{
	char text[40];

	if (us == 0) {
		out_raw(b, name, STR("null"));
		return;
	}
	time_format(text, us, 'T');
	out_cstr(b, name, text);
}

void
out_raw(struct buf *b, const char *name, struct str json)
{
	begin(b, name);
	buf_str(b, json);
}

void
out_column(struct buf *b, const char *name, struct str json, const char *instead)
{
	AUTO_JSON struct json_object *value = NULL;

	json = str_trim(json);
	if (json.n == 0 || json_parse(json, &value, NULL) != ERR_OK || value == NULL)
		json = str_of(instead);
	out_raw(b, name, json);
}
