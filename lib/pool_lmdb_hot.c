/* SPDX-License-Identifier: MIT
 *
 * The LMDB store's hot path: who is next, and what became of it.
 *
 * A pick is one short write transaction: rests that are over end (a few at a
 * time), the circle is followed from the key that had the last place, the group's
 * record is written. The callback runs after the commit, on copies. A good answer
 * about a healthy key, the common report, only reads.
 */
#include "lib/pool_lmdb.h"
#include "lib/clock.h"

/* Rests ended by one pick; bounds its time. */
#define WAKE_MAX 16

#define REST_FIRST_MS 1000
#define REST_MAX_MS   60000

/* --- pick --- */

struct pick_step {
	const struct pick_query *q;
	enum err e; /* of a refusal */
	struct pick pick;
	struct lmdb_key key;
};

static bool
excluded(const struct pick_query *q, uint64_t id)
{
	for (size_t i = 0; i < q->n_not_these; i++)
		if ((uint64_t)q->not_these[i] == id)
			return true;
	return false;
}

/* Ends the rests that are over; `scratch` is only memory. */
static int
wake(struct pool_lmdb *p, MDB_txn *txn, uint64_t group, struct group_rec *g,
     struct lmdb_key *scratch)
{
	struct appointment over[WAKE_MAX];
	size_t n = 0;
	int rc;

	if (g->counts[KEY_RESTING] == 0)
		return 0;
	rc = lmdb_appointments(txn, p->rest, group, clock_wall_ms(), over, WAKE_MAX, &n);
	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = lmdb_key_get(p, txn, over[i].id, scratch);
		if (rc == 0)
			rc = lmdb_move(p, txn, scratch, g, KEY_ACTIVE, 0);
		if (rc == 0)
			rc = lmdb_key_put(p, txn, scratch);
	}
	return rc;
}

/* The id after `after` in the circle. */
static int
circle_next(MDB_cursor *c, uint64_t group, uint64_t after, uint64_t *ret)
{
	uint64_t from[] = {after + 1, 0};
	uint64_t g, id, unused;

	for (size_t i = 0; i < ARRAY_LEN(from); i++) {
		struct place buf;
		MDB_val key = lmdb_place(&buf, 2, group, from[i], 0);
		MDB_val value;
		int rc = mdb_cursor_get(c, &key, &value, MDB_SET_RANGE);

		if (rc == MDB_NOTFOUND)
			continue;
		if (rc != 0)
			return rc;
		if (!lmdb_place_read(&key, 2, &g, &id, &unused))
			return MDB_CORRUPTED;
		if (g == group) {
			*ret = id;
			return 0;
		}
	}
	return MDB_CORRUPTED; /* the group's count said that there is one */
}

/* The key that was passed over before, if it is still there. */
static int
take_owed(struct pool_lmdb *p, MDB_txn *txn, const struct pick_query *q, struct group_rec *g,
	  uint64_t *ret)
{
	struct place buf;
	MDB_val key = lmdb_place(&buf, 2, (uint64_t)q->group_id, g->owed, 0);
	MDB_val value;
	int rc;

	if (g->owed == 0 || excluded(q, g->owed))
		return MDB_NOTFOUND;
	rc = mdb_get(txn, p->ring, &key, &value);
	if (rc == 0)
		*ret = g->owed;
	g->owed = 0;
	return rc;
}

static int
take_next(struct pool_lmdb *p, MDB_txn *txn, const struct pick_query *q, struct group_rec *g,
	  uint64_t *ret)
{
	size_t tries = MIN(q->n_not_these + 1, (size_t)g->counts[KEY_ACTIVE]);
	uint64_t first = 0;
	uint64_t id = g->last;
	bool found = false;
	MDB_cursor *c;
	int rc = mdb_cursor_open(txn, p->ring, &c);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < tries && !found; i++) {
		rc = circle_next(c, (uint64_t)q->group_id, id, &id);
		if (rc != 0)
			break;
		if (i == 0)
			first = id;
		found = !excluded(q, id);
	}
	mdb_cursor_close(c);
	if (rc != 0)
		return rc;
	if (!found)
		id = first;
	else if (id != first && g->owed == 0)
		g->owed = first;
	g->last = id;
	*ret = id;
	return 0;
}

