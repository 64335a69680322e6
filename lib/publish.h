/* SPDX-License-Identifier: MIT
 *
 * From the DB to the pool: configuration snapshots, and keys that come and go.
 *
 * A change is one DB transaction that bumps the version (meta_bump_version) or
 * writes an outbox row; then the pool follows. Whoever is killed between the two
 * has lost nothing: publish_pending() of any process finishes it.
 */
#ifndef LIB_PUBLISH_H
#define LIB_PUBLISH_H

#include "lib/db.h"
#include "lib/pool.h"

/* Within a transaction: keys of this group with first_id <= id <= last_id were
 * added, removed or replaced (whole group: 0, INT64_MAX). */
enum err outbox_add(struct db *db, int64_t group_id, int64_t first_id, int64_t last_id) MUST_CHECK;

/* After the commit: compiles the snapshot and puts it into the pool. Warnings of
 * the compiler go to the log. */
enum err publish_config(struct db *db, struct pool *pool, struct errinfo *info) MUST_CHECK;
/* Makes the pool follow every outbox row, in batches; rows done are deleted.
 * progress (may be NULL) is told keys done. Waits for another publisher; ERR_TASK
 * when he takes minutes: he does these rows too. */
enum err publish_keys(struct db *db, struct pool *pool, void (*progress)(void *arg, int64_t done),
		      void *arg, struct errinfo *info) MUST_CHECK;
/* Both, when something is left over or the DB's version is another than the
 * pool's. Cheap when not. Leaves the keys to another publisher that is at work. */
enum err publish_pending(struct db *db, struct pool *pool, struct errinfo *info) MUST_CHECK;

/* Fills an empty pool, or one of another installation or generation, from the DB:
 * one process at a time (flock in DATA_DIR; the others wait). Returns at once when
 * the pool is complete and ours. */
enum err publish_ensure(const struct conf *conf, struct db *db, struct pool *pool,
			struct errinfo *info) MUST_CHECK;

/* State of keys from the pool to the DB (`gptl_seq` orders them): some of them, in one
 * transaction. ret_n: how many; *ret_more: there may be more. */
enum err writeback_step(struct db *db, struct pool *pool, size_t *ret_n, bool *ret_more,
			struct errinfo *info) MUST_CHECK;
/* All of them, however long that takes. ret_n: how many. */
enum err writeback_run(struct db *db, struct pool *pool, size_t *ret_n, struct errinfo *info)
    MUST_CHECK;

#endif
