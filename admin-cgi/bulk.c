/* SPDX-License-Identifier: MIT
 *
 * POST /api/keys/bulk: one action on keys of a group that are given by their ids, as a
 * page with a selection has them. Ids that are not the group's are named in the answer
 * and left alone.
 */
#include "admin-cgi/keytest.h"

#include "lib/group.h"
#include "lib/json.h"
#include "lib/key.h"
#include "lib/limits.h"

#include <stdlib.h>

#include <json-c/json.h>

struct bulk {
	int64_t group_id;
	int64_t *ids; /* ascending, each once; in the arena */
	size_t n;
	struct str reason;
	struct str notes;
	struct db *db;
	struct crypt *crypt;
	struct key_ids found;
	size_t changed;
	struct key_trial *trials; /* of "test", one for each that was found */
};

/* --- actions; each sets `changed` --- */

static enum err
set_state(struct req *req, struct bulk *bulk, enum key_state state)
{
	struct pool *pool;

	enum err e = req_pool(req, &pool);
	if (e == ERR_OK)
		e = key_set_reasons(bulk->db, bulk->found.v, bulk->found.n,
				    state == KEY_DISABLED ? bulk->reason : STR(""), &req->info);
	if (e == ERR_OK)
		e = pool_set_state(pool, bulk->group_id, bulk->found.v, bulk->found.n, state,
				   &bulk->changed);
	if (e == ERR_OK)
		req_write_back(req);
	return e;
}

static enum err
enable(struct req *req, struct bulk *bulk)
{
	return set_state(req, bulk, KEY_ACTIVE);
}

static enum err
disable(struct req *req, struct bulk *bulk)
{
	return set_state(req, bulk, KEY_DISABLED);
}

static enum err
delete_keys(struct req *req, struct bulk *bulk)
{
	enum err e =
	    key_delete(bulk->db, bulk->group_id, bulk->found.v, bulk->found.n, &bulk->changed);

	return e == ERR_OK ? req_publish_keys(req) : e;
}

static enum err
set_notes(struct req *req, struct bulk *bulk)
{
	bulk->changed = bulk->found.n;
	return key_set_notes_of(bulk->db, bulk->found.v, bulk->found.n, bulk->notes, &req->info);
}

static enum err
try_keys(struct req *req, struct bulk *bulk)
{
	struct key_trial *v = arena_zalloc(&req->arena, bulk->found.n * sizeof(*v));
	enum err e = ERR_OK;

	for (size_t i = 0; i < bulk->found.n && e == ERR_OK; i++) {
		struct key_row row;
		e = key_get(bulk->db, bulk->crypt, bulk->found.v[i], &req->arena, &row, &req->info);
		if (e != ERR_OK)
			break;
		v[i] = (struct key_trial){.key = row.value, .id = row.id};
		if (!row.readable)
			v[i].error = str_of(msg(req, MSG_KEY_UNREADABLE));
		v[i].done = !row.readable;
	}
	if (e == ERR_OK)
		e = key_trials_run(req, bulk->group_id, v, bulk->found.n);
	for (size_t i = 0; i < bulk->found.n && e == ERR_OK; i++)
		bulk->changed += v[i].ok;
	bulk->trials = v;
	return e;
}

static const struct action {
	const char *name;
	enum err (*fn)(struct req *req, struct bulk *bulk);
} actions[] = {
    {"enable", enable},      {"restore", enable},  {"disable", disable},
    {"delete", delete_keys}, {"notes", set_notes}, {"test", try_keys},
};

/* --- input --- */

static int
compare_ids(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a;
	int64_t y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

static enum err
read_ids(struct req *req, struct json_object *body, struct bulk *bulk)
{
	struct json_object *list = json_get(body, "ids");
	size_t kept = 0;

	if (!json_object_is_type(list, json_type_array))
		return err_set(&req->info, ERR_INVALID_JSON, "\"%s\" must be an array", "ids");
	size_t n = json_object_array_length(list);
	if (n == 0 || n > LIMIT_BULK_IDS)
		return err_set(&req->info, ERR_VALIDATION, "\"ids\" must have 1 to %d entries",
			       LIMIT_BULK_IDS);
	bulk->ids = arena_alloc(&req->arena, n * sizeof(*bulk->ids));
	for (size_t i = 0; i < n; i++)
		if (!json_get_int(json_object_array_get_idx(list, i), &bulk->ids[i]) ||
		    bulk->ids[i] < 1)
			return err_set(&req->info, ERR_INVALID_JSON,
				       "each of \"ids\" must be a number above 0");
	qsort(bulk->ids, n, sizeof(*bulk->ids), compare_ids);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || bulk->ids[kept - 1] != bulk->ids[i])
			bulk->ids[kept++] = bulk->ids[i];
	bulk->n = kept;
	return ERR_OK;
}

