/* SPDX-License-Identifier: MIT
 *
 * The key pool through its interface alone, which every store must satisfy: turns,
 * verdicts, rests, identity and configuration.
 */
#include "tests/unit/pool_kit.h"
#include "lib/str.h"

#include <stdio.h>
#include <stdlib.h>

/* --- states, identity, configuration --- */

static void
test_state_names(void **state)
{
	static const struct {
		const char *text;
		enum key_state state;
	} rows[] = {{"active", KEY_ACTIVE}, {"invalid", KEY_INVALID}, {"disabled", KEY_DISABLED}};
	enum key_state got = KEY__MAX;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_string_equal(key_state_status(rows[i].state), rows[i].text);
		assert_true(key_state_parse(str_of(rows[i].text), &got));
		assert_int_equal(got, rows[i].state);
	}
	assert_string_equal(key_state_status(KEY_RESTING), "active");
	assert_false(key_state_parse(STR("resting"), &got));
	assert_false(key_state_parse(STR(""), &got));
	assert_int_equal(got, KEY_DISABLED);
}

static void
test_empty(void **state)
{
	struct fixture *f = *state;
	struct pool_identity id = {.generation = 9};
	struct key_info info;
	struct buf text;
	uint64_t version = 9;
	int64_t *groups = NULL;
	size_t n = 9;

	assert_int_equal(pool_identity_get(f->pool, &id), ERR_OK);
	assert_string_equal(id.installation, "");
	assert_int_equal(id.generation, 0);
	assert_false(id.complete);
	assert_int_equal(pool_version(f->pool, &version), ERR_OK);
	assert_int_equal(version, 0);
	version = 9;
	buf_init(&text, 100);
	assert_int_equal(pool_snapshot_get(f->pool, &text, &version), ERR_OK);
	assert_int_equal(version, 0);
	assert_int_equal(text.n, 0);
	assert_int_equal(pool_groups(f->pool, &groups, &n), ERR_OK);
	assert_int_equal(n, 0);
	free(groups);
	assert_int_equal(pick(f->pool, GROUP).e, ERR_NO_KEYS);
	assert_int_equal(pool_key_info(f->pool, 1, &info), ERR_NOT_FOUND);
	assert_int_equal(report_ok(f->pool, 1), POOL_MOVE_NONE);
	assert_int_equal(blame(f->pool, 1, 1).move, POOL_MOVE_NONE);
	assert_int_equal(limit(f->pool, 1, 0), POOL_MOVE_NONE);
	expect_counts(f->pool, GROUP, 0, 0, 0, 0);
}

static void
test_identity(void **state)
{
	struct fixture *f = *state;
	struct pool_identity id = {
	    .installation = "01890a5d-ac96-774b-bcce-b302099a8057",
	    .generation = 3,
	    .complete = true,
	};
	struct pool_identity got = {0};

	assert_int_equal(pool_identity_set(f->pool, &id), ERR_OK);
	close_pool(f);
	open_pool(f);
	assert_int_equal(pool_identity_get(f->pool, &got), ERR_OK);
	assert_string_equal(got.installation, id.installation);
	assert_int_equal(got.generation, 3);
	assert_true(got.complete);
}

struct asked {
	uint64_t version;
	struct buf text;
	int calls;
};

static void
on_snapshot(void *arg, enum err e, struct str text, uint64_t version)
{
	struct asked *a = arg;

	assert_int_equal(e, ERR_OK);
	a->version = version;
	buf_str(&a->text, text);
	a->calls++;
}

