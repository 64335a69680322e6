/* SPDX-License-Identifier: MIT
 *
 * The spool's files: rows come back in order, segments end by size and age, and a
 * full disk, a full spool and a torn row lose what they must and no more.
 */
#include "lib/spool.h"
#include "lib/clock.h"
#include "lib/limits.h"
#include "lib/segment.h"
#include "lib/str.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "tests/unit/sandbox.h"

#define START_US 1700000000000000LL

static int
setup(void **state)
{
	*state = sandbox_new();
	clock_fake(START_US);
	return 0;
}

static int
teardown(void **state)
{
	sandbox_free(*state);
	clock_fake(0);
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

static enum err
append(struct spool *spool, int i, struct str body)
{
	struct logrow row = {.time_us = START_US, .model = STR("m"), .request_body = body};

	(void)snprintf(row.id, sizeof(row.id), "row-%d", i);
	return spool_append(spool, &row);
}

/* Ids of all rows of all segments, in order, separated by blanks; "!" after a
 * segment for each row lost in it, '*' when its writer lives. */
static void
read_all(struct sandbox *s, char *out, size_t size)
{
	struct segment_list list;
	int dir;

	out[0] = '\0';
	assert_int_equal(segment_dir(&s->conf, &dir, NULL), ERR_OK);
	assert_int_equal(segment_list(dir, &list, NULL), ERR_OK);
	for (size_t i = 0; i < list.n; i++) {
		struct segment_reader r;
		struct logrow rows[3];
		int64_t lost = 0;
		size_t n = 1;

		assert_int_equal(segment_open(dir, list.name[i], 0, &r, NULL), ERR_OK);
		while (n > 0) {
			assert_int_equal(segment_read(&r, rows, 3, &n, &lost, NULL), ERR_OK);
			for (size_t k = 0; k < n; k++)
				(void)snprintf(out + strlen(out), size - strlen(out), "%s ",
					       rows[k].id + strlen("row-"));
		}
		for (; lost > 0; lost--)
			(void)snprintf(out + strlen(out), size - strlen(out), "! ");
		(void)snprintf(out + strlen(out), size - strlen(out), r.finished ? "| " : "* ");
		segment_close(&r);
	}
	segment_list_done(&list);
	close(dir);
}

static void
assert_spool(struct sandbox *s, const char *want)
{
	char got[512];

	read_all(s, got, sizeof(got));
	assert_string_equal(got, want);
}

/* The path of the only segment. */
static char *
segment_path(struct sandbox *s)
{
	struct segment_list list;
	char *path;
	int dir;

	assert_int_equal(segment_dir(&s->conf, &dir, NULL), ERR_OK);
	assert_int_equal(segment_list(dir, &list, NULL), ERR_OK);
	assert_int_equal(list.n, 1);
	path = xasprintf("%s/spool/%s", s->dir, list.name[0]);
	segment_list_done(&list);
	close(dir);
	return path;
}

static void
test_append(void **state)
{
	struct sandbox *s = *state;
	struct spool *spool = opened(s);
	AUTO_FREE char *path = NULL;
	struct stat st;

	assert_spool(s, "");
	for (int i = 0; i < 7; i++)
		assert_int_equal(append(spool, i, STR("body")), ERR_OK);
	assert_spool(s, "0 1 2 3 4 5 6 * ");
	path = segment_path(s);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(spool_waiting(&s->conf), st.st_size - SEGMENT_HEADER);
	spool_close(spool);
	assert_spool(s, "0 1 2 3 4 5 6 | ");
	assert_int_equal(spool_lost(&s->conf), 0);
}

static void
test_age(void **state)
{
	struct sandbox *s = *state;
	struct spool *spool = opened(s);

	assert_int_equal(append(spool, 0, STR("")), ERR_OK);
	clock_fake(START_US + 59000000);
	spool_tend(spool);
	assert_int_equal(append(spool, 1, STR("")), ERR_OK);
	assert_spool(s, "0 1 * ");
	clock_fake(START_US + 60000000);
	spool_tend(spool);
	assert_spool(s, "0 1 | ");
	assert_int_equal(append(spool, 2, STR("")), ERR_OK);
	assert_spool(s, "0 1 | 2 * ");
	spool_close(spool);
}

static void
test_size(void **state)
{
	struct sandbox *s = *state;
	static char body[LIMIT_LOG_REQUEST_BODY];
	struct segment_list list;
	struct spool *spool = opened(s);
	int dir;

	memset(body, 'x', sizeof(body));
	for (int i = 0; i < 300; i++)
		assert_int_equal(append(spool, i, (struct str){body, sizeof(body)}), ERR_OK);
	assert_int_equal(segment_dir(&s->conf, &dir, NULL), ERR_OK);
	assert_int_equal(segment_list(dir, &list, NULL), ERR_OK);
	assert_int_equal(list.n, 3);
	assert_true(list.bytes > 300 * (int64_t)sizeof(body));
	segment_list_done(&list);
	close(dir);
	spool_close(spool);
}

/* A writer that was killed in mid-write, and one that is still at it. */
static void
test_torn(void **state)
{
	struct sandbox *s = *state;
	struct spool *spool = opened(s);
	AUTO_FREE char *path = NULL;
	struct stat st;

	for (int i = 0; i < 3; i++)
		assert_int_equal(append(spool, i, STR("body")), ERR_OK);
	path = segment_path(s);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, st.st_size - 5), 0);
	assert_spool(s, "0 1 * ");
	spool_close(spool);
	assert_spool(s, "0 1 ! | ");
}

