/* SPDX-License-Identifier: MIT
 *
 * Keys as text and in the DB: what is a key and what is refused, masks that come
 * back, and that duplicates, counts and outbox rows are right.
 */
#include "lib/key.h"
#include "lib/limits.h"
#include "lib/str.h"

#include "tests/unit/sandbox.h"

/* --- text --- */

static const struct {
	const char *text;
	const char *keys; /* joined by '|'; NULL: refused */
	size_t given;
} texts[] = {
    {"a", "a", 1},
    {"sk-1 sk-2\n\tsk-3,sk-4;sk-5\r\n", "sk-1|sk-2|sk-3|sk-4|sk-5", 5},
    {" ,;\n a ,,; b ", "a|b", 2},
    {"a b a c b a", "a|b|c", 6},
    {"[\"a\", \" b \", \"\", \"a\"]", "a|b", 3},
    {" [ \"x\" ] ", "x", 1},
    {"ключ", "ключ", 1},
    {"", NULL, 0},
    {" \n,; ", NULL, 0},
    {"[]", NULL, 0},
    {"[\"\"]", NULL, 0},
    {"[\"a\", 1]", NULL, 0},
    {"[\"a\"", NULL, 0},
    {"[\"a\" \"b\"]", NULL, 0},
    {"[a, b]", NULL, 0},
    {"[\"a\"] b", NULL, 0},
    {"[\"a b\"]", NULL, 0},
    {"[\"a\\u0000b\"]", NULL, 0},
    {"a\x01", NULL, 0},
    {"a\x7f", NULL, 0},
};

static void
test_text(UNUSED void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct errinfo info = {""};
		struct key_text keys = {0};
		struct arena arena;
		struct buf joined;

		arena_init(&arena, 4096);
		buf_init(&joined, 4096);
		enum err e = key_text_parse(str_of(texts[i].text), 100, &arena, &keys, &info);
		if (texts[i].keys == NULL) {
			assert_int_equal(e, ERR_VALIDATION);
			assert_string_not_equal(info.text, "");
		} else {
			assert_int_equal(e, ERR_OK);
			for (size_t k = 0; k < keys.n; k++) {
				if (k > 0)
					buf_char(&joined, '|');
				buf_str(&joined, keys.v[k]);
			}
			assert_string_equal(buf_text(&joined), texts[i].keys);
			assert_int_equal(keys.given, texts[i].given);
		}
		buf_done(&joined);
		arena_done(&arena);
	}
}

/* n keys "k0 k1 …". */
static void
add_numbered(struct buf *b, int n)
{
	for (int i = 0; i < n; i++)
		buf_printf(b, "k%d ", i);
}

static void
test_text_limits(UNUSED void **state)
{
	struct key_text keys;
	struct arena arena;
	struct buf text;

	arena_init(&arena, 4096);
	buf_init(&text, 1 << 20);
	add_numbered(&text, LIMIT_SYNC_KEYS);
	assert_int_equal(key_text_parse(buf_view(&text), LIMIT_SYNC_KEYS, &arena, &keys, NULL),
			 ERR_OK);
	assert_int_equal(keys.n, LIMIT_SYNC_KEYS);
	buf_cstr(&text, "one-more");
	assert_int_equal(key_text_parse(buf_view(&text), LIMIT_SYNC_KEYS, &arena, &keys, NULL),
			 ERR_VALIDATION);

	buf_clear(&text);
	for (int i = 0; i < LIMIT_KEY_BYTES; i++)
		buf_char(&text, 'x');
	assert_int_equal(key_text_parse(buf_view(&text), 1, &arena, &keys, NULL), ERR_OK);
	buf_char(&text, 'x');
	assert_int_equal(key_text_parse(buf_view(&text), 1, &arena, &keys, NULL), ERR_VALIDATION);
	buf_done(&text);
	arena_done(&arena);
}

