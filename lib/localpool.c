/* SPDX-License-Identifier: MIT
 *
 * The keys that one worker knows; see localpool.h. A group is an array of its keys
 * sorted by id: the circle of the pool, with the place of the last one used.
 */
#include "lib/localpool.h"
#include "lib/clock.h"
#include "lib/limits.h"
#include "lib/str.h"

#include <stdlib.h>

/* As in the stores. */
#define REST_FIRST_MS 1000
#define REST_MAX_MS   60000

struct local_key {
	int64_t id;
	int64_t rest_until_ms; /* wall; 0: does not rest */
	uint32_t fails;
	uint32_t step_ms;
	bool out;
	uint8_t hash[CRYPT_HASH_BYTES];
	size_t n;
	char stored[];
};

struct local_group {
	int64_t id;
	int64_t last; /* id that had the last place */
	uint64_t turn;
	int64_t loaded_us; /* mono; 0: only learnt */
	struct local_key **keys;
	size_t n;
	size_t cap;
};

struct localpool {
	struct local_group *groups; /* sorted by id */
	size_t n;
	size_t cap;
	size_t n_keys;
};

struct localpool *
localpool_new(void)
{
	return xcalloc(1, sizeof(struct localpool));
}

static void
drop_keys(struct localpool *lp, struct local_group *g)
{
	for (size_t i = 0; i < g->n; i++)
		free(g->keys[i]);
	free(g->keys);
	lp->n_keys -= g->n;
	g->keys = NULL;
	g->n = g->cap = 0;
	g->loaded_us = 0;
}

void
localpool_free(struct localpool *lp)
{
	if (lp == NULL)
		return;
	for (size_t i = 0; i < lp->n; i++)
		drop_keys(lp, &lp->groups[i]);
	free(lp->groups);
	free(lp);
}

size_t
localpool_count(const struct localpool *lp)
{
	return lp->n_keys;
}

/* --- finding --- */