/* A damaged row in the middle is skipped by its length; a damaged length ends the
 * segment. */
static void
test_damaged(void **state)
{
	struct sandbox *s = *state;
	struct spool *spool = opened(s);
	AUTO_FREE char *path = NULL;
	int64_t record;
	struct stat st;
	int fd;

	for (int i = 0; i < 4; i++)
		assert_int_equal(append(spool, i, STR("body")), ERR_OK);
	path = segment_path(s);
	spool_close(spool);
	assert_int_equal(stat(path, &st), 0);
	record = (st.st_size - SEGMENT_HEADER) / 4;
	fd = open(path, O_WRONLY);
	assert_int_equal(pwrite(fd, "?", 1, SEGMENT_HEADER + record + 30), 1);
	assert_spool(s, "0 2 3 ! | ");
	assert_int_equal(pwrite(fd, "\xFF\xFF\xFF\xFF", 4, SEGMENT_HEADER + 2 * record), 4);
	assert_spool(s, "0 ! ! | ");
	close(fd);
}

/* The file size limit stands for a full disk: both cut a write short. */
static void
test_disk_full(void **state)
{
	struct sandbox *s = *state;
	struct spool *spool = opened(s);
	struct rlimit old;
	struct rlimit small;
	static char body[6000];

	memset(body, 'x', sizeof(body));
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(append(spool, 0, STR("")), ERR_OK);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 4096;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(append(spool, 1, (struct str){body, sizeof(body)}), ERR_DISK);
	assert_int_equal(append(spool, 2, (struct str){body, sizeof(body)}), ERR_DISK);
	assert_int_equal(append(spool, 3, STR("")), ERR_OK);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(append(spool, 4, (struct str){body, sizeof(body)}), ERR_OK);
	assert_spool(s, "0 3 4 * ");
	assert_int_equal(spool_lost(&s->conf), 2);
	spool_close(spool);
	assert_int_equal(spool_lost(&s->conf), 2);
}

/* Bodies go first, then the oldest finished segment. */
static void
test_spool_full(void **state)
{
	struct sandbox *s = *state;
	static char body[20000];
	struct spool *spool;
	char all[512];
	int n;

	memset(body, 'x', sizeof(body));
	s->conf.spool_size = 100000;
	spool = opened(s);
	for (n = 0; n < 5; n++) {
		clock_fake(START_US + n * 1000); /* segments are in order of their names */
		assert_int_equal(append(spool, n, (struct str){body, sizeof(body)}), ERR_OK);
	}
	assert_true(spool_waiting(&s->conf) < 100000);
	assert_int_equal(spool_lost(&s->conf), 0);
	for (; spool_lost(&s->conf) == 0 && n < 1000; n++) {
		clock_fake(START_US + n * 1000);
		assert_int_equal(append(spool, n, (struct str){body, sizeof(body)}), ERR_OK);
	}
	assert_true(n > 20 && n < 1000);
	spool_tend(spool);
	assert_true(spool_waiting(&s->conf) <= 100000);
	assert_int_equal(spool_lost(&s->conf), 1);
	assert_int_equal(append(spool, 1000, STR("")), ERR_OK);
	read_all(s, all, sizeof(all));
	assert_int_equal(strncmp(all, "1 | 2 | 3 | ", 12), 0);
	spool_close(spool);
}

/* What another process writes or reads is not given up: then the row is lost. */
static void
test_nothing_to_give_up(void **state)
{
	struct sandbox *s = *state;
	struct spool *other;
	struct spool *spool;
	static char body[20000];

	memset(body, 'x', sizeof(body));
	s->conf.spool_size = 200000;
	other = opened(s);
	assert_int_equal(append(other, 0, (struct str){body, sizeof(body)}), ERR_OK);
	s->conf.spool_size = 20100;
	spool = opened(s);
	assert_int_equal(append(spool, 1, STR("")), ERR_DISK);
	assert_int_equal(spool_lost(&s->conf), 1);
	spool_close(other);
	assert_int_equal(append(spool, 2, STR("")), ERR_OK);
	assert_int_equal(spool_lost(&s->conf), 2);
	assert_spool(s, "2 * ");
	spool_close(spool);
}

static void
test_removed_under_writer(void **state)
{
	struct sandbox *s = *state;
	struct spool *spool = opened(s);
	AUTO_FREE char *path = NULL;

	assert_int_equal(append(spool, 0, STR("")), ERR_OK);
	path = segment_path(s);
	assert_int_equal(unlink(path), 0);
	spool_tend(spool);
	assert_int_equal(append(spool, 1, STR("")), ERR_OK);
	assert_spool(s, "1 * ");
	spool_close(spool);
}

static void
test_node(void **state)
{
	struct sandbox *s = *state;
	char first[37];
	char second[37];
	int dir;

	assert_int_equal(segment_dir(&s->conf, &dir, NULL), ERR_OK);
	assert_int_equal(segment_node(dir, first, NULL), ERR_OK);
	assert_int_equal(segment_node(dir, second, NULL), ERR_OK);
	assert_string_equal(first, second);
	assert_int_equal(strlen(first), 36);
	close(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_append, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_age, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_size, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_torn, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_disk_full, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_spool_full, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_nothing_to_give_up, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_removed_under_writer, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_node, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
