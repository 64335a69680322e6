/* SPDX-License-Identifier: MIT
 *
 * Who does the work that only one process of the installation may do: a row of
 * gptl_lease with a holder, an end, and a fencing number that grows each time it
 * changes hands. A holder that dies is followed within 15 s: its time, a margin of 2 s,
 * and the next look of another.
 */
#ifndef LIB_LEASE_H
#define LIB_LEASE_H

#include "lib/db.h"

#define LEASE_TTL_S   8
#define LEASE_RENEW_S 2

struct lease;

/* `name` is borrowed. One struct lease is one contender. */
struct lease *lease_new(const char *name) MUST_CHECK;
void lease_free(struct lease *l); /* NULL is fine; see lease_release() */

/* Renews it when it is ours, takes it when it is free or its holder's time is
 * over. Asks the DB every LEASE_RENEW_S at most, or at once when `now`. */
enum err lease_hold(struct lease *l, struct db *db, bool now, bool *ret_held, struct errinfo *info)
    MUST_CHECK;
/* Ours for certain, by the monotonic clock: false some seconds before another can
 * take it. Asks nobody. */
bool lease_is_held(const struct lease *l);
/* Of the last time it was ours; 0: never. */
int64_t lease_fence(const struct lease *l);
/* Lets another take it at once. Nothing when it is not ours. */
enum err lease_release(struct lease *l, struct db *db) MUST_CHECK;

#endif
