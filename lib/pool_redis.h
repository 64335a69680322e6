/* SPDX-License-Identifier: MIT
 *
 * Inside of the Redis store: the connections, the scripts and the record of a key.
 * For pool_redis*.c only. What lies in Redis is described in lib/redis/common.lua;
 * every operation that changes something is one of the scripts beside it.
 *
 * There are two ways in. A blocking connection, behind a lock, serves admin programs
 * and the jobs thread. The responder's loop has asynchronous ones for the hot path
 * (pool_redis_loop.c), and a blocking one of its own for the rest, which is rare: a
 * new configuration is read.
 */
#ifndef LIB_POOL_REDIS_H
#define LIB_POOL_REDIS_H

#include "lib/pool_store.h"

#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

/* How long one command may take; larger than the longest script. */
#define REDIS_COMMAND_MS 2000
#define REDIS_CONNECT_MS 2000
/* A server that has not answered the loop for so long is away. Looked at every
 * REDIS_TICK_MS, so that no request waits longer than both together. */
#define REDIS_AWAY_MS 500
#define REDIS_TICK_MS 250
/* A blocking caller that waited in vain for so long is refused at once for a while. */
#define REDIS_HUNG_MS  300
#define REDIS_PAUSE_MS 500

enum script {
	SCRIPT_PICK,
	SCRIPT_TURN,
	SCRIPT_REPORT,
	SCRIPT_SYNC,
	SCRIPT_DROP,
	SCRIPT_GROUPS,
	SCRIPT_STATE,
	SCRIPT_COUNTS,
	SCRIPT_DIRTY,
	SCRIPT_CLEAR,
	SCRIPT_DUE,
	SCRIPT_CHECK,
	SCRIPT_SNAPSHOT,
	SCRIPT_VERIFY,
	SCRIPT_CLAIM,
	SCRIPT__MAX
};

struct redis_dsn {
	char *host; /* NULL: a Unix socket */
	int port;
	char *path;     /* of the socket */
	char *user;     /* NULL: the default one */
	char *password; /* NULL: none is sent */
	int db;
};

/* A blocking connection. */
struct redis_conn {
	pthread_mutex_t lock;
	redisContext *c;  /* NULL: not connected */
	int64_t retry_us; /* mono; not before, after it hung */
};

struct redis_loop;
struct redis_away;

struct pool_redis {
	struct pool pool; /* first: the interface's handle */
	struct redis_dsn dsn;
	/* SCRIPT LOAD's argument and answer; constant once the pool is open. */
	struct buf text[SCRIPT__MAX];
	char sha[SCRIPT__MAX][41];
	struct redis_conn conn; /* of all threads but the loop */
	pthread_mutex_t address_lock;
	/* The numeric address that was reached last: the loop must not resolve. */
	char address[INET6_ADDRSTRLEN + 16];
	_Atomic uint64_t version; /* the last one heard of */
	struct redis_loop *loop;  /* NULL: not attached, as the next */
	struct redis_away *away;
	_Atomic bool unreachable; /* the loop's connection says so */
	pthread_t loop_thread;
	struct buf warning;
};

static inline struct pool_redis *
redis_of(struct pool *p)
{
	return container_of(p, struct pool_redis, pool);
}

/* --- the DSN (pool_redis_dsn.c) --- */
enum err rpool_dsn_parse(const char *text, struct redis_dsn *ret, struct errinfo *info) MUST_CHECK;
void rpool_dsn_done(struct redis_dsn *dsn);

/* --- commands in Redis' own form (pool_redis_conn.c) --- */
/* The head of a command of n arguments, each to be added with one of the next. */
void rpool_cmd(struct buf *cmd, size_t n);
void rpool_arg(struct buf *cmd, struct str arg);
void rpool_arg_int(struct buf *cmd, int64_t arg);
/* EVALSHA of a script with n arguments to follow. Inits cmd. */
void rpool_script(struct pool_redis *p, struct buf *cmd, enum script script, size_t n);
/* What scripts take as the time: 0, the server's own, unless a test has moved ours. */
void rpool_arg_now(struct buf *cmd);

