/* SPDX-License-Identifier: MIT
 *
 * /api/dashboard: four cards and the chart of the last 24 hours. All count exchanges,
 * that is rows with request_type "final": the cards' values and the chart sum the same
 * 24 hourly rows, the current one included, as the groups' statistics do.
 *
 * Trends compare windows of equal length: the last 24 whole hours with the 24 before
 * them, since an hour that is not over yet would look like less traffic.
 *
 * A request through an aggregate counts in its own hourly row and in its member's, so
 * rows of aggregates are left out of totals; those of one that was deleted are known
 * by the log rows that name it as their parent.
 */
#include "admin-cgi/dashboard.h"

#include "lib/clock.h"
#include "lib/where.h"

#define MINUTE_US  INT64_C(60000000)
#define HOUR_US    (60 * MINUTE_US)
#define HOURS      24
#define RPM_WINDOW 10

#define TOTAL_ROWS                                                                                 \
	" AND NOT EXISTS (SELECT 1 FROM \"groups\" g WHERE g.id = s.group_id AND "                 \
	"g.group_type = 'aggregate') AND (EXISTS (SELECT 1 FROM \"groups\" g WHERE "               \
	"g.id = s.group_id) OR NOT EXISTS (SELECT 1 FROM request_logs l WHERE "                    \
	"l.parent_group_id = s.group_id))"

struct sums {
	int64_t good;
	int64_t bad;
};

static int64_t
this_hour(void)
{
	int64_t now = clock_wall_us();

	return now - now % HOUR_US;
}

/* Over all groups, from <= hour < to. */
static enum err
sum_hours(struct db *db, int64_t from, int64_t to, struct sums *ret)
{
	struct db_rows *rows = NULL;
	enum err e = db_query(db,
			      "SELECT COALESCE(SUM(s.success_count), 0), "
			      "COALESCE(SUM(s.failure_count), 0) FROM group_hourly_stats s "
			      "WHERE s.time >= ? AND s.time < ?" TOTAL_ROWS,
			      DB_ARGS(db_time(from), db_time(to)), &rows);

	if (e == ERR_OK && db_next(rows, &e))
		*ret = (struct sums){db_col_int(rows, 0), db_col_int(rows, 1)};
	db_rows_done(rows);
	return e;
}

/* --- cards --- */

/* Two decimals at most. */
static void
out_decimal(struct buf *b, const char *name, double value)
{
	int64_t hundredths = (int64_t)(value * 100 + (value < 0 ? -0.5 : 0.5));
	int64_t left = hundredths < 0 ? -hundredths : hundredths;
	char text[40];
	struct buf out;

	buf_init(&out, sizeof(text));
	buf_printf(&out, "%s%lld.%02lld", hundredths < 0 ? "-" : "", (long long)(left / 100),
		   (long long)(left % 100));
	while (out.p[out.n - 1] == '0')
		out.n--;
	if (out.p[out.n - 1] == '.')
		out.n--;
	out_raw(b, name, buf_view(&out));
	buf_done(&out);
}

static double
change_percent(int64_t now, int64_t before)
{
	if (before == 0)
		return now > 0 ? 100 : 0;
	return (double)(now - before) * 100 / (double)before;
}

static double
error_percent(struct sums s)
{
	int64_t all = s.good + s.bad;

	return all > 0 ? (double)s.bad * 100 / (double)all : 0;
}

static void
out_trend(struct buf *b, double trend, bool good)
{
	out_decimal(b, "trend", trend);
	out_bool(b, "trend_is_growth", good);
	out_close(b, '}');
}

static enum err
out_keys(struct req *req, struct db *db)
{
	struct buf *b = &req->data;
	struct db_rows *rows = NULL;
	int64_t active = 0;
	int64_t invalid = 0;
	enum err e = db_query(db, "SELECT status, COUNT(*) FROM api_keys GROUP BY status",
			      DB_NO_ARGS, &rows);

	while (e == ERR_OK && db_next(rows, &e)) {
		if (str_is(db_col_text(rows, 0), "active"))
			active += db_col_int(rows, 1);
		else if (!str_is(db_col_text(rows, 0), "disabled"))
			invalid += db_col_int(rows, 1);
	}
	db_rows_done(rows);
	out_open(b, "key_count", '{');
	out_int(b, "value", active);
	if (invalid > 0) {
		out_int(b, "sub_value", invalid);
		out_cstr(b, "sub_value_tip", msg(req, MSG_INVALID_KEYS));
	}
	out_trend(b, 0, false);
	return e;
}

static enum err
count_final(struct db *db, int64_t from, int64_t to, int64_t *ret)
{
	return db_query_int(db,
			    "SELECT COUNT(*) FROM request_logs WHERE timestamp >= ? AND "
			    "timestamp < ? AND request_type = 'final'",
			    DB_ARGS(db_time(from), db_time(to)), 0, ret);
}

static enum err
out_rpm(struct req *req, struct db *db)
{
	const int64_t window = RPM_WINDOW * MINUTE_US;
	int64_t now = clock_wall_us();
	int64_t count = 0;
	int64_t before = 0;

	enum err e = count_final(db, now - window, now, &count);
	if (e == ERR_OK)
		e = count_final(db, now - 2 * window, now - window, &before);
	double trend = change_percent(count, before);
	out_open(&req->data, "rpm", '{');
	out_decimal(&req->data, "value", (double)count / RPM_WINDOW);
	out_trend(&req->data, trend, trend >= 0);
	return e;
}

