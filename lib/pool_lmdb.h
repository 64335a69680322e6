/* SPDX-License-Identifier: MIT
 *
 * Inside of the LMDB store: the databases of its one file, their records, and
 * the few operations its parts share. For pool_lmdb*.c only.
 *
 *	meta	  name                    → identity, snapshot version and length
 *	snapshot  piece number            → one page of the snapshot's text
 *	groups	  group                   → struct group_rec
 *	keys	  id                      → struct key_rec, stored key, last error
 *	members	  group, id               → (empty) every key of the group
 *	ring	  group, id               → (empty) the ACTIVE ones
 *	rest	  group, until, id        → (empty) the RESTING ones
 *	due	  group, next check, id   → (empty) the INVALID ones
 *	dirty	  id                      → (empty) state that the DB does not have yet
 *
 * The ring is a circle in the order of ids, and the group remembers who had the
 * last turn: a pick writes that one small record and nothing else, whatever the
 * number of keys, and successive picks read neighbouring pages.
 */
#ifndef LIB_POOL_LMDB_H
#define LIB_POOL_LMDB_H

#include "lib/pool_store.h"

#include <endian.h>
#include <stdatomic.h>
#include <lmdb.h>

struct pool_lmdb {
	struct pool pool; /* first: the interface's handle */
	MDB_env *env;
	MDB_dbi meta, snapshot, groups, keys, members, ring, rest, due, dirty;
	int fd;           /* the data file; its shared flock says "in use" */
	size_t page_size; /* of LMDB */
	size_t pages;     /* of the whole map */
	/* A read transaction that is reset, kept for whoever reads next: renewing
	 * one costs a fifth of beginning one. */
	_Atomic(MDB_txn *) idle_reader;
};

struct group_rec {
	uint64_t turn; /* the next one */
	uint64_t last; /* the key that had the last place in the circle */
	/* The key that was passed over because an exchange had tried it already:
	 * it comes first at the next pick, so that it loses no turn. 0: none. */
	uint64_t owed;
	int64_t counts[KEY__MAX];
};

struct key_rec {
	uint64_t group;
	uint64_t seq;
	int64_t at_ms; /* RESTING: until when; INVALID: the next check */
	int64_t failed_at_ms;
	uint32_t fails;
	uint32_t checks;
	uint32_t step_ms; /* of the last rest without a given end; 0: none */
	uint16_t stored_len;
	uint16_t status;
	uint8_t hash[CRYPT_HASH_BYTES];
	uint8_t state;
	uint8_t error_len;
	uint8_t zero[6];
};
_Static_assert(sizeof(struct key_rec) == 88, "written to the file as it is: no padding");

/* A key read from the file, or about to be written to it: `r` and the used part of
 * `tail` are the value, byte for byte. */
struct lmdb_key {
	uint64_t id;
	struct key_rec r;
	char tail[POOL_STORED_MAX + POOL_ERROR_TEXT]; /* stored key, last error */
};
_Static_assert(offsetof(struct lmdb_key, tail) ==
		   offsetof(struct lmdb_key, r) + sizeof(struct key_rec),
	       "the tail follows the record");

/* A database key of up to three numbers, big-endian. */
struct place {
	uint64_t w[3];
};

/* An entry of `rest` or `due`. */
struct appointment {
	int64_t at_ms;
	uint64_t id;
};

static inline struct pool_lmdb *
lmdb_of(struct pool *p)
{
	return container_of(p, struct pool_lmdb, pool);
}

/* LMDB takes what it only reads through a pointer that is not const. */
static inline MDB_val
lmdb_val(const void *p, size_t n)
{
	MDB_val v = {.mv_size = n};

	memcpy(&v.mv_data, &p, sizeof(p));
	return v;
}

/* --- transactions (pool_lmdb_base.c); LMDB's return codes until lmdb_err() --- */

/* Returned by a step that turned out to have nothing to write. */
#define LMDB_NO_CHANGE (-1)

/* One atomic step of writing; may be run a second time from the start. */
typedef int (*lmdb_step_fn)(struct pool_lmdb *p, MDB_txn *txn, void *arg);

/* Runs fn in a write transaction; commits on 0, else undoes. LMDB_NO_CHANGE counts
 * as success. */
int lmdb_write(struct pool_lmdb *p, lmdb_step_fn fn, void *arg) MUST_CHECK;
int lmdb_read_begin(struct pool_lmdb *p, MDB_txn **ret) MUST_CHECK;
void lmdb_read_end(struct pool_lmdb *p, MDB_txn *txn);
enum err lmdb_err(int rc) MUST_CHECK;

/* Bytes that may still be added. What is left beyond stays free for the hot path,
 * whose transactions need fresh pages even to delete. */
enum err lmdb_room(struct pool_lmdb *p, size_t *ret) MUST_CHECK;
/* Less than half of that reserve is left. */
bool lmdb_is_tight(struct pool_lmdb *p);

/* --- records; MDB_NOTFOUND when there is none --- */

int lmdb_group_get(struct pool_lmdb *p, MDB_txn *txn, uint64_t group, struct group_rec *ret)
    MUST_CHECK;
