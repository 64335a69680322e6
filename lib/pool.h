/* SPDX-License-Identifier: MIT
 *
 * The key pool: who is next, who rests, who is out; and the compiled
 * configuration with its version. One interface, two stores: LMDB in DATA_DIR
 * (pool_lmdb.c) and Redis; the store's own atomicity does the work, over every
 * process of the node or of the cluster.
 *
 * A key is in exactly one place:
 *
 *	ACTIVE   in the group's ring, a circle by id: who comes after the last is next
 *	RESTING  (still "active" in the DB) in the rest set, ordered by its end
 *	INVALID  out: in the check set, ordered by when it is tried again
 *	DISABLED by hand: in none
 *
 * Truth: the DB's for which keys exist, the pool's for their state; state goes
 * back to the DB through the dirty set (pool_dirty_*), in order of `seq`.
 *
 * The calls with a callback may answer before they return (LMDB) or later from
 * the event loop (Redis). The others block and are for jobs and admin programs.
 * A struct pool may be used from several threads of one process, never across a
 * fork.
 */
#ifndef LIB_POOL_H
#define LIB_POOL_H

#include "lib/base.h"
#include "lib/buf.h"
#include "lib/crypt.h"
#include "lib/err.h"

struct conf;
struct pool;

enum key_state {
	KEY_ACTIVE,
	KEY_RESTING,
	KEY_INVALID,
	KEY_DISABLED,
	KEY__MAX
};

/* The column api_keys.status: "active" (also when resting), "invalid", "disabled". */
const char *key_state_status(enum key_state state);
bool key_state_parse(struct str status, enum key_state *ret) MUST_CHECK;

/* Opens, or makes, the store of this configuration. LMDB: a file of another boot,
 * or one that was not written to its end, is replaced by an empty one. */
enum err pool_open(const struct conf *conf, struct pool **ret, struct errinfo *info) MUST_CHECK;
void pool_close(struct pool *p); /* NULL is fine */

/* --- which installation this pool belongs to --- */
struct pool_identity {
	char installation[37]; /* gptl_meta "installation_id"; "" in an empty pool */
	uint64_t generation;   /* gptl_meta "generation": grows when a backup is restored */
	bool complete;         /* every key of the DB has been put in since */
};
enum err pool_identity_get(struct pool *p, struct pool_identity *ret) MUST_CHECK;
enum err pool_identity_set(struct pool *p, const struct pool_identity *id) MUST_CHECK;

/* This installation lives here, which is said again every few seconds. Appends the name
 * of the pool, the same for every node that has it; nothing where a pool is one
 * node's. ERR_CONF: another installation does, by its own word, less than
 * POOL_CLAIM_S ago. */
#define POOL_CLAIM_S 30
enum err pool_claim(struct pool *p, const char *installation, struct buf *ret_name) MUST_CHECK;

/* --- configuration --- */
/* Cheap (LMDB: under a microsecond). 0: there is no snapshot yet. */
enum err pool_version(struct pool *p, uint64_t *ret) MUST_CHECK;
/* Keeps the newer: a version that is not above the stored one changes nothing,
 * unless `force` (another installation's pool is being taken over). */
enum err pool_snapshot_put(struct pool *p, uint64_t version, struct str text, bool force)
    MUST_CHECK;
enum err pool_snapshot_get(struct pool *p, struct buf *out, uint64_t *ret_version) MUST_CHECK;
/* The same with a callback, for the hot path. text: borrowed during the callback. */
typedef void (*snapshot_fn)(void *arg, enum err e, struct str text, uint64_t version);
void pool_snapshot_ask(struct pool *p, snapshot_fn fn, void *arg);

/* --- the hot path --- */
struct pick_query {
	int64_t group_id;
	const int64_t *not_these; /* key ids tried already; borrowed for the call */
	size_t n_not_these;
};

