/* SPDX-License-Identifier: MIT
 *
 * Background rounds on a real database and pool, with a provider of our own: rows
 * are written, keys come back, old rows go, one process holds the lease, and a
 * database that is away is waited for.
 */
#include "lib/jobs.h"
#include "lib/clock.h"
#include "lib/lease.h"
#include "lib/log.h"
#include "lib/publish.h"
#include "lib/spool.h"
#include "lib/str.h"

#include "tests/unit/httpmock.h"
#include "tests/unit/sandbox.h"

#define SECOND   1000000LL
#define DAY      (86400 * SECOND)
#define GROUP_ID 7
#define KEY_ID   3

struct fixture {
	struct sandbox *sandbox;
	struct httpmock *mock;
	struct db *db;
	struct pool *pool;
	struct jobs *jobs;
	atomic_bool stop;
};

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct errinfo info = {""};
	AUTO_FREE char *upstreams = NULL;

	f->sandbox = sandbox_new();
	sandbox_mkdir(f->sandbox, "run");
	f->sandbox->conf.pool_size = 16 * 1024 * 1024;
	f->mock = httpmock_new(200, "{}");
	upstreams =
	    xasprintf("[{\"url\":\"http://127.0.0.1:%d/base\",\"weight\":1}]", f->mock->port);
	f->db = sandbox_db(f->sandbox);
	assert_int_equal(
	    db_exec(f->db,
		    "INSERT INTO \"groups\" (id, name, group_type, upstreams, channel_type, "
		    "test_model, config) VALUES (?, 'g', 'standard', ?, 'openai', 'm', "
		    "'{\"key_validation_interval_minutes\":1}')",
		    DB_ARGS(db_int(GROUP_ID), db_cstr(upstreams)), NULL),
	    ERR_OK);
	sandbox_exec(f->db, "INSERT INTO api_keys (id, key_value, key_hash, group_id, status) "
			    "VALUES (3, 'sk-test-key-one', 'aa', 7, 'active')");
	sandbox_exec(f->db, "INSERT INTO gptl_outbox (group_id, first_id, last_id, created_at) "
			    "VALUES (7, 0, 9223372036854775807, '2024-01-01 00:00:00')");
	if (pool_open(&f->sandbox->conf, &f->pool, &info) != ERR_OK)
		fail_msg("%s", info.text);
	f->jobs = jobs_new(&f->sandbox->conf, f->pool);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	jobs_free(f->jobs);
	pool_close(f->pool);
	db_close(f->db);
	httpmock_free(f->mock);
	sandbox_free(f->sandbox);
	free(f);
	clock_fake(0);
	return 0;
}

static void
round_of(struct fixture *f, struct jobs *j)
{
	int ms = jobs_round(j, &f->stop);

	assert_true(ms >= 0 && ms <= 1000);
}

static void
once(struct fixture *f)
{
	struct errinfo info = {""};

	if (jobs_once(f->jobs, &info) != ERR_OK)
		fail_msg("%s", info.text);
}

static void
spool_row(struct fixture *f, int i)
{
	struct errinfo info = {""};
	struct spool *spool;
	struct logrow row = {
	    .time_us = clock_wall_us(),
	    .group_id = GROUP_ID,
	    .key_id = KEY_ID,
	    .is_success = true,
	    .is_final = true,
	    .status = 200,
	};

	(void)snprintf(row.id, sizeof(row.id), "row-%d", i);
	assert_int_equal(spool_open(&f->sandbox->conf, &spool, &info), ERR_OK);
	assert_int_equal(spool_append(spool, &row), ERR_OK);
	spool_close(spool);
}

static int64_t
rows(struct fixture *f)
{
	return sandbox_int(f->db, "SELECT COUNT(*) FROM request_logs");
}

static struct key_info
key(struct fixture *f)
{
	struct key_info info;

	assert_int_equal(pool_key_info(f->pool, KEY_ID, &info), ERR_OK);
	return info;
}

