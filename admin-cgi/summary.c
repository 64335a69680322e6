/* SPDX-License-Identifier: MIT
 *
 * GET /api/dashboard/summary: requests, latencies, tokens and statuses of a range of
 * time, and who had them. Everything comes from the sums of lib/rollup.h, so that the
 * number of log rows does not matter.
 */
#include "admin-cgi/dashboard.h"

#include "lib/clock.h"
#include "lib/key.h"
#include "lib/limits.h"
#include "lib/rollup.h"
#include "lib/where.h"

#include <stdio.h>
#include <stdlib.h>

#define US_PER_S INT64_C(1000000)

struct range {
	const char *name;
	int step;   /* of the sums that it is made of */
	int coarse; /* the next coarser one; 0: there is none */
	int bucket; /* seconds */
	int points;
};

static const struct range ranges[] = {
    {"15m", ROLLUP_MINUTE, ROLLUP_HOUR, 60, 15}, {"1h", ROLLUP_MINUTE, ROLLUP_HOUR, 60, 60},
    {"6h", ROLLUP_MINUTE, ROLLUP_HOUR, 300, 72}, {"24h", ROLLUP_HOUR, ROLLUP_DAY, 3600, 24},
    {"7d", ROLLUP_HOUR, ROLLUP_DAY, 3600, 168},  {"30d", ROLLUP_DAY, 0, ROLLUP_DAY, 30},
};
#define MOST_POINTS 168

struct question {
	const struct range *range;
	int64_t now;      /* s */
	int64_t from;     /* s; the beginning of the first bucket */
	int64_t coarse;   /* s; from when on the next coarser sums tell the same; 0: never */
	int64_t group_id; /* 0: all */
};

/* What is summed, in the order of SUMS. */
struct sums {
	int64_t requests;
	int64_t errors;
	int64_t retries;
	int64_t prompt;
	int64_t completion;
	int64_t classes[4];
	int64_t slots[ROLLUP_SLOTS]; /* requests by latency */
};

#define SUMS                                                                                       \
	"slot, SUM(requests), SUM(errors), SUM(retries), SUM(prompt_tokens), "                     \
	"SUM(completion_tokens), SUM(c2xx), SUM(c3xx), SUM(c4xx), SUM(c5xx)"
/* What they are made of. */
#define PARTS                                                                                      \
	"slot, requests, errors, retries, prompt_tokens, completion_tokens, c2xx, c3xx, c4xx, "    \
	"c5xx FROM gptl_rollups"

/* --- reading --- */

/* Columns from `col` on are SUMS'. */
static void
add_sums(struct sums *s, struct db_rows *rows, int col)
{
	int64_t slot = db_col_int(rows, col);
	int64_t requests = db_col_int(rows, col + 1);

	s->requests += requests;
	s->errors += db_col_int(rows, col + 2);
	s->retries += db_col_int(rows, col + 3);
	s->prompt += db_col_int(rows, col + 4);
	s->completion += db_col_int(rows, col + 5);
	for (int i = 0; i < (int)ARRAY_LEN(s->classes); i++)
		s->classes[i] += db_col_int(rows, col + 6 + i);
	if (slot >= 0 && slot < ROLLUP_SLOTS)
		s->slots[slot] += requests;
}

static void
merge_sums(struct sums *to, const struct sums *from)
{
	to->requests += from->requests;
	to->errors += from->errors;
	to->retries += from->retries;
	to->prompt += from->prompt;
	to->completion += from->completion;
	for (size_t i = 0; i < ARRAY_LEN(to->classes); i++)
		to->classes[i] += from->classes[i];
	for (size_t i = 0; i < ROLLUP_SLOTS; i++)
		to->slots[i] += from->slots[i];
}

/* Of one group also what came through it, if it is an aggregate. */
static void
add_filters(struct where *w, const struct question *q, enum rollup_kind kind, int step)
{
	where_arg(w, " WHERE step = ?", db_int(step));
	if (q->group_id > 0) {
		where_arg(w, " AND kind IN (?", db_int((int64_t)kind));
		where_arg(w, ", ?)", db_int((int64_t)kind + ROLLUP_PARENT_GROUP - ROLLUP_GROUP));
		where_arg(w, " AND group_id = ?", db_int(q->group_id));
	} else {
		where_arg(w, " AND kind = ?", db_int((int64_t)kind));
	}
}

