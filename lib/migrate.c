/* SPDX-License-Identifier: MIT
 *
 * From whatever database there is to this version's:
 *
 *	empty ──schema.DIALECT.sql──▶ 1.4-shaped ──0001, 0002, …──▶ ours
 *	GPT-Load 1.4's own ───────────────┘
 *
 * gptl_meta "schema" is the number of the last migration done. A database that is
 * further than this program knows is used as it is: migrations only add. Filling
 * in (settings, hashes, identity) is looked at on every run and never changes
 * what is there.
 */
#include "lib/migrate.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/crypt.h"
#include "lib/limits.h"
#include "lib/setting.h"
#include "lib/stored.h"
#include "lib/str.h"

#include "lib/sql_text.h"

#include <stdio.h>
#include <stdlib.h>

#define LOCK_WAIT_S    60
#define HASH_PAGE      1000
#define META_MAX       4096
#define PROXY_KEY_SIZE 24 /* random bytes */

static const char *const dialect_names[] = {
    [DB_SQLITE] = "sqlite",
    [DB_MYSQL] = "mysql",
    [DB_PGSQL] = "pgsql",
};

static const char *const descriptions[SETTING__MAX] = {
    [SETTING_APP_URL] = "Address under which users reach this gateway; shown in examples.",
    [SETTING_PROXY_KEYS] = "Client keys that open every group, separated by commas.",
    [SETTING_RETENTION_DAYS] = "Days for which request logs are kept; 0 keeps them for ever.",
    [SETTING_WRITE_INTERVAL] = "Minutes between writes of request logs; 0 writes at once.",
    [SETTING_LOG_BODIES] = "Keep request bodies and user agents in the request logs.",
    [SETTING_REQUEST_TIMEOUT] = "Seconds for a whole request; for a stream, until its first byte.",
    [SETTING_CONNECT_TIMEOUT] = "Seconds for connecting to an upstream.",
    [SETTING_IDLE_CONN_TIMEOUT] = "Seconds for which an idle upstream connection is kept.",
    [SETTING_RESPONSE_HEADER_TIMEOUT] = "Seconds to wait for an upstream's response headers.",
    [SETTING_MAX_IDLE_CONNS] = "Idle upstream connections kept by one worker.",
    [SETTING_MAX_IDLE_CONNS_PER_HOST] = "Idle connections to one host kept by one worker.",
    [SETTING_PROXY_URL] = "Proxy for upstream requests; empty uses the environment's.",
    [SETTING_MAX_RETRIES] = "Further tries of a failed request, with other keys.",
    [SETTING_BLACKLIST_THRESHOLD] = "Failures in a row that take a key out; 0 never does.",
    [SETTING_FAILOVER_STATUS_CODES] = "Upstream statuses that are tried again, as in 429,500-599.",
    [SETTING_VALIDATION_INTERVAL] = "Minutes between checks of keys that are out.",
    [SETTING_VALIDATION_CONCURRENCY] = "Keys of a group that are checked at the same time.",
    [SETTING_VALIDATION_TIMEOUT] = "Seconds for the check of one key.",
    [SETTING_STREAM_IDLE_TIMEOUT] = "Seconds of silence after which a stream is given up.",
    [SETTING_STREAM_HEARTBEAT] = "Seconds of silence before a stream gets a comment; 0: none.",
};

static enum err
db_refused(struct db *db, enum err e, struct errinfo *info)
{
	return err_set(info, e, "database: %s", db_error(db));
}

/* --- small facts --- */

enum err
meta_get(struct db *db, const char *name, struct buf *ret)
{
	struct db_rows *rows;
	enum err e = db_query(db, "SELECT value FROM gptl_meta WHERE name = ?",
			      DB_ARGS(db_cstr(name)), &rows);

	if (e == ERR_OK && db_next(rows, &e)) {
		buf_clear(ret);
		buf_str(ret, db_col_text(rows, 0));
		e = buf_err(ret);
	} else if (e == ERR_OK) {
		e = ERR_NOT_FOUND;
	}
	db_rows_done(rows);
	return e;
}

enum err
meta_set(struct db *db, const char *name, struct str value)
{
	static const struct sql upsert = {
	    .sqlite = "INSERT INTO gptl_meta (name, value) VALUES (?, ?) "
		      "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
	    .mysql = "INSERT INTO gptl_meta (name, value) VALUES (?, ?) "
		     "ON DUPLICATE KEY UPDATE value = VALUES(value)",
	};

	return db_exec(db, db_pick(db, &upsert), DB_ARGS(db_cstr(name), db_text(value)), NULL);
}

