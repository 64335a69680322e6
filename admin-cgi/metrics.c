/* SPDX-License-Identifier: MIT
 *
 * GET /metrics: this node for Prometheus, in its text format 0.0.4. Everything comes
 * from what the node's processes share (the gate, the pool, the spool), so that the
 * answer is about all workers, whoever gives it, and needs no database.
 */
#include "admin-cgi/admin.h"

#include "lib/gate.h"
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
	number(b, "exchanges_max", "gauge", "MAX_CONCURRENT_REQUESTS.",
	       conf->max_concurrent_requests);
	if (view.since_us > 0)
		number(b, "start_time_seconds", "gauge", "When the oldest worker started.",
		       view.since_us / US_PER_S);
	number(b, "spool_bytes", "gauge", "Log rows that wait for the database.",
	       spool_waiting(conf));
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
	uint64_t version = 0;
	struct pool *pool;
	enum err e = req->admin->conf->metrics_public ? ERR_OK : req_authenticate(req);

	if (e != ERR_OK)
		return e;
	e = req_pool_as_is(req, &pool);
	if (e == ERR_OK)
		e = pool_version(pool, &version);
	if (e != ERR_OK)
		return e;
	req_bare(req, 200);
	req->content_type = "text/plain; version=0.0.4; charset=utf-8";
	node(req->admin->conf, &req->data);
	number(&req->data, "configuration_version", "gauge", "Of the configuration in force.",
	       (int64_t)version);
	return keys(pool, &req->data);
}

/* Open to whoever has the key or METRICS_PUBLIC: the function asks. */
const struct route routes_metrics[] = {
    {METHOD_GET, "/metrics", metrics, true},
    {0},
};
