/* SPDX-License-Identifier: MIT
 *
 * lib/log and lib/redact: the two forms of a line, the file and its rotation,
 * and what the redactor replaces and leaves alone.
 */
#include "lib/log.h"

#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/limits.h"
#include "lib/str.h"

#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define CANARY "canary/+secret=1"

/* 2026-11-24 00:00:00.123456 UTC */
#define NOW_US 1795478400123456

struct fixture {
	char dir[64];
	char path[96];
	char renamed[96];
	char err[96];
	int saved_stderr;
	struct conf conf;
};

static char *
read_file(const char *path)
{
	static char text[4 * 1024 * 1024];
	size_t n = 0;
	FILE *f = fopen(path, "re");

	if (f != NULL) {
		n = fread(text, 1, sizeof(text) - 1, f);
		(void)fclose(f);
	}
	text[n] = '\0';
	return text;
}

static size_t
count_lines(const char *text)
{
	size_t n = 0;

	for (; *text != '\0'; text++)
		n += *text == '\n';
	return n;
}

static int
set_up(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	int fd;

	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/test_log.XXXXXX");
	if (mkdtemp(f->dir) == NULL)
		return -1;
	(void)snprintf(f->path, sizeof(f->path), "%s/app.log", f->dir);
	(void)snprintf(f->renamed, sizeof(f->renamed), "%s/app.log.1", f->dir);
	(void)snprintf(f->err, sizeof(f->err), "%s/stderr", f->dir);
	f->saved_stderr = dup(STDERR_FILENO);
	fd = open(f->err, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0 || dup2(fd, STDERR_FILENO) < 0)
		return -1;
	close(fd);
	f->conf.log_level = LOG_INFO;
	f->conf.log_file = f->path;
	setenv("TZ", "Asia/Shanghai", 1);
	tzset();
	clock_fake(NOW_US);
	*state = f;
	return 0;
}

