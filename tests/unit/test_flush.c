/* SPDX-License-Identifier: MIT
 *
 * From the spool to the DB: what is written, that it is counted once whatever dies
 * when, and what a database that refuses a row, or every row, leads to.
 */
#include "lib/flush.h"
#include "lib/clock.h"
#include "lib/limits.h"
#include "lib/segment.h"
#include "lib/str.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "tests/unit/sandbox.h"

#define HOUR_US  3600000000LL
#define START_US (472222 * HOUR_US + 5000000) /* five seconds into an hour */

static int
setup(void **state)
{
	*state = sandbox_new();
	return 0;
}

static int
teardown(void **state)
{
	sandbox_free(*state);
	return 0;
}

static struct spool *
opened(struct sandbox *s)
{
	struct errinfo info = {""};
	struct spool *spool;

	assert_int_equal(spool_open(&s->conf, &spool, &info), ERR_OK);
	return spool;
}

/* A database with group 7, aggregate 9, and keys 1 to n. */
static struct db *
filled(struct sandbox *s, int n)
{
	struct db *db = sandbox_db(s);

	sandbox_exec(db, "INSERT INTO \"groups\" (id, name, upstreams, channel_type, test_model) "
			 "VALUES (7, 'a', '[]', 'openai', 'm')");
	for (int i = 1; i <= n; i++)
		assert_int_equal(db_exec(db,
					 "INSERT INTO api_keys (id, key_value, group_id) "
					 "VALUES (?, 'k', 7)",
					 DB_ARGS(db_int(i)), NULL),
				 ERR_OK);
	return db;
}

static struct logrow
sample(int i)
{
	struct logrow row = {
	    .time_us = START_US + i * 1000LL, /* databases keep milliseconds */
	    .group_id = 7,
	    .group_name = STR("a"),
	    .key_id = 1,
	    .model = STR("m"),
	    .is_success = true,
	    .status = 200,
	    .is_final = true,
	    .attempt = 1,
	    .ttfb_ms = 3,
	    .prompt_tokens = -1,
	    .completion_tokens = 8,
	    .cached_tokens = -1,
	    .end = STR("complete"),
	};

	(void)snprintf(row.id, sizeof(row.id), "id-%08d", i);
	return row;
}

static void
append(struct spool *spool, struct logrow row)
{
	assert_int_equal(spool_append(spool, &row), ERR_OK);
}

static struct flush_result
flush(struct sandbox *s, struct db *db)
{
	struct flush_bounds bounds = {0};
	struct flush_result result;
	struct errinfo info = {""};

	if (flush_run(&s->conf, db, &bounds, &result, &info) != ERR_OK)
		fail_msg("flush: %s", info.text);
	return result;
}

static size_t
segments(struct sandbox *s)
{
	struct segment_list list;
	size_t n;
	int dir;

	assert_int_equal(segment_dir(&s->conf, &dir, NULL), ERR_OK);
	assert_int_equal(segment_list(dir, &list, NULL), ERR_OK);
	n = list.n;
	segment_list_done(&list);
	close(dir);
	return n;
}

static void
test_rows(void **state)
{
	struct sandbox *s = *state;
	struct spool *spool = opened(s);
	struct db *db = filled(s, 2);
	struct logrow failed = sample(2);
	struct logrow retried = sample(3);
	struct logrow later = sample(4);

	append(spool, sample(1));
	failed.is_success = false;
	failed.status = 500;
	failed.parent_id = 9;
	failed.parent_name = STR("all");
	append(spool, failed);
	retried.is_final = false;
	retried.is_success = false;
	append(spool, retried);
	later.time_us += HOUR_US;
	later.key_id = 2;
	append(spool, later);
	assert_int_equal(flush(s, db).rows, 4);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(*) FROM request_logs"), 4);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(*) FROM request_logs WHERE "
					 "request_type = 'retry' AND id = 'id-00000003'"),
			 1);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(*) FROM request_logs WHERE "
					 "parent_group_id = 9 AND parent_group_name = 'all' AND "
					 "gptl_completion_tokens = 8 AND gptl_prompt_tokens = -1 "
					 "AND gptl_end = 'complete' AND gptl_ttfb_ms = 3"),
			 1);
	assert_int_equal(sandbox_int(db, "SELECT request_count FROM api_keys WHERE id = 1"), 1);
	assert_int_equal(sandbox_int(db, "SELECT request_count FROM api_keys WHERE id = 2"), 1);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(*) FROM group_hourly_stats"), 3);
	assert_int_equal(sandbox_int(db, "SELECT failure_count FROM group_hourly_stats "
					 "WHERE group_id = 9"),
			 1);
	assert_int_equal(sandbox_int(db, "SELECT SUM(success_count) FROM group_hourly_stats "
					 "WHERE group_id = 7"),
			 2);
	db_close(db);
	spool_close(spool);
}

