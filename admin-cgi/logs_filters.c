/* SPDX-License-Identifier: MIT
 *
 * Which log rows are asked for.
 */
#include "admin-cgi/logs.h"

#include "lib/limits.h"

static enum err
bad_filter(struct req *req, const char *name, const char *wants)
{
	return err_set(&req->info, ERR_VALIDATION, "\"%s\" must be %s", name, wants);
}

#define CONTAINS(column) " AND " column " LIKE ? ESCAPE '!'"

static void
add_text_filters(struct req *req, struct log_filters *f, struct where *w)
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
			value = where_like(value, &req->arena);
		where_arg_of(w, filters[i].sql, db_text(value));
		f->others = true;
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

/* Filters on columns that have an index, those that find few rows first. SQLite, which knows
 * nothing of what is in a column, may take the index of one that nearly every row matches:
 * where an earlier filter finds fewer, the others' are hidden by a '+'. */
struct indexed {
	struct where *w;
	bool sqlite;
	bool found; /* a filter of few rows is there already */
};

static void
indexed_init(struct indexed *ix, struct req *req, struct db *db, struct where *w)
{
	static const char *const first[] = {"request_id", "key_value", "key_hash", "source_ip"};

	*ix = (struct indexed){.w = w, .sqlite = db_dialect(db) == DB_SQLITE};
	for (size_t i = 0; i < ARRAY_LEN(first); i++)
		ix->found = ix->found || req_query(req, first[i]).n > 0;
}

static void
add_indexed(struct indexed *ix, const char *plain, const char *hidden, struct db_arg value)
{
	where_arg_of(ix->w, ix->found && ix->sqlite ? hidden : plain, value);
	ix->found = true;
}

/* --- classes of statuses, as the dashboard counts them --- */

struct status_class {
	const char *name;
	int64_t from;
	int64_t below;
	bool outside; /* what is not from … below */
};

static const struct status_class classes[] = {
    {"2xx", 200, 300, false}, {"3xx", 300, 400, false},  {"4xx", 400, 500, false},
    {"5xx", 500, 600, false}, {"other", 200, 600, true},
};

/* Which of the index and of time is to be used; see add_class_filter(). */
enum way {
	BY_STATUS,
	BY_TIME,
};

/* What is on both sides of a class would be looked for in all rows, so each side is
 * looked for by itself. */
static void
add_class(struct where *w, const struct status_class *c, enum way way)
{
#define SIDE "SELECT id FROM request_logs WHERE status_code "
	static const struct {
		const char *from;
		const char *below;
	} sql[2][2] = {
	    {{" AND status_code >= ?", " AND status_code < ?"},
	     {" AND status_code + 0 >= ?", " AND status_code + 0 < ?"}},
	    {{" AND id IN (" SIDE "< ?", " UNION ALL " SIDE ">= ?)"},
	     {" AND (status_code + 0 < ?", " OR status_code + 0 >= ?)"}},
	};

	where_arg_of(w, sql[c->outside][way].from, db_int(c->from));
	where_arg_of(w, sql[c->outside][way].below, db_int(c->below));
}

/* Rows with a status within [from, below), counted until there are too many. */
static enum err
count_range(struct db *db, int64_t from, int64_t below, int64_t *n)
{
	struct where w;
	int64_t found = 0;

	where_init(&w);
	where_arg(&w,
		  "SELECT COUNT(*) FROM (SELECT 1 AS one FROM request_logs WHERE status_code >= ?",
		  db_int(from));
	where_arg(&w, " AND status_code < ?", db_int(below));
	where_arg(&w, " LIMIT ?) counted", db_int(LIMIT_LOG_RARE + 1));
	enum err e = where_query_int(&w, db, &found);
	where_done(&w);
	*n += found;
	return e;
}

static enum err
is_rare(struct db *db, const struct status_class *c, bool *ret)
{
	int64_t n = 0;
	enum err e;

	if (!c->outside) {
		e = count_range(db, c->from, c->below, &n);
	} else {
		e = count_range(db, INT32_MIN, c->from, &n);
		if (e == ERR_OK)
			e = count_range(db, c->below, INT32_MAX, &n);
	}
	*ret = n <= LIMIT_LOG_RARE;
	return e;
}

/* The index has a class's rows status by status: to have them newest first, all of them are
 * sorted. Of a class that is not rare the newest are found sooner by their time. */
static enum err
add_class_filter(struct req *req, struct db *db, struct indexed *ix, bool newest_first,
		 struct log_filters *f)
{
	struct str name = req_query(req, "status_class");
	const struct status_class *c = NULL;
	bool hidden = ix->found && ix->sqlite;
	bool rare = true;
	enum err e = ERR_OK;