static void
assert_fault(const struct key_text *keys, size_t i, size_t line, enum key_fault_kind kind)
{
	assert_int_equal(keys->faults.v[i].line, line);
	assert_int_equal(keys->faults.v[i].kind, kind);
}

/* What is no good is left out, with its line, and the rest is taken. */
static void
test_text_sifted(UNUSED void **state)
{
	static const char array[] = "\n[\"k1\", 7, \"a b\", \"k1\", null, \"\"]";
	struct key_text keys;
	struct arena arena;
	struct buf text;

	arena_init(&arena, 4096);
	buf_init(&text, 1 << 20);
	buf_cstr(&text, "\nk1 k2\r\n\n");
	for (int i = 0; i <= LIMIT_KEY_BYTES; i++)
		buf_char(&text, 'x');
	buf_cstr(&text, ";k1\nbad\001key k3");
	assert_int_equal(key_text_sift(buf_view(&text), 100, true, &arena, &keys, NULL), ERR_OK);
	assert_int_equal(keys.n, 3);
	assert_int_equal(keys.given, 4);
	assert_int_equal(keys.faults.n, 2);
	assert_fault(&keys, 0, 4, KEY_FAULT_LONG);
	assert_fault(&keys, 1, 5, KEY_FAULT_CHARACTER);
	assert_int_equal(key_text_sift(buf_view(&text), 5, true, &arena, &keys, NULL),
			 ERR_VALIDATION);

	assert_int_equal(key_text_sift(str_of(array), 100, true, &arena, &keys, NULL), ERR_OK);
	assert_int_equal(keys.n, 1);
	assert_int_equal(keys.faults.n, 3);
	assert_fault(&keys, 0, 2, KEY_FAULT_NO_TEXT);
	assert_fault(&keys, 1, 3, KEY_FAULT_CHARACTER);
	assert_fault(&keys, 2, 5, KEY_FAULT_NO_TEXT);

	assert_int_equal(key_text_sift(STR("[1]"), 9, true, &arena, &keys, NULL), ERR_VALIDATION);
	assert_int_equal(key_text_sift(STR("[1]"), 9, false, &arena, &keys, NULL), ERR_OK);

	buf_clear(&text);
	for (int i = 0; i < LIMIT_KEY_FAULTS + 20; i++)
		buf_cstr(&text, "\001 ");
	assert_int_equal(key_text_sift(buf_view(&text), 1000, false, &arena, &keys, NULL), ERR_OK);
	assert_int_equal(keys.faults.n, LIMIT_KEY_FAULTS + 20);
	assert_fault(&keys, LIMIT_KEY_FAULTS - 1, 1, KEY_FAULT_CHARACTER);
	buf_done(&text);
	arena_done(&arena);
}

/* --- masks --- */

#define KEY_A "sk-aaaaaaaaaaaa-1111"
#define KEY_B "sk-abbbbbbbbbbb-1111" /* its mask is that of KEY_A */
#define MASK  "sk-a****1111"

static void
test_masks(UNUSED void **state)
{
	static const struct {
		const char *list;
		const char *old;
		const char *want;
	} unmasked[] = {
	    {"new", KEY_A, "new"},
	    {MASK, KEY_A, KEY_A},
	    {MASK ",new", KEY_A "," KEY_B, KEY_A ",new"},
	    {MASK "," MASK, KEY_A "," KEY_B, KEY_A "," KEY_B},
	    {MASK "," MASK, KEY_A, KEY_A "," MASK},
	    {"other****mask", KEY_A, "other****mask"},
	    {"****", "short", "short"},
	    {"", KEY_A, ""},
	};
	struct arena arena;

	arena_init(&arena, 4096);
	assert_true(str_is(key_mask(STR(KEY_A), &arena), MASK));
	assert_true(str_is(key_mask(STR("fifteen-bytes-x"), &arena), "****"));
	assert_true(
	    str_is(key_mask_list(STR(KEY_A ", " KEY_B ",x"), &arena), MASK "," MASK ",****"));
	for (size_t i = 0; i < ARRAY_LEN(unmasked); i++) {
		struct str got =
		    key_unmask_list(str_of(unmasked[i].list), str_of(unmasked[i].old), &arena);
		assert_true(str_is(got, unmasked[i].want));
	}
	arena_done(&arena);
}