/* The text of the hour and of last_used_at. */
static void
test_times(void **state)
{
	struct sandbox *s = *state;
	struct spool *spool = opened(s);
	struct db *db = filled(s, 1);
	struct db_rows *rows;
	enum err e;

	append(spool, sample(9));
	append(spool, sample(5));
	(void)flush(s, db);
	append(spool, sample(3));
	(void)flush(s, db);
	e = db_query(db, "SELECT k.last_used_at, h.time FROM api_keys k, group_hourly_stats h",
		     DB_NO_ARGS, &rows);
	assert_int_equal(e, ERR_OK);
	assert_true(db_next(rows, &e));
	assert_true(db_col_time(rows, 0) == START_US + 9000);
	assert_true(db_col_time(rows, 1) == START_US - 5000000);
	assert_false(db_next(rows, &e));
	db_rows_done(rows);
	db_close(db);
	spool_close(spool);
}

static void
refuse_bad_rows(struct db *db)
{
	static const struct sql trigger = {
	    .sqlite = "CREATE TRIGGER bad BEFORE INSERT ON request_logs WHEN NEW.model = 'bad' "
		      "BEGIN SELECT RAISE(ABORT, 'refused'); END",
	    .mysql = "CREATE TRIGGER bad BEFORE INSERT ON request_logs FOR EACH ROW "
		     "IF NEW.model = 'bad' THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = "
		     "'refused'; END IF",
	    .pgsql = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
		     "$$BEGIN RAISE EXCEPTION 'refused'; END$$;\n"
		     "CREATE TRIGGER bad BEFORE INSERT ON request_logs FOR EACH ROW "
		     "WHEN (NEW.model = 'bad') EXECUTE FUNCTION refuse()",
	};

	assert_int_equal(db_script(db, db_pick(db, &trigger)), ERR_OK);
}

static void
refuse_rows(struct db *db)
{
	static const struct sql trigger = {
	    .sqlite = "CREATE TRIGGER bad BEFORE INSERT ON request_logs "
		      "BEGIN SELECT RAISE(ABORT, 'refused'); END",
	    .mysql = "CREATE TRIGGER bad BEFORE INSERT ON request_logs FOR EACH ROW "
		     "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'refused'",
	    .pgsql = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
		     "$$BEGIN RAISE EXCEPTION 'refused'; END$$;\n"
		     "CREATE TRIGGER bad BEFORE INSERT ON request_logs FOR EACH ROW "
		     "EXECUTE FUNCTION refuse()",
	};

	assert_int_equal(db_script(db, db_pick(db, &trigger)), ERR_OK);
}

/* A living writer's segment stays, a finished one goes with its position. */
static void
test_segments(void **state)
{
	struct sandbox *s = *state;
	struct spool *spool = opened(s);
	struct db *db = filled(s, 1);

	for (int i = 0; i < 450; i++)
		append(spool, sample(i));
	assert_int_equal(flush(s, db).rows, 450);
	assert_int_equal(flush(s, db).rows, 0);
	assert_int_equal(segments(s), 1);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(*) FROM gptl_spool"), 1);
	append(spool, sample(450));
	assert_int_equal(flush(s, db).rows, 1);
	spool_close(spool);
	assert_int_equal(flush(s, db).rows, 0);
	assert_int_equal(segments(s), 0);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(*) FROM gptl_spool"), 0);
	assert_int_equal(sandbox_int(db, "SELECT request_count FROM api_keys"), 451);
	db_close(db);
}

/* Rows that are in the DB already, under another segment: neither inserted nor
 * counted again. */
static void
test_repeated(void **state)
{
	struct sandbox *s = *state;
	struct db *db = filled(s, 1);

	for (int round = 0; round < 2; round++) {
		struct spool *spool = opened(s);

		for (int i = 0; i < 10 + round; i++)
			append(spool, sample(i));
		spool_close(spool);
		(void)flush(s, db);
	}
	assert_int_equal(sandbox_int(db, "SELECT COUNT(*) FROM request_logs"), 11);
	assert_int_equal(sandbox_int(db, "SELECT request_count FROM api_keys"), 11);
	assert_int_equal(sandbox_int(db, "SELECT success_count FROM group_hourly_stats"), 11);
	db_close(db);
}