	if (name.n == 0)
		return ERR_OK;
	for (size_t i = 0; i < ARRAY_LEN(classes); i++)
		if (str_is(name, classes[i].name))
			c = &classes[i];
	f->others = true;
	if (c == NULL)
		return bad_filter(req, "status_class", "2xx, 3xx, 4xx, 5xx or other");
	f->class_from = c->from;
	f->class_below = c->below;
	f->class_outside = c->outside;
	if (!hidden && (newest_first || c->outside))
		e = is_rare(db, c, &rare);
	add_class(ix->w, c, hidden || !rare ? BY_TIME : BY_STATUS);
	ix->found = ix->found || rare;
	return e;
}

static enum err
add_status_filters(struct req *req, struct db *db, struct indexed *ix, bool newest_first,
		   struct log_filters *f)
{
	struct str status = req_query(req, "status_code");

	if (status.n > 0) {
		if (!str_to_i64(status, 0, 999, &f->status))
			return bad_filter(req, "status_code", "a status such as 429");
		add_indexed(ix, " AND status_code = ?", " AND +status_code = ?", db_int(f->status));
	}
	return add_class_filter(req, db, ix, newest_first, f);
}

static enum err
add_exact_filters(struct req *req, struct indexed *ix, struct log_filters *f)
{
	struct str success = req_query(req, "is_success");
	struct str group = req_query(req, "group_id");
	bool flag;

	if (group.n > 0) {
		if (!str_to_i64(group, 1, INT64_MAX, &f->group_id))
			return bad_filter(req, "group_id", "a number above 0");
		add_indexed(ix, " AND group_id = ?", " AND +group_id = ?", db_int(f->group_id));
	}
	f->type = req_query(req, "request_type");
	if (f->type.n > 0) {
		if (!str_is(f->type, "retry") && !str_is(f->type, "final"))
			return bad_filter(req, "request_type", "\"retry\" or \"final\"");
		add_indexed(ix, " AND request_type = ?", " AND +request_type = ?",
			    db_text(f->type));
	}
	if (str_iis(success, "t") || str_iis(success, "f"))
		success = str_iis(success, "t") ? STR("true") : STR("false");
	if (success.n > 0) {
		if (!str_to_bool(success, &flag))
			return bad_filter(req, "is_success", "true or false");
		add_indexed(ix, " AND is_success = ?", " AND +is_success = ?", db_bool(flag));
		f->success = flag;
	}
	return ERR_OK;
}

static void
add_key_filter(struct req *req, struct crypt *crypt, struct log_filters *f, struct where *w)
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
	f->others = true;
}

static enum err
add_times(struct req *req, struct where *w)
{
	enum err e = add_time_filter(req, w, "start_time", " AND timestamp >= ?");

	return e == ERR_OK ? add_time_filter(req, w, "end_time", " AND timestamp <= ?") : e;
}

/* w is one of f's, whose other fields are filled as well. */
static enum err
read_filters(struct req *req, struct db *db, struct crypt *crypt, bool newest_first,
	     struct log_filters *f, struct where *w)
{
	struct indexed ix;

	where_text(w, " FROM request_logs WHERE 1 = 1");
	add_text_filters(req, f, w);
	add_key_filter(req, crypt, f, w);
	indexed_init(&ix, req, db, w);
	enum err e = add_status_filters(req, db, &ix, newest_first, f);
	if (e == ERR_OK)
		e = add_exact_filters(req, &ix, f);
	return e == ERR_OK ? add_times(req, w) : e;
}

enum err
logs_open(struct req *req, struct db **ret_db, struct crypt **ret_crypt, struct log_filters *ret)
{
	*ret = (struct log_filters){.status = -1, .success = -1};
	where_init(&ret->all);
	where_init(&ret->newest);
	where_init(&ret->times);
	where_text(&ret->times, " FROM request_logs WHERE 1 = 1");
	enum err e = req_db(req, ret_db);
	if (e == ERR_OK)
		e = req_crypt(req, ret_crypt);
	if (e == ERR_OK)
		e = read_filters(req, *ret_db, *ret_crypt, false, ret, &ret->all);
	if (e == ERR_OK)
		e = add_times(req, &ret->times);
	if (e == ERR_OK)
		req_flush_logs(req);
	return e;
}

enum err
logs_newest(struct req *req, struct db *db, struct crypt *crypt, struct log_filters *f)
{
	return read_filters(req, db, crypt, true, f, &f->newest);
}

void
log_filters_done(struct log_filters *f)
{
	where_done(&f->all);
	where_done(&f->newest);
	where_done(&f->times);
}