struct pick {
	int64_t key_id;
	uint64_t turn;    /* of the group: grows by one with each pick */
	uint64_t version; /* of the stored snapshot */
	uint32_t fails;   /* in a row, before this use */
	uint8_t hash[CRYPT_HASH_BYTES];
	struct str stored;   /* the key as it is stored; borrowed during the callback */
	int64_t rest_end_ms; /* ERR_ALL_RESTING: when the first rest ends, wall ms */
};

/* ERR_OK: a key of the ring that is not one of not_these, or, when all that are
 * in the ring are, the first of them. ERR_ALL_RESTING, ERR_NO_KEYS: as it says
 * (p->version is valid). ERR_POOL…: the store failed. */
typedef void (*pick_fn)(void *arg, enum err e, const struct pick *p);
void pool_pick(struct pool *p, const struct pick_query *q, pick_fn fn, void *arg);

/* The next turn of a group without taking a key: for aggregates. */
typedef void (*turn_fn)(void *arg, enum err e, uint64_t turn);
void pool_turn(struct pool *p, int64_t group_id, turn_fn fn, void *arg);

enum key_verdict {
	VERDICT_OK,      /* failures in a row := 0, the rest's step := 0, INVALID → ACTIVE */
	VERDICT_BLAMED,  /* failures + 1; out at the threshold */
	VERDICT_LIMITED, /* rests; never a failure */
};

#define POOL_ERROR_TEXT 160

struct report {
	int64_t group_id;
	int64_t key_id;
	enum key_verdict verdict;
	int threshold;         /* 0: never out */
	int64_t rest_until_ms; /* VERDICT_LIMITED: wall ms; 0: 1 s, doubling to 60 s */
	int64_t next_check_ms; /* VERDICT_BLAMED: when it is tried again if it is out now */
	int status;            /* the answer that led to it; 0: none */
	struct str error;      /* redacted; cut to POOL_ERROR_TEXT - 1 */
};

/* What a report changed, for the log line; `none` when it changed no state. */
enum pool_move {
	POOL_MOVE_NONE,
	POOL_MOVE_OUT,
	POOL_MOVE_REST,
	POOL_MOVE_BACK
};
typedef void (*report_fn)(void *arg, enum err e, enum pool_move move, uint32_t fails);
/* One atomic step. Unknown keys are ignored. A report about a key that is INVALID
 * or DISABLED changes nothing, but VERDICT_OK brings an INVALID one back (a
 * validation found it healed). fn may be NULL. VERDICT_OK on a key without
 * failures and without a rest step writes nothing. */
void pool_report(struct pool *p, const struct report *r, report_fn fn, void *arg);

/* --- keys come and go (DB first; idempotent) --- */
struct pool_key {
	int64_t id;
	enum key_state state; /* ACTIVE, INVALID or DISABLED */
	uint32_t fails;
	uint64_t seq; /* api_keys.gptl_seq */
	uint8_t hash[CRYPT_HASH_BYTES];
	struct str stored;
};
/* Makes the group's keys with first_id <= id <= last_id exactly these (sorted by
 * id). One that is there already keeps its state, unless the given seq is higher
 * or `force`. Call in batches; what is given goes in as one atomic step, after what
 * is not among it has gone. The hot path waits for that step: LMDB about
 * 1 us a key, Redis about 5.
 * ERR_POOL_FULL: none of it went in. ERR_VALIDATION: a key is too long. */
enum err pool_sync(struct pool *p, int64_t group_id, int64_t first_id, int64_t last_id,
		   const struct pool_key *keys, size_t n, bool force) MUST_CHECK;
enum err pool_drop_group(struct pool *p, int64_t group_id) MUST_CHECK;
/* Ids of the groups that have keys here; *ret is malloc'ed. */
enum err pool_groups(struct pool *p, int64_t **ret, size_t *ret_n) MUST_CHECK;

/* By hand. Restoring makes INVALID, RESTING and DISABLED keys ACTIVE with no
 * failures; *ret_changed counts those that were not. state: ACTIVE or DISABLED. */