static void
expect_snapshot(struct pool *p, uint64_t version, struct str text)
{
	struct asked asked = {0};
	struct buf got;
	uint64_t v = 0;

	buf_init(&got, LIMIT_SNAPSHOT);
	assert_int_equal(pool_snapshot_get(p, &got, &v), ERR_OK);
	assert_int_equal(v, version);
	assert_true(str_eq(buf_view(&got), text));
	buf_done(&got);
	buf_init(&asked.text, LIMIT_SNAPSHOT);
	pool_snapshot_ask(p, on_snapshot, &asked);
	assert_int_equal(asked.calls, 1);
	assert_int_equal(asked.version, version);
	assert_true(str_eq(buf_view(&asked.text), text));
	buf_done(&asked.text);
	v = 0;
	assert_int_equal(pool_version(p, &v), ERR_OK);
	assert_int_equal(v, version);
}

static void
test_snapshot(void **state)
{
	struct fixture *f = *state;
	size_t n = 3 * 1024 * 1024 + 17;
	AUTO_FREE char *large = xmalloc(n);
	struct buf small;
	uint64_t v = 42;

	for (size_t i = 0; i < n; i++)
		large[i] = (char)(i * 7 + i / 4096);
	assert_int_equal(pool_snapshot_put(f->pool, 5, STR("five"), false), ERR_OK);
	expect_snapshot(f->pool, 5, STR("five"));
	/* Only a newer one changes anything, */
	assert_int_equal(pool_snapshot_put(f->pool, 5, STR("other"), false), ERR_OK);
	assert_int_equal(pool_snapshot_put(f->pool, 4, STR("four"), false), ERR_OK);
	expect_snapshot(f->pool, 5, STR("five"));
	assert_int_equal(pool_snapshot_put(f->pool, 6, (struct str){large, n}, false), ERR_OK);
	expect_snapshot(f->pool, 6, (struct str){large, n});
	/* unless it is forced. */
	assert_int_equal(pool_snapshot_put(f->pool, 2, STR("two"), true), ERR_OK);
	expect_snapshot(f->pool, 2, STR("two"));
	assert_int_equal(pool_snapshot_put(f->pool, 3, STR(""), false), ERR_OK);
	expect_snapshot(f->pool, 3, STR(""));

	assert_int_equal(pool_snapshot_put(f->pool, 7, STR("seventh"), false), ERR_OK);
	buf_init(&small, 3);
	assert_int_equal(pool_snapshot_get(f->pool, &small, &v), ERR_TOO_LARGE);
	assert_int_equal(v, 42);
	buf_done(&small);
}

static void
test_reopened(void **state)
{
	struct fixture *f = *state;

	add_keys(f->pool, GROUP, 1, 4);
	blame(f->pool, 1, 1);
	limit(f->pool, 2, NOW + 1000);
	assert_int_equal(pick_id(f->pool, GROUP), 3);
	close_pool(f);
	open_pool(f);
	expect_counts(f->pool, GROUP, 2, 1, 1, 0);
	assert_int_equal(pick(f->pool, GROUP).p.turn, 1);
	pool_tend(f->pool);
	pool_close(NULL);
}

/* --- turns --- */

static void
test_rotation(void **state)
{
	struct fixture *f = *state;
	struct picked r;

	add_keys(f->pool, GROUP, 11, 15);
	add_keys(f->pool, GROUP + 1, 21, 22);
	assert_int_equal(pool_snapshot_put(f->pool, 77, STR("x"), false), ERR_OK);
	for (uint64_t turn = 0; turn < 12; turn++) {
		char want[16];

		r = pick(f->pool, GROUP);
		assert_int_equal(r.e, ERR_OK);
		assert_int_equal(r.p.key_id, 11 + turn % 5);
		assert_int_equal(r.p.turn, turn);
		assert_int_equal(r.p.version, 77);
		assert_int_equal(r.p.fails, 0);
		assert_int_equal(r.p.hash[0], r.p.key_id);
		(void)snprintf(want, sizeof(want), "sk-%d", (int)r.p.key_id);
		assert_string_equal(r.stored, want);
	}
	r = pick(f->pool, GROUP + 1);
	assert_int_equal(r.p.key_id, 21);
	assert_int_equal(r.p.turn, 0);
	r = pick(f->pool, GROUP + 2);
	assert_int_equal(r.e, ERR_NO_KEYS);
	assert_int_equal(r.p.version, 77);
}

