/* SPDX-License-Identifier: MIT
 *
 * The lease: one holder at a time, whoever dies, releases, or has another clock.
 */
#include "lib/lease.h"
#include "lib/clock.h"

#include <pthread.h>

#include "tests/unit/sandbox.h"

#define SECOND   1000000LL
#define START_US (1700000000 * SECOND)

struct fixture {
	struct sandbox *sandbox;
	struct db *db;
	struct lease *a;
	struct lease *b;
};

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->sandbox = sandbox_new();
	f->db = sandbox_db(f->sandbox);
	f->a = lease_new("test");
	f->b = lease_new("test");
	clock_fake(START_US);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	lease_free(f->a);
	lease_free(f->b);
	db_close(f->db);
	sandbox_free(f->sandbox);
	free(f);
	clock_fake(0);
	return 0;
}

static bool
hold(struct fixture *f, struct lease *l)
{
	struct errinfo info = {""};
	bool held = false;

	if (lease_hold(l, f->db, true, &held, &info) != ERR_OK)
		fail_msg("%s", info.text);
	assert_int_equal(held, lease_is_held(l));
	return held;
}

static void
test_one_holder(void **state)
{
	struct fixture *f = *state;

	assert_true(hold(f, f->a));
	assert_false(hold(f, f->b));
	assert_int_equal(lease_fence(f->a), 1);
	for (int i = 1; i < 20; i++) {
		clock_fake(START_US + i * LEASE_RENEW_S * SECOND);
		assert_true(hold(f, f->a));
		assert_false(hold(f, f->b));
	}
	assert_int_equal(lease_fence(f->a), 1);
	assert_int_equal(lease_fence(f->b), 0);
}

/* The holder stops before another can begin. */
static void
test_expiry(void **state)
{
	struct fixture *f = *state;
	bool a_held = true;

	assert_true(hold(f, f->a));
	for (int s = 0; s < 30 && !lease_is_held(f->b); s++) {
		clock_fake(START_US + s * SECOND);
		a_held = lease_is_held(f->a);
		if (hold(f, f->b)) {
			assert_true(s >= LEASE_TTL_S && s <= LEASE_TTL_S + 3);
			assert_false(a_held);
		}
	}
	assert_true(lease_is_held(f->b));
	assert_int_equal(lease_fence(f->b), 2);
	assert_false(hold(f, f->a));
}

static void
test_release(void **state)
{
	struct fixture *f = *state;

	assert_true(hold(f, f->a));
	assert_int_equal(lease_release(f->b, f->db), ERR_OK);
	assert_true(hold(f, f->a));
	assert_int_equal(lease_release(f->a, f->db), ERR_OK);
	assert_false(lease_is_held(f->a));
	assert_true(hold(f, f->b));
	assert_int_equal(lease_fence(f->b), 2);
	assert_false(hold(f, f->a));
}

/* A holder whose clock was an hour ahead died: its row says "not before one
 * o'clock", but it does not change any more. */
static void
test_clock_ahead(void **state)
{
	struct fixture *f = *state;

	clock_fake(START_US + 3600 * SECOND);
	assert_true(hold(f, f->a));
	for (int s = 0; s <= LEASE_TTL_S + 2; s++) {
		clock_fake(START_US + s * SECOND);
		assert_false(hold(f, f->b));
	}
	clock_fake(START_US + (LEASE_TTL_S + 3) * SECOND);
	assert_true(hold(f, f->b));
}

/* Asks the DB only when it is time. */
static void
test_seldom(void **state)
{
	struct fixture *f = *state;
	struct errinfo info = {""};
	bool held = false;

	assert_true(hold(f, f->a));
	sandbox_exec(f->db, "DELETE FROM gptl_lease");
	clock_fake(START_US + LEASE_RENEW_S * SECOND - 1);
	assert_int_equal(lease_hold(f->a, f->db, false, &held, &info), ERR_OK);
	assert_true(held);
	assert_int_equal(sandbox_int(f->db, "SELECT COUNT(*) FROM gptl_lease"), 0);
	clock_fake(START_US + LEASE_RENEW_S * SECOND);
	assert_int_equal(lease_hold(f->a, f->db, false, &held, &info), ERR_OK);
	assert_int_equal(sandbox_int(f->db, "SELECT COUNT(*) FROM gptl_lease"), 1);
}

static void
test_failure(void **state)
{
	struct fixture *f = *state;
	struct errinfo info = {""};
	bool held = true;

	sandbox_exec(f->db, "ALTER TABLE gptl_lease RENAME TO away");
	assert_int_equal(lease_hold(f->a, f->db, true, &held, &info), ERR_DB);
	assert_false(held);
	assert_true(info.text[0] != '\0');
}

struct contender {
	struct sandbox *sandbox;
	bool held;
};

static void *
contend(void *arg)
{
	struct contender *c = arg;
	struct lease *l = lease_new("test");
	struct db *db;

	if (db_open(&c->sandbox->conf, &db, NULL) == ERR_OK) {
		if (lease_hold(l, db, true, &c->held, NULL) != ERR_OK)
			c->held = false;
		db_close(db);
	}
	lease_free(l);
	return NULL;
}

static void
test_race(void **state)
{
	struct fixture *f = *state;
	struct contender c[6];
	pthread_t thread[ARRAY_LEN(c)];
	int holders = 0;

	clock_fake(0);
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = (struct contender){.sandbox = f->sandbox};
		assert_int_equal(pthread_create(&thread[i], NULL, contend, &c[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(c); i++) {
		assert_int_equal(pthread_join(thread[i], NULL), 0);
		holders += c[i].held;
	}
	assert_int_equal(holders, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_one_holder, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_expiry, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_release, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_clock_ahead, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_seldom, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_failure, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_race, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