/* Sums of the whole range, as few rows as there are: the days of a week but the first
 * are read as days. Nothing is later than now, so the last one may be under way. */
static void
add_parts(struct where *w, const struct question *q, enum rollup_kind kind)
{
	where_text(w, " FROM (SELECT item, " PARTS);
	add_filters(w, q, kind, q->range->step);
	where_arg(w, " AND time >= ?", db_int(q->from));
	where_arg(w, " AND time < ?", db_int(q->coarse > 0 ? q->coarse : q->now + 1));
	if (q->coarse > 0) {
		where_text(w, " UNION ALL SELECT item, " PARTS);
		add_filters(w, q, kind, q->range->coarse);
		where_arg(w, " AND time >= ?", db_int(q->coarse));
		where_arg(w, " AND time <= ?", db_int(q->now));
	}
	where_text(w, ") parts");
}

/* `points` holds q->range->points of them. */
static enum err
read_points(struct db *db, const struct question *q, struct sums *points)
{
	struct db_rows *rows = NULL;
	struct where w;

	where_init(&w);
	where_text(&w, "SELECT time, " SUMS " FROM gptl_rollups");
	add_filters(&w, q, ROLLUP_GROUP, q->range->step);
	where_arg(&w, " AND time >= ?", db_int(q->from));
	where_arg(&w, " AND time <= ?", db_int(q->now));
	where_text(&w, " GROUP BY time, slot");
	enum err e = where_query(&w, db, &rows);
	while (e == ERR_OK && db_next(rows, &e)) {
		int64_t at = (db_col_int(rows, 0) - q->from) / q->range->bucket;

		if (at >= 0 && at < q->range->points)
			add_sums(&points[at], rows, 1);
	}
	db_rows_done(rows);
	where_done(&w);
	return e;
}

struct entry {
	struct str item; /* in the request's arena */
	struct sums sums;
};

struct entries {
	struct entry v[LIMIT_SUMMARY_ITEMS];
	size_t n;
};

static int
by_requests(const void *a, const void *b)
{
	const struct entry *x = a;
	const struct entry *y = b;

	return x->sums.requests < y->sums.requests   ? 1
	       : x->sums.requests > y->sums.requests ? -1
						     : 0;
}

/* Those of the kind with the most requests, most first. */
static enum err
read_entries(struct req *req, struct db *db, const struct question *q, enum rollup_kind kind,
	     struct entries *ret)
{
	struct db_rows *rows = NULL;
	struct where w;

	ret->n = 0;
	where_init(&w);
	where_text(&w, "SELECT item, " SUMS);
	add_parts(&w, q, kind);
	where_text(&w, " WHERE item IN (SELECT item FROM (SELECT item, SUM(requests) AS n");
	add_parts(&w, q, kind);
	where_arg(&w, " GROUP BY item ORDER BY n DESC, item LIMIT ?", db_int(LIMIT_SUMMARY_ITEMS));
	where_text(&w, ") top_items) GROUP BY item, slot ORDER BY item");
	enum err e = where_query(&w, db, &rows);
	while (e == ERR_OK && db_next(rows, &e)) {
		struct str item = db_col_text(rows, 0);

		if (ret->n == 0 || !str_eq(ret->v[ret->n - 1].item, item)) {
			if (ret->n == ARRAY_LEN(ret->v))
				break;
			ret->v[ret->n++] = (struct entry){.item = arena_str(&req->arena, item)};
		}
		add_sums(&ret->v[ret->n - 1].sums, rows, 1);
	}
	db_rows_done(rows);
	where_done(&w);
	if (ret->n > 1)
		qsort(ret->v, ret->n, sizeof(*ret->v), by_requests);
	return e;
}

/* --- writing --- */

