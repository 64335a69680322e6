/* SPDX-License-Identifier: MIT
 *
 * Looking at a database; see survey.h. Repeated keys are found by what they are in
 * clear: an original's key may have no hash, and the same key encrypted twice is two
 * texts.
 */
#include "lib/survey.h"

#include "lib/alive.h"
#include "lib/limits.h"
#include "lib/migrate.h"
#include "lib/setting.h"
#include "lib/stored.h"
#include "lib/str.h"

#include <stdlib.h>

#define PAGE 2000

static enum err
db_refused(struct db *db, enum err e, struct errinfo *info)
{
	return err_set(info, e, "database: %s", db_error(db));
}

/* --- what it is --- */

static enum err
count_tables(struct db *db, int64_t *ret)
{
	static const struct sql query = {
	    .sqlite = "SELECT count(*) FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'",
	    .mysql = "SELECT 0",
	    .pgsql = "SELECT 0",
	};

	return db_query_int(db, db_pick(db, &query), DB_NO_ARGS, 0, ret);
}

static enum err
read_schema(struct db *db, struct survey *s)
{
	bool ours = false;
	enum err e = migrate_has_table(db, "gptl_meta", &ours);

	if (e == ERR_OK && ours)
		e = db_query_int(db, "SELECT value FROM gptl_meta WHERE name = 'schema'",
				 DB_NO_ARGS, 0, &s->schema);
	s->kind = s->schema > 0 ? SURVEY_OURS : SURVEY_ORIGINAL;
	return e;
}

static enum err
find_kind(const struct conf *conf, struct db *db, struct survey *s, struct errinfo *info)
{
	bool groups = false;
	int64_t tables = 0;
	enum err e = migrate_has_table(db, "groups", &groups);

	if (e == ERR_OK && !groups)
		e = count_tables(db, &tables);
	if (e != ERR_OK)
		return db_refused(db, e, info);
	if (tables > 0)
		return err_set(info, ERR_CONF,
			       "DATABASE_DSN: %s is the database of another program",
			       conf->database_dsn);
	if (!groups) {
		s->kind = SURVEY_EMPTY;
		return ERR_OK;
	}
	e = migrate_refuse_older(db, info);
	if (e != ERR_OK)
		return e;
	e = read_schema(db, s);
	return e == ERR_OK ? ERR_OK : db_refused(db, e, info);
}

/* --- what is in it --- */

/* A key of a group, for finding repeated ones. */
struct seen {
	int64_t group_id;
	uint64_t hash; /* the first bytes of the key's own */
};

struct seen_list {
	struct seen *v;
	size_t n;
	size_t cap;
};

static int
compare_seen(const void *a, const void *b)
{
	const struct seen *x = a;
	const struct seen *y = b;

	if (x->group_id != y->group_id)
		return x->group_id < y->group_id ? -1 : 1;
	return (x->hash > y->hash) - (x->hash < y->hash);
}

static void
see_key(const struct crypt *crypt, struct db_rows *rows, struct survey *s, struct seen_list *seen)
{
	struct str stored = db_col_text(rows, 2);
	uint8_t hash[CRYPT_HASH_BYTES];
	struct buf plain;

	s->keys++;
	s->without_hash += db_col_text(rows, 3).n == 0;
	buf_init(&plain, LIMIT_KEY_BYTES);
	if (crypt_decrypt(crypt, stored, &plain) != ERR_OK || buf_err(&plain) != ERR_OK) {
		s->unreadable++;
		buf_done(&plain);
		return;
	}
	crypt_hash(crypt, buf_view(&plain), hash);
	if (plain.p != NULL)
		wipe(plain.p, plain.n);
	buf_done(&plain);
	if (seen->n == seen->cap) {
		seen->cap = MAX(seen->cap * 2, (size_t)PAGE);
		seen->v = xrealloc(seen->v, seen->cap * sizeof(*seen->v));
	}
	seen->v[seen->n].group_id = db_col_int(rows, 1);
	memcpy(&seen->v[seen->n++].hash, hash, sizeof(seen->v->hash));
}

static enum err
see_keys(struct db *db, const struct crypt *crypt, struct survey *s, struct seen_list *seen)
{
	struct db_rows *rows;
	int64_t after = 0;
	size_t n = PAGE;
	enum err e = ERR_OK;

	while (e == ERR_OK && n == PAGE) {
		n = 0;
		for (e = db_query(db,
				  "SELECT id, group_id, key_value, key_hash FROM api_keys "
				  "WHERE id > ? ORDER BY id LIMIT ?",
				  DB_ARGS(db_int(after), db_int(PAGE)), &rows);
		     e == ERR_OK && db_next(rows, &e); n++) {
			after = db_col_int(rows, 0);
			see_key(crypt, rows, s, seen);
		}
		db_rows_done(rows);
	}
	return e;
}