static int
tear_down(void **state)
{
	struct fixture *f = *state;

	f->conf.log_file = NULL;
	f->conf.log_json = false;
	log_open(&f->conf, "test");
	clock_fake(0);
	(void)dup2(f->saved_stderr, STDERR_FILENO);
	close(f->saved_stderr);
	(void)unlink(f->path);
	(void)unlink(f->renamed);
	(void)unlink(f->err);
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

static void
text_line(void **state)
{
	struct fixture *f = *state;
	char expected[256];

	log_open(&f->conf, "responder");
	log_warn("key %d of \"%s\"\nis out\t\x1b[2J", 7, "g");
	(void)snprintf(
	    expected, sizeof(expected),
	    "2026-11-24T08:00:00.123+08:00 WARN  responder[%ld]: key 7 of \"g\"\\nis out "
	    "\\x1b[2J\n",
	    (long)getpid());
	assert_string_equal(read_file(f->path), expected);
	assert_string_equal(read_file(f->err), expected);
}

static void
json_line(void **state)
{
	struct fixture *f = *state;
	char expected[256];

	setenv("TZ", "America/St_Johns", 1);
	tzset();
	f->conf.log_json = true;
	log_open(&f->conf, "responder");
	log_error("key %d of \"%s\"\nis out", 7, "g");
	(void)snprintf(expected, sizeof(expected),
		       "{\"time\":\"2026-11-23T20:30:00.123-03:30\",\"level\":\"error\","
		       "\"program\":\"responder\",\"pid\":%ld,"
		       "\"message\":\"key 7 of \\\"g\\\"\\nis out\"}\n",
		       (long)getpid());
	assert_string_equal(read_file(f->path), expected);
}

static void
levels_hold_back(void **state)
{
	struct fixture *f = *state;

	f->conf.log_level = LOG_WARN;
	log_open(&f->conf, "t");
	log_error("1");
	log_warn("2");
	log_info("3");
	log_debug("4");
	assert_int_equal(count_lines(read_file(f->path)), 2);
	log_set_level(LOG_DEBUG);
	log_debug("5");
	assert_int_equal(count_lines(read_file(f->path)), 3);
	assert_true(log_enabled(LOG_DEBUG));
}

static void
file_is_private_and_followed(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	log_open(&f->conf, "t");
	log_info("one");
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(rename(f->path, f->renamed), 0);
	/* Looked at once a second at most. */
	log_info("two");
	assert_int_equal(count_lines(read_file(f->renamed)), 2);
	clock_fake(NOW_US + 1000000);
	log_info("three");
	assert_int_equal(count_lines(read_file(f->renamed)), 2);
	assert_int_equal(count_lines(read_file(f->path)), 1);
	/* Removed altogether. */
	assert_int_equal(unlink(f->path), 0);
	clock_fake(NOW_US + 2000000);
	log_info("four");
	assert_int_equal(count_lines(read_file(f->path)), 1);
}

static void
unopened_file_is_said_once(void **state)
{
	struct fixture *f = *state;
	char nowhere[] = "/nonexistent/app.log";

	f->conf.log_file = nowhere;
	log_open(&f->conf, "t");
	clock_fake(NOW_US + 5000000);
	log_info("goes on");
	char *text = read_file(f->err);
	assert_int_equal(count_lines(text), 2);
	assert_non_null(strstr(text, "LOG_FILE_PATH: /nonexistent/app.log cannot be opened: No "
				     "such file or directory"));
}

static void
long_line_is_cut_after_redaction(void **state)
{
	struct fixture *f = *state;
	char *text = xmalloc(LIMIT_LOG_LINE + 100);

	redact_register(STR(CANARY));
	/* The secret lies across the place of the cut. */
	memset(text, '.', LIMIT_LOG_LINE + 99);
	memcpy(text + LIMIT_LOG_LINE - 8, CANARY, strlen(CANARY));
	text[LIMIT_LOG_LINE + 99] = '\0';
	log_open(&f->conf, "t");
	log_info("%s", text);
	char *written = read_file(f->path);
	assert_int_equal(count_lines(written), 1);
	assert_null(strstr(written, "canary"));
	assert_true(strlen(written) < LIMIT_LOG_LINE + 100);
	free(text);
}

#define THREADS 4
#define LINES   200

static void *
write_lines(void *arg)
{
	(void)arg;
	for (int i = 0; i < LINES; i++)
		log_info("%0300d", i);
	return NULL;
}

static void
lines_of_many_threads_stay_whole(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[THREADS];
	size_t n = 0;

	log_open(&f->conf, "t");
	for (size_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_lines, NULL), 0);
	for (size_t i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	struct str rest = str_of(read_file(f->path));
	struct str line;
	size_t length = 0;
	while (str_split(&rest, '\n', &line) && line.n > 0) {
		assert_true(length == 0 || line.n == length);
		length = line.n;
		n++;
	}
	assert_int_equal(n, THREADS * LINES);
}

/* --- the redactor --- */

static const struct {
	const char *text;
	const char *expected;
} cases[] = {
    {"", ""},
    {"nothing to see: a = b, key 12 is out, s/A/g", "nothing to see: a = b, key 12 is out, s/A/g"},
    /* registered */
    {"x" CANARY "x", "x[redacted]x"},
    {CANARY CANARY, "[redacted][redacted]"},
    {"canary/+secret=", "canary/+secret="},
    {"registered-longer!", "[redacted]!"},
    {"registered!", "[redacted]!"},
    /* an exchange's own, in every spelling */
    {"own/key:1 own%2Fkey%3A1 own%2fkey:1 %6F%77n/key:1 own%2Fkey%3A",
     "[redacted] [redacted] [redacted] [redacted] own%2Fkey%3A"},
    /* URLs */
    {"GET /proxy/g/v1beta/models?key=abc&alt=sse HTTP",
     "GET /proxy/g/v1beta/models?key=[redacted]&alt=sse HTTP"},
    {"/x?a=1&api_key=q#f", "/x?a=1&api_key=[redacted]#f"},
    {"key=abc&a=1", "key=[redacted]&a=1"},
    {"/x?monkey=1&key=", "/x?monkey=1&key="},
    {"the key=12 of group", "the key=12 of group"},
    {"http://u:p@h/x, socks5://me@h:1", "http://[redacted]@h/x, socks5://[redacted]@h:1"},
    {"https://h/x@y?z@a", "https://h/x@y?z@a"},
    {"redis://u:p@ss@h/0", "redis://[redacted]@h/0"},
    {"a://", "a://"},
    /* tokens of the vendors' forms */
    {"Incorrect API key provided: sk-proj-Ab_12345.", "Incorrect API key provided: [redacted]."},
    {"sk-short, task-force-management, sk-1234****cdef",
     "sk-short, task-force-management, sk-1234****cdef"},
    {"AIzaSyA-1234567890 gsk_0123456789 xai-0123456789", "[redacted] [redacted] [redacted]"},
    {"\"sk-0123456789\"", "\"[redacted]\""},
    {"Authorization: Bearer abc.def-123\r\n", "Authorization: Bearer [redacted]\r\n"},
    {"Bearer authentication is wanted, bearer token",
     "Bearer authentication is wanted, bearer token"},
};

static void
redacts(void **state)
{
	static const struct str own[] = {{"own/key:1", 9}, {"abc", 3}};

	(void)state;
	redact_register(STR(CANARY));
	redact_register(STR(CANARY));
	redact_register(STR("registered"));
	redact_register(STR("registered-longer"));
	redact_register(STR("short"));
	redact_register(STR(""));
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf out;

		buf_init(&out, REDACT_GROWTH(strlen(cases[i].text)));
		redact(&out, str_of(cases[i].text), own, ARRAY_LEN(own));
		assert_int_equal(buf_err(&out), ERR_OK);
		assert_string_equal(buf_text(&out), cases[i].expected);
		buf_done(&out);
	}
}

