/* SPDX-License-Identifier: MIT
 *
 * The LMDB store's ground: transactions, records, and the one function that moves
 * a key from one place to another.
 *
 * LMDB has one writer at a time over all processes and threads, so a step sees
 * everything before it and is seen whole or not at all. What it hands out points
 * into the map and is good only until the next write: records are copied.
 */
#include "lib/pool_lmdb.h"
#include "lib/str.h"

/* Bytes kept free: a fiftieth of the map, at least RESERVE_MIN; of a small map a
 * quarter. */
#define RESERVE_PART  50
#define RESERVE_MIN   ((size_t)4 * 1024 * 1024)
#define RESERVE_SMALL 4

static size_t
reserved_pages(const struct pool_lmdb *p)
{
	size_t wanted = MAX(p->pages / RESERVE_PART, RESERVE_MIN / p->page_size);

	return MIN(wanted, p->pages / RESERVE_SMALL);
}

/* Readers that died keep slots, and pages from being used again. */
static bool
free_dead_readers(struct pool_lmdb *p)
{
	int dead = 0;

	return mdb_reader_check(p->env, &dead) == 0 && dead > 0;
}

static int
write_once(struct pool_lmdb *p, lmdb_step_fn fn, void *arg)
{
	MDB_txn *txn;
	int rc = mdb_txn_begin(p->env, NULL, 0, &txn);

	if (rc != 0)
		return rc;
	rc = fn(p, txn, arg);
	if (rc == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return rc;
}

int
lmdb_write(struct pool_lmdb *p, lmdb_step_fn fn, void *arg)
{
	int rc = write_once(p, fn, arg);

	if (rc == MDB_MAP_FULL && free_dead_readers(p))
		rc = write_once(p, fn, arg);
	return rc == LMDB_NO_CHANGE ? 0 : rc;
}

int
lmdb_read_begin(struct pool_lmdb *p, MDB_txn **ret)
{
	MDB_txn *txn = atomic_exchange(&p->idle_reader, NULL);
	int rc;

	if (txn != NULL) {
		rc = mdb_txn_renew(txn);
		if (rc == 0) {
			*ret = txn;
			return 0;
		}
		mdb_txn_abort(txn);
	}
	rc = mdb_txn_begin(p->env, NULL, MDB_RDONLY, ret);
	if (rc == MDB_READERS_FULL && free_dead_readers(p))
		rc = mdb_txn_begin(p->env, NULL, MDB_RDONLY, ret);
	return rc;
}

void
lmdb_read_end(struct pool_lmdb *p, MDB_txn *txn)
{
	MDB_txn *none = NULL;

	mdb_txn_reset(txn);
	if (!atomic_compare_exchange_strong(&p->idle_reader, &none, txn))
		mdb_txn_abort(txn);
}

enum err
lmdb_err(int rc)
{
	if (rc == 0)
		return ERR_OK;
	return rc == MDB_MAP_FULL || rc == MDB_TXN_FULL ? ERR_POOL_FULL : ERR_POOL;
}

/* Pages on LMDB's list of free ones: database 0; each value begins with how many
 * it lists. */
static int
listed_pages(MDB_txn *txn, size_t *ret)
{
	MDB_cursor *c;
	MDB_val key;
	MDB_val value;
	size_t sum = 0;
	int rc = mdb_cursor_open(txn, 0, &c);

	if (rc != 0)
		return rc;
	while ((rc = mdb_cursor_get(c, &key, &value, MDB_NEXT)) == 0) {
		size_t n;

		memcpy(&n, value.mv_data, sizeof(n));
		sum += n;
	}
	mdb_cursor_close(c);
	if (rc != MDB_NOTFOUND)
		return rc;
	*ret = sum;
	return 0;
}

/* Pages that were never used, and those on the list. */
static int
free_pages(struct pool_lmdb *p, size_t *ret)
{
	MDB_envinfo info;
	MDB_txn *txn;
	size_t listed = 0;
	int rc = lmdb_read_begin(p, &txn);

	if (rc != 0)
		return rc;
	rc = listed_pages(txn, &listed);
	if (rc == 0)
		rc = mdb_env_info(p->env, &info);
	lmdb_read_end(p, txn);
	if (rc == 0)
		*ret = p->pages - MIN(p->pages, info.me_last_pgno + 1) + listed;
	return rc;
}

enum err
lmdb_room(struct pool_lmdb *p, size_t *ret)
{
	size_t reserve = reserved_pages(p);
	size_t n = 0;
	int rc = free_pages(p, &n);

	if (rc == 0)
		*ret = n > reserve ? (n - reserve) * p->page_size : 0;
	return lmdb_err(rc);
}

bool
lmdb_is_tight(struct pool_lmdb *p)
{
	size_t n = 0;

	return free_pages(p, &n) != 0 || n < reserved_pages(p) / 2;
}

int
lmdb_put_ordered(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value)
{
	int rc = mdb_put(txn, dbi, key, value, MDB_APPEND);

	return rc == MDB_KEYEXIST ? mdb_put(txn, dbi, key, value, 0) : rc;
}

MDB_val
lmdb_place(struct place *buf, size_t n, uint64_t a, uint64_t b, uint64_t c)
{
	buf->w[0] = htobe64(a);
	buf->w[1] = htobe64(b);
	buf->w[2] = htobe64(c);
	return lmdb_val(buf, n * sizeof(buf->w[0]));
}

bool
lmdb_place_read(const MDB_val *key, size_t n, uint64_t *a, uint64_t *b, uint64_t *c)
{
	struct place at = {{0}};

	if (key->mv_size != n * sizeof(at.w[0]))
		return false;
	memcpy(&at, key->mv_data, key->mv_size);
	*a = be64toh(at.w[0]);
	*b = be64toh(at.w[1]);
	*c = be64toh(at.w[2]);
	return true;
}

int
lmdb_appointments(MDB_txn *txn, MDB_dbi dbi, uint64_t group, int64_t until_ms,
		  struct appointment *ret, size_t max, size_t *ret_n)
{
	struct place from;
	MDB_val key = lmdb_place(&from, 3, group, 0, 0);
	MDB_val value;
	MDB_cursor *c;
	uint64_t g, at, id;
	size_t n = 0;
	int rc = mdb_cursor_open(txn, dbi, &c);

	if (rc != 0)
		return rc;
	rc = mdb_cursor_get(c, &key, &value, MDB_SET_RANGE);
	while (rc == 0 && n < max) {
		if (!lmdb_place_read(&key, 3, &g, &at, &id)) {
			rc = MDB_CORRUPTED;
			break;
		}
		if (g != group || at > (uint64_t)until_ms)
			break;
		ret[n++] = (struct appointment){(int64_t)at, id};
		rc = mdb_cursor_get(c, &key, &value, MDB_NEXT);
	}
	mdb_cursor_close(c);
	if (rc != 0 && rc != MDB_NOTFOUND)
		return rc;
	*ret_n = n;
	return 0;
}

/* --- groups --- */

int
lmdb_group_get(struct pool_lmdb *p, MDB_txn *txn, uint64_t group, struct group_rec *ret)
{
	struct place buf;
	MDB_val key = lmdb_place(&buf, 1, group, 0, 0);
	MDB_val value;
	int rc = mdb_get(txn, p->groups, &key, &value);

	if (rc != 0)
		return rc;
	if (value.mv_size != sizeof(*ret))
		return MDB_CORRUPTED;
	memcpy(ret, value.mv_data, sizeof(*ret));
	return 0;
}

int
lmdb_group_need(struct pool_lmdb *p, MDB_txn *txn, uint64_t group, struct group_rec *ret)
{
	int rc = lmdb_group_get(p, txn, group, ret);

	if (rc != MDB_NOTFOUND)
		return rc;
	*ret = (struct group_rec){0};
	return 0;
}

int
lmdb_group_put(struct pool_lmdb *p, MDB_txn *txn, uint64_t group, const struct group_rec *g)
{
	struct place buf;
	MDB_val key = lmdb_place(&buf, 1, group, 0, 0);
	MDB_val value = lmdb_val(g, sizeof(*g));

	return mdb_put(txn, p->groups, &key, &value, 0);
}

/* --- keys --- */

static size_t
value_size(const struct key_rec *r)
{
	return sizeof(*r) + r->stored_len + r->error_len;
}

/* The whole value of a key, checked for what its record says of it. */
static int
key_value(struct pool_lmdb *p, MDB_txn *txn, uint64_t id, MDB_val *ret, struct key_rec *ret_rec)
{
	MDB_val key = lmdb_val(&id, sizeof(id));
	int rc = mdb_get(txn, p->keys, &key, ret);

	if (rc != 0)
		return rc;
	if (ret->mv_size < sizeof(*ret_rec))
		return MDB_CORRUPTED;
	memcpy(ret_rec, ret->mv_data, sizeof(*ret_rec));
	if (ret->mv_size != value_size(ret_rec) || ret_rec->state >= KEY__MAX ||
	    ret_rec->stored_len > POOL_STORED_MAX || ret_rec->error_len >= POOL_ERROR_TEXT)
		return MDB_CORRUPTED;
	return 0;
}

int
lmdb_key_get(struct pool_lmdb *p, MDB_txn *txn, uint64_t id, struct lmdb_key *ret)
{
	MDB_val value;
	int rc = key_value(p, txn, id, &value, &ret->r);

	if (rc != 0)
		return rc;
	ret->id = id;
	memcpy(ret->tail, (const char *)value.mv_data + sizeof(ret->r),
	       value.mv_size - sizeof(ret->r));
	return 0;
}

int
lmdb_key_peek(struct pool_lmdb *p, MDB_txn *txn, uint64_t id, struct key_rec *ret)
{
	MDB_val value;

	return key_value(p, txn, id, &value, ret);
}

int
lmdb_key_put(struct pool_lmdb *p, MDB_txn *txn, const struct lmdb_key *k)
{
	MDB_val key = lmdb_val(&k->id, sizeof(k->id));
	MDB_val value = lmdb_val(&k->r, value_size(&k->r));

	return lmdb_put_ordered(txn, p->keys, &key, &value);
}

struct str
lmdb_key_stored(const struct lmdb_key *k)
{
	return (struct str){k->tail, k->r.stored_len};
}

void
lmdb_key_set_stored(struct lmdb_key *k, struct str stored)
{
	memmove(k->tail + stored.n, k->tail + k->r.stored_len, k->r.error_len);
	if (stored.n > 0)
		memcpy(k->tail, stored.p, stored.n);
	k->r.stored_len = (uint16_t)stored.n;
}

void
lmdb_key_set_error(struct lmdb_key *k, int status, struct str error, int64_t now_ms)
{
	struct str cut = utf8_cut(error, POOL_ERROR_TEXT - 1);

	if (cut.n > 0)
		memcpy(k->tail + k->r.stored_len, cut.p, cut.n);
	k->r.error_len = (uint8_t)cut.n;
	k->r.status = (uint16_t)status;
	k->r.failed_at_ms = now_ms;
}

/* --- places --- */

/* Where a key stands by its state; false: in none. */
static bool
place_of(struct pool_lmdb *p, const struct lmdb_key *k, struct place *buf, MDB_dbi *ret_dbi,
	 MDB_val *ret_key)
{
	switch ((enum key_state)k->r.state) {
	case KEY_ACTIVE:
		*ret_dbi = p->ring;
		*ret_key = lmdb_place(buf, 2, k->r.group, k->id, 0);
		return true;
	case KEY_RESTING:
		*ret_dbi = p->rest;
		*ret_key = lmdb_place(buf, 3, k->r.group, (uint64_t)k->r.at_ms, k->id);
		return true;
	case KEY_INVALID:
		*ret_dbi = p->due;
		*ret_key = lmdb_place(buf, 3, k->r.group, (uint64_t)k->r.at_ms, k->id);
		return true;
	case KEY_DISABLED:
	case KEY__MAX:
		break;
	}
	return false;
}

int
lmdb_place_add(struct pool_lmdb *p, MDB_txn *txn, const struct lmdb_key *k)
{
	struct place buf;
	MDB_val key;
	MDB_val nothing = {0};
	MDB_dbi dbi;

	if (!place_of(p, k, &buf, &dbi, &key))
		return 0;
	return lmdb_put_ordered(txn, dbi, &key, &nothing);
}

int
lmdb_place_del(struct pool_lmdb *p, MDB_txn *txn, const struct lmdb_key *k)
{
	struct place buf;
	MDB_val key;
	MDB_dbi dbi;
	int rc;

	if (!place_of(p, k, &buf, &dbi, &key))
		return 0;
	rc = mdb_del(txn, dbi, &key, NULL);
	return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
}

int
lmdb_move(struct pool_lmdb *p, MDB_txn *txn, struct lmdb_key *k, struct group_rec *g,
	  enum key_state state, int64_t at_ms)
{
	int rc = lmdb_place_del(p, txn, k);

	if (rc != 0)
		return rc;
	g->counts[k->r.state]--;
	g->counts[state]++;
	k->r.state = (uint8_t)state;
	k->r.at_ms = MAX(at_ms, 0);
	return lmdb_place_add(p, txn, k);
}

int
lmdb_changed(struct pool_lmdb *p, MDB_txn *txn, struct lmdb_key *k)
{
	MDB_val key = lmdb_val(&k->id, sizeof(k->id));
	MDB_val nothing = {0};

	k->r.seq++;
	return mdb_put(txn, p->dirty, &key, &nothing, 0);
}

int
lmdb_clean(struct pool_lmdb *p, MDB_txn *txn, uint64_t id)
{
	MDB_val key = lmdb_val(&id, sizeof(id));
	int rc = mdb_del(txn, p->dirty, &key, NULL);

	return rc == MDB_NOTFOUND ? 0 : rc;
}
