/* SPDX-License-Identifier: MIT
 *
 * Keys looked up, and their JSON. State and why a key is out are the pool's to say.
 */
#include "admin-cgi/key_out.h"

enum err
req_key(struct req *req, int64_t id, struct key_row *ret)
{
	struct crypt *crypt;
	struct db *db;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = req_crypt(req, &crypt);
	return e == ERR_OK ? key_get(db, crypt, id, &req->arena, ret, &req->info) : e;
}

enum err
req_readable_key(struct req *req, int64_t id, struct key_row *ret)
{
	enum err e = req_key(req, id, ret);

	if (e == ERR_OK && !ret->readable)
		return err_set(&req->info, ERR_CRYPT, "the key %lld cannot be decrypted",
			       (long long)id);
	return e;
}

static const char *
state_name(enum key_state state)
{
	return state == KEY_RESTING ? "resting" : key_state_status(state);
}

/* What the pool knows of the key, or what the DB last heard of it. */
static struct key_info
key_state_of(const struct key_row *row, struct pool *pool)
{
	struct key_info info;

	if (pool != NULL && pool_key_info(pool, row->id, &info) == ERR_OK)
		return info;
	info = (struct key_info){.id = row->id, .fails = (uint32_t)row->failure_count};
	if (!key_state_parse(row->status, &info.state))
		info.state = KEY_INVALID;
	return info;
}

void
out_key(struct req *req, const struct key_row *row, struct pool *pool)
{
	struct buf *b = &req->data;
	struct key_info info = key_state_of(row, pool);

	out_open(b, NULL, '{');
	out_int(b, "id", row->id);
	out_str(b, "key_value", row->readable ? req_show_key(req, row->value) : row->value);
	out_str(b, "key_hash", row->hash);
	out_int(b, "group_id", row->group_id);
	out_cstr(b, "status", key_state_status(info.state));
	out_cstr(b, "state", state_name(info.state));
	out_int(b, "failure_count", info.fails);
	out_time(b, "rest_until", info.state == KEY_RESTING ? info.rest_until_ms * 1000 : 0);
	out_time(b, "next_check_at", info.state == KEY_INVALID ? info.next_check_ms * 1000 : 0);
	/* A pool that was filled anew does not know of failures before that. */
	bool known = info.failed_at_ms > 0;
	out_str(b, "last_error", known ? str_of(info.error) : row->last_error);
	out_int(b, "last_status", known ? info.status : row->last_status);
	out_time(b, "last_failed_at", known ? info.failed_at_ms * 1000 : row->failed_at);
	out_str(b, "notes", row->notes);
	out_str(b, "disabled_reason", info.state == KEY_DISABLED ? row->reason : STR(""));
	out_int(b, "request_count", row->request_count);
	out_time(b, "last_used_at", row->last_used_at);
	out_time(b, "created_at", row->created_at);
	out_time(b, "updated_at", row->updated_at);
	out_close(b, '}');
}
