/* SPDX-License-Identifier: MIT
 *
 * The nodes of one installation: everything that shares a DATA_DIR is a node, and
 * nodes share a database. Each has a row of gptl_nodes, which is fresh while some
 * process of the node lives, and whose digests tell whether another node has the
 * same secrets. DATA_DIR/run/node says, to processes that start, that this node was
 * admitted with this configuration, so that they need not ask the database.
 */
#ifndef LIB_NODE_H
#define LIB_NODE_H

#include "lib/db.h"
#include "lib/pool.h"

/* Between two signs of life of a node, and after how long without one it is dead. */
#define NODE_BEAT_S  5
#define NODE_ALIVE_S 30

/* At start, on a migrated database and before anything is put into the pool. ERR_CONF,
 * with one line in *info, when a node that is alive has another AUTH_KEY,
 * ENCRYPTION_KEY or pool, or another installation lives in this pool. Else this node
 * is recorded. Takes 0.1 s for the digests, and up to 7 s before it says that pools
 * differ (a Redis that was emptied just now is everybody's again after a beat). */
enum err node_admit(const struct conf *conf, struct db *db, struct pool *pool, struct errinfo *info)
    MUST_CHECK;

/* Was this node admitted with this configuration; `alive`: and has it given a sign of
 * life since, so that no other can have come with different secrets meanwhile? */
bool node_was_admitted(const struct conf *conf, bool alive);

/* A sign of life, from any process of the node, every NODE_BEAT_S; does nothing when
 * another process has just given one. ERR_CONF: as above, found too late: the node
 * had been away from the database. */
enum err node_beat(const struct conf *conf, struct db *db, struct pool *pool, struct errinfo *info)
    MUST_CHECK;

/* Does a node other than this one live; its place, cut; "": none does. Only reads. */
enum err node_other_place(const struct conf *conf, struct db *db, char ret[65]) MUST_CHECK;

/* The last process of the node ends: others need not wait for its row to grow old. */
enum err node_leave(const struct conf *conf, struct db *db) MUST_CHECK;

#endif
