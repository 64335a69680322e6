/* SPDX-License-Identifier: MIT
 *
 * What one worker knows of the keys that it used, so that it can go on while the
 * shared pool is away: turns, rests and failures counted in this process's memory.
 *
 * It learns from the pool's own picks, and may be given a group's active keys out of
 * the DB. Its reports are mirrored at all times, so that what it knows is what the
 * pool said last. Bounded by LIMIT_LOCAL_KEYS and LIMIT_LOCAL_KEYS_ALL: what is beyond
 * is not learnt. Belongs to one thread.
 */
#ifndef LIB_LOCALPOOL_H
#define LIB_LOCALPOOL_H

#include "lib/pool.h"

struct localpool;

struct localpool *localpool_new(void) MUST_CHECK;
void localpool_free(struct localpool *lp); /* NULL is fine */

/* The pool gave this key out just now: it is active, and has p->fails. */
void localpool_learn(struct localpool *lp, int64_t group_id, const struct pick *p);
/* Keys of the group were removed or disabled, nobody knows which; 0: of any group. */
void localpool_forget(struct localpool *lp, int64_t group_id);
/* The group's active keys, sorted by id. Those that are known keep their state, also
 * when they are out by now; others go. */
void localpool_load(struct localpool *lp, int64_t group_id, const struct pool_key *keys, size_t n);
/* Whether the group is to be loaded: never, or not since `since_us` (mono). */
bool localpool_is_stale(struct localpool *lp, int64_t group_id, int64_t since_us);
/* Has something been learnt or loaded, be it that the group has no key. */
bool localpool_knows(struct localpool *lp, int64_t group_id);

/* As pool_pick(), but for `version`; ret->stored is borrowed until the next call. */
enum err localpool_pick(struct localpool *lp, const struct pick_query *q, struct pick *ret)
    MUST_CHECK;
uint64_t localpool_turn(struct localpool *lp, int64_t group_id);
/* As pool_report(). A rest without an end gets one: *r says it afterwards. false: it
 * changed nothing, or the key is not known. */
bool localpool_report(struct localpool *lp, struct report *r, enum pool_move *ret_move,
		      uint32_t *ret_fails);
/* Keys known, over all groups. */
size_t localpool_count(const struct localpool *lp);

#endif