static void
test_list(UNUSED void **state)
{
	struct errinfo info;
	struct arena arena;
	struct str got;

	arena_init(&arena, 4096);
	assert_int_equal(key_list_clean(STR(" a,b ,\n,a\nc,"), "f", &arena, &got, &info), ERR_OK);
	assert_true(str_is(got, "a,b,c"));
	assert_int_equal(key_list_clean(STR(""), "f", &arena, &got, &info), ERR_OK);
	assert_int_equal(got.n, 0);
	assert_int_equal(key_list_clean(STR("a b"), "proxy_keys", &arena, &got, &info),
			 ERR_VALIDATION);
	assert_non_null(strstr(info.text, "proxy_keys"));
	arena_done(&arena);
}

/* --- in the DB --- */

struct fixture {
	struct sandbox *sandbox;
	struct db *db;
	struct crypt *crypt;
	struct arena arena;
};

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->sandbox = sandbox_new();
	f->db = sandbox_db(f->sandbox);
	assert_int_equal(crypt_new(&f->crypt, "a pass phrase", NULL, NULL), ERR_OK);
	arena_init(&f->arena, 4096);
	sandbox_exec(f->db,
		     "INSERT INTO \"groups\" (id, name, group_type, upstreams, channel_type, "
		     "test_model) VALUES (1, 'a', 'standard', '[]', 'openai', 'm'), "
		     "(2, 'b', 'standard', '[]', 'openai', 'm'), "
		     "(3, 'c', 'aggregate', '[]', 'openai', '-')");
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	arena_done(&f->arena);
	crypt_free(f->crypt);
	db_close(f->db);
	sandbox_free(f->sandbox);
	free(f);
	return 0;
}

/* n keys PREFIX0, PREFIX1 … in the fixture's arena. */
static struct str *
numbered(struct fixture *f, const char *prefix, size_t n)
{
	struct str *keys = arena_alloc(&f->arena, n * sizeof(*keys));

	for (size_t i = 0; i < n; i++)
		keys[i] = str_of(arena_printf(&f->arena, "%s%zu", prefix, i));
	return keys;
}

static size_t
add(struct fixture *f, int64_t group, const char *prefix, size_t n)
{
	size_t added = 0;

	assert_int_equal(key_add(f->db, f->crypt, group, numbered(f, prefix, n), n, &added, NULL),
			 ERR_OK);
	return added;
}

static void
test_add(void **state)
{
	struct fixture *f = *state;
	struct errinfo info = {""};
	struct str key = STR("x");
	size_t added;

	assert_int_equal(add(f, 1, "key-", 123), 123);
	assert_int_equal(sandbox_int(f->db, "SELECT first_id FROM gptl_outbox"), 1);
	assert_int_equal(sandbox_int(f->db, "SELECT last_id FROM gptl_outbox"), 123);
	assert_int_equal(add(f, 1, "key-", 125), 2);
	assert_int_equal(add(f, 2, "key-", 5), 5);
	assert_int_equal(add(f, 1, "key-", 125), 0);
	assert_int_equal(sandbox_int(f->db, "SELECT COUNT(*) FROM gptl_outbox"), 3);
	assert_int_equal(sandbox_int(f->db, "SELECT COUNT(*) FROM api_keys WHERE status = 'active' "
					    "AND key_value NOT LIKE 'key-%'"),
			 130);

	assert_int_equal(key_add(f->db, f->crypt, 9, &key, 1, &added, &info), ERR_NOT_FOUND);
	assert_int_equal(key_add(f->db, f->crypt, 3, &key, 1, &added, &info), ERR_VALIDATION);
	assert_int_equal(sandbox_int(f->db, "SELECT COUNT(*) FROM api_keys"), 130);
}

