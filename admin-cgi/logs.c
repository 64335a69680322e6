/* SPDX-License-Identifier: MIT
 *
 * /api/logs: request log rows, newest first, filtered and paged; one of them; and the
 * keys in them as CSV. A page's ids are found first, in the index, and only their rows
 * are read whole: bodies are large.
 */
#include "admin-cgi/admin.h"

#include "lib/clock.h"
#include "lib/key.h"
#include "lib/limits.h"
#include "lib/where.h"

#include <stdio.h>

#define COLUMNS                                                                                    \
	"SELECT l.id, l.timestamp, l.group_id, l.group_name, l.parent_group_id, "                  \
	"l.parent_group_name, l.key_value, l.key_hash, l.model, l.is_success, l.source_ip, "       \
	"l.status_code, l.request_path, l.duration, l.error_message, l.user_agent, "               \
	"l.request_type, l.upstream_addr, l.is_stream, l.request_body, l.gptl_request_id, "        \
	"l.gptl_attempt, l.gptl_ttfb_ms, l.gptl_bytes_in, l.gptl_bytes_out, "                      \
	"l.gptl_prompt_tokens, l.gptl_completion_tokens, l.gptl_cached_tokens, l.gptl_end"

/* --- filters --- */

static enum err
bad_filter(struct req *req, const char *name, const char *wants)
{
	return err_set(&req->info, ERR_VALIDATION, "\"%s\" must be %s", name, wants);
}

/* "%text%", with what LIKE takes for a wildcard escaped by '!'. */
static struct str
like_pattern(struct str text, struct arena *arena)
{
	char *out = arena_alloc(arena, 2 * text.n + 3);
	size_t n = 0;

	out[n++] = '%';
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '%' || text.p[i] == '_' || text.p[i] == '!')
			out[n++] = '!';
		out[n++] = text.p[i];
	}
	out[n++] = '%';
	out[n] = '\0';
	return (struct str){out, n};
}

#define CONTAINS(column) " AND " column " LIKE ? ESCAPE '!'"

static void
add_text_filters(struct req *req, struct where *w)
{
	static const struct {
		const char *name;
		const char *sql;
		bool contains;
	} filters[] = {
	    {"group_name", CONTAINS("group_name"), true},
	    {"parent_group_name", CONTAINS("parent_group_name"), true},
	    {"model", CONTAINS("model"), true},
	    {"error_contains", CONTAINS("error_message"), true},
	    {"source_ip", " AND source_ip = ?", false},
	    {"request_id", " AND gptl_request_id = ?", false},
	    {"key_hash", " AND key_hash = ?", false},
	};

	for (size_t i = 0; i < ARRAY_LEN(filters); i++) {
		struct str value = req_query(req, filters[i].name);
		if (value.n == 0)
			continue;
		if (filters[i].contains)
			value = like_pattern(value, &req->arena);
		where_arg_of(w, filters[i].sql, db_text(value));
	}
}

static enum err
add_time_filter(struct req *req, struct where *w, const char *name, const char *sql)
{
	struct str value = req_query(req, name);
	int64_t us;

	if (value.n == 0)
		return ERR_OK;
	if (!time_parse(value, &us))
		return bad_filter(req, name, "a time such as 2006-01-02T15:04:05Z");
	where_arg_of(w, sql, db_time(us));
	return ERR_OK;
}

static enum err
add_exact_filters(struct req *req, struct where *w)
{
	struct str success = req_query(req, "is_success");
	struct str type = req_query(req, "request_type");
	struct str status = req_query(req, "status_code");
	int64_t code;
	bool flag;

	if (str_iis(success, "t") || str_iis(success, "f"))
		success = str_iis(success, "t") ? STR("true") : STR("false");
	if (success.n > 0) {
		if (!str_to_bool(success, &flag))
			return bad_filter(req, "is_success", "true or false");
		where_arg(w, " AND is_success = ?", db_bool(flag));
	}
	if (type.n > 0) {
		if (!str_is(type, "retry") && !str_is(type, "final"))
			return bad_filter(req, "request_type", "\"retry\" or \"final\"");
		where_arg(w, " AND request_type = ?", db_text(type));
	}
	if (status.n > 0) {
		if (!str_to_i64(status, 0, 999, &code))
			return bad_filter(req, "status_code", "a status such as 429");
		where_arg(w, " AND status_code = ?", db_int(code));
	}
	return ERR_OK;
}

