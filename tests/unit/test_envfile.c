/* SPDX-License-Identifier: MIT
 *
 * lib/envfile: the syntax of .env files, line by line, and their bounds.
 */
#include "lib/envfile.h"

#include "lib/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

static char dir[64];

static int
set_up(void **state)
{
	(void)state;
	(void)snprintf(dir, sizeof(dir), "/tmp/test_envfile.XXXXXX");
	return mkdtemp(dir) != NULL && chdir(dir) == 0 ? 0 : -1;
}

static int
tear_down(void **state)
{
	(void)state;
	(void)unlink("f");
	return chdir("/") == 0 && rmdir(dir) == 0 ? 0 : -1;
}

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static const struct {
	const char *line;
	const char *value; /* of A; NULL: refused */
} syntax[] = {
    {"A=b", "b"},
    {"  export\tA = b c  ", "b c"},
    {"A=b # comment", "b"},
    {"A=b#c", "b#c"},
    {"A=#c", ""},
    {"A=", ""},
    {"A=b=c", "b=c"},
    {"A='b # \"c\" \\n $X' # comment", "b # \"c\" \\n $X"},
    {"A=\"b\\n\\t\\\"\\\\\\$X\\q\"", "b\n\t\"\\$X\\q"},
    {"A=\"\"", ""},
    {"A=b'c'", "b'c'"},
    {"A=$(touch x)`y`", "$(touch x)`y`"},
    {"A=1\nA=2\r\n", "2"},
    {"\xEF\xBB\xBF"
     "A=1",
     "1"},
    {"A='b", NULL},
    {"A=\"b", NULL},
    {"A=\"b\\\"", NULL},
    {"A='b'c", NULL},
    {"A=\"b\" c", NULL},
    {"A", NULL},
    {"=b", NULL},
    {"1A=b", NULL},
    {"A-B=c", NULL},
};

static void
file_syntax(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(syntax); i++) {
		struct envfile *f = NULL;
		struct errinfo info = {""};
		enum err e;
		int line = 0;

		write_file("f", syntax[i].line);
		e = envfile_read("f", &f, &info);
		assert_int_equal(e, syntax[i].value != NULL ? ERR_OK : ERR_CONF);
		if (e == ERR_OK) {
			assert_string_equal(envfile_get(f, "A", &line), syntax[i].value);
			assert_true(line >= 1);
			assert_null(envfile_get(f, "B", &line));
		} else {
			assert_non_null(strstr(info.text, "f:1: "));
		}
		envfile_free(f);
	}
}

static void
file_is_bounded(void **state)
{
	struct envfile *f = NULL;
	char *text = xmalloc(LIMIT_CONF_FILE + 2);

	(void)state;
	memset(text, '#', LIMIT_CONF_FILE + 1);
	text[LIMIT_CONF_FILE + 1] = '\0';
	write_file("f", text);
	assert_int_equal(envfile_read("f", &f, NULL), ERR_CONF);
	memset(text, 'A', LIMIT_CONF_VALUE + 10);
	text[1] = '=';
	text[LIMIT_CONF_VALUE + 10] = '\0';
	write_file("f", text);
	assert_int_equal(envfile_read("f", &f, NULL), ERR_CONF);
	FILE *out = fopen("f", "we");
	assert_int_equal(fwrite("A=b\0c\n", 1, 6, out), 6);
	(void)fclose(out);
	assert_int_equal(envfile_read("f", &f, NULL), ERR_CONF);
	assert_int_equal(envfile_read("nothing", &f, NULL), ERR_NOT_FOUND);
	assert_null(f);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(file_syntax),
	    cmocka_unit_test(file_is_bounded),
	};

	return cmocka_run_group_tests_name("envfile", tests, set_up, tear_down);
}