enum err pool_set_state(struct pool *p, int64_t group_id, const int64_t *ids, size_t n,
			enum key_state state, size_t *ret_changed) MUST_CHECK;

/* --- looking --- */
struct pool_counts {
	int64_t by_state[KEY__MAX];
};
enum err pool_counts(struct pool *p, int64_t group_id, struct pool_counts *ret) MUST_CHECK;

struct key_info {
	int64_t id;
	int64_t group_id;
	enum key_state state;
	uint32_t fails;
	uint64_t seq;
	int64_t rest_until_ms; /* 0: does not rest */
	int64_t next_check_ms; /* of an INVALID key */
	uint32_t checks;       /* failed validations since it went out */
	int status;            /* of the last failure; 0: none */
	int64_t failed_at_ms;  /* of the last failure; 0: none */
	char error[POOL_ERROR_TEXT];
};
/* ERR_NOT_FOUND. */
enum err pool_key_info(struct pool *p, int64_t key_id, struct key_info *ret) MUST_CHECK;

/* --- state on its way back to the DB --- */
/* Up to max keys whose state changed since they were last cleared. */
enum err pool_dirty(struct pool *p, struct key_info *ret, size_t max, size_t *ret_n) MUST_CHECK;
/* Those that have not changed again (same seq) are clean now. */
enum err pool_dirty_clear(struct pool *p, const struct key_info *keys, size_t n) MUST_CHECK;

/* --- keys to try again --- */
struct due_key {
	int64_t id;
	int64_t group_id;
	uint32_t checks;
	char *stored; /* malloc'ed; the caller's */
};
/* Takes up to max INVALID keys of the group whose time has come, and moves their
 * next check to now_ms + lease_ms, so that a runner that dies loses nothing. */
enum err pool_due(struct pool *p, int64_t group_id, int64_t now_ms, int64_t lease_ms,
		  struct due_key *ret, size_t max, size_t *ret_n) MUST_CHECK;
/* A validation failed again: checks + 1, next check at next_ms. */
enum err pool_check_failed(struct pool *p, int64_t key_id, int64_t next_ms, int status,
			   struct str error) MUST_CHECK;

/* Housekeeping on a timer (LMDB: clears slots of readers that died; Redis: a broken
 * connection is made anew). */
void pool_tend(struct pool *p);

/* From now on the calls of the hot path made by this thread are answered from this
 * event loop, which they never hold up. Close the pool before the loop is freed. A
 * store that answers at once does nothing. */
struct event_base;
void pool_attach(struct pool *p, struct event_base *base);
/* Appends what the operator should know of the store: it forgets, it evicts. Nothing
 * when all is well. */
void pool_warning(struct pool *p, struct buf *out);

/* --- while a store that others share is away --- */
/* Then the hot path of an attached thread goes on out of this process's memory: keys
 * that it used or is given, turns and failures of its own, which the store is told
 * when it is back. LMDB is never away. */
struct pool_away {
	bool away;
	uint64_t waiting; /* reports that the store is to be told */
	uint64_t lost;    /* those that were too many, since the process began */
};
void pool_away(struct pool *p, struct pool_away *ret);
/* Whether somebody waits for keys of a group out of the DB: *ret_group. Once for each
 * time that they are needed. From any thread, as the next. */
bool pool_wants_keys(struct pool *p, int64_t *ret_group) MUST_CHECK;
/* The group's active keys, sorted by id; copied. e: why there are none, else ERR_OK. */
void pool_give_keys(struct pool *p, int64_t group_id, const struct pool_key *keys, size_t n,
		    enum err e);
/* fn(arg) is called by the attached thread when keys are wanted. */
void pool_on_want(struct pool *p, void (*fn)(void *arg), void *arg);

/* --- for the stores --- */
/* The vtable is in pool_store.h. */

#endif
