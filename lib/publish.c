/* SPDX-License-Identifier: MIT
 *
 * The pool follows the DB; see publish.h. The way back is in writeback.c.
 *
 *	DB commit ──▶ gptl_meta version ──▶ snapshot in the pool
 *	          └─▶ gptl_outbox rows  ──▶ pool_sync of their ranges, row deleted
 *
 * Whoever moves keys holds the lock "publish" of the DB. Without it a process
 * could read a range, be overtaken by another that reads and writes it later, and
 * then put the older state over the newer: a deleted key would live on.
 */
#include "lib/publish.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/migrate.h"
#include "lib/pool_store.h"
#include "lib/snapshot.h"
#include "lib/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

/* Keys of one pool_sync: one atomic step of the pool, for which requests wait. While the
 * next are read from the DB they go on. */
#define BATCH_KEYS   250
#define ARENA_CHUNK  (64 * 1024)
#define WARNINGS_MAX (64 * 1024)
#define META_MAX     64
/* Seconds for which publish_keys() waits for another publisher. */
#define PUBLISH_WAIT_S 120

static const char lock_name[] = "publish";

static enum err
db_refused(struct db *db, enum err e, struct errinfo *info)
{
	return err_set(info, e, "database: %s", db_error(db));
}

static enum err
pool_refused(enum err e, struct errinfo *info)
{
	return err_set(info, e, "%s", err_message(e));
}

enum err
outbox_add(struct db *db, int64_t group_id, int64_t first_id, int64_t last_id)
{
	return db_exec(
	    db,
	    "INSERT INTO gptl_outbox (group_id, first_id, last_id, created_at) "
	    "VALUES (?, ?, ?, ?)",
	    DB_ARGS(db_int(group_id), db_int(first_id), db_int(last_id), db_time(clock_wall_us())),
	    NULL);
}

/* --- configuration --- */

static void
log_warnings(const struct buf *warnings)
{
	struct str rest = buf_view(warnings);
	struct str line;

	while (str_split(&rest, '\n', &line))
		if (line.n > 0)
			log_warn("configuration: " STR_FMT, STR_ARG(line));
}

static enum err
put_config(struct db *db, struct pool *pool, bool force, struct errinfo *info)
{
	struct buf text;
	struct buf warnings;
	uint64_t version = 0;
	enum err e;

	buf_init(&text, LIMIT_SNAPSHOT);
	buf_init(&warnings, WARNINGS_MAX);
	e = snapshot_compile(db, &text, &version, &warnings, info);
	if (e == ERR_OK) {
		e = pool_snapshot_put(pool, version, buf_view(&text), force);
		if (e != ERR_OK)
			e = pool_refused(e, info);
	}
	if (e == ERR_OK)
		log_warnings(&warnings);
	buf_done(&text);
	buf_done(&warnings);
	return e;
}

enum err
publish_config(struct db *db, struct pool *pool, struct errinfo *info)
{
	return put_config(db, pool, false, info);
}

/* --- keys --- */

/* Keys of one group on their way to the pool. */
struct transfer {
	struct db *db;
	struct pool *pool;
	bool force; /* the DB's state wins over the pool's */
	void (*progress)(void *arg, int64_t done);
	void *arg;
	int64_t done;
	struct pool_key *batch; /* BATCH_KEYS of them */
	size_t n_batch;
	int64_t last_read; /* id of the last row read, whether used or not */
	size_t n_read;
	struct arena arena; /* text of the batch */
};

static void
transfer_init(struct transfer *t, struct db *db, struct pool *pool)
{
	*t = (struct transfer){.db = db, .pool = pool};
	t->batch = xcalloc(BATCH_KEYS, sizeof(*t->batch));
	arena_init(&t->arena, ARENA_CHUNK);
}

static void
transfer_done(struct transfer *t)
{
	free(t->batch);
	arena_done(&t->arena);
}