static enum err
count_keys(struct db *db, const struct crypt *crypt, struct survey *s)
{
	struct seen_list seen = {0};
	enum err e = see_keys(db, crypt, s, &seen);

	if (seen.n > 1)
		qsort(seen.v, seen.n, sizeof(*seen.v), compare_seen);
	for (size_t i = 1; i < seen.n; i++)
		s->repeated += compare_seen(&seen.v[i - 1], &seen.v[i]) == 0;
	free(seen.v);
	return e;
}

/* By most of the newest. */
static enum err
find_encrypted(struct db *db, struct survey *s)
{
	struct db_rows *rows;
	int n = 0;
	int plain = 0;
	enum err e;

	for (e = db_query(db,
			  "SELECT key_value, key_hash FROM api_keys WHERE key_value <> '' "
			  "ORDER BY id DESC LIMIT 20",
			  DB_NO_ARGS, &rows);
	     e == ERR_OK && db_next(rows, &e); n++)
		plain += stored_is_plain(db_col_text(rows, 0), db_col_text(rows, 1));
	db_rows_done(rows);
	s->encrypted = n > 0 && plain * 2 < n;
	return e;
}

static enum err
count_rest(struct db *db, struct survey *s)
{
	enum err e = db_query_int(db, "SELECT count(*) FROM \"groups\"", DB_NO_ARGS, 0, &s->groups);

	if (e == ERR_OK)
		e = db_query_int(db, "SELECT count(*) FROM request_logs", DB_NO_ARGS, 0, &s->logs);
	if (e == ERR_OK)
		e = db_query_int(db, "SELECT count(*) FROM group_hourly_stats", DB_NO_ARGS, 0,
				 &s->hours);
	return e;
}

/* --- what would be added, and what stays --- */

static enum err
find_settings(struct db *db, struct arena *arena, struct survey *s)
{
	bool there[SETTING__MAX];
	enum err e = settings_there(db, there);

	for (int i = 0; i < SETTING__MAX && e == ERR_OK; i++)
		if (!there[i])
			name_list_add(&s->settings, arena,
				      str_of(setting_def((enum setting)i)->key));
	return e;
}

static enum err
find_legacy(struct db *db, struct arena *arena, struct survey *s)
{
	static const struct sql query = {
	    .sqlite = "SELECT name FROM sqlite_master WHERE type = 'index' AND name IN (?, ?)",
	    .mysql = "SELECT DISTINCT index_name FROM information_schema.statistics WHERE "
		     "table_schema = DATABASE() AND index_name IN (?, ?)",
	    .pgsql = "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema() AND "
		     "indexname IN (?, ?)",
	};
	struct db_rows *rows;
	enum err e = db_query(
	    db, db_pick(db, &query),
	    DB_ARGS(db_cstr("idx_group_key"), db_cstr("idx_api_keys_group_id_key_value")), &rows);

	while (e == ERR_OK && db_next(rows, &e))
		name_list_add(&s->legacy, arena, db_col_text(rows, 0));
	db_rows_done(rows);
	return e;
}

/* A row that is not ours, newer than the start of what serves now. */
static enum err
find_other(const struct conf *conf, struct db *db, struct survey *s)
{
	struct alive alive;
	int64_t n = 0;
	enum err e;

	if (s->schema == 0)
		return ERR_OK;
	e = alive_look(conf, db, &alive);
	if (e != ERR_OK || !alive_any(&alive))
		return e;
	e = db_query_int(db,
			 "SELECT count(*) FROM (SELECT id FROM request_logs WHERE timestamp > ? "
			 "AND gptl_request_id = '' LIMIT 1) t",
			 DB_ARGS(db_time(alive.since_us)), 0, &n);
	s->both_run = n > 0;
	return e;
}

enum err
survey_run(const struct conf *conf, struct db *db, const struct crypt *crypt, struct arena *arena,
	   struct survey *ret, struct errinfo *info)
{
	enum err e;

	*ret = (struct survey){0};
	e = find_kind(conf, db, ret, info);
	ret->whole = e == ERR_OK && ret->kind == SURVEY_EMPTY;
	if (e != ERR_OK || ret->kind == SURVEY_EMPTY)
		return e;
	survey_plan(db, arena, ret);
	e = count_rest(db, ret);
	if (e == ERR_OK)
		e = count_keys(db, crypt, ret);
	if (e == ERR_OK)
		e = find_encrypted(db, ret);
	if (e == ERR_OK)
		e = find_settings(db, arena, ret);
	if (e == ERR_OK)
		e = find_legacy(db, arena, ret);
	if (e == ERR_OK)
		e = find_other(conf, db, ret);
	if (e != ERR_OK)
		return db_refused(db, e, info);
	ret->whole = true;
	return stored_check(db, crypt, info);
}
