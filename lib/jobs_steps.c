/* SPDX-License-Identifier: MIT
 *
 * The steps of the background's round, and the table of them. None takes long: what
 * could (a flush, retention, validation) does a part and is due again at once, so that
 * the lease is renewed and `stop` is obeyed.
 */
#include "lib/jobs_work.h"

#include "lib/clock.h"
#include "lib/flush.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/migrate.h"
#include "lib/node.h"
#include "lib/publish.h"
#include "lib/retention.h"
#include "lib/rollup.h"
#include "lib/task.h"
#include "lib/validate.h"

#define PUBLISH_EVERY   (2 * SECOND)
#define TEND_EVERY      (5 * SECOND)
#define RETENTION_EVERY (120 * MINUTE)
/* New bytes in the spool that are not kept waiting for the interval. */
#define FLUSH_BYTES (1024 * 1024)

/* Opens it, or asks one that failed whether it is back. */
enum err
jobs_open_db(struct jobs *j, struct errinfo *info)
{
	int64_t one = 0;
	enum err e;

	if (j->db != NULL) {
		if (j->step[STEP_DB].failures == 0)
			return ERR_OK;
		e = db_query_int(j->db, "SELECT 1", DB_NO_ARGS, 0, &one);
		return e == ERR_OK ? ERR_OK : err_set(info, e, "%s", db_error(j->db));
	}
	e = db_open(j->conf, &j->db, info);
	if (e != ERR_OK)
		return e;
	e = migrate_check(j->db, info);
	if (e != ERR_OK) {
		db_close(j->db);
		j->db = NULL;
	}
	return e;
}

enum err
jobs_look_at_pool(struct jobs *j, struct errinfo *info)
{
	uint64_t version;
	enum err e = pool_version(j->pool, &version);

	return e == ERR_OK ? ERR_OK
			   : err_set(info, e,
				     "it cannot be reached; requests go on with the keys that each "
				     "process knows");
}

enum err
jobs_load_snapshot(struct jobs *j, struct errinfo *info)
{
	struct snapshot *snap = NULL;
	uint64_t version = 0;
	struct buf text;
	enum err e = pool_version(j->pool, &version);

	if (e != ERR_OK || version == 0 || (j->snap != NULL && j->snap->version == version))
		return e;
	buf_init(&text, LIMIT_SNAPSHOT);
	e = pool_snapshot_get(j->pool, &text, &version);
	if (e == ERR_OK && version > 0)
		e = snapshot_parse(buf_view(&text), &snap, info);
	buf_done(&text);
	if (e == ERR_OK && snap != NULL) {
		snapshot_unref(j->snap);
		j->snap = snap;
	}
	return e;
}

enum err
jobs_follow(struct jobs *j, struct errinfo *info)
{
	enum err e = publish_ensure(j->conf, j->db, j->pool, info);

	return e == ERR_OK ? publish_pending(j->db, j->pool, info) : e;
}

static int64_t
write_interval(const struct jobs *j)
{
	/* With 0 rows are written when they come; once a minute finds what a killed
	 * worker left. */
	return j->snap != NULL && j->snap->log_write_interval_min > 0
		   ? j->snap->log_write_interval_min * MINUTE
		   : MINUTE;
}

static enum err
run_flush(struct jobs *j, struct errinfo *info)
{
	struct flush_bounds bounds = {.stop = j->stop, .until_us = clock_mono_us() + SLICE};
	struct flush_result result;
	bool poked = atomic_exchange(&j->poked, false);
	enum err e;

	if (!poked && !j->flush_again && clock_mono_us() < j->flush_at_us &&
	    spool_waiting(j->conf) < j->left_bytes + FLUSH_BYTES)
		return ERR_OK;
	e = flush_run(j->conf, j->db, &bounds, &result, info);
	/* Whoever is at it may have been past the row that we were poked for. */
	j->flush_again = e != ERR_OK || result.more || (result.busy && poked);
	if (e != ERR_OK)
		return e;
	if (result.rows > 0)
		log_debug("%lld log rows written", (long long)result.rows);
	if (result.more) {
		jobs_due_in(j, STEP_FLUSH, 0);
	} else {
		j->flush_at_us = clock_mono_us() + write_interval(j);
		j->left_bytes = spool_waiting(j->conf);
	}
	return ERR_OK;
}

static enum err
run_node(struct jobs *j, struct errinfo *info)
{
	return node_beat(j->conf, j->db, j->pool, info);
}

static enum err
run_lease(struct jobs *j, struct errinfo *info)
{
	bool held = false;
	enum err e = ERR_OK;

	if (!j->conf->is_slave)
		e = lease_hold(j->lease, j->db, false, &held, info);
	if (held && !j->was_held)
		log_info("this process does the background work from now on (lease %lld)",
			 (long long)lease_fence(j->lease));
	j->was_held = held;
	return e;
}

static enum err
stamp_validated(struct jobs *j, struct errinfo *info)
{
	int64_t id;
	enum err e = ERR_OK;

	while (e == ERR_OK && validator_take_checked(j->validator, &id))
		e = db_exec(j->db, "UPDATE \"groups\" SET last_validated_at = ? WHERE id = ?",
			    DB_ARGS(db_time(clock_wall_us()), db_int(id)), NULL);
	return e == ERR_OK ? ERR_OK : err_set(info, e, "%s", db_error(j->db));
}

