/* SPDX-License-Identifier: MIT
 *
 * CORS header fields (WHATWG Fetch, 3.2).
 */
#include "lib/cors.h"

#include "lib/cgi.h"
#include "lib/header.h"

/* How long a browser may remember a preflight's answer. */
#define PREFLIGHT_SECONDS "600"

static void
field(struct buf *out, const char *name, struct str value)
{
	if (value.n == 0 || !header_value_valid(value))
		return;
	buf_cstr(out, name);
	buf_cstr(out, ": ");
	buf_str(out, value);
	buf_cstr(out, "\r\n");
}

static bool
is_named(const struct conf *conf, struct str origin)
{
	return origin.n > 0 && str_listed(str_of(conf->allowed_origins), origin);
}

bool
cors_allows(const struct conf *conf, char *const *envp)
{
	struct str origin;

	if (!conf->enable_cors)
		return false;
	origin = cgi_var(envp, "HTTP_ORIGIN");
	return origin.n > 0 && header_value_valid(origin) &&
	       (is_named(conf, origin) || str_listed(str_of(conf->allowed_origins), STR("*")));
}

void
cors_fields(const struct conf *conf, char *const *envp, struct buf *out)
{
	struct str origin;

	if (!conf->enable_cors)
		return;
	field(out, "Vary", STR("Origin"));
	if (!cors_allows(conf, envp))
		return;
	origin = cgi_var(envp, "HTTP_ORIGIN");
	field(out, "Access-Control-Allow-Origin", origin);
	if (conf->allow_credentials && is_named(conf, origin))
		field(out, "Access-Control-Allow-Credentials", STR("true"));
}

void
cors_preflight_fields(const struct conf *conf, char *const *envp, struct buf *out)
{
	struct str headers = str_of(conf->allowed_headers);

	if (!cors_allows(conf, envp))
		return;
	/* "*" stands for what the browser asked for. */
	if (str_is(str_trim(headers), "*"))
		headers = cgi_var(envp, "HTTP_ACCESS_CONTROL_REQUEST_HEADERS");
	field(out, "Access-Control-Allow-Methods", str_of(conf->allowed_methods));
	field(out, "Access-Control-Allow-Headers", headers);
	field(out, "Access-Control-Max-Age", STR(PREFLIGHT_SECONDS));
}