static void
add_key_filter(struct req *req, struct crypt *crypt, struct where *w)
{
	struct str key = req_query(req, "key_value");
	uint8_t digest[CRYPT_HASH_BYTES];
	char *hex;

	if (key.n == 0)
		return;
	hex = arena_alloc(&req->arena, CRYPT_HASH_HEX + 1);
	crypt_hash(crypt, key, digest);
	hex_encode(hex, digest, sizeof(digest));
	where_arg(w, " AND key_hash = ?", db_cstr(hex));
}

/* A value that cannot be read is refused: rows that were not asked for would be
 * taken for an answer. */
static enum err
add_filters(struct req *req, struct crypt *crypt, struct where *w)
{
	where_text(w, " FROM request_logs WHERE 1 = 1");
	add_text_filters(req, w);
	add_key_filter(req, crypt, w);
	enum err e = add_exact_filters(req, w);
	if (e == ERR_OK)
		e = add_time_filter(req, w, "start_time", " AND timestamp >= ?");
	if (e == ERR_OK)
		e = add_time_filter(req, w, "end_time", " AND timestamp <= ?");
	return e;
}

/* --- rows --- */

static void
out_log_key(struct req *req, struct crypt *crypt, struct str stored, struct buf *plain)
{
	struct str value = {"", 0};

	buf_clear(plain);
	if (stored.n > 0) {
		bool readable =
		    crypt_decrypt(crypt, stored, plain) == ERR_OK && buf_err(plain) == ERR_OK;
		value = readable ? req_show_key(req, buf_view(plain)) : STR(KEY_UNREADABLE);
	}
	out_str(&req->data, "key_value", value);
}

/* Counts that are not known are null. */
static void
out_known(struct buf *b, const char *name, struct db_rows *rows, int col)
{
	if (db_col_is_null(rows, col) || db_col_int(rows, col) < 0)
		out_raw(b, name, STR("null"));
	else
		out_int(b, name, db_col_int(rows, col));
}

static void
out_row(struct req *req, struct crypt *crypt, struct db_rows *rows, struct buf *plain)
{
	struct buf *b = &req->data;

	out_open(b, NULL, '{');
	out_str(b, "id", db_col_text(rows, 0));
	out_time(b, "timestamp", db_col_time(rows, 1));
	out_int(b, "group_id", db_col_int(rows, 2));
	out_str(b, "group_name", db_col_text(rows, 3));
	out_int(b, "parent_group_id", db_col_int(rows, 4));
	out_str(b, "parent_group_name", db_col_text(rows, 5));
	out_log_key(req, crypt, db_col_text(rows, 6), plain);
	out_str(b, "key_hash", db_col_text(rows, 7));
	out_str(b, "model", db_col_text(rows, 8));
	out_bool(b, "is_success", db_col_bool(rows, 9));
	out_str(b, "source_ip", db_col_text(rows, 10));
	out_int(b, "status_code", db_col_int(rows, 11));
	out_str(b, "request_path", db_col_text(rows, 12));
	out_int(b, "duration_ms", db_col_int(rows, 13));
	out_str(b, "error_message", db_col_text(rows, 14));
	out_str(b, "user_agent", db_col_text(rows, 15));
	out_str(b, "request_type", db_col_text(rows, 16));
	out_str(b, "upstream_addr", db_col_text(rows, 17));
	out_bool(b, "is_stream", db_col_bool(rows, 18));
	out_str(b, "request_body", db_col_text(rows, 19));
	out_str(b, "request_id", db_col_text(rows, 20));
	out_int(b, "attempt", db_col_int(rows, 21));
	out_known(b, "ttfb_ms", rows, 22);
	out_int(b, "bytes_in", db_col_int(rows, 23));
	out_int(b, "bytes_out", db_col_int(rows, 24));
	out_known(b, "prompt_tokens", rows, 25);
	out_known(b, "completion_tokens", rows, 26);
	out_known(b, "cached_tokens", rows, 27);
	out_str(b, "end", db_col_text(rows, 28));
	out_close(b, '}');
}