/* A row of no use to the pool is passed over: no text, or more than it holds. */
static void
take_row(struct transfer *t, struct db_rows *rows)
{
	struct pool_key *k = &t->batch[t->n_batch];
	struct str stored = db_col_text(rows, 1);

	t->last_read = db_col_int(rows, 0);
	t->n_read++;
	if (stored.n == 0 || stored.n > POOL_STORED_MAX)
		return;
	*k = (struct pool_key){.id = t->last_read, .stored = arena_str(&t->arena, stored)};
	/* A hash that is missing stays all zero. */
	if (!hex_decode(db_col_text(rows, 2), k->hash, sizeof(k->hash)))
		memset(k->hash, 0, sizeof(k->hash));
	if (!key_state_parse(db_col_text(rows, 3), &k->state))
		k->state = KEY_INVALID;
	k->fails = (uint32_t)MAX(0, MIN(db_col_int(rows, 4), (int64_t)UINT32_MAX));
	k->seq = (uint64_t)MAX(0, db_col_int(rows, 5));
	t->n_batch++;
}

static enum err
read_batch(struct transfer *t, int64_t group_id, int64_t first_id, int64_t last_id)
{
	struct db_rows *rows;
	enum err e;

	t->n_batch = t->n_read = 0;
	arena_done(&t->arena);
	for (e = db_query(
		 t->db,
		 "SELECT id, key_value, key_hash, status, failure_count, gptl_seq FROM api_keys "
		 "WHERE group_id = ? AND id >= ? AND id <= ? ORDER BY id LIMIT ?",
		 DB_ARGS(db_int(group_id), db_int(first_id), db_int(last_id), db_int(BATCH_KEYS)),
		 &rows);
	     e == ERR_OK && db_next(rows, &e);)
		take_row(t, rows);
	db_rows_done(rows);
	return e;
}

/* Makes the pool's keys of the group within [first_id, last_id] those of the DB. */
static enum err
transfer_range(struct transfer *t, int64_t group_id, int64_t first_id, int64_t last_id,
	       struct errinfo *info)
{
	bool whole = first_id == 0 && last_id == INT64_MAX;
	size_t n = 0;
	enum err e;

	do {
		int64_t end = last_id;

		e = read_batch(t, group_id, first_id, last_id);
		if (e != ERR_OK)
			return db_refused(t->db, e, info);
		if (t->n_read == BATCH_KEYS)
			end = t->last_read;
		e = pool_sync(t->pool, group_id, first_id, end, t->batch, t->n_batch, t->force);
		if (e != ERR_OK)
			return pool_refused(e, info);
		n += t->n_read;
		t->done += (int64_t)t->n_read;
		if (t->progress != NULL)
			t->progress(t->arg, t->done);
		if (end == last_id)
			break;
		first_id = end + 1;
	} while (first_id <= last_id);
	if (whole && n == 0) {
		e = pool_drop_group(t->pool, group_id);
		if (e != ERR_OK)
			return pool_refused(e, info);
	}
	return ERR_OK;
}

struct outbox_row {
	int64_t id;
	int64_t group_id;
	int64_t first_id;
	int64_t last_id;
};

/* The oldest; ERR_NOT_FOUND: there is none. */
static enum err
outbox_next(struct db *db, struct outbox_row *ret)
{
	struct db_rows *rows;
	enum err e = db_query(
	    db, "SELECT id, group_id, first_id, last_id FROM gptl_outbox ORDER BY id LIMIT 1",
	    DB_NO_ARGS, &rows);

	if (e == ERR_OK && db_next(rows, &e))
		*ret = (struct outbox_row){
		    .id = db_col_int(rows, 0),
		    .group_id = db_col_int(rows, 1),
		    .first_id = db_col_int(rows, 2),
		    .last_id = db_col_int(rows, 3),
		};
	else if (e == ERR_OK)
		e = ERR_NOT_FOUND;
	db_rows_done(rows);
	return e;
}

static enum err
transfer_outbox(struct transfer *t, struct errinfo *info)
{
	struct outbox_row row = {0};
	enum err e;

	while ((e = outbox_next(t->db, &row)) == ERR_OK) {
		e = transfer_range(t, row.group_id, row.first_id, row.last_id, info);
		if (e != ERR_OK)
			return e;
		e = db_exec(t->db, "DELETE FROM gptl_outbox WHERE id = ?", DB_ARGS(db_int(row.id)),
			    NULL);
		if (e != ERR_OK)
			break;
	}
	return e == ERR_NOT_FOUND ? ERR_OK : db_refused(t->db, e, info);
}

