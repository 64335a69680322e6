/* SPDX-License-Identifier: MIT
 *
 * Keys in the DB. Look-ups go by hash in lists of fixed length, so that each is
 * one prepared statement: a list that is not full repeats its last entry.
 *
 * Every function that changes rows is one transaction and leaves the outbox row
 * in it; the caller makes the pool follow (publish_keys) after it.
 */
#include "lib/key.h"

#include "lib/clock.h"
#include "lib/limits.h"
#include "lib/publish.h"
#include "lib/str.h"
#include "lib/where.h"

#include <stdlib.h>

#define IN_LIST 50
#define Q10     "?,?,?,?,?,?,?,?,?,?"
#define Q50     Q10 "," Q10 "," Q10 "," Q10 "," Q10
/* The '+' keeps SQLite from the index on group_id, with which it would walk the whole
 * group for each list: the one on key_hash finds a handful of rows. */
#define KEYS_WITH_HASH(column)                                                                     \
	"SELECT " column " FROM api_keys WHERE +group_id = ? AND key_hash IN (" Q50 ")"

/* So many at once are worth more memory. */
#define BULK_KEYS 1000

#define INSERT_ROWS 20
#define COLUMNS                                                                                    \
	"INSERT INTO api_keys (key_value, key_hash, group_id, status, notes, request_count, "      \
	"failure_count, created_at, updated_at) VALUES "
#define ROW      "(?,?,?,'active','',0,0,?,?)"
#define ROW5     ROW "," ROW "," ROW "," ROW "," ROW
#define ROW_ARGS 5

/* Deleted ids this close together share an outbox row: looking at a few keys too
 * many costs less than another row. */
#define OUTBOX_GAP 64
/* More stretches than these, and the whole group is looked at. */
#define OUTBOX_STRETCHES 500

struct hash_hex {
	char text[CRYPT_HASH_HEX + 1];
};

static void
hash_key(const struct crypt *crypt, struct str key, struct hash_hex *ret)
{
	uint8_t digest[CRYPT_HASH_BYTES];

	crypt_hash(crypt, key, digest);
	hex_encode(ret->text, digest, sizeof(digest));
}

/* The end of a transaction: all of it, or nothing. */
static enum err
finish(struct db *db, enum err e)
{
	if (e == ERR_OK)
		e = db_commit(db);
	if (e != ERR_OK)
		db_rollback(db);
	return e;
}

/* --- adding --- */

#define GROUP_KIND                                                                                 \
	"SELECT CASE WHEN group_type = 'aggregate' THEN 1 ELSE 0 END "                             \
	"FROM \"groups\" WHERE id = ?"

/* Checks the group and holds it until the transaction ends, so that two imports
 * do not add the same key. SQLite: the transaction itself does. */
static enum err
lock_group(struct db *db, int64_t group_id, struct errinfo *info)
{
	static const struct sql text = {
	    .sqlite = GROUP_KIND,
	    .mysql = GROUP_KIND " FOR UPDATE",
	    .pgsql = GROUP_KIND " FOR UPDATE",
	};
	int64_t aggregate;
	enum err e =
	    db_query_int(db, db_pick(db, &text), DB_ARGS(db_int(group_id)), -1, &aggregate);

	if (e != ERR_OK)
		return e;
	if (aggregate < 0)
		return err_set(info, ERR_NOT_FOUND, "there is no group %lld", (long long)group_id);
	if (aggregate)
		return err_set(
		    info, ERR_VALIDATION,
		    "an aggregate group has no keys of its own: add them to its members");
	return ERR_OK;
}

/* Rows are read back with one key: another one than that of the rows which are
 * there already must not be used for new ones. A few damaged rows do no harm. */
static enum err
check_crypt(struct db *db, const struct crypt *crypt, struct errinfo *info)
{
	struct db_rows *rows = NULL;
	struct buf plain;
	size_t seen = 0;
	size_t opened = 0;

	buf_init(&plain, LIMIT_KEY_BYTES);
	enum err e =
	    db_query(db, "SELECT key_value, key_hash FROM api_keys ORDER BY id DESC LIMIT 5",
		     DB_NO_ARGS, &rows);
	while (e == ERR_OK && db_next(rows, &e)) {
		struct hash_hex hash;
		seen++;
		buf_clear(&plain);
		if (crypt_decrypt(crypt, db_col_text(rows, 0), &plain) != ERR_OK)
			continue;
		hash_key(crypt, buf_view(&plain), &hash);
		opened += str_is(db_col_text(rows, 1), hash.text);
	}
	db_rows_done(rows);
	buf_done(&plain);
	if (e == ERR_OK && seen > 0 && opened == 0)
		return err_set(info, ERR_CRYPT,
			       "the keys in the database were stored with another ENCRYPTION_KEY");
	return e;
}

