/* SPDX-License-Identifier: MIT
 *
 * db_pgsql_text: placeholders, values, states and a DSN taken apart, without a server.
 */
#include "lib/db_pgsql.h"
#include "lib/str.h"
#include "tests/unit/sandbox.h"

static void
test_placeholders(void **state)
{
	static const struct {
		const char *sql;
		const char *is;
		size_t n;
	} rows[] = {
	    {"SELECT 1", "SELECT 1", 0},
	    {"SELECT ?, ?", "SELECT $1, $2", 2},
	    {"SELECT '?', \"a?\", ?", "SELECT '?', \"a?\", $1", 1},
	    {"SELECT 'it''s ?' || ?", "SELECT 'it''s ?' || $1", 1},
	    {"SELECT '\"?' || ? || \"'?\"", "SELECT '\"?' || $1 || \"'?\"", 1},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b;

		buf_init(&b, 1024);
		assert_int_equal(pgsql_placeholders(rows[i].sql, &b), rows[i].n);
		assert_string_equal(buf_text(&b), rows[i].is);
		buf_done(&b);
	}
}

static void
test_clean(void **state)
{
	static const struct {
		struct str text;
		const char *is;
	} rows[] = {
	    {{"", 0}, ""},
	    {{"plain \xC3\xA9", 8}, "plain \xC3\xA9"},
	    {{"a\0b", 3},
	     "a\xEF\xBF\xBD"
	     "b"},
	    {{"\xFFx\xC3", 3}, "\xEF\xBF\xBDx\xEF\xBF\xBD"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct buf b;

		buf_init(&b, 1024);
		pgsql_clean(rows[i].text, &b);
		assert_string_equal(buf_text(&b), rows[i].is);
		buf_done(&b);
	}
}

static void
test_time(void **state)
{
	int64_t us = 0;

	(void)state;
	assert_true(pgsql_time(STR("2006-01-02 15:04:05.123456+00"), &us));
	assert_int_equal(us, 1136214245123456);
	assert_true(pgsql_time(STR("2006-01-02 20:34:05.123456+05:30"), &us));
	assert_int_equal(us, 1136214245123456);
	assert_true(pgsql_time(STR("2006-01-02 07:04:05-08"), &us));
	assert_int_equal(us, 1136214245000000);
	assert_false(pgsql_time(STR("infinity"), &us));
	assert_false(pgsql_time(STR("0044-03-15 12:00:00+00 BC"), &us));
	assert_false(pgsql_time(STR("294276-12-31 23:59:59.999999999999999999+00"), &us));
}

static void
test_states(void **state)
{
	static const struct {
		const char *state;
		enum err is;
	} rows[] = {
	    {"23505", ERR_DUPLICATE}, {"23503", ERR_DB},      {"08006", ERR_DB_AWAY},
	    {"57P01", ERR_DB_AWAY},   {"57014", ERR_DB_AWAY}, {"40P01", ERR_DB_AWAY},
	    {"55P03", ERR_DB_AWAY},   {"53100", ERR_DISK},    {"42601", ERR_DB},
	    {NULL, ERR_DB_AWAY},      {"", ERR_DB_AWAY},      {"22P02", ERR_DB},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(pgsql_err_of(rows[i].state), rows[i].is);
	assert_true(pgsql_tells_values("22P02"));
	assert_false(pgsql_tells_values("22001"));
	assert_false(pgsql_ends_connection("57014"));
}

static bool
known(void *arg, const char *name)
{
	(void)arg;
	return strcmp(name, "sslmode") == 0 || strcmp(name, "host") == 0;
}

static void
test_dsn(void **state)
{
	static const struct {
		const char *dsn;
		const char *uri;
		size_t n_set;
		const char *name;
		const char *value;
	} rows[] = {
	    {"postgres://u:p@h/db", "postgres://u:p@h/db", 0, NULL, NULL},
	    {"postgresql://u:p%3F@h/db?sslmode=require&host=/run",
	     "postgresql://u:p%3F@h/db?sslmode=require&host=/run", 0, NULL, NULL},
	    {"postgres://u:p?@h/db?TimeZone=Asia%2FShanghai&sslmode=disable",
	     "postgres://u:p?@h/db?sslmode=disable", 1, "TimeZone", "Asia/Shanghai"},
	    {"postgres:///db?pool_max_conns=4&host=/x&statement_cache_mode=describe",
	     "postgres:///db?host=/x", 0, NULL, NULL},
	};
	struct pgsql_dsn dsn;
	struct errinfo info = {""};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(pgsql_dsn_parse(rows[i].dsn, known, NULL, &dsn, &info), ERR_OK);
		assert_string_equal(dsn.uri, rows[i].uri);
		assert_int_equal(dsn.n_set, rows[i].n_set);
		if (rows[i].name != NULL) {
			assert_true(pgsql_dsn_sets(&dsn, "timezone"));
			assert_string_equal(dsn.set[0].name, rows[i].name);
			assert_string_equal(dsn.set[0].value, rows[i].value);
		}
		pgsql_dsn_done(&dsn);
	}
	assert_int_equal(
	    pgsql_dsn_parse("postgres://u:secret@h/db?nonsense", known, NULL, &dsn, &info),
	    ERR_CONF);
	assert_null(strstr(info.text, "secret"));
	assert_int_equal(pgsql_dsn_parse("postgres://u@h/db?a=%zz", known, NULL, &dsn, &info),
			 ERR_CONF);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_placeholders), cmocka_unit_test(test_clean),
	    cmocka_unit_test(test_time),         cmocka_unit_test(test_states),
	    cmocka_unit_test(test_dsn),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
