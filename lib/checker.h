/* SPDX-License-Identifier: MIT
 *
 * Trying given keys of one group, several at a time, and telling the pool what came
 * out of it as the responder does: for whoever asks for a test now, and for the
 * validation of a whole group. Belongs to one thread.
 */
#ifndef LIB_CHECKER_H
#define LIB_CHECKER_H

#include "lib/conf.h"
#include "lib/pool.h"
#include "lib/snapshot.h"

struct checker;

struct checked {
	int64_t key_id;
	bool ok;
	int status;     /* of the answer; 0: there was none */
	struct buf why; /* not ok: for people, without the key; to be freed */
	int64_t took_ms;
};

/* conf and pool are borrowed; snap is kept by a reference. ERR_VALIDATION: the group
 * is not there, or has no channel or upstream to try a key with. */
enum err checker_new(struct checker **ret, const struct conf *conf, struct pool *pool,
		     struct snapshot *snap, int64_t group_id, struct errinfo *info) MUST_CHECK;
/* Drops what is under way; NULL is fine. */
void checker_free(struct checker *c);
/* How many may be started now, by the group's key_validation_concurrency. */
size_t checker_room(const struct checker *c);
size_t checker_busy(const struct checker *c);
/* ERR_CONF: the group's header rules cannot be applied. */
enum err checker_start(struct checker *c, int64_t key_id, struct str key, struct errinfo *info)
    MUST_CHECK;
/* Lets what is under way go on for at most wait_ms, or until one has ended. */
void checker_run(struct checker *c, int wait_ms);
/* One that has ended and of which the pool has been told; false: none (yet). */
bool checker_take(struct checker *c, struct checked *ret);

#endif
