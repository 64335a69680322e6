/* SPDX-License-Identifier: MIT
 *
 * See rekey.h. This file does the keys, rekey_logs.c what follows them.
 */
#include "lib/rekey.h"

#include "lib/alive.h"
#include "lib/limits.h"
#include "lib/migrate.h"
#include "lib/publish.h"
#include "lib/spool.h"
#include "lib/stored.h"
#include "lib/str.h"

#include <stdio.h>

#define LOCK_WAIT_S 10
#define STORED_MAX  (2 * LIMIT_KEY_BYTES + 64)
/* Keys of one UPDATE of the swap. */
#define SWAP_STEP 20000
#define ROUNDS    100000

static enum err
refused(struct rekey *r, enum err e, struct errinfo *info)
{
	return e == ERR_OK ? ERR_OK : err_set(info, e, "database: %s", db_error(r->db));
}

/* --- one key --- */

static bool
opens(struct rekey *r, const struct crypt *crypt, struct str stored)
{
	buf_clear(&r->plain);
	return crypt_decrypt(crypt, stored, &r->plain) == ERR_OK && buf_err(&r->plain) == ERR_OK &&
	       r->plain.n > 0;
}

enum rekey_state
rekey_open(struct rekey *r, struct str stored, struct str hash)
{
	if (!crypt_is_identity(r->to) && opens(r, r->to, stored))
		return REKEY_NEW;
	if (!crypt_is_identity(r->from) && opens(r, r->from, stored))
		return REKEY_OLD;
	/* What is left is in clear, where one of the two is no key, or nobody's. */
	if (!stored_is_plain(stored, hash))
		return REKEY_BAD;
	if (crypt_is_identity(r->from) && opens(r, r->from, stored))
		return REKEY_OLD;
	if (crypt_is_identity(r->to) && opens(r, r->to, stored))
		return REKEY_NEW;
	return REKEY_BAD;
}

void
rekey_store(struct rekey *r, struct buf *stored, char hash[CRYPT_HASH_HEX + 1])
{
	uint8_t digest[CRYPT_HASH_BYTES];

	crypt_encrypt(r->to, buf_view(&r->plain), stored);
	crypt_hash(r->to, buf_view(&r->plain), digest);
	hex_encode(hash, digest, sizeof(digest));
}

/* --- check --- */

struct count {
	int64_t n[REKEY_BAD + 1];
	int64_t total;
	int64_t last_id;
	int64_t bad_id; /* the first of them */
};

static enum err
count_page(struct rekey *r, struct count *c, size_t *ret_n)
{
	struct db_rows *rows;
	size_t n = 0;
	enum err e;

	for (e = db_query(r->db,
			  "SELECT id, key_value, key_hash FROM api_keys WHERE id > ? "
			  "ORDER BY id LIMIT ?",
			  DB_ARGS(db_int(c->last_id), db_int(REKEY_PAGE)), &rows);
	     e == ERR_OK && db_next(rows, &e); n++) {
		enum rekey_state state = rekey_open(r, db_col_text(rows, 1), db_col_text(rows, 2));

		c->last_id = db_col_int(rows, 0);
		c->n[state]++;
		if (state == REKEY_BAD && c->bad_id == 0)
			c->bad_id = c->last_id;
	}
	db_rows_done(rows);
	*ret_n = n;
	return e;
}

static enum err
check_keys(struct rekey *r, struct count *c, struct errinfo *info)
{
	size_t n = REKEY_PAGE;
	int64_t done = 0;
	enum err e = db_query_int(r->db, "SELECT count(*) FROM api_keys", DB_NO_ARGS, 0, &c->total);

	while (e == ERR_OK && n == REKEY_PAGE) {
		e = count_page(r, c, &n);
		done += (int64_t)n;
		r->progress(r->arg, "checking keys", done, c->total);
	}
	if (e != ERR_OK)
		return refused(r, e, info);
	if (c->n[REKEY_BAD] > 0)
		return err_set(info, ERR_CRYPT,
			       "%lld of %lld keys open neither with the old key nor with the new "
			       "one (the first is key %lld); nothing was changed",
			       (long long)c->n[REKEY_BAD], (long long)c->total,
			       (long long)c->bad_id);
	return ERR_OK;
}