/* With the lock taken. */
static enum err
publish_locked(struct transfer *t, struct errinfo *info)
{
	enum err e = transfer_outbox(t, info);

	db_unlock(t->db, lock_name);
	return e;
}

enum err
publish_keys(struct db *db, struct pool *pool, void (*progress)(void *arg, int64_t done), void *arg,
	     struct errinfo *info)
{
	struct transfer t;
	enum err e = db_lock(db, lock_name, PUBLISH_WAIT_S);

	if (e != ERR_OK)
		return db_refused(db, e, info);
	transfer_init(&t, db, pool);
	t.progress = progress;
	t.arg = arg;
	e = publish_locked(&t, info);
	transfer_done(&t);
	return e;
}

/* --- what was left over --- */

static enum err
read_pending(struct db *db, int64_t *ret_version, bool *ret_keys)
{
	struct db_rows *rows;
	enum err e = db_query(db,
			      "SELECT (SELECT value FROM gptl_meta WHERE name = 'version'), "
			      "EXISTS (SELECT 1 FROM gptl_outbox)",
			      DB_NO_ARGS, &rows);

	if (e == ERR_OK && db_next(rows, &e)) {
		*ret_version = db_col_int(rows, 0);
		*ret_keys = db_col_bool(rows, 1);
	}
	db_rows_done(rows);
	return e;
}

/* Somebody else at work on the outbox does this one's work too. */
static enum err
publish_left_keys(struct db *db, struct pool *pool, struct errinfo *info)
{
	struct transfer t;
	enum err e = db_lock(db, lock_name, 0);

	if (e == ERR_TASK)
		return ERR_OK;
	if (e != ERR_OK)
		return db_refused(db, e, info);
	transfer_init(&t, db, pool);
	e = publish_locked(&t, info);
	transfer_done(&t);
	return e;
}

enum err
publish_pending(struct db *db, struct pool *pool, struct errinfo *info)
{
	uint64_t there;
	int64_t version = 0;
	bool keys = false;
	enum err e = pool_version(pool, &there);

	if (e != ERR_OK)
		return pool_refused(e, info);
	e = read_pending(db, &version, &keys);
	if (e != ERR_OK)
		return db_refused(db, e, info);
	/* The pool was asked first, and what is in it had been committed: if it is ahead
	 * all the same, an older state of the DB was put back. */
	if (there != (uint64_t)version)
		e = put_config(db, pool, there > (uint64_t)version, info);
	if (e == ERR_OK && keys)
		e = publish_left_keys(db, pool, info);
	return e;
}

/* --- the whole pool --- */

static enum err
db_identity(struct db *db, struct pool_identity *ret)
{
	struct buf text;
	int64_t generation;
	enum err e;

	buf_init(&text, META_MAX);
	e = meta_get(db, "installation_id", &text);
	*ret = (struct pool_identity){.complete = true};
	memcpy(ret->installation, buf_text(&text), MIN(text.n, sizeof(ret->installation) - 1));
	if (e == ERR_OK)
		e = meta_get(db, "generation", &text);
	if (e == ERR_OK && str_to_i64(buf_view(&text), 0, INT64_MAX, &generation))
		ret->generation = (uint64_t)generation;
	buf_done(&text);
	return e;
}

static bool
same_identity(const struct pool_identity *a, const struct pool_identity *b)
{
	return strcmp(a->installation, b->installation) == 0 && a->generation == b->generation;
}

/* Ids of all groups, ascending; *ret is malloc'ed. */
static enum err
db_groups(struct db *db, int64_t **ret, size_t *ret_n)
{
	struct db_rows *rows;
	int64_t *ids = NULL;
	size_t cap = 0;
	size_t n = 0;
	enum err e;

	for (e = db_query(db, "SELECT id FROM \"groups\" ORDER BY id", DB_NO_ARGS, &rows);
	     e == ERR_OK && db_next(rows, &e);) {
		if (n == cap) {
			cap = cap > 0 ? cap * 2 : 64;
			ids = xrealloc(ids, cap * sizeof(*ids));
		}
		ids[n++] = db_col_int(rows, 0);
	}
	db_rows_done(rows);
	if (e != ERR_OK) {
		free(ids);
		return e;
	}
	*ret = ids;
	*ret_n = n;
	return ERR_OK;
}