static void
test_rotation_as_keys_come_and_go(void **state)
{
	struct fixture *f = *state;

	add_keys(f->pool, GROUP, 1, 4);
	assert_int_equal(pick_id(f->pool, GROUP), 1);
	assert_int_equal(pick_id(f->pool, GROUP), 2);
	/* New ones have their turn within the round, the removed ones are gone. */
	add_keys(f->pool, GROUP, 5, 6);
	assert_int_equal(pool_sync(f->pool, GROUP, 2, 3, NULL, 0, false), ERR_OK);
	assert_int_equal(pick_id(f->pool, GROUP), 4);
	assert_int_equal(pick_id(f->pool, GROUP), 5);
	assert_int_equal(pick_id(f->pool, GROUP), 6);
	assert_int_equal(pick_id(f->pool, GROUP), 1);
	assert_int_equal(pick_id(f->pool, GROUP), 4);
	expect_counts(f->pool, GROUP, 4, 0, 0, 0);
}

static void
test_not_these(void **state)
{
	struct fixture *f = *state;
	const int64_t all[] = {3, 1, 2};
	const int64_t twice[] = {1, 1, 9};

	add_keys(f->pool, GROUP, 1, 3);
	assert_int_equal(pick_id(f->pool, GROUP), 1);
	assert_int_equal(pick_id(f->pool, GROUP), 2);
	assert_int_equal(pick_id(f->pool, GROUP), 3);
	/* 1 would be next; it is passed over, but keeps its turn. */
	assert_int_equal(pick_not(f->pool, GROUP, twice, 3).p.key_id, 2);
	assert_int_equal(pick_not(f->pool, GROUP, twice, 3).p.key_id, 3);
	assert_int_equal(pick_id(f->pool, GROUP), 1);
	assert_int_equal(pick_id(f->pool, GROUP), 1);
	assert_int_equal(pick_id(f->pool, GROUP), 2);
	/* All tried: the next one again. */
	assert_int_equal(pick_not(f->pool, GROUP, all, 3).p.key_id, 3);
	assert_int_equal(pick_not(f->pool, GROUP, all, 3).p.key_id, 1);
	assert_int_equal(pick_not(f->pool, GROUP, all, 2).p.key_id, 2);
	assert_int_equal(pick_not(f->pool, GROUP, &all[2], 1).p.key_id, 3);
}

static void
test_owed_turn_of_a_key_that_went(void **state)
{
	struct fixture *f = *state;
	const int64_t one[] = {1};

	add_keys(f->pool, GROUP, 1, 3);
	assert_int_equal(pick_not(f->pool, GROUP, one, 1).p.key_id, 2);
	assert_int_equal(blame(f->pool, 1, 1).move, POOL_MOVE_OUT);
	assert_int_equal(pick_id(f->pool, GROUP), 3);
	assert_int_equal(pick_id(f->pool, GROUP), 2);
}

static void
on_turn(void *arg, enum err e, uint64_t turn)
{
	assert_int_equal(e, ERR_OK);
	*(uint64_t *)arg = turn;
}

static void
test_turn_without_a_key(void **state)
{
	struct fixture *f = *state;
	uint64_t turn = 99;
	int64_t *groups = NULL;
	size_t n = 0;

	for (uint64_t i = 0; i < 3; i++) {
		pool_turn(f->pool, 500, on_turn, &turn);
		assert_int_equal(turn, i);
	}
	add_keys(f->pool, GROUP, 1, 2);
	assert_int_equal(pick(f->pool, GROUP).p.turn, 0);
	pool_turn(f->pool, GROUP, on_turn, &turn);
	assert_int_equal(turn, 1);
	assert_int_equal(pick(f->pool, GROUP).p.turn, 2);
	/* A group without keys is none. */
	assert_int_equal(pool_groups(f->pool, &groups, &n), ERR_OK);
	assert_int_equal(n, 1);
	assert_int_equal(groups[0], GROUP);
	free(groups);
}

