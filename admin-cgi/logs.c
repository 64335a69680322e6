/* SPDX-License-Identifier: MIT
 *
 * /api/logs: request log rows, newest first, filtered and paged, and one of them. Made for
 * tables of ten million rows: a page's ids are found first, in an index, and only their
 * rows are read whole; the total is counted up to a limit; a search that no index helps
 * (part of a text) stops after a while and says so.
 */
#include "admin-cgi/logs.h"

#include "lib/key.h"
#include "lib/limits.h"

#define SELECT(body)                                                                               \
	"SELECT l.id, l.timestamp, l.group_id, l.group_name, l.parent_group_id, "                  \
	"l.parent_group_name, l.key_value, l.key_hash, l.model, l.is_success, l.source_ip, "       \
	"l.status_code, l.request_path, l.duration, l.error_message, l.user_agent, "               \
	"l.request_type, l.upstream_addr, l.is_stream, " body ", l.gptl_request_id, "              \
	"l.gptl_attempt, l.gptl_ttfb_ms, l.gptl_bytes_in, l.gptl_bytes_out, "                      \
	"l.gptl_prompt_tokens, l.gptl_completion_tokens, l.gptl_cached_tokens, l.gptl_end "        \
	"FROM request_logs l"

/* --- rows --- */

struct str
logs_key(const struct crypt *crypt, struct str stored, struct buf *plain)
{
	buf_clear(plain);
	if (crypt_decrypt(crypt, stored, plain) != ERR_OK || buf_err(plain) != ERR_OK)
		return STR(KEY_UNREADABLE);
	return buf_view(plain);
}

