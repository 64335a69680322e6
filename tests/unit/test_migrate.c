/* SPDX-License-Identifier: MIT
 *
 * migrate: a database is made, taken over, taken over again; what is there is
 * never changed; keys that do not open are noticed before anything else.
 */
#include "lib/migrate.h"
#include "lib/setting.h"
#include "lib/str.h"
#include "tests/unit/sandbox.h"

#include "lib/sql_text.h"

#include <sys/wait.h>

static struct sandbox *box;
static char host[64];

static int
setup(void **state)
{
	(void)state;
	box = sandbox_new();
	(void)snprintf(host, sizeof(host), "0.0.0.0");
	box->conf.host = host;
	box->conf.port = 3001;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	sandbox_free(box);
	return 0;
}

static struct db *
open_db(void)
{
	struct db *db = NULL;

	assert_int_equal(db_open(&box->conf, &db, NULL), ERR_OK);
	return db;
}

static struct crypt *
crypt_of(const char *password)
{
	struct crypt *crypt = NULL;

	assert_int_equal(crypt_new(&crypt, password, NULL, NULL), ERR_OK);
	return crypt;
}

static enum err
run(struct db *db, const char *password, struct errinfo *info)
{
	struct crypt *crypt = crypt_of(password);
	enum err e = migrate_run(db, &box->conf, crypt, info);

	crypt_free(crypt);
	return e;
}

static void
run_ok(struct db *db, const char *password)
{
	struct errinfo info = {""};

	if (run(db, password, &info) != ERR_OK)
		fail_msg("%s", info.text);
}

/* A database as GPT-Load 1.4 leaves it. */
static struct db *
open_original(void)
{
	static const struct sql name = {
	    .sqlite = "schema.sqlite.sql",
	    .mysql = "schema.mysql.sql",
	    .pgsql = "schema.pgsql.sql",
	};
	struct db *db = open_db();
	size_t i = 0;

	while (strcmp(sql_texts[i].name, db_pick(db, &name)) != 0)
		i++;
	assert_int_equal(db_script(db, sql_texts[i].text), ERR_OK);
	return db;
}

static char *
text_of(struct db *db, const char *sql)
{
	struct db_rows *rows;
	char *text = NULL;
	enum err e = db_query(db, sql, DB_NO_ARGS, &rows);

	if (e == ERR_OK && db_next(rows, &e))
		text = xstrndup(db_col_text(rows, 0).p, db_col_text(rows, 0).n);
	db_rows_done(rows);
	assert_non_null(text);
	return text;
}

/* --- making and taking over --- */

static void
test_fresh(void **state)
{
	struct db *db = open_db();
	struct errinfo info = {""};
	struct buf id;

	(void)state;
	assert_int_equal(migrate_check(db, &info), ERR_CONF);
	run_ok(db, NULL);
	assert_int_equal(migrate_check(db, &info), ERR_OK);
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM system_settings"), SETTING__MAX);
	assert_int_equal(
	    sandbox_int(db, "SELECT count(*) FROM system_settings WHERE description = ''"), 0);
	assert_int_equal(sandbox_int(db, "SELECT value FROM gptl_meta WHERE name = 'version'"), 1);
	assert_int_equal(sandbox_int(db, "SELECT value FROM gptl_meta WHERE name = 'generation'"),
			 1);
	buf_init(&id, 64);
	assert_int_equal(meta_get(db, "installation_id", &id), ERR_OK);
	assert_int_equal(id.n, 36);
	buf_done(&id);
	/* Our columns have their defaults. */
	sandbox_exec(db,
		     "INSERT INTO request_logs (id, timestamp, group_id, is_success, status_code, "
		     "duration, is_stream) VALUES ('x', '2024-01-01', 1, true, 200, 5, false)");
	assert_int_equal(sandbox_int(db,
				     "SELECT count(*) FROM request_logs WHERE "
				     "gptl_request_id = '' AND gptl_attempt = 1 AND "
				     "gptl_ttfb_ms = -1 AND gptl_bytes_in = 0 AND "
				     "gptl_bytes_out = 0 AND gptl_prompt_tokens = -1 AND "
				     "gptl_completion_tokens = -1 AND gptl_cached_tokens = -1 AND "
				     "gptl_end = '' AND request_type = 'final'"),
			 1);
	db_close(db);
}

