/* SPDX-License-Identifier: MIT
 *
 * The background's round: a table of steps, each with a time at which it is due,
 * run one after another. A step that fails is due again after a back-off; its
 * failure is said once, and so is its recovery. A database or a key pool that is away
 * is one cause, whichever step finds it out, and holds back all that need it; what is
 * away is looked for every few seconds.
 *
 * No step takes long: what could (a flush, retention, validation) does a part and
 * is due again at once, so that the lease is renewed and `stop` is obeyed.
 */
#include "lib/jobs.h"
#include "lib/clock.h"
#include "lib/db.h"
#include "lib/flush.h"
#include "lib/gate.h"
#include "lib/lease.h"
#include "lib/limits.h"
#include "lib/localkeys.h"
#include "lib/log.h"
#include "lib/migrate.h"
#include "lib/node.h"
#include "lib/publish.h"
#include "lib/retention.h"
#include "lib/rollup.h"
#include "lib/snapshot.h"
#include "lib/task.h"
#include "lib/validate.h"

#include <stdatomic.h>
#include <stdlib.h>

#define MS              1000LL
#define SECOND          (1000 * MS)
#define MINUTE          (60 * SECOND)
#define PUBLISH_EVERY   (2 * SECOND)
#define TEND_EVERY      (5 * SECOND)
#define RETENTION_EVERY (120 * MINUTE)
#define BACKOFF_MOST    (30 * SECOND)
#define AWAY_MOST       (2 * SECOND)
#define SAY_AGAIN       (10 * MINUTE)
/* What one step may take of a round. */
#define SLICE         (150 * MS)
#define PROBE_WAIT_MS 100
/* New bytes in the spool that are not kept waiting for the interval. */
#define FLUSH_BYTES (1024 * 1024)
#define LAST_ROUNDS 16

enum step {
	STEP_DB,
	STEP_POOL,
	STEP_SNAPSHOT,
	STEP_PUBLISH,
	STEP_FLUSH,
	STEP_NODE,
	STEP_LEASE,
	STEP_WRITEBACK,
	STEP_VALIDATE,
	STEP_TASKS,
	STEP_RETENTION,
	STEP_SUMS,
	STEP_TEND,
	STEP__MAX
};

struct step_state {
	int64_t due_us;    /* monotonic, like all times here */
	unsigned failures; /* in a row */
	enum err said;
	int64_t said_us;
};

struct jobs {
	const struct conf *conf; /* borrowed, like the next */
	struct pool *pool;
	struct db *db;         /* NULL: not open yet */
	struct crypt *crypt;   /* NULL: not needed yet */
	struct snapshot *snap; /* our own copy; NULL: there is none yet */
	struct lease *lease;
	struct validator *validator; /* NULL while the lease is another's */
	struct task_runner *tasks;   /* likewise */
	const atomic_bool *stop;     /* of the round; NULL: nobody stops it */
	struct step_state step[STEP__MAX];
	atomic_bool poked;
	int64_t flush_at_us;
	int64_t left_bytes; /* in the spool after the last flush */
	bool flush_again;
	bool was_held;
};

struct step_def {
	const char *name;
	bool needs_db;
	bool needs_pool;
	bool needs_lease;
	int64_t every_us;
	enum err (*run)(struct jobs *j, struct errinfo *info);
};

static bool
stopped(const struct jobs *j)
{
	return j->stop != NULL && *j->stop;
}

static void
due_in(struct jobs *j, enum step step, int64_t us)
{
	j->step[step].due_us = clock_mono_us() + us;
}

/* --- the steps --- */

/* Opens it, or asks one that failed whether it is back. */
static enum err
run_db(struct jobs *j, struct errinfo *info)
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

static enum err
run_pool(struct jobs *j, struct errinfo *info)
{
	uint64_t version;
	enum err e = pool_version(j->pool, &version);

	return e == ERR_OK ? ERR_OK
			   : err_set(info, e,
				     "it cannot be reached; requests go on with the keys that each "
				     "process knows");
}