/* Null when there was no request. */
static void
out_latency(struct buf *b, const char *name, const struct sums *s, int percent)
{
	int64_t ms = rollup_percentile(s->slots, percent);

	if (ms < 0)
		out_raw(b, name, STR("null"));
	else
		out_int(b, name, ms);
}

static void
out_short(struct buf *b, const struct sums *s)
{
	out_int(b, "requests", s->requests);
	out_int(b, "errors", s->errors);
	out_latency(b, "p50_ms", s, 50);
	out_latency(b, "p95_ms", s, 95);
	out_int(b, "total_tokens", s->prompt + s->completion);
}

static void
out_totals(struct buf *b, const struct sums *s)
{
	static const char *const names[] = {"2xx", "3xx", "4xx", "5xx"};
	int64_t other = s->requests;

	out_open(b, "totals", '{');
	out_int(b, "requests", s->requests);
	out_int(b, "errors", s->errors);
	out_int(b, "retries", s->retries);
	out_int(b, "prompt_tokens", s->prompt);
	out_int(b, "completion_tokens", s->completion);
	out_int(b, "total_tokens", s->prompt + s->completion);
	out_latency(b, "p50_ms", s, 50);
	out_latency(b, "p95_ms", s, 95);
	out_close(b, '}');
	out_open(b, "status_classes", '{');
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		out_int(b, names[i], s->classes[i]);
		other -= s->classes[i];
	}
	out_int(b, "other", other);
	out_close(b, '}');
}

static enum err
out_points(struct req *req, struct db *db, const struct question *q)
{
	struct sums *points = arena_zalloc(&req->arena, MOST_POINTS * sizeof(*points));
	struct sums all = {0};
	enum err e = read_points(db, q, points);

	if (e != ERR_OK)
		return e;
	for (int i = 0; i < q->range->points; i++)
		merge_sums(&all, &points[i]);
	out_totals(&req->data, &all);
	out_open(&req->data, "points", '[');
	for (int i = 0; i < q->range->points; i++) {
		out_open(&req->data, NULL, '{');
		out_time(&req->data, "time", (q->from + (int64_t)i * q->range->bucket) * US_PER_S);
		out_short(&req->data, &points[i]);
		out_close(&req->data, '}');
	}
	out_close(&req->data, ']');
	return ERR_OK;
}

/* Its display name, its name, or "#7" when it is no more. */
static enum err
out_group(struct req *req, struct db *db, struct str item)
{
	struct db_rows *rows = NULL;
	struct str label = str_of(ARENA_CONCAT(&req->arena, STR("#"), item));
	struct str name = STR("");
	int64_t id = 0;

	if (!str_to_i64(item, 1, INT64_MAX, &id))
		id = 0;
	enum err e = db_query(db, "SELECT name, display_name FROM \"groups\" WHERE id = ?",
			      DB_ARGS(db_int(id)), &rows);
	if (e == ERR_OK && db_next(rows, &e)) {
		name = arena_str(&req->arena, db_col_text(rows, 0));
		label = arena_str(&req->arena, db_col_text(rows, 1));
		if (label.n == 0)
			label = name;
	}
	db_rows_done(rows);
	out_int(&req->data, "id", id);
	out_str(&req->data, "name", name);
	out_str(&req->data, "label", label);
	return e;
}

static enum err
out_model(struct req *req, struct db *db UNUSED, struct str item)
{
	bool other = str_is(item, ROLLUP_OTHER);
	struct str name =
	    item.n > 0 && item.p[0] == '=' ? (struct str){item.p + 1, item.n - 1} : STR("");

	out_str(&req->data, "name", name);
	out_str(&req->data, "label", other ? STR("other") : name.n > 0 ? name : STR("none"));
	out_bool(&req->data, "other", other);
	return ERR_OK;
}

