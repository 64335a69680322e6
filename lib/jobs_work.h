/* SPDX-License-Identifier: MIT
 *
 * Between the files of the background's work: jobs.c has the round, jobs_steps.c what
 * is done in it, jobs_once.c what is done at the end and by `jobs --once`.
 */
#ifndef LIB_JOBS_WORK_H
#define LIB_JOBS_WORK_H

#include "lib/crypt.h"
#include "lib/db.h"
#include "lib/jobs.h"
#include "lib/lease.h"
#include "lib/snapshot.h"

/* All times are monotonic, in µs. */
#define MS     1000LL
#define SECOND (1000 * MS)
#define MINUTE (60 * SECOND)
/* What one step may take of a round. */
#define SLICE         (150 * MS)
#define PROBE_WAIT_MS 100

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
	int64_t due_us;
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
	int chosen_fd;      /* holds the lock of the node's one that does DB work; -1: another */
	int64_t db_used_us; /* when one that is not chosen last needed its connection */
};

/* A part of what a step has to do. *ret_more: there is more. */
typedef enum err (*portion_fn)(struct jobs *j, bool *ret_more, struct errinfo *info);

struct step_def {
	const char *name;
	bool needs_db;
	bool needs_pool;
	bool needs_lease;
	int64_t every_us;
	enum err (*run)(struct jobs *j, struct errinfo *info);
};

extern const struct step_def jobs_steps[STEP__MAX];

bool jobs_stopped(const struct jobs *j);
void jobs_due_in(struct jobs *j, enum step step, int64_t us);
/* Runs the step and says what there is to say of it. */
enum err jobs_run(struct jobs *j, enum step step, struct errinfo *info);
/* Is this process the one of its node that does the work in the database: tries to
 * become it, for up to wait_ms. The lock goes with the process, however that ends. */
bool jobs_choose(struct jobs *j, int wait_ms);

/* --- jobs_steps.c --- */
enum err jobs_open_db(struct jobs *j, struct errinfo *info);
enum err jobs_look_at_pool(struct jobs *j, struct errinfo *info);
enum err jobs_load_snapshot(struct jobs *j, struct errinfo *info);
enum err jobs_follow(struct jobs *j, struct errinfo *info);
enum err jobs_validate(struct jobs *j, int wait_ms, size_t *ret_busy, struct errinfo *info);
/* Portions. */
enum err jobs_write_back(struct jobs *j, bool *ret_more, struct errinfo *info);
enum err jobs_do_tasks(struct jobs *j, bool *ret_more, struct errinfo *info);
enum err jobs_retain(struct jobs *j, bool *ret_more, struct errinfo *info);
enum err jobs_sum_up(struct jobs *j, bool *ret_more, struct errinfo *info);

#endif
