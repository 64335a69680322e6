/* SPDX-License-Identifier: MIT
 *
 * publish: the pool follows the DB, whatever was left undone, and key states find
 * their way back. With the LMDB store.
 */
#include "lib/publish.h"
#include "lib/limits.h"
#include "lib/snapshot.h"
#include "lib/str.h"
#include "tests/unit/sandbox.h"

#include <sys/wait.h>

#define BATCH 250 /* keys of one step, as in publish.c: requests wait for one */

static struct sandbox *box;
static struct db *db;
static struct pool *pool;

static void
open_pool(void)
{
	struct errinfo info = {""};

	if (pool_open(&box->conf, &pool, &info) != ERR_OK)
		fail_msg("%s", info.text);
}

static int
setup(void **state)
{
	(void)state;
	box = sandbox_new();
	box->conf.pool_size = 64 * 1024 * 1024;
	db = sandbox_db(box);
	open_pool();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	pool_close(pool);
	db_close(db);
	sandbox_free(box);
	return 0;
}

static void
ok(enum err e, const struct errinfo *info)
{
	if (e != ERR_OK)
		fail_msg("%s: %s", err_code(e), info->text);
}

static void
ensure(void)
{
	struct errinfo info = {""};

	ok(publish_ensure(&box->conf, db, pool, &info), &info);
}

static void
pending(void)
{
	struct errinfo info = {""};

	ok(publish_pending(db, pool, &info), &info);
}

static void
publish(void)
{
	struct errinfo info = {""};

	ok(publish_keys(db, pool, NULL, NULL, &info), &info);
}

static size_t
write_back(void)
{
	struct errinfo info = {""};
	size_t n = 99;

	ok(writeback_run(db, pool, &n, &info), &info);
	return n;
}

static void
add_group(int id)
{
	assert_int_equal(
	    db_exec(db,
		    "INSERT INTO \"groups\" (id, name, upstreams, channel_type, test_model) "
		    "VALUES (?, 'g' || ?, '[{\"url\":\"http://h\",\"weight\":1}]', 'openai', 'm')",
		    DB_ARGS(db_int(id), db_int(id)), NULL),
	    ERR_OK);
}

/* Keys first … last of the group; their text is their id. */
static void
add_keys(int group, int first, int last)
{
	for (int i = first; i <= last; i++) {
		char text[16];
		char hash[65];

		(void)snprintf(text, sizeof(text), "%d", i);
		(void)snprintf(hash, sizeof(hash), "%064x", (unsigned)i);
		assert_int_equal(
		    db_exec(db,
			    "INSERT INTO api_keys (id, key_value, key_hash, group_id) "
			    "VALUES (?, ?, ?, ?)",
			    DB_ARGS(db_int(i), db_cstr(text), db_cstr(hash), db_int(group)), NULL),
		    ERR_OK);
	}
}

static void
outbox(int64_t group, int64_t first, int64_t last)
{
	assert_int_equal(outbox_add(db, group, first, last), ERR_OK);
}

static void
bump(void)
{
	int64_t version;

	assert_int_equal(db_begin(db), ERR_OK);
	assert_int_equal(meta_bump_version(db, &version), ERR_OK);
	assert_int_equal(db_commit(db), ERR_OK);
}

static struct pool_counts
counts(int64_t group)
{
	struct pool_counts c = {{0}};

	assert_int_equal(pool_counts(pool, group, &c), ERR_OK);
	return c;
}

static size_t
group_count(void)
{
	int64_t *ids = NULL;
	size_t n = 0;

	assert_int_equal(pool_groups(pool, &ids, &n), ERR_OK);
	free(ids);
	return n;
}

static uint64_t
version(void)
{
	uint64_t v = 0;

	assert_int_equal(pool_version(pool, &v), ERR_OK);
	return v;
}

static struct key_info
info_of(int64_t id)
{
	struct key_info info;

	assert_int_equal(pool_key_info(pool, id, &info), ERR_OK);
	return info;
}

static void
blame(int64_t id, int threshold)
{
	struct report r = {.group_id = 1,
			   .key_id = id,
			   .verdict = VERDICT_BLAMED,
			   .threshold = threshold,
			   .next_check_ms = INT64_MAX / 2,
			   .status = 401,
			   .error = STR("wrong key")};

	pool_report(pool, &r, NULL, NULL);
}