/* --- copy --- */

static enum err
make_copy(struct rekey *r)
{
	static const struct sql table = {
	    .sqlite = "CREATE TABLE gptl_rekey (id bigint NOT NULL PRIMARY KEY, "
		      "key_value text NOT NULL, key_hash varchar(128) NOT NULL)",
	    .mysql = "CREATE TABLE gptl_rekey (id bigint unsigned NOT NULL PRIMARY KEY, "
		     "key_value text NOT NULL, key_hash varchar(128) NOT NULL) "
		     "ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
	};
	enum err e = db_script(r->db, "DROP TABLE IF EXISTS gptl_rekey");

	return e == ERR_OK ? db_script(r->db, db_pick(r->db, &table)) : e;
}

struct copied {
	int64_t id;
	size_t end; /* in the text of all */
	char hash[CRYPT_HASH_HEX + 1];
};

/* Of one page: what is to be inserted. */
struct copy {
	struct copied *v;
	size_t n;
	struct buf text;
};

static enum err
copy_page(struct rekey *r, int64_t *after, struct copy *copy, size_t *ret_n)
{
	struct db_rows *rows;
	size_t n = 0;
	enum err e;

	copy->n = 0;
	buf_clear(&copy->text);
	for (e = db_query(r->db,
			  "SELECT id, key_value, key_hash FROM api_keys WHERE id > ? "
			  "ORDER BY id LIMIT ?",
			  DB_ARGS(db_int(*after), db_int(REKEY_PAGE)), &rows);
	     e == ERR_OK && db_next(rows, &e); n++) {
		struct copied *c = &copy->v[copy->n];

		*after = db_col_int(rows, 0);
		if (rekey_open(r, db_col_text(rows, 1), db_col_text(rows, 2)) != REKEY_OLD)
			continue;
		c->id = *after;
		rekey_store(r, &copy->text, c->hash);
		c->end = copy->text.n;
		copy->n++;
	}
	db_rows_done(rows);
	*ret_n = n;
	return e == ERR_OK ? buf_err(&copy->text) : e;
}

#define ROWS 10
#define ROW  "(?,?,?)"
#define ROW5 ROW "," ROW "," ROW "," ROW "," ROW
#define INTO "INSERT INTO gptl_rekey (id, key_value, key_hash) VALUES "

static enum err
insert_page(struct rekey *r, const struct copy *copy)
{
	enum err e = db_begin(r->db);

	if (e != ERR_OK)
		return e;
	for (size_t first = 0; first < copy->n && e == ERR_OK;) {
		size_t n = copy->n - first >= ROWS ? ROWS : 1;
		struct db_arg args[3 * ROWS];

		for (size_t i = 0; i < n; i++) {
			const struct copied *c = &copy->v[first + i];
			size_t from = first + i > 0 ? copy->v[first + i - 1].end : 0;

			args[3 * i] = db_int(c->id);
			args[3 * i + 1] =
			    db_text(((struct str){copy->text.p + from, c->end - from}));
			args[3 * i + 2] = db_cstr(c->hash);
		}
		e = db_exec(r->db, n == ROWS ? INTO ROW5 "," ROW5 : INTO ROW, args, 3 * n, NULL);
		first += n;
	}
	if (e == ERR_OK)
		return db_commit(r->db);
	db_rollback(r->db);
	return e;
}

static enum err
copy_keys(struct rekey *r, const struct count *c)
{
	struct copy copy = {.v = xcalloc(REKEY_PAGE, sizeof(*copy.v))};
	AUTO_FREE struct copied *v = copy.v;
	int64_t after = 0;
	int64_t done = 0;
	size_t n = REKEY_PAGE;
	enum err e = make_copy(r);

	buf_init(&copy.text, (size_t)REKEY_PAGE * STORED_MAX);
	while (e == ERR_OK && n == REKEY_PAGE) {
		e = copy_page(r, &after, &copy, &n);
		if (e == ERR_OK)
			e = insert_page(r, &copy);
		done += (int64_t)n;
		r->progress(r->arg, "storing keys anew", done, c->total);
	}
	if (copy.text.p != NULL)
		wipe(copy.text.p, copy.text.n);
	buf_done(&copy.text);
	return e;
}

