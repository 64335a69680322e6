/* SPDX-License-Identifier: MIT
 *
 * GET /api/dashboard/errors: why requests of a range failed, most frequent first. The
 * newest failures are looked at, up to a limit: they are found in an index, so that the
 * number of log rows does not matter, and the answer says from when on it has all of them.
 */
#include "admin-cgi/dashboard.h"

#include "admin-cgi/logs.h"
#include "lib/cause.h"
#include "lib/limits.h"

#define US_PER_S INT64_C(1000000)

struct failures {
	struct causes causes;
	int64_t n;
	int64_t oldest; /* µs */
	bool stopped;   /* time was over first */
};

/* --- finding them --- */

static void
begin_part(struct where *w, size_t *n_parts)
{
	where_text_of(w, (*n_parts)++ > 0 ? " UNION ALL " : "");
	where_text(w, "SELECT id, timestamp FROM (");
}

static void
end_part(struct where *w)
{
	where_arg(w, " ORDER BY timestamp DESC, id DESC LIMIT ?) part",
		  db_int(LIMIT_SUMMARY_FAILURES));
}

/* Of which of them: SQLite might take the index of that column and sort all of its rows;
 * the '+' keeps it to that of failures by time. */
struct of {
	const char *plain;
	const char *hidden;
	int64_t id;
};

static void
add_by_time(struct where *w, struct db *db, const struct log_filters *f, const struct of *of)
{
	bool sqlite = db_dialect(db) == DB_SQLITE;

	where_text(w, "SELECT id, timestamp");
	where_copy(w, &f->times);
	where_arg(w, " AND is_success = ?", db_bool(false));
	where_arg_of(w, sqlite ? " AND +request_type = ?" : " AND request_type = ?",
		     db_text(f->type));
	if (of != NULL)
		where_arg_of(w, sqlite ? of->hidden : of->plain, db_int(of->id));
}

/* What a group did itself is looked up by the parts that there are, if they are not too
 * many; what came through it, if it is an aggregate, is among all failures. */
static enum err
add_group(struct req *req, struct db *db, struct where *w, struct log_filters *f, size_t *n_parts)
{
	struct of itself = {" AND group_id = ?", " AND +group_id = ?", f->group_id};
	struct of through = {" AND parent_group_id = ?", " AND +parent_group_id = ?", f->group_id};
	int64_t any = 0;

	enum err e = logs_split(req, db, f);
	if (e == ERR_OK)
		e = db_query_int(db, "SELECT 1 FROM request_logs WHERE parent_group_id = ? LIMIT 1",
				 DB_ARGS(db_int(f->group_id)), 0, &any);
	if (e != ERR_OK)
		return e;
	for (size_t i = 0; f->split && i < f->n_parts; i++) {
		begin_part(w, n_parts);
		logs_add_part(w, "SELECT id, timestamp", f, &f->part[i]);
		end_part(w);
	}
	if (!f->split) {
		begin_part(w, n_parts);
		add_by_time(w, db, f, &itself);
		end_part(w);
	}
	if (any != 0) {
		begin_part(w, n_parts);
		add_by_time(w, db, f, &through);
		end_part(w);
	}
	return ERR_OK;
}

/* *ret_parts: of how many the query is made; none: there is nothing to be found. */
static enum err
add_newest(struct req *req, struct db *db, struct where *w, struct log_filters *f,
	   size_t *ret_parts)
{
	enum err e = ERR_OK;

	*ret_parts = 0;
	where_text(w, "SELECT r.status_code, r.error_message, r.timestamp FROM (SELECT id AS "
		      "newest_id FROM (");
	if (f->group_id > 0) {
		e = add_group(req, db, w, f, ret_parts);
	} else {
		begin_part(w, ret_parts);
		add_by_time(w, db, f, NULL);
		end_part(w);
	}
	where_arg(w, ") parts ORDER BY timestamp DESC, id DESC LIMIT ?",
		  db_int(LIMIT_SUMMARY_FAILURES));
	where_text(w, ") newest CROSS JOIN request_logs r WHERE r.id = newest_id");
	return e;
}

static void
count_one(struct failures *f, struct db_rows *rows)
{
	int64_t at = db_col_time(rows, 2);
	struct cause *cause =
	    causes_add_status(&f->causes, db_col_int(rows, 0), db_col_text(rows, 1), 1);

	if (cause != NULL)
		cause->last = MAX(cause->last, at);
	f->oldest = f->n == 0 ? at : MIN(f->oldest, at);
	f->n++;
}

static enum err
read_failures(struct db *db, const struct where *w, struct failures *ret)
{
	struct db_rows *rows = NULL;
	enum err e = db_begin_bounded(db, LIMIT_LOG_SECONDS * 1000);

	if (e != ERR_OK)
		return e;
	e = where_query(w, db, &rows);
	while (e == ERR_OK && db_next(rows, &e))
		count_one(ret, rows);
	db_rows_done(rows);
	db_rollback(db);
	ret->stopped = e == ERR_TIMEOUT;
	causes_sort(&ret->causes);
	return ret->stopped ? ERR_OK : e;
}

static enum err
find_failures(struct req *req, struct db *db, const struct asked *asked, struct failures *ret)
{
	struct log_filters f = {.group_id = asked->group_id, .status = -1, .type = STR("final")};
	struct where w;
	size_t n_parts;

	where_init(&w);
	where_init(&f.times);
	where_arg(&f.times, " FROM request_logs WHERE timestamp >= ?",
		  db_time(asked->from * US_PER_S));
	enum err e = add_newest(req, db, &w, &f, &n_parts);
	if (e == ERR_OK && n_parts > 0)
		e = read_failures(db, &w, ret);
	where_done(&f.times);
	where_done(&w);
	return e;
}

/* --- the route --- */

static void
out_failures(struct buf *b, const struct asked *asked, const struct failures *f)
{
	bool all = f->n < LIMIT_SUMMARY_FAILURES && !f->stopped;
	int64_t from = all ? asked->from * US_PER_S : f->n > 0 ? f->oldest : asked->to * US_PER_S;

	out_open(b, NULL, '{');
	out_cstr(b, "range", asked->range);
	out_time(b, "from", from);
	out_time(b, "to", asked->to * US_PER_S);
	out_int(b, "looked_at", f->n);
	out_bool(b, "complete", all);
	out_open(b, "errors", '[');
	for (size_t i = 0; i < f->causes.n; i++) {
		const struct cause *one = &f->causes.v[i];

		out_open(b, NULL, '{');
		out_int(b, "status_code", one->status);
		out_str(b, "error", one->text);
		out_int(b, "count", one->n);
		out_time(b, "last_at", one->last);
		out_close(b, '}');
	}
	out_close(b, ']');
	out_int(b, "others", f->causes.others);
	out_close(b, '}');
}

enum err
dashboard_errors(struct req *req)
{
	struct failures found = {0};
	struct asked asked;
	struct db *db;
	enum err e = dashboard_asked(req, &asked);

	if (e == ERR_OK)
		e = req_db(req, &db);
	if (e != ERR_OK)
		return e;
	req_flush_logs(req);
	causes_init(&found.causes);
	e = find_failures(req, db, &asked, &found);
	if (e == ERR_OK)
		out_failures(&req->data, &asked, &found);
	causes_done(&found.causes);
	return e;
}