static int
compare_ids(const void *a, const void *b)
{
	const int64_t *x = a;
	const int64_t *y = b;

	return (*x > *y) - (*x < *y);
}

static enum err
drop_strangers(struct pool *pool, const int64_t *ids, size_t n)
{
	int64_t *there = NULL;
	size_t n_there = 0;
	enum err e = pool_groups(pool, &there, &n_there);

	for (size_t i = 0; i < n_there && e == ERR_OK; i++)
		if (n == 0 || bsearch(&there[i], ids, n, sizeof(*ids), compare_ids) == NULL)
			e = pool_drop_group(pool, there[i]);
	free(there);
	return e;
}

/* Every key and the configuration; the identity comes last, so that a rebuild
 * which is cut off is begun anew. */
static enum err
rebuild(struct transfer *t, const struct pool_identity *want, struct errinfo *info)
{
	AUTO_FREE int64_t *ids = NULL;
	size_t n = 0;
	enum err e = db_groups(t->db, &ids, &n);

	if (e != ERR_OK)
		return db_refused(t->db, e, info);
	for (size_t i = 0; i < n && e == ERR_OK; i++)
		e = transfer_range(t, ids[i], 0, INT64_MAX, info);
	if (e != ERR_OK)
		return e;
	e = drop_strangers(t->pool, ids, n);
	if (e != ERR_OK)
		return pool_refused(e, info);
	e = put_config(t->db, t->pool, t->force, info);
	if (e != ERR_OK)
		return e;
	e = pool_identity_set(t->pool, want);
	return e == ERR_OK ? ERR_OK : pool_refused(e, info);
}

/* The one process of this node that got here; looks again, for another may have
 * done it meanwhile. */
static enum err
ensure_alone(struct db *db, struct pool *pool, const struct pool_identity *want,
	     struct errinfo *info)
{
	struct pool_identity have;
	struct transfer t;
	enum err e = db_lock(db, lock_name, PUBLISH_WAIT_S);

	if (e != ERR_OK)
		return db_refused(db, e, info);
	e = pool_identity_get(pool, &have);
	if (e != ERR_OK) {
		e = pool_refused(e, info);
	} else if (!have.complete || !same_identity(&have, want)) {
		transfer_init(&t, db, pool);
		t.force = !same_identity(&have, want);
		e = rebuild(&t, want, info);
		transfer_done(&t);
	}
	db_unlock(db, lock_name);
	return e;
}

/* Waits; the descriptor's end is the lock's. */
static enum err
lock_file(const char *path, int *ret_fd, struct errinfo *info)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int rc = -1;

	if (fd < 0)
		return err_set(info, ERR_IO, "%s: %m", path);
	do
		rc = flock(fd, LOCK_EX);
	while (rc < 0 && errno == EINTR);
	if (rc < 0) {
		enum err e = err_set(info, ERR_IO, "%s: %m", path);

		(void)close(fd);
		return e;
	}
	*ret_fd = fd;
	return ERR_OK;
}

enum err
publish_ensure(const struct conf *conf, struct db *db, struct pool *pool, struct errinfo *info)
{
	struct pool_identity want;
	struct pool_identity have;
	int fd = -1;
	enum err e = db_identity(db, &want);

	if (e != ERR_OK)
		return db_refused(db, e, info);
	e = pool_identity_get(pool, &have);
	if (e != ERR_OK)
		return pool_refused(e, info);
	if (have.complete && same_identity(&have, &want))
		return ERR_OK;

	AUTO_FREE char *path = conf_path(conf, "pool.lock");

	e = lock_file(path, &fd, info);
	if (e != ERR_OK)
		return e;
	e = ensure_alone(db, pool, &want, info);
	(void)close(fd);
	return e;
}