/* The key goes out, and is due at once. */
static void
blame_key(struct fixture *f)
{
	struct report report = {
	    .group_id = GROUP_ID,
	    .key_id = KEY_ID,
	    .verdict = VERDICT_BLAMED,
	    .threshold = 1,
	    .next_check_ms = clock_wall_ms() - 1,
	    .status = 401,
	    .error = STR("no"),
	};

	pool_report(f->pool, &report, NULL, NULL);
	assert_int_equal(key(f).state, KEY_INVALID);
}

static bool
status_is(struct fixture *f, const char *status)
{
	int64_t n = -1;

	assert_int_equal(db_query_int(f->db, "SELECT COUNT(*) FROM api_keys WHERE status = ?",
				      DB_ARGS(db_cstr(status)), -1, &n),
			 ERR_OK);
	return n == 1;
}

static void
test_flush(void **state)
{
	struct fixture *f = *state;

	spool_row(f, 1);
	round_of(f, f->jobs);
	assert_int_equal(rows(f), 1);
	/* The interval is one minute, unless somebody asks. */
	spool_row(f, 2);
	round_of(f, f->jobs);
	assert_int_equal(rows(f), 1);
	jobs_poke(f->jobs);
	round_of(f, f->jobs);
	assert_int_equal(rows(f), 2);
	spool_row(f, 3);
	clock_fake(clock_mono_us() + 61 * SECOND);
	round_of(f, f->jobs);
	assert_int_equal(rows(f), 3);
	clock_fake(0);
	spool_row(f, 4);
	jobs_last(f->jobs);
	assert_int_equal(rows(f), 4);
}

/* What waits beyond a MiB is not kept waiting for the interval. */
static void
test_flush_much(void **state)
{
	struct fixture *f = *state;
	struct errinfo info = {""};
	struct spool *spool;
	static char body[60000];

	round_of(f, f->jobs);
	memset(body, 'x', sizeof(body));
	assert_int_equal(spool_open(&f->sandbox->conf, &spool, &info), ERR_OK);
	for (int i = 0; i < 20; i++) {
		struct logrow row = {.time_us = 1, .request_body = {body, sizeof(body)}};

		(void)snprintf(row.id, sizeof(row.id), "row-%d", i);
		assert_int_equal(spool_append(spool, &row), ERR_OK);
	}
	clock_fake(clock_mono_us() + 2 * SECOND);
	round_of(f, f->jobs);
	assert_int_equal(rows(f), 20);
	spool_close(spool);
}

static void
test_key_comes_back(void **state)
{
	struct fixture *f = *state;

	once(f);
	assert_int_equal(key(f).state, KEY_ACTIVE);
	assert_int_equal(f->mock->requests, 0);
	blame_key(f);
	once(f);
	assert_int_equal(f->mock->requests, 1);
	assert_non_null(strstr(f->mock->last, "POST /base/v1/chat/completions HTTP/1.1"));
	assert_non_null(strstr(f->mock->last, "Authorization: Bearer sk-test-key-one\r\n"));
	assert_int_equal(key(f).state, KEY_ACTIVE);
	assert_int_equal(key(f).fails, 0);
	assert_true(status_is(f, "active"));
	assert_int_equal(sandbox_int(f->db, "SELECT COUNT(*) FROM \"groups\" WHERE "
					    "last_validated_at IS NOT NULL"),
			 1);
}

static void
test_key_stays_out(void **state)
{
	struct fixture *f = *state;
	int64_t in;

	once(f);
	blame_key(f);
	httpmock_answer(f->mock, 401, "{\"error\":{\"message\":\"revoked\"}}");
	once(f);
	assert_int_equal(f->mock->requests, 1);
	assert_int_equal(key(f).state, KEY_INVALID);
	assert_int_equal(key(f).checks, 1);
	assert_int_equal(key(f).status, 401);
	assert_string_equal(key(f).error, "[status 401] revoked");
	in = key(f).next_check_ms - clock_wall_ms();
	assert_true(in > 50000 && in < 60000);
	assert_true(status_is(f, "invalid"));
	once(f); /* not due again yet */
	assert_int_equal(f->mock->requests, 1);
}

