/* SPDX-License-Identifier: MIT
 *
 * The Redis store of the key pool: opening, closing, and what it needs of a server.
 */
#include "lib/pool_redis.h"
#include "lib/conf.h"
#include "lib/str.h"

#include <stdio.h>
#include <stdlib.h>

/* The first that replicates what scripts did instead of the scripts. */
#define SERVER_MAJOR_MIN 5
#define WARNING_MAX      1024

void
rpool_channel(const struct pool_redis *p, char *ret, size_t size)
{
	(void)snprintf(ret, size, "gptl:version:%d", p->dsn.db);
}

bool
rpool_in_loop(const struct pool_redis *p)
{
	return p->loop != NULL && pthread_equal(pthread_self(), p->loop_thread);
}

/* --- what the server says of itself --- */

/* The value of "name:value" in INFO's text; empty when it is not there. */
static struct str
fact(struct str text, const char *name)
{
	struct str line;
	size_t n = strlen(name);

	while (str_split(&text, '\n', &line)) {
		line = str_trim(line);
		if (str_starts(line, name) && line.n > n && line.p[n] == ':')
			return str_from(line, n + 1);
	}
	return (struct str){NULL, 0};
}

static int64_t
major_of(struct str version)
{
	int64_t major = 0;
	struct str piece;

	if (!str_split(&version, '.', &piece) || !str_to_i64(piece, 0, 1000, &major))
		return 0;
	return major;
}

static enum err
command(struct pool_redis *p, const char *const *words, size_t n, int type, redisReply **ret)
{
	struct buf cmd;

	buf_init(&cmd, 1024);
	rpool_cmd(&cmd, n);
	for (size_t i = 0; i < n; i++)
		rpool_arg(&cmd, str_of(words[i]));
	return rpool_ask(p, &cmd, type, ret);
}

static void
warn(struct pool_redis *p, const char *text)
{
	buf_printf(&p->warning, "%s%s", p->warning.n > 0 ? "; " : "", text);
}

/* Without the right to ask for it nothing is said. */
static bool
saves_nothing(struct pool_redis *p)
{
	static const char *const words[] = {"CONFIG", "GET", "save"};
	redisReply *r = NULL;
	bool nothing;

	if (command(p, words, ARRAY_LEN(words), REDIS_REPLY_ARRAY, &r) != ERR_OK)
		return false;
	nothing = r->elements == 2 && r->element[1]->len == 0;
	freeReplyObject(r);
	return nothing;
}

static void
look_for_risks(struct pool_redis *p, struct str info)
{
	if (str_starts(fact(info, "maxmemory_policy"), "allkeys") &&
	    !str_is(fact(info, "maxmemory"), "0"))
		warn(p, "Redis would evict keys of the pool when its memory is full: set "
			"maxmemory-policy to noeviction");
	if (str_is(fact(info, "aof_enabled"), "0") && saves_nothing(p))
		warn(p, "Redis keeps nothing on disk: after its restart the pool is filled from "
			"the database, and rests are forgotten");
}

static enum err
check_server(struct pool_redis *p, int64_t *ret_major, struct errinfo *info)
{
	static const char *const words[] = {"INFO"};
	redisReply *r = NULL;
	struct str text;
	enum err e = command(p, words, ARRAY_LEN(words), REDIS_REPLY_STRING, &r);

	if (e == ERR_CONF)
		return err_set(info, ERR_CONF,
			       "REDIS_DSN: Redis does not answer INFO: it wants a user and a "
			       "password, or this user may not ask");
	if (e != ERR_OK)
		return err_set(info, e, "REDIS_DSN: Redis does not answer INFO");
	text = rpool_text(r);
	*ret_major = major_of(fact(text, "redis_version"));
	if (str_is(fact(text, "cluster_enabled"), "1"))
		e = err_set(info, ERR_CONF,
			    "REDIS_DSN: this is a Redis Cluster, which is not supported: use a "
			    "single server, or one with replicas");
	else if (*ret_major < SERVER_MAJOR_MIN)
		e = err_set(info, ERR_CONF, "REDIS_DSN: Redis %d or later is needed",
			    SERVER_MAJOR_MIN);
	else
		look_for_risks(p, text);
	freeReplyObject(r);
	return e;
}

