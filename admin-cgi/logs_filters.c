/* SPDX-License-Identifier: MIT
 *
 * Which log rows are asked for.
 */
#include "admin-cgi/logs.h"

static enum err
bad_filter(struct req *req, const char *name, const char *wants)
{
	return err_set(&req->info, ERR_VALIDATION, "\"%s\" must be %s", name, wants);
}

#define CONTAINS(column) " AND " column " LIKE ? ESCAPE '!'"

static void
add_text_filters(struct req *req, struct log_filters *f)
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
		where_arg_of(&f->all, filters[i].sql, db_text(value));
		f->others = true;
	}
}

static enum err
add_time_filter(struct req *req, struct log_filters *f, const char *name, const char *sql)
{
	struct str value = req_query(req, name);
	int64_t us;

	if (value.n == 0)
		return ERR_OK;
	if (!time_parse(value, &us))
		return bad_filter(req, name, "a time such as 2006-01-02T15:04:05Z");
	where_arg_of(&f->all, sql, db_time(us));
	where_arg_of(&f->times, sql, db_time(us));
	return ERR_OK;
}

/* A column that has an index; the value of filter `name` is given. SQLite, which knows
 * nothing of what is in a column, may take the index of one that nearly every row
 * matches: where another filter finds fewer, this one's is hidden by a '+'. */
static void
add_indexed(struct req *req, struct db *db, struct where *w, const char *name, struct db_arg value)
{
	static const struct {
		const char *name;
		const char *plain;
		const char *hidden;
	} columns[] = {
	    /* few rows first */
	    {"request_id", NULL, NULL},
	    {"key_value", NULL, NULL},
	    {"key_hash", NULL, NULL},
	    {"source_ip", NULL, NULL},
	    {"status_code", " AND status_code = ?", " AND +status_code = ?"},
	    {"group_id", " AND group_id = ?", " AND +group_id = ?"},
	    {"request_type", " AND request_type = ?", " AND +request_type = ?"},
	    {"is_success", " AND is_success = ?", " AND +is_success = ?"},
	};
	bool better = false;
	size_t i;

	for (i = 0; i < ARRAY_LEN(columns) && strcmp(columns[i].name, name) != 0; i++)
		better = better || req_query(req, columns[i].name).n > 0;
	check(i < ARRAY_LEN(columns) && columns[i].plain != NULL);
	where_arg_of(
	    w, better && db_dialect(db) == DB_SQLITE ? columns[i].hidden : columns[i].plain, value);
}

static enum err
add_exact_filters(struct req *req, struct db *db, struct log_filters *f)
{
	struct str success = req_query(req, "is_success");
	struct str status = req_query(req, "status_code");
	struct str group = req_query(req, "group_id");
	bool flag;

	if (str_iis(success, "t") || str_iis(success, "f"))
		success = str_iis(success, "t") ? STR("true") : STR("false");
	if (success.n > 0) {
		if (!str_to_bool(success, &flag))
			return bad_filter(req, "is_success", "true or false");
		add_indexed(req, db, &f->all, "is_success", db_bool(flag));
		f->success = flag;
	}
	f->type = req_query(req, "request_type");
	if (f->type.n > 0) {
		if (!str_is(f->type, "retry") && !str_is(f->type, "final"))
			return bad_filter(req, "request_type", "\"retry\" or \"final\"");
		add_indexed(req, db, &f->all, "request_type", db_text(f->type));
	}
	if (group.n > 0) {
		if (!str_to_i64(group, 1, INT64_MAX, &f->group_id))
			return bad_filter(req, "group_id", "a number above 0");
		add_indexed(req, db, &f->all, "group_id", db_int(f->group_id));
	}
	if (status.n > 0) {
		if (!str_to_i64(status, 0, 999, &f->status))
			return bad_filter(req, "status_code", "a status such as 429");
		add_indexed(req, db, &f->all, "status_code", db_int(f->status));
	}
	return ERR_OK;
}

static void
add_key_filter(struct req *req, struct crypt *crypt, struct log_filters *f)
{
	struct str key = req_query(req, "key_value");
	uint8_t digest[CRYPT_HASH_BYTES];
	char *hex;

	if (key.n == 0)
		return;
	hex = arena_alloc(&req->arena, CRYPT_HASH_HEX + 1);
	crypt_hash(crypt, key, digest);
	hex_encode(hex, digest, sizeof(digest));
	where_arg(&f->all, " AND key_hash = ?", db_cstr(hex));
	f->others = true;
}

static enum err
read_filters(struct req *req, struct db *db, struct crypt *crypt, struct log_filters *ret)
{
	where_text(&ret->all, " FROM request_logs WHERE 1 = 1");
	where_text(&ret->times, " FROM request_logs WHERE 1 = 1");
	add_text_filters(req, ret);
	add_key_filter(req, crypt, ret);
	enum err e = add_exact_filters(req, db, ret);
	if (e == ERR_OK)
		e = add_time_filter(req, ret, "start_time", " AND timestamp >= ?");
	if (e == ERR_OK)
		e = add_time_filter(req, ret, "end_time", " AND timestamp <= ?");
	return e;
}

enum err
logs_open(struct req *req, struct db **ret_db, struct crypt **ret_crypt, struct log_filters *ret)
{
	*ret = (struct log_filters){.status = -1, .success = -1};
	where_init(&ret->all);
	where_init(&ret->times);
	enum err e = req_db(req, ret_db);
	if (e == ERR_OK)
		e = req_crypt(req, ret_crypt);
	if (e == ERR_OK)
		e = read_filters(req, *ret_db, *ret_crypt, ret);
	if (e == ERR_OK)
		req_flush_logs(req);
	return e;
}

void
log_filters_done(struct log_filters *f)
{
	where_done(&f->all);
	where_done(&f->times);
}
