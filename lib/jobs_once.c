/* SPDX-License-Identifier: MIT
 *
 * The background's work without a round: what a process does at its end, and all of it
 * at once for `jobs --once`.
 */
#include "lib/jobs_work.h"

#include "lib/clock.h"
#include "lib/flush.h"
#include "lib/log.h"
#include "lib/publish.h"

/* For the one that does the node's work to end, should it be ending too. */
#define LAST_WAIT_MS 1000

/* What is not written stays in the pool, for the next holder of the lease. */
static enum err
write_back_until(struct jobs *j, int64_t until_us, struct errinfo *info)
{
	bool more = true;
	enum err e = ERR_OK;

	do
		e = jobs_write_back(j, &more, info);
	while (e == ERR_OK && more && clock_mono_us() < until_us);
	return e;
}

void
jobs_last(struct jobs *j)
{
	struct flush_bounds bounds = {.wait = true};
	struct flush_result result;
	struct errinfo info = {""};
	enum err e;

	/* Whoever of the node ends after us, or goes on, writes our rows too. */
	if (!jobs_choose(j, LAST_WAIT_MS))
		return;
	/* Half of what a process has for its end; the rest waits in the spool. */
	bounds.until_us =
	    clock_mono_us() + j->conf->server_graceful_shutdown_timeout_s * SECOND / 2;
	e = jobs_run(j, STEP_DB, &info);
	if (e == ERR_OK) {
		e = flush_run(j->conf, j->db, &bounds, &result, &info);
		if (e == ERR_OK)
			e = write_back_until(j, bounds.until_us, &info);
		if (e != ERR_OK)
			log_error("at the end: %s", err_text(&info, e));
	}
}

static enum err
validate_more(struct jobs *j, bool *ret_more, struct errinfo *info)
{
	size_t busy = 0;
	enum err e = jobs_validate(j, PROBE_WAIT_MS, &busy, info);

	*ret_more = busy > 0;
	return e;
}

/* One portion after another to the end, as long as the lease is ours. */
static enum err
all_of(struct jobs *j, portion_fn portion, struct errinfo *info)
{
	bool more = true;
	bool held = true;
	enum err e = ERR_OK;

	while (e == ERR_OK && more && held) {
		e = portion(j, &more, info);
		if (e == ERR_OK)
			e = lease_hold(j->lease, j->db, false, &held, info);
	}
	return e;
}

/* What needs the lease; nothing when another has it. */
static enum err
once_as_holder(struct jobs *j, struct errinfo *info)
{
	bool held = false;
	enum err e;

	if (j->conf->is_slave)
		return ERR_OK;
	e = lease_hold(j->lease, j->db, true, &held, info);
	if (e != ERR_OK || !held)
		return e;
	e = all_of(j, jobs_write_back, info);
	if (e == ERR_OK && j->snap != NULL)
		e = all_of(j, validate_more, info);
	if (e == ERR_OK && j->snap != NULL)
		e = all_of(j, jobs_do_tasks, info);
	if (e == ERR_OK && j->snap != NULL)
		e = all_of(j, jobs_retain, info);
	if (e == ERR_OK)
		e = all_of(j, jobs_sum_up, info);
	if (e == ERR_OK)
		e = all_of(j, jobs_write_back, info); /* of keys that came back */
	return e;
}

enum err
jobs_once(struct jobs *j, struct errinfo *info)
{
	enum err e = jobs_open_db(j, info);

	if (e == ERR_OK)
		e = jobs_follow(j, info);
	if (e == ERR_OK)
		e = jobs_load_snapshot(j, info);
	if (e == ERR_OK)
		e = spool_flush(j->conf, j->db, true, NULL, info);
	if (e == ERR_OK)
		e = once_as_holder(j, info);
	pool_tend(j->pool);
	return e;
}