/* Marks those of up to IN_LIST hashes that the group has. "group_id + 0": the index on
 * the hash is to be used; the one on the group would be walked through whole. */
static enum err
mark_known(struct db *db, int64_t group_id, const struct hash_hex *hashes, size_t n, bool *known)
{
	struct db_arg args[1 + IN_LIST];
	struct db_rows *rows = NULL;

	args[0] = db_int(group_id);
	for (size_t i = 0; i < IN_LIST; i++)
		args[1 + i] = db_cstr(hashes[MIN(i, n - 1)].text);
	enum err e = db_query(db, KEYS_WITH_HASH("key_hash"), args, ARRAY_LEN(args), &rows);
	while (e == ERR_OK && db_next(rows, &e)) {
		struct str hash = db_col_text(rows, 0);
		for (size_t i = 0; i < n; i++)
			known[i] = known[i] || str_is(hash, hashes[i].text);
	}
	db_rows_done(rows);
	return e;
}

/* Rows collected for one INSERT. */
struct insertion {
	const struct crypt *crypt;
	int64_t group_id;
	int64_t now_us;
	size_t n;
	struct hash_hex hashes[INSERT_ROWS];
	size_t value_end[INSERT_ROWS]; /* in `values` */
	struct buf values;
};

static void
insertion_put(struct insertion *in, struct str key, const struct hash_hex *hash)
{
	in->hashes[in->n] = *hash;
	crypt_encrypt(in->crypt, key, &in->values);
	in->value_end[in->n++] = in->values.n;
}

static enum err
insertion_flush(struct insertion *in, struct db *db)
{
	struct db_arg args[INSERT_ROWS * ROW_ARGS];
	enum err e = buf_err(&in->values);
	size_t start = 0;

	for (size_t i = 0; i < in->n; i++) {
		struct db_arg *row = args + i * ROW_ARGS;
		row[0] = db_text(((struct str){in->values.p + start, in->value_end[i] - start}));
		row[1] = db_cstr(in->hashes[i].text);
		row[2] = db_int(in->group_id);
		row[3] = db_time(in->now_us);
		row[4] = db_time(in->now_us);
		start = in->value_end[i];
	}
	if (in->n == INSERT_ROWS && e == ERR_OK) {
		e = db_exec(db, COLUMNS ROW5 "," ROW5 "," ROW5 "," ROW5, args, ARRAY_LEN(args),
			    NULL);
	} else {
		for (size_t i = 0; i < in->n && e == ERR_OK; i++)
			e = db_exec(db, COLUMNS ROW, args + i * ROW_ARGS, ROW_ARGS, NULL);
	}
	in->n = 0;
	buf_clear(&in->values);
	return e;
}

static enum err
insert_new(struct db *db, struct insertion *in, const struct str *keys, size_t n, size_t *added)
{
	enum err e = ERR_OK;

	for (size_t first = 0; first < n && e == ERR_OK; first += IN_LIST) {
		size_t count = MIN(n - first, (size_t)IN_LIST);
		struct hash_hex hashes[IN_LIST];
		bool known[IN_LIST] = {false};

		for (size_t i = 0; i < count; i++)
			hash_key(in->crypt, keys[first + i], &hashes[i]);
		e = mark_known(db, in->group_id, hashes, count, known);
		for (size_t i = 0; i < count && e == ERR_OK; i++) {
			if (known[i])
				continue;
			insertion_put(in, keys[first + i], &hashes[i]);
			(*added)++;
			if (in->n == INSERT_ROWS)
				e = insertion_flush(in, db);
		}
	}
	return e == ERR_OK ? insertion_flush(in, db) : e;
}