static enum err
meta_number(struct db *db, const char *name, int64_t *ret)
{
	return db_query_int(db, "SELECT value FROM gptl_meta WHERE name = ?",
			    DB_ARGS(db_cstr(name)), 0, ret);
}

static enum err
meta_set_number(struct db *db, const char *name, int64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%lld", (long long)value);
	return meta_set(db, name, str_of(text));
}

enum err
meta_version(struct db *db, int64_t *ret)
{
	return meta_number(db, "version", ret);
}

/* One statement, so that the row is locked while it grows. */
static enum err
meta_grow(struct db *db, const char *name)
{
	static const struct sql grow = {
	    .sqlite = "UPDATE gptl_meta SET value = CAST(CAST(value AS INTEGER) + 1 AS TEXT) "
		      "WHERE name = ?",
	    .mysql = "UPDATE gptl_meta SET value = CAST(value AS UNSIGNED) + 1 WHERE name = ?",
	    .pgsql = "UPDATE gptl_meta SET value = CAST(CAST(value AS bigint) + 1 AS text) "
		     "WHERE name = ?",
	};

	return db_exec(db, db_pick(db, &grow), DB_ARGS(db_cstr(name)), NULL);
}

enum err
meta_bump_version(struct db *db, int64_t *ret)
{
	enum err e = meta_grow(db, "version");

	return e != ERR_OK ? e : meta_version(db, ret);
}

enum err
meta_bump_generation(struct db *db)
{
	return meta_grow(db, "generation");
}

/* --- the embedded files --- */

/* Is `name` "…DIALECT.sql" of this connection. */
static bool
is_of_dialect(const struct db *db, struct str name)
{
	char ending[16];

	(void)snprintf(ending, sizeof(ending), ".%s.sql", dialect_names[db_dialect(db)]);
	return str_ends(name, ending);
}

const char *
migrate_sql(const struct db *db, int64_t number)
{
	for (size_t i = 0; i < ARRAY_LEN(sql_texts); i++) {
		struct str name = str_of(sql_texts[i].name);
		int64_t n = 0;

		if (!is_of_dialect(db, name))
			continue;
		if (!str_to_i64((struct str){name.p, MIN(name.n, 4)}, 1, 9999, &n))
			n = 0;
		if (n == number)
			return sql_texts[i].text;
	}
	return NULL;
}

static int64_t
latest_schema(const struct db *db)
{
	int64_t n = 0;

	while (migrate_sql(db, n + 1) != NULL)
		n++;
	return n;
}

/* --- tables --- */

enum err
migrate_has_table(struct db *db, const char *name, bool *ret)
{
	static const struct sql query = {
	    .sqlite = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = ?",
	    .mysql = "SELECT count(*) FROM information_schema.tables "
		     "WHERE table_schema = DATABASE() AND table_name = ?",
	    .pgsql = "SELECT count(*) FROM information_schema.tables "
		     "WHERE table_schema = current_schema() AND table_name = ?",
	};
	int64_t n;
	enum err e = db_query_int(db, db_pick(db, &query), DB_ARGS(db_cstr(name)), 0, &n);

	if (e == ERR_OK)
		*ret = n > 0;
	return e;
}

static enum err
run_script(struct db *db, const char *script, int64_t number)
{
	enum err e = db_begin(db);

	if (e != ERR_OK)
		return e;
	e = db_script(db, script);
	if (e == ERR_OK && number > 0)
		e = meta_set_number(db, "schema", number);
	if (e == ERR_OK)
		return db_commit(db);
	db_rollback(db);
	return e;
}

/* A file of SQLite belongs to one program; a server's database may be shared. */
static enum err
refuse_foreign(struct db *db, const struct conf *conf, struct errinfo *info)
{
	int64_t n;
	enum err e;

	if (db_dialect(db) != DB_SQLITE)
		return ERR_OK;
	e = db_query_int(db, "SELECT count(*) FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'",
			 DB_NO_ARGS, 0, &n);
	if (e != ERR_OK)
		return db_refused(db, e, info);
	if (n > 0)
		return err_set(info, ERR_CONF,
			       "DATABASE_DSN: %s is the database of another program",
			       conf->database_dsn);
	return ERR_OK;
}

