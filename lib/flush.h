/* SPDX-License-Identifier: MIT
 *
 * spool_flush() (spool.h) with bounds: for the background thread, which has other
 * things to do and must end quickly when it is told to.
 */
#ifndef LIB_FLUSH_H
#define LIB_FLUSH_H

#include <stdatomic.h>

#include "lib/spool.h"

struct flush_bounds {
	bool wait;               /* for another process that is at it */
	const atomic_bool *stop; /* looked at between batches; NULL: nobody stops it */
	int64_t until_us;        /* monotonic; the last batch begins before; 0: no bound */
};

struct flush_result {
	int64_t rows;    /* written */
	int64_t refused; /* set aside in spool/refused */
	bool busy;       /* another process is at it: nothing was done */
	bool more;       /* ended by its bounds */
};

/* *ret is filled on failure too: what was committed stays. ERR_DB_AWAY, ERR_DISK, ERR_DB:
 * everything else waits in the spool. */
enum err flush_run(const struct conf *conf, struct db *db, const struct flush_bounds *bounds,
		   struct flush_result *ret, struct errinfo *info) MUST_CHECK;

#endif