enum err
key_add_within(struct db *db, const struct crypt *crypt, int64_t group_id, const struct str *keys,
	       size_t n, size_t *ret_added, struct errinfo *info)
{
	struct insertion in = {.crypt = crypt, .group_id = group_id, .now_us = clock_wall_us()};
	int64_t before = 0;
	int64_t last = 0;
	size_t added = 0;

	enum err e = lock_group(db, group_id, info);
	if (e == ERR_OK)
		e = check_crypt(db, crypt, info);
	if (e == ERR_OK)
		e = db_query_int(db, "SELECT COALESCE(MAX(id), 0) FROM api_keys", DB_NO_ARGS, 0,
				 &before);
	if (e != ERR_OK)
		return e;

	/* A value grows to hex of nonce, text and tag. */
	buf_init(&in.values, INSERT_ROWS * (2 * LIMIT_KEY_BYTES + 64));
	e = insert_new(db, &in, keys, n, &added);
	buf_done(&in.values);
	if (e != ERR_OK || added == 0)
		return e;
	e = db_query_int(db, "SELECT COALESCE(MAX(id), 0) FROM api_keys", DB_NO_ARGS, 0, &last);
	*ret_added += added;
	return e == ERR_OK ? outbox_add(db, group_id, before + 1, last) : e;
}

enum err
key_add(struct db *db, const struct crypt *crypt, int64_t group_id, const struct str *keys,
	size_t n, size_t *ret_added, struct errinfo *info)
{
	size_t added = 0;
	enum err e;

	if (n >= BULK_KEYS)
		db_bulk(db, true);
	e = db_begin(db);
	if (e == ERR_OK)
		e = finish(db, key_add_within(db, crypt, group_id, keys, n, &added, info));
	if (n >= BULK_KEYS)
		db_bulk(db, false);
	if (e == ERR_OK)
		*ret_added = added;
	return e;
}

/* --- finding --- */

void
key_ids_done(struct key_ids *ids)
{
	free(ids->v);
	*ids = (struct key_ids){0};
}

static void
ids_put(struct key_ids *ids, int64_t id)
{
	if (ids->n == ids->cap) {
		ids->cap = MAX(ids->cap * 2, (size_t)64);
		ids->v = xrealloc(ids->v, ids->cap * sizeof(*ids->v));
	}
	ids->v[ids->n++] = id;
}

