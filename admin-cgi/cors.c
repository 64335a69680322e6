/* SPDX-License-Identifier: MIT
 *
 * An origin that is allowed is named in the answer, never as "*", and the answer
 * varies with it. Credentials are only offered to an origin that the operator
 * listed by name: "*" must not mean "every site may act as the user".
 */
#include "admin-cgi/cors.h"

#include "admin-cgi/admin.h"
#include "lib/header.h"

#define PREFLIGHT_SECONDS "600"

static bool
list_has(const char *list, struct str what)
{
	struct str rest = str_of(list);
	struct str item;

	while (str_split(&rest, ',', &item))
		if (str_ieq(str_trim(item), what))
			return true;
	return false;
}

static void
add_line(struct req *req, const char *name, struct str value)
{
	if (value.n > 0 && header_value_valid(value))
		buf_printf(&req->headers, "%s: " STR_FMT "\r\n", name, STR_ARG(value));
}

/* "*" stands for what the browser asked for. */
static void
add_allowed_headers(struct req *req)
{
	struct str allowed = str_of(req->admin->conf->allowed_headers);

	if (str_is(str_trim(allowed), "*"))
		allowed = cgi_var(req->envp, "HTTP_ACCESS_CONTROL_REQUEST_HEADERS");
	add_line(req, "Access-Control-Allow-Headers", allowed);
}

bool
cors_add(struct req *req)
{
	const struct conf *conf = req->admin->conf;
	struct str origin = cgi_var(req->envp, "HTTP_ORIGIN");

	if (!conf->enable_cors)
		return false;
	buf_cstr(&req->headers, "Vary: Origin\r\n");
	bool named = origin.n > 0 && list_has(conf->allowed_origins, origin);
	if (named || (origin.n > 0 && list_has(conf->allowed_origins, STR("*")))) {
		add_line(req, "Access-Control-Allow-Origin", origin);
		add_line(req, "Access-Control-Allow-Methods", str_of(conf->allowed_methods));
		add_allowed_headers(req);
		if (named && conf->allow_credentials)
			add_line(req, "Access-Control-Allow-Credentials", STR("true"));
		if (req->method == METHOD_OPTIONS)
			add_line(req, "Access-Control-Max-Age", STR(PREFLIGHT_SECONDS));
	}
	return req->method == METHOD_OPTIONS;
}