static void
test_other_crypt(void **state)
{
	struct fixture *f = *state;
	static const char *const passwords[] = {NULL, "another pass phrase"};
	struct str key = STR("x");
	struct crypt *other;
	size_t added;

	add(f, 1, "key-", 10);
	for (size_t i = 0; i < ARRAY_LEN(passwords); i++) {
		assert_int_equal(crypt_new(&other, passwords[i], NULL, NULL), ERR_OK);
		assert_int_equal(key_add(f->db, other, 2, &key, 1, &added, NULL), ERR_CRYPT);
		crypt_free(other);
	}
	/* One that is damaged does not stop anybody. */
	sandbox_exec(f->db, "UPDATE api_keys SET key_value = 'damaged' WHERE id = 10");
	assert_int_equal(add(f, 2, "key-", 1), 1);
}

static void
test_find_and_delete(void **state)
{
	struct fixture *f = *state;
	struct str *keys = numbered(f, "key-", 70);
	struct key_ids ids;
	size_t deleted;

	add(f, 1, "key-", 60);
	add(f, 2, "key-", 60);
	/* A duplicate, as a group taken over may hold one. */
	sandbox_exec(f->db, "INSERT INTO api_keys (key_value, key_hash, group_id) "
			    "SELECT key_value, key_hash, 1 FROM api_keys WHERE id = 1");
	sandbox_exec(f->db, "DELETE FROM gptl_outbox");

	assert_int_equal(key_find(f->db, f->crypt, 1, keys, 70, &ids), ERR_OK);
	assert_int_equal(ids.n, 61);
	assert_int_equal(ids.v[0], 1);
	assert_int_equal(ids.v[60], 121);
	assert_int_equal(key_delete(f->db, 1, ids.v, ids.n, &deleted), ERR_OK);
	assert_int_equal(deleted, 61);
	key_ids_done(&ids);
	assert_int_equal(sandbox_int(f->db, "SELECT COUNT(*) FROM api_keys WHERE group_id = 2"),
			 60);
	/* 1 to 60, and 121: more than 60 apart but near enough to be one look. */
	assert_int_equal(sandbox_int(f->db, "SELECT COUNT(*) FROM gptl_outbox"), 1);
	assert_int_equal(sandbox_int(f->db, "SELECT last_id FROM gptl_outbox"), 121);

	assert_int_equal(key_delete(f->db, 1, NULL, 0, &deleted), ERR_OK);
	assert_int_equal(deleted, 0);
	assert_int_equal(key_clear(f->db, 2, &deleted), ERR_OK);
	assert_int_equal(deleted, 60);
}

static void
test_outbox_stretches(void **state)
{
	struct fixture *f = *state;
	int64_t ids[600];
	size_t deleted;

	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		ids[i] = (int64_t)(i * 1000 + 1);
	assert_int_equal(key_delete(f->db, 1, ids, 3, &deleted), ERR_OK);
	assert_int_equal(sandbox_int(f->db, "SELECT COUNT(*) FROM gptl_outbox"), 3);
	assert_int_equal(key_delete(f->db, 1, ids, ARRAY_LEN(ids), &deleted), ERR_OK);
	assert_int_equal(sandbox_int(f->db, "SELECT COUNT(*) FROM gptl_outbox"), 4);
	assert_int_equal(sandbox_int(f->db, "SELECT first_id FROM gptl_outbox ORDER BY id DESC"),
			 0);
}

