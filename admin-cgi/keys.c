/* SPDX-License-Identifier: MIT
 *
 * /api/keys: a group's keys listed, and added, deleted and restored by their text.
 * Which keys exist is decided in the DB, in what state they are in the pool; each
 * function brings the other side into line before it answers.
 */
#include "admin-cgi/group_out.h"
#include "admin-cgi/key_out.h"

#include "lib/clock.h"
#include "lib/group.h"
#include "lib/limits.h"

#define DAY_US INT64_C(86400000000)

/* --- listing --- */

static enum err
read_order(struct req *req, struct key_query *q)
{
	static const char *const names[] = {
	    [KEY_BY_USE] = "last_used",
	    [KEY_BY_AGE] = "added",
	    [KEY_BY_REQUESTS] = "requests",
	    [KEY_BY_FAILURES] = "failures",
	};
	struct str sort = req_query(req, "sort");
	struct str order = req_query(req, "order");
	size_t i = 0;

	while (sort.n > 0 && i < ARRAY_LEN(names) && !str_is(sort, names[i]))
		i++;
	if (i == ARRAY_LEN(names))
		return err_set(&req->info, ERR_BAD_REQUEST,
			       "\"sort\" must be \"last_used\", \"added\", \"requests\" or "
			       "\"failures\"");
	if (order.n > 0 && !str_is(order, "asc") && !str_is(order, "desc"))
		return err_set(&req->info, ERR_BAD_REQUEST,
			       "\"order\" must be \"asc\" or \"desc\"");
	q->order = (enum key_order)i;
	q->ascending = str_is(order, "asc");
	return ERR_OK;
}

static enum err
read_idle(struct req *req, struct key_query *q)
{
	struct str idle = req_query(req, "idle");
	int64_t days = 0;

	q->never_used = str_is(idle, "never");
	if (idle.n == 0 || q->never_used)
		return ERR_OK;
	if (!str_to_i64(idle, 1, LIMIT_IDLE_DAYS, &days))
		return err_set(&req->info, ERR_BAD_REQUEST,
			       "\"idle\" must be \"never\" or 1 to %d days", LIMIT_IDLE_DAYS);
	q->idle_since = clock_wall_us() - days * DAY_US;
	return ERR_OK;
}

static enum err
read_query(struct req *req, struct crypt *crypt, struct key_query *q)
{
	struct str key = req_query(req, "key_value");
	uint8_t given[CRYPT_HASH_BYTES];

	if (!str_to_i64(req_query(req, "group_id"), 1, INT64_MAX, &q->group_id))
		return err_set(&req->info, ERR_BAD_REQUEST,
			       "\"group_id\" must be a number above 0");
	q->status = req_query(req, "status");
	if (q->status.n > 0 && !str_is(q->status, "active") && !str_is(q->status, "invalid") &&
	    !str_is(q->status, "disabled"))
		return err_set(&req->info, ERR_BAD_REQUEST,
			       "\"status\" must be \"active\", \"invalid\" or \"disabled\"");
	q->hash = req_query(req, "key_hash");
	if (q->hash.n > 0 && !hex_decode(q->hash, given, sizeof(given)))
		return err_set(&req->info, ERR_BAD_REQUEST, "\"key_hash\" must be 64 hex digits");
	if (key.n > 0) {
		uint8_t digest[CRYPT_HASH_BYTES];
		char *hex = arena_alloc(&req->arena, CRYPT_HASH_HEX + 1);
		crypt_hash(crypt, key, digest);
		hex_encode(hex, digest, sizeof(digest));
		q->hash = str_of(hex);
	}
	q->contains = req_query(req, "contains");
	enum err e = read_idle(req, q);
	return e == ERR_OK ? read_order(req, q) : e;
}

/* Counting half a million rows takes longer than all else of a page: the pool knows. */
static bool
known_total(struct req *req, const struct key_query *q, int64_t *ret)
{
	struct key_counts counts;
	int64_t resting;

	if (q->hash.n > 0 || q->contains.n > 0 || q->idle_since > 0 || q->never_used)
		return false;
	if (!pool_key_counts(req, q->group_id, &counts, &resting)) {
		req->info = (struct errinfo){0};
		return false;
	}
	*ret = str_is(q->status, "active")     ? counts.active
	       : str_is(q->status, "invalid")  ? counts.invalid
	       : str_is(q->status, "disabled") ? counts.disabled
					       : counts.total;
	return true;
}

