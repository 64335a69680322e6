/* SPDX-License-Identifier: MIT
 *
 * The LMDB store looked through as a whole, in one read transaction: every key is
 * a member of its group and in the one place its state says, nothing else is
 * anywhere, and the groups' counts are what is there.
 */
#include "lib/pool_lmdb.h"

#include <inttypes.h>

/* What the walk over all keys found, to compare with the sizes of the rest. */
struct tally {
	size_t by_state[KEY__MAX];
	size_t keys;
};

/* Runs fn over every entry of a database; the first failure ends it. */
typedef enum err (*entry_fn)(struct pool_lmdb *p, MDB_txn *txn, const MDB_val *key,
			     const MDB_val *value, struct tally *t, struct errinfo *info);

static enum err
each(struct pool_lmdb *p, MDB_txn *txn, MDB_dbi dbi, entry_fn fn, struct tally *t,
     struct errinfo *info)
{
	MDB_cursor *c;
	MDB_val key;
	MDB_val value;
	enum err e = ERR_OK;
	int rc = mdb_cursor_open(txn, dbi, &c);

	if (rc != 0)
		return err_set(info, ERR_POOL, "cursor: %s", mdb_strerror(rc));
	while (e == ERR_OK && (rc = mdb_cursor_get(c, &key, &value, MDB_NEXT)) == 0)
		e = fn(p, txn, &key, &value, t, info);
	mdb_cursor_close(c);
	if (e == ERR_OK && rc != MDB_NOTFOUND)
		e = err_set(info, ERR_POOL, "walk: %s", mdb_strerror(rc));
	return e;
}

static bool
has(MDB_txn *txn, MDB_dbi dbi, MDB_val key)
{
	MDB_val value;

	return mdb_get(txn, dbi, &key, &value) == 0;
}

/* Is the key where its state says. That it is nowhere else follows from the sizes. */
static bool
is_in_place(struct pool_lmdb *p, MDB_txn *txn, uint64_t id, const struct key_rec *r)
{
	struct place buf;
	uint64_t at = (uint64_t)r->at_ms;

	switch ((enum key_state)r->state) {
	case KEY_ACTIVE:
		return has(txn, p->ring, lmdb_place(&buf, 2, r->group, id, 0));
	case KEY_RESTING:
		return has(txn, p->rest, lmdb_place(&buf, 3, r->group, at, id));
	case KEY_INVALID:
		return has(txn, p->due, lmdb_place(&buf, 3, r->group, at, id));
	case KEY_DISABLED:
		return true;
	case KEY__MAX:
		break;
	}
	return false;
}

static enum err
check_key(struct pool_lmdb *p, MDB_txn *txn, const MDB_val *key, const MDB_val *value,
	  struct tally *t, struct errinfo *info)
{
	struct place buf;
	struct key_rec r;
	uint64_t id;

	(void)value;
	if (key->mv_size != sizeof(id))
		return err_set(info, ERR_POOL, "keys: an id of %zu bytes", key->mv_size);
	memcpy(&id, key->mv_data, sizeof(id));
	if (lmdb_key_peek(p, txn, id, &r) != 0)
		return err_set(info, ERR_POOL, "key %" PRIu64 " cannot be read", id);
	if (!is_in_place(p, txn, id, &r))
		return err_set(info, ERR_POOL, "key %" PRIu64 ", state %d: not in its place", id,
			       r.state);
	if (!has(txn, p->members, lmdb_place(&buf, 2, r.group, id, 0)))
		return err_set(info, ERR_POOL, "key %" PRIu64 " is no member of its group", id);
	t->by_state[r.state]++;
	t->keys++;
	return ERR_OK;
}

static enum err
check_dirty(struct pool_lmdb *p, MDB_txn *txn, const MDB_val *key, const MDB_val *value,
	    struct tally *t, struct errinfo *info)
{
	(void)value;
	(void)t;
	if (!has(txn, p->keys, *key))
		return err_set(info, ERR_POOL, "a key that is not there is dirty");
	return ERR_OK;
}

/* Entries of a group in a database ordered by group first. */
static int64_t
count_of(MDB_txn *txn, MDB_dbi dbi, uint64_t group)
{
	struct place buf;
	MDB_val key = lmdb_place(&buf, 1, group, 0, 0);
	MDB_val value;
	MDB_cursor *c;
	uint64_t g = group;
	int64_t n = 0;

	if (mdb_cursor_open(txn, dbi, &c) != 0)
		return -1;
	for (int rc = mdb_cursor_get(c, &key, &value, MDB_SET_RANGE); rc == 0;
	     rc = mdb_cursor_get(c, &key, &value, MDB_NEXT)) {
		memcpy(&g, key.mv_data, sizeof(g));
		if (be64toh(g) != group)
			break;
		n++;
	}
	mdb_cursor_close(c);
	return n;
}

static enum err
check_group(struct pool_lmdb *p, MDB_txn *txn, const MDB_val *key, const MDB_val *value,
	    struct tally *t, struct errinfo *info)
{
	const MDB_dbi places[] = {
	    [KEY_ACTIVE] = p->ring, [KEY_RESTING] = p->rest, [KEY_INVALID] = p->due};
	struct group_rec g;
	uint64_t id, b, c;
	int64_t sum = 0;

	(void)t;
	if (!lmdb_place_read(key, 1, &id, &b, &c) || value->mv_size != sizeof(g))
		return err_set(info, ERR_POOL, "a group's record has another size");
	memcpy(&g, value->mv_data, sizeof(g));
	for (size_t i = 0; i < KEY__MAX; i++)
		sum += g.counts[i];
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		if (count_of(txn, places[i], id) != g.counts[i])
			return err_set(info, ERR_POOL,
				       "group %" PRIu64 " counts %" PRId64
				       " keys of state %zu, has others",
				       id, g.counts[i], i);
	if (count_of(txn, p->members, id) != sum)
		return err_set(info, ERR_POOL, "group %" PRIu64 " has other members than keys", id);
	return ERR_OK;
}

static enum err
check_sizes(struct pool_lmdb *p, MDB_txn *txn, const struct tally *t, struct errinfo *info)
{
	const struct {
		const char *name;
		MDB_dbi dbi;
		size_t want;
	} all[] = {
	    {"members", p->members, t->keys},
	    {"ring", p->ring, t->by_state[KEY_ACTIVE]},
	    {"rest", p->rest, t->by_state[KEY_RESTING]},
	    {"due", p->due, t->by_state[KEY_INVALID]},
	};

	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		MDB_stat st;

		if (mdb_stat(txn, all[i].dbi, &st) != 0 || st.ms_entries != all[i].want)
			return err_set(info, ERR_POOL, "%s: %zu entries, %zu keys", all[i].name,
				       st.ms_entries, all[i].want);
	}
	return ERR_OK;
}

enum err
lmdb_verify(struct pool *pool, struct errinfo *info)
{
	struct pool_lmdb *p = lmdb_of(pool);
	struct tally t = {.keys = 0};
	MDB_txn *txn;
	enum err e;
	int rc = lmdb_read_begin(p, &txn);

	if (rc != 0)
		return err_set(info, ERR_POOL, "read: %s", mdb_strerror(rc));
	e = each(p, txn, p->keys, check_key, &t, info);
	if (e == ERR_OK)
		e = each(p, txn, p->groups, check_group, &t, info);
	if (e == ERR_OK)
		e = each(p, txn, p->dirty, check_dirty, &t, info);
	if (e == ERR_OK)
		e = check_sizes(p, txn, &t, info);
	lmdb_read_end(p, txn);
	return e;
}