static enum err
out_requests(struct req *req, struct db *db)
{
	int64_t hour = this_hour();
	struct sums shown = {0};
	struct sums last = {0};
	struct sums before = {0};

	enum err e = sum_hours(db, hour - (HOURS - 1) * HOUR_US, hour + HOUR_US, &shown);
	if (e == ERR_OK)
		e = sum_hours(db, hour - HOURS * HOUR_US, hour, &last);
	if (e == ERR_OK)
		e = sum_hours(db, hour - 2 * HOURS * HOUR_US, hour - HOURS * HOUR_US, &before);
	double requests = change_percent(last.good + last.bad, before.good + before.bad);
	double points = error_percent(last) - error_percent(before);
	out_open(&req->data, "request_count", '{');
	out_int(&req->data, "value", shown.good + shown.bad);
	out_trend(&req->data, requests, requests >= 0);
	out_open(&req->data, "error_rate", '{');
	out_decimal(&req->data, "value", error_percent(shown));
	out_cstr(&req->data, "unit", "percent");
	out_trend(&req->data, points, points <= 0);
	return e;
}

static enum err
stats(struct req *req)
{
	struct db *db;
	enum err e = req_db(req, &db);

	if (e != ERR_OK)
		return e;
	req_flush_logs(req);
	req_write_back(req);
	out_open(&req->data, NULL, '{');
	e = out_keys(req, db);
	if (e == ERR_OK)
		e = out_rpm(req, db);
	if (e == ERR_OK)
		e = out_requests(req, db);
	if (e == ERR_OK)
		e = out_security_warnings(req, db);
	out_close(&req->data, '}');
	return e;
}

/* --- chart --- */

static void
out_series(struct req *req, const char *id, enum msg label, const int64_t values[HOURS],
	   const char *color)
{
	struct buf *b = &req->data;

	out_open(b, NULL, '{');
	out_cstr(b, "id", id);
	out_cstr(b, "label", msg(req, label));
	out_open(b, "data", '[');
	for (int i = 0; i < HOURS; i++)
		out_int(b, NULL, values[i]);
	out_close(b, ']');
	out_cstr(b, "color", color);
	out_close(b, '}');
}

static enum err
read_series(struct db *db, int64_t group_id, int64_t first, int64_t good[HOURS], int64_t bad[HOURS])
{
	struct db_rows *rows = NULL;
	struct where w;

	where_init(&w);
	where_arg(&w,
		  "SELECT s.time, s.success_count, s.failure_count FROM group_hourly_stats s "
		  "WHERE s.time >= ?",
		  db_time(first));
	if (group_id > 0)
		where_arg(&w, " AND s.group_id = ?", db_int(group_id));
	else
		where_text(&w, TOTAL_ROWS);
	enum err e = where_query(&w, db, &rows);
	while (e == ERR_OK && db_next(rows, &e)) {
		int64_t at = (db_col_time(rows, 0) - first) / HOUR_US;
		if (at < 0 || at >= HOURS)
			continue;
		good[at] += db_col_int(rows, 1);
		bad[at] += db_col_int(rows, 2);
	}
	db_rows_done(rows);
	where_done(&w);
	return e;
}

static enum err
chart(struct req *req)
{
	int64_t first = this_hour() - (HOURS - 1) * HOUR_US;
	struct str group = req_query(req, "groupId");
	int64_t good[HOURS] = {0};
	int64_t bad[HOURS] = {0};
	int64_t group_id = 0;
	struct db *db;

	if (group.n > 0 && !str_to_i64(group, 1, INT64_MAX, &group_id))
		return err_set(&req->info, ERR_BAD_REQUEST, "\"groupId\" must be a number above 0");
	enum err e = req_db(req, &db);
	if (e != ERR_OK)
		return e;
	req_flush_logs(req);
	e = read_series(db, group_id, first, good, bad);
	if (e != ERR_OK)
		return e;
	out_open(&req->data, NULL, '{');
	out_open(&req->data, "labels", '[');
	for (int i = 0; i < HOURS; i++)
		out_time(&req->data, NULL, first + i * HOUR_US);
	out_close(&req->data, ']');
	out_open(&req->data, "datasets", '[');
	out_series(req, "success", MSG_SERIES_SUCCESS, good, "rgba(10, 200, 110, 1)");
	out_series(req, "failure", MSG_SERIES_FAILURE, bad, "rgba(255, 70, 70, 1)");
	out_close(&req->data, ']');
	out_close(&req->data, '}');
	return ERR_OK;
}

const struct route routes_dashboard[] = {
    {METHOD_GET, "/api/dashboard/stats", stats, 0},
    {METHOD_GET, "/api/dashboard/chart", chart, 0},
    {METHOD_GET, "/api/dashboard/summary", dashboard_summary, 0},
    {METHOD_GET, "/api/dashboard/errors", dashboard_errors, 0},
    {METHOD_GET, "/api/dashboard/encryption-status", encryption_status, 0},
    {0},
};