/* With ENCRYPTION_KEY set, a stored text that does not open is never sent. */
static void
test_unreadable_key(void **state)
{
	struct fixture *f = *state;
	static char password[] = "correct horse battery staple";

	once(f);
	blame_key(f);
	f->sandbox->conf.encryption_key = password;
	jobs_free(f->jobs);
	f->jobs = jobs_new(&f->sandbox->conf, f->pool);
	once(f);
	assert_int_equal(f->mock->requests, 0);
	assert_int_equal(key(f).state, KEY_INVALID);
	assert_int_equal(key(f).checks, 1);
}

/* Rounds go on while a validation is under way, and end at once when told to. */
static void
test_validation_waits_for_nobody(void **state)
{
	struct fixture *f = *state;
	int64_t start;

	once(f);
	httpmock_answer(f->mock, 0, "");
	blame_key(f);
	for (int i = 0; i < 100 && httpmock_requests(f->mock) == 0; i++)
		round_of(f, f->jobs);
	assert_int_equal(httpmock_requests(f->mock), 1);
	spool_row(f, 1);
	jobs_poke(f->jobs);
	round_of(f, f->jobs);
	assert_int_equal(rows(f), 1);
	f->stop = true;
	start = clock_mono_us();
	round_of(f, f->jobs);
	jobs_free(f->jobs);
	f->jobs = NULL;
	assert_true(clock_mono_us() - start < SECOND / 5);
}

static void
test_retention(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(db_begin(f->db), ERR_OK);
	for (int i = 0; i < 2510; i++) {
		AUTO_FREE char *id = xasprintf("id-%d", i);
		int64_t age = i < 2500 ? 7 * DAY + SECOND : 7 * DAY - 60 * SECOND;

		assert_int_equal(db_exec(f->db,
					 "INSERT INTO request_logs (id, timestamp, group_id, "
					 "is_success, status_code, "
					 "duration, is_stream) VALUES (?, ?, 7, ?, 200, 1, ?)",
					 DB_ARGS(db_cstr(id), db_time(clock_wall_us() - age),
						 db_bool(true), db_bool(false)),
					 NULL),
				 ERR_OK);
	}
	assert_int_equal(db_commit(f->db), ERR_OK);
	once(f);
	assert_int_equal(rows(f), 10);
	sandbox_exec(f->db, "UPDATE system_settings SET setting_value = '0' "
			    "WHERE setting_key = 'request_log_retention_days'");
	assert_int_equal(db_begin(f->db), ERR_OK);
	assert_int_equal(meta_bump_version(f->db, &(int64_t){0}), ERR_OK);
	assert_int_equal(db_commit(f->db), ERR_OK);
	clock_fake(clock_wall_us() + 100 * DAY);
	once(f);
	assert_int_equal(rows(f), 10);
}

static void
test_one_holder(void **state)
{
	struct fixture *f = *state;
	struct jobs *other = jobs_new(&f->sandbox->conf, f->pool);

	round_of(f, f->jobs);
	blame_key(f);
	round_of(f, other);
	assert_int_equal(httpmock_requests(f->mock), 0);
	jobs_free(f->jobs); /* gives the lease up */
	f->jobs = NULL;
	clock_fake(clock_wall_us() + 2 * LEASE_RENEW_S * SECOND);
	for (int i = 0; i < 100 && httpmock_requests(f->mock) == 0; i++)
		round_of(f, other);
	assert_int_equal(httpmock_requests(f->mock), 1);
	jobs_free(other);
}

/* Of the processes of a node one connects; another only for rows that are to be written
 * at once, and takes over when the one has ended. */
