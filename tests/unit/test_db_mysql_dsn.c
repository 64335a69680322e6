/* SPDX-License-Identifier: MIT
 *
 * db: a MySQL DSN taken apart, and which are refused.
 */
#include "lib/db_mysql.h"
#include "tests/unit/sandbox.h"

static void
test_dsn(void **state)
{
	static const struct {
		const char *text;
		const char *user;
		const char *password;
		const char *host;
		const char *socket;
		const char *database;
		unsigned port;
	} rows[] = {
	    {"u:p@tcp(h:3307)/db", "u", "p", "h", NULL, "db", 3307},
	    {"u:p@tcp(h)/db", "u", "p", "h", NULL, "db", 3306},
	    {"u@tcp([::1]:3310)/db", "u", "", "::1", NULL, "db", 3310},
	    {"u:@tcp([fe80::1])/db", "u", "", "fe80::1", NULL, "db", 3306},
	    {"u:a@b:c/d@tcp(h:1)/db", "u", "a@b:c/d", "h", NULL, "db", 1},
	    {"u:x@unix(y@tcp(h:1)/db", "u", "x@unix(y", "h", NULL, "db", 1},
	    {"u:p%41@unix(/run/m.sock)/a%2Fb", "u", "p%41", NULL, "/run/m.sock", "a/b", 3306},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errinfo info = {""};
		struct mysql_dsn dsn;

		if (mysql_dsn_parse(rows[i].text, &dsn, &info) != ERR_OK)
			fail_msg("%s: %s", rows[i].text, info.text);
		assert_string_equal(dsn.user, rows[i].user);
		assert_string_equal(dsn.password, rows[i].password);
		assert_string_equal(dsn.database, rows[i].database);
		if (rows[i].host != NULL)
			assert_string_equal(dsn.host, rows[i].host);
		else
			assert_string_equal(dsn.socket, rows[i].socket);
		assert_int_equal(dsn.port, rows[i].port);
		assert_int_equal(dsn.tls, MYSQL_TLS_OFF);
		assert_false(dsn.local);
		mysql_dsn_done(&dsn);
	}
}

static void
test_dsn_parameters(void **state)
{
	struct mysql_dsn dsn;

	(void)state;
	assert_int_equal(setenv("TZ", "Asia/Shanghai", 1), 0);
	assert_int_equal(
	    mysql_dsn_parse(
		"u:p@tcp(h)/db?charset=utf8mb4%2Cutf8&parseTime=True&loc=Asia%2FShanghai"
		"&timeout=1m30s&readTimeout=1500ms&writeTimeout=2h&tls=skip-verify&"
		"collation=utf8mb4_bin",
		&dsn, NULL),
	    ERR_OK);
	assert_true(dsn.local);
	assert_int_equal(dsn.connect_s, 90);
	assert_int_equal(dsn.read_s, 2);
	assert_int_equal(dsn.write_s, 7200);
	assert_int_equal(dsn.tls, MYSQL_TLS_UNVERIFIED);
	assert_string_equal(dsn.collation, "utf8mb4_bin");
	mysql_dsn_done(&dsn);
	assert_int_equal(mysql_dsn_parse("u@tcp(h)/db?tls=true", &dsn, NULL), ERR_OK);
	assert_int_equal(dsn.tls, MYSQL_TLS_VERIFIED);
	mysql_dsn_done(&dsn);
	assert_int_equal(mysql_dsn_parse("u@tcp(h)/db?tls=preferred&loc=UTC", &dsn, NULL), ERR_OK);
	assert_int_equal(dsn.tls, MYSQL_TLS_PREFERRED);
	assert_false(dsn.local);
	mysql_dsn_done(&dsn);
	assert_int_equal(unsetenv("TZ"), 0);
}

static void
test_dsn_refused(void **state)
{
	static const char *const rows[] = {
	    "u:secret@tcp(h:0)/db",
	    "u:secret@tcp(h:x)/db",
	    "u:secret@tcp()/db",
	    "u:secret@unix()/db",
	    "u:secret@tcp(h:1)",
	    "u:secret@tcp(h:1/db",
	    "u:secret@tcp(h:1)/",
	    "u:secret@tcp(h:1)/?tls=true",
	    "u:secret@tcp(h:1)/db?tls=maybe",
	    "u:secret@tcp(h:1)/db?tsl=true",
	    "u:secret@tcp(h:1)/db?charset=latin1",
	    "u:secret@tcp(h:1)/db?loc=Nowhere%2FAt_All",
	    "u:secret@tcp(h:1)/db?loc=Local%4",
	    "u:secret@tcp(h:1)/db?loc=%zz",
	    "u:secret@tcp(h:1)/db?timeout=5",
	    "u:secret@tcp(h:1)/db?timeout=99999h",
	    "u:secret@tcp(h:1)/db?collation=utf8mb4_bin'x",
	    "u:secret",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct errinfo info = {""};
		struct mysql_dsn dsn;

		if (mysql_dsn_parse(rows[i], &dsn, &info) != ERR_CONF)
			fail_msg("%s was taken", rows[i]);
		assert_null(strstr(info.text, "secret"));
		assert_non_null(strstr(info.text, "DATABASE_DSN"));
		mysql_dsn_done(&dsn);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_dsn),
	    cmocka_unit_test(test_dsn_parameters),
	    cmocka_unit_test(test_dsn_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
