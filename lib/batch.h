/* SPDX-License-Identifier: MIT
 *
 * Log rows as one transaction: for flush.c.
 */
#ifndef LIB_BATCH_H
#define LIB_BATCH_H

#include "lib/db.h"
#include "lib/limits.h"
#include "lib/logrow.h"

/* A row counts for its group, and for the aggregate above it. */
#define BATCH_TALLIES (2 * LIMIT_FLUSH_ROWS)
/* "No row is at fault". */
#define BATCH_NO_ROW SIZE_MAX

struct tally {
	int64_t hour_us;
	int64_t group_id;
	int64_t ok;
	int64_t failed;
};

/* About 100 KB: on the heap. */
struct batch {
	struct db *db;        /* borrowed, like the next */
	struct errinfo *info; /* told why batch_write() failed */
	struct logrow rows[LIMIT_FLUSH_ROWS];
	bool skip[LIMIT_FLUSH_ROWS]; /* not this one */
	size_t n;

	/* for batch.c */
	const struct logrow *order[LIMIT_FLUSH_ROWS];
	size_t n_order;
	struct tally tallies[BATCH_TALLIES];
	size_t n_tallies;
};

/* Where it stood: written with the rows. */
struct batch_place {
	const char *segment;
	const char *node;
	int64_t position;
};

/* *ret_bad: the index of the row that the database refused, else BATCH_NO_ROW. */
enum err batch_write(struct batch *b, const struct batch_place *place, size_t *ret_bad) MUST_CHECK;
/* Would any row be taken? Nothing remains of the try. */
bool batch_probe(struct batch *b);

#endif
