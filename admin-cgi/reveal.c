/* SPDX-License-Identifier: MIT
 *
 * Keys in clear for somebody who sees them masked: one upstream key, the client keys
 * of one group, or those of all groups. POST, so that nothing fetches them unasked and
 * no cache keeps them; each is noted in the log, with the address and without the key.
 */
#include "admin-cgi/group_out.h"
#include "admin-cgi/key_out.h"

#include "lib/log.h"
#include "lib/setting.h"

static void
note(struct req *req, const char *what, int64_t id)
{
	log_info("revealed to " STR_FMT ": %s %lld", STR_ARG(req->client_ip), what, (long long)id);
}

static enum err
reveal_key(struct req *req)
{
	struct key_row row;
	enum err e = req_readable_key(req, req->ids[0], &row);

	if (e != ERR_OK)
		return e;
	note(req, "upstream key", row.id);
	out_open(&req->data, NULL, '{');
	out_int(&req->data, "id", row.id);
	out_int(&req->data, "group_id", row.group_id);
	out_str(&req->data, "key_value", row.value);
	out_close(&req->data, '}');
	return ERR_OK;
}

static void
out_list(struct req *req, struct str list)
{
	out_open(&req->data, NULL, '{');
	out_str(&req->data, "proxy_keys", list);
	out_close(&req->data, '}');
}

static enum err
reveal_group(struct req *req)
{
	struct group_row group;
	enum err e = req_group(req, &group);

	if (e != ERR_OK)
		return e;
	note(req, "client keys of group", group.id);
	out_list(req, group.proxy_keys);
	return ERR_OK;
}

static enum err
reveal_settings(struct req *req)
{
	struct settings settings;
	struct db *db;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = settings_load(db, &settings, NULL);
	if (e != ERR_OK)
		return e;
	note(req, "client keys of all groups", 0);
	out_list(req, str_of(settings.v[SETTING_PROXY_KEYS].s));
	settings_done(&settings);
	return ERR_OK;
}

const struct route routes_reveal[] = {
    {METHOD_POST, "/api/settings/reveal", reveal_settings, 0},
    {METHOD_POST, "/api/keys/{id}/reveal", reveal_key, 0},
    {METHOD_POST, "/api/groups/{id}/reveal", reveal_group, 0},
    {0},
};
