/* SPDX-License-Identifier: MIT
 *
 * Errors in other languages.
 */
#include "admin-cgi/errtext.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/str.h"

static void
assert_says(const char *text, enum language language, const char *want)
{
	struct arena arena;

	arena_init(&arena, 1024);
	struct str got = errtext(str_of(text), language, &arena);
	assert_string_equal(arena_strndup(&arena, got.p, got.n), want);
	arena_done(&arena);
}

static void
test_plain(UNUSED void **state)
{
	assert_says("there is no group 7", LANGUAGE_ZH, "没有分组 7");
	assert_says("there is no group 7", LANGUAGE_JA, "グループ 7 はありません");
	assert_says("there is no group 7", LANGUAGE_EN, "there is no group 7");
	assert_says("the disk is full", LANGUAGE_ZH, "磁盘已满");
}

/* The particular row is taken, and what it quotes is translated too. */
static void
test_nested(UNUSED void **state)
{
	assert_says("\"group_id\" must be a number above 0", LANGUAGE_ZH,
		    "\"group_id\" 必须是大于 0 的数字");
	assert_says("\"start_time\" must be a time such as 2006-01-02T15:04:05Z", LANGUAGE_ZH,
		    "\"start_time\" 必须是时间，例如 2006-01-02T15:04:05Z");
	assert_says("\"config\": max_retries: must be 0 to 32", LANGUAGE_JA,
		    "\"config\"：max_retries：0 から 32 でなければなりません");
	assert_says("\"upstreams\" entry 2: the URL must begin with http:// or https://",
		    LANGUAGE_ZH, "\"upstreams\" 第 2 项：URL 必须以 http:// 或 https:// 开头");
	assert_says("not valid JSON: expected value at byte 3", LANGUAGE_ZH,
		    "JSON 无效：第 3 字节处 expected value");
}

/* What nobody has translated stays as it is, whole. */
static void
test_unknown(UNUSED void **state)
{
	static const char *const texts[] = {"",
					    ":",
					    ": ",
					    "{}",
					    "\"",
					    "near \"FROM\": syntax error",
					    "DATABASE_DSN: host: no",
					    "\"x\": near y: z",
					    "there is no group",
					    "the disk is full now"};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		assert_says(texts[i], LANGUAGE_ZH, texts[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_nested),
	    cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
