/* SPDX-License-Identifier: MIT
 *
 * POST /api/auth/login: is this the AUTH_KEY? Nothing is issued; the page keeps
 * the key and sends it with each request. Its answers have a form of their own.
 */
#include "admin-cgi/admin.h"

static enum err
check_login(struct req *req)
{
	struct json_object *body;
	struct str key;

	enum err e = req_json(req, &body);
	if (e == ERR_OK)
		e = req_text(req, body, "auth_key", &key);
	return e == ERR_OK ? req_try_key(req, key) : e;
}

static enum err
login(struct req *req)
{
	enum err e = check_login(req);
	struct str text = e == ERR_OK             ? str_of(msg(req, MSG_LOGIN_OK))
			  : e == ERR_UNAUTHORIZED ? str_of(msg(req, MSG_LOGIN_REFUSED))
						  : req_error_text(req, e);

	req_bare(req, err_status(e));
	out_open(&req->data, NULL, '{');
	out_bool(&req->data, "success", e == ERR_OK);
	out_str(&req->data, "message", text);
	out_close(&req->data, '}');
	return ERR_OK;
}

const struct route routes_auth[] = {
    {METHOD_POST, "/api/auth/login", login, ROUTE_OPEN},
    {0},
};
