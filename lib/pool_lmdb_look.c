/* SPDX-License-Identifier: MIT
 *
 * The LMDB store looked at: counts, single keys, state that the DB does not have
 * yet, and the keys that are out and shall be tried again.
 */
#include "lib/pool_lmdb.h"
#include "lib/clock.h"

#include <stdlib.h>

enum err
lmdb_counts(struct pool *pool, int64_t group_id, struct pool_counts *ret)
{
	struct pool_lmdb *p = lmdb_of(pool);
	struct group_rec g;
	MDB_txn *txn;
	int rc = lmdb_read_begin(p, &txn);

	if (rc != 0)
		return lmdb_err(rc);
	rc = lmdb_group_need(p, txn, (uint64_t)group_id, &g);
	lmdb_read_end(p, txn);
	if (rc != 0)
		return lmdb_err(rc);
	memcpy(ret->by_state, g.counts, sizeof(ret->by_state));
	return ERR_OK;
}

static void
info_fill(struct key_info *ret, const struct lmdb_key *k)
{
	*ret = (struct key_info){.id = (int64_t)k->id,
				 .group_id = (int64_t)k->r.group,
				 .state = (enum key_state)k->r.state,
				 .fails = k->r.fails,
				 .seq = k->r.seq,
				 .checks = k->r.checks,
				 .status = k->r.status,
				 .failed_at_ms = k->r.failed_at_ms};
	if (k->r.state == KEY_RESTING)
		ret->rest_until_ms = k->r.at_ms;
	if (k->r.state == KEY_INVALID)
		ret->next_check_ms = k->r.at_ms;
	memcpy(ret->error, k->tail + k->r.stored_len, k->r.error_len);
}

enum err
lmdb_key_info(struct pool *pool, int64_t key_id, struct key_info *ret)
{
	struct pool_lmdb *p = lmdb_of(pool);
	struct lmdb_key k;
	MDB_txn *txn;
	int rc = lmdb_read_begin(p, &txn);

	if (rc != 0)
		return lmdb_err(rc);
	rc = lmdb_key_get(p, txn, (uint64_t)key_id, &k);
	lmdb_read_end(p, txn);
	if (rc != 0)
		return rc == MDB_NOTFOUND ? ERR_NOT_FOUND : lmdb_err(rc);
	info_fill(ret, &k);
	return ERR_OK;
}

/* --- state on its way back to the DB --- */

static int
list_dirty(struct pool_lmdb *p, MDB_txn *txn, struct key_info *ret, size_t max, size_t *ret_n)
{
	struct lmdb_key k;
	MDB_cursor *c;
	MDB_val key;
	MDB_val value;
	size_t n = 0;
	int rc = mdb_cursor_open(txn, p->dirty, &c);

	while (rc == 0 && n < max && (rc = mdb_cursor_get(c, &key, &value, MDB_NEXT)) == 0) {
		uint64_t id = 0;

		memcpy(&id, key.mv_data, MIN(key.mv_size, sizeof(id)));
		rc = lmdb_key_get(p, txn, id, &k);
		if (rc == MDB_NOTFOUND)
			rc = MDB_CORRUPTED;
		if (rc == 0)
			info_fill(&ret[n++], &k);
	}
	mdb_cursor_close(c);
	if (rc != 0 && rc != MDB_NOTFOUND)
		return rc;
	*ret_n = n;
	return 0;
}

enum err
lmdb_dirty(struct pool *pool, struct key_info *ret, size_t max, size_t *ret_n)
{
	struct pool_lmdb *p = lmdb_of(pool);
	MDB_txn *txn;
	int rc = lmdb_read_begin(p, &txn);

	if (rc != 0)
		return lmdb_err(rc);
	rc = list_dirty(p, txn, ret, max, ret_n);
	lmdb_read_end(p, txn);
	return lmdb_err(rc);
}

struct clear_step {
	const struct key_info *keys;
	size_t n;
};

