/* SPDX-License-Identifier: MIT
 *
 * The LMDB store's keys as they come and go, and their state set by hand.
 *
 * The writers' lock is shared with the hot path, so work without a bound goes in
 * steps of STEP_KEYS; each leaves the store consistent, and all of it is
 * idempotent: who dies in between is followed by somebody who does it again.
 */
#include "lib/pool_lmdb.h"
#include "lib/str.h"

#include <stdlib.h>

#define STEP_KEYS 250

/* Bytes that a new key takes in the pages of keys, members, ring and dirty, beside
 * its value; pages are half empty at worst. */
#define KEY_OVERHEAD 192

/* --- going --- */

static int
remove_key(struct pool_lmdb *p, MDB_txn *txn, const struct lmdb_key *k, struct group_rec *g)
{
	struct place buf;
	MDB_val member = lmdb_place(&buf, 2, k->r.group, k->id, 0);
	MDB_val key = lmdb_val(&k->id, sizeof(k->id));
	int rc = lmdb_place_del(p, txn, k);

	if (rc == 0)
		rc = mdb_del(txn, p->members, &member, NULL);
	if (rc == 0)
		rc = mdb_del(txn, p->keys, &key, NULL);
	if (rc == 0)
		rc = lmdb_clean(p, txn, k->id);
	g->counts[k->r.state]--;
	return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
}

struct remove_step {
	uint64_t group;
	const uint64_t *ids;
	size_t n;
};

static int
remove_step(struct pool_lmdb *p, MDB_txn *txn, void *arg)
{
	const struct remove_step *s = arg;
	struct lmdb_key k;
	struct group_rec g;
	int rc = lmdb_group_need(p, txn, s->group, &g);

	for (size_t i = 0; i < s->n && rc == 0; i++) {
		rc = lmdb_key_get(p, txn, s->ids[i], &k);
		if (rc == MDB_NOTFOUND || (rc == 0 && k.r.group != s->group))
			rc = 0; /* somebody else removed it */
		else if (rc == 0)
			rc = remove_key(p, txn, &k, &g);
	}
	return rc == 0 ? lmdb_group_put(p, txn, s->group, &g) : rc;
}

/* A walk over the members of a group, beside the sorted keys that shall stay. */
struct surplus {
	uint64_t group;
	uint64_t from;
	uint64_t last;
	const struct pool_key *keys;
	size_t n;
	uint64_t ids[STEP_KEYS]; /* members that are not among the keys */
	size_t n_ids;
};

static bool
shall_stay(const struct surplus *s, size_t *at, uint64_t id)
{
	while (*at < s->n && (uint64_t)s->keys[*at].id < id)
		(*at)++;
	return *at < s->n && (uint64_t)s->keys[*at].id == id;
}