static void
test_app_url(void **state)
{
	static const struct {
		const char *host;
		const char *url;
	} rows[] = {
	    {"0.0.0.0", "http://localhost:3001"}, {"", "http://localhost:3001"},
	    {"::", "http://localhost:3001"},      {"10.0.0.7", "http://10.0.0.7:3001"},
	    {"::1", "http://[::1]:3001"},
	};
	struct db *db = open_db();

	(void)state;
	run_ok(db, NULL);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE char *url = NULL;

		(void)snprintf(host, sizeof(host), "%s", rows[i].host);
		sandbox_exec(db, "DELETE FROM system_settings WHERE setting_key = 'app_url'");
		run_ok(db, NULL);
		url = text_of(
		    db, "SELECT setting_value FROM system_settings WHERE setting_key = 'app_url'");
		assert_string_equal(url, rows[i].url);
	}
	db_close(db);
}

/* The original hands AUTH_KEY to every client (BUG-61). */
static void
test_proxy_key(void **state)
{
	static const char query[] =
	    "SELECT setting_value FROM system_settings WHERE setting_key = 'proxy_keys'";
	char auth_key[] = "sk-admin-secret";
	struct db *db = open_db();
	AUTO_FREE char *first = NULL;
	AUTO_FREE char *second = NULL;

	(void)state;
	box->conf.auth_key = auth_key;
	run_ok(db, NULL);
	first = text_of(db, query);
	assert_true(str_starts(str_of(first), "sk-"));
	assert_true(strlen(first) > 40);
	assert_null(strstr(first, auth_key));
	sandbox_exec(db, "DELETE FROM system_settings");
	run_ok(db, NULL);
	second = text_of(db, query);
	assert_string_not_equal(first, second);
	db_close(db);
}

static void
test_again(void **state)
{
	static const struct sql dumps = {
	    .sqlite = "SELECT group_concat(name || '=' || value) || "
		      "(SELECT group_concat(setting_key || '=' || setting_value || updated_at) "
		      "FROM system_settings) FROM gptl_meta",
	    .mysql = "SELECT concat(group_concat(name, '=', value ORDER BY name), "
		     "(SELECT group_concat(setting_key, '=', setting_value, updated_at "
		     "ORDER BY setting_key) FROM system_settings)) FROM gptl_meta",
	    .pgsql = "SELECT string_agg(name || '=' || value, ',' ORDER BY name) || (SELECT "
		     "string_agg(setting_key || '=' || setting_value || updated_at, ',' "
		     "ORDER BY setting_key) FROM system_settings) FROM gptl_meta",
	};
	struct db *db = open_db();
	AUTO_FREE char *before = NULL;
	AUTO_FREE char *after = NULL;

	(void)state;
	run_ok(db, NULL);
	sandbox_exec(db, "UPDATE system_settings SET setting_value = 'mine' "
			 "WHERE setting_key = 'app_url'");
	before = text_of(db, db_pick(db, &dumps));
	run_ok(db, NULL);
	after = text_of(db, db_pick(db, &dumps));
	assert_string_equal(before, after);
	db_close(db);
}

/* Number 1, which keys refer to. */
static void
add_group(struct db *db)
{
	sandbox_exec(db, "INSERT INTO \"groups\" (name, upstreams, channel_type, test_model) "
			 "VALUES ('g', '[]', 'openai', 'm')");
}

/* Rows of the original stay byte for byte; its missing hashes come; ours are added. */
static void
test_take_over(void **state)
{
	struct db *db = open_original();
	AUTO_FREE char *hash = NULL;

	(void)state;
	sandbox_exec(db, "INSERT INTO system_settings (setting_key, setting_value) "
			 "VALUES ('proxy_keys', 'sk-old'), ('blacklist_threshold', '1e+06')");
	add_group(db);
	sandbox_exec(db, "INSERT INTO api_keys (key_value, group_id, key_hash) "
			 "VALUES ('abc', 1, ''), ('abc', 1, NULL), ('', 1, '')");
	run_ok(db, NULL);
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM system_settings"), SETTING__MAX);
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM system_settings WHERE "
					 "setting_value IN ('sk-old', '1e+06')"),
			 2);
	hash = text_of(db, "SELECT key_hash FROM api_keys WHERE id = 2");
	assert_string_equal(hash,
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(
	    sandbox_int(db, "SELECT count(*) FROM api_keys WHERE length(key_hash) = 64"), 2);
	assert_int_equal(sandbox_int(db, "SELECT sum(gptl_seq) FROM api_keys"), 0);
	/* As many as are asked for by the original are still taken, duplicates included. */
	sandbox_exec(db, "INSERT INTO api_keys (key_value, group_id) VALUES ('abc', 1)");
	run_ok(db, NULL);
	db_close(db);
}

