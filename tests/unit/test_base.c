/* SPDX-License-Identifier: MIT
 *
 * Tests of lib/base: checked allocation, the ends that a process comes to when
 * memory is gone or check() is false, and the small macros. What ends a process
 * is tried in a child, whose stderr is read.
 */
#include "lib/base.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* A child must not say "allocation size too big" in the sanitizer's way: what
 * is tested is what this program does when malloc returns NULL. */
const char *__asan_default_options(void);
const char *
__asan_default_options(void)
{
	return "allocator_may_return_null=1";
}

/* Keeps a size that no allocator grants away from the compiler's eyes. */
static volatile size_t huge = SIZE_MAX / 2 - 64;

/* Runs fn in a child, asserts that it aborts, and hands back its stderr. */
static void
assert_aborts(void (*fn)(void), char *said, size_t cap)
{
	int fds[2];
	int status;
	size_t n = 0;
	ssize_t got;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)signal(SIGABRT, SIG_DFL);
		(void)dup2(fds[1], STDERR_FILENO);
		fn();
		_exit(0);
	}
	(void)close(fds[1]);
	while (n < cap - 1 && (got = read(fds[0], said + n, cap - 1 - n)) > 0)
		n += (size_t)got;
	said[n] = '\0';
	(void)close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void
false_check(void)
{
	check(huge == 1);
}

static void
malloc_too_much(void)
{
	free(xmalloc(huge));
}

static void
calloc_too_much(void)
{
	free(xcalloc(huge, 8));
}

static void
realloc_too_much(void)
{
	free(xrealloc(xmalloc(8), huge));
}

static void
test_ends(void **state)
{
	static const struct {
		void (*fn)(void);
		const char *want;
	} cases[] = {
	    {false_check, "check failed: huge == 1"},
	    {malloc_too_much, "out of memory"},
	    {calloc_too_much, "out of memory"},
	    {realloc_too_much, "out of memory"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		char said[4096];

		assert_aborts(cases[i].fn, said, sizeof(said));
		assert_non_null(strstr(said, cases[i].want));
	}
}

static void
test_check_true(void **state)
{
	int evaluated = 0;

	(void)state;
	check(++evaluated == 1);
	assert_int_equal(evaluated, 1);
}

static void
test_empty_sizes(void **state)
{
	void *p = xmalloc(0);
	void *q = xcalloc(0, 8);
	void *r = xcalloc(8, 0);

	(void)state;
	assert_non_null(p);
	assert_non_null(q);
	assert_non_null(r);
	p = xrealloc(p, 0);
	assert_non_null(p);
	free(p);
	free(q);
	free(r);
}

static void
test_calloc_zeroes(void **state)
{
	unsigned char *p = xcalloc(100, 3);

	(void)state;
	for (size_t i = 0; i < 300; i++)
		assert_int_equal(p[i], 0);
	free(p);
}

static void
test_realloc_keeps(void **state)
{
	char *p = xrealloc(NULL, 4);

	(void)state;
	memcpy(p, "abc", 4);
	p = xrealloc(p, 1 << 20);
	assert_string_equal(p, "abc");
	free(p);
}

static void
test_copies(void **state)
{
	static const struct {
		const char *s;
		size_t n;
		const char *want;
	} cases[] = {
	    {"", 0, ""}, {"abc", 0, ""}, {"abc", 2, "ab"}, {"abc", 3, "abc"}, {NULL, 0, ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE char *p = xstrndup(cases[i].s, cases[i].n);

		assert_string_equal(p, cases[i].want);
	}
	for (size_t i = 0; i < 2; i++) {
		AUTO_FREE char *p = xstrdup(i == 0 ? "" : "same");

		assert_string_equal(p, i == 0 ? "" : "same");
	}
}

static void
test_asprintf(void **state)
{
	AUTO_FREE char *p = xasprintf("%s-%d", "x", 7);
	AUTO_FREE char *wide = xasprintf("%5000s", "end");

	(void)state;
	assert_string_equal(p, "x-7");
	assert_int_equal(strlen(wide), 5000);
	assert_string_equal(wide + 4997, "end");
}

static void
test_wipe(void **state)
{
	char secret[] = "sk-secret";

	(void)state;
	wipe(secret, 3);
	assert_memory_equal(secret, "\0\0\0secret", sizeof(secret));
	wipe(secret, sizeof(secret));
	for (size_t i = 0; i < sizeof(secret); i++)
		assert_int_equal(secret[i], 0);
	wipe(NULL, 0);
}

struct outer {
	int first;
	struct str inner;
};

static void
test_macros(void **state)
{
	struct outer o = {.first = 9};
	struct str s = STR("a\0b");

	(void)state;
	assert_ptr_equal(container_of(&o.inner, struct outer, inner), &o);
	assert_int_equal(s.n, 3);
	assert_int_equal(STR("").n, 0);
	assert_int_equal(MIN(3, 4), 3);
	assert_int_equal(MAX(3, 4), 4);
	assert_int_equal(ARRAY_LEN("abc"), 4);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ends),          cmocka_unit_test(test_check_true),
	    cmocka_unit_test(test_empty_sizes),   cmocka_unit_test(test_calloc_zeroes),
	    cmocka_unit_test(test_realloc_keeps), cmocka_unit_test(test_copies),
	    cmocka_unit_test(test_asprintf),      cmocka_unit_test(test_wipe),
	    cmocka_unit_test(test_macros),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