static void
test_refused(void **state)
{
	struct sandbox *s = *state;
	struct spool *spool = opened(s);
	struct db *db = filled(s, 1);
	AUTO_FREE char *kept = xasprintf("%s/spool/refused/id-00000150.row", s->dir);
	struct flush_result result;
	struct stat st;

	refuse_bad_rows(db);
	for (int i = 0; i < 300; i++) {
		struct logrow row = sample(i);

		if (i == 150 || i == 151 || i == 299)
			row.model = STR("bad");
		append(spool, row);
	}
	result = flush(s, db);
	assert_int_equal(result.rows, 297);
	assert_int_equal(result.refused, 3);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(*) FROM request_logs"), 297);
	assert_int_equal(sandbox_int(db, "SELECT request_count FROM api_keys"), 297);
	assert_int_equal(stat(kept, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(flush(s, db).refused, 0);
	db_close(db);
	spool_close(spool);
}

/* A database that takes no row at all is not a reason to set rows aside. */
static void
test_refuses_all(void **state)
{
	struct sandbox *s = *state;
	struct spool *spool = opened(s);
	struct db *db = filled(s, 1);
	struct flush_bounds bounds = {0};
	struct flush_result result;
	struct errinfo info = {""};

	refuse_rows(db);
	append(spool, sample(1));
	assert_int_equal(flush_run(&s->conf, db, &bounds, &result, &info), ERR_DB);
	assert_int_equal(result.refused, 0);
	assert_non_null(strstr(info.text, "refused"));
	sandbox_exec(db, db_dialect(db) == DB_PGSQL ? "DROP TRIGGER bad ON request_logs"
						    : "DROP TRIGGER bad");
	assert_int_equal(flush(s, db).rows, 1);
	/* Nor is one that cannot count. */
	append(spool, sample(2));
	sandbox_exec(db, "ALTER TABLE group_hourly_stats RENAME TO away");
	assert_int_equal(flush_run(&s->conf, db, &bounds, &result, &info), ERR_DB);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(*) FROM request_logs"), 1);
	sandbox_exec(db, "ALTER TABLE away RENAME TO group_hourly_stats");
	assert_int_equal(flush(s, db).rows, 1);
	assert_int_equal(sandbox_int(db, "SELECT request_count FROM api_keys"), 2);
	db_close(db);
	spool_close(spool);
}

/* To be freed. */
static char *
path_of_segment(struct sandbox *s)
{
	struct segment_list list;
	char *path;
	int dir;

	assert_int_equal(segment_dir(&s->conf, &dir, NULL), ERR_OK);
	assert_int_equal(segment_list(dir, &list, NULL), ERR_OK);
	path = xasprintf("%s/spool/%s", s->dir, list.name[0]);
	segment_list_done(&list);
	close(dir);
	return path;
}

static void
test_torn(void **state)
{
	struct sandbox *s = *state;
	struct spool *spool = opened(s);
	struct db *db = filled(s, 1);
	AUTO_FREE char *path = NULL;
	struct stat st;

	for (int i = 0; i < 3; i++)
		append(spool, sample(i));
	path = path_of_segment(s);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - 1), 0);
	assert_int_equal(flush(s, db).rows, 2);
	spool_close(spool);
	assert_int_equal(flush(s, db).rows, 0);
	assert_int_equal(segments(s), 0);
	assert_int_equal(spool_lost(&s->conf), 1);
	db_close(db);
}

