/* SPDX-License-Identifier: MIT
 *
 * The lease. Its end is wall time of the holder's machine, and clocks differ: a
 * contender waits MARGIN longer than the row says, and when the row has not changed
 * for that long by its own monotonic clock it does not mind what the row says at all.
 * The holder for its part stops MARGIN early. A contender whose clock is ahead by more
 * than both takes the lease from a living holder, who finds out when he renews it: so
 * what the holder does must bear two of them for that long.
 *
 * Read without a lock first; taken in a transaction that reads again.
 */
#include "lib/lease.h"
#include "lib/clock.h"
#include "lib/crypt.h"
#include "lib/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TTL_US    (LEASE_TTL_S * 1000000LL)
#define RENEW_US  (LEASE_RENEW_S * 1000000LL)
#define MARGIN_US 2000000LL

#define HOLDER_SIZE 65

struct row {
	bool exists;
	char holder[HOLDER_SIZE];
	int64_t fence;
	int64_t expires_us; /* wall */
};

struct lease {
	const char *name; /* borrowed */
	char holder[HOLDER_SIZE];
	bool held;
	int64_t fence;
	int64_t held_until_us; /* monotonic, like the next two */
	int64_t ask_at_us;
	int64_t seen_since_us; /* since when the row is as in `seen` */
	struct row seen;
};

struct lease *
lease_new(const char *name)
{
	struct lease *l = xcalloc(1, sizeof(*l));
	char host[31] = "";
	uint8_t random[4];
	char hex[2 * sizeof(random) + 1];

	random_bytes(random, sizeof(random));
	hex_encode(hex, random, sizeof(random));
	(void)gethostname(host, sizeof(host) - 1);
	(void)snprintf(l->holder, sizeof(l->holder), "%s:%ld:%s", host, (long)getpid(), hex);
	l->name = name;
	return l;
}

void
lease_free(struct lease *l)
{
	free(l);
}

bool
lease_is_held(const struct lease *l)
{
	return l->held && clock_mono_us() < l->held_until_us;
}

int64_t
lease_fence(const struct lease *l)
{
	return l->fence;
}

static enum err
db_failure(struct db *db, enum err e, struct errinfo *info)
{
	return e == ERR_OK ? ERR_OK : err_set(info, e, "the lease: %s", db_error(db));
}

static enum err
read_row(struct lease *l, struct db *db, bool lock, struct row *ret)
{
	static const struct sql locking = {
	    .sqlite = "SELECT holder, fence, expires_at FROM gptl_lease WHERE name = ?",
	    .mysql = "SELECT holder, fence, expires_at FROM gptl_lease WHERE name = ? FOR UPDATE",
	    .pgsql = "SELECT holder, fence, expires_at FROM gptl_lease WHERE name = ? FOR UPDATE",
	};
	struct db_rows *rows = NULL;
	struct row row = {0};
	enum err e = db_query(db, lock ? db_pick(db, &locking) : locking.sqlite,
			      DB_ARGS(db_cstr(l->name)), &rows);

	if (e == ERR_OK && db_next(rows, &e)) {
		struct str holder = db_col_text(rows, 0);

		row.exists = true;
		(void)snprintf(row.holder, sizeof(row.holder), STR_FMT, STR_ARG(holder));
		row.fence = db_col_int(rows, 1);
		row.expires_us = db_col_time(rows, 2);
	}
	db_rows_done(rows);
	if (e == ERR_OK)
		*ret = row;
	return e;
}

/* May we take it, as far as this row tells? Remembers the row. */
static bool
is_free(struct lease *l, const struct row *row)
{
	int64_t now = clock_mono_us();

	if (!row->exists || row->holder[0] == '\0')
		return true;
	if (row->fence != l->seen.fence || row->expires_us != l->seen.expires_us) {
		l->seen = *row;
		l->seen_since_us = now;
	}
	return row->expires_us + MARGIN_US < clock_wall_us() ||
	       now - l->seen_since_us > TTL_US + MARGIN_US;
}

static void
now_ours(struct lease *l, int64_t fence, int64_t asked_us)
{
	l->held = true;
	l->fence = fence;
	l->held_until_us = asked_us + TTL_US - MARGIN_US;
}

static enum err
renew(struct lease *l, struct db *db)
{
	int64_t asked = clock_mono_us();
	int64_t changed = 0;
	enum err e = db_exec(
	    db, "UPDATE gptl_lease SET expires_at = ? WHERE name = ? AND holder = ? AND fence = ?",
	    DB_ARGS(db_time(clock_wall_us() + TTL_US), db_cstr(l->name), db_cstr(l->holder),
		    db_int(l->fence)),
	    &changed);

	if (e != ERR_OK)
		return e;
	if (changed > 0)
		now_ours(l, l->fence, asked);
	else
		l->held = false;
	return ERR_OK;
}

/* Within a transaction. */
static enum err
take_locked(struct lease *l, struct db *db, int64_t *ret_fence)
{
	struct row row = {0};
	enum err e = read_row(l, db, true, &row);
	int64_t changed = 0;

	*ret_fence = 0;
	if (e != ERR_OK || !is_free(l, &row))
		return e;
	if (!row.exists)
		e = db_exec(
		    db,
		    "INSERT INTO gptl_lease (name, holder, fence, expires_at) VALUES (?, ?, ?, ?)",
		    DB_ARGS(db_cstr(l->name), db_cstr(l->holder), db_int(1),
			    db_time(clock_wall_us() + TTL_US)),
		    &changed);
	else
		e = db_exec(db,
			    "UPDATE gptl_lease SET holder = ?, fence = ?, expires_at = ? "
			    "WHERE name = ? AND fence = ?",
			    DB_ARGS(db_cstr(l->holder), db_int(row.fence + 1),
				    db_time(clock_wall_us() + TTL_US), db_cstr(l->name),
				    db_int(row.fence)),
			    &changed);
	if (e == ERR_DUPLICATE)
		return ERR_OK; /* another was first */
	if (e == ERR_OK && changed > 0)
		*ret_fence = row.fence + 1;
	return e;
}

static enum err
take(struct lease *l, struct db *db)
{
	int64_t asked = clock_mono_us();
	struct row row = {0};
	int64_t fence = 0;
	enum err e = read_row(l, db, false, &row);

	if (e != ERR_OK || !is_free(l, &row))
		return e;
	e = db_begin(db);
	if (e != ERR_OK)
		return e;
	e = take_locked(l, db, &fence);
	if (e != ERR_OK || fence == 0) {
		db_rollback(db);
		return e;
	}
	e = db_commit(db);
	if (e == ERR_OK)
		now_ours(l, fence, asked);
	return e;
}

enum err
lease_hold(struct lease *l, struct db *db, bool now, bool *ret_held, struct errinfo *info)
{
	enum err e = ERR_OK;

	if (now || clock_mono_us() >= l->ask_at_us) {
		l->ask_at_us = clock_mono_us() + RENEW_US;
		if (l->held)
			e = renew(l, db);
		if (e == ERR_OK && !l->held)
			e = take(l, db);
	}
	*ret_held = lease_is_held(l);
	return db_failure(db, e, info);
}

enum err
lease_release(struct lease *l, struct db *db)
{
	if (!l->held)
		return ERR_OK;
	l->held = false;
	l->ask_at_us = 0;
	return db_exec(
	    db,
	    "UPDATE gptl_lease SET holder = '', expires_at = ? WHERE name = ? AND holder = ? AND "
	    "fence = ?",
	    DB_ARGS(db_time(clock_wall_us()), db_cstr(l->name), db_cstr(l->holder),
		    db_int(l->fence)),
	    NULL);
}