/* More keys without a hash than one page, and one that never gets any. */
static void
test_hash_pages(void **state)
{
	struct db *db = open_original();

	(void)state;
	add_group(db);
	assert_int_equal(db_begin(db), ERR_OK);
	for (int i = 1; i <= 2500; i++) {
		char key[16] = "";

		if (i != 7)
			(void)snprintf(key, sizeof(key), "key-%d", i);
		assert_int_equal(db_exec(db,
					 "INSERT INTO api_keys (key_value, group_id) VALUES (?, 1)",
					 DB_ARGS(db_cstr(key)), NULL),
				 ERR_OK);
	}
	assert_int_equal(db_commit(db), ERR_OK);
	run_ok(db, NULL);
	assert_int_equal(
	    sandbox_int(db, "SELECT count(DISTINCT key_hash) FROM api_keys WHERE key_hash <> ''"),
	    2499);
	db_close(db);
}

static void
test_refused(void **state)
{
	struct db *db = open_db();
	struct errinfo info = {""};

	(void)state;
	/* A server's database may be shared. */
	if (db_dialect(db) == DB_SQLITE) {
		sandbox_exec(db, "CREATE TABLE customers (id integer)");
		assert_int_equal(run(db, NULL, &info), ERR_CONF);
		assert_non_null(strstr(info.text, "another program"));
		assert_int_equal(sandbox_int(db, "SELECT count(*) FROM sqlite_master"), 1);
	}
	sandbox_exec(db, "CREATE TABLE \"groups\" (id integer, name text)");
	assert_int_equal(run(db, NULL, &info), ERR_CONF);
	assert_non_null(strstr(info.text, "1.4"));
	db_close(db);
}

static void
test_versions(void **state)
{
	/* What the migrations after the first made. */
	static const char *const later[] = {
	    "DROP INDEX idx_gptl_request_logs_group_time",
	    "DROP TABLE gptl_tasks",
	    "DROP TABLE gptl_task_input",
	    "DROP TABLE gptl_nodes",
	    "DROP TABLE gptl_rollups",
	    "DROP TABLE gptl_rollup_items",
	    "ALTER TABLE request_logs DROP COLUMN gptl_rolled",
	    "DROP INDEX idx_gptl_request_logs_status_time",
	    "DROP INDEX idx_gptl_request_logs_success_time",
	    "DROP INDEX idx_gptl_request_logs_type_time",
	    "DROP INDEX idx_gptl_request_logs_key_time",
	    "DROP INDEX idx_gptl_request_logs_source_time",
	    "DROP INDEX idx_gptl_request_logs_request",
	    "DROP INDEX idx_gptl_api_keys_group_status",
	    "DROP INDEX idx_gptl_api_keys_status_id",
	    "DROP INDEX idx_gptl_api_keys_requests",
	    "DROP INDEX idx_gptl_api_keys_status_requests",
	    "DROP INDEX idx_gptl_api_keys_failures",
	    "DROP INDEX idx_gptl_api_keys_status_failures",
	    "DROP INDEX IF EXISTS idx_gptl_api_keys_id", /* PostgreSQL's, likewise */
	    "DROP INDEX IF EXISTS idx_gptl_api_keys_use",
	    "DROP INDEX idx_gptl_request_logs_parts",
	};
	struct db *db = open_db();
	struct errinfo info = {""};

	(void)state;
	run_ok(db, NULL);
	/* A later version's database is used as it is; an earlier one's is not. */
	assert_int_equal(meta_set(db, "schema", STR("9999")), ERR_OK);
	assert_int_equal(migrate_check(db, &info), ERR_OK);
	run_ok(db, NULL);
	assert_int_equal(sandbox_int(db, "SELECT value FROM gptl_meta WHERE name = 'schema'"),
			 9999);
	assert_int_equal(meta_set(db, "schema", STR("1")), ERR_OK);
	assert_int_equal(migrate_check(db, &info), ERR_CONF);
	assert_non_null(strstr(info.text, "older version"));
	/* What is missing is done, from where it stopped. */
	for (size_t i = 0; i < ARRAY_LEN(later); i++)
		sandbox_exec(db, later[i]);
	run_ok(db, NULL);
	assert_int_equal(migrate_check(db, &info), ERR_OK);
	db_close(db);
}

/* --- keys that do not open --- */

static void
add_key(struct db *db, const struct crypt *crypt, const char *key)
{
	uint8_t digest[CRYPT_HASH_BYTES];
	char hash[CRYPT_HASH_HEX + 1];
	struct buf stored;

	buf_init(&stored, 1024);
	crypt_encrypt(crypt, str_of(key), &stored);
	crypt_hash(crypt, str_of(key), digest);
	hex_encode(hash, digest, sizeof(digest));
	assert_int_equal(
	    db_exec(db, "INSERT INTO api_keys (key_value, key_hash, group_id) VALUES (?, ?, 1)",
		    DB_ARGS(db_text(buf_view(&stored)), db_cstr(hash)), NULL),
	    ERR_OK);
	buf_done(&stored);
}

