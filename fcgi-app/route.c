/* SPDX-License-Identifier: MIT
 *
 * From the request line to a group that this client may use. Everything here reads
 * the raw request target; nothing is decoded but the value of ?key=.
 *
 * Order of the checks: target, prefix, upgrade, client key, group, access. A group
 * that does not exist and a key that does not open one are told apart only to
 * clients whose key opens something.
 */
#include "fcgi-app/responder.h"
#include "lib/cgi.h"
#include "lib/integration.h"

#define PREFIX      "/proxy/"
#define INTEGRATION "/api/integration/info"

/* "/proxy/{group}/rest": cuts the group's name out. */
static bool
split_path(struct str path, struct str *ret_group, struct str *ret_rest)
{
	struct str rest = str_from(path, sizeof(PREFIX) - 1);
	const char *slash;

	if (!str_starts(path, PREFIX) || rest.n == 0)
		return false;
	slash = memchr(rest.p, '/', rest.n);
	*ret_group = slash != NULL ? (struct str){rest.p, (size_t)(slash - rest.p)} : rest;
	*ret_rest = slash != NULL ? str_from(rest, ret_group->n) : STR("/");
	return ret_group->n > 0;
}

/* "h2c" is between the client and its web server (curl --http2 sends it). */
static bool
wants_upgrade(char *const *envp)
{
	struct str connection = cgi_var(envp, "HTTP_CONNECTION");
	struct str upgrade = cgi_var(envp, "HTTP_UPGRADE");

	return upgrade.n > 0 && !str_iis(upgrade, "h2c") &&
	       (connection.n == 0 || str_icontains(connection, "upgrade"));
}

bool
route_is_preflight(const struct exchange *x)
{
	char *const *envp = x->req->envp;

	return x->w->conf->enable_cors && str_is(cgi_var(envp, "REQUEST_METHOD"), "OPTIONS") &&
	       cgi_var(envp, "HTTP_ORIGIN").p != NULL &&
	       cgi_var(envp, "HTTP_ACCESS_CONTROL_REQUEST_METHOD").n > 0;
}

static bool
is_auth_key(const struct worker *w, const uint8_t digest[SHA256_BYTES])
{
	return w->conf->auth_key_opens_proxy && w->conf->auth_key != NULL &&
	       sha256_equal(digest, w->auth_digest);
}

static bool
opens_anything(const struct exchange *x)
{
	const struct snapshot *s = x->snapshot;

	for (size_t i = 0; i < s->n_groups; i++)
		if (snapshot_digest_opens(s, &s->groups[i], x->client_digest))
			return true;
	return is_auth_key(x->w, x->client_digest);
}

static enum err
find_group(struct exchange *x, struct str name, struct errinfo *info)
{
	const struct group *g = snapshot_group(x->snapshot, name);

	if (x->client_key.n == 0)
		return err_set(info, ERR_UNAUTHORIZED, "the key is empty");
	if (g == NULL && !opens_anything(x))
		return err_set(info, ERR_UNAUTHORIZED, "the key is not accepted here");
	if (g == NULL)
		return err_set(info, ERR_NOT_FOUND, "there is no group \"" STR_FMT "\"",
			       (int)MIN(name.n, (size_t)100), name.p);
	if (!snapshot_digest_opens(x->snapshot, g, x->client_digest) &&
	    !is_auth_key(x->w, x->client_digest))
		return err_set(info, ERR_UNAUTHORIZED, "the key is not accepted for this group");
	x->named = g;
	return ERR_OK;
}

enum err
route(struct exchange *x, struct errinfo *info)
{
	char *const *envp = x->req->envp;
	struct cgi_target target;
	struct str group;
	enum err e = cgi_target(envp, &target, info);

	if (e != ERR_OK)
		return e;
	if (!split_path(target.path, &group, &x->path))
		return err_set(info, ERR_NOT_FOUND, "paths here are /proxy/{group}/…");
	/* Known from here on, so that a refusal is in its vendor's shape. */
	x->group = snapshot_group(x->snapshot, group);
	if (wants_upgrade(envp))
		return ERR_UPGRADE;
	switch (cgi_client_key(envp, target.query, x->arena, &x->client_key)) {
	case CLIENT_KEY_NONE:
		return err_set(
		    info, ERR_UNAUTHORIZED,
		    "no key: send it as Authorization: Bearer, x-api-key, x-goog-api-key, api-key "
		    "or ?key=");
	case CLIENT_KEY_QUERY:
		x->query = query_without(target.query, "key", x->arena);
		break;
	case CLIENT_KEY_BEARER:
	case CLIENT_KEY_X_API_KEY:
	case CLIENT_KEY_X_GOOG_API_KEY:
	case CLIENT_KEY_API_KEY:
		x->query = target.query;
		break;
	}
	sha256(x->client_key, x->client_digest);
	e = find_group(x, group, info);
	if (e != ERR_OK)
		return e;
	x->group = x->named->aggregate ? NULL : x->named;
	if (x->named->channel == NULL)
		return err_set(info, ERR_INTERNAL,
			       "the group's channel \"" STR_FMT "\" is not in this build",
			       STR_ARG(x->named->channel_name));
	return ERR_OK;
}

/* What the key opens, in the envelope of the management API; empty: nothing. */
static void
integration_text(struct exchange *x, const struct group *g, struct str key, struct buf *out)
{
	uint8_t digest[SHA256_BYTES];
	size_t n = 0;

	sha256(key, digest);
	buf_cstr(out, "{\"code\":0,\"message\":\"Success\",\"data\":");
	if (is_auth_key(x->w, digest))
		integration_info_all(x->snapshot, g, out, &n);
	else
		integration_info(x->snapshot, g, key, out, &n);
	buf_cstr(out, "}");
	if (n == 0)
		buf_clear(out);
}

static void
answer_integration(struct exchange *x, struct str name, struct str query)
{
	const struct group *g;
	struct str key;
	struct buf out;

	if (!query_get(query, "key", x->arena, &key) || key.n == 0) {
		answer_error(x, ERR_VALIDATION, "the query parameter key is missing", 0);
		return;
	}
	g = snapshot_group(x->snapshot, name);
	if (g == NULL) {
		answer_error(x, ERR_NOT_FOUND, "there is no such group", 0);
		return;
	}
	buf_init(&out, LIMIT_SNAPSHOT);
	integration_text(x, g, key, &out);
	if (out.n > 0)
		answer_own(x, 200, "application/json", buf_view(&out));
	else
		answer_error(x, ERR_UNAUTHORIZED, "the key does not open this group", 0);
	buf_done(&out);
}

static bool
integration_target(const struct exchange *x, struct str *ret_group, struct str *ret_query)
{
	struct cgi_target target;
	struct str rest;

	if (cgi_target(x->req->envp, &target, NULL) != ERR_OK)
		return false;
	*ret_query = target.query;
	return split_path(target.path, ret_group, &rest) && str_is(rest, INTEGRATION);
}

bool
route_is_integration(const struct exchange *x)
{
	struct str group;
	struct str query;

	/* Hardly ever: the cheap question first. */
	return str_contains(cgi_var(x->req->envp, "REQUEST_URI"), INTEGRATION) &&
	       integration_target(x, &group, &query);
}

void
route_answer_integration(struct exchange *x)
{
	struct str group;
	struct str query;

	if (integration_target(x, &group, &query))
		answer_integration(x, group, query);
}