/* The place of the first group whose id is not below. */
static size_t
group_place(const struct localpool *lp, int64_t id)
{
	size_t from = 0;
	size_t to = lp->n;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (lp->groups[middle].id < id)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static struct local_group *
find_group(const struct localpool *lp, int64_t id)
{
	size_t at = group_place(lp, id);

	return at < lp->n && lp->groups[at].id == id ? &lp->groups[at] : NULL;
}

static struct local_group *
make_group(struct localpool *lp, int64_t id)
{
	size_t at = group_place(lp, id);

	if (at < lp->n && lp->groups[at].id == id)
		return &lp->groups[at];
	if (lp->n == lp->cap) {
		lp->cap = MAX(2 * lp->cap, (size_t)8);
		lp->groups = xrealloc(lp->groups, lp->cap * sizeof(*lp->groups));
	}
	memmove(&lp->groups[at + 1], &lp->groups[at], (lp->n - at) * sizeof(*lp->groups));
	lp->n++;
	lp->groups[at] = (struct local_group){.id = id};
	return &lp->groups[at];
}

static size_t
key_place(const struct local_group *g, int64_t id)
{
	size_t from = 0;
	size_t to = g->n;

	while (from < to) {
		size_t middle = from + (to - from) / 2;

		if (g->keys[middle]->id < id)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

static struct local_key *
find_key(const struct local_group *g, int64_t id)
{
	size_t at = g != NULL ? key_place(g, id) : 0;

	return g != NULL && at < g->n && g->keys[at]->id == id ? g->keys[at] : NULL;
}

/* --- learning --- */

static struct local_key *
new_key(int64_t id, struct str stored, const uint8_t *hash)
{
	struct local_key *k = xmalloc(sizeof(*k) + stored.n);

	*k = (struct local_key){.id = id, .n = stored.n};
	memcpy(k->hash, hash, sizeof(k->hash));
	memcpy(k->stored, stored.p, stored.n);
	return k;
}

static bool
is_full(const struct localpool *lp, const struct local_group *g)
{
	return g->n >= LIMIT_LOCAL_KEYS || lp->n_keys >= LIMIT_LOCAL_KEYS_ALL;
}

static void
add_key(struct localpool *lp, struct local_group *g, struct local_key *k, size_t at)
{
	if (g->n == g->cap) {
		g->cap = MAX(2 * g->cap, (size_t)8);
		g->keys = xrealloc(g->keys, g->cap * sizeof(*g->keys));
	}
	memmove(&g->keys[at + 1], &g->keys[at], (g->n - at) * sizeof(*g->keys));
	g->keys[at] = k;
	g->n++;
	lp->n_keys++;
}

static bool
same_text(const struct local_key *k, struct str stored, const uint8_t *hash)
{
	return k->n == stored.n && memcmp(k->stored, stored.p, stored.n) == 0 &&
	       memcmp(k->hash, hash, sizeof(k->hash)) == 0;
}

void
localpool_learn(struct localpool *lp, int64_t group_id, const struct pick *p)
{
	struct local_group *g = make_group(lp, group_id);
	size_t at = key_place(g, p->key_id);
	bool there = at < g->n && g->keys[at]->id == p->key_id;

	g->last = p->key_id;
	g->turn = p->turn + 1;
	if (there && !same_text(g->keys[at], p->stored, p->hash)) {
		free(g->keys[at]);
		g->keys[at] = new_key(p->key_id, p->stored, p->hash);
	} else if (!there && is_full(lp, g)) {
		return;
	} else if (!there) {
		add_key(lp, g, new_key(p->key_id, p->stored, p->hash), at);
	}
	g->keys[at]->fails = p->fails;
	g->keys[at]->rest_until_ms = 0;
	g->keys[at]->out = false;
}

void
localpool_forget(struct localpool *lp, int64_t group_id)
{
	for (size_t i = 0; i < lp->n; i++)
		if (group_id == 0 || lp->groups[i].id == group_id)
			drop_keys(lp, &lp->groups[i]);
}

void
localpool_load(struct localpool *lp, int64_t group_id, const struct pool_key *keys, size_t n)
{
	struct local_group *g = make_group(lp, group_id);
	struct local_group old = *g;

	g->keys = NULL;
	g->n = g->cap = 0;
	/* For the bound; those that are taken over are counted again. */
	lp->n_keys -= old.n;
	for (size_t i = 0; i < n && !is_full(lp, g); i++) {
		struct local_key *k = new_key(keys[i].id, keys[i].stored, keys[i].hash);
		const struct local_key *known = find_key(&old, k->id);

		k->fails = known != NULL ? known->fails : keys[i].fails;
		if (known != NULL) {
			k->rest_until_ms = known->rest_until_ms;
			k->step_ms = known->step_ms;
			k->out = known->out;
		}
		add_key(lp, g, k, g->n);
	}
	for (size_t i = 0; i < old.n; i++)
		free(old.keys[i]);
	free(old.keys);
	g->loaded_us = clock_mono_us();
}

bool
localpool_is_stale(struct localpool *lp, int64_t group_id, int64_t since_us)
{
	const struct local_group *g = find_group(lp, group_id);

	return g == NULL || g->loaded_us == 0 || g->loaded_us < since_us;
}

bool
localpool_knows(struct localpool *lp, int64_t group_id)
{
	const struct local_group *g = find_group(lp, group_id);

	return g != NULL && (g->n > 0 || g->loaded_us != 0);
}

/* --- using --- */

static bool
is_tried(const struct pick_query *q, int64_t id)
{
	for (size_t i = 0; i < q->n_not_these; i++)
		if (q->not_these[i] == id)
			return true;
	return false;
}

/* The next of the circle that may be used and was not tried, else the first that may
 * be used; NULL: none may, and *ret_rest_end says when one may again (0: none rests). */
static struct local_key *
next_key(const struct local_group *g, const struct pick_query *q, int64_t *ret_rest_end)
{
	int64_t now = clock_wall_ms();
	struct local_key *first = NULL;
	size_t start = key_place(g, g->last + 1);

	*ret_rest_end = 0;
	for (size_t i = 0; i < g->n; i++) {
		struct local_key *k = g->keys[(start + i) % g->n];

		if (k->out)
			continue;
		if (k->rest_until_ms > now) {
			if (*ret_rest_end == 0 || k->rest_until_ms < *ret_rest_end)
				*ret_rest_end = k->rest_until_ms;
			continue;
		}
		if (!is_tried(q, k->id))
			return k;
		if (first == NULL)
			first = k;
	}
	return first;
}

enum err
localpool_pick(struct localpool *lp, const struct pick_query *q, struct pick *ret)
{
	struct local_group *g = find_group(lp, q->group_id);
	const struct local_key *k = NULL;
	int64_t rest_end = 0;

	*ret = (struct pick){.key_id = 0};
	if (g != NULL)
		k = next_key(g, q, &rest_end);
	if (k == NULL) {
		ret->rest_end_ms = rest_end;
		return rest_end > 0 ? ERR_ALL_RESTING : ERR_NO_KEYS;
	}
	g->last = k->id;
	ret->key_id = k->id;
	ret->turn = g->turn++;
	ret->fails = k->fails;
	memcpy(ret->hash, k->hash, sizeof(ret->hash));
	ret->stored = (struct str){k->stored, k->n};
	return ERR_OK;
}

uint64_t
localpool_turn(struct localpool *lp, int64_t group_id)
{
	return make_group(lp, group_id)->turn++;
}

static enum pool_move
report_good(struct local_key *k)
{
	enum pool_move move = k->out ? POOL_MOVE_BACK : POOL_MOVE_NONE;

	k->fails = k->step_ms = 0;
	k->out = false;
	return move;
}

static enum pool_move
report_limited(struct local_key *k, struct report *r)
{
	int64_t now = clock_wall_ms();
	bool rests = k->rest_until_ms > now;

	if (r->rest_until_ms <= now && !rests) {
		k->step_ms = k->step_ms == 0 ? REST_FIRST_MS : MIN(2 * k->step_ms, REST_MAX_MS);
		r->rest_until_ms = now + k->step_ms;
	}
	k->rest_until_ms = MAX(k->rest_until_ms, r->rest_until_ms);
	return rests ? POOL_MOVE_NONE : POOL_MOVE_REST;
}

static enum pool_move
report_blamed(struct local_key *k, const struct report *r)
{
	k->fails++;
	k->out = r->threshold > 0 && k->fails >= (uint32_t)r->threshold;
	return k->out ? POOL_MOVE_OUT : POOL_MOVE_NONE;
}

bool
localpool_report(struct localpool *lp, struct report *r, enum pool_move *ret_move,
		 uint32_t *ret_fails)
{
	struct local_key *k = find_key(find_group(lp, r->group_id), r->key_id);
	bool changes =
	    k != NULL &&
	    (r->verdict == VERDICT_OK ? k->out || k->fails > 0 || k->step_ms > 0 : !k->out);

	*ret_move = POOL_MOVE_NONE;
	if (changes) {
		switch (r->verdict) {
		case VERDICT_OK:
			*ret_move = report_good(k);
			break;
		case VERDICT_BLAMED:
			*ret_move = report_blamed(k, r);
			break;
		case VERDICT_LIMITED:
			*ret_move = report_limited(k, r);
			break;
		}
	}
	*ret_fails = k != NULL ? k->fails : 0;
	return changes;
}