static enum err
load_scripts(struct pool_redis *p, struct errinfo *info)
{
	for (size_t i = 0; i < SCRIPT__MAX; i++) {
		redisReply *r = NULL;
		struct buf cmd;
		enum err e;

		rpool_script_load(p, (enum script)i, &cmd);
		e = rpool_ask(p, &cmd, REDIS_REPLY_STRING, &r);
		if (e != ERR_OK)
			return err_set(info, e, "REDIS_DSN: Redis does not take the scripts");
		(void)snprintf(p->sha[i], sizeof(p->sha[i]), "%s", r->str);
		freeReplyObject(r);
	}
	return ERR_OK;
}

/* --- opening and closing --- */

static void
rpool_close(struct pool *pool)
{
	struct pool_redis *p = redis_of(pool);

	if (p->away != NULL)
		rpool_away_close(p->away);
	rpool_loop_free(p->loop);
	rpool_away_free(p->away);
	if (p->conn.c != NULL)
		redisFree(p->conn.c);
	pthread_mutex_destroy(&p->conn.lock);
	for (size_t i = 0; i < SCRIPT__MAX; i++)
		buf_done(&p->text[i]);
	pthread_mutex_destroy(&p->address_lock);
	buf_done(&p->warning);
	rpool_dsn_done(&p->dsn);
	free(p);
}

/* Asks something, so that a connection that broke is made anew, with the host's
 * address as it is now. */
static void
rpool_tend(struct pool *pool)
{
	uint64_t version;

	(void)!rpool_version(pool, &version);
}

static void
rpool_attach(struct pool *pool, struct event_base *base)
{
	struct pool_redis *p = redis_of(pool);

	check(p->loop == NULL);
	p->loop_thread = pthread_self();
	p->away = rpool_away_new(p, base);
	p->loop = rpool_loop_new(p, base);
}

static void
rpool_warning(struct pool *pool, struct buf *out)
{
	buf_str(out, buf_view(&redis_of(pool)->warning));
}

static const struct pool_store store = {
    .close = rpool_close,
    .identity_get = rpool_identity_get,
    .identity_set = rpool_identity_set,
    .version = rpool_version,
    .snapshot_put = rpool_snapshot_put,
    .snapshot_get = rpool_snapshot_get,
    .snapshot_ask = rpool_snapshot_ask,
    .pick = rpool_pick,
    .turn = rpool_turn,
    .report = rpool_report,
    .sync = rpool_sync,
    .drop_group = rpool_drop_group,
    .groups = rpool_groups,
    .set_state = rpool_set_state,
    .counts = rpool_counts,
    .key_info = rpool_key_info,
    .dirty = rpool_dirty,
    .dirty_clear = rpool_dirty_clear,
    .due = rpool_due,
    .check_failed = rpool_check_failed,
    .tend = rpool_tend,
    .verify = rpool_verify,
    .attach = rpool_attach,
    .claim = rpool_claim,
    .warning = rpool_warning,
    .away = rpool_away,
    .wants_keys = rpool_wants_keys,
    .give_keys = rpool_give_keys,
    .on_want = rpool_on_want,
};

enum err
pool_redis_open(const struct conf *conf, struct pool **ret, struct errinfo *info)
{
	struct pool_redis *p = xcalloc(1, sizeof(*p));
	int64_t major = 0;
	enum err e;

	p->pool.store = &store;
	buf_init(&p->warning, WARNING_MAX);
	pthread_mutex_init(&p->address_lock, NULL);
	pthread_mutex_init(&p->conn.lock, NULL);
	e = rpool_dsn_parse(conf->redis_dsn, &p->dsn, info);
	if (e == ERR_OK)
		e = rpool_connect(p, info);
	if (e == ERR_OK)
		e = check_server(p, &major, info);
	if (e == ERR_OK) {
		rpool_scripts_init(p, major);
		e = load_scripts(p, info);
	}
	if (e != ERR_OK) {
		rpool_close(&p->pool);
		return e;
	}
	*ret = &p->pool;
	return ERR_OK;
}
