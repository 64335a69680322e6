/* SPDX-License-Identifier: MIT
 *
 * POST /api/keys/test-multiple: keys of a group tried now, as many side by side as its
 * key_validation_concurrency says. Each test counts for the key as a validation does.
 */
#include "admin-cgi/admin.h"

#include "lib/checker.h"
#include "lib/clock.h"
#include "lib/group.h"
#include "lib/key.h"
#include "lib/limits.h"

#define WAIT_MS 200

struct one {
	struct str key;
	int64_t id; /* 0: the group does not have it */
	bool done;
	bool ok;
	struct str error; /* empty: none */
};

struct test {
	int64_t group_id;
	struct one *v;
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

static enum err
find_keys(struct req *req, struct db *db, struct crypt *crypt, const struct key_text *keys,
	  struct test *t)
{
	enum err e = ERR_OK;

	t->v = arena_alloc(&req->arena, keys->n * sizeof(*t->v));
	t->n = t->left = keys->n;
	for (size_t i = 0; i < keys->n && e == ERR_OK; i++) {
		struct str one_key = keys->v[i];
		struct key_ids ids = {0};

		e = key_find(db, crypt, t->group_id, &one_key, 1, &ids);
		t->v[i] = (struct one){.key = one_key, .id = ids.n > 0 ? ids.v[0] : 0};
		key_ids_done(&ids);
	}
	return e;
}

static void
finish(struct test *t, struct one *one, bool ok, struct str error)
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
		struct one *one = &t->v[t->next++];
		if (one->id == 0)
			finish(t, one, false, STR("the key is not in this group"));
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
			finish(t, &t->v[i], false,
			       STR("not tested: there was no time left; use validate-group"));
	return e;
}

static void
out_results(struct req *req, const struct test *t, int64_t took_ms)
{
	struct buf *b = &req->data;

	out_open(b, NULL, '{');
	out_open(b, "results", '[');
	for (size_t i = 0; i < t->n; i++) {
		out_open(b, NULL, '{');
		out_str(b, "key_value", req_show_key(req, t->v[i].key));
		out_bool(b, "is_valid", t->v[i].ok);
		if (t->v[i].error.n > 0)
			out_str(b, "error", t->v[i].error);
		out_close(b, '}');
	}
	out_close(b, ']');
	out_int(b, "total_duration", took_ms);
	out_close(b, '}');
}

static enum err
read_keys(struct req *req, struct db *db, struct crypt *crypt, struct test *t)
{
	struct json_object *body;
	struct group_row group;
	struct key_text keys;
	struct str text;

	enum err e = req_json(req, &body);
	if (e == ERR_OK)
		e = req_id(req, body, "group_id", &t->group_id);
	if (e == ERR_OK)
		e = req_text(req, body, "keys_text", &text);
	if (e == ERR_OK)
		e = group_get(db, t->group_id, &req->arena, &group, &req->info);
	if (e == ERR_OK)
		e = key_text_parse(text, LIMIT_SYNC_KEYS, &req->arena, &keys, &req->info);
	return e == ERR_OK ? find_keys(req, db, crypt, &keys, t) : e;
}

static enum err
test_keys(struct req *req)
{
	int64_t started = clock_mono_us();
	struct checker *checker = NULL;
	struct snapshot *snap = NULL;
	struct test test = {0};
	struct crypt *crypt;
	struct pool *pool;
	struct db *db;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = req_crypt(req, &crypt);
	if (e == ERR_OK)
		e = read_keys(req, db, crypt, &test);
	if (e == ERR_OK)
		e = req_pool(req, &pool);
	if (e == ERR_OK)
		e = load_snapshot(req, pool, &snap);
	if (e == ERR_OK)
		e = checker_new(&checker, req->admin->conf, pool, snap, test.group_id, &req->info);
	if (e == ERR_OK)
		e = run_tests(req, checker, &test);
	checker_free(checker);
	snapshot_unref(snap);
	if (e != ERR_OK)
		return e;
	req_write_back(req);
	out_results(req, &test, (clock_mono_us() - started) / 1000);
	return ERR_OK;
}

const struct route routes_keytest[] = {
    {METHOD_POST, "/api/keys/test-multiple", test_keys, false},
    {0},
};