static void
limit(int64_t id)
{
	struct report r = {.group_id = 1, .key_id = id, .verdict = VERDICT_LIMITED, .status = 429};

	pool_report(pool, &r, NULL, NULL);
}

/* --- keys --- */

static void
on_pick(void *arg, enum err e, const struct pick *p)
{
	struct pick *ret = arg;

	assert_int_equal(e, ERR_OK);
	*ret = *p;
	assert_true(str_is(p->stored, "7"));
}

static void
test_keys_follow(void **state)
{
	static char huge[18000];
	struct pick_query query = {.group_id = 1};
	struct pick got;

	(void)state;
	add_group(1);
	add_keys(1, 7, 7);
	outbox(1, 7, 7);
	publish();
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM gptl_outbox"), 0);
	pool_pick(pool, &query, on_pick, &got);
	assert_int_equal(got.key_id, 7);
	assert_int_equal(got.hash[CRYPT_HASH_BYTES - 1], 7);

	add_keys(1, 8, 20);
	sandbox_exec(db, "UPDATE api_keys SET status = 'invalid', failure_count = 4 WHERE id = 8");
	memset(huge, '0', sizeof(huge));
	sandbox_exec(db, "UPDATE api_keys SET status = 'disabled' WHERE id = 9");
	sandbox_exec(db, "UPDATE api_keys SET status = 'of another program' WHERE id = 10");
	/* Of no use: empty, or larger than any key may be. The others come all the same. */
	sandbox_exec(db, "UPDATE api_keys SET key_value = '' WHERE id = 11");
	assert_int_equal(db_exec(db, "UPDATE api_keys SET key_value = ? WHERE id = 12",
				 DB_ARGS(db_text(((struct str){huge, sizeof(huge)}))), NULL),
			 ERR_OK);
	sandbox_exec(db, "UPDATE api_keys SET key_hash = NULL WHERE id = 13");
	outbox(1, 8, 20);
	publish();
	assert_int_equal(counts(1).by_state[KEY_ACTIVE], 9);
	assert_int_equal(counts(1).by_state[KEY_INVALID], 2);
	assert_int_equal(counts(1).by_state[KEY_DISABLED], 1);
	assert_int_equal(info_of(8).fails, 4);

	/* Only what a row names is looked at. */
	sandbox_exec(db, "DELETE FROM api_keys WHERE id IN (14, 20)");
	outbox(1, 14, 14);
	publish();
	assert_int_equal(counts(1).by_state[KEY_ACTIVE], 8);
	outbox(1, 15, 99);
	publish();
	publish();
	assert_int_equal(counts(1).by_state[KEY_ACTIVE], 7);
}

/* A change that is rolled back leaves no row behind. */
static void
test_outbox_rolls_back(void **state)
{
	(void)state;
	assert_int_equal(db_begin(db), ERR_OK);
	outbox(1, 0, INT64_MAX);
	db_rollback(db);
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM gptl_outbox"), 0);
}

static void
on_progress(void *arg, int64_t done)
{
	int64_t *last = arg;

	assert_true(done >= *last && done <= *last + BATCH);
	*last = done;
}

/* More than one step's keys, with the step's edge exactly on a key and beside. */
static void
test_batches(void **state)
{
	struct errinfo info = {""};
	int64_t done = 0;

	(void)state;
	add_group(1);
	add_keys(1, 1, BATCH);
	outbox(1, 0, INT64_MAX);
	ok(publish_keys(db, pool, on_progress, &done, &info), &info);
	assert_int_equal(done, BATCH);
	assert_int_equal(counts(1).by_state[KEY_ACTIVE], BATCH);
	add_keys(1, BATCH + 1, BATCH + 2000);
	outbox(1, 0, INT64_MAX);
	publish();
	assert_int_equal(counts(1).by_state[KEY_ACTIVE], BATCH + 2000);
	sandbox_exec(db, "DELETE FROM api_keys WHERE id % 2 = 0");
	outbox(1, 0, INT64_MAX);
	publish();
	assert_int_equal(counts(1).by_state[KEY_ACTIVE], (BATCH + 2000) / 2);
}

