/* SPDX-License-Identifier: MIT
 *
 * The Redis store's hot path: who is next, and what became of it. Each is one
 * command and one answer. In the responder's loop the answer comes later, elsewhere
 * the call waits for it; what is made of the answer is the same.
 */
#include "lib/pool_redis.h"
#include "lib/str.h"

#include <stdlib.h>

/* --- either way --- */

void
rpool_say(struct pool_redis *p, enum script script, struct buf *cmd, int type, loop_fn fn,
	  void *arg)
{
	redisReply *r = NULL;
	enum err e;

	if (rpool_in_loop(p)) {
		rpool_loop_say(p->loop, script, cmd, type, fn, arg);
		return;
	}
	e = script == SCRIPT__MAX ? rpool_ask(p, cmd, type, &r)
				  : rpool_eval(p, script, cmd, type, &r);
	fn(arg, e, r);
	if (r != NULL)
		freeReplyObject(r);
}

/* --- pick --- */

struct pick_wait {
	struct pool_redis *p;
	bool in_loop;
	pick_fn fn;
	void *arg;
	struct pick_query q; /* not_these is `ids` */
	int64_t ids[];
};

/* {version, turn, id, record}, or {version, end of the first rest, complete}. */
static enum err
read_pick(const redisReply *r, struct pick *ret, bool *ret_whole)
{
	struct redis_key k;

	if (r->elements < 3)
		return ERR_POOL;
	ret->version = rpool_number(r->element[0]);
	*ret_whole = r->elements == 4 || rpool_number(r->element[2]) == 1;
	if (r->elements == 3) {
		ret->rest_end_ms = (int64_t)rpool_number(r->element[1]);
		return ret->rest_end_ms > 0 ? ERR_ALL_RESTING : ERR_NO_KEYS;
	}
	if (r->elements != 4 || !rpool_key_read(rpool_text(r->element[3]), &k))
		return ERR_POOL;
	ret->turn = rpool_number(r->element[1]);
	ret->key_id = (int64_t)rpool_number(r->element[2]);
	ret->fails = k.fails;
	memcpy(ret->hash, k.hash, sizeof(ret->hash));
	ret->stored = k.stored;
	return ERR_OK;
}

static void
on_pick(void *arg, enum err e, const redisReply *r)
{
	AUTO_FREE struct pick_wait *w = arg;
	struct pick pick = {0};
	bool whole = true;

	if (e == ERR_OK)
		e = read_pick(r, &pick, &whole);
	if (!whole && w->in_loop)
		rpool_away_begin(w->p->away);
	else if (e == ERR_OK || e == ERR_ALL_RESTING || e == ERR_NO_KEYS)
		rpool_saw_version(w->p, pick.version);
	else
		whole = false;
	if (!whole && w->in_loop) {
		rpool_away_pick(w->p->away, &w->q, w->fn, w->arg);
		return;
	}
	if (e == ERR_OK && w->in_loop)
		rpool_away_learn(w->p->away, w->q.group_id, &pick);
	w->fn(w->arg, e, &pick);
}

static struct pick_wait *
new_pick_wait(struct pool_redis *p, const struct pick_query *q, pick_fn fn, void *arg)
{
	struct pick_wait *w = xmalloc(sizeof(*w) + q->n_not_these * sizeof(w->ids[0]));

	*w = (struct pick_wait){.p = p, .in_loop = rpool_in_loop(p), .fn = fn, .arg = arg};
	if (q->n_not_these > 0)
		memcpy(w->ids, q->not_these, q->n_not_these * sizeof(w->ids[0]));
	w->q = (struct pick_query){
	    .group_id = q->group_id, .not_these = w->ids, .n_not_these = q->n_not_these};
	return w;
}

void
rpool_pick(struct pool *pool, const struct pick_query *q, pick_fn fn, void *arg)
{
	struct pool_redis *p = redis_of(pool);
	struct buf cmd;

	if (rpool_in_loop(p) && rpool_is_away(p->away)) {
		rpool_away_pick(p->away, q, fn, arg);
		return;
	}
	rpool_script(p, &cmd, SCRIPT_PICK, 2 + q->n_not_these);
	rpool_arg_now(&cmd);
	rpool_arg_int(&cmd, q->group_id);
	for (size_t i = 0; i < q->n_not_these; i++)
		rpool_arg_int(&cmd, q->not_these[i]);
	rpool_say(p, SCRIPT_PICK, &cmd, REDIS_REPLY_ARRAY, on_pick, new_pick_wait(p, q, fn, arg));
}

/* --- turn --- */