static void
test_crypt_mismatch(void **state)
{
	static const struct {
		const char *stored_with;
		const char *run_with;
		const char *says; /* NULL: accepted */
	} rows[] = {
	    {NULL, NULL, NULL},
	    {"first password", "first password", NULL},
	    {NULL, "first password", "are not encrypted"},
	    {"first password", NULL, "ENCRYPTION_KEY is not set"},
	    {"first password", "other password", "is not the one"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct db *db = open_db();
		struct crypt *crypt = crypt_of(rows[i].stored_with);
		struct errinfo info = {""};
		enum err e;

		run_ok(db, NULL);
		if (i == 0)
			add_group(db);
		add_key(db, crypt, "sk-one");
		add_key(db, crypt, "sk-two");
		/* A plain key that looks like an encrypted one has a hash that tells. */
		add_key(db, crypt,
			"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff");
		e = run(db, rows[i].run_with, &info);
		assert_int_equal(e, rows[i].says != NULL ? ERR_CONF : ERR_OK);
		if (rows[i].says != NULL)
			assert_non_null(strstr(info.text, rows[i].says));
		assert_null(strstr(info.text, "password"));
		/* One damaged row among good ones stops nobody. */
		if (rows[i].says == NULL) {
			sandbox_exec(db, "UPDATE api_keys SET key_value = 'damaged' WHERE id IN "
					 "(SELECT id FROM (SELECT min(id) AS id FROM api_keys) a)");
			run_ok(db, rows[i].run_with);
		}
		crypt_free(crypt);
		sandbox_exec(db, "DELETE FROM api_keys");
		db_close(db);
	}
}

/* Encrypted keys of an older database, without a hash. */
static void
test_encrypted_hash(void **state)
{
	struct db *db = open_db();
	struct crypt *crypt = crypt_of("a password");
	AUTO_FREE char *before = NULL;
	AUTO_FREE char *after = NULL;

	(void)state;
	run_ok(db, "a password");
	add_group(db);
	add_key(db, crypt, "sk-one");
	before = text_of(db, "SELECT key_hash FROM api_keys");
	sandbox_exec(db, "UPDATE api_keys SET key_hash = NULL");
	run_ok(db, "a password");
	after = text_of(db, "SELECT key_hash FROM api_keys");
	assert_string_equal(before, after);
	crypt_free(crypt);
	db_close(db);
}

/* --- small facts --- */

static void
test_meta(void **state)
{
	struct db *db = open_db();
	struct buf value;
	int64_t version = 0;

	(void)state;
	run_ok(db, NULL);
	buf_init(&value, 64);
	assert_int_equal(meta_get(db, "none", &value), ERR_NOT_FOUND);
	assert_int_equal(meta_set(db, "fact", STR("one")), ERR_OK);
	assert_int_equal(meta_set(db, "fact", STR("two")), ERR_OK);
	assert_int_equal(meta_get(db, "fact", &value), ERR_OK);
	assert_string_equal(buf_text(&value), "two");
	buf_done(&value);

	assert_int_equal(db_begin(db), ERR_OK);
	assert_int_equal(meta_bump_version(db, &version), ERR_OK);
	assert_int_equal(version, 2);
	db_rollback(db);
	assert_int_equal(meta_version(db, &version), ERR_OK);
	assert_int_equal(version, 1);
	assert_int_equal(db_begin(db), ERR_OK);
	assert_int_equal(meta_bump_version(db, &version), ERR_OK);
	assert_int_equal(db_commit(db), ERR_OK);
	assert_int_equal(meta_version(db, &version), ERR_OK);
	assert_int_equal(version, 2);
	db_close(db);
}

/* Several programs start at once on an empty folder. */
static void
test_together(void **state)
{
	pid_t pids[4];
	struct db *db;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0) {
			struct db *mine = NULL;

			if (db_open(&box->conf, &mine, NULL) != ERR_OK)
				_exit(1);
			_exit(run(mine, NULL, NULL) == ERR_OK ? 0 : 2);
		}
	}
	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	db = open_db();
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM system_settings"), SETTING__MAX);
	db_close(db);
}

#define WITH_BOX(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_BOX(test_fresh),          WITH_BOX(test_app_url),   WITH_BOX(test_proxy_key),
	    WITH_BOX(test_again),          WITH_BOX(test_take_over), WITH_BOX(test_hash_pages),
	    WITH_BOX(test_refused),        WITH_BOX(test_versions),  WITH_BOX(test_crypt_mismatch),
	    WITH_BOX(test_encrypted_hash), WITH_BOX(test_meta),      WITH_BOX(test_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