/* --- verify --- */

static bool
is_same(struct rekey *r, struct str old, struct str new, struct str hash)
{
	uint8_t digest[CRYPT_HASH_BYTES];
	uint8_t is[CRYPT_HASH_BYTES];
	struct buf plain;
	bool same;

	buf_init(&plain, LIMIT_KEY_BYTES);
	same = opens(r, r->from, old) && crypt_decrypt(r->to, new, &plain) == ERR_OK &&
	       str_eq(buf_view(&plain), buf_view(&r->plain));
	crypt_hash(r->to, buf_view(&r->plain), digest);
	same = same && hex_decode(hash, is, sizeof(is)) && memcmp(is, digest, sizeof(is)) == 0;
	if (plain.p != NULL)
		wipe(plain.p, plain.n);
	buf_done(&plain);
	return same;
}

static enum err
verify_page(struct rekey *r, int64_t *after, int64_t *same, size_t *ret_n)
{
	struct db_rows *rows;
	size_t n = 0;
	enum err e;

	for (e = db_query(r->db,
			  "SELECT k.id, k.key_value, r.key_value, r.key_hash FROM gptl_rekey r "
			  "JOIN api_keys k ON k.id = r.id WHERE r.id > ? ORDER BY r.id LIMIT ?",
			  DB_ARGS(db_int(*after), db_int(REKEY_PAGE)), &rows);
	     e == ERR_OK && db_next(rows, &e); n++) {
		*after = db_col_int(rows, 0);
		*same +=
		    is_same(r, db_col_text(rows, 1), db_col_text(rows, 2), db_col_text(rows, 3));
	}
	db_rows_done(rows);
	*ret_n = n;
	return e;
}

static enum err
verify_copy(struct rekey *r, const struct count *c, struct errinfo *info)
{
	int64_t after = 0;
	int64_t same = 0;
	size_t n = REKEY_PAGE;
	enum err e = ERR_OK;

	while (e == ERR_OK && n == REKEY_PAGE) {
		e = verify_page(r, &after, &same, &n);
		r->progress(r->arg, "verifying", same, c->n[REKEY_OLD]);
	}
	if (e != ERR_OK)
		return refused(r, e, info);
	if (same != c->n[REKEY_OLD])
		return err_set(info, ERR_CRYPT,
			       "of %lld keys stored anew %lld open again; nothing was changed",
			       (long long)c->n[REKEY_OLD], (long long)same);
	return ERR_OK;
}

/* --- swap: all of it in one transaction --- */

/* A program that was not stopped may have added or deleted some. */
static enum err
same_keys(struct rekey *r, const struct count *c, struct errinfo *info)
{
	int64_t total = 0;
	int64_t last = 0;
	enum err e = db_query_int(r->db, "SELECT count(*) FROM api_keys", DB_NO_ARGS, 0, &total);

	if (e == ERR_OK)
		e = db_query_int(r->db, "SELECT COALESCE(MAX(id), 0) FROM api_keys", DB_NO_ARGS, 0,
				 &last);
	if (e == ERR_OK && (total != c->total || last != c->last_id))
		return err_set(info, ERR_TASK,
			       "keys were added or deleted meanwhile: stop every program of the "
			       "gateway and run this again; nothing was changed");
	return e;
}

