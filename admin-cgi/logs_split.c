/* SPDX-License-Identifier: MIT
 *
 * Group, status, success and type of log rows have few values, and few of their
 * combinations are there: those that match are looked up one by one in the index that
 * begins with the four, and each is a stretch of it in the order of time. So a filter that
 * nothing matches, or little, among millions of rows is answered as quickly as any.
 */
#include "admin-cgi/logs.h"

#include "lib/arena.h"

/* Look-ups that this may cost; each takes some microseconds, or a round trip. */
#define LOOKUPS 400

struct splitter {
	struct req *req;
	struct db *db;
	struct log_filters *f;
	int left;
	bool full;
};

/* A number of the first row, or -1. */
static enum err
look_up(struct splitter *s, const char *sql, const struct db_arg *args, size_t n_args, int64_t *ret)
{
	*ret = -1;
	if (s->left == 0) {
		s->full = true;
		return ERR_OK;
	}
	s->left--;
	return db_query_int(s->db, sql, args, n_args, -1, ret);
}

static enum err
keep_part(struct splitter *s, const struct log_part *part)
{
	if (s->f->n_parts == LOG_PARTS)
		s->full = true;
	else
		s->f->part[s->f->n_parts++] = *part;
	return ERR_OK;
}

/* The next type after this one; empty: there is none. */
static enum err
next_type(struct splitter *s, struct log_part *part)
{
	struct db_rows *rows = NULL;
	struct str last = part->type;

	part->type = STR("");
	if (s->left == 0) {
		s->full = true;
		return ERR_OK;
	}
	s->left--;
	enum err e = db_query(
	    s->db,
	    "SELECT request_type FROM request_logs WHERE group_id = ? AND status_code = ? AND "
	    "is_success = ? AND request_type > ? ORDER BY request_type LIMIT 1",
	    DB_ARGS(db_int(part->group_id), db_int(part->status), db_bool(part->success),
		    db_text(last)),
	    &rows);
	if (e == ERR_OK && db_next(rows, &e))
		part->type = arena_str(&s->req->arena, db_col_text(rows, 0));
	db_rows_done(rows);
	return e;
}

static enum err
split_types(struct splitter *s, struct log_part part)
{
	int64_t there;
	enum err e;

	if (s->f->type.n > 0) {
		part.type = s->f->type;
		e = look_up(s,
			    "SELECT 1 FROM request_logs WHERE group_id = ? AND status_code = ? AND "
			    "is_success = ? AND request_type = ? LIMIT 1",
			    DB_ARGS(db_int(part.group_id), db_int(part.status),
				    db_bool(part.success), db_text(part.type)),
			    &there);
		return e == ERR_OK && there == 1 ? keep_part(s, &part) : e;
	}
	part.type = STR("");
	do {
		e = next_type(s, &part);
		if (e == ERR_OK && part.type.n > 0)
			e = keep_part(s, &part);
	} while (e == ERR_OK && part.type.n > 0 && !s->full);
	return e;
}

static bool
in_class(const struct log_filters *f, int64_t status)
{
	bool within = status >= f->class_from && status < f->class_below;

	return f->class_from == f->class_below || within != f->class_outside;
}

static enum err
split_successes(struct splitter *s, struct log_part part)
{
	enum err e = ERR_OK;

	if (!in_class(s->f, part.status))
		return ERR_OK;
	for (int success = 0; success <= 1 && e == ERR_OK && !s->full; success++) {
		part.success = success != 0;
		if (s->f->success < 0 || s->f->success == success)
			e = split_types(s, part);
	}
	return e;
}

static enum err
split_statuses(struct splitter *s, struct log_part part)
{
	enum err e;

	part.status = s->f->status;
	if (part.status >= 0)
		return split_successes(s, part);
	do {
		e = look_up(s,
			    "SELECT status_code FROM request_logs WHERE group_id = ? AND "
			    "status_code > ? ORDER BY status_code LIMIT 1",
			    DB_ARGS(db_int(part.group_id), db_int(part.status)), &part.status);
		if (e == ERR_OK && part.status >= 0)
			e = split_successes(s, part);
	} while (e == ERR_OK && part.status >= 0 && !s->full);
	return e;
}

static enum err
split_groups(struct splitter *s)
{
	struct log_part part = {.group_id = s->f->group_id};
	enum err e;

	if (part.group_id > 0)
		return split_statuses(s, part);
	part.group_id = -1;
	do {
		e = look_up(s,
			    "SELECT group_id FROM request_logs WHERE group_id > ? ORDER BY "
			    "group_id LIMIT 1",
			    DB_ARGS(db_int(part.group_id)), &part.group_id);
		if (e == ERR_OK && part.group_id >= 0)
			e = split_statuses(s, part);
	} while (e == ERR_OK && part.group_id >= 0 && !s->full);
	return e;
}

enum err
logs_split(struct req *req, struct db *db, struct log_filters *f)
{
	struct splitter s = {.req = req, .db = db, .f = f, .left = LOOKUPS};
	int given = (f->group_id > 0) + (f->status >= 0) + (f->success >= 0) +
		    (int)(f->type.n > 0) + (f->class_from != f->class_below);

	if (given < 2)
		return ERR_OK;
	enum err e = split_groups(&s);
	f->split = e == ERR_OK && !s.full;
	return e;
}

void
logs_add_part(struct where *w, const char *select, const struct log_filters *f,
	      const struct log_part *part)
{
	where_text_of(w, select);
	where_copy(w, &f->times);
	where_arg(w, " AND group_id = ?", db_int(part->group_id));
	where_arg(w, " AND status_code = ?", db_int(part->status));
	where_arg(w, " AND is_success = ?", db_bool(part->success));
	where_arg(w, " AND request_type = ?", db_text(part->type));
}
