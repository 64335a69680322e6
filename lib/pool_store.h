/* SPDX-License-Identifier: MIT
 *
 * What a store of the key pool provides; for pool.c and the stores only. A store
 * embeds struct pool as its first member and fills the table; pool.c forwards
 * each function of pool.h to the one of the same name, with the same contract.
 */
#ifndef LIB_POOL_STORE_H
#define LIB_POOL_STORE_H

#include "lib/limits.h"
#include "lib/pool.h"

/* A key as it is stored is its own text, or hex of nonce, text and tag (crypt.h). */
#define POOL_STORED_MAX (2 * (LIMIT_KEY_BYTES + 12 + 16))

struct pool_store {
	void (*close)(struct pool *p);
	enum err (*identity_get)(struct pool *p, struct pool_identity *ret);
	enum err (*identity_set)(struct pool *p, const struct pool_identity *id);
	enum err (*version)(struct pool *p, uint64_t *ret);
	enum err (*snapshot_put)(struct pool *p, uint64_t version, struct str text, bool force);
	enum err (*snapshot_get)(struct pool *p, struct buf *out, uint64_t *ret_version);
	void (*snapshot_ask)(struct pool *p, snapshot_fn fn, void *arg);
	void (*pick)(struct pool *p, const struct pick_query *q, pick_fn fn, void *arg);
	void (*turn)(struct pool *p, int64_t group_id, turn_fn fn, void *arg);
	void (*report)(struct pool *p, const struct report *r, report_fn fn, void *arg);
	enum err (*sync)(struct pool *p, int64_t group_id, int64_t first_id, int64_t last_id,
			 const struct pool_key *keys, size_t n, bool force);
	enum err (*drop_group)(struct pool *p, int64_t group_id);
	enum err (*groups)(struct pool *p, int64_t **ret, size_t *ret_n);
	enum err (*set_state)(struct pool *p, int64_t group_id, const int64_t *ids, size_t n,
			      enum key_state state, size_t *ret_changed);
	enum err (*counts)(struct pool *p, int64_t group_id, struct pool_counts *ret);
	enum err (*key_info)(struct pool *p, int64_t key_id, struct key_info *ret);
	enum err (*dirty)(struct pool *p, struct key_info *ret, size_t max, size_t *ret_n);
	enum err (*dirty_clear)(struct pool *p, const struct key_info *keys, size_t n);
	enum err (*due)(struct pool *p, int64_t group_id, int64_t now_ms, int64_t lease_ms,
			struct due_key *ret, size_t max, size_t *ret_n);
	enum err (*check_failed)(struct pool *p, int64_t key_id, int64_t next_ms, int status,
				 struct str error);
	void (*tend)(struct pool *p);
	enum err (*verify)(struct pool *p, struct errinfo *info);
	void (*attach)(struct pool *p, struct event_base *base); /* may be NULL, as the next */
	enum err (*claim)(struct pool *p, const char *installation, struct buf *ret_name);
	void (*warning)(struct pool *p, struct buf *out);
	/* All four may be NULL: a store that is never away. */
	void (*away)(struct pool *p, struct pool_away *ret);
	bool (*wants_keys)(struct pool *p, int64_t *ret_group);
	void (*give_keys)(struct pool *p, int64_t group_id, const struct pool_key *keys, size_t n,
			  enum err e);
	void (*on_want)(struct pool *p, void (*fn)(void *arg), void *arg);
};

struct pool {
	const struct pool_store *store;
};

enum err pool_lmdb_open(const struct conf *conf, struct pool **ret, struct errinfo *info)
    MUST_CHECK;

/* In builds with hiredis. */
enum err pool_redis_open(const struct conf *conf, struct pool **ret, struct errinfo *info)
    MUST_CHECK;

/* Looks through the whole store: every key in exactly one place, counts equal to
 * what is there, nothing that belongs to no key. ERR_POOL, with the first fault in
 * *info. Slow; for tests and for an operator in doubt. */
enum err pool_check(struct pool *p, struct errinfo *info) MUST_CHECK;

#endif