/* --- verdicts --- */

static void
test_blamed_until_out(void **state)
{
	struct fixture *f = *state;
	struct reported r;
	struct key_info k;

	add_keys(f->pool, GROUP, 1, 2);
	r = blame(f->pool, 1, 3);
	assert_int_equal(r.move, POOL_MOVE_NONE);
	assert_int_equal(r.fails, 1);
	assert_int_equal(pick(f->pool, GROUP).p.fails, 1);
	assert_int_equal(blame(f->pool, 1, 3).fails, 2);
	k = info_of(f->pool, 1);
	assert_int_equal(k.state, KEY_ACTIVE);
	assert_int_equal(k.group_id, GROUP);
	assert_int_equal(k.seq, 2);
	assert_int_equal(k.status, 401);
	assert_int_equal(k.failed_at_ms, NOW);
	assert_string_equal(k.error, "no such key");
	r = blame(f->pool, 1, 3);
	assert_int_equal(r.move, POOL_MOVE_OUT);
	assert_int_equal(r.fails, 3);
	k = info_of(f->pool, 1);
	assert_int_equal(k.state, KEY_INVALID);
	assert_int_equal(k.next_check_ms, NOW + 5000);
	assert_int_equal(k.checks, 0);
	expect_counts(f->pool, GROUP, 1, 0, 1, 0);
	/* What was in flight changes nothing any more. */
	r = blame(f->pool, 1, 3);
	assert_int_equal(r.move, POOL_MOVE_NONE);
	assert_int_equal(r.fails, 3);
	assert_int_equal(limit(f->pool, 1, NOW + 9000), POOL_MOVE_NONE);
	assert_int_equal(info_of(f->pool, 1).seq, 3);
	assert_int_equal(pick_id(f->pool, GROUP), 2);
	assert_int_equal(pick_id(f->pool, GROUP), 2);
	blame(f->pool, 2, 1);
	assert_int_equal(pick(f->pool, GROUP).e, ERR_NO_KEYS);
	expect_counts(f->pool, GROUP, 0, 0, 2, 0);
}

static void
test_blamed_without_threshold(void **state)
{
	struct fixture *f = *state;

	add_keys(f->pool, GROUP, 1, 1);
	for (uint32_t i = 1; i <= 20; i++) {
		assert_int_equal(blame(f->pool, 1, 0).fails, i);
		assert_int_equal(pick_id(f->pool, GROUP), 1);
	}
	expect_counts(f->pool, GROUP, 1, 0, 0, 0);
}

static void
test_ok_resets(void **state)
{
	struct fixture *f = *state;
	struct key_info k;

	add_keys(f->pool, GROUP, 1, 1);
	assert_int_equal(report_ok(f->pool, 1), POOL_MOVE_NONE);
	assert_int_equal(info_of(f->pool, 1).seq, 0);
	blame(f->pool, 1, 3);
	blame(f->pool, 1, 3);
	assert_int_equal(report_ok(f->pool, 1), POOL_MOVE_NONE);
	k = info_of(f->pool, 1);
	assert_int_equal(k.fails, 0);
	assert_int_equal(k.seq, 3);
	assert_int_equal(blame(f->pool, 1, 3).move, POOL_MOVE_NONE);
	assert_int_equal(info_of(f->pool, 1).fails, 1);
	/* Of another group: not ours to judge. */
	report(f->pool, (struct report){.group_id = GROUP + 1, .key_id = 1, .verdict = VERDICT_OK});
	assert_int_equal(info_of(f->pool, 1).fails, 1);
	/* Without anybody who wants to know. */
	pool_report(f->pool, &(struct report){.group_id = GROUP, .key_id = 1}, NULL, NULL);
	assert_int_equal(info_of(f->pool, 1).fails, 0);
}