static void
test_one_connection_a_node(void **state)
{
	struct fixture *f = *state;
	struct jobs *other = jobs_new(&f->sandbox->conf, f->pool);

	round_of(f, f->jobs);
	spool_row(f, 1);
	clock_fake(clock_mono_us() + 61 * SECOND);
	round_of(f, other);
	assert_int_equal(rows(f), 0);
	jobs_poke(other);
	round_of(f, other);
	assert_int_equal(rows(f), 1);
	spool_row(f, 2);
	clock_fake(clock_mono_us() + 61 * SECOND);
	round_of(f, other);
	assert_int_equal(rows(f), 1);
	jobs_free(f->jobs);
	f->jobs = NULL;
	clock_fake(clock_mono_us() + 61 * SECOND);
	round_of(f, other);
	assert_int_equal(rows(f), 2);
	jobs_free(other);
}

static void
test_slave(void **state)
{
	struct fixture *f = *state;

	f->sandbox->conf.is_slave = true;
	once(f);
	blame_key(f);
	spool_row(f, 1);
	once(f);
	round_of(f, f->jobs);
	assert_int_equal(rows(f), 1);
	assert_int_equal(f->mock->requests, 0);
	assert_int_equal(sandbox_int(f->db, "SELECT COUNT(*) FROM gptl_lease"), 0);
}

/* All keys of a large group changed just before the end: the process keeps its time, and
 * the pool what was not written. */
static void
test_the_end_writes_back_for_a_while(void **state)
{
	struct fixture *f = *state;
	size_t changed = 0;
	int64_t ids[2500];

	for (int i = 0; i < (int)ARRAY_LEN(ids); i++) {
		ids[i] = 100 + i;
		assert_int_equal(
		    db_exec(f->db,
			    "INSERT INTO api_keys (id, key_value, key_hash, group_id, status) "
			    "VALUES (?, 'k' || ?, 'bb', 7, 'active')",
			    DB_ARGS(db_int(ids[i]), db_int(ids[i])), NULL),
		    ERR_OK);
	}
	round_of(f, f->jobs);
	assert_int_equal(
	    pool_set_state(f->pool, GROUP_ID, ids, ARRAY_LEN(ids), KEY_DISABLED, &changed), ERR_OK);
	assert_int_equal(changed, ARRAY_LEN(ids));
	f->sandbox->conf.server_graceful_shutdown_timeout_s = 0;
	jobs_last(f->jobs);
	assert_int_equal(
	    sandbox_int(f->db, "SELECT COUNT(*) FROM api_keys WHERE status = 'disabled'"), 1000);
	once(f);
	assert_int_equal(
	    sandbox_int(f->db, "SELECT COUNT(*) FROM api_keys WHERE status = 'disabled'"), 2500);
}

static void
test_database_away(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE char *away = xasprintf("%s/away/gpt-load.db", f->sandbox->dir);
	char *dsn = f->sandbox->conf.database_dsn;
	struct errinfo info = {""};

	spool_row(f, 1);
	f->sandbox->conf.database_dsn = away;
	for (int i = 0; i < 5; i++)
		round_of(f, f->jobs);
	jobs_last(f->jobs);
	assert_int_not_equal(jobs_once(f->jobs, &info), ERR_OK);
	assert_true(info.text[0] != '\0');
	f->sandbox->conf.database_dsn = dsn;
	assert_int_equal(rows(f), 0);
	clock_fake(clock_mono_us() + 60 * SECOND);
	for (int i = 0; i < 3; i++)
		round_of(f, f->jobs);
	assert_int_equal(rows(f), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_flush, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_flush_much, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_key_comes_back, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_key_stays_out, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_unreadable_key, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_validation_waits_for_nobody, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_retention, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_one_holder, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_one_connection_a_node, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_slave, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_the_end_writes_back_for_a_while, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_database_away, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
