/* SPDX-License-Identifier: MIT
 *
 * Long tasks on a real database and pool: imports, deletions and validations to their
 * end, over the death of the process that did them, cancelled and failed.
 */
#include "lib/task.h"
#include "lib/limits.h"
#include "lib/publish.h"
#include "lib/str.h"

#include "tests/unit/httpmock.h"
#include "tests/unit/sandbox.h"

struct fixture {
	struct sandbox *sandbox;
	struct httpmock *mock;
	struct db *db;
	struct pool *pool;
	struct crypt *crypt;
	struct task_runner *runner;
	struct arena arena;
	struct errinfo info;
};

static void
add_group(struct fixture *f, int64_t id, const char *name)
{
	char *upstreams =
	    xasprintf("[{\"url\":\"http://127.0.0.1:%d\",\"weight\":1}]", f->mock->port);

	assert_int_equal(
	    db_exec(f->db,
		    "INSERT INTO \"groups\" (id, name, group_type, upstreams, channel_type, "
		    "test_model, config) VALUES (?, ?, 'standard', ?, 'openai', 'm', "
		    "'{\"blacklist_threshold\":1}')",
		    DB_ARGS(db_int(id), db_cstr(name), db_cstr(upstreams)), NULL),
	    ERR_OK);
	free(upstreams);
}

static int
setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));

	f->sandbox = sandbox_new();
	f->sandbox->conf.pool_size = 16 * 1024 * 1024;
	f->mock = httpmock_new(200, "{}");
	f->db = sandbox_db(f->sandbox);
	add_group(f, 1, "a");
	add_group(f, 2, "b");
	assert_int_equal(crypt_new(&f->crypt, "a password", NULL, &f->info), ERR_OK);
	assert_int_equal(pool_open(&f->sandbox->conf, &f->pool, &f->info), ERR_OK);
	assert_int_equal(publish_ensure(&f->sandbox->conf, f->db, f->pool, &f->info), ERR_OK);
	assert_int_equal(publish_config(f->db, f->pool, &f->info), ERR_OK);
	f->runner = task_runner_new(&f->sandbox->conf, f->pool, f->db, f->crypt);
	arena_init(&f->arena, 4096);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	task_runner_free(f->runner);
	pool_close(f->pool);
	crypt_free(f->crypt);
	db_close(f->db);
	arena_done(&f->arena);
	httpmock_free(f->mock);
	sandbox_free(f->sandbox);
	free(f);
	return 0;
}

/* "key-0" to "key-(n - 1)", each of them `times`. */
static struct key_text
make_keys(struct fixture *f, int n, int times)
{
	struct key_text keys;
	struct buf text;

	buf_init(&text, 16 << 20);
	for (int i = 0; i < n * times; i++)
		buf_printf(&text, "key-with-some-length-%d\n", i % n);
	struct str copy = arena_str(&f->arena, buf_view(&text));
	buf_done(&text);
	assert_int_equal(key_text_parse(copy, 100000, &f->arena, &keys, &f->info), ERR_OK);
	return keys;
}

static enum err
add(struct fixture *f, int64_t group_id, enum task_type type, struct key_text keys,
    struct task_row *ret)
{
	return task_add(f->db, f->crypt, group_id, type, &keys, &f->arena, ret, &f->info);
}

/* One turn; whether there is more to do. */
static bool
turn(struct fixture *f)
{
	bool more = false;

	if (task_run(f->runner, 0, NULL, &more, &f->info) != ERR_OK)
		fail_msg("%s", f->info.text);
	return more;
}

static struct task_row
look(struct fixture *f, int64_t id)
{
	struct task_row t;

	assert_int_equal(task_get(f->db, id, &f->arena, &t, &f->info), ERR_OK);
	return t;
}

/* As if the process was killed: another begins where the DB says. */
static void
another_runner(struct fixture *f)
{
	task_runner_free(f->runner);
	f->runner = task_runner_new(&f->sandbox->conf, f->pool, f->db, f->crypt);
}

static int64_t
in_pool(struct fixture *f, int64_t group_id, enum key_state state)
{
	struct pool_counts counts;

	assert_int_equal(pool_counts(f->pool, group_id, &counts), ERR_OK);
	return counts.by_state[state];
}

static void
assert_task(struct fixture *f, int64_t id, const char *state, int64_t processed, int64_t good)
{
	struct task_row t = look(f, id);

	assert_true(str_is(t.state, state));
	assert_int_equal(t.processed, processed);
	assert_int_equal(t.good, good);
	if (!task_is_active(&t)) {
		assert_true(t.finished_at > 0);
		assert_int_equal(
		    sandbox_int(f->db, "SELECT COUNT(*) FROM gptl_task_input WHERE part > 0"), 0);
	}
}