static void
test_healed(void **state)
{
	struct fixture *f = *state;
	struct key_info k;

	add_keys(f->pool, GROUP, 1, 2);
	blame(f->pool, 1, 1);
	assert_int_equal(pool_check_failed(f->pool, 1, NOW + 10, 403, STR("still")), ERR_OK);
	assert_int_equal(report_ok(f->pool, 1), POOL_MOVE_BACK);
	k = info_of(f->pool, 1);
	assert_int_equal(k.state, KEY_ACTIVE);
	assert_int_equal(k.fails, 0);
	assert_int_equal(k.checks, 0);
	assert_int_equal(k.seq, 2);
	expect_counts(f->pool, GROUP, 2, 0, 0, 0);
	assert_int_equal(pick_id(f->pool, GROUP), 1);
	assert_int_equal(pick_id(f->pool, GROUP), 2);
}

static void
test_error_text_is_cut(void **state)
{
	struct fixture *f = *state;
	struct buf text;
	struct key_info k;

	add_keys(f->pool, GROUP, 1, 1);
	buf_init(&text, 1000);
	buf_cstr(&text, "x");
	for (int i = 0; i < 100; i++)
		buf_cstr(&text, "\xC3\xA9");
	report(f->pool, (struct report){.key_id = 1,
					.verdict = VERDICT_BLAMED,
					.status = 400,
					.error = buf_view(&text)});
	k = info_of(f->pool, 1);
	assert_int_equal(strlen(k.error), POOL_ERROR_TEXT - 1);
	assert_true(utf8_valid(str_of(k.error)));
	assert_string_equal(pick(f->pool, GROUP).stored, "sk-1");
	buf_done(&text);
	blame(f->pool, 1, 0);
	assert_string_equal(info_of(f->pool, 1).error, "no such key");
	assert_string_equal(pick(f->pool, GROUP).stored, "sk-1");
}

/* --- rests --- */

static void
test_rest(void **state)
{
	struct fixture *f = *state;
	struct picked r;

	add_keys(f->pool, GROUP, 1, 2);
	assert_int_equal(limit(f->pool, 1, NOW + 3000), POOL_MOVE_REST);
	expect_counts(f->pool, GROUP, 1, 1, 0, 0);
	assert_int_equal(info_of(f->pool, 1).rest_until_ms, NOW + 3000);
	assert_int_equal(info_of(f->pool, 1).fails, 0);
	assert_int_equal(pick_id(f->pool, GROUP), 2);
	assert_int_equal(pick_id(f->pool, GROUP), 2);
	assert_int_equal(limit(f->pool, 2, NOW + 2000), POOL_MOVE_REST);
	r = pick(f->pool, GROUP);
	assert_int_equal(r.e, ERR_ALL_RESTING);
	assert_int_equal(r.p.rest_end_ms, NOW + 2000);
	/* A shorter rest never shortens; a longer one lengthens. */
	assert_int_equal(limit(f->pool, 2, NOW + 1000), POOL_MOVE_NONE);
	assert_int_equal(pick(f->pool, GROUP).p.rest_end_ms, NOW + 2000);
	assert_int_equal(limit(f->pool, 2, NOW + 2500), POOL_MOVE_NONE);
	assert_int_equal(pick(f->pool, GROUP).p.rest_end_ms, NOW + 2500);
	assert_string_equal(dirty_ids(f->pool), "");
	set_clock(NOW + 2499);
	assert_int_equal(pick(f->pool, GROUP).e, ERR_ALL_RESTING);
	set_clock(NOW + 2500);
	assert_int_equal(pick_id(f->pool, GROUP), 2);
	expect_counts(f->pool, GROUP, 1, 1, 0, 0);
	set_clock(NOW + 3000);
	assert_int_equal(pick_id(f->pool, GROUP), 1);
	assert_int_equal(pick_id(f->pool, GROUP), 2);
	expect_counts(f->pool, GROUP, 2, 0, 0, 0);
}