/* No key of the group is active. */
static int
refuse(struct pool_lmdb *p, MDB_txn *txn, struct pick_step *s)
{
	struct appointment first;
	size_t n = 0;
	int rc =
	    lmdb_appointments(txn, p->rest, (uint64_t)s->q->group_id, INT64_MAX, &first, 1, &n);

	if (rc != 0)
		return rc;
	s->e = n > 0 ? ERR_ALL_RESTING : ERR_NO_KEYS;
	s->pick.rest_end_ms = n > 0 ? first.at_ms : 0;
	return LMDB_NO_CHANGE;
}

static int
pick_step(struct pool_lmdb *p, MDB_txn *txn, void *arg)
{
	struct pick_step *s = arg;
	uint64_t group = (uint64_t)s->q->group_id;
	struct group_rec g;
	uint64_t id = 0;
	int rc = lmdb_version_get(p, txn, &s->pick.version);

	if (rc == 0)
		rc = lmdb_group_need(p, txn, group, &g);
	if (rc == 0)
		rc = wake(p, txn, group, &g, &s->key);
	if (rc != 0)
		return rc;
	if (g.counts[KEY_ACTIVE] == 0)
		return refuse(p, txn, s);
	rc = take_owed(p, txn, s->q, &g, &id);
	if (rc == MDB_NOTFOUND)
		rc = take_next(p, txn, s->q, &g, &id);
	if (rc == 0)
		rc = lmdb_key_get(p, txn, id, &s->key);
	if (rc != 0)
		return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
	s->pick.turn = g.turn++;
	return lmdb_group_put(p, txn, group, &g);
}

void
lmdb_pick(struct pool *pool, const struct pick_query *q, pick_fn fn, void *arg)
{
	struct pick_step s;
	enum err e;

	s.q = q;
	s.e = ERR_OK;
	s.pick = (struct pick){0};
	e = lmdb_err(lmdb_write(lmdb_of(pool), pick_step, &s));
	if (e == ERR_OK)
		e = s.e;
	if (e == ERR_OK) {
		s.pick.key_id = (int64_t)s.key.id;
		s.pick.fails = s.key.r.fails;
		memcpy(s.pick.hash, s.key.r.hash, sizeof(s.pick.hash));
		s.pick.stored = lmdb_key_stored(&s.key);
	}
	fn(arg, e, &s.pick);
}

/* --- turn --- */

struct turn_step {
	uint64_t group;
	uint64_t turn;
};

static int
turn_step(struct pool_lmdb *p, MDB_txn *txn, void *arg)
{
	struct turn_step *s = arg;
	struct group_rec g;
	int rc = lmdb_group_need(p, txn, s->group, &g);

	if (rc != 0)
		return rc;
	s->turn = g.turn++;
	return lmdb_group_put(p, txn, s->group, &g);
}

void
lmdb_turn(struct pool *pool, int64_t group_id, turn_fn fn, void *arg)
{
	struct turn_step s = {.group = (uint64_t)group_id};
	enum err e = lmdb_err(lmdb_write(lmdb_of(pool), turn_step, &s));

	fn(arg, e, s.turn);
}

/* --- report --- */

struct report_step {
	const struct report *r;
	struct str error; /* to be kept; empty in a full file: it makes records grow */
	enum pool_move move;
	uint32_t fails;
};

static bool
has_nothing_to_reset(const struct key_rec *r)
{
	return r->state == KEY_DISABLED ||
	       (r->state != KEY_INVALID && r->fails == 0 && r->step_ms == 0);
}

static int
report_ok(struct pool_lmdb *p, MDB_txn *txn, struct lmdb_key *k, struct group_rec *g,
	  struct report_step *s)
{
	bool dirty = k->r.fails > 0 || k->r.state == KEY_INVALID;
	int rc = 0;

	if (has_nothing_to_reset(&k->r))
		return LMDB_NO_CHANGE;
	k->r.fails = 0;
	k->r.step_ms = 0;
	if (k->r.state == KEY_INVALID) {
		s->move = POOL_MOVE_BACK;
		k->r.checks = 0;
		rc = lmdb_move(p, txn, k, g, KEY_ACTIVE, 0);
	}
	return rc == 0 && dirty ? lmdb_changed(p, txn, k) : rc;
}

static int
report_blamed(struct pool_lmdb *p, MDB_txn *txn, struct lmdb_key *k, struct group_rec *g,
	      struct report_step *s)
{
	int rc = 0;

