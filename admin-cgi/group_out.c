/* SPDX-License-Identifier: MIT
 *
 * The JSON of groups.
 */
#include "admin-cgi/group_out.h"

#include "lib/key.h"
#include "lib/setting.h"

enum err
req_group(struct req *req, struct group_row *ret)
{
	struct db *db;
	enum err e = req_db(req, &db);

	return e == ERR_OK ? group_get(db, req->ids[0], &req->arena, ret, &req->info) : e;
}

enum err
req_app_url(struct req *req, struct str *ret)
{
	struct settings settings;
	struct db *db;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = settings_load(db, &settings, NULL);
	if (e != ERR_OK)
		return e;
	*ret = str_of(arena_strdup(&req->arena, settings.v[SETTING_APP_URL].s));
	settings_done(&settings);
	return ERR_OK;
}

/* Where clients reach the group; empty when app_url cannot say. */
static struct str
endpoint(struct req *req, struct str app_url, struct str name)
{
	while (app_url.n > 0 && app_url.p[app_url.n - 1] == '/')
		app_url.n--;
	if (app_url.n == 0)
		return STR("");
	return str_of(
	    arena_printf(&req->arena, STR_FMT "/proxy/" STR_FMT, STR_ARG(app_url), STR_ARG(name)));
}

void
out_group(struct req *req, struct buf *b, const char *name, const struct group_row *g,
	  struct str app_url)
{
	out_open(b, name, '{');
	out_int(b, "id", g->id);
	out_str(b, "name", g->name);
	out_str(b, "endpoint", endpoint(req, app_url, g->name));
	out_str(b, "display_name", g->display_name);
	out_str(b, "description", g->description);
	out_cstr(b, "group_type", g->aggregate ? "aggregate" : "standard");
	out_column(b, "upstreams", g->upstreams_json, "[]");
	out_str(b, "channel_type", g->channel_type);
	out_int(b, "sort", g->sort);
	out_str(b, "test_model", g->test_model);
	out_str(b, "validation_endpoint", g->validation_endpoint);
	out_column(b, "param_overrides", g->param_overrides_json, "null");
	out_column(b, "model_redirect_rules", g->redirects_json, "{}");
	out_bool(b, "model_redirect_strict", g->redirect_strict);
	out_column(b, "config", g->config_json, "null");
	out_column(b, "options", g->options_json, "{}");
	out_column(b, "header_rules", g->header_rules_json, "[]");
	out_str(b, "proxy_keys", req_show_keys(req, g->proxy_keys));
	out_time(b, "last_validated_at", g->last_validated_at);
	out_time(b, "created_at", g->created_at);
	out_time(b, "updated_at", g->updated_at);
	out_close(b, '}');
}

bool
pool_key_counts(struct req *req, int64_t group_id, struct key_counts *ret, int64_t *ret_resting)
{
	struct pool_counts counts;
	struct pool *pool;

	if (req_pool(req, &pool) != ERR_OK || pool_counts(pool, group_id, &counts) != ERR_OK)
		return false;
	*ret_resting = counts.by_state[KEY_RESTING];
	*ret = (struct key_counts){
	    .active = counts.by_state[KEY_ACTIVE] + counts.by_state[KEY_RESTING],
	    .invalid = counts.by_state[KEY_INVALID],
	    .disabled = counts.by_state[KEY_DISABLED],
	};
	ret->total = ret->active + ret->invalid + ret->disabled;
	return true;
}

enum err
out_key_counts(struct req *req, struct buf *b, int64_t group_id)
{
	struct key_counts counts;
	int64_t resting = 0;
	struct db *db;
	enum err e = ERR_OK;

	if (!pool_key_counts(req, group_id, &counts, &resting)) {
		req->info = (struct errinfo){0};
		e = req_db(req, &db);
		if (e == ERR_OK)
			e = key_counts(db, group_id, &counts);
	}
	if (e != ERR_OK)
		return e;
	out_int(b, "total_keys", counts.total);
	out_int(b, "active_keys", counts.active);
	out_int(b, "invalid_keys", counts.invalid);
	out_int(b, "disabled_keys", counts.disabled);
	out_int(b, "resting_keys", resting);
	return ERR_OK;
}
