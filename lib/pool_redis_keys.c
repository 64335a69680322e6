/* SPDX-License-Identifier: MIT
 *
 * The Redis store's keys as they come and go, and their state set by hand. While a
 * script runs Redis does nothing else, so what has no bound goes in steps.
 */
#include "lib/pool_redis.h"
#include "lib/str.h"

#include <stdlib.h>

#define STEP_KEYS 1000

/* --- coming and going --- */

static void
add_key(struct buf *cmd, const struct pool_key *key, int64_t group, struct buf *record)
{
	char head[REDIS_KEY_HEAD];

	rpool_key_head(head, key, group);
	buf_clear(record);
	buf_add(record, head, sizeof(head));
	buf_str(record, key->stored);
	rpool_arg_int(cmd, key->id);
	rpool_arg(cmd, buf_view(record));
}

enum err
rpool_sync(struct pool *pool, int64_t group_id, int64_t first_id, int64_t last_id,
	   const struct pool_key *keys, size_t n, bool force)
{
	struct pool_redis *p = redis_of(pool);
	int64_t done = 0;
	struct buf record;
	enum err e = ERR_OK;

	buf_init(&record, REDIS_KEY_HEAD + POOL_STORED_MAX);
	while (e == ERR_OK && done == 0) {
		struct buf cmd;

		rpool_script(p, &cmd, SCRIPT_SYNC, 4 + 2 * n);
		rpool_arg_int(&cmd, group_id);
		rpool_arg_int(&cmd, first_id);
		rpool_arg_int(&cmd, last_id);
		rpool_arg_int(&cmd, force);
		for (size_t i = 0; i < n; i++)
			add_key(&cmd, &keys[i], group_id, &record);
		e = rpool_eval_int(p, SCRIPT_SYNC, &cmd, &done);
	}
	buf_done(&record);
	return e;
}

enum err
rpool_drop_group(struct pool *pool, int64_t group_id)
{
	struct pool_redis *p = redis_of(pool);
	enum err e = rpool_sync(pool, group_id, 0, INT64_MAX, NULL, 0, false);
	int64_t done;
	struct buf cmd;

	if (e != ERR_OK)
		return e;
	rpool_script(p, &cmd, SCRIPT_DROP, 1);
	rpool_arg_int(&cmd, group_id);
	return rpool_eval_int(p, SCRIPT_DROP, &cmd, &done);
}

enum err
rpool_groups(struct pool *pool, int64_t **ret, size_t *ret_n)
{
	struct pool_redis *p = redis_of(pool);
	redisReply *r = NULL;
	struct buf cmd;
	enum err e;

	rpool_script(p, &cmd, SCRIPT_GROUPS, 0);
	e = rpool_eval(p, SCRIPT_GROUPS, &cmd, REDIS_REPLY_ARRAY, &r);
	if (e != ERR_OK)
		return e;
	*ret = xcalloc(r->elements + 1, sizeof(**ret));
	for (size_t i = 0; i < r->elements; i++)
		(*ret)[i] = (int64_t)rpool_number(r->element[i]);
	*ret_n = r->elements;
	freeReplyObject(r);
	return ERR_OK;
}

/* --- by hand --- */

static enum err
set_some(struct pool_redis *p, int64_t group_id, const int64_t *ids, size_t n, enum key_state state,
	 int64_t *ret)
{
	struct buf cmd;

	rpool_script(p, &cmd, SCRIPT_STATE, 2 + n);
	rpool_arg_int(&cmd, group_id);
	rpool_arg_int(&cmd, state);
	for (size_t i = 0; i < n; i++)
		rpool_arg_int(&cmd, ids[i]);
	return rpool_eval_int(p, SCRIPT_STATE, &cmd, ret);
}

enum err
rpool_set_state(struct pool *pool, int64_t group_id, const int64_t *ids, size_t n,
		enum key_state state, size_t *ret_changed)
{
	size_t changed = 0;
	size_t step;

	for (size_t done = 0; done < n; done += step) {
		int64_t some = 0;
		enum err e;

		step = MIN(n - done, STEP_KEYS);
		e = set_some(redis_of(pool), group_id, ids + done, step, state, &some);
		if (e != ERR_OK)
			return e;
		changed += (size_t)some;
	}
	*ret_changed = changed;
	return ERR_OK;
}
