/* SPDX-License-Identifier: MIT
 *
 * GET /metrics: this node for Prometheus, in its text format 0.0.4. What is counted comes
 * from what the node's processes share (the gate, the counters, the pool, the spool), so
 * that the answer is about all workers, whoever gives it. The database and Redis are asked
 * whether they answer; without them the rest is said all the same.
 */
#include "admin-cgi/admin.h"

#include "lib/clock.h"
#include "lib/counters.h"
#include "lib/gate.h"
#include "lib/snapshot.h"
#include "lib/spool.h"

#include <stdlib.h>

#define US_PER_S 1000000

static void
metric(struct buf *b, const char *name, const char *type, const char *help)
{
	buf_printf(b, "# HELP gpt_load_%s %s\n# TYPE gpt_load_%s %s\n", name, help, name, type);
}

static void
number(struct buf *b, const char *name, const char *type, const char *help, int64_t value)
{
	metric(b, name, type, help);
	buf_printf(b, "gpt_load_%s %lld\n", name, (long long)value);
}

static void
node(const struct conf *conf, struct buf *b)
{
	struct gate_view view;

	gate_look(conf, &view);
	number(b, "workers", "gauge", "Responder processes alive on this node.", view.processes);
	number(b, "exchanges", "gauge", "Requests under way, streams included.", view.under_way);
	number(b, "streams", "gauge", "Streamed answers under way.", view.streams);
	number(b, "exchanges_max", "gauge", "MAX_CONCURRENT_REQUESTS.",
	       conf->max_concurrent_requests);
	if (view.since_us > 0)
		number(b, "start_time_seconds", "gauge", "When the oldest worker started.",
		       view.since_us / US_PER_S);
	number(b, "spool_bytes", "gauge", "Log rows that wait for the database.",
	       spool_waiting(conf));
	number(b, "spool_rows_lost_total", "counter",
	       "Log rows that were torn, or given up for want of room.", spool_lost(conf));
}

/* --- what was counted --- */

/* A label's value: its quotes, backslashes and line ends escaped. */
static void
label(struct buf *b, struct str text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '"' || text.p[i] == '\\')
			buf_char(b, '\\');
		if (text.p[i] == '\n')
			buf_cstr(b, "\\n");
		else
			buf_char(b, text.p[i]);
	}
}

/* group_id="7",group="name" */
static void
group_labels(struct buf *b, const struct snapshot *snap, int64_t id)
{
	const struct group *g = NULL;

	if (id < 0) {
		buf_cstr(b, "group_id=\"other\",group=\"\"");
		return;
	}
	if (snap != NULL && id > 0)
		g = snapshot_group_id(snap, id);
	buf_printf(b, "group_id=\"%lld\",group=\"", (long long)id);
	if (g != NULL)
		label(b, g->name);
	buf_char(b, '"');
}

static void
requests(const struct counters_view *view, const struct snapshot *snap, struct buf *b)
{
	static const char *const classes[CLASS__MAX] = {
	    [CLASS_2XX] = "2xx", [CLASS_3XX] = "3xx",   [CLASS_4XX] = "4xx",
	    [CLASS_5XX] = "5xx", [CLASS_GONE] = "gone",
	};

	metric(b, "requests_total", "counter",
	       "Requests that ended, by the group of their path (0: of none) and status class.");
	for (size_t i = 0; i < view->n_groups; i++)
		for (int c = 0; c < CLASS__MAX; c++) {
			buf_cstr(b, "gpt_load_requests_total{");
			group_labels(b, snap, view->groups[i].id);
			buf_printf(b, ",class=\"%s\"} %lld\n", classes[c],
				   (long long)view->groups[i].requests[c]);
		}
	metric(b, "retries_total", "counter", "Tries that were followed by another.");
	for (size_t i = 0; i < view->n_groups; i++) {
		buf_cstr(b, "gpt_load_retries_total{");
		group_labels(b, snap, view->groups[i].id);
		buf_printf(b, "} %lld\n", (long long)view->groups[i].retries);
	}
}

static void
overhead(const struct counters_view *view, struct buf *b)
{
	static const int64_t bounds[] = OVERHEAD_BOUNDS;
	int64_t below = 0;

	metric(b, "overhead_seconds", "histogram",
	       "What the gateway itself took of a request: all of it less the provider's time.");
	for (int i = 0; i < OVERHEAD_BUCKETS; i++) {
		below += view->overhead[i];
		if (i < OVERHEAD_BUCKETS - 1)
			buf_printf(b, "gpt_load_overhead_seconds_bucket{le=\"%g\"} %lld\n",
				   (double)bounds[i] / US_PER_S, (long long)below);
	}
	buf_printf(b, "gpt_load_overhead_seconds_bucket{le=\"+Inf\"} %lld\n", (long long)below);
	buf_printf(b, "gpt_load_overhead_seconds_sum %.6f\n", (double)view->overhead_us / US_PER_S);
	buf_printf(b, "gpt_load_overhead_seconds_count %lld\n", (long long)below);
}

