/* SPDX-License-Identifier: MIT
 *
 * GET /api/integration/info?key=…: what a client may use with its key. The form
 * below /proxy/{group} is the responder's; the list comes from the same code.
 */
#include "admin-cgi/admin.h"

#include "lib/integration.h"
#include "lib/limits.h"

static enum err
load_snapshot(struct req *req, struct snapshot **ret)
{
	struct pool *pool;
	uint64_t version;
	struct buf text;

	enum err e = req_pool(req, &pool);
	if (e != ERR_OK)
		return e;
	buf_init(&text, LIMIT_SNAPSHOT);
	e = pool_snapshot_get(pool, &text, &version);
	if (e == ERR_OK)
		e = snapshot_parse(buf_view(&text), ret, &req->info);
	buf_done(&text);
	return e;
}

static bool
is_auth_key(struct req *req, struct str key)
{
	const struct conf *conf = req->admin->conf;

	return conf->auth_key_opens_proxy && secret_equal(key, str_of(conf->auth_key));
}

static enum err
info(struct req *req)
{
	struct str key = req_query(req, "key");
	struct snapshot *snapshot;
	size_t n;

	if (key.n == 0)
		return err_set(&req->info, ERR_VALIDATION,
			       "the query parameter \"key\" is required");
	enum err e = req_may_try(req);
	if (e == ERR_OK)
		e = load_snapshot(req, &snapshot);
	if (e != ERR_OK)
		return e;
	if (is_auth_key(req, key))
		integration_info_all(snapshot, NULL, &req->data, &n);
	else
		integration_info(snapshot, NULL, key, &req->data, &n);
	bool opens_nothing = n == 0 && !is_auth_key(req, key);
	snapshot_unref(snapshot);
	if (!opens_nothing)
		return ERR_OK;
	req_try_failed(req);
	return err_set(&req->info, ERR_UNAUTHORIZED, "the key opens no group");
}

const struct route routes_integration[] = {
    {METHOD_GET, "/api/integration/info", info, ROUTE_OPEN},
    {0},
};