/* A member that only some actions need. */
static enum err
read_optional(struct req *req, struct json_object *body, const char *name, bool required,
	      struct str *ret)
{
	struct json_object *value = json_get(body, name);

	*ret = STR("");
	if (value == NULL ? required : !json_get_text(value, ret))
		return err_set(&req->info, ERR_INVALID_JSON, "\"%s\" must be a string", name);
	return ERR_OK;
}

static enum err
find_action(struct req *req, struct json_object *body, const struct action **ret)
{
	struct str name;

	enum err e = req_text(req, body, "action", &name);
	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < ARRAY_LEN(actions); i++)
		if (str_is(name, actions[i].name)) {
			*ret = &actions[i];
			return ERR_OK;
		}
	return err_set(&req->info, ERR_VALIDATION,
		       "\"action\" must be \"enable\", \"disable\", \"restore\", \"delete\", "
		       "\"notes\" or \"test\"");
}

static enum err
read_bulk(struct req *req, struct bulk *bulk, const struct action **ret)
{
	struct json_object *body;

	enum err e = req_json(req, &body);
	if (e == ERR_OK)
		e = req_id(req, body, "group_id", &bulk->group_id);
	if (e == ERR_OK)
		e = find_action(req, body, ret);
	if (e == ERR_OK)
		e = read_ids(req, body, bulk);
	if (e == ERR_OK)
		e = read_optional(req, body, "reason", false, &bulk->reason);
	if (e == ERR_OK)
		e = read_optional(req, body, "notes", (*ret)->fn == set_notes, &bulk->notes);
	return e;
}

/* --- the whole --- */

static void
out_bulk(struct req *req, const struct bulk *bulk, const char *action)
{
	struct buf *b = &req->data;
	size_t at = 0;

	out_open(b, NULL, '{');
	out_cstr(b, "action", action);
	out_int(b, "changed_count", (int64_t)bulk->changed);
	out_int(b, "unchanged_count", (int64_t)(bulk->found.n - bulk->changed));
	out_open(b, "missing_ids", '[');
	for (size_t i = 0; i < bulk->n; i++) {
		if (at < bulk->found.n && bulk->found.v[at] == bulk->ids[i])
			at++;
		else
			out_int(b, NULL, bulk->ids[i]);
	}
	out_close(b, ']');
	if (bulk->trials != NULL)
		out_key_trials(req, bulk->trials, bulk->found.n);
	out_close(b, '}');
	req->message = bulk->trials != NULL ? MSG_OK : MSG_KEYS_CHANGED;
}

static enum err
bulk_keys(struct req *req)
{
	const struct action *action = NULL;
	struct group_row group;
	struct bulk bulk = {0};

	enum err e = read_bulk(req, &bulk, &action);
	if (e == ERR_OK)
		e = req_db(req, &bulk.db);
	if (e == ERR_OK)
		e = req_crypt(req, &bulk.crypt);
	if (e == ERR_OK)
		e = group_get(bulk.db, bulk.group_id, &req->arena, &group, &req->info);
	if (e == ERR_OK)
		e = key_find_ids(bulk.db, bulk.group_id, bulk.ids, bulk.n, &bulk.found);
	if (e == ERR_OK && bulk.found.n > 0)
		e = action->fn(req, &bulk);
	if (e == ERR_OK)
		out_bulk(req, &bulk, action->name);
	key_ids_done(&bulk.found);
	return e;
}

const struct route routes_bulk[] = {
    {METHOD_POST, "/api/keys/bulk", bulk_keys, 0},
    {0},
};