enum err
migrate_refuse_older(struct db *db, struct errinfo *info)
{
	static const char *const probes[] = {
	    "SELECT group_type, header_rules, model_redirect_rules, model_redirect_strict, "
	    "validation_endpoint FROM \"groups\" WHERE 1 = 0",
	    "SELECT key_hash, notes FROM api_keys WHERE 1 = 0",
	    "SELECT parent_group_id, parent_group_name, key_hash, request_body "
	    "FROM request_logs WHERE 1 = 0",
	    "SELECT weight FROM group_sub_groups WHERE 1 = 0",
	    "SELECT success_count FROM group_hourly_stats WHERE 1 = 0",
	};
	int64_t none;

	for (size_t i = 0; i < ARRAY_LEN(probes); i++)
		if (db_query_int(db, probes[i], DB_NO_ARGS, 0, &none) != ERR_OK)
			return err_set(
			    info, ERR_CONF,
			    "DATABASE_DSN: not a database of GPT-Load 1.4 (%s): start version 1.4 "
			    "on it once, then this one",
			    db_error(db));
	return ERR_OK;
}

static enum err
make_tables(struct db *db, const struct conf *conf, struct errinfo *info)
{
	bool there = false;
	enum err e = migrate_has_table(db, "groups", &there);

	if (e != ERR_OK)
		return db_refused(db, e, info);
	if (there)
		return migrate_refuse_older(db, info);
	e = refuse_foreign(db, conf, info);
	if (e != ERR_OK)
		return e;
	e = run_script(db, migrate_sql(db, 0), 0);
	return e == ERR_OK ? ERR_OK : db_refused(db, e, info);
}

static enum err
apply_migrations(struct db *db, struct errinfo *info)
{
	bool there = false;
	int64_t done = 0;
	enum err e = migrate_has_table(db, "gptl_meta", &there);

	if (e == ERR_OK && there)
		e = meta_number(db, "schema", &done);
	for (int64_t n = done + 1; e == ERR_OK && migrate_sql(db, n) != NULL; n++)
		e = run_script(db, migrate_sql(db, n), n);
	return e == ERR_OK ? ERR_OK : db_refused(db, e, info);
}

/* --- filling in --- */

/* HOST as it stands in a URL: a wildcard address is nobody's address. */
static char *
default_app_url(const struct conf *conf)
{
	const char *host = conf->host;

	if (host == NULL || *host == '\0' || strcmp(host, "0.0.0.0") == 0 ||
	    strcmp(host, "::") == 0)
		return xasprintf("http://localhost:%d", conf->port);
	if (strchr(host, ':') != NULL && host[0] != '[')
		return xasprintf("http://[%s]:%d", host, conf->port);
	return xasprintf("http://%s:%d", host, conf->port);
}

/* Never AUTH_KEY: a client's key must not open the management API. */
static char *
fresh_proxy_key(void)
{
	uint8_t bytes[PROXY_KEY_SIZE];
	char hex[2 * PROXY_KEY_SIZE + 1];

	random_bytes(bytes, sizeof(bytes));
	hex_encode(hex, bytes, sizeof(bytes));
	return xasprintf("sk-%s", hex);
}

static enum err
add_setting(struct db *db, const struct conf *conf, enum setting id)
{
	AUTO_FREE char *value = id == SETTING_APP_URL      ? default_app_url(conf)
				: id == SETTING_PROXY_KEYS ? fresh_proxy_key()
							   : xstrdup(setting_def(id)->default_text);
	int64_t now = clock_wall_us();

	return db_exec(
	    db,
	    "INSERT INTO system_settings (setting_key, setting_value, description, created_at, "
	    "updated_at) VALUES (?, ?, ?, ?, ?)",
	    DB_ARGS(db_cstr(setting_def(id)->key), db_cstr(value), db_cstr(descriptions[id]),
		    db_time(now), db_time(now)),
	    NULL);
}

static enum err
fill_settings(struct db *db, const struct conf *conf)
{
	bool there[SETTING__MAX];
	enum err e = settings_there(db, there);

	for (int i = 0; i < SETTING__MAX && e == ERR_OK; i++)
		if (!there[i])
			e = add_setting(db, conf, (enum setting)i);
	return e;
}

static enum err
add_meta(struct db *db, const char *name, const char *value)
{
	struct buf there;
	enum err e;

	buf_init(&there, META_MAX);
	e = meta_get(db, name, &there);
	if (e == ERR_NOT_FOUND)
		e = meta_set(db, name, str_of(value));
	buf_done(&there);
	return e;
}

static enum err
fill_identity(struct db *db)
{
	char id[37];
	enum err e;

	uuid7(id);
	e = add_meta(db, "installation_id", id);
	if (e == ERR_OK)
		e = add_meta(db, "generation", "1");
	if (e == ERR_OK)
		e = add_meta(db, "version", "1");
	return e;
}