	if (k->r.state != KEY_ACTIVE && k->r.state != KEY_RESTING)
		return LMDB_NO_CHANGE;
	k->r.fails++;
	lmdb_key_set_error(k, s->r->status, s->error, clock_wall_ms());
	if (s->r->threshold > 0 && k->r.fails >= (uint32_t)s->r->threshold) {
		s->move = POOL_MOVE_OUT;
		k->r.checks = 0;
		rc = lmdb_move(p, txn, k, g, KEY_INVALID, s->r->next_check_ms);
	}
	return rc == 0 ? lmdb_changed(p, txn, k) : rc;
}

/* The end of the rest, or 0 when this report changes none. A key that rests
 * already and is limited again, without an end given, was asked before it went to
 * rest: that doubles nothing. */
static int64_t
rest_end(struct key_rec *r, const struct report *report)
{
	int64_t now = clock_wall_ms();

	if (report->rest_until_ms > now)
		return r->state == KEY_RESTING && report->rest_until_ms <= r->at_ms
			   ? 0
			   : report->rest_until_ms;
	if (r->state == KEY_RESTING && r->at_ms > now)
		return 0;
	r->step_ms = r->step_ms == 0 ? REST_FIRST_MS : MIN(r->step_ms * 2, REST_MAX_MS);
	return now + r->step_ms;
}

static int
report_limited(struct pool_lmdb *p, MDB_txn *txn, struct lmdb_key *k, struct group_rec *g,
	       struct report_step *s)
{
	int64_t end;

	if (k->r.state != KEY_ACTIVE && k->r.state != KEY_RESTING)
		return LMDB_NO_CHANGE;
	end = rest_end(&k->r, s->r);
	if (end == 0)
		return LMDB_NO_CHANGE;
	if (k->r.state == KEY_ACTIVE)
		s->move = POOL_MOVE_REST;
	return lmdb_move(p, txn, k, g, KEY_RESTING, end);
}

static int
report_step(struct pool_lmdb *p, MDB_txn *txn, void *arg)
{
	struct report_step *s = arg;
	uint64_t group = (uint64_t)s->r->group_id;
	struct lmdb_key k;
	struct group_rec g;
	int rc = lmdb_key_get(p, txn, (uint64_t)s->r->key_id, &k);

	s->move = POOL_MOVE_NONE;
	if (rc == MDB_NOTFOUND || (rc == 0 && k.r.group != group))
		return LMDB_NO_CHANGE;
	if (rc == 0)
		rc = lmdb_group_get(p, txn, group, &g);
	if (rc != 0)
		return rc == MDB_NOTFOUND ? MDB_CORRUPTED : rc;
	switch (s->r->verdict) {
	case VERDICT_OK:
		rc = report_ok(p, txn, &k, &g, s);
		break;
	case VERDICT_BLAMED:
		rc = report_blamed(p, txn, &k, &g, s);
		break;
	case VERDICT_LIMITED:
		rc = report_limited(p, txn, &k, &g, s);
		break;
	}
	s->fails = k.r.fails;
	if (rc == 0)
		rc = lmdb_key_put(p, txn, &k);
	return rc == 0 ? lmdb_group_put(p, txn, group, &g) : rc;
}

/* Whether a good answer changes nothing; asked without the writers' lock. */
static bool
is_clean(struct pool_lmdb *p, const struct report *r, uint32_t *ret_fails)
{
	struct key_rec rec;
	MDB_txn *txn;
	int rc = lmdb_read_begin(p, &txn);

	if (rc != 0)
		return false;
	rc = lmdb_key_peek(p, txn, (uint64_t)r->key_id, &rec);
	lmdb_read_end(p, txn);
	if (rc != 0 || !has_nothing_to_reset(&rec))
		return false;
	*ret_fails = rec.fails;
	return true;
}

void
lmdb_report(struct pool *pool, const struct report *r, report_fn fn, void *arg)
{
	struct pool_lmdb *p = lmdb_of(pool);
	struct report_step s = {.r = r, .error = r->error};
	enum err e = ERR_OK;

	if (r->verdict == VERDICT_BLAMED && lmdb_is_tight(p))
		s.error = STR("");
	if (r->verdict != VERDICT_OK || !is_clean(p, r, &s.fails))
		e = lmdb_err(lmdb_write(p, report_step, &s));
	if (fn == NULL)
		return;
	if (e == ERR_OK)
		fn(arg, e, s.move, s.fails);
	else
		fn(arg, e, POOL_MOVE_NONE, 0);
}
