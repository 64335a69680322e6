/* SPDX-License-Identifier: MIT
 *
 * /api/groups: list, create, change, delete, statistics, and the settings that a
 * group may override. Members of aggregates are in members.c.
 */
#include "admin-cgi/group_out.h"

#include "admin-cgi/setting_out.h"
#include "lib/clock.h"
#include "lib/json.h"

#include <json-c/json.h>

#define HOUR_US INT64_C(3600000000)

static enum err
list(struct req *req)
{
	struct group_row *groups;
	struct str app_url;
	struct db *db;
	size_t n;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = req_app_url(req, &app_url);
	if (e == ERR_OK)
		e = group_list(db, &req->arena, &groups, &n);
	if (e != ERR_OK)
		return e;
	out_open(&req->data, NULL, '[');
	for (size_t i = 0; i < n; i++)
		out_group(req, &req->data, NULL, &groups[i], app_url);
	out_close(&req->data, ']');
	return ERR_OK;
}

static enum err
list_names(struct req *req)
{
	struct group_row *groups;
	struct db *db;
	size_t n;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = group_list(db, &req->arena, &groups, &n);
	if (e != ERR_OK)
		return e;
	out_open(&req->data, NULL, '[');
	for (size_t i = 0; i < n; i++) {
		out_open(&req->data, NULL, '{');
		out_int(&req->data, "id", groups[i].id);
		out_str(&req->data, "name", groups[i].name);
		out_str(&req->data, "display_name", groups[i].display_name);
		out_close(&req->data, '}');
	}
	out_close(&req->data, ']');
	return ERR_OK;
}

/* --- changing --- */

/* The change is committed: the pool follows, and the answer shows the group. */
static enum err
show_changed(struct req *req, const struct group_row *group, enum msg message)
{
	struct str app_url;

	req_publish_config(req);
	enum err e = req_app_url(req, &app_url);
	if (e != ERR_OK)
		return e;
	out_group(req, &req->data, NULL, group, app_url);
	req->message = message;
	return ERR_OK;
}

static enum err
create(struct req *req)
{
	struct group_row group;
	struct db *db;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = group_create(db, req->body, &req->arena, &group, &req->info);
	return e == ERR_OK ? show_changed(req, &group, MSG_GROUP_CREATED) : e;
}

static enum err
show(struct req *req)
{
	struct group_row group;
	struct str app_url;

	enum err e = req_group(req, &group);
	if (e == ERR_OK)
		e = req_app_url(req, &app_url);
	if (e == ERR_OK)
		out_group(req, &req->data, NULL, &group, app_url);
	return e;
}

static enum err
update(struct req *req)
{
	struct group_row group;
	struct db *db;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = group_update(db, req->ids[0], req->body, &req->arena, &group, &req->info);
	return e == ERR_OK ? show_changed(req, &group, MSG_GROUP_UPDATED) : e;
}

static enum err
remove_group(struct req *req)
{
	struct db *db;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = group_delete(db, req->ids[0], &req->info);
	if (e != ERR_OK)
		return e;
	req_publish_config(req);
	req->message = MSG_GROUP_DELETED;
	return req_publish_keys(req);
}

static enum err
read_copy(struct req *req, enum group_copy_keys *ret)
{
	struct json_object *body;
	struct str which = STR("");

	enum err e = req_json(req, &body);
	if (e != ERR_OK)
		return e;
	struct json_object *value = json_get(body, "copy_keys");
	if (value != NULL && !json_get_text(value, &which))
		return err_set(&req->info, ERR_INVALID_JSON, "\"copy_keys\" must be a string");
	if (which.n == 0 || str_is(which, "all"))
		*ret = GROUP_COPY_ALL;
	else if (str_is(which, "valid_only"))
		*ret = GROUP_COPY_ACTIVE;
	else if (str_is(which, "none"))
		*ret = GROUP_COPY_NONE;
	else
		return err_set(&req->info, ERR_VALIDATION,
			       "\"copy_keys\" must be \"all\", \"valid_only\" or \"none\"");
	return ERR_OK;
}

/* The keys are there when this answers. */
static enum err
copy(struct req *req)
{
	enum group_copy_keys which = GROUP_COPY_ALL;
	struct group_row group;
	struct str app_url;
	struct db *db;

	enum err e = read_copy(req, &which);
	if (e == ERR_OK)
		e = req_db(req, &db);
	if (e != ERR_OK)
		return e;
	req_write_back(req); /* which keys are active is seen in the column */
	e = group_copy(db, req->ids[0], which, &req->arena, &group, &req->info);
	if (e != ERR_OK)
		return e;
	req_publish_config(req);
	e = req_publish_keys(req);
	if (e == ERR_OK)
		e = req_app_url(req, &app_url);
	if (e != ERR_OK)
		return e;
	out_open(&req->data, NULL, '{');
	out_group(req, &req->data, "group", &group, app_url);
	out_close(&req->data, '}');
	req->message = MSG_GROUP_COPIED;
	return ERR_OK;
}

static enum err
read_order(struct req *req, struct group_sort **ret, size_t *ret_n)
{
	struct json_object *body;
	enum err e = req_json(req, &body);

	if (e != ERR_OK)
		return e;
	struct json_object *list = json_get(body, "items");
	if (!json_object_is_type(list, json_type_array))
		return err_set(&req->info, ERR_INVALID_JSON, "\"items\" must be an array");
	size_t n = json_object_array_length(list);
	struct group_sort *items = arena_alloc(&req->arena, (n + 1) * sizeof(*items));
	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		if (!json_get_int(json_get(item, "id"), &items[i].id) ||
		    !json_get_int(json_get(item, "sort"), &items[i].sort))
			return err_set(&req->info, ERR_INVALID_JSON,
				       "each of \"items\" must have the numbers \"id\" and "
				       "\"sort\"");
	}
	*ret = items;
	*ret_n = n;
	return ERR_OK;
}