static enum err
out_rows(struct req *req, struct db *db, struct crypt *crypt, const struct where *filters,
	 struct page page)
{
	struct db_rows *rows = NULL;
	struct buf plain;
	struct where w;

	where_init(&w);
	where_text(&w, COLUMNS " FROM (SELECT id");
	where_copy(&w, filters);
	where_arg(&w, " ORDER BY timestamp DESC, id DESC LIMIT ?", db_int(page.size));
	where_arg(&w, " OFFSET ?", db_int(page_offset(page)));
	where_text(&w,
		   ") p JOIN request_logs l ON l.id = p.id ORDER BY l.timestamp DESC, l.id DESC");
	buf_init(&plain, LIMIT_KEY_BYTES);
	enum err e = where_query(&w, db, &rows);
	while (e == ERR_OK && db_next(rows, &e))
		out_row(req, crypt, rows, &plain);
	db_rows_done(rows);
	buf_done(&plain);
	where_done(&w);
	return e;
}

static enum err
count_rows(struct db *db, const struct where *filters, int64_t *ret)
{
	struct where w;

	where_init(&w);
	where_text(&w, "SELECT COUNT(*)");
	where_copy(&w, filters);
	enum err e = where_query_int(&w, db, ret);
	where_done(&w);
	return e;
}

static enum err
list_logs(struct req *req)
{
	struct page page = req_page(req);
	struct where filters;
	struct crypt *crypt;
	struct db *db;
	int64_t total;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = req_crypt(req, &crypt);
	if (e != ERR_OK)
		return e;
	where_init(&filters);
	e = add_filters(req, crypt, &filters);
	if (e == ERR_OK) {
		req_flush_logs(req);
		e = count_rows(db, &filters, &total);
	}
	if (e == ERR_OK) {
		out_open(&req->data, NULL, '{');
		out_open(&req->data, "items", '[');
		e = out_rows(req, db, crypt, &filters, page);
		out_close(&req->data, ']');
		if (e == ERR_OK)
			out_pagination(&req->data, page, total);
		out_close(&req->data, '}');
	}
	where_done(&filters);
	return e;
}

/* --- one row --- */

static enum err
show_log(struct req *req)
{
	struct db_rows *rows = NULL;
	struct crypt *crypt;
	struct buf plain;
	struct db *db;
	bool found = false;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = req_crypt(req, &crypt);
	if (e != ERR_OK)
		return e;
	req_flush_logs(req);
	buf_init(&plain, LIMIT_KEY_BYTES);
	e = db_query(db, COLUMNS " FROM request_logs l WHERE l.id = ?", DB_ARGS(db_text(req->uuid)),
		     &rows);
	if (e == ERR_OK && db_next(rows, &e)) {
		found = true;
		out_row(req, crypt, rows, &plain);
	}
	db_rows_done(rows);
	buf_done(&plain);
	if (e == ERR_OK && !found)
		return err_set(&req->info, ERR_NOT_FOUND, "there is no such log row");
	return e;
}

/* --- export: each key of the rows once, as its latest row shows it --- */

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

	buf_clear(plain);
	if (crypt_decrypt(crypt, db_col_text(rows, 0), plain) == ERR_OK && buf_err(plain) == ERR_OK)
		out_csv(b, buf_view(plain));
	else
		out_csv(b, STR(KEY_UNREADABLE));
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

static enum err
export_logs(struct req *req)
{
	struct where filters;
	struct crypt *crypt;
	struct db *db;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = req_crypt(req, &crypt);
	if (e != ERR_OK)
		return e;
	where_init(&filters);
	e = add_filters(req, crypt, &filters);
	if (e == ERR_OK) {
		req_flush_logs(req);
		e = send_csv(req, db, crypt, &filters);
	}
	where_done(&filters);
	return e;
}

const struct route routes_logs[] = {
    {METHOD_GET, "/api/logs", list_logs, false},
    {METHOD_GET, "/api/logs/export", export_logs, false},
    {METHOD_GET, "/api/logs/{uuid}", show_log, false},
    {0},
};