static void
test_group_goes(void **state)
{
	(void)state;
	add_group(1);
	add_group(2);
	add_keys(1, 1, 5);
	add_keys(2, 6, 9);
	outbox(1, 0, INT64_MAX);
	outbox(2, 0, INT64_MAX);
	publish();
	assert_int_equal(group_count(), 2);
	sandbox_exec(db, "DELETE FROM api_keys WHERE group_id = 1");
	sandbox_exec(db, "DELETE FROM groups WHERE id = 1");
	outbox(1, 0, INT64_MAX);
	publish();
	assert_int_equal(group_count(), 1);
	assert_int_equal(counts(1).by_state[KEY_ACTIVE], 0);
	assert_int_equal(counts(2).by_state[KEY_ACTIVE], 4);
}

/* --- what was left over --- */

static void
test_pending(void **state)
{
	(void)state;
	pending();
	assert_int_equal(version(), 1);
	add_group(1);
	add_keys(1, 1, 3);
	bump();
	outbox(1, 1, 3);
	pending();
	assert_int_equal(version(), 2);
	assert_int_equal(counts(1).by_state[KEY_ACTIVE], 3);
	pending();
	assert_int_equal(version(), 2);
	/* An older state of the DB was put back. */
	assert_int_equal(meta_set(db, "version", STR("1")), ERR_OK);
	pending();
	assert_int_equal(version(), 1);
}

/* Somebody else is at the keys: he does this work too, nobody waits. */
static void
test_pending_beside(void **state)
{
	struct db *other = sandbox_db(box);

	(void)state;
	add_group(1);
	add_keys(1, 1, 3);
	outbox(1, 1, 3);
	assert_int_equal(db_lock(other, "publish", 0), ERR_OK);
	pending();
	assert_int_equal(counts(1).by_state[KEY_ACTIVE], 0);
	db_close(other);
	pending();
	assert_int_equal(counts(1).by_state[KEY_ACTIVE], 3);
}

static void
test_config(void **state)
{
	struct errinfo info = {""};
	struct snapshot *s = NULL;
	uint64_t v = 0;
	struct buf text;

	(void)state;
	add_group(3);
	ok(publish_config(db, pool, &info), &info);
	buf_init(&text, LIMIT_SNAPSHOT);
	assert_int_equal(pool_snapshot_get(pool, &text, &v), ERR_OK);
	assert_int_equal(snapshot_parse(buf_view(&text), &s, &info), ERR_OK);
	assert_int_equal(s->version, v);
	assert_non_null(snapshot_group(s, STR("g3")));
	snapshot_unref(s);
	buf_done(&text);
}

/* --- the whole pool --- */

static void
test_ensure(void **state)
{
	struct pool_identity id;
	char path[128];

	(void)state;
	add_group(1);
	add_group(2);
	add_keys(1, 1, 5);
	ensure();
	assert_int_equal(counts(1).by_state[KEY_ACTIVE], 5);
	assert_int_equal(version(), 1);
	assert_int_equal(pool_identity_get(pool, &id), ERR_OK);
	assert_true(id.complete);
	assert_int_equal(id.generation, 1);
	assert_int_equal(strlen(id.installation), 36);
	(void)snprintf(path, sizeof(path), "%s/pool.lock", box->dir);
	assert_int_equal(access(path, F_OK), 0);
	/* Complete and ours: nothing is looked at. */
	add_keys(1, 6, 6);
	ensure();
	assert_int_equal(counts(1).by_state[KEY_ACTIVE], 5);
	/* Cut off last time: what is known of the keys in it stays. */
	blame(1, 1);
	id.complete = false;
	assert_int_equal(pool_identity_set(pool, &id), ERR_OK);
	ensure();
	assert_int_equal(counts(1).by_state[KEY_ACTIVE], 5);
	assert_int_equal(counts(1).by_state[KEY_INVALID], 1);
}

/* A backup was restored: the DB's word holds, for states and configuration too. */
static void
test_ensure_generation(void **state)
{
	(void)state;
	add_group(1);
	add_group(2);
	add_keys(1, 1, 5);
	add_keys(2, 6, 7);
	bump();
	bump();
	ensure();
	assert_int_equal(version(), 3);
	blame(1, 1);
	assert_int_equal(counts(1).by_state[KEY_INVALID], 1);
	sandbox_exec(db, "DELETE FROM api_keys WHERE group_id = 2");
	sandbox_exec(db, "DELETE FROM groups WHERE id = 2");
	assert_int_equal(meta_set(db, "generation", STR("2")), ERR_OK);
	assert_int_equal(meta_set(db, "version", STR("2")), ERR_OK);
	ensure();
	assert_int_equal(version(), 2);
	assert_int_equal(counts(1).by_state[KEY_ACTIVE], 5);
	assert_int_equal(group_count(), 1);
}