static enum err
reorder(struct req *req)
{
	struct group_sort *items = NULL;
	struct db *db;
	size_t n = 0;

	enum err e = read_order(req, &items, &n);
	if (e == ERR_OK)
		e = req_db(req, &db);
	if (e == ERR_OK)
		e = group_reorder(db, items, n, &req->info);
	if (e != ERR_OK)
		return e;
	req_publish_config(req);
	req->message = MSG_GROUPS_REORDERED;
	return ERR_OK;
}

/* --- statistics --- */

/* Sums of the last `hours` hourly rows, the current one included. */
static enum err
out_window(struct req *req, struct db *db, const char *name, int64_t hours)
{
	int64_t now = clock_wall_us();
	int64_t first = now - now % HOUR_US - (hours - 1) * HOUR_US;
	struct db_rows *rows = NULL;
	int64_t good = 0;
	int64_t bad = 0;

	enum err e =
	    db_query(db,
		     "SELECT COALESCE(SUM(success_count), 0), COALESCE(SUM(failure_count), 0) "
		     "FROM group_hourly_stats WHERE group_id = ? AND time >= ?",
		     DB_ARGS(db_int(req->ids[0]), db_time(first)), &rows);
	if (e == ERR_OK && db_next(rows, &e)) {
		good = db_col_int(rows, 0);
		bad = db_col_int(rows, 1);
	}
	db_rows_done(rows);
	if (e != ERR_OK)
		return e;
	int64_t all = good + bad;
	/* Of 10,000, rounded. */
	int64_t rate = all > 0 ? (bad * 10000 + all / 2) / all : 0;
	out_open(&req->data, name, '{');
	out_int(&req->data, "total_requests", all);
	out_int(&req->data, "failed_requests", bad);
	buf_printf(&req->data, ",\"failure_rate\":%g", (double)rate / 10000);
	out_close(&req->data, '}');
	return ERR_OK;
}

static enum err
stats(struct req *req)
{
	static const struct {
		const char *name;
		int64_t hours;
	} windows[] = {
	    {"stats_24_hour", 24},
	    {"stats_7_day", INT64_C(24) * 7},
	    {"stats_30_day", INT64_C(24) * 30},
	};
	struct group_row group;
	struct db *db;

	enum err e = req_group(req, &group);
	if (e == ERR_OK)
		e = req_db(req, &db);
	if (e != ERR_OK)
		return e;
	req_flush_logs(req);
	out_open(&req->data, NULL, '{');
	out_open(&req->data, "key_stats", '{');
	e = out_key_counts(req, &req->data, group.id);
	out_close(&req->data, '}');
	for (size_t i = 0; i < ARRAY_LEN(windows) && e == ERR_OK; i++)
		e = out_window(req, db, windows[i].name, windows[i].hours);
	out_close(&req->data, '}');
	return e;
}

/* --- overridable settings --- */

static enum err
config_options(struct req *req)
{
	/* In the order of the original's form. */
	static const enum setting order[] = {
	    SETTING_REQUEST_TIMEOUT,
	    SETTING_IDLE_CONN_TIMEOUT,
	    SETTING_CONNECT_TIMEOUT,
	    SETTING_MAX_IDLE_CONNS,
	    SETTING_MAX_IDLE_CONNS_PER_HOST,
	    SETTING_RESPONSE_HEADER_TIMEOUT,
	    SETTING_PROXY_URL,
	    SETTING_MAX_RETRIES,
	    SETTING_BLACKLIST_THRESHOLD,
	    SETTING_FAILOVER_STATUS_CODES,
	    SETTING_VALIDATION_INTERVAL,
	    SETTING_VALIDATION_CONCURRENCY,
	    SETTING_VALIDATION_TIMEOUT,
	    SETTING_LOG_BODIES,
	};
	struct settings settings;
	struct db *db;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = settings_load(db, &settings, NULL);
	if (e != ERR_OK)
		return e;
	out_open(&req->data, NULL, '[');
	for (size_t i = 0; i < ARRAY_LEN(order); i++) {
		out_open(&req->data, NULL, '{');
		out_setting(req, &req->data, order[i]);
		out_setting_value(&req->data, "default_value", order[i], settings.v[order[i]]);
		out_close(&req->data, '}');
	}
	out_close(&req->data, ']');
	settings_done(&settings);
	return ERR_OK;
}

const struct route routes_groups[] = {
    {METHOD_GET, "/api/groups", list, 0},
    {METHOD_POST, "/api/groups", create, 0},
    {METHOD_GET, "/api/groups/list", list_names, 0},
    {METHOD_GET, "/api/groups/config-options", config_options, 0},
    {METHOD_PUT, "/api/groups/reorder", reorder, 0},
    {METHOD_GET, "/api/groups/{id}", show, 0},
    {METHOD_PUT, "/api/groups/{id}", update, 0},
    {METHOD_DELETE, "/api/groups/{id}", remove_group, 0},
    {METHOD_GET, "/api/groups/{id}/stats", stats, 0},
    {METHOD_POST, "/api/groups/{id}/copy", copy, 0},
    {0},
};
