/* SPDX-License-Identifier: MIT
 *
 * The background's round: a table of steps, each with a time at which it is due,
 * run one after another. A step that fails is due again after a back-off; its
 * failure is said once, and so is its recovery. A database or a key pool that is away
 * is one cause, whichever step finds it out, and holds back all that need it; what is
 * away is looked for every few seconds.
 *
 * Of a node's processes one does the work in the database; a server has to bear one
 * connection a node for it, not one for each of 300 managed processes. The others
 * connect only to write rows at once (an interval of 0) or to fetch keys while Redis is
 * away, and not for long.
 */
#include "lib/jobs_work.h"

#include "lib/clock.h"
#include "lib/gate.h"
#include "lib/localkeys.h"
#include "lib/log.h"
#include "lib/node.h"
#include "lib/task.h"
#include "lib/validate.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define BACKOFF_MOST (30 * SECOND)
#define AWAY_MOST    (2 * SECOND)
#define SAY_AGAIN    (10 * MINUTE)
/* A connection that one which is not chosen keeps unused. */
#define DB_IDLE (10 * SECOND)
/* Between two tries to become the chosen one while it is waited for. */
#define CHOOSE_AGAIN_MS 20

bool
jobs_stopped(const struct jobs *j)
{
	return j->stop != NULL && *j->stop;
}

void
jobs_due_in(struct jobs *j, enum step step, int64_t us)
{
	j->step[step].due_us = clock_mono_us() + us;
}

/* --- one of the node's processes --- */

static int
try_lock(const struct conf *conf)
{
	AUTO_FREE char *path = conf_path(conf, "run/jobs");
	int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0) {
		close(fd);
		fd = -1;
	}
	return fd;
}

bool
jobs_choose(struct jobs *j, int wait_ms)
{
	static const struct timespec pause = {.tv_nsec = CHOOSE_AGAIN_MS * 1000000L};

	while (j->chosen_fd < 0 && (j->chosen_fd = try_lock(j->conf)) < 0 && wait_ms > 0) {
		(void)nanosleep(&pause, NULL);
		wait_ms -= CHOOSE_AGAIN_MS;
	}
	return j->chosen_fd >= 0;
}

/* Rows are to be written at once, or keys were fetched a moment ago. */
static bool
needs_db_itself(struct jobs *j)
{
	if (atomic_load(&j->poked) || j->flush_again)
		j->db_used_us = clock_mono_us();
	return j->db_used_us != 0 && clock_mono_us() - j->db_used_us < DB_IDLE;
}

static void
let_db_go(struct jobs *j)
{
	if (j->db == NULL || j->chosen_fd >= 0 || needs_db_itself(j))
		return;
	db_close(j->db);
	j->db = NULL;
}

/* --- running them --- */

static void
succeeded(struct jobs *j, enum step step)
{
	struct step_state *s = &j->step[step];

	if (s->failures == 0)
		return;
	log_info("%s: works again", jobs_steps[step].name);
	s->failures = 0;
	s->said = ERR_OK;
	/* What was held back is late. */
	for (enum step other = 0; other < STEP__MAX; other++)
		if ((step == STEP_DB && jobs_steps[other].needs_db) ||
		    (step == STEP_POOL && jobs_steps[other].needs_pool))
			jobs_due_in(j, other, 0);
}

static void
failed(struct jobs *j, enum step step, enum err e, const struct errinfo *info)
{
	struct step_state *s = &j->step[step];
	int64_t wait = SECOND << MIN(s->failures, 5U);
	int64_t now = clock_mono_us();

	if (s->said != e || now - s->said_us >= SAY_AGAIN) {
		log_error("%s: %s", jobs_steps[step].name, err_text(info, e));
		s->said = e;
		s->said_us = now;
	}
	s->failures++;
	s->due_us =
	    now + MIN(wait, step == STEP_DB || step == STEP_POOL ? AWAY_MOST : BACKOFF_MOST);
}

static bool
may_run(struct jobs *j, enum step step)
{
	if (j->chosen_fd < 0 && (step == STEP_DB || jobs_steps[step].needs_db) &&
	    !((step == STEP_DB || step == STEP_FLUSH) && needs_db_itself(j)))
		return false;
	if (jobs_steps[step].needs_db && (j->db == NULL || j->step[STEP_DB].failures > 0))
		return false;
	if (jobs_steps[step].needs_pool && j->step[STEP_POOL].failures > 0)
		return false;
	return !jobs_steps[step].needs_lease || lease_is_held(j->lease);
}

enum err
jobs_run(struct jobs *j, enum step step, struct errinfo *info)
{
	enum err e;

	jobs_due_in(j, step, jobs_steps[step].every_us);
	e = jobs_steps[step].run(j, info);
	if (e == ERR_OK)
		succeeded(j, step);
	else if (e == ERR_DB_AWAY)
		failed(j, STEP_DB, e, info);
	else if (e == ERR_POOL && step != STEP_POOL && jobs_look_at_pool(j, info) != ERR_OK)
		failed(j, STEP_POOL, e, info);
	else
		failed(j, step, e, info);
	return e;
}

/* Opens it for one that is not chosen and had no need of it so far. */
static bool
db_is_usable(struct jobs *j)
{
	struct errinfo info = {""};

	j->db_used_us = clock_mono_us();
	if (j->db == NULL && j->step[STEP_DB].failures == 0)
		(void)!jobs_run(j, STEP_DB, &info);
	return j->db != NULL && j->step[STEP_DB].failures == 0;
}

/* Whoever wants keys for the time without the pool has an answer before the next step. */
static void
give_keys(struct jobs *j)
{
	int64_t group;

	while (pool_wants_keys(j->pool, &group)) {
		struct errinfo info = {""};
		enum err e;

		jobs_due_in(j, STEP_PUBLISH, 0); /* if it answers, and is not whole */
		if (!db_is_usable(j)) {
			pool_give_keys(j->pool, group, NULL, 0, ERR_DB_AWAY);
			continue;
		}
		e = localkeys_give(j->db, j->pool, group, &info);
		if (e != ERR_OK)
			failed(j, e == ERR_DB_AWAY ? STEP_DB : STEP_POOL, e, &info);
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
	(void)jobs_choose(j, 0);
	if (atomic_load(&j->poked) && j->step[STEP_FLUSH].failures == 0)
		jobs_due_in(j, STEP_FLUSH, 0);
	for (enum step s = 0; s < STEP__MAX && !jobs_stopped(j); s++) {
		struct errinfo info = {""};

		give_keys(j);
		if (may_run(j, s) && clock_mono_us() >= j->step[s].due_us &&
		    jobs_run(j, s, &info) != ERR_OK)
			continue; /* said, and due again later */
	}
	drop_work(j);
	let_db_go(j);
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
	j->chosen_fd = -1;
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
	if (j->chosen_fd >= 0)
		close(j->chosen_fd);
	free(j);
}