static enum err
run_snapshot(struct jobs *j, struct errinfo *info)
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

static enum err
run_publish(struct jobs *j, struct errinfo *info)
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
		due_in(j, STEP_FLUSH, 0);
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
run_writeback(struct jobs *j, struct errinfo *info)
{
	size_t n = 0;

	return writeback_run(j->db, j->pool, &n, info);
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

static enum err
validate(struct jobs *j, int wait_ms, size_t *ret_busy, struct errinfo *info)
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
	e = validate(j, PROBE_WAIT_MS, &busy, info);
	if (e == ERR_OK && busy > 0)
		due_in(j, STEP_VALIDATE, 0);
	return e;
}

static enum err
do_tasks(struct jobs *j, bool *ret_more, struct errinfo *info)
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
	enum err e = j->snap != NULL ? do_tasks(j, &more, info) : ERR_OK;

	if (e == ERR_OK && more)
		due_in(j, STEP_TASKS, 0);
	return e;
}

/* Log rows, and the sums of them. */
static enum err
retain(struct jobs *j, bool *ret_more, struct errinfo *info)
{
	int days = j->snap->log_retention_days;
	bool sums = false;
	enum err e = retention_step(j->db, days, ret_more, info);

	if (e == ERR_OK)
		e = rollup_prune_step(j->db, days, &sums, info);
	*ret_more = *ret_more || sums;
	return e;
}

static enum err
run_retention(struct jobs *j, struct errinfo *info)
{
	int64_t until = clock_mono_us() + SLICE;
	bool more = true;
	enum err e = ERR_OK;

	if (j->snap == NULL) {
		due_in(j, STEP_RETENTION, SECOND);
		return ERR_OK;
	}
	while (e == ERR_OK && more && !stopped(j) && clock_mono_us() < until)
		e = retain(j, &more, info);
	if (e == ERR_OK && more)
		due_in(j, STEP_RETENTION, 0);
	return e;
}

static enum err
run_sums(struct jobs *j, struct errinfo *info)
{
	int64_t until = clock_mono_us() + SLICE;
	bool more = true;
	enum err e = ERR_OK;

	while (e == ERR_OK && more && !stopped(j) && clock_mono_us() < until)
		e = rollup_fill_step(j->db, &more, info);
	if (e == ERR_OK && more)
		due_in(j, STEP_SUMS, SLICE);
	return e;
}

static enum err
run_tend(struct jobs *j, struct errinfo *info UNUSED)
{
	pool_tend(j->pool);
	return ERR_OK;
}

