/* SPDX-License-Identifier: MIT
 *
 * Long tasks: importing, deleting and validating many keys. Whoever wants one puts it
 * into the DB, its keys stored in portions; the process that holds the background
 * lease does it, portion by portion, each in one transaction with its progress and its
 * counts. So it goes on where it was after any process was killed, and each key counts
 * once. A group has one task at a time, by a unique index.
 *
 *	waiting ──▶ running ──▶ done
 *	   └───────────┴─────▶ failed (error says why), cancelled
 */
#ifndef LIB_TASK_H
#define LIB_TASK_H

#include <stdatomic.h>

#include "lib/arena.h"
#include "lib/cause.h"
#include "lib/conf.h"
#include "lib/crypt.h"
#include "lib/db.h"
#include "lib/key.h"
#include "lib/pool.h"

enum task_type {
	TASK_IMPORT,
	TASK_DELETE,
	TASK_VALIDATE
};

/* One row; text in the arena. */
struct task_row {
	int64_t id;
	struct str type; /* "KEY_IMPORT", "KEY_DELETE", "KEY_VALIDATION" */
	int64_t group_id;
	struct str group_name;
	struct str state;
	struct str key_status; /* which keys are validated; empty: all */
	int64_t total;         /* keys given, repeated ones included */
	int64_t processed;
	int64_t good;     /* added, deleted, or valid */
	int64_t position; /* validation: of the last key id done */
	bool cancelled;   /* is to end */
	struct str error;
	int64_t created_at; /* µs; 0: not yet. Likewise the two below */
	int64_t started_at;
	int64_t finished_at;
};

/* ERR_NOT_FOUND: no such group. ERR_VALIDATION: an aggregate. ERR_TASK: the group has
 * one already; an import waits for it to end, unless LIMIT_TASKS_QUEUED do. */
enum err task_add(struct db *db, const struct crypt *crypt, int64_t group_id, enum task_type type,
		  const struct key_text *keys, struct arena *arena, struct task_row *ret,
		  struct errinfo *info) MUST_CHECK;
/* Tries every key, or those of a status. ERR_VALIDATION: there is none. */
enum err task_add_validation(struct db *db, int64_t group_id, struct str status,
			     struct arena *arena, struct task_row *ret, struct errinfo *info)
    MUST_CHECK;

enum err task_get(struct db *db, int64_t id, struct arena *arena, struct task_row *ret,
		  struct errinfo *info) MUST_CHECK;
/* Newest first; group_id 0: of all groups. */
enum err task_list(struct db *db, int64_t group_id, size_t max, struct arena *arena,
		   struct task_row **ret, size_t *ret_n) MUST_CHECK;
/* What an import was given and left out, before it began. */
struct task_report {
	int64_t repeated; /* keys that stood there more than once */
	int64_t malformed;
	struct key_fault *faults; /* the first of them; in the arena */
	size_t n_faults;
};
/* Of an import; all zero when nothing was left out, and when there is no such task.
 * ERR_CRYPT: stored with another ENCRYPTION_KEY. */
enum err task_report_get(struct db *db, const struct crypt *crypt, int64_t id, struct arena *arena,
			 struct task_report *ret) MUST_CHECK;
/* Of a validation: adds why the keys failed that it has counted so far. ERR_CRYPT: as above. */
enum err task_causes_get(struct db *db, const struct crypt *crypt, int64_t id,
			 struct causes *causes) MUST_CHECK;
bool task_is_active(const struct task_row *t); /* waits or runs */
/* It ends at its next portion. ERR_NOT_FOUND; nothing when it has ended. */
enum err task_cancel(struct db *db, int64_t id, struct errinfo *info) MUST_CHECK;

/* --- doing them; for one thread of the lease's holder --- */
struct task_runner;

/* All borrowed. */
struct task_runner *task_runner_new(const struct conf *conf, struct pool *pool, struct db *db,
				    const struct crypt *crypt) MUST_CHECK;
/* Validations under way are dropped and done again by the next. NULL is fine. */
void task_runner_free(struct task_runner *r);
/* Works until there is nothing to do, or until_us (monotonic), or *stop (may be NULL).
 * *ret_more: there is more to do. An error is the DB's or the pool's, never one
 * task's own: that is in its row. */
enum err task_run(struct task_runner *r, int64_t until_us, const atomic_bool *stop, bool *ret_more,
		  struct errinfo *info) MUST_CHECK;

#endif
