/* SPDX-License-Identifier: MIT
 *
 * POST /api/keys/test-multiple, and the trying of keys that bulk actions share.
 */
#include "admin-cgi/keytest.h"

#include "lib/checker.h"
#include "lib/clock.h"
#include "lib/group.h"
#include "lib/key.h"
#include "lib/limits.h"

#define WAIT_MS 200

struct test {
	struct key_trial *v;
	size_t n;
	size_t next; /* to be started */
	size_t left; /* not done */
};

static enum err
load_snapshot(struct req *req, struct pool *pool, struct snapshot **ret)
{
	uint64_t version = 0;
	struct buf text;

	*ret = NULL;
	buf_init(&text, LIMIT_SNAPSHOT);
	enum err e = pool_snapshot_get(pool, &text, &version);
	if (e == ERR_OK && version > 0)
		e = snapshot_parse(buf_view(&text), ret, &req->info);
	buf_done(&text);
	if (e == ERR_OK && *ret == NULL)
		return err_set(&req->info, ERR_POOL, "there is no configuration in the pool yet");
	return e;
}

static void
finish(struct test *t, struct key_trial *one, bool ok, struct str error)
{
	one->done = true;
	one->ok = ok;
	one->error = error;
	t->left--;
}

static void
take_results(struct req *req, struct checker *checker, struct test *t)
{
	struct checked checked;

	while (checker_take(checker, &checked)) {
		for (size_t i = 0; i < t->next; i++)
			if (!t->v[i].done && t->v[i].id == checked.key_id) {
				t->v[i].status = checked.status;
				t->v[i].took_ms = checked.took_ms;
				finish(t, &t->v[i], checked.ok,
				       arena_str(&req->arena, buf_view(&checked.why)));
				break;
			}
		buf_done(&checked.why);
	}
}

static enum err
start_some(struct req *req, struct checker *checker, struct test *t)
{
	enum err e = ERR_OK;

	while (e == ERR_OK && t->next < t->n && checker_room(checker) > 0) {
		struct key_trial *one = &t->v[t->next++];
		if (one->done)
			t->left--;
		else if (one->id == 0)
			finish(t, one, false, str_of(msg(req, MSG_KEY_ELSEWHERE)));
		else
			e = checker_start(checker, one->id, one->key, &req->info);
	}
	return e;
}

static enum err
run_tests(struct req *req, struct checker *checker, struct test *t)
{
	int64_t until = clock_mono_us() + LIMIT_TEST_SECONDS * INT64_C(1000000);
	enum err e = ERR_OK;

	while (t->left > 0 && e == ERR_OK && clock_mono_us() < until) {
		e = start_some(req, checker, t);
		if (e == ERR_OK && checker_busy(checker) > 0)
			checker_run(checker, WAIT_MS);
		take_results(req, checker, t);
	}
	for (size_t i = 0; i < t->n && e == ERR_OK; i++)
		if (!t->v[i].done)
			finish(t, &t->v[i], false, str_of(msg(req, MSG_NOT_TESTED)));
	return e;
}

enum err
key_trials_run(struct req *req, int64_t group_id, struct key_trial *v, size_t n)
{
	struct test test = {.v = v, .n = n, .left = n};
	struct checker *checker = NULL;
	struct snapshot *snap = NULL;
	struct pool *pool;

	enum err e = req_pool(req, &pool);
	if (e == ERR_OK)
		e = load_snapshot(req, pool, &snap);
	if (e == ERR_OK)
		e = checker_new(&checker, req->admin->conf, pool, snap, group_id, &req->info);
	if (e == ERR_OK)
		e = run_tests(req, checker, &test);
	checker_free(checker);
	snapshot_unref(snap);
	if (e == ERR_OK)
		req_write_back(req);
	return e;
}

void
out_key_trials(struct req *req, const struct key_trial *v, size_t n)
{
	struct buf *b = &req->data;

	out_open(b, "results", '[');
	for (size_t i = 0; i < n; i++) {
		out_open(b, NULL, '{');
		if (v[i].id > 0)
			out_int(b, "id", v[i].id);
		else
			out_raw(b, "id", STR("null"));
		out_str(b, "key_value", req_show_key(req, v[i].key));
		out_bool(b, "is_valid", v[i].ok);
		out_int(b, "status", v[i].status);
		out_int(b, "duration_ms", v[i].took_ms);
		if (v[i].error.n > 0)
			out_str(b, "error", v[i].error);
		out_close(b, '}');
	}
	out_close(b, ']');
}

/* --- by text --- */

static enum err
find_keys(struct req *req, int64_t group_id, const struct key_text *keys, struct key_trial *v)
{
	struct crypt *crypt;
	struct db *db;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = req_crypt(req, &crypt);
	for (size_t i = 0; i < keys->n && e == ERR_OK; i++) {
		struct key_ids ids = {0};

		e = key_find(db, crypt, group_id, &keys->v[i], 1, &ids);
		v[i] = (struct key_trial){.key = keys->v[i], .id = ids.n > 0 ? ids.v[0] : 0};
		key_ids_done(&ids);
	}
	return e;
}

static enum err
read_keys(struct req *req, int64_t *ret_group, struct key_text *ret)
{
	struct json_object *body;
	struct group_row group;
	struct str text;
	struct db *db;

	enum err e = req_json(req, &body);
	if (e == ERR_OK)
		e = req_id(req, body, "group_id", ret_group);
	if (e == ERR_OK)
		e = req_text(req, body, "keys_text", &text);
	if (e == ERR_OK)
		e = req_db(req, &db);
	if (e == ERR_OK)
		e = group_get(db, *ret_group, &req->arena, &group, &req->info);
	if (e == ERR_OK)
		e = key_text_parse(text, LIMIT_SYNC_KEYS, &req->arena, ret, &req->info);
	return e;
}

static enum err
test_keys(struct req *req)
{
	int64_t started = clock_mono_us();
	struct key_text keys = {0};
	int64_t group_id;

	enum err e = read_keys(req, &group_id, &keys);
	if (e != ERR_OK)
		return e;
	struct key_trial *v = arena_alloc(&req->arena, keys.n * sizeof(*v));
	e = find_keys(req, group_id, &keys, v);
	if (e == ERR_OK)
		e = key_trials_run(req, group_id, v, keys.n);
	if (e != ERR_OK)
		return e;
	out_open(&req->data, NULL, '{');
	out_key_trials(req, v, keys.n);
	out_int(&req->data, "total_duration", (clock_mono_us() - started) / 1000);
	out_close(&req->data, '}');
	return ERR_OK;
}

const struct route routes_keytest[] = {
    {METHOD_POST, "/api/keys/test-multiple", test_keys, 0},
    {0},
};