static int
clear_step(struct pool_lmdb *p, MDB_txn *txn, void *arg)
{
	const struct clear_step *s = arg;
	int rc = 0;

	for (size_t i = 0; i < s->n && rc == 0; i++) {
		uint64_t id = (uint64_t)s->keys[i].id;
		struct key_rec r;

		rc = lmdb_key_peek(p, txn, id, &r);
		if (rc == MDB_NOTFOUND)
			rc = 0; /* removed, and its mark with it */
		else if (rc == 0 && r.seq == s->keys[i].seq)
			rc = lmdb_clean(p, txn, id);
	}
	return rc;
}

enum err
lmdb_dirty_clear(struct pool *pool, const struct key_info *keys, size_t n)
{
	struct clear_step step = {keys, n};

	return n == 0 ? ERR_OK : lmdb_err(lmdb_write(lmdb_of(pool), clear_step, &step));
}

/* --- keys to try again --- */

struct due_step {
	uint64_t group;
	int64_t now_ms;
	int64_t lease_ms;
	struct appointment *due;
	struct due_key *ret;
	size_t max;
	size_t n;
};

static void
due_clear(struct due_step *s)
{
	for (size_t i = 0; i < s->n; i++)
		free(s->ret[i].stored);
	s->n = 0;
}

static int
due_step(struct pool_lmdb *p, MDB_txn *txn, void *arg)
{
	struct due_step *s = arg;
	struct lmdb_key k;
	struct group_rec g;
	size_t n = 0;
	int rc;

	due_clear(s);
	rc = lmdb_group_need(p, txn, s->group, &g);
	if (rc == 0)
		rc = lmdb_appointments(txn, p->due, s->group, s->now_ms, s->due, s->max, &n);
	if (rc == 0 && n == 0)
		return LMDB_NO_CHANGE;
	for (size_t i = 0; i < n && rc == 0; i++) {
		struct str stored;

		rc = lmdb_key_get(p, txn, s->due[i].id, &k);
		if (rc == 0)
			rc = lmdb_move(p, txn, &k, &g, KEY_INVALID, s->now_ms + s->lease_ms);
		if (rc == 0)
			rc = lmdb_key_put(p, txn, &k);
		if (rc != 0)
			break;
		stored = lmdb_key_stored(&k);
		s->ret[s->n++] = (struct due_key){.id = (int64_t)k.id,
						  .group_id = (int64_t)k.r.group,
						  .checks = k.r.checks,
						  .stored = xstrndup(stored.p, stored.n)};
	}
	return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
}

enum err
lmdb_due(struct pool *pool, int64_t group_id, int64_t now_ms, int64_t lease_ms, struct due_key *ret,
	 size_t max, size_t *ret_n)
{
	AUTO_FREE struct appointment *due = xcalloc(max, sizeof(*due));
	struct due_step step = {.group = (uint64_t)group_id,
				.now_ms = now_ms,
				.lease_ms = lease_ms,
				.due = due,
				.ret = ret,
				.max = max};
	int rc = lmdb_write(lmdb_of(pool), due_step, &step);

	if (rc != 0) {
		due_clear(&step);
		return lmdb_err(rc);
	}
	*ret_n = step.n;
	return ERR_OK;
}

struct check_step {
	uint64_t id;
	int64_t next_ms;
	int status;
	struct str error;
};

static int
check_step(struct pool_lmdb *p, MDB_txn *txn, void *arg)
{
	const struct check_step *s = arg;
	struct lmdb_key k;
	struct group_rec g;
	int rc = lmdb_key_get(p, txn, s->id, &k);

	if (rc == MDB_NOTFOUND || (rc == 0 && k.r.state != KEY_INVALID))
		return LMDB_NO_CHANGE;
	if (rc == 0)
		rc = lmdb_group_need(p, txn, k.r.group, &g);
	if (rc == 0)
		rc = lmdb_move(p, txn, &k, &g, KEY_INVALID, s->next_ms);
	if (rc != 0)
		return rc;
	k.r.checks++;
	lmdb_key_set_error(&k, s->status, s->error, clock_wall_ms());
	return lmdb_key_put(p, txn, &k);
}

enum err
lmdb_check_failed(struct pool *pool, int64_t key_id, int64_t next_ms, int status, struct str error)
{
	struct check_step step = {(uint64_t)key_id, next_ms, status, error};

	return lmdb_err(lmdb_write(lmdb_of(pool), check_step, &step));
}
