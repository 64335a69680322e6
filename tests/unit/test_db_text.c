/* SPDX-License-Identifier: MIT
 *
 * db: times and numbers in text, as they stand in columns.
 */
#include "lib/db.h"
#include "lib/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static void
set_tz(const char *tz)
{
	assert_int_equal(setenv("TZ", tz, 1), 0);
	tzset();
}

static void
test_time_text(void **state)
{
	static const struct {
		const char *tz;
		int64_t us;
		const char *text;
	} rows[] = {
	    {"Asia/Shanghai", 0, "1970-01-01 08:00:00+08:00"},
	    {"Asia/Shanghai", 1136214245123456, "2006-01-02 23:04:05.123456+08:00"},
	    {"Asia/Shanghai", 1136214245120000, "2006-01-02 23:04:05.12+08:00"},
	    {"Asia/Kolkata", 1136214245000001, "2006-01-02 20:34:05.000001+05:30"},
	    {"America/St_Johns", 1136214245500000, "2006-01-02 11:34:05.5-03:30"},
	    {"UTC", 1136214245000000, "2006-01-02 15:04:05+00:00"},
	    {"UTC", -1, "1969-12-31 23:59:59.999999+00:00"},
	    /* either side of a change to summer time */
	    {"Europe/Berlin", 1679792399000000, "2023-03-26 01:59:59+01:00"},
	    {"Europe/Berlin", 1679792400000000, "2023-03-26 03:00:00+02:00"},
	};
	char out[40];
	int64_t us;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		set_tz(rows[i].tz);
		time_format(out, rows[i].us, ' ');
		assert_string_equal(out, rows[i].text);
		assert_true(time_parse(str_of(out), &us));
		assert_int_equal(us, rows[i].us);
		time_format(out, rows[i].us, 'T');
		assert_int_equal(out[10], 'T');
		assert_true(time_parse(str_of(out), &us));
		assert_int_equal(us, rows[i].us);
	}
}

static void
test_time_parse(void **state)
{
	static const char *const bad[] = {"",
					  "2006-01-02",
					  "2006-01-02 15:04:05",
					  "2006-01-02T15:04Z",
					  "2006-13-02T15:04:05Z",
					  "2006-02-30T15:04:05Z",
					  "2006-01-02T24:00:00Z",
					  "2006-01-02T15:60:00Z",
					  "2006-01-02T15:04:60Z",
					  "2006-01-02T15:04:05.Z",
					  "2006-01-02T15:04:05.1234567890Z",
					  "2006-01-02T15:04:05+0800",
					  "2006-01-02T15:04:05+08:0",
					  "2006-01-02T15:04:05Zx",
					  "2006-01-02x15:04:05Z",
					  "2006-1-2T15:04:05Z",
					  "2006-01-02T15:04:05+24:00",
					  "2006-01-02T15:04:05+08:60"};
	int64_t us;

	(void)state;
	assert_true(time_parse(STR("2006-01-02T15:04:05.123456789Z"), &us));
	assert_int_equal(us, 1136214245123456);
	assert_true(time_parse(STR("2024-02-29 00:00:00.1-09:30"), &us));
	assert_int_equal(us, 1709199000100000);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (time_parse(str_of(bad[i]), &us))
			fail_msg("accepted: %s", bad[i]);
}

static void
test_numbers(void **state)
{
	static const struct {
		const char *text;
		int64_t is;
	} good[] = {
	    {"0", 0},
	    {"-0", 0},
	    {"42", 42},
	    {" 7 ", 7},
	    {"1e+06", 1000000},
	    {"1E6", 1000000},
	    {"1.5e3", 1500},
	    {"-2.50e1", -25},
	    {"1000e-3", 1},
	    {"2.0", 2},
	    {"0.0e5", 0},
	    {"1.048576e+06", 1048576},
	    {"9.223372036854775807e18", INT64_MAX},
	    {"-9.223372036854775808e+18", INT64_MIN},
	    {"0e999", 0},
	    {"0001e2", 100},
	};
	static const char *const bad[] = {"",
					  "-",
					  "e5",
					  ".",
					  "1.5",
					  "1e-1",
					  "1e19",
					  "9.223372036854775808e18",
					  "1e",
					  "1ex",
					  "1e1000",
					  "0x10",
					  "1 2",
					  "--1",
					  "1.2.3",
					  ".5e1",
					  "11111111111111111111111111111111111e-30",
					  "12345678901234567890123",
					  "NaN"};
	int64_t v;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		if (!number_parse(str_of(good[i].text), &v))
			fail_msg("refused: %s", good[i].text);
		assert_int_equal(v, good[i].is);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (number_parse(str_of(bad[i]), &v))
			fail_msg("accepted: %s", bad[i]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_time_text),
	    cmocka_unit_test(test_time_parse),
	    cmocka_unit_test(test_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
