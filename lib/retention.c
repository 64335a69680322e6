/* SPDX-License-Identifier: MIT
 *
 * Retention: one bounded DELETE along the index on timestamp. Hourly sums stay,
 * as in the original.
 */
#include "lib/retention.h"
#include "lib/clock.h"

#define DAY_US 86400000000LL

enum err
retention_step(struct db *db, int days, bool *ret_more, struct errinfo *info)
{
	/* The number in the text is RETENTION_BATCH. */
	static const struct sql delete_batch = {
	    .sqlite = "DELETE FROM request_logs WHERE id IN (SELECT id FROM request_logs "
		      "WHERE timestamp < ? ORDER BY timestamp LIMIT 1000)",
	    .mysql = "DELETE FROM request_logs WHERE timestamp < ? ORDER BY timestamp LIMIT 1000",
	};
	int64_t changed = 0;
	enum err e;

	*ret_more = false;
	if (days <= 0)
		return ERR_OK;
	e = db_exec(db, db_pick(db, &delete_batch),
		    DB_ARGS(db_time(clock_wall_us() - days * DAY_US)), &changed);
	if (e != ERR_OK)
		return err_set(info, e, "cannot delete old log rows: %s", db_error(db));
	*ret_more = changed >= RETENTION_BATCH;
	return ERR_OK;
}
