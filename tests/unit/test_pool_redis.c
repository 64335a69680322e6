/* SPDX-License-Identifier: MIT
 *
 * The Redis store beyond what every store does: the DSN, what is refused, a server
 * that forgets, dies and comes back.
 */
#include "tests/unit/redis_pool_kit.h"
#include "lib/str.h"

#include <stdio.h>
#include <stdlib.h>

/* --- what is refused --- */

static void
test_refusals(void **state)
{
	static const struct {
		const char *dsn;
		const char *says;
	} rows[] = {
	    {"http://h/0", "REDIS_DSN: it begins with redis://"},
	    {"nonsense", "REDIS_DSN: it is no URL"},
	    {"redis://h:99999/0", "REDIS_DSN: "},
	    {"redis://h/x", "REDIS_DSN: the database's number is none"},
	    {"redis://h/0?x=1", "REDIS_DSN: redis:// takes no parameters"},
	    {"redis://u:%zz@h/0", "REDIS_DSN: user or password"},
	    {"rediss://h/0", "REDIS_DSN: rediss:// needs a hiredis with TLS"},
	    {"unix://s", "REDIS_DSN: a Unix socket is written"},
	    {"unix://s/x", "REDIS_DSN: the path of a Unix socket"},
	    {"unix:///s?pool=3", "REDIS_DSN: after the socket"},
	    {"unix:///s?db=-1", "REDIS_DSN: the database's number is none"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char dsn[64];
		struct conf conf = {.redis_dsn = dsn};
		struct errinfo info = {""};
		struct pool *p = NULL;

		(void)snprintf(dsn, sizeof(dsn), "%s", rows[i].dsn);
		assert_int_equal(pool_open(&conf, &p, &info), ERR_CONF);
		if (!str_starts(str_of(info.text), rows[i].says))
			fail_msg("%s: %s", rows[i].dsn, info.text);
	}
}

static void
expect_refused(enum err e, const char *dsn, const char *says)
{
	AUTO_FREE
	char *copy = xstrdup(dsn);
	struct conf conf = {.redis_dsn = copy};
	struct errinfo info = {""};
	struct pool *p = NULL;

	assert_int_equal(pool_open(&conf, &p, &info), e);
	if (!str_contains(str_of(info.text), says))
		fail_msg("%s: %s", dsn, info.text);
	assert_false(str_contains(str_of(info.text), "s3cret"));
}

static void
test_away(void **state)
{
	(void)state;
	expect_refused(ERR_POOL, "unix:///nonexistent/socket", "cannot be reached");
	expect_refused(ERR_POOL, "redis://:s3cret@127.0.0.1:1/0", "cannot be reached");
	expect_refused(ERR_POOL, "redis://no.such.host.invalid/0", "has no address");
}

static void
test_password_and_user(void **state)
{
	static const char *const more[] = {"--requirepass", "s3cret/@:", NULL};
	struct own *o = *state;
	AUTO_FREE
	char *wrong = xasprintf("unix://:s3cretx@%s", server.socket);
	AUTO_FREE
	char *none = xasprintf("unix://%s", server.socket);
	AUTO_FREE
	char *right = xasprintf("unix://:s3cret%%2F%%40%%3a@%s?db=2", server.socket);
	AUTO_FREE
	char *user = xasprintf("unix://default:s3cret%%2F%%40%%3a@%s", server.socket);

	NEEDS_SERVER(o);
	start(more);
	expect_refused(ERR_CONF, wrong, "refuses the password");
	expect_refused(ERR_CONF, none, "does not answer INFO");
	pool_close(o->pool);
	o->pool = open_dsn(o, user);
	add_keys(o->pool, GROUP, 1, 2);
	pool_close(o->pool);
	o->pool = open_dsn(o, right);
	/* Another database. */
	assert_int_equal(pick(o->pool, GROUP).e, ERR_NO_KEYS);
	start(NULL);
}

static void
test_cluster(void **state)
{
	static const char *const more[] = {"--cluster-enabled", "yes", NULL};
	struct own *o = *state;
	AUTO_FREE
	char *dsn = xasprintf("unix://%s", server.socket);

	NEEDS_SERVER(o);
	start(more);
	expect_refused(ERR_CONF, dsn, "this is a Redis Cluster, which is not supported");
	start(NULL);
}

static void
test_database_number(void **state)
{
	struct own *o = *state;
	struct pool *other;
	AUTO_FREE
	char *far = xasprintf("unix://%s?db=999", server.socket);

	NEEDS_SERVER(o);
	other = open_more(o, "?db=5");
	add_keys(o->pool, GROUP, 1, 2);
	assert_int_equal(pick(other, GROUP).e, ERR_NO_KEYS);
	add_keys(other, GROUP, 7, 7);
	assert_int_equal(pick_id(other, GROUP), 7);
	assert_int_equal(pick_id(o->pool, GROUP), 1);
	pool_close(other);
	expect_refused(ERR_CONF, far, "refuses the database's number");
}

static void
test_warning(void **state)
{
	struct own *o = *state;
	struct pool *p;
	struct buf text;

	NEEDS_SERVER(o);
	assert_true(redis_server_say(&server, "CONFIG SET maxmemory-policy allkeys-lru"));
	assert_true(redis_server_say(&server, "CONFIG SET maxmemory 100000000"));
	p = open_more(o, "");
	buf_init(&text, 1000);
	pool_warning(p, &text);
	assert_true(str_contains(buf_view(&text), "would evict keys"));
	assert_true(str_contains(buf_view(&text), "keeps nothing on disk"));
	buf_done(&text);
	pool_close(p);
	start(NULL);
}

/* --- a server that forgets --- */

static void
test_scripts_forgotten(void **state)
{
	struct own *o = *state;

	NEEDS_SERVER(o);
	add_keys(o->pool, GROUP, 1, 3);
	assert_int_equal(pick_id(o->pool, GROUP), 1);
	assert_true(redis_server_say(&server, "SCRIPT FLUSH"));
	assert_int_equal(pick_id(o->pool, GROUP), 2);
	assert_int_equal(blame(o->pool, 1, 1).move, POOL_MOVE_OUT);
	verify(o->pool);
}

static void
test_all_forgotten(void **state)
{
	struct pool_identity id = {.installation = "x", .generation = 1, .complete = true};
	struct own *o = *state;
	uint64_t version = 9;

	NEEDS_SERVER(o);
	add_keys(o->pool, GROUP, 1, 3);
	assert_int_equal(pool_identity_set(o->pool, &id), ERR_OK);
	assert_int_equal(pool_snapshot_put(o->pool, 3, STR("x"), false), ERR_OK);
	assert_true(redis_server_say(&server, "FLUSHALL"));
	assert_int_equal(pool_identity_get(o->pool, &id), ERR_OK);
	assert_false(id.complete);
	assert_string_equal(id.installation, "");
	assert_int_equal(pool_version(o->pool, &version), ERR_OK);
	assert_int_equal(version, 0);
	assert_int_equal(pick(o->pool, GROUP).e, ERR_NO_KEYS);
}

static void
test_one_key_evicted(void **state)
{
	struct pool_identity id = {.installation = "x", .generation = 1, .complete = true};
	struct own *o = *state;

	NEEDS_SERVER(o);
	add_keys(o->pool, GROUP, 1, 3);
	assert_int_equal(pool_identity_set(o->pool, &id), ERR_OK);
	assert_true(redis_server_say(&server, "DEL gptl:k:1"));
	assert_int_equal(pick_id(o->pool, GROUP), 2);
	assert_int_equal(pool_identity_get(o->pool, &id), ERR_OK);
	assert_false(id.complete);
	verify(o->pool);
	add_keys(o->pool, GROUP, 1, 3);
	assert_int_equal(pick_id(o->pool, GROUP), 3);
	assert_int_equal(pick_id(o->pool, GROUP), 1);
	expect_counts(o->pool, GROUP, 3, 0, 0, 0);
}

static void
test_full(void **state)
{
	struct own *o = *state;

	NEEDS_SERVER(o);
	add_keys(o->pool, GROUP, 1, 3);
	assert_true(redis_server_say(&server, "CONFIG SET maxmemory 100kb"));
	assert_int_equal(add_range(o->pool, GROUP, 4, 6), ERR_POOL_FULL);
	/* What is there goes on moving. */
	assert_int_equal(pick_id(o->pool, GROUP), 1);
	assert_int_equal(blame(o->pool, 1, 1).move, POOL_MOVE_OUT);
	assert_true(redis_server_say(&server, "CONFIG SET maxmemory 0"));
	expect_counts(o->pool, GROUP, 2, 0, 1, 0);
}

static void
test_killed(void **state)
{
	struct own *o = *state;
	uint64_t version;

	NEEDS_SERVER(o);
	add_keys(o->pool, GROUP, 1, 3);
	redis_server_kill(&server);
	assert_int_equal(pick(o->pool, GROUP).e, ERR_POOL);
	assert_int_equal(pool_version(o->pool, &version), ERR_POOL);
	start(NULL);
	assert_int_equal(pick(o->pool, GROUP).e, ERR_NO_KEYS);
	add_keys(o->pool, GROUP, 1, 3);
	assert_int_equal(pick_id(o->pool, GROUP), 1);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    TEST(test_refusals),
	    TEST(test_away),
	    TEST(test_password_and_user),
	    TEST(test_cluster),
	    TEST(test_database_number),
	    TEST(test_warning),
	    TEST(test_scripts_forgotten),
	    TEST(test_all_forgotten),
	    TEST(test_one_key_evicted),
	    TEST(test_full),
	    TEST(test_killed),
	};

	return _cmocka_run_group_tests("pool_redis", tests, ARRAY_LEN(tests), NULL, end_server);
}