static void
half_a_secret_was_left_at_the_cut(void **state)
{
	static const struct str own[] = {{"own/key:1", 9}};
	static const struct {
		const char *text;
		size_t max;
		const char *expected;
	} cuts[] = {
	    {"abc own/key:1 def", 20, "abc [redacted] def"},
	    {"abc own/key:1 def", 16, "abc [redacted] d"},
	    {"abc own/key:1 def", 7, "abc [re"},
	    {"abc own/key:1 def", 4, "abc "},
	    {"abc own/key:1 def", 0, ""},
	    {"own/key:1own/key:1own/key:1", 22, "[redacted][redacted][r"},
	    {"own/key:1", 9, "[redacted"},
	    /* What was replaced takes less room than it had. */
	    {"Bearer 0123456789012345678901234567890 own/key:1", 25, "Bearer [redacted] [redact"},
	    {"http://user:password@host/", 9, "http://[r"},
	    {"plain text", 5, "plain"},
	    {"caf\xC3\xA9", 4, "caf"},
	    {"", 5, ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		struct str text = str_of(cuts[i].text);
		struct buf out;

		buf_init(&out, cuts[i].max);
		redact_cut(&out, text, cuts[i].max, own, ARRAY_LEN(own));
		assert_int_equal(buf_err(&out), ERR_OK);
		assert_string_equal(buf_text(&out), cuts[i].expected);
		buf_done(&out);
	}
	assert_true(redact_finds(STR("abc own/key:1"), 5, own, ARRAY_LEN(own)));
	assert_false(redact_finds(STR("abc own/key:1"), 4, own, ARRAY_LEN(own)));
}

static void
many_secrets_with_one_beginning(void **state)
{
	char secret[32];
	char text[64];
	struct buf out;

	(void)state;
	for (int i = 0; i < 3000; i++) {
		(void)snprintf(secret, sizeof(secret), "common-%06d", i);
		redact_register(str_of(secret));
	}
	buf_init(&out, 1024);
	(void)snprintf(text, sizeof(text), "common-002999 common-003000");
	redact(&out, str_of(text), NULL, 0);
	assert_string_equal(buf_text(&out), "[redacted] common-003000");
	buf_done(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(text_line, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(json_line, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(levels_hold_back, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(file_is_private_and_followed, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(unopened_file_is_said_once, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(long_line_is_cut_after_redaction, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(lines_of_many_threads_stay_whole, set_up, tear_down),
	    cmocka_unit_test(redacts),
	    cmocka_unit_test(half_a_secret_was_left_at_the_cut),
	    cmocka_unit_test(many_secrets_with_one_beginning),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