static void
ensure_in_child(void)
{
	struct pool *mine = NULL;
	struct db *own = NULL;

	if (db_open(&box->conf, &own, NULL) != ERR_OK ||
	    pool_open(&box->conf, &mine, NULL) != ERR_OK)
		_exit(1);
	_exit(publish_ensure(&box->conf, own, mine, NULL) == ERR_OK ? 0 : 2);
}

/* Several workers start over an empty pool: all go on with a full one. */
static void
test_ensure_together(void **state)
{
	pid_t pids[3];

	(void)state;
	add_group(1);
	add_keys(1, 1, 3000);
	/* A store is never carried across a fork. */
	pool_close(pool);
	pool = NULL;
	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0)
			ensure_in_child();
	}
	for (size_t i = 0; i < ARRAY_LEN(pids); i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	open_pool();
	assert_int_equal(counts(1).by_state[KEY_ACTIVE], 3000);
}

/* --- the way back --- */

static void
test_writeback(void **state)
{
	(void)state;
	add_group(1);
	add_keys(1, 1, 5);
	ensure();
	assert_int_equal(write_back(), 0);
	blame(1, 1);
	blame(2, 3);
	limit(3);
	blame(3, 3);
	assert_int_equal(info_of(3).state, KEY_RESTING);
	assert_int_equal(write_back(), 3);
	assert_int_equal(write_back(), 0);
	assert_int_equal(sandbox_int(db,
				     "SELECT count(*) FROM api_keys WHERE id = 1 AND "
				     "status = 'invalid' AND failure_count = 1 AND "
				     "gptl_last_status = 401 AND gptl_last_error = 'wrong key' AND "
				     "gptl_failed_at IS NOT NULL AND gptl_seq > 0"),
			 1);
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM api_keys WHERE id = 2 AND "
					 "status = 'active' AND failure_count = 1"),
			 1);
	/* Who rests is active to the DB. */
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM api_keys WHERE id = 3 AND "
					 "status = 'active' AND failure_count = 1"),
			 1);
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM api_keys WHERE gptl_seq = 0"), 2);
}

/* A state that is written late does not undo what the DB has learnt since. */
static void
test_writeback_late(void **state)
{
	(void)state;
	add_group(1);
	add_keys(1, 1, 1);
	ensure();
	blame(1, 1);
	sandbox_exec(db, "UPDATE api_keys SET gptl_seq = 1000");
	assert_int_equal(write_back(), 1);
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM api_keys WHERE status = 'active'"),
			 1);
	assert_int_equal(write_back(), 0);
}

/* The DB refuses: the states wait in the pool. */
static void
test_writeback_again(void **state)
{
	struct errinfo info = {""};
	size_t n = 99;

	(void)state;
	add_group(1);
	add_keys(1, 1, 1);
	ensure();
	blame(1, 1);
	sandbox_exec(db, "ALTER TABLE api_keys RENAME TO away");
	assert_int_equal(writeback_run(db, pool, &n, &info), ERR_DB);
	assert_non_null(strstr(info.text, "api_keys"));
	sandbox_exec(db, "ALTER TABLE away RENAME TO api_keys");
	assert_int_equal(write_back(), 1);
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM api_keys WHERE status = 'invalid'"),
			 1);
}

static void
test_writeback_many(void **state)
{
	(void)state;
	add_group(1);
	add_keys(1, 1, 2500);
	ensure();
	for (int i = 1; i <= 2500; i++)
		blame(i, 1);
	assert_int_equal(write_back(), 2500);
	assert_int_equal(sandbox_int(db, "SELECT count(*) FROM api_keys WHERE status = 'invalid'"),
			 2500);
}

#define WITH_BOTH(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_BOTH(test_keys_follow),
	    WITH_BOTH(test_outbox_rolls_back),
	    WITH_BOTH(test_batches),
	    WITH_BOTH(test_group_goes),
	    WITH_BOTH(test_pending),
	    WITH_BOTH(test_pending_beside),
	    WITH_BOTH(test_config),
	    WITH_BOTH(test_ensure),
	    WITH_BOTH(test_ensure_generation),
	    WITH_BOTH(test_ensure_together),
	    WITH_BOTH(test_writeback),
	    WITH_BOTH(test_writeback_late),
	    WITH_BOTH(test_writeback_again),
	    WITH_BOTH(test_writeback_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
