/* SPDX-License-Identifier: MIT
 *
 * What log rows add up to, for the dashboard: gptl_rollups. Each row counts per
 * minute, hour and day, for its group, its model and its key, and once more for the
 * aggregate it came through. Written in the transaction that inserts the rows, so that
 * each counts once.
 *
 * Latencies are counted in slots on a logarithmic scale, four to a doubling: a
 * percentile that is read from them lies in the slot of the true one, so it is less
 * than 19 % off.
 */
#ifndef LIB_ROLLUP_H
#define LIB_ROLLUP_H

#include "lib/db.h"
#include "lib/logrow.h"

#define ROLLUP_MINUTE 60
#define ROLLUP_HOUR   3600
#define ROLLUP_DAY    86400
/* For how long minutes and hours are kept, in seconds: what the ranges made of them show,
 * and a little more. Days are kept as long as the log. */
#define ROLLUP_KEEP_MINUTES (7 * 3600)
#define ROLLUP_KEEP_HOURS   (8 * 86400)

/* What `item` of a row is. For the first three group_id is the group that did the
 * work, for the others the aggregate above it. Keys count tries, the others
 * requests. */
enum rollup_kind {
	ROLLUP_GROUP = 1,    /* the group's id again */
	ROLLUP_MODEL,        /* '=' and the model's name; "": none was named */
	ROLLUP_KEY,          /* the key's id */
	ROLLUP_PARENT_GROUP, /* the id of the member that did the work */
	ROLLUP_PARENT_MODEL,
	ROLLUP_PARENT_KEY,
};
/* Models or keys beyond their limit (LIMIT_ROLLUP_…). */
#define ROLLUP_OTHER "*"

#define ROLLUP_SLOTS 100
/* The slot of a latency in ms. */
int rollup_slot(int64_t ms);
/* The latency in ms below which `percent` of those in the slots lie; -1: there are none. */
int64_t rollup_percentile(const int64_t slots[ROLLUP_SLOTS], int percent);

/* Sums under way. */
struct rollup;
struct rollup *rollup_new(void);
void rollup_free(struct rollup *r); /* NULL is fine */
/* The row may go after the call. Asks the DB which models and keys are counted by
 * themselves, within the caller's transaction, as the next. ERR_DB…: see db_error(). */
enum err rollup_add(struct rollup *r, struct db *db, const struct logrow *row) MUST_CHECK;
enum err rollup_write(struct rollup *r, struct db *db) MUST_CHECK;

/* Adds log rows that were there before the sums were (a database that was taken over):
 * a minute of them in one transaction. *ret_more: there are more. */
enum err rollup_fill_step(struct db *db, bool *ret_more, struct errinfo *info) MUST_CHECK;
/* Every row is in the sums, as far as rollup_fill_step() knows. */
enum err rollup_is_complete(struct db *db, bool *ret) MUST_CHECK;
/* Deletes what no range shows any more: one step of time. days: of the log's retention;
 * 0 keeps days for ever. */
enum err rollup_prune_step(struct db *db, int days, bool *ret_more, struct errinfo *info)
    MUST_CHECK;

#endif