/* As above; a group that is not there is all zero. */
int lmdb_group_need(struct pool_lmdb *p, MDB_txn *txn, uint64_t group, struct group_rec *ret)
    MUST_CHECK;
int lmdb_group_put(struct pool_lmdb *p, MDB_txn *txn, uint64_t group, const struct group_rec *g)
    MUST_CHECK;

int lmdb_key_get(struct pool_lmdb *p, MDB_txn *txn, uint64_t id, struct lmdb_key *ret) MUST_CHECK;
/* Without stored key and error text. */
int lmdb_key_peek(struct pool_lmdb *p, MDB_txn *txn, uint64_t id, struct key_rec *ret) MUST_CHECK;
int lmdb_key_put(struct pool_lmdb *p, MDB_txn *txn, const struct lmdb_key *k) MUST_CHECK;
void lmdb_key_set_stored(struct lmdb_key *k, struct str stored);
void lmdb_key_set_error(struct lmdb_key *k, int status, struct str error, int64_t now_ms);
struct str lmdb_key_stored(const struct lmdb_key *k); /* borrowed from k */

/* The place of a key by its state; the caller puts key and group afterwards. */
int lmdb_place_add(struct pool_lmdb *p, MDB_txn *txn, const struct lmdb_key *k) MUST_CHECK;
int lmdb_place_del(struct pool_lmdb *p, MDB_txn *txn, const struct lmdb_key *k) MUST_CHECK;
/* Takes the key to another state, or to another time of the same one. */
int lmdb_move(struct pool_lmdb *p, MDB_txn *txn, struct lmdb_key *k, struct group_rec *g,
	      enum key_state state, int64_t at_ms) MUST_CHECK;
/* The DB has to know: seq + 1, and into the dirty set. */
int lmdb_changed(struct pool_lmdb *p, MDB_txn *txn, struct lmdb_key *k) MUST_CHECK;
int lmdb_clean(struct pool_lmdb *p, MDB_txn *txn, uint64_t id) MUST_CHECK;

/* Puts in the cheap way when it comes after everything there (pages stay full). */
int lmdb_put_ordered(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *value) MUST_CHECK;

/* The key of `n` numbers, and the numbers of a key found; false when it has
 * another length. */
MDB_val lmdb_place(struct place *buf, size_t n, uint64_t a, uint64_t b, uint64_t c);
bool lmdb_place_read(const MDB_val *key, size_t n, uint64_t *a, uint64_t *b, uint64_t *c);
/* The first `max` entries of a group in `rest` or `due` at or before until_ms. */
int lmdb_appointments(MDB_txn *txn, MDB_dbi dbi, uint64_t group, int64_t until_ms,
		      struct appointment *ret, size_t max, size_t *ret_n) MUST_CHECK;

/* --- the parts, as pool_store wants them --- */
enum err lmdb_identity_get(struct pool *p, struct pool_identity *ret);
enum err lmdb_identity_set(struct pool *p, const struct pool_identity *id);
enum err lmdb_version(struct pool *p, uint64_t *ret);
int lmdb_version_get(struct pool_lmdb *p, MDB_txn *txn, uint64_t *ret) MUST_CHECK;
enum err lmdb_snapshot_put(struct pool *p, uint64_t version, struct str text, bool force);
enum err lmdb_snapshot_get(struct pool *p, struct buf *out, uint64_t *ret_version);
void lmdb_snapshot_ask(struct pool *p, snapshot_fn fn, void *arg);

void lmdb_pick(struct pool *p, const struct pick_query *q, pick_fn fn, void *arg);
void lmdb_turn(struct pool *p, int64_t group_id, turn_fn fn, void *arg);
void lmdb_report(struct pool *p, const struct report *r, report_fn fn, void *arg);

enum err lmdb_sync(struct pool *p, int64_t group_id, int64_t first_id, int64_t last_id,
		   const struct pool_key *keys, size_t n, bool force);
enum err lmdb_drop_group(struct pool *p, int64_t group_id);
enum err lmdb_groups(struct pool *p, int64_t **ret, size_t *ret_n);
enum err lmdb_set_state(struct pool *p, int64_t group_id, const int64_t *ids, size_t n,
			enum key_state state, size_t *ret_changed);

enum err lmdb_counts(struct pool *p, int64_t group_id, struct pool_counts *ret);
enum err lmdb_key_info(struct pool *p, int64_t key_id, struct key_info *ret);
enum err lmdb_dirty(struct pool *p, struct key_info *ret, size_t max, size_t *ret_n);
enum err lmdb_dirty_clear(struct pool *p, const struct key_info *keys, size_t n);
enum err lmdb_due(struct pool *p, int64_t group_id, int64_t now_ms, int64_t lease_ms,
		  struct due_key *ret, size_t max, size_t *ret_n);
enum err lmdb_check_failed(struct pool *p, int64_t key_id, int64_t next_ms, int status,
			   struct str error);

enum err lmdb_verify(struct pool *p, struct errinfo *info);

#endif
