/* SPDX-License-Identifier: MIT
 *
 * The Redis store's small facts: whose pool this is, and the compiled configuration
 * with its version. A Redis that lost everything has none of them, and is filled
 * from the DB again.
 */
#include "lib/pool_redis.h"
#include "lib/str.h"

#include <stdlib.h>

/* --- identity --- */

enum err
rpool_identity_get(struct pool *pool, struct pool_identity *ret)
{
	struct pool_redis *p = redis_of(pool);
	redisReply *r = NULL;
	struct str installation;
	struct buf cmd;
	enum err e;

	buf_init(&cmd, 256);
	rpool_cmd(&cmd, 5);
	rpool_arg(&cmd, STR("HMGET"));
	rpool_arg(&cmd, STR("gptl:id"));
	rpool_arg(&cmd, STR("installation"));
	rpool_arg(&cmd, STR("generation"));
	rpool_arg(&cmd, STR("complete"));
	e = rpool_ask(p, &cmd, REDIS_REPLY_ARRAY, &r);
	if (e != ERR_OK)
		return e;
	*ret = (struct pool_identity){.generation = 0};
	if (r->elements == 3) {
		installation = rpool_text(r->element[0]);
		if (installation.n > 0)
			memcpy(ret->installation, installation.p,
			       MIN(installation.n, sizeof(ret->installation) - 1));
		ret->generation = rpool_number(r->element[1]);
		ret->complete = rpool_number(r->element[2]) == 1;
	}
	freeReplyObject(r);
	return ERR_OK;
}

enum err
rpool_identity_set(struct pool *pool, const struct pool_identity *id)
{
	struct pool_redis *p = redis_of(pool);
	redisReply *r = NULL;
	struct buf cmd;
	enum err e;

	buf_init(&cmd, 512);
	rpool_cmd(&cmd, 8);
	rpool_arg(&cmd, STR("HSET"));
	rpool_arg(&cmd, STR("gptl:id"));
	rpool_arg(&cmd, STR("installation"));
	rpool_arg(&cmd, str_of(id->installation));
	rpool_arg(&cmd, STR("generation"));
	rpool_arg_int(&cmd, (int64_t)id->generation);
	rpool_arg(&cmd, STR("complete"));
	rpool_arg_int(&cmd, id->complete);
	e = rpool_ask(p, &cmd, REDIS_REPLY_INTEGER, &r);
	if (e == ERR_OK)
		freeReplyObject(r);
	return e;
}

/* --- who lives here --- */

enum err
rpool_claim(struct pool *pool, const char *installation, struct buf *ret_name)
{
	struct pool_redis *p = redis_of(pool);
	redisReply *r = NULL;
	struct buf cmd;
	char name[37];
	enum err e;

	uuid7(name);
	rpool_script(p, &cmd, SCRIPT_CLAIM, 3);
	rpool_arg(&cmd, str_of(installation));
	rpool_arg(&cmd, str_of(name));
	rpool_arg_int(&cmd, POOL_CLAIM_S);
	e = rpool_eval(p, SCRIPT_CLAIM, &cmd, REDIS_REPLY_STRING, &r);
	if (e != ERR_OK)
		return e;
	if (rpool_text(r).n == 0)
		e = ERR_CONF;
	else
		buf_str(ret_name, rpool_text(r));
	freeReplyObject(r);
	return e == ERR_OK ? buf_err(ret_name) : e;
}

/* --- configuration --- */

/* Versions only grow; an answer may be older than a message that came meanwhile on the
 * other connection. */
void
rpool_saw_version(struct pool_redis *p, uint64_t version)
{
	uint64_t seen = atomic_load(&p->version);

	while (version > seen && !atomic_compare_exchange_weak(&p->version, &seen, version))
		;
}

/* The loop must not wait: it has heard of the last one by a message, by a pick or by
 * its timer. */
enum err
rpool_version(struct pool *pool, uint64_t *ret)
{
	struct pool_redis *p = redis_of(pool);
	redisReply *r = NULL;
	struct buf cmd;
	enum err e;

	if (rpool_in_loop(p)) {
		rpool_loop_listen(p->loop);
		*ret = atomic_load(&p->version);
		return ERR_OK;
	}
	buf_init(&cmd, 64);
	rpool_cmd(&cmd, 2);
	rpool_arg(&cmd, STR("MGET"));
	rpool_arg(&cmd, STR("gptl:version"));
	e = rpool_ask(p, &cmd, REDIS_REPLY_ARRAY, &r);
	if (e != ERR_OK)
		return e;
	*ret = r->elements == 1 ? rpool_number(r->element[0]) : 0;
	freeReplyObject(r);
	return ERR_OK;
}

enum err
rpool_snapshot_put(struct pool *pool, uint64_t version, struct str text, bool force)
{
	struct pool_redis *p = redis_of(pool);
	uint64_t unused;
	int64_t ok;
	struct buf cmd;
	enum err e;

	rpool_script(p, &cmd, SCRIPT_SNAPSHOT, 3);
	rpool_arg_int(&cmd, (int64_t)version);
	rpool_arg(&cmd, text);
	rpool_arg_int(&cmd, force);
	e = rpool_eval_int(p, SCRIPT_SNAPSHOT, &cmd, &ok);
	/* Redis may answer us before it tells the others; what it answers next comes
	 * after that. So whoever hears that a change is made finds it obeyed. */
	return e == ERR_OK ? rpool_version(pool, &unused) : e;
}

static void
snapshot_cmd(struct buf *cmd)
{
	buf_init(cmd, 128);
	rpool_cmd(cmd, 3);
	rpool_arg(cmd, STR("MGET"));
	rpool_arg(cmd, STR("gptl:version"));
	rpool_arg(cmd, STR("gptl:snapshot"));
}

enum err
rpool_snapshot_get(struct pool *pool, struct buf *out, uint64_t *ret_version)
{
	struct pool_redis *p = redis_of(pool);
	redisReply *r = NULL;
	struct buf cmd;
	enum err e;

	snapshot_cmd(&cmd);
	e = rpool_ask(p, &cmd, REDIS_REPLY_ARRAY, &r);
	if (e != ERR_OK)
		return e;
	if (r->elements != 2) {
		e = ERR_POOL;
	} else {
		buf_str(out, rpool_text(r->element[1]));
		e = buf_err(out);
		if (e == ERR_OK)
			*ret_version = rpool_number(r->element[0]);
	}
	freeReplyObject(r);
	return e;
}

struct snapshot_wait {
	snapshot_fn fn;
	void *arg;
};

static void
on_snapshot(void *arg, enum err e, const redisReply *r)
{
	AUTO_FREE struct snapshot_wait *w = arg;

	if (e == ERR_OK && r->elements != 2)
		e = ERR_POOL;
	if (e == ERR_OK)
		w->fn(w->arg, e, rpool_text(r->element[1]), rpool_number(r->element[0]));
	else
		w->fn(w->arg, e, (struct str){NULL, 0}, 0);
}

void
rpool_snapshot_ask(struct pool *pool, snapshot_fn fn, void *arg)
{
	struct pool_redis *p = redis_of(pool);
	struct snapshot_wait *w = xmalloc(sizeof(*w));
	struct buf cmd;

	*w = (struct snapshot_wait){fn, arg};
	snapshot_cmd(&cmd);
	rpool_say(p, SCRIPT__MAX, &cmd, REDIS_REPLY_ARRAY, on_snapshot, w);
}