static enum err
find_keys(struct req *req, struct db *db, struct crypt *crypt, struct key_query *q,
	  struct key_found *ret)
{
	if (!known_total(req, q, &q->total))
		return key_search(db, crypt, q, &req->arena, ret);
	enum err e = key_page(db, crypt, q, &req->arena, ret);
	if (ret->n > 0) /* keys that the pool does not have yet */
		ret->total = MAX(ret->total, q->offset + (int64_t)ret->n);
	return e;
}

static enum err
list_keys(struct req *req)
{
	struct key_query q = {0};
	struct page page = req_page(req);
	struct key_found found = {0};
	struct pool *pool = NULL;
	struct group_row group;
	struct crypt *crypt;
	struct db *db;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = req_crypt(req, &crypt);
	if (e == ERR_OK)
		e = read_query(req, crypt, &q);
	if (e == ERR_OK)
		e = group_get(db, q.group_id, &req->arena, &group, &req->info);
	if (e != ERR_OK)
		return e;
	req_write_back(req); /* the filter is on the column */
	q.limit = page.size;
	q.offset = page_offset(page);
	e = find_keys(req, db, crypt, &q, &found);
	if (e != ERR_OK)
		return e;
	if (req_pool(req, &pool) != ERR_OK)
		pool = NULL;
	out_open(&req->data, NULL, '{');
	out_open(&req->data, "items", '[');
	for (size_t i = 0; i < found.n; i++)
		out_key(req, &found.v[i], pool);
	out_close(&req->data, ']');
	out_pagination(&req->data, page, found.total, found.capped, found.stopped);
	out_close(&req->data, '}');
	return ERR_OK;
}

/* --- by text --- */

/* What the calls that take keys as text begin with. */
struct call {
	int64_t group_id;
	struct key_text keys;
	struct db *db;
	struct crypt *crypt;
};

static enum err
begin_group_call(struct req *req, struct json_object *body, struct call *call)
{
	struct group_row group;

	enum err e = req_id(req, body, "group_id", &call->group_id);
	if (e == ERR_OK)
		e = req_db(req, &call->db);
	if (e == ERR_OK)
		e = req_crypt(req, &call->crypt);
	if (e == ERR_OK)
		e = group_get(call->db, call->group_id, &req->arena, &group, &req->info);
	return e;
}

static enum err
begin_text_call(struct req *req, struct call *call)
{
	struct json_object *body;
	struct str text;

	enum err e = req_json(req, &body);
	if (e == ERR_OK)
		e = req_text(req, body, "keys_text", &text);
	if (e == ERR_OK)
		e = begin_group_call(req, body, call);
	if (e == ERR_OK)
		e = key_text_parse(text, LIMIT_SYNC_KEYS, &req->arena, &call->keys, &req->info);
	return e;
}

/* How many were dealt with, how many not, and how many the group has now. */
static enum err
out_result(struct req *req, const struct call *call, const char *name, size_t done,
	   enum msg message)
{
	struct key_counts counts;
	enum err e = key_counts(call->db, call->group_id, &counts);

	if (e != ERR_OK)
		return e;
	out_open(&req->data, NULL, '{');
	out_int(&req->data, name, (int64_t)done);
	out_int(&req->data, "ignored_count",
		(int64_t)(call->keys.given > done ? call->keys.given - done : 0));
	out_int(&req->data, "total_in_group", counts.total);
	out_close(&req->data, '}');
	req->message = message;
	return ERR_OK;
}

static enum err
add_keys(struct req *req)
{
	struct call call;
	size_t added;

	enum err e = begin_text_call(req, &call);
	if (e == ERR_OK)
		e = key_add(call.db, call.crypt, call.group_id, call.keys.v, call.keys.n, &added,
			    &req->info);
	if (e != ERR_OK)
		return e;
	e = req_publish_keys(req);
	return e == ERR_OK ? out_result(req, &call, "added_count", added, MSG_KEYS_ADDED) : e;
}

