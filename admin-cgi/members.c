/* SPDX-License-Identifier: MIT
 *
 * Members of aggregate groups: /api/groups/{id}/sub-groups and
 * /api/groups/{id}/parent-aggregate-groups.
 */
#include "admin-cgi/group_out.h"

#include "lib/json.h"
#include "lib/limits.h"

#include <json-c/json.h>

static enum err
list_members(struct req *req)
{
	struct group_member *members;
	struct str app_url;
	struct db *db;
	size_t n;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = req_app_url(req, &app_url);
	if (e == ERR_OK)
		e = group_members(db, req->ids[0], &req->arena, &members, &n, &req->info);
	if (e != ERR_OK)
		return e;
	out_open(&req->data, NULL, '[');
	for (size_t i = 0; i < n && e == ERR_OK; i++) {
		out_open(&req->data, NULL, '{');
		out_group(req, &req->data, "group", &members[i].group, app_url);
		out_int(&req->data, "weight", members[i].weight);
		e = out_key_counts(req, &req->data, members[i].group.id);
		out_close(&req->data, '}');
	}
	out_close(&req->data, ']');
	return e;
}

static enum err
read_member(struct req *req, struct json_object *item, struct group_weight *ret)
{
	struct json_object *weight = json_get(item, "weight");

	*ret = (struct group_weight){0};
	if (!json_get_int(json_get(item, "group_id"), &ret->id) || ret->id < 1)
		return err_set(&req->info, ERR_INVALID_JSON,
			       "\"group_id\" of each of \"sub_groups\" must be a number above 0");
	if (weight != NULL && !json_get_int(weight, &ret->weight))
		return err_set(&req->info, ERR_INVALID_JSON,
			       "\"weight\" of each of \"sub_groups\" must be a whole number");
	return ERR_OK;
}

static enum err
read_members(struct req *req, struct group_weight members[LIMIT_MEMBERS], size_t *ret_n)
{
	struct json_object *body;
	enum err e = req_json(req, &body);

	if (e != ERR_OK)
		return e;
	struct json_object *list = json_get(body, "sub_groups");
	if (!json_object_is_type(list, json_type_array))
		return err_set(&req->info, ERR_INVALID_JSON, "\"sub_groups\" must be an array");
	size_t n = json_object_array_length(list);
	if (n == 0 || n > LIMIT_MEMBERS)
		return err_set(&req->info, ERR_VALIDATION,
			       "\"sub_groups\" must have 1 to %d entries", LIMIT_MEMBERS);
	for (size_t i = 0; i < n && e == ERR_OK; i++)
		e = read_member(req, json_object_array_get_idx(list, i), &members[i]);
	*ret_n = n;
	return e;
}

/* The message, once the pool has the configuration. */
static enum err
changed(struct req *req, enum err e, enum msg message)
{
	if (e != ERR_OK)
		return e;
	req_publish_config(req);
	req->message = message;
	return ERR_OK;
}

static enum err
add_members(struct req *req)
{
	struct group_weight members[LIMIT_MEMBERS];
	struct db *db;
	size_t n = 0;

	enum err e = read_members(req, members, &n);
	if (e == ERR_OK)
		e = req_db(req, &db);
	if (e == ERR_OK)
		e = group_members_add(db, req->ids[0], members, n, &req->info);
	return changed(req, e, MSG_MEMBERS_ADDED);
}

static enum err
weigh_member(struct req *req)
{
	struct json_object *body;
	struct json_object *value;
	int64_t weight = 0;
	struct db *db;

	enum err e = req_json(req, &body);
	if (e != ERR_OK)
		return e;
	value = json_get(body, "weight");
	if (value != NULL && !json_get_int(value, &weight))
		return err_set(&req->info, ERR_INVALID_JSON, "\"weight\" must be a whole number");
	e = req_db(req, &db);
	if (e == ERR_OK)
		e = group_member_weigh(db, req->ids[0], req->ids[1], weight, &req->info);
	return changed(req, e, MSG_MEMBER_WEIGHED);
}

static enum err
remove_member(struct req *req)
{
	struct db *db;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = group_member_remove(db, req->ids[0], req->ids[1], &req->info);
	return changed(req, e, MSG_MEMBER_REMOVED);
}

static enum err
list_parents(struct req *req)
{
	struct group_parent *parents;
	struct db *db;
	size_t n;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = group_parents(db, req->ids[0], &req->arena, &parents, &n);
	if (e != ERR_OK)
		return e;
	out_open(&req->data, NULL, '[');
	for (size_t i = 0; i < n; i++) {
		out_open(&req->data, NULL, '{');
		out_int(&req->data, "group_id", parents[i].id);
		out_str(&req->data, "name", parents[i].name);
		out_str(&req->data, "display_name", parents[i].display_name);
		out_int(&req->data, "weight", parents[i].weight);
		out_close(&req->data, '}');
	}
	out_close(&req->data, ']');
	return ERR_OK;
}

const struct route routes_members[] = {
    {METHOD_GET, "/api/groups/{id}/sub-groups", list_members, 0},
    {METHOD_POST, "/api/groups/{id}/sub-groups", add_members, 0},
    {METHOD_PUT, "/api/groups/{id}/sub-groups/{subGroupId}/weight", weigh_member, 0},
    {METHOD_DELETE, "/api/groups/{id}/sub-groups/{subGroupId}", remove_member, 0},
    {METHOD_GET, "/api/groups/{id}/parent-aggregate-groups", list_parents, 0},
    {0},
};
