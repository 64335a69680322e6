/* SPDX-License-Identifier: MIT
 *
 * The Redis store's blocking connection, and commands in the form that goes over
 * the wire. A connection that failed is made anew by the next command; the command
 * that saw the failure is not repeated, since the server may have done it.
 */
#include "lib/pool_redis.h"
#include "lib/clock.h"
#include "lib/str.h"

#include <netdb.h>
#include <poll.h>
#include <stdio.h>

/* The largest command: a snapshot, or a batch of keys. */
#define COMMAND_MAX ((size_t)512 * 1024 * 1024)

/* --- commands --- */

static void
number_line(struct buf *cmd, char kind, size_t n)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%c%zu\r\n", kind, n);

	buf_add(cmd, text, (size_t)len);
}

void
rpool_cmd(struct buf *cmd, size_t n)
{
	number_line(cmd, '*', n);
}

void
rpool_arg(struct buf *cmd, struct str arg)
{
	number_line(cmd, '$', arg.n);
	buf_str(cmd, arg);
	buf_cstr(cmd, "\r\n");
}

void
rpool_arg_int(struct buf *cmd, int64_t arg)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%lld", (long long)arg);

	rpool_arg(cmd, (struct str){text, (size_t)n});
}

void
rpool_arg_now(struct buf *cmd)
{
	rpool_arg_int(cmd, clock_is_fake() ? clock_wall_ms() : 0);
}

void
rpool_script(struct pool_redis *p, struct buf *cmd, enum script script, size_t n)
{
	buf_init(cmd, COMMAND_MAX);
	rpool_cmd(cmd, n + 3);
	rpool_arg(cmd, STR("EVALSHA"));
	rpool_arg(cmd, str_of(p->sha[script]));
	rpool_arg(cmd, STR("0"));
}

/* --- replies --- */

struct str
rpool_text(const redisReply *r)
{
	if (r->type != REDIS_REPLY_STRING && r->type != REDIS_REPLY_STATUS &&
	    r->type != REDIS_REPLY_ERROR)
		return (struct str){NULL, 0};
	return (struct str){r->str, (size_t)r->len};
}

uint64_t
rpool_number(const redisReply *r)
{
	int64_t n = 0;

	if (r->type == REDIS_REPLY_INTEGER)
		return (uint64_t)r->integer;
	return str_to_i64(rpool_text(r), 0, INT64_MAX, &n) ? (uint64_t)n : 0;
}

bool
rpool_is_noscript(const redisReply *r)
{
	return r != NULL && r->type == REDIS_REPLY_ERROR && str_starts(rpool_text(r), "NOSCRIPT");
}

enum err
rpool_reply_err(const redisReply *r, int type)
{
	if (r == NULL)
		return ERR_POOL;
	if (r->type == REDIS_REPLY_ERROR &&
	    (str_starts(rpool_text(r), "NOAUTH") || str_starts(rpool_text(r), "NOPERM")))
		return ERR_CONF;
	if (r->type == REDIS_REPLY_ERROR)
		return str_contains(rpool_text(r), "OOM ") ? ERR_POOL_FULL : ERR_POOL;
	return r->type == type ? ERR_OK : ERR_POOL;
}

/* --- connecting; with the connection's lock --- */

static void
disconnect(struct redis_conn *k)
{
	if (k->c != NULL)
		redisFree(k->c);
	k->c = NULL;
}

static struct timeval
timeval_of(int ms)
{
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};
}

/* The host's addresses, one after the other, until one takes the connection. */
static enum err
connect_host(struct pool_redis *p, struct redis_conn *k, struct errinfo *info)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	char address[sizeof(p->address)];
	struct addrinfo *all = NULL;
	int rc = getaddrinfo(p->dsn.host, NULL, &hints, &all);

	if (rc != 0)
		return err_set(info, ERR_POOL, "REDIS_DSN: the host %.200s has no address: %s",
			       p->dsn.host, gai_strerror(rc));
	for (struct addrinfo *a = all; a != NULL; a = a->ai_next) {
		if (getnameinfo(a->ai_addr, a->ai_addrlen, address, sizeof(address), NULL, 0,
				NI_NUMERICHOST) != 0)
			continue;
		disconnect(k);
		k->c = redisConnectWithTimeout(address, p->dsn.port, timeval_of(REDIS_CONNECT_MS));
		if (k->c != NULL && k->c->err == 0) {
			pthread_mutex_lock(&p->address_lock);
			memcpy(p->address, address, sizeof(address));
			pthread_mutex_unlock(&p->address_lock);
			break;
		}
	}
	freeaddrinfo(all);
	return ERR_OK;
}

static enum err
connect_any(struct pool_redis *p, struct redis_conn *k, struct errinfo *info)
{
	enum err e = ERR_OK;

	disconnect(k);
	if (p->dsn.host == NULL)
		k->c = redisConnectUnixWithTimeout(p->dsn.path, timeval_of(REDIS_CONNECT_MS));
	else
		e = connect_host(p, k, info);
	if (e == ERR_OK && (k->c == NULL || k->c->err != 0))
		e = err_set(info, ERR_POOL, "REDIS_DSN: Redis cannot be reached: %s",
			    k->c != NULL ? k->c->errstr : "no memory");
	if (e == ERR_OK && redisSetTimeout(k->c, timeval_of(REDIS_COMMAND_MS)) != REDIS_OK)
		e = err_set(info, ERR_POOL, "REDIS_DSN: no time limit can be set");
	return e;
}

