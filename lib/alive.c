/* SPDX-License-Identifier: MIT
 *
 * See alive.h. A worker that was killed leaves its lease behind, which runs out within
 * LEASE_TTL_S: then nobody is taken for alive any more.
 */
#include "lib/alive.h"

#include "lib/clock.h"
#include "lib/gate.h"
#include "lib/lease.h"
#include "lib/migrate.h"
#include "lib/node.h"
#include "lib/str.h"

#include <stdio.h>

#define US_PER_S INT64_C(1000000)

/* A database of an older version has no such table. */
static enum err
look_for_others(const struct conf *conf, struct db *db, struct alive *ret)
{
	bool there = false;
	enum err e = migrate_has_table(db, "gptl_nodes", &there);

	if (e != ERR_OK || !there)
		return e;
	e = node_other_place(conf, db, ret->other);
	if (ret->since_us == 0 && ret->other[0] != '\0')
		ret->since_us = clock_wall_us() - NODE_ALIVE_S * US_PER_S;
	return e;
}

enum err
alive_look(const struct conf *conf, struct db *db, struct alive *ret)
{
	int64_t now = clock_wall_us();
	struct db_rows *rows = NULL;
	struct gate_view here;
	enum err e;

	*ret = (struct alive){0};
	gate_look(conf, &here);
	ret->workers = here.processes;
	ret->since_us = here.since_us;
	e = db_query(db, "SELECT holder, expires_at FROM gptl_lease WHERE name = ?",
		     DB_ARGS(db_cstr("jobs")), &rows);
	if (e == ERR_OK && db_next(rows, &e) && db_col_time(rows, 1) > now) {
		struct str holder = db_col_text(rows, 0);

		(void)snprintf(ret->holder, sizeof(ret->holder), STR_FMT, STR_ARG(holder));
		if (ret->since_us == 0)
			ret->since_us = db_col_time(rows, 1) - LEASE_TTL_S * US_PER_S;
	}
	db_rows_done(rows);
	return e == ERR_OK ? look_for_others(conf, db, ret) : e;
}

bool
alive_any(const struct alive *a)
{
	return a->workers > 0 || a->holder[0] != '\0' || a->other[0] != '\0';
}

enum err
alive_refuse(const struct conf *conf, struct db *db, struct errinfo *info)
{
	struct alive alive;
	enum err e = alive_look(conf, db, &alive);

	if (e != ERR_OK)
		return err_set(info, e, "database: %s", db_error(db));
	if (alive.workers > 0)
		return err_set(info, ERR_TASK,
			       "%d workers of this node are running: stop the gateway first",
			       alive.workers);
	if (alive.holder[0] != '\0')
		return err_set(info, ERR_TASK,
			       "the gateway runs (%s): stop it on every node first, or, when it "
			       "was killed, wait %d seconds",
			       alive.holder, LEASE_TTL_S);
	if (alive.other[0] != '\0')
		return err_set(info, ERR_TASK,
			       "the node %s runs, or did %d seconds ago: stop the gateway on every "
			       "node first",
			       alive.other, NODE_ALIVE_S);
	return ERR_OK;
}
