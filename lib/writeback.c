/* SPDX-License-Identifier: MIT
 *
 * Key states on their way from the pool to the DB: the dirty set, page by page,
 * one transaction each. A page counts as clean only after its commit, so that a
 * process killed between the two writes it once more, which changes nothing.
 */
#include "lib/publish.h"
#include "lib/clock.h"

#include <stdlib.h>

/* Keys of one transaction. */
#define WRITEBACK_KEYS 1000

/* An older report never undoes a newer one: gptl_seq decides. What is known of a
 * key's last failure stays when the pool knows of none. */
static enum err
write_state(struct db *db, const struct key_info *k, int64_t now_us)
{
	const char *status = key_state_status(k->state);

	if (k->failed_at_ms == 0)
		return db_exec(db,
			       "UPDATE api_keys SET status = ?, failure_count = ?, gptl_seq = ?, "
			       "updated_at = ? WHERE id = ? AND gptl_seq < ?",
			       DB_ARGS(db_cstr(status), db_int(k->fails), db_int((int64_t)k->seq),
				       db_time(now_us), db_int(k->id), db_int((int64_t)k->seq)),
			       NULL);
	return db_exec(
	    db,
	    "UPDATE api_keys SET status = ?, failure_count = ?, gptl_seq = ?, "
	    "gptl_last_status = ?, gptl_last_error = ?, gptl_failed_at = ?, updated_at = ? "
	    "WHERE id = ? AND gptl_seq < ?",
	    DB_ARGS(db_cstr(status), db_int(k->fails), db_int((int64_t)k->seq), db_int(k->status),
		    db_cstr(k->error), db_time(k->failed_at_ms * 1000), db_time(now_us),
		    db_int(k->id), db_int((int64_t)k->seq)),
	    NULL);
}

static enum err
write_states(struct db *db, const struct key_info *keys, size_t n)
{
	int64_t now_us = clock_wall_us();
	enum err e = db_begin(db);

	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < n && e == ERR_OK; i++)
		e = write_state(db, &keys[i], now_us);
	if (e == ERR_OK)
		return db_commit(db);
	db_rollback(db);
	return e;
}

enum err
writeback_step(struct db *db, struct pool *pool, size_t *ret_n, bool *ret_more,
	       struct errinfo *info)
{
	AUTO_FREE struct key_info *keys = xcalloc(WRITEBACK_KEYS, sizeof(*keys));
	enum err e = pool_dirty(pool, keys, WRITEBACK_KEYS, ret_n);

	*ret_more = e == ERR_OK && *ret_n == WRITEBACK_KEYS;
	if (e != ERR_OK)
		return err_set(info, e, "%s", err_message(e));
	if (*ret_n == 0)
		return ERR_OK;
	e = write_states(db, keys, *ret_n);
	if (e != ERR_OK)
		return err_set(info, e, "database: %s", db_error(db));
	e = pool_dirty_clear(pool, keys, *ret_n);
	return e == ERR_OK ? ERR_OK : err_set(info, e, "%s", err_message(e));
}

enum err
writeback_run(struct db *db, struct pool *pool, size_t *ret_n, struct errinfo *info)
{
	size_t total = 0;
	bool more = true;

	while (more) {
		size_t n = 0;
		enum err e = writeback_step(db, pool, &n, &more, info);

		if (e != ERR_OK)
			return e;
		total += n;
	}
	*ret_n = total;
	return ERR_OK;
}