/* What was left out stays told after the task, and goes with it. */
static void
test_report(void **state)
{
	struct fixture *f = *state;
	struct task_report report;
	struct key_text keys;
	struct task_row t;

	assert_int_equal(key_text_sift(STR("k1\nk2 k1\n\001"), 9, true, &f->arena, &keys, NULL),
			 ERR_OK);
	assert_int_equal(add(f, 1, TASK_IMPORT, keys, &t), ERR_OK);
	assert_int_equal(t.total, 4);
	assert_int_equal(t.processed, 2);
	while (turn(f))
		;
	assert_task(f, t.id, "done", 4, 2);
	assert_int_equal(task_report_get(f->db, f->crypt, t.id, &f->arena, &report), ERR_OK);
	assert_int_equal(report.repeated, 1);
	assert_int_equal(report.malformed, 1);
	assert_int_equal(report.n_faults, 1);
	assert_int_equal(report.faults[0].line, 3);

	assert_int_equal(task_report_get(f->db, f->crypt, t.id + 1, &f->arena, &report), ERR_OK);
	assert_int_equal(report.malformed, 0);
	sandbox_exec(f->db, "UPDATE gptl_tasks SET finished_at = '2001-01-01 00:00:00+00:00'");
	assert_int_equal(add(f, 1, TASK_IMPORT, make_keys(f, 1, 1), &t), ERR_OK);
	assert_int_equal(sandbox_int(f->db, "SELECT COUNT(*) FROM gptl_task_input WHERE part = 0"),
			 0);
}

static void
test_import_and_delete(void **state)
{
	struct fixture *f = *state;
	struct task_row t;
	int turns = 0;

	assert_int_equal(add(f, 1, TASK_IMPORT, make_keys(f, 30000, 2), &t), ERR_OK);
	assert_true(str_is(t.state, "waiting"));
	assert_int_equal(t.total, 60000);
	assert_int_equal(
	    sandbox_int(f->db,
			"SELECT COUNT(*) FROM gptl_task_input WHERE key_values LIKE '%key%'"),
	    0);
	/* One portion, then the process dies, again and again. */
	while (turn(f)) {
		struct task_row now = look(f, t.id);
		assert_true(now.processed <= now.total);
		another_runner(f);
		turns++;
	}
	assert_true(turns > 2);
	assert_task(f, t.id, "done", 60000, 30000);
	assert_int_equal(in_pool(f, 1, KEY_ACTIVE), 30000);

	/* What is there already is not added again. */
	assert_int_equal(add(f, 1, TASK_IMPORT, make_keys(f, 30010, 1), &t), ERR_OK);
	while (turn(f))
		;
	assert_task(f, t.id, "done", 30010, 10);
	assert_int_equal(add(f, 1, TASK_DELETE, make_keys(f, 40000, 1), &t), ERR_OK);
	while (turn(f))
		;
	assert_task(f, t.id, "done", 40000, 30010);
	assert_int_equal(in_pool(f, 1, KEY_ACTIVE), 0);
	assert_int_equal(sandbox_int(f->db, "SELECT COUNT(*) FROM gptl_outbox"), 0);
}

static void
test_one_of_a_group(void **state)
{
	struct fixture *f = *state;
	struct task_row a;
	struct task_row b;
	struct task_row *all;
	size_t n;

	assert_int_equal(add(f, 1, TASK_IMPORT, make_keys(f, 1000, 1), &a), ERR_OK);
	assert_int_equal(add(f, 1, TASK_DELETE, make_keys(f, 1, 1), &b), ERR_TASK);
	assert_int_equal(task_add_validation(f->db, 1, STR(""), &f->arena, &b, &f->info),
			 ERR_VALIDATION);
	assert_int_equal(add(f, 2, TASK_IMPORT, make_keys(f, 1000, 1), &b), ERR_OK);
	assert_int_equal(add(f, 9, TASK_IMPORT, make_keys(f, 1, 1), &b), ERR_NOT_FOUND);
	/* Both go on, in turn. */
	assert_true(turn(f));
	assert_true(look(f, a.id).processed > 0 && look(f, b.id).processed > 0);
	while (turn(f))
		;
	assert_task(f, a.id, "done", 1000, 1000);
	assert_int_equal(task_list(f->db, 0, 10, &f->arena, &all, &n), ERR_OK);
	assert_int_equal(n, 2);
	assert_int_equal(all[0].group_id, 2);
	assert_int_equal(task_list(f->db, 1, 10, &f->arena, &all, &n), ERR_OK);
	assert_int_equal(n, 1);
	assert_int_equal(add(f, 1, TASK_DELETE, make_keys(f, 1, 1), &b), ERR_OK);
}

static void
test_cancel_and_failure(void **state)
{
	struct fixture *f = *state;
	struct task_row t;

	assert_int_equal(add(f, 1, TASK_IMPORT, make_keys(f, 3000, 1), &t), ERR_OK);
	assert_true(turn(f));
	int64_t done = look(f, t.id).processed;
	assert_int_equal(task_cancel(f->db, t.id, &f->info), ERR_OK);
	assert_int_equal(task_cancel(f->db, 99, &f->info), ERR_NOT_FOUND);
	while (turn(f))
		;
	assert_task(f, t.id, "cancelled", done, done);
	assert_int_equal(in_pool(f, 1, KEY_ACTIVE), done);

	/* The group goes away under it. */
	assert_int_equal(add(f, 2, TASK_IMPORT, make_keys(f, 3000, 1), &t), ERR_OK);
	sandbox_exec(f->db, "DELETE FROM \"groups\" WHERE id = 2");
	while (turn(f))
		;
	assert_task(f, t.id, "failed", 0, 0);
	assert_true(look(f, t.id).error.n > 0);
}

