/* SPDX-License-Identifier: MIT
 *
 * A group's active keys from the DB into this process's memory, for the time in which
 * the shared pool is away (pool.h, "while a store that others share is away").
 */
#ifndef LIB_LOCALKEYS_H
#define LIB_LOCALKEYS_H

#include "lib/db.h"
#include "lib/pool.h"

/* Gives the pool up to LIMIT_LOCAL_KEYS of them, or the error. */
enum err localkeys_give(struct db *db, struct pool *pool, int64_t group_id, struct errinfo *info)
    MUST_CHECK;

#endif
