/* SPDX-License-Identifier: MIT
 *
 * GET /health: can this node serve /proxy now? The data plane needs the key pool, a
 * configuration in it, and a living responder (but where the web server starts one for
 * each request); the database only to change anything. What is away while /proxy is
 * served is named under "degraded" and does not make the node unhealthy: the database,
 * and a Redis without which the responders go on.
 */
#include "admin-cgi/admin.h"

#include "lib/clock.h"
#include "lib/gate.h"

#include <time.h>

#define US_PER_S INT64_C(1000000)

/* As Go writes a duration: "1h2m3.4s". */
static void
out_uptime(struct buf *b, int64_t us)
{
	int64_t tenths = us / (US_PER_S / 10);
	int64_t minutes = tenths / 600;
	char text[48];
	struct buf out;

	buf_init(&out, sizeof(text));
	if (minutes >= 60)
		buf_printf(&out, "%lldh", (long long)(minutes / 60));
	if (minutes >= 1)
		buf_printf(&out, "%lldm", (long long)(minutes % 60));
	buf_printf(&out, "%lld.%llds", (long long)(tenths % 600 / 10), (long long)(tenths % 10));
	out_str(b, "uptime", buf_view(&out));
	buf_done(&out);
}

static void
out_utc(struct buf *b, int64_t us)
{
	time_t seconds = (time_t)(us / US_PER_S);
	char text[40] = "";
	struct tm tm;

	if (gmtime_r(&seconds, &tm) != NULL)
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	out_cstr(b, "timestamp", text);
}

/* What the pool lacks; NULL: nothing. */
static const char *
pool_lacks(struct req *req)
{
	struct pool_identity identity;
	struct pool *pool;
	uint64_t version = 0;

	if (req_pool_as_is(req, &pool) != ERR_OK || pool_version(pool, &version) != ERR_OK)
		return "pool";
	if (version == 0)
		return "configuration";
	if (pool_identity_get(pool, &identity) != ERR_OK || !identity.complete)
		return "keys";
	return NULL;
}

static void
out_names(struct buf *b, const char *name, struct buf *names)
{
	if (names->n > 0) {
		out_open(b, name, '[');
		buf_str(b, buf_view(names));
		out_close(b, ']');
	}
	buf_done(names);
}

static bool
database_answers(struct req *req)
{
	struct db *db;
	int64_t one;

	return req_db(req, &db) == ERR_OK &&
	       db_query_int(db, "SELECT 1", DB_NO_ARGS, 0, &one) == ERR_OK;
}

static enum err
health(struct req *req)
{
	int64_t now = clock_wall_us();
	bool database = database_answers(req);
	const char *lacks = pool_lacks(req);
	const char *redis = req->admin->conf->redis_dsn;
	struct gate_view node;
	struct buf down;
	struct buf degraded;

	gate_look(req->admin->conf, &node);
	buf_init(&down, 256);
	buf_init(&degraded, 256);
	/* Each that keeps /proxy from being served. A responder that has begun has what it
	 * needs to go on without Redis. */
	bool goes_on = redis != NULL && redis[0] != '\0' && node.processes > 0;
	if (lacks != NULL)
		out_cstr(goes_on ? &degraded : &down, NULL, lacks);
	if (node.processes == 0 && !req->admin->conf->in_folder)
		out_cstr(&down, NULL, "workers");
	bool healthy = down.n == 0;
	/* Whatever is missing is filled from the database, so it is the cause. */
	if (!database)
		out_cstr(healthy ? &degraded : &down, NULL, "database");

	req_bare(req, healthy ? 200 : 503);
	out_open(&req->data, NULL, '{');
	out_cstr(&req->data, "status", healthy ? "healthy" : "unhealthy");
	out_utc(&req->data, now);
	out_uptime(&req->data, node.since_us > 0 && node.since_us < now ? now - node.since_us : 0);
	out_bool(&req->data, "database", database);
	out_names(&req->data, "down", &down);
	out_names(&req->data, "degraded", &degraded);
	out_close(&req->data, '}');
	return ERR_OK;
}

const struct route routes_health[] = {
    {METHOD_GET, "/health", health, ROUTE_OPEN},
    {0},
};