/* Told to be validated just after it was made: what the runner read before, for another
 * group's task, does not know it. */
static void
test_validation_of_a_group_just_made(void **state)
{
	struct fixture *f = *state;
	struct task_row t;

	assert_int_equal(add(f, 1, TASK_IMPORT, make_keys(f, 10, 1), &t), ERR_OK);
	while (turn(f))
		;
	assert_int_equal(task_add_validation(f->db, 1, STR(""), &f->arena, &t, &f->info), ERR_OK);
	assert_true(turn(f));
	add_group(f, 3, "c");
	sandbox_exec(f->db, "UPDATE gptl_meta SET value = value + 1 WHERE name = 'version'");
	assert_int_equal(publish_config(f->db, f->pool, &f->info), ERR_OK);
	assert_int_equal(add(f, 3, TASK_IMPORT, make_keys(f, 10, 1), &t), ERR_OK);
	while (turn(f))
		;
	assert_int_equal(task_add_validation(f->db, 3, STR(""), &f->arena, &t, &f->info), ERR_OK);
	while (turn(f))
		;
	assert_task(f, t.id, "done", 10, 10);
}

static void
assert_causes(struct fixture *f, int64_t id, const char *text, int64_t n)
{
	struct causes causes;

	causes_init(&causes);
	assert_int_equal(task_causes_get(f->db, f->crypt, id, &causes), ERR_OK);
	assert_int_equal(causes.n, 1);
	assert_true(str_is(causes.v[0].text, text));
	assert_int_equal(causes.v[0].n, n);
	assert_int_equal(causes.others, 0);
	causes_done(&causes);
}

static void
test_validation(void **state)
{
	struct fixture *f = *state;
	struct task_row t;

	assert_int_equal(add(f, 1, TASK_IMPORT, make_keys(f, 130, 1), &t), ERR_OK);
	while (turn(f))
		;
	assert_int_equal(task_add_validation(f->db, 1, STR("active"), &f->arena, &t, &f->info),
			 ERR_OK);
	assert_int_equal(t.total, 130);
	while (turn(f))
		;
	assert_task(f, t.id, "done", 130, 130);
	assert_true(httpmock_requests(f->mock) >= 130);

	/* Refused ones are out, as the threshold says; a killed process loses none. */
	httpmock_answer(f->mock, 401, "{\"error\":{\"message\":\"no\"}}");
	assert_int_equal(task_add_validation(f->db, 1, STR(""), &f->arena, &t, &f->info), ERR_OK);
	for (int i = 0; i < 3; i++)
		assert_true(turn(f));
	another_runner(f);
	while (turn(f))
		;
	assert_task(f, t.id, "done", 130, 0);
	assert_int_equal(in_pool(f, 1, KEY_INVALID), 130);
	/* Why, each of them once, whoever tried it. */
	assert_causes(f, t.id, "[status 401] no", 130);

	/* What says nothing about the key changes nothing. */
	httpmock_answer(f->mock, 200, "{}");
	assert_int_equal(task_add_validation(f->db, 1, STR(""), &f->arena, &t, &f->info), ERR_OK);
	while (turn(f))
		;
	assert_int_equal(in_pool(f, 1, KEY_ACTIVE), 130);
	httpmock_answer(f->mock, 500, "{}");
	assert_int_equal(task_add_validation(f->db, 1, STR(""), &f->arena, &t, &f->info), ERR_OK);
	while (turn(f))
		;
	assert_task(f, t.id, "done", 130, 0);
	assert_int_equal(in_pool(f, 1, KEY_ACTIVE), 130);
}

/* For a moment two may think that they hold the lease: whoever writes a batch down first
 * has done it, and each key counts once. */
static void
test_two_validate_at_once(void **state)
{
	struct fixture *f = *state;
	struct task_runner *mine = f->runner;
	struct task_runner *other = task_runner_new(&f->sandbox->conf, f->pool, f->db, f->crypt);
	struct task_row t;
	bool more = true;

	assert_int_equal(add(f, 1, TASK_IMPORT, make_keys(f, 130, 1), &t), ERR_OK);
	while (turn(f))
		;
	httpmock_answer(f->mock, 401, "{\"error\":{\"message\":\"no\"}}");
	assert_int_equal(task_add_validation(f->db, 1, STR(""), &f->arena, &t, &f->info), ERR_OK);
	for (int i = 0; more; i++) {
		f->runner = i % 2 == 0 ? mine : other;
		more = turn(f);
	}
	assert_task(f, t.id, "done", 130, 0);
	assert_causes(f, t.id, "[status 401] no", 130);
	task_runner_free(other);
	f->runner = mine;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_report, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_import_and_delete, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_one_of_a_group, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_cancel_and_failure, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_validation_of_a_group_just_made, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_validation, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_two_validate_at_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