/* --- blocking (pool_redis_conn.c) --- */
enum err rpool_connect(struct pool_redis *p, struct errinfo *info) MUST_CHECK;
/* Says the command, and frees it. On success *ret is to be freed with
 * freeReplyObject(), and is of the given type. */
enum err rpool_ask(struct pool_redis *p, struct buf *cmd, int type, redisReply **ret) MUST_CHECK;
/* As above for a script; one that the server forgot is loaded again. */
enum err rpool_eval(struct pool_redis *p, enum script script, struct buf *cmd, int type,
		    redisReply **ret) MUST_CHECK;
/* As above, for a script whose answer says nothing, or a number. */
enum err rpool_eval_int(struct pool_redis *p, enum script script, struct buf *cmd, int64_t *ret)
    MUST_CHECK;
/* What a reply of the server's means: ERR_OK, ERR_POOL or ERR_POOL_FULL. */
enum err rpool_reply_err(const redisReply *r, int type) MUST_CHECK;
bool rpool_is_noscript(const redisReply *r);
/* An integer, or a text that is one; 0 for all else. */
uint64_t rpool_number(const redisReply *r);
struct str rpool_text(const redisReply *r);

/* --- scripts (pool_redis_script.c) --- */
/* Puts the texts together, for a server of this major version. */
void rpool_scripts_init(struct pool_redis *p, int64_t server_major);
/* SCRIPT LOAD. Inits cmd. */
void rpool_script_load(const struct pool_redis *p, enum script script, struct buf *cmd);

/* --- the record of a key (pool_redis_look.c) --- */
#define REDIS_KEY_HEAD 81

struct redis_key {
	uint64_t id;
	uint64_t group;
	uint64_t seq;
	int64_t at_ms; /* RESTING: until when; INVALID: the next check */
	int64_t failed_at_ms;
	uint32_t fails;
	uint32_t checks;
	uint32_t step_ms;
	uint16_t status;
	enum key_state state;
	uint8_t hash[CRYPT_HASH_BYTES];
	struct str stored; /* borrowed, like the next */
	struct str error;
};
bool rpool_key_read(struct str record, struct redis_key *ret) MUST_CHECK;
/* Of a key that comes new; without its last error. head[REDIS_KEY_HEAD]. */
void rpool_key_head(char *head, const struct pool_key *key, int64_t group);

/* --- the loop (pool_redis_loop.c) --- */
struct event_base;
/* One command of the loop; the answer, NULL when there is none, goes to fn. */
typedef void (*loop_fn)(void *arg, enum err e, const redisReply *r);

struct redis_loop *rpool_loop_new(struct pool_redis *p, struct event_base *base) MUST_CHECK;
/* Waits a moment for what was said and not answered yet. */
void rpool_loop_free(struct redis_loop *l); /* NULL is fine */
/* SCRIPT__MAX: no script. Frees cmd. May call fn before it returns, when there is no
 * connection. */
void rpool_loop_say(struct redis_loop *l, enum script script, struct buf *cmd, int type, loop_fn fn,
		    void *arg);
/* The same in the way that suits the calling thread; outside the loop it waits. */
void rpool_say(struct pool_redis *p, enum script script, struct buf *cmd, int type, loop_fn fn,
	       void *arg);
/* Reads what has come about the version, without waiting for anything. */
void rpool_loop_listen(struct redis_loop *l);
/* What was said so far leaves now, as far as the socket takes it. Calls nobody back. */
void rpool_loop_push(struct redis_loop *l);
/* The loop reads and writes this connection from now on, until hiredis frees it
 * (pool_redis_watch.c). */
struct redisAsyncContext;
void rpool_watch(struct redisAsyncContext *ac, struct event_base *base);
/* The channel on which the database's versions are told. */
void rpool_channel(const struct pool_redis *p, char *ret, size_t size);
/* Whether the calling thread is the loop. */
bool rpool_in_loop(const struct pool_redis *p);
void rpool_saw_version(struct pool_redis *p, uint64_t version);

