/* SPDX-License-Identifier: MIT
 *
 * The Redis store looked at: the record of a key, counts, state that the DB does
 * not have yet, and the keys that are out and shall be tried again.
 */
#include "lib/pool_redis.h"
#include "lib/str.h"

#include <endian.h>
#include <stdlib.h>

#define CLEAR_STEP 1000

/* --- the record: HEAD of lib/redis/common.lua, little-endian --- */

static uint64_t
get(const char **at, size_t n)
{
	uint64_t v = 0;

	memcpy(&v, *at, n);
	*at += n;
	return le64toh(v);
}

static void
put(char **at, uint64_t v, size_t n)
{
	v = htole64(v);
	memcpy(*at, &v, n);
	*at += n;
}

bool
rpool_key_read(struct str record, struct redis_key *ret)
{
	const char *at = record.p;
	uint64_t stored, state;

	if (record.n < REDIS_KEY_HEAD)
		return false;
	*ret = (struct redis_key){.group = get(&at, 8)};
	ret->seq = get(&at, 8);
	ret->at_ms = (int64_t)get(&at, 8);
	ret->failed_at_ms = (int64_t)get(&at, 8);
	ret->fails = (uint32_t)get(&at, 4);
	ret->checks = (uint32_t)get(&at, 4);
	ret->step_ms = (uint32_t)get(&at, 4);
	stored = get(&at, 2);
	ret->status = (uint16_t)get(&at, 2);
	state = get(&at, 1);
	memcpy(ret->hash, at, sizeof(ret->hash));
	if (state >= KEY__MAX || stored > record.n - REDIS_KEY_HEAD)
		return false;
	ret->state = (enum key_state)state;
	ret->stored = (struct str){record.p + REDIS_KEY_HEAD, stored};
	ret->error = str_from(record, REDIS_KEY_HEAD + stored);
	return ret->error.n < POOL_ERROR_TEXT;
}

void
rpool_key_head(char *head, const struct pool_key *key, int64_t group)
{
	char *at = head;

	put(&at, (uint64_t)group, 8);
	put(&at, key->seq, 8);
	put(&at, 0, 8);
	put(&at, 0, 8);
	put(&at, key->fails, 4);
	put(&at, 0, 4);
	put(&at, 0, 4);
	put(&at, key->stored.n, 2);
	put(&at, 0, 2);
	put(&at, key->state, 1);
	memcpy(at, key->hash, sizeof(key->hash));
}

/* --- looking --- */

enum err
rpool_counts(struct pool *pool, int64_t group_id, struct pool_counts *ret)
{
	struct pool_redis *p = redis_of(pool);
	redisReply *r = NULL;
	struct buf cmd;
	enum err e;

	rpool_script(p, &cmd, SCRIPT_COUNTS, 1);
	rpool_arg_int(&cmd, group_id);
	e = rpool_eval(p, SCRIPT_COUNTS, &cmd, REDIS_REPLY_ARRAY, &r);
	if (e != ERR_OK)
		return e;
	if (r->elements != KEY__MAX)
		e = ERR_POOL;
	for (size_t i = 0; e == ERR_OK && i < KEY__MAX; i++)
		ret->by_state[i] = (int64_t)rpool_number(r->element[i]);
	freeReplyObject(r);
	return e;
}

static enum err
info_read(struct str record, uint64_t id, struct key_info *ret)
{
	struct redis_key k;

	if (!rpool_key_read(record, &k))
		return ERR_POOL;
	*ret = (struct key_info){.id = (int64_t)id,
				 .group_id = (int64_t)k.group,
				 .state = k.state,
				 .fails = k.fails,
				 .seq = k.seq,
				 .checks = k.checks,
				 .status = k.status,
				 .failed_at_ms = k.failed_at_ms};
	if (k.state == KEY_RESTING)
		ret->rest_until_ms = k.at_ms;
	if (k.state == KEY_INVALID)
		ret->next_check_ms = k.at_ms;
	if (k.error.n > 0)
		memcpy(ret->error, k.error.p, k.error.n);
	return ERR_OK;
}

enum err
rpool_key_info(struct pool *pool, int64_t key_id, struct key_info *ret)
{
	struct pool_redis *p = redis_of(pool);
	AUTO_FREE
	char *name = xasprintf("gptl:k:%lld", (long long)key_id);
	redisReply *r = NULL;
	struct buf cmd;
	enum err e;

	buf_init(&cmd, 256);
	rpool_cmd(&cmd, 2);
	rpool_arg(&cmd, STR("MGET"));
	rpool_arg(&cmd, str_of(name));
	e = rpool_ask(p, &cmd, REDIS_REPLY_ARRAY, &r);
	if (e != ERR_OK)
		return e;
	if (r->elements != 1)
		e = ERR_POOL;
	else if (r->element[0]->type == REDIS_REPLY_NIL)
		e = ERR_NOT_FOUND;
	else
		e = info_read(rpool_text(r->element[0]), (uint64_t)key_id, ret);
	freeReplyObject(r);
	return e;
}