/* Their names; NULL: no configuration that can be read. */
static struct snapshot *
names(struct pool *pool)
{
	struct snapshot *snap = NULL;
	uint64_t version = 0;
	struct buf text;

	buf_init(&text, LIMIT_SNAPSHOT);
	if (pool_snapshot_get(pool, &text, &version) != ERR_OK || version == 0 ||
	    snapshot_parse(buf_view(&text), &snap, NULL) != ERR_OK)
		snap = NULL;
	buf_done(&text);
	return snap;
}

static void
counted(struct req *req, struct pool *pool)
{
	struct counters_view *view = arena_alloc(&req->arena, sizeof(*view));
	struct snapshot *snap = pool != NULL ? names(pool) : NULL;

	counters_look(req->admin->conf, view);
	requests(view, snap, &req->data);
	overhead(view, &req->data);
	snapshot_unref(snap);
}

/* --- whether the others are there --- */

static void
database(struct req *req)
{
	struct db_rows *rows = NULL;
	int64_t left = 0;
	struct db *db;
	enum err e = req_db(req, &db);

	if (e == ERR_OK)
		e = db_query(db, "SELECT expires_at FROM gptl_lease WHERE name = 'jobs'",
			     DB_NO_ARGS, &rows);
	if (e == ERR_OK && db_next(rows, &e))
		left = db_col_time(rows, 0) - clock_wall_us();
	db_rows_done(rows);
	number(&req->data, "database_up", "gauge", "1: the database answers.", e == ERR_OK);
	if (e == ERR_OK)
		number(&req->data, "lease_held", "gauge",
		       "1: a process of the installation does the background work.", left > 0);
	req->info = (struct errinfo){0};
}

/* Fills *ret when the pool can be asked. */
static void
pool_health(struct req *req, struct pool **ret)
{
	uint64_t version = 0;
	bool up = req_pool_as_is(req, ret) == ERR_OK && pool_version(*ret, &version) == ERR_OK;

	if (!up)
		*ret = NULL;
	req->info = (struct errinfo){0};
	number(&req->data, "pool_up", "gauge", "1: the key pool (Redis, where one is set) answers.",
	       up);
	number(&req->data, "pool_is_redis", "gauge", "1: the key pool is in Redis.",
	       req->admin->conf->redis_dsn != NULL);
	if (up)
		number(&req->data, "configuration_version", "gauge",
		       "Of the configuration in force.", (int64_t)version);
}

static enum err
keys(struct pool *pool, struct buf *b)
{
	static const char *const states[KEY__MAX] = {[KEY_ACTIVE] = "active",
						     [KEY_RESTING] = "resting",
						     [KEY_INVALID] = "invalid",
						     [KEY_DISABLED] = "disabled"};
	struct pool_counts counts;
	int64_t *groups;
	size_t n;
	enum err e = pool_groups(pool, &groups, &n);

	if (e != ERR_OK)
		return e;
	metric(b, "keys", "gauge", "Upstream keys by group id and state.");
	for (size_t i = 0; i < n && e == ERR_OK; i++) {
		e = pool_counts(pool, groups[i], &counts);
		for (int s = 0; s < KEY__MAX && e == ERR_OK; s++)
			buf_printf(b, "gpt_load_keys{group_id=\"%lld\",state=\"%s\"} %lld\n",
				   (long long)groups[i], states[s], (long long)counts.by_state[s]);
	}
	free(groups);
	return e;
}

static enum err
metrics(struct req *req)
{
	struct pool *pool = NULL;
	enum err e = req->admin->conf->metrics_public ? ERR_OK : req_authenticate(req);

	if (e != ERR_OK)
		return e;
	req_bare(req, 200);
	req->content_type = "text/plain; version=0.0.4; charset=utf-8";
	node(req->admin->conf, &req->data);
	database(req);
	pool_health(req, &pool);
	counted(req, pool);
	return pool != NULL ? keys(pool, &req->data) : ERR_OK;
}

/* Open to whoever has the key or METRICS_PUBLIC: the function asks. */
const struct route routes_metrics[] = {
    {METHOD_GET, "/metrics", metrics, ROUTE_OPEN},
    {0},
};