struct turn_wait {
	struct pool_redis *p;
	int64_t group_id; /* 0: not of the loop */
	turn_fn fn;
	void *arg;
};

static void
on_turn(void *arg, enum err e, const redisReply *r)
{
	struct turn_wait w = *(struct turn_wait *)arg;

	free(arg);
	if (e != ERR_OK && w.group_id != 0)
		w.fn(w.arg, ERR_OK, rpool_away_turn(w.p->away, w.group_id));
	else
		w.fn(w.arg, e, e == ERR_OK ? rpool_number(r) : 0);
}

void
rpool_turn(struct pool *pool, int64_t group_id, turn_fn fn, void *arg)
{
	struct pool_redis *p = redis_of(pool);
	bool in_loop = rpool_in_loop(p);
	struct turn_wait *w;
	struct buf cmd;

	if (in_loop && rpool_is_away(p->away)) {
		fn(arg, ERR_OK, rpool_away_turn(p->away, group_id));
		return;
	}
	w = xmalloc(sizeof(*w));
	*w = (struct turn_wait){p, in_loop ? group_id : 0, fn, arg};
	rpool_script(p, &cmd, SCRIPT_TURN, 1);
	rpool_arg_int(&cmd, group_id);
	rpool_say(p, SCRIPT_TURN, &cmd, REDIS_REPLY_INTEGER, on_turn, w);
}

/* --- report --- */

struct report_wait {
	struct pool_redis *p;
	report_fn fn;
	void *arg;
	/* In the loop: what is said again when Redis does not answer, NULL: nothing, and
	 * what came of it in this process's memory. */
	bool in_loop;
	struct kept_report *kept;
	enum pool_move move;
	uint32_t fails;
};

static void
on_report(void *arg, enum err e, const redisReply *r)
{
	struct report_wait w = *(struct report_wait *)arg;
	uint64_t move = POOL_MOVE_NONE;

	free(arg);
	if (e == ERR_OK && r->elements != 2)
		e = ERR_INTERNAL;
	if (e == ERR_OK)
		move = rpool_number(r->element[0]);
	if (e == ERR_POOL && w.in_loop) {
		rpool_away_keep(w.p->away, w.kept);
		if (w.fn != NULL)
			w.fn(w.arg, ERR_OK, w.move, w.fails);
		return;
	}
	rpool_away_drop(w.kept);
	if (w.fn == NULL)
		return;
	if (e == ERR_OK && move <= POOL_MOVE_BACK)
		w.fn(w.arg, e, (enum pool_move)move, (uint32_t)rpool_number(r->element[1]));
	else
		w.fn(w.arg, e == ERR_OK ? ERR_POOL : e, POOL_MOVE_NONE, 0);
}

void
rpool_report_cmd(struct pool_redis *p, const struct report *r, struct buf *cmd)
{
	rpool_script(p, cmd, SCRIPT_REPORT, 9);
	rpool_arg_now(cmd);
	rpool_arg_int(cmd, r->group_id);
	rpool_arg_int(cmd, r->key_id);
	rpool_arg_int(cmd, r->verdict);
	rpool_arg_int(cmd, r->threshold);
	rpool_arg_int(cmd, r->rest_until_ms);
	rpool_arg_int(cmd, r->next_check_ms);
	rpool_arg_int(cmd, r->status);
	rpool_arg(cmd, utf8_cut(r->error, POOL_ERROR_TEXT - 1));
}

void
rpool_report(struct pool *pool, const struct report *r, report_fn fn, void *arg)
{
	struct pool_redis *p = redis_of(pool);
	struct report_wait new = {.p = p, .fn = fn, .arg = arg, .in_loop = rpool_in_loop(p)};
	struct report_wait *w;
	struct buf cmd;

	if (new.in_loop)
		new.kept = rpool_away_note(p->away, r, &new.move, &new.fails);
	if (new.in_loop &&
	    (rpool_is_away(p->away) || (rpool_away_keeps(p->away) && new.kept != NULL))) {
		rpool_away_keep(p->away, new.kept);
		if (fn != NULL)
			fn(arg, ERR_OK, new.move, new.fails);
		return;
	}
	w = xmalloc(sizeof(*w));
	*w = new;
	rpool_report_cmd(p, r, &cmd);
	rpool_say(p, SCRIPT_REPORT, &cmd, REDIS_REPLY_ARRAY, on_report, w);
	/* The client who hears the outcome next must not reach the pool before it, by way
	 * of another worker. A success of a key that had no failure changes nothing, and
	 * goes out after the client's answer. */
	if (new.kept != NULL)
		rpool_loop_push(p->loop);
}