static void
test_counts_and_invalid(void **state)
{
	struct fixture *f = *state;
	struct key_counts counts;
	struct key_ids ids;

	add(f, 1, "key-", 10);
	sandbox_exec(f->db, "UPDATE api_keys SET status = 'invalid' WHERE id IN (3, 5)");
	sandbox_exec(f->db, "UPDATE api_keys SET status = 'disabled' WHERE id = 7");
	assert_int_equal(key_counts(f->db, 1, &counts), ERR_OK);
	assert_int_equal(counts.total, 10);
	assert_int_equal(counts.active, 7);
	assert_int_equal(counts.invalid, 2);
	assert_int_equal(counts.disabled, 1);
	assert_int_equal(key_counts(f->db, 99, &counts), ERR_OK);
	assert_int_equal(counts.total, 0);

	assert_int_equal(key_find_invalid(f->db, 1, &ids), ERR_OK);
	assert_int_equal(ids.n, 2);
	assert_int_equal(ids.v[1], 5);
	key_ids_done(&ids);
}

static void
search(struct fixture *f, const struct key_query *q, struct key_found *ret)
{
	assert_int_equal(key_search(f->db, f->crypt, q, &f->arena, ret), ERR_OK);
	assert_false(ret->capped || ret->stopped);
}

static void
test_search(void **state)
{
	struct fixture *f = *state;
	struct key_query q = {.group_id = 1, .limit = 3};
	struct key_found found;

	add(f, 1, "key-", 5);
	assert_int_equal(db_exec(f->db, "UPDATE api_keys SET last_used_at = ? WHERE id = 2",
				 DB_ARGS(db_time(1767294245000000)), NULL),
			 ERR_OK);
	sandbox_exec(f->db,
		     "UPDATE api_keys SET key_value = 'damaged', status = 'invalid' WHERE id = 4");

	search(f, &q, &found);
	assert_int_equal(found.total, 5);
	assert_int_equal(found.n, 3);
	assert_int_equal(found.v[0].id, 2);
	assert_true(str_is(found.v[0].value, "key-1"));
	assert_true(found.v[0].last_used_at > 0);
	assert_int_equal(found.v[1].id, 5);
	assert_int_equal(found.v[2].id, 4);
	assert_false(found.v[2].readable);
	assert_true(str_is(found.v[2].value, KEY_UNREADABLE));

	q.offset = 3;
	search(f, &q, &found);
	assert_int_equal(found.n, 2);
	assert_int_equal(found.total, 5);
	assert_int_equal(found.v[1].id, 1);
	q.hash = found.v[1].hash;
	q.offset = 0;
	search(f, &q, &found);
	assert_int_equal(found.total, 1);
	q = (struct key_query){.group_id = 1, .status = STR("invalid"), .limit = 3};
	search(f, &q, &found);
	assert_int_equal(found.total, 1);
	assert_int_equal(found.v[0].id, 4);
	q.offset = 3;
	search(f, &q, &found);
	assert_int_equal(found.n, 0);
	assert_int_equal(found.total, 1);
}

/* Twelve keys of which some were used, some failed and some are out. */
static void
add_various(struct fixture *f)
{
	add(f, 1, "various-", 12);
	sandbox_exec(f->db, "UPDATE api_keys SET request_count = 7 - (id % 5)");
	sandbox_exec(f->db, "UPDATE api_keys SET failure_count = id % 3");
	sandbox_exec(f->db, "UPDATE api_keys SET status = 'invalid' WHERE id % 4 <> 1");
	for (int64_t id = 1; id <= 12; id += id % 2 + 1)
		assert_int_equal(
		    db_exec(f->db, "UPDATE api_keys SET last_used_at = ? WHERE id = ?",
			    DB_ARGS(db_time((1767294245 + id % 4) * 1000000), db_int(id)), NULL),
		    ERR_OK);
}

/* All rows of `all` once more, by pages of `limit`. */
static void
walk_pages(struct fixture *f, struct key_query q, int64_t limit, const struct key_row *all,
	   size_t n_all)
{
	struct key_found found;

	q.limit = limit;
	q.total = (int64_t)n_all;
	for (q.offset = 0; q.offset < q.total; q.offset += limit) {
		assert_int_equal(key_page(f->db, f->crypt, &q, &f->arena, &found), ERR_OK);
		assert_int_equal(found.n, MIN(limit, q.total - q.offset));
		for (size_t i = 0; i < found.n; i++)
			assert_int_equal(found.v[i].id, all[(size_t)q.offset + i].id);
	}
	assert_int_equal(key_page(f->db, f->crypt, &q, &f->arena, &found), ERR_OK);
	assert_int_equal(found.n, 0);
}

