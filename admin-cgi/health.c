/* SPDX-License-Identifier: MIT
 *
 * GET /health: can this node serve /proxy now? The data plane needs the key pool, a
 * configuration in it, and a living responder (but where the web server starts one
 * for each request); the database only to change
 * anything, so that its absence is named but does not make the node unhealthy.
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

/* Each is named in `down` as long as it keeps /proxy from being served. */
static void
out_down(struct req *req, bool alive, struct buf *down)
{
	struct pool_identity identity;
	struct pool *pool;
	uint64_t version = 0;

	if (req_pool_as_is(req, &pool) != ERR_OK)
		out_cstr(down, NULL, "pool");
	else if (pool_version(pool, &version) != ERR_OK || version == 0)
		out_cstr(down, NULL, "configuration");
	else if (pool_identity_get(pool, &identity) != ERR_OK || !identity.complete)
		out_cstr(down, NULL, "keys");
	if (!alive)
		out_cstr(down, NULL, "workers");
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
	struct gate_view node;
	struct buf down;

	gate_look(req->admin->conf, &node);
	buf_init(&down, 256);
	out_down(req, node.processes > 0 || req->admin->conf->in_folder, &down);
	bool healthy = down.n == 0;
	/* Whatever is missing is filled from the database, so it is the cause. */
	if (!healthy && !database)
		out_cstr(&down, NULL, "database");

	req_bare(req, healthy ? 200 : 503);
	out_open(&req->data, NULL, '{');
	out_cstr(&req->data, "status", healthy ? "healthy" : "unhealthy");
	out_utc(&req->data, now);
	out_uptime(&req->data, node.since_us > 0 && node.since_us < now ? now - node.since_us : 0);
	out_bool(&req->data, "database", database);
	if (!healthy) {
		out_open(&req->data, "down", '[');
		buf_str(&req->data, buf_view(&down));
		out_close(&req->data, ']');
	}
	out_close(&req->data, '}');
	buf_done(&down);
	return ERR_OK;
}

const struct route routes_health[] = {
    {METHOD_GET, "/health", health, true},
    {0},
};
