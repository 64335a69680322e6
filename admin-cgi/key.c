/* SPDX-License-Identifier: MIT
 *
 * /api/keys/{id}: one key looked at, noted beside, taken out by hand and put back;
 * and /api/keys/export, a group's keys as a text file, read in portions so that its
 * size costs no memory.
 */
#include "admin-cgi/key_out.h"

#include "lib/group.h"
#include "lib/json.h"
#include "lib/log.h"

#define EXPORT_PORTION 500

/* --- one key --- */

static enum err
show_one(struct req *req)
{
	struct pool *pool = NULL;
	struct key_row row;
	enum err e = req_key(req, req->ids[0], &row);

	if (e != ERR_OK)
		return e;
	if (req_pool(req, &pool) != ERR_OK) {
		req->info = (struct errinfo){0};
		pool = NULL;
	}
	out_key(req, &row, pool);
	return ERR_OK;
}

static enum err
set_notes(struct req *req)
{
	struct json_object *body;
	struct str notes;
	struct db *db;

	enum err e = req_json(req, &body);
	if (e != ERR_OK)
		return e;
	if (!json_get_text(json_get(body, "notes"), &notes))
		return err_set(&req->info, ERR_INVALID_JSON, "\"notes\" must be a string");
	e = req_db(req, &db);
	if (e == ERR_OK)
		e = key_set_notes(db, req->ids[0], notes, &req->info);
	req->message = MSG_NOTES_SAVED;
	return e;
}

static enum err
read_state(struct req *req, enum key_state *ret, struct str *ret_reason)
{
	struct json_object *body;
	struct str status;

	enum err e = req_json(req, &body);
	if (e == ERR_OK)
		e = req_text(req, body, "status", &status);
	if (e != ERR_OK)
		return e;
	*ret_reason = STR("");
	if (json_get(body, "reason") != NULL &&
	    !json_get_text(json_get(body, "reason"), ret_reason))
		return err_set(&req->info, ERR_INVALID_JSON, "\"reason\" must be a string");
	if (!key_state_parse(status, ret) || *ret == KEY_INVALID)
		return err_set(&req->info, ERR_VALIDATION,
			       "\"status\" must be \"active\" or \"disabled\"");
	return ERR_OK;
}

/* By hand; the reason is kept while the key is disabled. */
static enum err
set_state(struct req *req)
{
	enum key_state state;
	struct key_row row;
	struct pool *pool;
	struct str reason;
	struct db *db;
	size_t changed;

	enum err e = read_state(req, &state, &reason);
	if (e == ERR_OK)
		e = req_key(req, req->ids[0], &row);
	if (e == ERR_OK)
		e = req_pool(req, &pool);
	if (e == ERR_OK)
		e = req_db(req, &db);
	if (e == ERR_OK)
		e = key_set_reason(db, row.id, state == KEY_DISABLED ? reason : STR(""),
				   &req->info);
	if (e == ERR_OK)
		e = pool_set_state(pool, row.group_id, &row.id, 1, state, &changed);
	if (e != ERR_OK)
		return e;
	req_write_back(req);
	req->message = state == KEY_DISABLED ? MSG_KEY_DISABLED : MSG_KEY_ENABLED;
	return show_one(req);
}

/* --- export --- */

static enum err
read_export(struct req *req, struct key_query *q)
{
	if (!str_to_i64(req_query(req, "group_id"), 1, INT64_MAX, &q->group_id))
		return err_set(&req->info, ERR_BAD_REQUEST,
			       "\"group_id\" must be a number above 0");
	q->limit = EXPORT_PORTION;
	q->status = req_query(req, "status");
	if (q->status.n == 0 || str_is(q->status, "all")) {
		q->status = STR("");
		return ERR_OK;
	}
	if (!str_is(q->status, "active") && !str_is(q->status, "invalid") &&
	    !str_is(q->status, "disabled"))
		return err_set(
		    &req->info, ERR_BAD_REQUEST,
		    "\"status\" must be \"all\", \"active\", \"invalid\" or \"disabled\"");
	return ERR_OK;
}

/* What cannot be decrypted is left out and counted. */
static size_t
put_portion(struct req *req, const struct key_row *rows, size_t n)
{
	size_t unreadable = 0;

	for (size_t i = 0; i < n; i++) {
		unreadable += !rows[i].readable;
		if (!rows[i].readable)
			continue;
		buf_str(&req->data, rows[i].value);
		buf_char(&req->data, '\n');
	}
	return unreadable;
}

static enum err
send_portions(struct req *req, struct db *db, struct crypt *crypt, const struct key_query *q,
	      const char *filename)
{
	int64_t after = 0;
	size_t unreadable = 0;
	size_t n;
	enum err e;

	do {
		struct key_row *rows;
		struct arena arena;

		arena_init(&arena, 64 * 1024);
		e = key_scan(db, crypt, q, after, &arena, &rows, &n);
		if (e == ERR_OK && n > 0) {
			after = rows[n - 1].id;
			size_t bad = put_portion(req, rows, n);
			unreadable += bad;
			if (bad == n && !req->streaming)
				e = err_set(&req->info, ERR_CRYPT,
					    "the keys of this group cannot be decrypted");
		}
		arena_done(&arena);
		if (e == ERR_OK && !req->streaming)
			req_stream(req, "text/plain; charset=utf-8", filename);
	} while (e == ERR_OK && req_stream_flush(req) && n == EXPORT_PORTION);
	if (unreadable > 0)
		log_warn("export of group %lld: %zu keys cannot be decrypted and were left out",
			 (long long)q->group_id, unreadable);
	return e;
}

static enum err
export_keys(struct req *req)
{
	struct key_query q = {0};
	struct group_row group;
	struct crypt *crypt;
	struct db *db;

	enum err e = read_export(req, &q);
	if (e == ERR_OK)
		e = req_db(req, &db);
	if (e == ERR_OK)
		e = req_crypt(req, &crypt);
	if (e == ERR_OK)
		e = group_get(db, q.group_id, &req->arena, &group, &req->info);
	if (e != ERR_OK)
		return e;
	req_write_back(req); /* the filter is on the column */
	log_info("exported to " STR_FMT ": upstream keys of group %lld", STR_ARG(req->client_ip),
		 (long long)group.id);
	return send_portions(req, db, crypt, &q,
			     arena_printf(&req->arena, "keys-" STR_FMT "-" STR_FMT ".txt",
					  STR_ARG(group.name),
					  STR_ARG(q.status.n > 0 ? q.status : STR("all"))));
}

const struct route routes_key[] = {
    {METHOD_GET, "/api/keys/export", export_keys, 0},
    {METHOD_GET, "/api/keys/{id}", show_one, 0},
    {METHOD_PUT, "/api/keys/{id}/notes", set_notes, 0},
    {METHOD_PUT, "/api/keys/{id}/status", set_state, 0},
    {0},
};