static void
test_pages_from_both_ends(void **state)
{
	static const char *const states[] = {"", "active", "invalid", "disabled"};
	static const size_t counts[] = {12, 3, 9, 0};
	struct fixture *f = *state;

	add_various(f);
	for (size_t i = 0; i < ARRAY_LEN(states) * 8; i++) {
		struct key_query q = {.group_id = 1,
				      .status = str_of(states[i / 8]),
				      .order = (enum key_order)(i % 4),
				      .ascending = i % 8 >= 4,
				      .limit = 100};
		struct key_found all;

		search(f, &q, &all);
		assert_int_equal(all.n, all.total);
		assert_int_equal(all.n, counts[i / 8]);
		for (int64_t limit = 1; limit <= 13; limit++)
			walk_pages(f, q, limit, all.v, all.n);
	}
}

/* Whatever they are sorted by: the rows that match are those of all, in their order, page
 * by page, each time with their number. */
static void
check_idle(struct fixture *f, struct key_query q, int64_t since, int64_t limit)
{
	struct key_found all;
	struct key_found found;
	size_t matching = 0;
	size_t seen = 0;

	q.limit = 100;
	search(f, &q, &all);
	q.never_used = since == 0;
	q.idle_since = since;
	q.limit = limit;
	for (size_t i = 0; i < all.n; i++) {
		size_t at = matching % (size_t)limit;

		if (all.v[i].last_used_at >= (since > 0 ? since : 1))
			continue;
		q.offset = (int64_t)(matching++ - at);
		search(f, &q, &found);
		assert_int_equal(found.v[at].id, all.v[i].id);
	}
	for (q.offset = 0; q.offset == 0 || found.n > 0; q.offset += q.limit) {
		search(f, &q, &found);
		assert_int_equal(found.total, matching);
		seen += found.n;
	}
	assert_int_equal(seen, matching);
}

static void
test_idle(void **state)
{
	struct fixture *f = *state;

	add_various(f);
	for (int order = 0; order < 8; order++) {
		struct key_query q = {
		    .group_id = 1, .order = (enum key_order)(order % 4), .ascending = order >= 4};

		for (int64_t second = 0; second < 5; second++)
			check_idle(f, q, (1767294245 + second) * 1000000, 2);
		check_idle(f, q, 0, 2);
		q.status = STR("active");
		check_idle(f, q, 1767294246000000, 1);
	}
}

/* Pages far from the beginning, in either stretch, over their border and beyond the end. */
static void
test_idle_far(void **state)
{
	struct fixture *f = *state;

	add(f, 1, "far-", 60);
	for (int64_t id = 1; id <= 60; id += 2)
		assert_int_equal(db_exec(f->db, "UPDATE api_keys SET last_used_at = ? WHERE id = ?",
					 DB_ARGS(db_time((1767294245 + id) * 1000000), db_int(id)),
					 NULL),
				 ERR_OK);
	for (int ascending = 0; ascending <= 1; ascending++) {
		struct key_query q = {.group_id = 1, .ascending = ascending == 1};

		for (int64_t limit = 1; limit <= 4; limit++) {
			check_idle(f, q, INT64_C(1767294400000000), limit);
			check_idle(f, q, INT64_C(1767294275000000), limit);
		}
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_text),
	    cmocka_unit_test(test_text_limits),
	    cmocka_unit_test(test_text_sifted),
	    cmocka_unit_test(test_masks),
	    cmocka_unit_test(test_list),
	    cmocka_unit_test_setup_teardown(test_add, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_other_crypt, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_find_and_delete, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_outbox_stretches, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_counts_and_invalid, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_search, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_pages_from_both_ends, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_idle, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_idle_far, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