static enum err
swap_keys(struct rekey *r, const struct count *c, int64_t *ret_changed)
{
	static const struct sql update = {
	    .sqlite = "UPDATE api_keys SET key_value = r.key_value, key_hash = r.key_hash "
		      "FROM gptl_rekey r WHERE r.id = api_keys.id AND api_keys.id > ? AND "
		      "api_keys.id <= ?",
	    .mysql = "UPDATE api_keys k JOIN gptl_rekey r ON r.id = k.id SET "
		     "k.key_value = r.key_value, k.key_hash = r.key_hash WHERE k.id > ? AND "
		     "k.id <= ?",
	};
	enum err e = ERR_OK;

	for (int64_t id = 0; id < c->last_id && e == ERR_OK; id += SWAP_STEP) {
		int64_t changed = 0;

		e = db_exec(r->db, db_pick(r->db, &update),
			    DB_ARGS(db_int(id), db_int(id + SWAP_STEP)), &changed);
		*ret_changed += changed;
		r->progress(r->arg, "changing keys", MIN(id + SWAP_STEP, c->last_id), c->last_id);
	}
	return e;
}

struct part {
	int64_t task_id;
	int64_t part;
};

/* The next portion of a task's keys after *at; ERR_NOT_FOUND: there is none. */
static enum err
next_part(struct rekey *r, struct part *at, struct buf *stored)
{
	struct db_rows *rows;
	bool found = false;
	enum err e =
	    db_query(r->db,
		     "SELECT task_id, part, key_values FROM gptl_task_input WHERE "
		     "task_id > ? OR (task_id = ? AND part > ?) "
		     "ORDER BY task_id, part LIMIT 1",
		     DB_ARGS(db_int(at->task_id), db_int(at->task_id), db_int(at->part)), &rows);

	if (e == ERR_OK && db_next(rows, &e)) {
		found = true;
		*at = (struct part){db_col_int(rows, 0), db_col_int(rows, 1)};
		buf_clear(stored);
		buf_str(stored, db_col_text(rows, 2));
	}
	db_rows_done(rows);
	if (e == ERR_OK && !found)
		return ERR_NOT_FOUND;
	return e == ERR_OK ? buf_err(stored) : e;
}

/* Keys of imports and deletions that wait. */
static enum err
swap_tasks(struct rekey *r)
{
	struct part at = {0};
	struct buf stored;
	struct buf plain;
	struct buf anew;
	enum err e;

	buf_init(&stored, LIMIT_ADMIN_BODY);
	buf_init(&plain, LIMIT_ADMIN_BODY);
	buf_init(&anew, LIMIT_ADMIN_BODY);
	while ((e = next_part(r, &at, &stored)) == ERR_OK) {
		buf_clear(&plain);
		buf_clear(&anew);
		/* By an earlier run: what is not encrypted "opens" always. */
		if (!crypt_is_identity(r->to) &&
		    crypt_decrypt(r->to, buf_view(&stored), &plain) == ERR_OK)
			continue;
		/* One that does not open fails its task, not this. */
		if (crypt_decrypt(r->from, buf_view(&stored), &plain) != ERR_OK)
			continue;
		crypt_encrypt(r->to, buf_view(&plain), &anew);
		e = buf_err(&anew);
		if (e == ERR_OK)
			e = db_exec(
			    r->db,
			    "UPDATE gptl_task_input SET key_values = ? WHERE task_id = ? "
			    "AND part = ?",
			    DB_ARGS(db_text(buf_view(&anew)), db_int(at.task_id), db_int(at.part)),
			    NULL);
		if (e != ERR_OK)
			break;
	}
	if (plain.p != NULL)
		wipe(plain.p, plain.n);
	buf_done(&stored);
	buf_done(&plain);
	buf_done(&anew);
	return e == ERR_NOT_FOUND ? ERR_OK : e;
}

static enum err
swap_within(struct rekey *r, const struct count *c, struct errinfo *info)
{
	int64_t changed = 0;
	enum err e = same_keys(r, c, info);

	if (e == ERR_OK)
		e = swap_keys(r, c, &changed);
	if (e == ERR_OK && changed != c->n[REKEY_OLD])
		return err_set(info, ERR_DB, "%lld of %lld keys were changed; nothing was changed",
			       (long long)changed, (long long)c->n[REKEY_OLD]);
	if (e == ERR_OK)
		e = swap_tasks(r);
	if (e == ERR_OK)
		e = meta_bump_generation(r->db);
	/* None lives, and those that start have another key now. */
	if (e == ERR_OK)
		e = db_exec(r->db, "DELETE FROM gptl_nodes", DB_NO_ARGS, NULL);
	if (e == ERR_OK)
		e = meta_set(r->db, REKEY_META, STR(""));
	return e;
}