static enum err
delete_keys(struct req *req)
{
	struct key_ids ids = {0};
	struct call call;
	size_t deleted = 0;

	enum err e = begin_text_call(req, &call);
	if (e == ERR_OK)
		e = key_find(call.db, call.crypt, call.group_id, call.keys.v, call.keys.n, &ids);
	if (e == ERR_OK)
		e = key_delete(call.db, call.group_id, ids.v, ids.n, &deleted);
	key_ids_done(&ids);
	if (e != ERR_OK)
		return e;
	e = req_publish_keys(req);
	return e == ERR_OK ? out_result(req, &call, "deleted_count", deleted, MSG_KEYS_DELETED) : e;
}

/* --- restoring --- */

/* In the pool, where the state is; the DB follows before the answer. */
static enum err
restore(struct req *req, int64_t group_id, const struct key_ids *ids, size_t *ret_restored)
{
	struct pool *pool;

	enum err e = req_pool(req, &pool);
	if (e == ERR_OK && ids->n > 0)
		e = pool_set_state(pool, group_id, ids->v, ids->n, KEY_ACTIVE, ret_restored);
	if (e == ERR_OK && ids->n > 0)
		req_write_back(req);
	return e;
}

static enum err
restore_keys(struct req *req)
{
	struct key_ids ids = {0};
	struct call call;
	size_t restored = 0;

	enum err e = begin_text_call(req, &call);
	if (e == ERR_OK)
		e = key_find(call.db, call.crypt, call.group_id, call.keys.v, call.keys.n, &ids);
	if (e == ERR_OK)
		e = restore(req, call.group_id, &ids, &restored);
	key_ids_done(&ids);
	if (e != ERR_OK)
		return e;
	return out_result(req, &call, "restored_count", restored, MSG_KEYS_RESTORED);
}

/* --- whole groups --- */

/* The invalid keys, with the pool's state in the DB first. */
static enum err
begin_invalid_call(struct req *req, struct call *call, struct key_ids *ids)
{
	struct json_object *body;

	enum err e = req_json(req, &body);
	if (e == ERR_OK)
		e = begin_group_call(req, body, call);
	if (e != ERR_OK)
		return e;
	req_write_back(req);
	return key_find_invalid(call->db, call->group_id, ids);
}

static void
out_count(struct req *req, const char *name, size_t n, enum msg message)
{
	out_open(&req->data, NULL, '{');
	out_int(&req->data, name, (int64_t)n);
	out_close(&req->data, '}');
	req->message = message;
}

static enum err
restore_all_invalid(struct req *req)
{
	struct key_ids ids = {0};
	struct call call;
	size_t restored = 0;

	enum err e = begin_invalid_call(req, &call, &ids);
	if (e == ERR_OK)
		e = restore(req, call.group_id, &ids, &restored);
	key_ids_done(&ids);
	if (e == ERR_OK)
		out_count(req, "restored_count", restored, MSG_KEYS_RESTORED);
	return e;
}

static enum err
clear_all_invalid(struct req *req)
{
	struct key_ids ids = {0};
	struct call call;
	size_t deleted = 0;

	enum err e = begin_invalid_call(req, &call, &ids);
	if (e == ERR_OK)
		e = key_delete(call.db, call.group_id, ids.v, ids.n, &deleted);
	key_ids_done(&ids);
	if (e != ERR_OK)
		return e;
	e = req_publish_keys(req);
	out_count(req, "deleted_count", deleted, MSG_KEYS_CLEARED);
	return e;
}

static enum err
clear_all(struct req *req)
{
	struct json_object *body;
	struct call call;
	size_t deleted;

	enum err e = req_json(req, &body);
	if (e == ERR_OK)
		e = begin_group_call(req, body, &call);
	if (e == ERR_OK)
		e = key_clear(call.db, call.group_id, &deleted);
	if (e != ERR_OK)
		return e;
	e = req_publish_keys(req);
	out_count(req, "deleted_count", deleted, MSG_KEYS_CLEARED);
	return e;
}

const struct route routes_keys[] = {
    {METHOD_GET, "/api/keys", list_keys, 0},
    {METHOD_POST, "/api/keys/add-multiple", add_keys, 0},
    {METHOD_POST, "/api/keys/delete-multiple", delete_keys, 0},
    {METHOD_POST, "/api/keys/restore-multiple", restore_keys, 0},
    {METHOD_POST, "/api/keys/restore-all-invalid", restore_all_invalid, 0},
    {METHOD_POST, "/api/keys/clear-all-invalid", clear_all_invalid, 0},
    {METHOD_POST, "/api/keys/clear-all", clear_all, 0},
    {0},
};
