/* SPDX-License-Identifier: MIT
 *
 * The key pool's front: chooses the store and forwards to it. What the stores
 * must agree on is said in pool.h.
 */
#include "lib/pool.h"
#include "lib/conf.h"
#include "lib/pool_store.h"
#include "lib/str.h"

const char *
key_state_status(enum key_state state)
{
	switch (state) {
	case KEY_ACTIVE:
	case KEY_RESTING:
		return "active";
	case KEY_INVALID:
		return "invalid";
	case KEY_DISABLED:
		return "disabled";
	case KEY__MAX:
		break;
	}
	check(!"a state of a key");
}

bool
key_state_parse(struct str status, enum key_state *ret)
{
	static const enum key_state states[] = {KEY_ACTIVE, KEY_INVALID, KEY_DISABLED};

	for (size_t i = 0; i < ARRAY_LEN(states); i++) {
		if (str_is(status, key_state_status(states[i]))) {
			*ret = states[i];
			return true;
		}
	}
	return false;
}

enum err
pool_open(const struct conf *conf, struct pool **ret, struct errinfo *info)
{
	if (conf->redis_dsn != NULL && conf->redis_dsn[0] != '\0')
#ifdef HAVE_REDIS
		return pool_redis_open(conf, ret, info);
#else
		return err_set(info, ERR_CONF, "REDIS_DSN: this build has no Redis driver");
#endif
	return pool_lmdb_open(conf, ret, info);
}

void
pool_close(struct pool *p)
{
	if (p != NULL)
		p->store->close(p);
}

enum err
pool_identity_get(struct pool *p, struct pool_identity *ret)
{
	return p->store->identity_get(p, ret);
}

enum err
pool_identity_set(struct pool *p, const struct pool_identity *id)
{
	return p->store->identity_set(p, id);
}

enum err
pool_version(struct pool *p, uint64_t *ret)
{
	return p->store->version(p, ret);
}

enum err
pool_snapshot_put(struct pool *p, uint64_t version, struct str text, bool force)
{
	return p->store->snapshot_put(p, version, text, force);
}

enum err
pool_snapshot_get(struct pool *p, struct buf *out, uint64_t *ret_version)
{
	return p->store->snapshot_get(p, out, ret_version);
}

void
pool_snapshot_ask(struct pool *p, snapshot_fn fn, void *arg)
{
	p->store->snapshot_ask(p, fn, arg);
}

void
pool_pick(struct pool *p, const struct pick_query *q, pick_fn fn, void *arg)
{
	p->store->pick(p, q, fn, arg);
}

void
pool_turn(struct pool *p, int64_t group_id, turn_fn fn, void *arg)
{
	p->store->turn(p, group_id, fn, arg);
}

void
pool_report(struct pool *p, const struct report *r, report_fn fn, void *arg)
{
	p->store->report(p, r, fn, arg);
}

enum err
pool_sync(struct pool *p, int64_t group_id, int64_t first_id, int64_t last_id,
	  const struct pool_key *keys, size_t n, bool force)
{
	for (size_t i = 0; i < n; i++) {
		check(keys[i].id >= first_id && keys[i].id <= last_id);
		check(i == 0 || keys[i - 1].id < keys[i].id);
		check(keys[i].state != KEY_RESTING && keys[i].state < KEY__MAX);
		if (keys[i].stored.n > POOL_STORED_MAX)
			return ERR_VALIDATION;
	}
	return p->store->sync(p, group_id, first_id, last_id, keys, n, force);
}

enum err
pool_drop_group(struct pool *p, int64_t group_id)
{
	return p->store->drop_group(p, group_id);
}

enum err
pool_groups(struct pool *p, int64_t **ret, size_t *ret_n)
{
	return p->store->groups(p, ret, ret_n);
}

enum err
pool_set_state(struct pool *p, int64_t group_id, const int64_t *ids, size_t n, enum key_state state,
	       size_t *ret_changed)
{
	check(state == KEY_ACTIVE || state == KEY_DISABLED);
	return p->store->set_state(p, group_id, ids, n, state, ret_changed);
}

enum err
pool_counts(struct pool *p, int64_t group_id, struct pool_counts *ret)
{
	return p->store->counts(p, group_id, ret);
}

enum err
pool_key_info(struct pool *p, int64_t key_id, struct key_info *ret)
{
	return p->store->key_info(p, key_id, ret);
}

enum err
pool_dirty(struct pool *p, struct key_info *ret, size_t max, size_t *ret_n)
{
	return p->store->dirty(p, ret, max, ret_n);
}

enum err
pool_dirty_clear(struct pool *p, const struct key_info *keys, size_t n)
{
	return p->store->dirty_clear(p, keys, n);
}

enum err
pool_due(struct pool *p, int64_t group_id, int64_t now_ms, int64_t lease_ms, struct due_key *ret,
	 size_t max, size_t *ret_n)
{
	return p->store->due(p, group_id, now_ms, lease_ms, ret, max, ret_n);
}

enum err
pool_check_failed(struct pool *p, int64_t key_id, int64_t next_ms, int status, struct str error)
{
	return p->store->check_failed(p, key_id, next_ms, status, error);
}

void
pool_tend(struct pool *p)
{
	p->store->tend(p);
}

enum err
pool_claim(struct pool *p, const char *installation, struct buf *ret_name)
{
	return p->store->claim != NULL ? p->store->claim(p, installation, ret_name) : ERR_OK;
}

void
pool_attach(struct pool *p, struct event_base *base)
{
	if (p->store->attach != NULL)
		p->store->attach(p, base);
}

void
pool_warning(struct pool *p, struct buf *out)
{
	if (p->store->warning != NULL)
		p->store->warning(p, out);
}

void
pool_away(struct pool *p, struct pool_away *ret)
{
	*ret = (struct pool_away){.away = false};
	if (p->store->away != NULL)
		p->store->away(p, ret);
}

bool
pool_wants_keys(struct pool *p, int64_t *ret_group)
{
	return p->store->wants_keys != NULL && p->store->wants_keys(p, ret_group);
}

void
pool_give_keys(struct pool *p, int64_t group_id, const struct pool_key *keys, size_t n, enum err e)
{
	if (p->store->give_keys != NULL)
		p->store->give_keys(p, group_id, keys, n, e);
}

void
pool_on_want(struct pool *p, void (*fn)(void *arg), void *arg)
{
	if (p->store->on_want != NULL)
		p->store->on_want(p, fn, arg);
}

enum err
pool_check(struct pool *p, struct errinfo *info)
{
	return p->store->verify(p, info);
}
