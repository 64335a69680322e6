/* SPDX-License-Identifier: MIT
 *
 * GET /api/logs/export: each key of the matching rows once, as its latest row shows it,
 * as CSV. Rows are sent as they come from the database, so that memory does not grow
 * with their number.
 */
#include "admin-cgi/logs.h"

#include "lib/clock.h"
#include "lib/key.h"
#include "lib/limits.h"

#include <stdio.h>

#define EXPORT_PIECE (64 * 1024)

/* RFC 4180. */
static void
out_csv(struct buf *b, struct str value)
{
	bool quoted = false;

	for (size_t i = 0; i < value.n; i++)
		quoted = quoted || strchr(",\"\r\n", value.p[i]) != NULL;
	if (!quoted) {
		buf_str(b, value);
		return;
	}
	buf_char(b, '"');
	for (size_t i = 0; i < value.n; i++) {
		if (value.p[i] == '"')
			buf_char(b, '"');
		buf_char(b, value.p[i]);
	}
	buf_char(b, '"');
}

static void
out_csv_row(struct req *req, struct crypt *crypt, struct db_rows *rows, struct buf *plain)
{
	struct buf *b = &req->data;

	out_csv(b, logs_key(crypt, db_col_text(rows, 0), plain));
	buf_char(b, ',');
	out_csv(b, db_col_text(rows, 1));
	buf_printf(b, ",%lld\n", (long long)db_col_int(rows, 2));
}

/* "log_keys_export_20060102150405.csv" */
static void
name_export(char name[48])
{
	char digits[16] = "";
	char now[40];
	size_t n = 0;

	time_format(now, clock_wall_us(), 'T');
	for (const char *p = now; *p != '\0' && n < 14; p++)
		if (*p >= '0' && *p <= '9')
			digits[n++] = *p;
	(void)snprintf(name, 48, "log_keys_export_%s.csv", digits);
}

static enum err
send_csv(struct req *req, struct db *db, struct crypt *crypt, const struct where *filters)
{
	struct db_rows *rows = NULL;
	struct buf plain;
	struct where w;
	char name[48];

	where_init(&w);
	where_text(&w,
		   "SELECT key_value, group_name, status_code FROM (SELECT key_hash, key_value, "
		   "group_name, status_code, ROW_NUMBER() OVER (PARTITION BY key_hash ORDER BY "
		   "timestamp DESC, id DESC) AS nth");
	where_copy(&w, filters);
	where_text(&w, " AND key_value <> '') k WHERE nth = 1 ORDER BY key_hash");
	buf_init(&plain, LIMIT_KEY_BYTES);
	enum err e = where_query(&w, db, &rows);
	if (e == ERR_OK) {
		name_export(name);
		req_stream(req, "text/csv; charset=utf-8", name);
		buf_cstr(&req->data, "key_value,group_name,status_code\n");
	}
	while (e == ERR_OK && db_next(rows, &e)) {
		out_csv_row(req, crypt, rows, &plain);
		if (req->data.n >= EXPORT_PIECE && !req_stream_flush(req))
			break;
	}
	db_rows_done(rows);
	wipe(plain.p, plain.n);
	buf_done(&plain);
	where_done(&w);
	return e;
}

enum err
logs_export(struct req *req)
{
	struct log_filters filters;
	struct crypt *crypt;
	struct db *db;

	enum err e = logs_open(req, &db, &crypt, &filters);
	if (e == ERR_OK)
		e = send_csv(req, db, crypt, &filters.all);
	log_filters_done(&filters);
	return e;
}