static enum err
make_crypt(struct jobs *j, struct errinfo *info)
{
	AUTO_FREE char *cache = conf_path(j->conf, CRYPT_CACHE_FILE);

	return j->crypt != NULL ? ERR_OK
				: crypt_new(&j->crypt, j->conf->encryption_key, cache, info);
}

static enum err
make_validator(struct jobs *j, struct errinfo *info)
{
	enum err e = make_crypt(j, info);

	if (e == ERR_OK && j->validator == NULL)
		j->validator = validator_new(j->conf, j->pool, j->crypt);
	return e;
}

enum err
jobs_validate(struct jobs *j, int wait_ms, size_t *ret_busy, struct errinfo *info)
{
	enum err e = make_validator(j, info);

	if (e == ERR_OK)
		e = validator_run(j->validator, j->snap, wait_ms, ret_busy, info);
	return e == ERR_OK ? stamp_validated(j, info) : e;
}

static enum err
run_validate(struct jobs *j, struct errinfo *info)
{
	size_t busy = 0;
	enum err e;

	if (j->snap == NULL)
		return ERR_OK;
	e = jobs_validate(j, PROBE_WAIT_MS, &busy, info);
	if (e == ERR_OK && busy > 0)
		jobs_due_in(j, STEP_VALIDATE, 0);
	return e;
}

enum err
jobs_do_tasks(struct jobs *j, bool *ret_more, struct errinfo *info)
{
	enum err e = make_crypt(j, info);

	if (e == ERR_OK && j->tasks == NULL)
		j->tasks = task_runner_new(j->conf, j->pool, j->db, j->crypt);
	return e == ERR_OK ? task_run(j->tasks, clock_mono_us() + SLICE, j->stop, ret_more, info)
			   : e;
}

static enum err
run_tasks(struct jobs *j, struct errinfo *info)
{
	bool more = false;
	enum err e = j->snap != NULL ? jobs_do_tasks(j, &more, info) : ERR_OK;

	if (e == ERR_OK && more)
		jobs_due_in(j, STEP_TASKS, 0);
	return e;
}

/* Log rows, and the sums of them. */
enum err
jobs_retain(struct jobs *j, bool *ret_more, struct errinfo *info)
{
	int days = j->snap->log_retention_days;
	bool sums = false;
	enum err e = retention_step(j->db, days, ret_more, info);

	if (e == ERR_OK)
		e = rollup_prune_step(j->db, days, &sums, info);
	*ret_more = *ret_more || sums;
	return e;
}

enum err
jobs_write_back(struct jobs *j, bool *ret_more, struct errinfo *info)
{
	size_t n = 0;

	return writeback_step(j->db, j->pool, &n, ret_more, info);
}

enum err
jobs_sum_up(struct jobs *j, bool *ret_more, struct errinfo *info)
{
	return rollup_fill_step(j->db, ret_more, info);
}

/* Portions for a while; the step is due again after `pause_us` if there are more. */
static enum err
some_of(struct jobs *j, enum step step, portion_fn portion, int64_t pause_us, struct errinfo *info)
{
	int64_t until = clock_mono_us() + SLICE;
	bool more = true;
	enum err e = ERR_OK;

	while (e == ERR_OK && more && !jobs_stopped(j) && clock_mono_us() < until)
		e = portion(j, &more, info);
	if (e == ERR_OK && more)
		jobs_due_in(j, step, pause_us);
	return e;
}

static enum err
run_writeback(struct jobs *j, struct errinfo *info)
{
	return some_of(j, STEP_WRITEBACK, jobs_write_back, 0, info);
}

static enum err
run_retention(struct jobs *j, struct errinfo *info)
{
	if (j->snap != NULL)
		return some_of(j, STEP_RETENTION, jobs_retain, 0, info);
	jobs_due_in(j, STEP_RETENTION, SECOND);
	return ERR_OK;
}

static enum err
run_sums(struct jobs *j, struct errinfo *info)
{
	return some_of(j, STEP_SUMS, jobs_sum_up, SLICE, info);
}

static enum err
run_tend(struct jobs *j, struct errinfo *info UNUSED)
{
	pool_tend(j->pool);
	return ERR_OK;
}

const struct step_def jobs_steps[STEP__MAX] = {
    /* what, whether it needs the DB, the pool, the lease */
    [STEP_DB] = {"the database", false, false, false, SECOND, jobs_open_db},
    [STEP_POOL] = {"the key pool", false, false, false, SECOND, jobs_look_at_pool},
    [STEP_SNAPSHOT] = {"the configuration", false, true, false, SECOND, jobs_load_snapshot},
    [STEP_PUBLISH] = {"following the database", true, true, false, PUBLISH_EVERY, jobs_follow},
    [STEP_FLUSH] = {"writing log rows", true, false, false, SECOND, run_flush},
    [STEP_NODE] = {"being one of the nodes", true, false, false, NODE_BEAT_S *SECOND, run_node},
    [STEP_LEASE] = {"the background lease", true, false, false, SECOND, run_lease},
    [STEP_WRITEBACK] = {"writing key states back", true, true, true, SECOND, run_writeback},
    [STEP_VALIDATE] = {"validating keys", true, true, true, SECOND, run_validate},
    [STEP_TASKS] = {"long tasks", true, true, true, SECOND, run_tasks},
    [STEP_RETENTION] = {"deleting old log rows", true, false, true, RETENTION_EVERY, run_retention},
    [STEP_SUMS] = {"summing up older log rows", true, false, true, MINUTE, run_sums},
    [STEP_TEND] = {"keeping the pool in order", false, true, false, TEND_EVERY, run_tend},
};