static const struct step_def steps[STEP__MAX] = {
    /* what, whether it needs the DB, the pool, the lease */
    [STEP_DB] = {"the database", false, false, false, SECOND, run_db},
    [STEP_POOL] = {"the key pool", false, false, false, SECOND, run_pool},
    [STEP_SNAPSHOT] = {"the configuration", false, true, false, SECOND, run_snapshot},
    [STEP_PUBLISH] = {"following the database", true, true, false, PUBLISH_EVERY, run_publish},
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

/* --- running them --- */

static void
succeeded(struct jobs *j, enum step step)
{
	struct step_state *s = &j->step[step];

	if (s->failures == 0)
		return;
	log_info("%s: works again", steps[step].name);
	s->failures = 0;
	s->said = ERR_OK;
	/* What was held back is late. */
	for (enum step other = 0; other < STEP__MAX; other++)
		if ((step == STEP_DB && steps[other].needs_db) ||
		    (step == STEP_POOL && steps[other].needs_pool))
			due_in(j, other, 0);
}

static void
failed(struct jobs *j, enum step step, enum err e, const struct errinfo *info)
{
	struct step_state *s = &j->step[step];
	int64_t wait = SECOND << MIN(s->failures, 5U);
	int64_t now = clock_mono_us();

	if (s->said != e || now - s->said_us >= SAY_AGAIN) {
		log_error("%s: %s", steps[step].name, err_text(info, e));
		s->said = e;
		s->said_us = now;
	}
	s->failures++;
	s->due_us =
	    now + MIN(wait, step == STEP_DB || step == STEP_POOL ? AWAY_MOST : BACKOFF_MOST);
}

static bool
may_run(const struct jobs *j, enum step step)
{
	if (steps[step].needs_db && (j->db == NULL || j->step[STEP_DB].failures > 0))
		return false;
	if (steps[step].needs_pool && j->step[STEP_POOL].failures > 0)
		return false;
	return !steps[step].needs_lease || lease_is_held(j->lease);
}

static enum err
run(struct jobs *j, enum step step, struct errinfo *info)
{
	enum err e;

	due_in(j, step, steps[step].every_us);
	e = steps[step].run(j, info);
	if (e == ERR_OK)
		succeeded(j, step);
	else if (e == ERR_DB_AWAY)
		failed(j, STEP_DB, e, info);
	else if (e == ERR_POOL && step != STEP_POOL && run_pool(j, info) != ERR_OK)
		failed(j, STEP_POOL, e, info);
	else
		failed(j, step, e, info);
	return e;
}

/* Whoever wants keys for the time without the pool has an answer before the next step. */
static void
give_keys(struct jobs *j)
{
	bool usable = j->db != NULL && j->step[STEP_DB].failures == 0;
	int64_t group;

	while (pool_wants_keys(j->pool, &group)) {
		struct errinfo info = {""};
		enum err e = ERR_DB_AWAY;

		if (usable)
			e = localkeys_give(j->db, j->pool, group, &info);
		else
			pool_give_keys(j->pool, group, NULL, 0, e);
		if (usable && e != ERR_OK)
			failed(j, e == ERR_DB_AWAY ? STEP_DB : STEP_POOL, e, &info);
		usable = usable && e == ERR_OK;
		due_in(j, STEP_PUBLISH, 0); /* if it answers, and is not whole */
	}
}

/* The lease went to another: so did the keys that we were trying, and the tasks. */
static void
drop_work(struct jobs *j)
{
	if (lease_is_held(j->lease))
		return;
	validator_free(j->validator);
	j->validator = NULL;
	task_runner_free(j->tasks);
	j->tasks = NULL;
}

int
jobs_round(struct jobs *j, const atomic_bool *stop)
{
	int64_t next = clock_mono_us() + SECOND;

	j->stop = stop;
	if (atomic_load(&j->poked) && j->step[STEP_FLUSH].failures == 0)
		due_in(j, STEP_FLUSH, 0);
	for (enum step s = 0; s < STEP__MAX && !stopped(j); s++) {
		struct errinfo info = {""};

		give_keys(j);
		if (may_run(j, s) && clock_mono_us() >= j->step[s].due_us &&
		    run(j, s, &info) != ERR_OK)
			continue; /* said, and due again later */
	}
	drop_work(j);
	for (enum step s = 0; s < STEP__MAX; s++)
		if (may_run(j, s))
			next = MIN(next, j->step[s].due_us);
	if (atomic_load(&j->poked) && may_run(j, STEP_FLUSH) && j->step[STEP_FLUSH].failures == 0)
		next = 0; /* in the middle of the round */
	j->stop = NULL;
	return (int)(MAX(next - clock_mono_us(), 0) / MS);
}

void
jobs_poke(struct jobs *j)
{
	atomic_store(&j->poked, true);
}

/* --- first and last --- */

struct jobs *
jobs_new(const struct conf *conf, struct pool *pool)
{
	struct jobs *j = xcalloc(1, sizeof(*j));

	j->conf = conf;
	j->pool = pool;
	j->lease = lease_new("jobs");
	atomic_init(&j->poked, false);
	return j;
}

/* The node's last process; its own slot at the gate is free by now. */
static void
leave(struct jobs *j)
{
	struct gate_view view;

	gate_look(j->conf, &view);
	if (j->db != NULL && view.processes == 0 && node_leave(j->conf, j->db) != ERR_OK)
		log_debug("the node's row stays until it is old: %s", db_error(j->db));
}

void
jobs_free(struct jobs *j)
{
	if (j == NULL)
		return;
	validator_free(j->validator);
	task_runner_free(j->tasks);
	leave(j);
	/* When it cannot be given up it runs out. */
	if (j->db != NULL && lease_release(j->lease, j->db) != ERR_OK)
		log_debug("the background lease was not given up: %s", db_error(j->db));
	if (j->db != NULL)
		db_settle(j->db);
	db_close(j->db);
	lease_free(j->lease);
	snapshot_unref(j->snap);
	crypt_free(j->crypt);
	free(j);
}

static enum err
writeback_all(struct jobs *j, struct errinfo *info)
{
	size_t n = 1;
	enum err e = ERR_OK;

	for (int i = 0; e == ERR_OK && n > 0 && i < LAST_ROUNDS; i++)
		e = writeback_run(j->db, j->pool, &n, info);
	return e;
}

void
jobs_last(struct jobs *j)
{
	struct flush_bounds bounds = {.wait = true};
	struct flush_result result;
	struct errinfo info = {""};
	enum err e;

	/* Half of what a process has for its end; the rest waits in the spool. */
	bounds.until_us =
	    clock_mono_us() + j->conf->server_graceful_shutdown_timeout_s * SECOND / 2;
	e = run(j, STEP_DB, &info);
	if (e == ERR_OK) {
		e = flush_run(j->conf, j->db, &bounds, &result, &info);
		if (e == ERR_OK)
			e = writeback_all(j, &info);
		if (e != ERR_OK)
			log_error("at the end: %s", err_text(&info, e));
	}
}

/* Every key that is due, to its end. */
static enum err
validate_all(struct jobs *j, struct errinfo *info)
{
	size_t busy = 1;
	bool held = true;
	enum err e = ERR_OK;

	while (e == ERR_OK && busy > 0 && held) {
		e = validate(j, PROBE_WAIT_MS, &busy, info);
		if (e == ERR_OK)
			e = lease_hold(j->lease, j->db, false, &held, info);
	}
	return e;
}

static enum err
retention_all(struct jobs *j, struct errinfo *info)
{
	bool more = true;
	bool held = true;
	enum err e = ERR_OK;

	while (e == ERR_OK && more && held) {
		e = retain(j, &more, info);
		if (e == ERR_OK)
			e = lease_hold(j->lease, j->db, false, &held, info);
	}
	return e;
}

static enum err
sums_all(struct jobs *j, struct errinfo *info)
{
	bool more = true;
	bool held = true;
	enum err e = ERR_OK;

	while (e == ERR_OK && more && held) {
		e = rollup_fill_step(j->db, &more, info);
		if (e == ERR_OK)
			e = lease_hold(j->lease, j->db, false, &held, info);
	}
	return e;
}

static enum err
tasks_all(struct jobs *j, struct errinfo *info)
{
	bool more = true;
	bool held = true;
	enum err e = ERR_OK;

	while (e == ERR_OK && more && held) {
		e = do_tasks(j, &more, info);
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
	e = writeback_all(j, info);
	if (e == ERR_OK && j->snap != NULL)
		e = validate_all(j, info);
	if (e == ERR_OK && j->snap != NULL)
		e = tasks_all(j, info);
	if (e == ERR_OK && j->snap != NULL)
		e = retention_all(j, info);
	if (e == ERR_OK)
		e = sums_all(j, info);
	if (e == ERR_OK)
		e = writeback_all(j, info); /* of keys that came back */
	return e;
}

enum err
jobs_once(struct jobs *j, struct errinfo *info)
{
	enum err e = run_db(j, info);

	if (e == ERR_OK)
		e = run_publish(j, info);
	if (e == ERR_OK)
		e = run_snapshot(j, info);
	if (e == ERR_OK)
		e = spool_flush(j->conf, j->db, true, NULL, info);
	if (e == ERR_OK)
		e = once_as_holder(j, info);
	run_tend(j, info);
	return e;
}