static int
find_surplus(struct pool_lmdb *p, MDB_txn *txn, struct surplus *s)
{
	struct place buf;
	MDB_val key = lmdb_place(&buf, 2, s->group, s->from, 0);
	MDB_val value;
	MDB_cursor *c;
	uint64_t group, id, unused;
	size_t at = 0;
	int rc = mdb_cursor_open(txn, p->members, &c);

	if (rc != 0)
		return rc;
	s->n_ids = 0;
	rc = mdb_cursor_get(c, &key, &value, MDB_SET_RANGE);
	for (; rc == 0 && s->n_ids < STEP_KEYS; rc = mdb_cursor_get(c, &key, &value, MDB_NEXT)) {
		if (!lmdb_place_read(&key, 2, &group, &id, &unused)) {
			rc = MDB_CORRUPTED;
			break;
		}
		if (group != s->group || id > s->last)
			break;
		if (!shall_stay(s, &at, id))
			s->ids[s->n_ids++] = id;
	}
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

static int
remove_surplus(struct pool_lmdb *p, struct surplus *s)
{
	struct remove_step step = {.group = s->group, .ids = s->ids};
	MDB_txn *txn;
	int rc;

	do {
		rc = lmdb_read_begin(p, &txn);
		if (rc != 0)
			return rc;
		rc = find_surplus(p, txn, s);
		lmdb_read_end(p, txn);
		if (rc != 0 || s->n_ids == 0)
			return rc;
		step.n = s->n_ids;
		rc = lmdb_write(p, remove_step, &step);
		s->from = s->ids[s->n_ids - 1] + 1;
	} while (rc == 0 && s->n_ids == STEP_KEYS);
	return rc;
}

/* --- coming --- */

struct sync_step {
	uint64_t group;
	const struct pool_key *keys;
	size_t n;
	bool force;
	size_t room; /* bytes that may be added */
};

/* What one sync step has done so far. */
struct sync_state {
	struct group_rec g;
	size_t room;
	bool changed;
};

static int
add_key(struct pool_lmdb *p, MDB_txn *txn, const struct sync_step *s, struct sync_state *st,
	const struct pool_key *in, struct lmdb_key *k)
{
	size_t cost = 2 * (sizeof(k->r) + in->stored.n + KEY_OVERHEAD);
	struct place buf;
	MDB_val member = lmdb_place(&buf, 2, s->group, (uint64_t)in->id, 0);
	MDB_val nothing = {0};
	int rc;

	if (cost > st->room)
		return MDB_MAP_FULL;
	st->room -= cost;
	k->id = (uint64_t)in->id;
	k->r = (struct key_rec){
	    .group = s->group, .seq = in->seq, .fails = in->fails, .state = (uint8_t)in->state};
	memcpy(k->r.hash, in->hash, sizeof(k->r.hash));
	lmdb_key_set_stored(k, in->stored);
	st->g.counts[in->state]++;
	st->changed = true;
	rc = lmdb_put_ordered(txn, p->members, &member, &nothing);
	if (rc == 0)
		rc = lmdb_place_add(p, txn, k);
	return rc == 0 ? lmdb_key_put(p, txn, k) : rc;
}

static bool
is_same_text(const struct lmdb_key *k, const struct pool_key *in)
{
	return str_eq(lmdb_key_stored(k), in->stored) &&
	       memcmp(k->r.hash, in->hash, sizeof(k->r.hash)) == 0;
}

/* A key that is there: its text follows the DB always, its state when the DB has
 * the later one. */
static int
merge_key(struct pool_lmdb *p, MDB_txn *txn, const struct sync_step *s, struct sync_state *st,
	  const struct pool_key *in, struct lmdb_key *k)
{
	bool take_state = s->force || in->seq > k->r.seq;
	int rc = 0;

	if (!take_state && is_same_text(k, in))
		return 0;
	st->changed = true;
	if (take_state) {
		k->r.seq = in->seq;
		k->r.fails = in->fails;
		k->r.step_ms = 0;
		if (k->r.state != in->state) {
			k->r.checks = 0;
			rc = lmdb_move(p, txn, k, &st->g, in->state, 0);
		}
		if (rc == 0)
			rc = lmdb_clean(p, txn, k->id);
	}
	memcpy(k->r.hash, in->hash, sizeof(k->r.hash));
	lmdb_key_set_stored(k, in->stored);
	return rc == 0 ? lmdb_key_put(p, txn, k) : rc;
}

/* An id belongs to one group: the other one loses it. */
static int
take_from_other(struct pool_lmdb *p, MDB_txn *txn, const struct lmdb_key *k)
{
	struct group_rec other;
	int rc = lmdb_group_need(p, txn, k->r.group, &other);

	if (rc == 0)
		rc = remove_key(p, txn, k, &other);
	return rc == 0 ? lmdb_group_put(p, txn, k->r.group, &other) : rc;
}

static int
sync_step(struct pool_lmdb *p, MDB_txn *txn, void *arg)
{
	const struct sync_step *s = arg;
	struct sync_state st = {.room = s->room};
	struct lmdb_key k;
	int rc = lmdb_group_need(p, txn, s->group, &st.g);

	for (size_t i = 0; i < s->n && rc == 0; i++) {
		const struct pool_key *in = &s->keys[i];

		rc = lmdb_key_get(p, txn, (uint64_t)in->id, &k);
		if (rc == 0 && k.r.group == s->group) {
			rc = merge_key(p, txn, s, &st, in, &k);
			continue;
		}
		if (rc == 0)
			rc = take_from_other(p, txn, &k);
		if (rc == 0 || rc == MDB_NOTFOUND)
			rc = add_key(p, txn, s, &st, in, &k);
	}
	if (rc != 0)
		return rc;
	return st.changed ? lmdb_group_put(p, txn, s->group, &st.g) : LMDB_NO_CHANGE;
}

enum err
lmdb_sync(struct pool *pool, int64_t group_id, int64_t first_id, int64_t last_id,
	  const struct pool_key *keys, size_t n, bool force)
{
	struct pool_lmdb *p = lmdb_of(pool);
	struct surplus surplus = {.group = (uint64_t)group_id,
				  .from = (uint64_t)first_id,
				  .last = (uint64_t)last_id,
				  .keys = keys,
				  .n = n};
	struct sync_step step = {.group = (uint64_t)group_id, .keys = keys, .n = n, .force = force};
	enum err e = lmdb_err(remove_surplus(p, &surplus));

	if (e == ERR_OK && n > 0)
		e = lmdb_room(p, &step.room);
	if (e == ERR_OK && n > 0)
		e = lmdb_err(lmdb_write(p, sync_step, &step));
	return e;
}

/* --- whole groups --- */

static int
forget_step(struct pool_lmdb *p, MDB_txn *txn, void *arg)
{
	uint64_t group = *(const uint64_t *)arg;
	struct place buf;
	MDB_val key = lmdb_place(&buf, 1, group, 0, 0);
	struct group_rec g;
	int rc = lmdb_group_get(p, txn, group, &g);

	if (rc == MDB_NOTFOUND)
		return LMDB_NO_CHANGE;
	/* Keys may have come while the others went. */
	for (size_t i = 0; i < KEY__MAX; i++)
		if (g.counts[i] != 0)
			return LMDB_NO_CHANGE;
	return rc == 0 ? mdb_del(txn, p->groups, &key, NULL) : rc;
}

enum err
lmdb_drop_group(struct pool *pool, int64_t group_id)
{
	struct pool_lmdb *p = lmdb_of(pool);
	struct surplus all = {.group = (uint64_t)group_id, .last = INT64_MAX};
	int rc = remove_surplus(p, &all);

	return lmdb_err(rc == 0 ? lmdb_write(p, forget_step, &all.group) : rc);
}

static int
list_groups(struct pool_lmdb *p, MDB_txn *txn, int64_t **ret, size_t *ret_n)
{
	MDB_cursor *c;
	MDB_val key;
	MDB_val value;
	size_t cap = 0;
	int rc = mdb_cursor_open(txn, p->groups, &c);

	if (rc != 0)
		return rc;
	while ((rc = mdb_cursor_get(c, &key, &value, MDB_NEXT)) == 0) {
		struct group_rec g;
		uint64_t id, b, unused;
		int64_t sum = 0;

		if (!lmdb_place_read(&key, 1, &id, &b, &unused) || value.mv_size != sizeof(g)) {
			rc = MDB_CORRUPTED;
			break;
		}
		memcpy(&g, value.mv_data, sizeof(g));
		for (size_t i = 0; i < KEY__MAX; i++)
			sum += g.counts[i];
		if (sum == 0)
			continue;
		if (*ret_n == cap) {
			cap = cap == 0 ? 64 : 2 * cap;
			*ret = xrealloc(*ret, cap * sizeof(**ret));
		}
		(*ret)[(*ret_n)++] = (int64_t)id;
	}
	mdb_cursor_close(c);
	return rc == MDB_NOTFOUND ? 0 : rc;
}

enum err
lmdb_groups(struct pool *pool, int64_t **ret, size_t *ret_n)
{
	struct pool_lmdb *p = lmdb_of(pool);
	int64_t *ids = NULL;
	size_t n = 0;
	MDB_txn *txn;
	int rc = lmdb_read_begin(p, &txn);

	if (rc != 0)
		return lmdb_err(rc);
	rc = list_groups(p, txn, &ids, &n);
	lmdb_read_end(p, txn);
	if (rc != 0) {
		free(ids);
		return lmdb_err(rc);
	}
	*ret = ids;
	*ret_n = n;
	return ERR_OK;
}

/* --- by hand --- */

struct state_step {
	uint64_t group;
	const int64_t *ids;
	size_t n;
	enum key_state state;
	size_t changed;
};

static int
set_key_state(struct pool_lmdb *p, MDB_txn *txn, struct lmdb_key *k, struct group_rec *g,
	      enum key_state state)
{
	int rc = lmdb_move(p, txn, k, g, state, 0);

	if (state == KEY_ACTIVE) {
		k->r.fails = 0;
		k->r.checks = 0;
	}
	k->r.step_ms = 0;
	if (rc == 0)
		rc = lmdb_changed(p, txn, k);
	return rc == 0 ? lmdb_key_put(p, txn, k) : rc;
}

static int
state_step(struct pool_lmdb *p, MDB_txn *txn, void *arg)
{
	struct state_step *s = arg;
	struct lmdb_key k;
	struct group_rec g;
	int rc = lmdb_group_need(p, txn, s->group, &g);

	s->changed = 0;
	for (size_t i = 0; i < s->n && rc == 0; i++) {
		rc = lmdb_key_get(p, txn, (uint64_t)s->ids[i], &k);
		if (rc == MDB_NOTFOUND ||
		    (rc == 0 && (k.r.group != s->group || k.r.state == s->state))) {
			rc = 0;
			continue;
		}
		if (rc == 0)
			rc = set_key_state(p, txn, &k, &g, s->state);
		s->changed++;
	}
	if (rc != 0)
		return rc;
	return s->changed > 0 ? lmdb_group_put(p, txn, s->group, &g) : LMDB_NO_CHANGE;
}

enum err
lmdb_set_state(struct pool *pool, int64_t group_id, const int64_t *ids, size_t n,
	       enum key_state state, size_t *ret_changed)
{
	struct pool_lmdb *p = lmdb_of(pool);
	struct state_step step = {.group = (uint64_t)group_id, .state = state};
	size_t changed = 0;

	for (size_t done = 0; done < n; done += step.n) {
		int rc;

		step.ids = ids + done;
		step.n = MIN(n - done, STEP_KEYS);
		rc = lmdb_write(p, state_step, &step);
		if (rc != 0)
			return lmdb_err(rc);
		changed += step.changed;
	}
	*ret_changed = changed;
	return ERR_OK;
}
