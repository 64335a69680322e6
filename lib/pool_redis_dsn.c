/* SPDX-License-Identifier: MIT
 *
 * REDIS_DSN taken apart: redis://[user:pass@]host:port/db, or
 * unix://[user:pass@]/socket?db=N. User, password and path are percent-decoded.
 * No message holds the value: it may carry a password.
 */
#include "lib/pool_redis.h"
#include "lib/str.h"
#include "lib/url.h"

#include <stdlib.h>

#define DB_MAX       65535
#define DEFAULT_PORT 6379

void
rpool_dsn_done(struct redis_dsn *dsn)
{
	if (dsn->password != NULL)
		wipe(dsn->password, strlen(dsn->password));
	free(dsn->host);
	free(dsn->path);
	free(dsn->user);
	free(dsn->password);
	*dsn = (struct redis_dsn){.port = 0};
}

static enum err
refuse(struct errinfo *info, const char *what)
{
	return err_set(info, ERR_CONF, "REDIS_DSN: %s", what);
}

/* NULL for an empty text; false when it is malformed. */
static bool
decode(struct str text, char **ret)
{
	struct arena arena;
	struct str plain;
	bool ok;

	arena_init(&arena, 1024);
	ok = url_decode(text, &arena, &plain);
	if (ok && plain.n > 0)
		*ret = xstrndup(plain.p, plain.n);
	arena_done(&arena);
	return ok;
}

/* "user:password"; a user alone is taken for a password, as redis-cli does not but
 * many clients do, and as it cannot mean anything else. */
static bool
take_userinfo(struct str text, struct redis_dsn *dsn)
{
	struct str user = text;
	const char *colon = text.n > 0 ? memchr(text.p, ':', text.n) : NULL;

	if (colon == NULL)
		return decode(text, &dsn->password);
	user.n = (size_t)(colon - text.p);
	return decode(user, &dsn->user) && decode(str_from(text, user.n + 1), &dsn->password);
}

static bool
take_db(struct str text, struct redis_dsn *dsn)
{
	int64_t db = 0;

	if (text.n > 0 && !str_to_i64(text, 0, DB_MAX, &db))
		return false;
	dsn->db = (int)db;
	return true;
}

/* What follows "unix://". */
static enum err
parse_unix(struct str rest, struct redis_dsn *dsn, struct errinfo *info)
{
	const char *slash = memchr(rest.p, '/', rest.n);
	const char *query = memchr(rest.p, '?', rest.n);
	struct str before;
	struct str path;
	struct str db = {NULL, 0};

	if (slash == NULL || (query != NULL && query < slash))
		return refuse(info, "a Unix socket is written unix:///path/of/the/socket?db=0");
	before = (struct str){rest.p, (size_t)(slash - rest.p)};
	path = str_from(rest, before.n);
	if (query != NULL) {
		path.n = (size_t)(query - path.p);
		db = str_from(rest, (size_t)(query - rest.p) + 1);
		if (!str_starts(db, "db="))
			return refuse(info, "after the socket only ?db=N is known");
		db = str_from(db, 3);
	}
	if (before.n > 0 && before.p[before.n - 1] != '@')
		return refuse(info, "the path of a Unix socket begins with /");
	before.n -= before.n > 0;
	if (!take_userinfo(before, dsn) || !decode(path, &dsn->path))
		return refuse(info, "user, password or path is not percent-encoded properly");
	return take_db(db, dsn) ? ERR_OK : refuse(info, "the database's number is none");
}

static enum err
parse_tcp(struct str text, struct redis_dsn *dsn, struct errinfo *info)
{
	struct url url;
	struct str host;
	int64_t port = DEFAULT_PORT;

	if (!url_parse(text, &url))
		return refuse(info, "it is no URL like redis://user:password@host:6379/0");
	if (url_scheme_is(&url, "rediss"))
		return refuse(info, "rediss:// needs a hiredis with TLS, which this build lacks");
	if (!url_scheme_is(&url, "redis"))
		return refuse(info, "it begins with redis://, rediss:// or unix://");
	if (url.query.n > 0)
		return refuse(info, "redis:// takes no parameters after a ?");
	if (!take_userinfo(url.userinfo, dsn))
		return refuse(info, "user or password is not percent-encoded properly");
	if (url.port.n > 0 && !str_to_i64(url.port, 1, 65535, &port))
		return refuse(info, "the port is none");
	host = url.host;
	if (str_starts(host, "[") && str_ends(host, "]"))
		host = (struct str){host.p + 1, host.n - 2};
	dsn->host = xstrndup(host.p, host.n);
	dsn->port = (int)port;
	return take_db(str_from(url.path, 1), dsn) ? ERR_OK
						   : refuse(info, "the database's number is none");
}

enum err
rpool_dsn_parse(const char *text, struct redis_dsn *ret, struct errinfo *info)
{
	struct str dsn = str_of(text);
	enum err e;

	*ret = (struct redis_dsn){.port = 0};
	if (str_starts(dsn, "unix://"))
		e = parse_unix(str_from(dsn, strlen("unix://")), ret, info);
	else
		e = parse_tcp(dsn, ret, info);
	if (e != ERR_OK)
		rpool_dsn_done(ret);
	return e;
}