/* --- state on its way back to the DB --- */

enum err
rpool_dirty(struct pool *pool, struct key_info *ret, size_t max, size_t *ret_n)
{
	struct pool_redis *p = redis_of(pool);
	redisReply *r = NULL;
	size_t n = 0;
	struct buf cmd;
	enum err e;

	rpool_script(p, &cmd, SCRIPT_DIRTY, 1);
	rpool_arg_int(&cmd, (int64_t)max - 1);
	e = rpool_eval(p, SCRIPT_DIRTY, &cmd, REDIS_REPLY_ARRAY, &r);
	if (e != ERR_OK)
		return e;
	for (size_t i = 0; e == ERR_OK && i + 1 < r->elements && n < max; i += 2)
		e = info_read(rpool_text(r->element[i + 1]), rpool_number(r->element[i]),
			      &ret[n++]);
	freeReplyObject(r);
	if (e == ERR_OK)
		*ret_n = n;
	return e;
}

enum err
rpool_dirty_clear(struct pool *pool, const struct key_info *keys, size_t n)
{
	struct pool_redis *p = redis_of(pool);
	enum err e = ERR_OK;
	size_t step;

	for (size_t done = 0; done < n && e == ERR_OK; done += step) {
		int64_t ok;
		struct buf cmd;

		step = MIN(n - done, CLEAR_STEP);
		rpool_script(p, &cmd, SCRIPT_CLEAR, 2 * step);
		for (size_t i = done; i < done + step; i++) {
			rpool_arg_int(&cmd, keys[i].id);
			rpool_arg_int(&cmd, (int64_t)keys[i].seq);
		}
		e = rpool_eval_int(p, SCRIPT_CLEAR, &cmd, &ok);
	}
	return e;
}

/* --- keys to try again --- */

static enum err
due_read(const redisReply *id, const redisReply *record, struct due_key *ret)
{
	struct redis_key k;

	if (!rpool_key_read(rpool_text(record), &k))
		return ERR_POOL;
	*ret = (struct due_key){.id = (int64_t)rpool_number(id),
				.group_id = (int64_t)k.group,
				.checks = k.checks,
				.stored = xstrndup(k.stored.p, k.stored.n)};
	return ERR_OK;
}

enum err
rpool_due(struct pool *pool, int64_t group_id, int64_t now_ms, int64_t lease_ms,
	  struct due_key *ret, size_t max, size_t *ret_n)
{
	struct pool_redis *p = redis_of(pool);
	redisReply *r = NULL;
	size_t n = 0;
	struct buf cmd;
	enum err e;

	rpool_script(p, &cmd, SCRIPT_DUE, 4);
	rpool_arg_int(&cmd, group_id);
	rpool_arg_int(&cmd, now_ms);
	rpool_arg_int(&cmd, now_ms + lease_ms);
	rpool_arg_int(&cmd, (int64_t)max);
	e = rpool_eval(p, SCRIPT_DUE, &cmd, REDIS_REPLY_ARRAY, &r);
	if (e != ERR_OK)
		return e;
	for (size_t i = 0; e == ERR_OK && i + 1 < r->elements && n < max; i += 2) {
		e = due_read(r->element[i], r->element[i + 1], &ret[n]);
		n += e == ERR_OK;
	}
	freeReplyObject(r);
	if (e == ERR_OK) {
		*ret_n = n;
		return ERR_OK;
	}
	while (n > 0)
		free(ret[--n].stored);
	return e;
}

enum err
rpool_check_failed(struct pool *pool, int64_t key_id, int64_t next_ms, int status, struct str error)
{
	struct pool_redis *p = redis_of(pool);
	int64_t ok;
	struct buf cmd;

	rpool_script(p, &cmd, SCRIPT_CHECK, 5);
	rpool_arg_now(&cmd);
	rpool_arg_int(&cmd, key_id);
	rpool_arg_int(&cmd, next_ms);
	rpool_arg_int(&cmd, status);
	rpool_arg(&cmd, utf8_cut(error, POOL_ERROR_TEXT - 1));
	return rpool_eval_int(p, SCRIPT_CHECK, &cmd, &ok);
}

enum err
rpool_verify(struct pool *pool, struct errinfo *info)
{
	struct pool_redis *p = redis_of(pool);
	redisReply *r = NULL;
	struct buf cmd;
	enum err e;

	rpool_script(p, &cmd, SCRIPT_VERIFY, 0);
	e = rpool_eval(p, SCRIPT_VERIFY, &cmd, REDIS_REPLY_STRING, &r);
	if (e != ERR_OK)
		return err_set(info, e, "the look through the whole store failed");
	if (r->len > 0)
		e = err_set(info, ERR_POOL, "%.400s", r->str);
	freeReplyObject(r);
	return e;
}