/* --- while Redis is away (pool_redis_away.c); of the loop's thread, but for the last --- */
struct redis_away *rpool_away_new(struct pool_redis *p, struct event_base *base) MUST_CHECK;
/* Whoever waits gets ERR_POOL. */
void rpool_away_close(struct redis_away *a);
void rpool_away_free(struct redis_away *a); /* NULL is fine */
bool rpool_is_away(const struct redis_away *a);
/* It does not answer, or has lost what the pool was. */
void rpool_away_begin(struct redis_away *a);
/* It is back and whole: what was kept is said. */
void rpool_away_end(struct redis_away *a);
void rpool_away_tick(struct redis_away *a);
void rpool_away_learn(struct redis_away *a, int64_t group_id, const struct pick *p);
void rpool_away_forget(struct redis_away *a, int64_t group_id); /* 0: all groups */
void rpool_away_pick(struct redis_away *a, const struct pick_query *q, pick_fn fn, void *arg);
uint64_t rpool_away_turn(struct redis_away *a, int64_t group_id);
/* Notes the report in this process's memory. NULL: it changes nothing for Redis; else
 * what rpool_away_keep() or rpool_away_drop() takes over. */
struct kept_report *rpool_away_note(struct redis_away *a, const struct report *r,
				    enum pool_move *ret_move, uint32_t *ret_fails);
void rpool_away_keep(struct redis_away *a, struct kept_report *k);
/* Some are kept: another goes behind them. */
bool rpool_away_keeps(const struct redis_away *a);
void rpool_away_drop(struct kept_report *k); /* NULL is fine */
/* The command that tells Redis; in pool_redis_hot.c. Inits cmd. */
void rpool_report_cmd(struct pool_redis *p, const struct report *r, struct buf *cmd);
void rpool_away(struct pool *p, struct pool_away *ret);
bool rpool_wants_keys(struct pool *p, int64_t *ret_group);
void rpool_give_keys(struct pool *p, int64_t group_id, const struct pool_key *keys, size_t n,
		     enum err e);
void rpool_on_want(struct pool *p, void (*fn)(void *arg), void *arg);

/* --- the parts, as pool_store wants them --- */
void rpool_pick(struct pool *p, const struct pick_query *q, pick_fn fn, void *arg);
void rpool_turn(struct pool *p, int64_t group_id, turn_fn fn, void *arg);
void rpool_report(struct pool *p, const struct report *r, report_fn fn, void *arg);

enum err rpool_sync(struct pool *p, int64_t group_id, int64_t first_id, int64_t last_id,
		    const struct pool_key *keys, size_t n, bool force);
enum err rpool_drop_group(struct pool *p, int64_t group_id);
enum err rpool_groups(struct pool *p, int64_t **ret, size_t *ret_n);
enum err rpool_set_state(struct pool *p, int64_t group_id, const int64_t *ids, size_t n,
			 enum key_state state, size_t *ret_changed);

enum err rpool_identity_get(struct pool *p, struct pool_identity *ret);
enum err rpool_identity_set(struct pool *p, const struct pool_identity *id);
enum err rpool_claim(struct pool *p, const char *installation, struct buf *ret_name);
enum err rpool_version(struct pool *p, uint64_t *ret);
enum err rpool_snapshot_put(struct pool *p, uint64_t version, struct str text, bool force);
enum err rpool_snapshot_get(struct pool *p, struct buf *out, uint64_t *ret_version);
void rpool_snapshot_ask(struct pool *p, snapshot_fn fn, void *arg);

enum err rpool_counts(struct pool *p, int64_t group_id, struct pool_counts *ret);
enum err rpool_key_info(struct pool *p, int64_t key_id, struct key_info *ret);
enum err rpool_dirty(struct pool *p, struct key_info *ret, size_t max, size_t *ret_n);
enum err rpool_dirty_clear(struct pool *p, const struct key_info *keys, size_t n);
enum err rpool_due(struct pool *p, int64_t group_id, int64_t now_ms, int64_t lease_ms,
		   struct due_key *ret, size_t max, size_t *ret_n);
enum err rpool_check_failed(struct pool *p, int64_t key_id, int64_t next_ms, int status,
			    struct str error);
enum err rpool_verify(struct pool *p, struct errinfo *info);

#endif