static void
out_log_key(struct req *req, struct crypt *crypt, struct str stored, struct buf *plain)
{
	struct str value = STR("");

	if (stored.n > 0)
		value = logs_key(crypt, stored, plain);
	if (stored.n > 0 && !str_is(value, KEY_UNREADABLE))
		value = req_show_key(req, value);
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

/* --- a page --- */

/* Ids of a page, in order; text in the arena. */
struct ids {
	struct str *v;
	size_t n;
};

/* The rows after the one with this id. Its time is compared as it is stored: GPT-Load 1.4
 * wrote nanoseconds. */
static void
add_after(struct where *w, struct str id)
{
#define ITS_TIME "(SELECT a.timestamp FROM request_logs a WHERE a.id = ?)"
	where_arg(w, " AND timestamp <= " ITS_TIME, db_text(id));
	where_arg(w, " AND (timestamp < " ITS_TIME, db_text(id));
	where_arg(w, " OR id < ?)", db_text(id));
}

/* Ids and times of the rows, or of the newest of each part: as many as may be in the page. */
static void
add_candidates(struct where *w, const struct log_filters *f, struct str after, int64_t most)
{
	if (!f->split || f->others) {
		where_text(w, "SELECT id");
		where_copy(w, &f->newest);
		if (after.n > 0)
			add_after(w, after);
		return;
	}
	where_text(w, "SELECT id FROM (");
	for (size_t i = 0; i < f->n_parts; i++) {
		where_text_of(w, i > 0 ? " UNION ALL " : "");
		where_text(w, "SELECT id, timestamp FROM (");
		logs_add_part(w, "SELECT id, timestamp", f, &f->part[i]);
		if (after.n > 0)
			add_after(w, after);
		where_arg(w, " ORDER BY timestamp DESC, id DESC LIMIT ?) part", db_int(most));
	}
	where_text(w, ") parts");
}

/* What was found before the time was over is kept. */
static enum err
find_ids(struct req *req, struct db *db, const struct log_filters *f, struct page page, int ms,
	 struct ids *ret)
{
	struct str after = req_query(req, "after");
	int64_t offset = after.n > 0 ? 0 : page_offset(page);
	struct db_rows *rows = NULL;
	struct where w;
	enum err e = db_begin_bounded(db, ms);

	if (e != ERR_OK)
		return e;
	ret->v = arena_alloc(&req->arena, (size_t)page.size * sizeof(*ret->v));
	where_init(&w);
	add_candidates(&w, f, after, offset + page.size);
	where_arg(&w, " ORDER BY timestamp DESC, id DESC LIMIT ?", db_int(page.size));
	where_arg(&w, " OFFSET ?", db_int(offset));
	e = where_query(&w, db, &rows);
	while (e == ERR_OK && ret->n < (size_t)page.size && db_next(rows, &e))
		ret->v[ret->n++] = arena_str(&req->arena, db_col_text(rows, 0));
	db_rows_done(rows);
	where_done(&w);
	db_rollback(db);
	return e;
}

#define IDS_AT_ONCE 20

/* Up to IDS_AT_ONCE rows, whole. */
static enum err
out_rows_of(struct req *req, struct db *db, struct crypt *crypt, const struct str *ids, size_t n,
	    bool bodies, struct buf *plain)
{
#define THESE                                                                                      \
	" WHERE l.id IN (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) "             \
	"ORDER BY l.timestamp DESC, l.id DESC"
	static const char *const select[2] = {SELECT("''") THESE, SELECT("l.request_body") THESE};
	struct db_arg args[IDS_AT_ONCE];
	struct db_rows *rows = NULL;

	for (size_t i = 0; i < IDS_AT_ONCE; i++)
		args[i] = db_text(ids[MIN(i, n - 1)]);
	enum err e = db_query(db, select[bodies], args, IDS_AT_ONCE, &rows);
	while (e == ERR_OK && db_next(rows, &e))
		out_row(req, crypt, rows, plain);
	db_rows_done(rows);
	return e;
}

static enum err
out_rows(struct req *req, struct db *db, struct crypt *crypt, const struct ids *ids, bool bodies)
{
	struct buf plain;
	enum err e = ERR_OK;

	buf_init(&plain, LIMIT_KEY_BYTES);
	for (size_t i = 0; i < ids->n && e == ERR_OK; i += IDS_AT_ONCE)
		e = out_rows_of(req, db, crypt, &ids->v[i], MIN(ids->n - i, (size_t)IDS_AT_ONCE),
				bodies, &plain);
	buf_done(&plain);
	return e;
}

static void
add_counted(struct where *w, const struct log_filters *f)
{
	if (!f->split || f->others) {
		where_text(w, "SELECT 1 AS one");
		where_copy(w, &f->all);
		return;
	}
	for (size_t i = 0; i < f->n_parts; i++)
		logs_add_part(w, i > 0 ? " UNION ALL SELECT 1" : "SELECT 1 AS one", f, &f->part[i]);
}

/* How many rows there are: `known` when that is all, else counted up to a limit and for a
 * short time. *ret_capped: there are more, or may be. */
static enum err
count_rows(struct db *db, const struct log_filters *f, int64_t known, int64_t *ret,
	   bool *ret_capped)
{
	struct where w;
	enum err e = db_begin_bounded(db, LIMIT_LOG_COUNT_MS);

	if (e != ERR_OK)
		return e;
	where_init(&w);
	where_text(&w, "SELECT COUNT(*) FROM (");
	add_counted(&w, f);
	where_arg(&w, " LIMIT ?) counted", db_int(LIMIT_LOG_COUNT + 1));
	e = where_query_int(&w, db, ret);
	where_done(&w);
	db_rollback(db);
	*ret_capped = e == ERR_TIMEOUT || (e == ERR_OK && *ret > LIMIT_LOG_COUNT);
	if (*ret_capped)
		*ret = e == ERR_OK ? MAX(known, LIMIT_LOG_COUNT) : known;
	return e == ERR_TIMEOUT ? ERR_OK : e;
}

struct found {
	struct ids ids;
	bool stopped; /* time was over before the page was full */
	int64_t total;
	bool capped; /* the total is a lower bound */
};

static enum err
find(struct req *req, struct db *db, const struct log_filters *f, struct page page,
     struct found *ret)
{
	bool walks = req_query(req, "after").n > 0;
	int64_t so_far;

	if (f->split && f->n_parts == 0) /* nor by other filters */
		return ERR_OK;
	enum err e = find_ids(req, db, f, page, LIMIT_LOG_SECONDS * 1000, &ret->ids);

	ret->stopped = e == ERR_TIMEOUT;
	if (e != ERR_OK && !ret->stopped)
		return e;
	so_far = (int64_t)ret->ids.n + (walks ? 0 : page_offset(page));
	if (ret->stopped) {
		ret->total = so_far;
		ret->capped = true;
		return ERR_OK;
	}
	if (!walks && (int64_t)ret->ids.n < page.size && (ret->ids.n > 0 || page.number == 1)) {
		ret->total = so_far;
		return ERR_OK;
	}
	/* A full page: there may be one more. */
	return count_rows(db, f, ret->ids.n > 0 ? so_far + 1 : 0, &ret->total, &ret->capped);
}

/* Like other lists' "pagination", and: is the total a lower bound, did the search stop
 * early, and the id to ask for the rows after this page with. */
static void
out_log_pagination(struct buf *b, struct page page, const struct found *f)
{
	bool full = (int64_t)f->ids.n == page.size;

	out_open(b, "pagination", '{');
	out_int(b, "page", page.number);
	out_int(b, "page_size", page.size);
	out_int(b, "total_items", f->total);
	out_int(b, "total_pages", (f->total + page.size - 1) / page.size);
	out_bool(b, "total_capped", f->capped);
	out_bool(b, "stopped", f->stopped);
	if (full)
		out_str(b, "next", f->ids.v[f->ids.n - 1]);
	else
		out_raw(b, "next", STR("null"));
	out_close(b, '}');
}

static enum err
answer_page(struct req *req, struct db *db, struct crypt *crypt, const struct log_filters *filters)
{
	struct page page = req_page(req);
	struct str with_bodies = req_query(req, "with_bodies");
	struct found found = {0};
	bool bodies = true;

	if (with_bodies.n > 0 && !str_to_bool(with_bodies, &bodies))
		return err_set(&req->info, ERR_VALIDATION, "\"with_bodies\" must be true or false");
	enum err e = find(req, db, filters, page, &found);
	if (e != ERR_OK)
		return e;
	out_open(&req->data, NULL, '{');
	out_open(&req->data, "items", '[');
	e = out_rows(req, db, crypt, &found.ids, bodies);
	out_close(&req->data, ']');
	if (e == ERR_OK)
		out_log_pagination(&req->data, page, &found);
	out_close(&req->data, '}');
	return e;
}

static enum err
list_logs(struct req *req)
{
	struct log_filters filters;
	struct crypt *crypt;
	struct db *db;

	enum err e = logs_open(req, &db, &crypt, &filters);
	if (e == ERR_OK)
		e = logs_newest(req, db, crypt, &filters);
	if (e == ERR_OK)
		e = logs_split(req, db, &filters);
	if (e == ERR_OK)
		e = answer_page(req, db, crypt, &filters);
	log_filters_done(&filters);
	return e;
}

/* --- one row --- */

static enum err
show_log(struct req *req)
{
	const struct ids one = {&req->uuid, 1};
	struct crypt *crypt;
	struct db *db;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = req_crypt(req, &crypt);
	if (e != ERR_OK)
		return e;
	req_flush_logs(req);
	e = out_rows(req, db, crypt, &one, true);
	if (e == ERR_OK && req->data.n == 0)
		return err_set(&req->info, ERR_NOT_FOUND, "there is no such log row");
	return e;
}

const struct route routes_logs[] = {
    {METHOD_GET, "/api/logs", list_logs, 0},
    {METHOD_GET, "/api/logs/export", logs_export, 0},
    {METHOD_GET, "/api/logs/{uuid}", show_log, 0},
    {0},
};
