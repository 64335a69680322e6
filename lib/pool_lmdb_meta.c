/* SPDX-License-Identifier: MIT
 *
 * The LMDB store's small facts: whose pool this is, and the compiled
 * configuration with its version.
 *
 * The snapshot's text is cut into pieces of one page each: LMDB wants a value's
 * pages in one run, and in a file that is nearly full there is no long run.
 */
#include "lib/pool_lmdb.h"

/* LMDB's page header; a piece and it fill a page. */
#define PAGE_HEADER 16

struct identity_rec {
	uint64_t generation;
	char installation[37];
	uint8_t complete;
	uint8_t zero[2];
};

struct snapshot_rec {
	uint64_t version;
	uint64_t length;
};

static const char identity_name[] = "identity";
static const char snapshot_name[] = "snapshot";

/* A record of fixed size; all zero when it is not there yet. */
static int
rec_get(struct pool_lmdb *p, MDB_txn *txn, const char *name, void *ret, size_t size)
{
	MDB_val key = lmdb_val(name, strlen(name));
	MDB_val value;
	int rc = mdb_get(txn, p->meta, &key, &value);

	memset(ret, 0, size);
	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc == 0 && value.mv_size != size)
		rc = MDB_CORRUPTED;
	if (rc == 0)
		memcpy(ret, value.mv_data, size);
	return rc;
}

static int
rec_put(struct pool_lmdb *p, MDB_txn *txn, const char *name, const void *rec, size_t size)
{
	MDB_val key = lmdb_val(name, strlen(name));
	MDB_val value = lmdb_val(rec, size);

	return mdb_put(txn, p->meta, &key, &value, 0);
}

/* --- identity --- */

enum err
lmdb_identity_get(struct pool *pool, struct pool_identity *ret)
{
	struct pool_lmdb *p = lmdb_of(pool);
	struct identity_rec rec;
	MDB_txn *txn;
	int rc = lmdb_read_begin(p, &txn);

	if (rc != 0)
		return lmdb_err(rc);
	rc = rec_get(p, txn, identity_name, &rec, sizeof(rec));
	lmdb_read_end(p, txn);
	if (rc != 0)
		return lmdb_err(rc);
	*ret = (struct pool_identity){.generation = rec.generation, .complete = rec.complete != 0};
	memcpy(ret->installation, rec.installation, sizeof(ret->installation) - 1);
	return ERR_OK;
}

static int
identity_step(struct pool_lmdb *p, MDB_txn *txn, void *arg)
{
	const struct pool_identity *id = arg;
	struct identity_rec rec = {.generation = id->generation, .complete = id->complete};

	memcpy(rec.installation, id->installation,
	       strnlen(id->installation, sizeof(rec.installation) - 1));
	return rec_put(p, txn, identity_name, &rec, sizeof(rec));
}

enum err
lmdb_identity_set(struct pool *pool, const struct pool_identity *id)
{
	struct pool_identity copy = *id;

	return lmdb_err(lmdb_write(lmdb_of(pool), identity_step, &copy));
}

/* --- configuration --- */

int
lmdb_version_get(struct pool_lmdb *p, MDB_txn *txn, uint64_t *ret)
{
	struct snapshot_rec rec;
	int rc = rec_get(p, txn, snapshot_name, &rec, sizeof(rec));

	if (rc == 0)
		*ret = rec.version;
	return rc;
}

enum err
lmdb_version(struct pool *pool, uint64_t *ret)
{
	struct pool_lmdb *p = lmdb_of(pool);
	MDB_txn *txn;
	int rc = lmdb_read_begin(p, &txn);

	if (rc != 0)
		return lmdb_err(rc);
	rc = lmdb_version_get(p, txn, ret);
	lmdb_read_end(p, txn);
	return lmdb_err(rc);
}

static uint64_t
pieces(const struct pool_lmdb *p, uint64_t length)
{
	size_t piece = p->page_size - PAGE_HEADER;

	return (length + piece - 1) / piece;
}

struct snapshot_step {
	uint64_t version;
	struct str text;
	bool force;
};

static int
snapshot_step(struct pool_lmdb *p, MDB_txn *txn, void *arg)
{
	const struct snapshot_step *s = arg;
	size_t piece = p->page_size - PAGE_HEADER;
	uint64_t n = pieces(p, s->text.n);
	uint64_t before;
	struct snapshot_rec rec;
	int rc = rec_get(p, txn, snapshot_name, &rec, sizeof(rec));

	if (rc != 0)
		return rc;
	if (s->version <= rec.version && !s->force)
		return LMDB_NO_CHANGE;
	before = pieces(p, rec.length);
	for (uint64_t i = 0; i < n && rc == 0; i++) {
		size_t from = i * piece;
		MDB_val key = lmdb_val(&i, sizeof(i));
		MDB_val value = lmdb_val(s->text.p + from, MIN(piece, s->text.n - from));

		rc = mdb_put(txn, p->snapshot, &key, &value, 0);
	}
	for (uint64_t i = n; i < before && rc == 0; i++) {
		MDB_val key = lmdb_val(&i, sizeof(i));

		rc = mdb_del(txn, p->snapshot, &key, NULL);
	}
	if (rc != 0)
		return rc;
	rec = (struct snapshot_rec){s->version, s->text.n};
	return rec_put(p, txn, snapshot_name, &rec, sizeof(rec));
}

enum err
lmdb_snapshot_put(struct pool *pool, uint64_t version, struct str text, bool force)
{
	struct pool_lmdb *p = lmdb_of(pool);
	struct snapshot_step s = {version, text, force};
	size_t room = 0;
	enum err e = lmdb_room(p, &room);

	if (e != ERR_OK)
		return e;
	/* A page for each piece, and a few for the tree above them. */
	if ((pieces(p, text.n) + pieces(p, text.n) / 64 + 8) * p->page_size > room)
		return ERR_POOL_FULL;
	return lmdb_err(lmdb_write(p, snapshot_step, &s));
}

static int
snapshot_read(struct pool_lmdb *p, MDB_txn *txn, struct buf *out, uint64_t *ret_version)
{
	struct snapshot_rec rec;
	uint64_t n;
	int rc = rec_get(p, txn, snapshot_name, &rec, sizeof(rec));

	if (rc != 0)
		return rc;
	n = pieces(p, rec.length);
	for (uint64_t i = 0; i < n; i++) {
		MDB_val key = lmdb_val(&i, sizeof(i));
		MDB_val value;

		rc = mdb_get(txn, p->snapshot, &key, &value);
		if (rc != 0)
			return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
		buf_add(out, value.mv_data, value.mv_size);
	}
	*ret_version = rec.version;
	return 0;
}

enum err
lmdb_snapshot_get(struct pool *pool, struct buf *out, uint64_t *ret_version)
{
	struct pool_lmdb *p = lmdb_of(pool);
	uint64_t version = 0;
	MDB_txn *txn;
	enum err e;
	int rc = lmdb_read_begin(p, &txn);

	if (rc != 0)
		return lmdb_err(rc);
	rc = snapshot_read(p, txn, out, &version);
	lmdb_read_end(p, txn);
	e = rc != 0 ? lmdb_err(rc) : buf_err(out);
	if (e == ERR_OK)
		*ret_version = version;
	return e;
}

void
lmdb_snapshot_ask(struct pool *pool, snapshot_fn fn, void *arg)
{
	uint64_t version = 0;
	struct buf text;
	enum err e;

	buf_init(&text, LIMIT_SNAPSHOT);
	e = lmdb_snapshot_get(pool, &text, &version);
	fn(arg, e, buf_view(&text), version);
	buf_done(&text);
}