static enum err
swap(struct rekey *r, const struct count *c, struct errinfo *info)
{
	enum err e = db_begin(r->db);

	if (e != ERR_OK)
		return refused(r, e, info);
	e = swap_within(r, c, info);
	if (e == ERR_OK)
		e = db_commit(r->db);
	if (e != ERR_OK)
		db_rollback(r->db);
	if (e == ERR_OK)
		r->result.keys = c->n[REKEY_OLD];
	return e == ERR_TASK || (info != NULL && info->text[0] != '\0') ? e : refused(r, e, info);
}

/* --- all of it --- */

static enum err
settle(struct rekey *r, struct errinfo *info)
{
	size_t n = 1;
	enum err e = spool_flush(r->conf, r->db, true, NULL, info);

	if (e == ERR_OK)
		e = publish_ensure(r->conf, r->db, r->pool, info);
	for (int i = 0; e == ERR_OK && n > 0 && i < ROUNDS; i++)
		e = writeback_run(r->db, r->pool, &n, info);
	return e;
}

/* SQLite then overwrites what a row held before. */
static void
forget_old(struct rekey *r)
{
	if (db_dialect(r->db) == DB_SQLITE &&
	    db_script(r->db, "PRAGMA secure_delete = ON") != ERR_OK)
		return; /* as without it */
}

static enum err
run_locked(struct rekey *r, struct errinfo *info)
{
	struct count count = {0};
	enum err e = alive_refuse(r->conf, r->db, info);

	if (e == ERR_OK)
		e = settle(r, info);
	if (e == ERR_OK)
		e = check_keys(r, &count, info);
	/* Of no key nobody can tell; an import may wait all the same. */
	if (e == ERR_OK && (count.n[REKEY_OLD] > 0 || count.total == 0)) {
		e = refused(r, copy_keys(r, &count), info);
		if (e == ERR_OK)
			e = verify_copy(r, &count, info);
		if (e == ERR_OK)
			e = swap(r, &count, info);
	}
	r->result.keys_before = count.n[REKEY_NEW];
	if (e == ERR_OK)
		e = publish_ensure(r->conf, r->db, r->pool, info);
	if (e == ERR_OK)
		e = rekey_logs(r, info);
	if (e == ERR_OK)
		e = refused(r, db_script(r->db, "DROP TABLE IF EXISTS gptl_rekey"), info);
	return e;
}

enum err
rekey_run(const struct conf *conf, struct db *db, struct pool *pool, const struct crypt *from,
	  const struct crypt *to, rekey_progress_fn progress, void *arg, struct rekey_result *ret,
	  struct errinfo *info)
{
	struct rekey r = {.conf = conf,
			  .db = db,
			  .pool = pool,
			  .from = from,
			  .to = to,
			  .progress = progress,
			  .arg = arg};
	/* What every start waits for: none happens meanwhile. */
	enum err e = db_lock(db, "migrate", LOCK_WAIT_S);

	if (e == ERR_TASK)
		return err_set(info, e, "another program is changing this database");
	if (e != ERR_OK)
		return refused(&r, e, info);
	buf_init(&r.plain, LIMIT_KEY_BYTES);
	db_bulk(db, true);
	forget_old(&r);
	e = run_locked(&r, info);
	db_bulk(db, false);
	if (r.plain.p != NULL)
		wipe(r.plain.p, r.plain.n);
	buf_done(&r.plain);
	db_unlock(db, "migrate");
	*ret = r.result;
	return e;
}

enum err
rekey_is_unfinished(struct db *db, bool *ret)
{
	int64_t n = 0;
	enum err e = db_query_int(db, "SELECT count(*) FROM gptl_meta WHERE name = ?",
				  DB_ARGS(db_cstr(REKEY_META)), 0, &n);

	*ret = n > 0;
	return e;
}