/* The position was past it already, so that nobody came by it again. */
static void
test_a_damaged_row_before_the_last_batch_was_not_counted(void **state)
{
	static const struct sql second_fails = {
	    .sqlite = "CREATE TRIGGER halt BEFORE INSERT ON gptl_spool "
		      "WHEN EXISTS (SELECT 1 FROM gptl_spool) "
		      "BEGIN SELECT RAISE(ABORT, 'no more'); END",
	    .mysql = "CREATE TRIGGER halt BEFORE INSERT ON gptl_spool FOR EACH ROW "
		     "IF EXISTS (SELECT 1 FROM gptl_spool) THEN SIGNAL SQLSTATE '45000' "
		     "SET MESSAGE_TEXT = 'no more'; END IF",
	    .pgsql = "CREATE FUNCTION halt() RETURNS trigger LANGUAGE plpgsql AS "
		     "$$BEGIN IF EXISTS (SELECT 1 FROM gptl_spool) THEN RAISE EXCEPTION "
		     "'no more'; END IF; RETURN NEW; END$$;\n"
		     "CREATE TRIGGER halt BEFORE INSERT ON gptl_spool FOR EACH ROW "
		     "EXECUTE FUNCTION halt()",
	};
	static const struct sql no_more = {
	    .sqlite = "DROP TRIGGER halt",
	    .mysql = "DROP TRIGGER halt",
	    .pgsql = "DROP TRIGGER halt ON gptl_spool",
	};
	struct sandbox *s = *state;
	struct spool *spool = opened(s);
	struct db *db = filled(s, 1);
	struct flush_bounds bounds = {0};
	struct flush_result result;
	AUTO_FREE char *path = NULL;
	int fd;

	for (int i = 0; i < LIMIT_FLUSH_ROWS + 50; i++)
		append(spool, sample(i));
	path = path_of_segment(s);
	spool_close(spool);
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, "?", 1, SEGMENT_HEADER + 30), 1);
	close(fd);
	assert_int_equal(db_script(db, db_pick(db, &second_fails)), ERR_OK);
	assert_int_not_equal(flush_run(&s->conf, db, &bounds, &result, NULL), ERR_OK);
	assert_in_range(result.rows, 1, LIMIT_FLUSH_ROWS);
	assert_int_equal(spool_lost(&s->conf), 1);
	assert_int_equal(db_script(db, db_pick(db, &no_more)), ERR_OK);
	assert_int_equal(flush(s, db).rows, LIMIT_FLUSH_ROWS + 49 - result.rows);
	assert_int_equal(spool_lost(&s->conf), 1);
	db_close(db);
}

static void
test_foreign_segment(void **state)
{
	struct sandbox *s = *state;
	struct spool *spool = opened(s);
	struct db *db = filled(s, 1);
	AUTO_FREE char *path =
	    xasprintf("%s/spool/01890a5d-ac96-774b-bcce-b302099a8057.spool", s->dir);
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_int_equal(write(fd, "GPTLSPL\x7F more", 13), 13);
	close(fd);
	append(spool, sample(1));
	assert_int_equal(flush(s, db).rows, 1);
	assert_int_equal(segments(s), 1);
	assert_int_not_equal(access(path, F_OK), 0);
	db_close(db);
	spool_close(spool);
}

/* A segment that could not be read held up all that came after it. */
static void
test_an_unreadable_segment_holds_up_no_other(void **state)
{
	struct sandbox *s = *state;
	struct db *db = filled(s, 1);
	AUTO_FREE char *dir = xasprintf("%s/spool", s->dir);
	AUTO_FREE char *path = xasprintf("%s/01890a5d-ac96-774b-bcce-b302099a8057.spool", dir);
	uid_t me = geteuid();
	struct flush_result result;
	struct errinfo info = {""};
	struct spool *spool;

	assert_int_equal(mkdir(dir, 0777) | close(open(path, O_WRONLY | O_CREAT, 0)), 0);
	assert_int_equal(chmod(s->dir, 0777) | chmod(dir, 0777), 0);
	assert_int_equal(me == 0 ? seteuid(65534) : 0, 0); /* root may read everything */
	spool = opened(s);
	append(spool, sample(1));
	assert_int_equal(flush_run(&s->conf, db, &(struct flush_bounds){0}, &result, &info),
			 ERR_IO);
	assert_int_equal(seteuid(me), 0);
	assert_non_null(strstr(info.text, "01890a5d"));
	assert_int_equal(result.rows, 1);
	db_close(db);
	spool_close(spool);
}

/* Of a segment that was given up, or removed just before its remover died. */
static void
test_stale_position(void **state)
{
	struct sandbox *s = *state;
	struct db *db = filled(s, 1);
	char node[37];
	int dir;

	assert_int_equal(segment_dir(&s->conf, &dir, NULL), ERR_OK);
	assert_int_equal(segment_node(dir, node, NULL), ERR_OK);
	close(dir);
	for (int i = 0; i < 2; i++)
		assert_int_equal(
		    db_exec(db, "INSERT INTO gptl_spool VALUES (?, 8, ?, ?)",
			    DB_ARGS(db_cstr(i == 0 ? "01890a5d-ac96-774b-bcce-b302099a8057.spool"
						   : "01890a5d-ac96-774b-bcce-b302099a8058.spool"),
				    db_cstr(i == 0 ? node : "another"), db_time(START_US)),
			    NULL),
		    ERR_OK);
	(void)flush(s, db);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(*) FROM gptl_spool"), 1);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(*) FROM gptl_spool WHERE node = 'another'"),
			 1);
	db_close(db);
}

