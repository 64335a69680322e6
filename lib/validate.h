/* SPDX-License-Identifier: MIT
 *
 * Trying keys again that are out, so that a key whose provider healed comes back
 * by itself: as many at a time as a group's key_validation_concurrency says, each
 * by a request of its channel (probe.h), without ever waiting for one. Not for the
 * event loop: a validator has its own connections and belongs to one thread.
 */
#ifndef LIB_VALIDATE_H
#define LIB_VALIDATE_H

#include "lib/conf.h"
#include "lib/crypt.h"
#include "lib/pool.h"
#include "lib/snapshot.h"

struct validator;

/* All borrowed. */
struct validator *validator_new(const struct conf *conf, struct pool *pool,
				const struct crypt *crypt) MUST_CHECK;
/* Drops what is under way; the pool has those keys tried again soon. NULL is fine. */
void validator_free(struct validator *v);

/* Starts what is due in the groups of snap, and lets what is under way go on for at
 * most wait_ms. *ret_busy: how many are under way now. ERR_POOL…: the pool failed. */
enum err validator_run(struct validator *v, struct snapshot *snap, int wait_ms, size_t *ret_busy,
		       struct errinfo *info) MUST_CHECK;
/* A group whose due keys have all been tried since it was last named here; false:
 * none. For groups.last_validated_at. */
bool validator_take_checked(struct validator *v, int64_t *ret_group_id);

/* When a key that is out is tried (again), wall ms. checks: how often that was done
 * in vain, 0 for one that goes out now. The first three times after the validation
 * interval, then doubling up to a day; a little earlier by chance, never later. */
int64_t validate_next_ms(const struct options *opt, uint32_t checks, int64_t now_ms);

#endif