/* Masked, whatever MASK_KEYS says; "#7" when the key is no more. */
static enum err
out_key(struct req *req, struct db *db, struct str item)
{
	bool other = str_is(item, ROLLUP_OTHER);
	struct str label = other ? STR("other") : str_of(ARENA_CONCAT(&req->arena, STR("#"), item));
	struct crypt *crypt;
	struct key_row row = {0};
	int64_t id = 0;

	enum err e = req_crypt(req, &crypt);
	if (e == ERR_OK && str_to_i64(item, 1, INT64_MAX, &id))
		e = key_get(db, crypt, id, &req->arena, &row, NULL);
	if (e == ERR_OK && id > 0)
		label = row.readable ? key_mask(row.value, &req->arena) : row.value;
	out_int(&req->data, "id", id);
	out_int(&req->data, "group_id", row.group_id);
	out_str(&req->data, "label", label);
	out_bool(&req->data, "other", other);
	return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err
out_entries(struct req *req, struct db *db, const struct question *q, const char *name,
	    enum rollup_kind kind, enum err (*out_who)(struct req *, struct db *, struct str))
{
	struct entries *found = arena_alloc(&req->arena, sizeof(*found));
	enum err e = read_entries(req, db, q, kind, found);

	out_open(&req->data, name, '[');
	for (size_t i = 0; i < found->n && e == ERR_OK; i++) {
		out_open(&req->data, NULL, '{');
		e = out_who(req, db, found->v[i].item);
		out_short(&req->data, &found->v[i].sums);
		out_close(&req->data, '}');
	}
	out_close(&req->data, ']');
	return e;
}

/* --- the route --- */

static enum err
read_question(struct req *req, struct question *ret)
{
	struct str range = req_query(req, "range");
	struct str group = req_query(req, "group_id");

	*ret = (struct question){.now = clock_wall_us() / US_PER_S};
	if (range.n == 0)
		range = STR("24h");
	for (size_t i = 0; i < ARRAY_LEN(ranges); i++)
		if (str_is(range, ranges[i].name))
			ret->range = &ranges[i];
	if (ret->range == NULL)
		return err_set(&req->info, ERR_BAD_REQUEST,
			       "\"range\" must be 15m, 1h, 6h, 24h, 7d or 30d");
	if (group.n > 0 && !str_to_i64(group, 1, INT64_MAX, &ret->group_id))
		return err_set(&req->info, ERR_BAD_REQUEST,
			       "\"group_id\" must be a number above 0");
	ret->from = ret->now - ret->now % ret->range->bucket -
		    (int64_t)(ret->range->points - 1) * ret->range->bucket;
	if (ret->range->coarse > 0) {
		int64_t next = ret->from + ret->range->coarse - 1;

		next -= next % ret->range->coarse;
		if (next <= ret->now)
			ret->coarse = next;
	}
	return ERR_OK;
}

enum err
dashboard_asked(struct req *req, struct asked *ret)
{
	struct question q;
	enum err e = read_question(req, &q);

	if (e == ERR_OK)
		*ret = (struct asked){q.range->name, q.from, q.now, q.group_id};
	return e;
}

enum err
dashboard_summary(struct req *req)
{
	struct question q;
	bool complete = false;
	struct db *db;
	enum err e = read_question(req, &q);

	if (e == ERR_OK)
		e = req_db(req, &db);
	if (e != ERR_OK)
		return e;
	req_flush_logs(req);
	e = rollup_is_complete(db, &complete);
	out_open(&req->data, NULL, '{');
	out_cstr(&req->data, "range", q.range->name);
	out_time(&req->data, "from", q.from * US_PER_S);
	out_time(&req->data, "to", q.now * US_PER_S);
	out_int(&req->data, "bucket_seconds", q.range->bucket);
	/* False while rows of before this version are still being added. */
	out_bool(&req->data, "complete", complete);
	if (e == ERR_OK)
		e = out_points(req, db, &q);
	if (e == ERR_OK)
		e = out_entries(req, db, &q, "by_group", ROLLUP_GROUP, out_group);
	if (e == ERR_OK)
		e = out_entries(req, db, &q, "by_model", ROLLUP_MODEL, out_model);
	if (e == ERR_OK)
		e = out_entries(req, db, &q, "by_key", ROLLUP_KEY, out_key);
	out_close(&req->data, '}');
	return e;
}