static void
test_rest_doubles(void **state)
{
	static const int64_t steps[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
	struct fixture *f = *state;
	int64_t now = NOW;

	add_keys(f->pool, GROUP, 1, 1);
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		assert_int_equal(pick_id(f->pool, GROUP), 1);
		assert_int_equal(limit(f->pool, 1, 0), POOL_MOVE_REST);
		/* Others that were under way with the same key add nothing. */
		assert_int_equal(limit(f->pool, 1, 0), POOL_MOVE_NONE);
		assert_int_equal(info_of(f->pool, 1).rest_until_ms, now + steps[i]);
		now += steps[i];
		set_clock(now);
	}
	assert_int_equal(pick_id(f->pool, GROUP), 1);
	report_ok(f->pool, 1);
	/* An end that is over says nothing. */
	assert_int_equal(limit(f->pool, 1, now - 5), POOL_MOVE_REST);
	assert_int_equal(info_of(f->pool, 1).rest_until_ms, now + 1000);
}

static void
test_many_rests_end(void **state)
{
	struct fixture *f = *state;
	int64_t seen[101] = {0};

	add_keys(f->pool, GROUP, 1, 100);
	for (int64_t id = 1; id <= 100; id++)
		limit(f->pool, id, NOW + id);
	assert_int_equal(pick(f->pool, GROUP).e, ERR_ALL_RESTING);
	set_clock(NOW + 1000);
	for (int i = 0; i < 300; i++)
		seen[pick_id(f->pool, GROUP)]++;
	expect_counts(f->pool, GROUP, 100, 0, 0, 0);
	for (int64_t id = 1; id <= 100; id++)
		assert_in_range(seen[id], 2, 4);
}

static void
test_blamed_while_resting(void **state)
{
	struct fixture *f = *state;

	add_keys(f->pool, GROUP, 1, 2);
	limit(f->pool, 1, NOW + 3000);
	assert_int_equal(blame(f->pool, 1, 2).move, POOL_MOVE_NONE);
	assert_int_equal(info_of(f->pool, 1).state, KEY_RESTING);
	/* An answer of before the rest does not end it. */
	assert_int_equal(report_ok(f->pool, 1), POOL_MOVE_NONE);
	assert_int_equal(info_of(f->pool, 1).rest_until_ms, NOW + 3000);
	assert_int_equal(info_of(f->pool, 1).fails, 0);
	assert_int_equal(blame(f->pool, 1, 1).move, POOL_MOVE_OUT);
	assert_int_equal(info_of(f->pool, 1).rest_until_ms, 0);
	expect_counts(f->pool, GROUP, 1, 0, 1, 0);
	set_clock(NOW + 3000);
	assert_int_equal(pick_id(f->pool, GROUP), 2);
	assert_int_equal(pick_id(f->pool, GROUP), 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    TEST(test_state_names),
	    TEST(test_empty),
	    TEST(test_identity),
	    TEST(test_snapshot),
	    TEST(test_reopened),
	    TEST(test_rotation),
	    TEST(test_rotation_as_keys_come_and_go),
	    TEST(test_not_these),
	    TEST(test_owed_turn_of_a_key_that_went),
	    TEST(test_turn_without_a_key),
	    TEST(test_blamed_until_out),
	    TEST(test_blamed_without_threshold),
	    TEST(test_ok_resets),
	    TEST(test_healed),
	    TEST(test_error_text_is_cut),
	    TEST(test_rest),
	    TEST(test_rest_doubles),
	    TEST(test_many_rests_end),
	    TEST(test_blamed_while_resting),
	};

	return run_on_all_kinds(tests, ARRAY_LEN(tests));
}