/* One step of signing in, whose answer must be OK. */
static enum err
expect_ok(const struct redis_conn *k, redisReply *r, const char *what, struct errinfo *info)
{
	enum err e = ERR_OK;

	if (r == NULL)
		e = err_set(info, ERR_POOL, "REDIS_DSN: %s: %s", what, k->c->errstr);
	else if (r->type == REDIS_REPLY_ERROR)
		e = err_set(info, str_starts(rpool_text(r), "LOADING") ? ERR_POOL : ERR_CONF,
			    "REDIS_DSN: %s: %.200s", what, r->str);
	if (r != NULL)
		freeReplyObject(r);
	return e;
}

static enum err
sign_in(const struct pool_redis *p, const struct redis_conn *k, struct errinfo *info)
{
	const struct redis_dsn *d = &p->dsn;
	enum err e = ERR_OK;

	if (d->password != NULL && d->user != NULL)
		e = expect_ok(k, redisCommand(k->c, "AUTH %s %s", d->user, d->password),
			      "Redis refuses the user or its password", info);
	else if (d->password != NULL)
		e = expect_ok(k, redisCommand(k->c, "AUTH %s", d->password),
			      "Redis refuses the password", info);
	if (e == ERR_OK && d->db != 0)
		e = expect_ok(k, redisCommand(k->c, "select %d", d->db),
			      "Redis refuses the database's number", info);
	return e;
}

static enum err
connect_conn(struct pool_redis *p, struct redis_conn *k, struct errinfo *info)
{
	enum err e = connect_any(p, k, info);

	if (e == ERR_OK)
		e = sign_in(p, k, info);
	if (e != ERR_OK)
		disconnect(k);
	return e;
}

enum err
rpool_connect(struct pool_redis *p, struct errinfo *info)
{
	struct redis_conn *k = &p->conn;
	enum err e;

	pthread_mutex_lock(&k->lock);
	e = connect_conn(p, k, info);
	pthread_mutex_unlock(&k->lock);
	return e;
}

/* A connection on which something comes unasked has been closed at the other end. */
static bool
is_stale(const redisContext *c)
{
	struct pollfd fd = {.fd = c->fd, .events = POLLIN};

	return c->err != 0 || poll(&fd, 1, 0) != 0;
}

/* --- asking --- */

static enum err
exchange(struct pool_redis *p, struct redis_conn *k, const struct buf *cmd, redisReply **ret)
{
	void *reply = NULL;
	enum err e;

	if (k->c == NULL || is_stale(k->c)) {
		e = connect_conn(p, k, NULL);
		if (e != ERR_OK)
			return e;
	}
	if (redisAppendFormattedCommand(k->c, cmd->p, cmd->n) != REDIS_OK ||
	    redisGetReply(k->c, &reply) != REDIS_OK) {
		disconnect(k);
		return ERR_POOL;
	}
	*ret = reply;
	return ERR_OK;
}

/* With the lock. A server that is known to be away, or that hung a moment ago, is not
 * waited for. */
static enum err
say(struct pool_redis *p, struct redis_conn *k, const struct buf *cmd, redisReply **ret)
{
	int64_t begun = clock_mono_us();
	enum err e;

	*ret = NULL;
	if (buf_err(cmd) != ERR_OK)
		return ERR_POOL_FULL;
	if (atomic_load(&p->unreachable) || begun < k->retry_us)
		return ERR_POOL;
	e = exchange(p, k, cmd, ret);
	if (e != ERR_OK && clock_mono_us() - begun >= REDIS_HUNG_MS * INT64_C(1000))
		k->retry_us = clock_mono_us() + REDIS_PAUSE_MS * INT64_C(1000);
	return e == ERR_OK ? ERR_OK : ERR_POOL;
}

static enum err
settle(enum err e, int type, redisReply **r)
{
	if (e == ERR_OK)
		e = rpool_reply_err(*r, type);
	if (e != ERR_OK && *r != NULL) {
		freeReplyObject(*r);
		*r = NULL;
	}
	return e;
}

enum err
rpool_ask(struct pool_redis *p, struct buf *cmd, int type, redisReply **ret)
{
	struct redis_conn *k = &p->conn;
	enum err e;

	pthread_mutex_lock(&k->lock);
	e = say(p, k, cmd, ret);
	pthread_mutex_unlock(&k->lock);
	buf_done(cmd);
	return settle(e, type, ret);
}

/* With the lock. */
static enum err
load(struct pool_redis *p, struct redis_conn *k, enum script script)
{
	redisReply *r = NULL;
	struct buf cmd;
	enum err e;

	rpool_script_load(p, script, &cmd);
	e = settle(say(p, k, &cmd, &r), REDIS_REPLY_STRING, &r);
	buf_done(&cmd);
	if (r != NULL)
		freeReplyObject(r);
	return e;
}

enum err
rpool_eval(struct pool_redis *p, enum script script, struct buf *cmd, int type, redisReply **ret)
{
	struct redis_conn *k = &p->conn;
	enum err e;

	pthread_mutex_lock(&k->lock);
	e = say(p, k, cmd, ret);
	if (rpool_is_noscript(*ret)) {
		freeReplyObject(*ret);
		*ret = NULL;
		e = load(p, k, script);
		if (e == ERR_OK)
			e = say(p, k, cmd, ret);
	}
	pthread_mutex_unlock(&k->lock);
	buf_done(cmd);
	return settle(e, type, ret);
}

enum err
rpool_eval_int(struct pool_redis *p, enum script script, struct buf *cmd, int64_t *ret)
{
	redisReply *r = NULL;
	enum err e = rpool_eval(p, script, cmd, REDIS_REPLY_INTEGER, &r);

	if (e != ERR_OK)
		return e;
	*ret = r->integer;
	freeReplyObject(r);
	return ERR_OK;
}
