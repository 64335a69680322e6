/* SPDX-License-Identifier: MIT
 *
 * POST /api/keys/find: which keys of a group have these values. They come in the body,
 * so that no address ever holds a key.
 */
#include "admin-cgi/key_out.h"

#include "lib/group.h"
#include "lib/limits.h"

struct wanted {
	int64_t group_id;
	struct key_text keys;
	struct db *db;
	struct crypt *crypt;
};

static enum err
read_wanted(struct req *req, struct wanted *w)
{
	struct json_object *body;
	struct group_row group;
	struct str text;

	enum err e = req_json(req, &body);
	if (e == ERR_OK)
		e = req_id(req, body, "group_id", &w->group_id);
	if (e == ERR_OK)
		e = req_text(req, body, "keys_text", &text);
	if (e == ERR_OK)
		e = key_text_parse(text, LIMIT_FIND_KEYS, &req->arena, &w->keys, &req->info);
	if (e == ERR_OK)
		e = req_db(req, &w->db);
	if (e == ERR_OK)
		e = req_crypt(req, &w->crypt);
	if (e == ERR_OK)
		e = group_get(w->db, w->group_id, &req->arena, &group, &req->info);
	return e;
}

/* A key that is deleted just now is none of them. */
static enum err
out_found(struct req *req, const struct wanted *w, const struct key_ids *ids)
{
	struct pool *pool = NULL;
	struct key_row row;
	enum err e = ERR_OK;

	if (req_pool(req, &pool) != ERR_OK) {
		req->info = (struct errinfo){0};
		pool = NULL;
	}
	out_open(&req->data, NULL, '{');
	out_open(&req->data, "items", '[');
	for (size_t i = 0; i < ids->n && e == ERR_OK; i++) {
		e = key_get(w->db, w->crypt, ids->v[i], &req->arena, &row, NULL);
		if (e == ERR_OK)
			out_key(req, &row, pool);
		else if (e == ERR_NOT_FOUND)
			e = ERR_OK;
	}
	out_close(&req->data, ']');
	out_close(&req->data, '}');
	return e;
}

static enum err
find_keys(struct req *req)
{
	struct wanted wanted = {0};
	struct key_ids ids = {0};

	enum err e = read_wanted(req, &wanted);
	if (e == ERR_OK)
		e = key_find(wanted.db, wanted.crypt, wanted.group_id, wanted.keys.v, wanted.keys.n,
			     &ids);
	if (e == ERR_OK)
		e = out_found(req, &wanted, &ids);
	key_ids_done(&ids);
	return e;
}

const struct route routes_find[] = {
    {METHOD_POST, "/api/keys/find", find_keys, 0},
    {0},
};