struct hashless {
	int64_t id;
	char hash[CRYPT_HASH_HEX + 1]; /* "": the key does not open */
};

static void
hash_key(const struct crypt *crypt, struct str stored, char out[CRYPT_HASH_HEX + 1])
{
	uint8_t hash[CRYPT_HASH_BYTES];
	struct buf plain;

	buf_init(&plain, LIMIT_KEY_BYTES);
	out[0] = '\0';
	if (stored.n > 0 && crypt_decrypt(crypt, stored, &plain) == ERR_OK && plain.n > 0) {
		crypt_hash(crypt, buf_view(&plain), hash);
		hex_encode(out, hash, sizeof(hash));
		wipe(plain.p, plain.n);
	}
	buf_done(&plain);
}

/* Reads up to HASH_PAGE keys without a hash behind id `after`. */
static enum err
read_hashless(struct db *db, const struct crypt *crypt, int64_t after, struct hashless *page,
	      size_t *ret_n)
{
	struct db_rows *rows;
	size_t n = 0;
	enum err e;

	for (e = db_query(db,
			  "SELECT id, key_value FROM api_keys WHERE id > ? AND "
			  "(key_hash IS NULL OR key_hash = '') ORDER BY id LIMIT ?",
			  DB_ARGS(db_int(after), db_int(HASH_PAGE)), &rows);
	     e == ERR_OK && db_next(rows, &e); n++) {
		page[n].id = db_col_int(rows, 0);
		hash_key(crypt, db_col_text(rows, 1), page[n].hash);
	}
	db_rows_done(rows);
	*ret_n = n;
	return e;
}

/* Goes by id, so that keys which cannot be hashed are passed once and not for ever. */
static enum err
fill_hashes(struct db *db, const struct crypt *crypt)
{
	AUTO_FREE struct hashless *page = xcalloc(HASH_PAGE, sizeof(*page));
	int64_t after = 0;
	size_t n = HASH_PAGE;
	enum err e = ERR_OK;

	while (e == ERR_OK && n == HASH_PAGE) {
		e = read_hashless(db, crypt, after, page, &n);
		for (size_t i = 0; i < n && e == ERR_OK; i++) {
			after = page[i].id;
			if (page[i].hash[0] != '\0')
				e = db_exec(db, "UPDATE api_keys SET key_hash = ? WHERE id = ?",
					    DB_ARGS(db_cstr(page[i].hash), db_int(page[i].id)),
					    NULL);
		}
	}
	return e;
}

static enum err
fill_in(struct db *db, const struct conf *conf, const struct crypt *crypt)
{
	enum err e = db_begin(db);

	if (e != ERR_OK)
		return e;
	e = fill_settings(db, conf);
	if (e == ERR_OK)
		e = fill_identity(db);
	if (e == ERR_OK)
		e = fill_hashes(db, crypt);
	if (e == ERR_OK)
		return db_commit(db);
	db_rollback(db);
	return e;
}

/* --- all of it --- */

static enum err
migrate_locked(struct db *db, const struct conf *conf, const struct crypt *crypt,
	       struct errinfo *info)
{
	enum err e = make_tables(db, conf, info);

	if (e == ERR_OK)
		e = apply_migrations(db, info);
	if (e == ERR_OK)
		e = stored_check(db, crypt, info);
	if (e != ERR_OK)
		return e;
	e = fill_in(db, conf, crypt);
	return e == ERR_OK ? ERR_OK : db_refused(db, e, info);
}

enum err
migrate_run(struct db *db, const struct conf *conf, const struct crypt *crypt, struct errinfo *info)
{
	enum err e;

	if (conf->is_slave) {
		e = migrate_check(db, info);
		return e == ERR_OK ? stored_check(db, crypt, info) : e;
	}
	e = db_lock(db, "migrate", LOCK_WAIT_S);
	if (e != ERR_OK)
		return db_refused(db, e, info);
	e = migrate_locked(db, conf, crypt, info);
	db_unlock(db, "migrate");
	return e;
}

enum err
migrate_check(struct db *db, struct errinfo *info)
{
	int64_t done;
	enum err e = meta_number(db, "schema", &done);

	if (e == ERR_DB)
		return err_set(
		    info, ERR_CONF,
		    "the database is not set up yet: that is done when the gateway starts");
	if (e != ERR_OK)
		return db_refused(db, e, info);
	if (done < latest_schema(db))
		return err_set(
		    info, ERR_CONF,
		    "the database is of an older version: it is brought up to date at the next "
		    "start");
	return ERR_OK;
}