static int
compare_ids(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a;
	int64_t y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

/* Appends the first column of every row. */
static enum err
collect_ids(struct db *db, const char *sql, const struct db_arg *args, size_t n_args,
	    struct key_ids *ids)
{
	struct db_rows *rows = NULL;
	enum err e = db_query(db, sql, args, n_args, &rows);

	while (e == ERR_OK && db_next(rows, &e))
		ids_put(ids, db_col_int(rows, 0));
	db_rows_done(rows);
	return e;
}

enum err
key_find(struct db *db, const struct crypt *crypt, int64_t group_id, const struct str *keys,
	 size_t n, struct key_ids *ret)
{
	struct key_ids ids = {0};
	enum err e = ERR_OK;

	for (size_t first = 0; first < n && e == ERR_OK; first += IN_LIST) {
		size_t count = MIN(n - first, (size_t)IN_LIST);
		struct hash_hex hashes[IN_LIST];
		struct db_arg args[1 + IN_LIST];

		for (size_t i = 0; i < count; i++)
			hash_key(crypt, keys[first + i], &hashes[i]);
		args[0] = db_int(group_id);
		for (size_t i = 0; i < IN_LIST; i++)
			args[1 + i] = db_cstr(hashes[MIN(i, count - 1)].text);
		e = collect_ids(db, KEYS_WITH_HASH("id"), args, ARRAY_LEN(args), &ids);
	}
	if (e != ERR_OK) {
		key_ids_done(&ids);
		return e;
	}
	if (ids.n > 0)
		qsort(ids.v, ids.n, sizeof(*ids.v), compare_ids);
	*ret = ids;
	return ERR_OK;
}

enum err
key_find_ids(struct db *db, int64_t group_id, const int64_t *wanted, size_t n, struct key_ids *ret)
{
	struct key_ids ids = {0};
	enum err e = ERR_OK;

	for (size_t first = 0; first < n && e == ERR_OK; first += IN_LIST) {
		size_t count = MIN(n - first, (size_t)IN_LIST);
		struct db_arg args[1 + IN_LIST];

		args[0] = db_int(group_id);
		for (size_t i = 0; i < IN_LIST; i++)
			args[1 + i] = db_int(wanted[first + MIN(i, count - 1)]);
		e = collect_ids(db,
				"SELECT id FROM api_keys WHERE group_id = ? AND id IN (" Q50
				") ORDER BY id",
				args, ARRAY_LEN(args), &ids);
	}
	if (e != ERR_OK) {
		key_ids_done(&ids);
		return e;
	}
	*ret = ids;
	return ERR_OK;
}

enum err
key_count_there(struct db *db, const struct crypt *crypt, int64_t group_id, const struct str *keys,
		size_t n, size_t *ret)
{
	size_t there = 0;
	enum err e = ERR_OK;

	for (size_t first = 0; first < n && e == ERR_OK; first += IN_LIST) {
		size_t count = MIN(n - first, (size_t)IN_LIST);
		struct hash_hex hashes[IN_LIST];
		struct db_arg args[1 + IN_LIST];
		int64_t found = 0;

		for (size_t i = 0; i < count; i++)
			hash_key(crypt, keys[first + i], &hashes[i]);
		args[0] = db_int(group_id);
		for (size_t i = 0; i < IN_LIST; i++)
			args[1 + i] = db_cstr(hashes[MIN(i, count - 1)].text);
		e = db_query_int(db, KEYS_WITH_HASH("COUNT(DISTINCT key_hash)"), args,
				 ARRAY_LEN(args), 0, &found);
		there += (size_t)found;
	}
	*ret = there;
	return e;
}

enum err
key_find_invalid(struct db *db, int64_t group_id, struct key_ids *ret)
{
	struct key_ids ids = {0};
	enum err e = collect_ids(
	    db, "SELECT id FROM api_keys WHERE group_id = ? AND status = 'invalid' ORDER BY id",
	    DB_ARGS(db_int(group_id)), &ids);

	if (e != ERR_OK) {
		key_ids_done(&ids);
		return e;
	}
	*ret = ids;
	return ERR_OK;
}

/* --- deleting --- */

static size_t
stretch_end(const int64_t *ids, size_t n, size_t first)
{
	size_t end = first + 1;

	while (end < n && ids[end] - ids[end - 1] <= OUTBOX_GAP)
		end++;
	return end;
}

static enum err
outbox_add_ids(struct db *db, int64_t group_id, const int64_t *ids, size_t n)
{
	size_t stretches = 0;
	enum err e = ERR_OK;

	for (size_t i = 0; i < n; i = stretch_end(ids, n, i))
		stretches++;
	if (stretches > OUTBOX_STRETCHES)
		return outbox_add(db, group_id, 0, INT64_MAX);
	for (size_t i = 0, end; i < n && e == ERR_OK; i = end) {
		end = stretch_end(ids, n, i);
		e = outbox_add(db, group_id, ids[i], ids[end - 1]);
	}
	return e;
}

enum err
key_delete_within(struct db *db, int64_t group_id, const int64_t *ids, size_t n,
		  size_t *ret_deleted)
{
	enum err e = ERR_OK;

	for (size_t first = 0; first < n && e == ERR_OK; first += IN_LIST) {
		size_t count = MIN(n - first, (size_t)IN_LIST);
		struct db_arg args[1 + IN_LIST];
		int64_t changed = 0;

		args[0] = db_int(group_id);
		for (size_t i = 0; i < IN_LIST; i++)
			args[1 + i] = db_int(ids[first + MIN(i, count - 1)]);
		e = db_exec(db, "DELETE FROM api_keys WHERE group_id = ? AND id IN (" Q50 ")", args,
			    ARRAY_LEN(args), &changed);
		*ret_deleted += (size_t)changed;
	}
	return e == ERR_OK ? outbox_add_ids(db, group_id, ids, n) : e;
}

enum err
key_delete(struct db *db, int64_t group_id, const int64_t *ids, size_t n, size_t *ret_deleted)
{
	size_t deleted = 0;

	if (n > 0) {
		enum err e = db_begin(db);
		if (e == ERR_OK)
			e = finish(db, key_delete_within(db, group_id, ids, n, &deleted));
		if (e != ERR_OK)
			return e;
	}
	*ret_deleted = deleted;
	return ERR_OK;
}

enum err
key_clear(struct db *db, int64_t group_id, size_t *ret_deleted)
{
	int64_t changed = 0;
	enum err e = db_begin(db);

	if (e != ERR_OK)
		return e;
	e = db_exec(db, "DELETE FROM api_keys WHERE group_id = ?", DB_ARGS(db_int(group_id)),
		    &changed);
	if (e == ERR_OK)
		e = outbox_add(db, group_id, 0, INT64_MAX);
	e = finish(db, e);
	if (e == ERR_OK)
		*ret_deleted = (size_t)changed;
	return e;
}