static void
test_bounds(void **state)
{
	struct sandbox *s = *state;
	struct spool *spool = opened(s);
	struct db *db = filled(s, 1);
	atomic_bool stop = true;
	struct flush_bounds bounds = {.stop = &stop};
	struct flush_result result;
	AUTO_FREE char *path = xasprintf("%s/spool/flush.lock", s->dir);
	int fd;

	append(spool, sample(1));
	assert_int_equal(flush_run(&s->conf, db, &bounds, &result, NULL), ERR_OK);
	assert_true(result.more && result.rows == 0);
	stop = false;
	bounds.until_us = clock_mono_us() - 1;
	assert_int_equal(flush_run(&s->conf, db, &bounds, &result, NULL), ERR_OK);
	assert_true(result.more && result.rows == 0);

	fd = open(path, O_RDWR);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_true(flush(s, db).busy);
	bounds.wait = true;
	assert_int_equal(flush_run(&s->conf, db, &bounds, &result, NULL), ERR_OK);
	assert_true(result.busy);
	close(fd);
	assert_int_equal(flush(s, db).rows, 1);
	db_close(db);
	spool_close(spool);
}

/* --- killed at any moment --- */

#define ROUNDS    60
#define PER_ROUND 700
#define KEYS      5

static void
flush_and_exit(struct sandbox *s)
{
	struct flush_bounds bounds = {.wait = true};
	struct errinfo info = {""};
	struct flush_result result;
	struct db *db;
	enum err e = db_open(&s->conf, &db, &info);

	if (e == ERR_OK)
		e = flush_run(&s->conf, db, &bounds, &result, &info);
	if (e != ERR_OK)
		(void)fprintf(stderr, "%s\n", info.text);
	_exit(e == ERR_OK ? 0 : 1);
}

/* Not a wait for anything: a moment by chance. */
static void
moment(long us)
{
	struct timespec ts = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};

	(void)nanosleep(&ts, NULL);
}

static void
test_killed(void **state)
{
	struct sandbox *s = *state;
	struct spool *spool = opened(s);
	struct db *db = filled(s, KEYS);
	int64_t before = 0;
	uint32_t window_us = 40000; /* more where not even one batch is written in it */
	int killed = 0;
	int n = 0;

	db_close(db);
	for (int round = 0; round < ROUNDS; round++) {
		uint32_t chance;
		pid_t child;
		int status;

		for (int i = 0; i < PER_ROUND; i++, n++) {
			struct logrow row = sample(n);

			row.key_id = 1 + n % KEYS;
			row.parent_id = n % 2 != 0 ? 9 : 0;
			append(spool, row);
		}
		if (round % 3 == 0) {
			spool_close(spool);
			spool = opened(s);
		}
		random_bytes(&chance, sizeof(chance));
		child = fork();
		assert_true(child >= 0);
		if (child == 0)
			flush_and_exit(s);
		moment(chance % window_us);
		(void)kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
		killed += WIFSIGNALED(status);
		if (before > 0)
			continue;
		db = sandbox_db(s);
		before = sandbox_int(db, "SELECT COUNT(*) FROM request_logs");
		db_close(db);
		if (before == 0)
			window_us = MIN(2 * window_us, 2000000U);
	}
	spool_close(spool);
	db = sandbox_db(s);
	before = sandbox_int(db, "SELECT COUNT(*) FROM request_logs");
	(void)flush(s, db);
	print_message("%d of %d flushes were killed, having written %lld of %d rows\n", killed,
		      ROUNDS, (long long)before, n);
	assert_true(killed > 0 && before > 0);
	assert_int_equal(segments(s), 0);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(*) FROM request_logs"), n);
	assert_int_equal(sandbox_int(db, "SELECT SUM(request_count) FROM api_keys"), n);
	assert_int_equal(sandbox_int(db, "SELECT SUM(requests) FROM gptl_rollups WHERE "
					 "step = 86400 AND kind = 3"),
			 n);
	assert_int_equal(sandbox_int(db, "SELECT MAX(request_count) FROM api_keys"), n / KEYS);
	assert_int_equal(
	    sandbox_int(db, "SELECT SUM(success_count) FROM group_hourly_stats WHERE group_id = 7"),
	    n);
	assert_int_equal(
	    sandbox_int(db, "SELECT SUM(success_count) FROM group_hourly_stats WHERE group_id = 9"),
	    n / 2);
	assert_int_equal(sandbox_int(db, "SELECT COUNT(*) FROM gptl_spool"), 0);
	db_close(db);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_rows, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_times, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_segments, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_repeated, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_refuses_all, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_torn, setup, teardown),
	    cmocka_unit_test_setup_teardown(
		test_a_damaged_row_before_the_last_batch_was_not_counted, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_foreign_segment, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_an_unreadable_segment_holds_up_no_other, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(test_stale_position, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
