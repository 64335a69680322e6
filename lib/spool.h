/* SPDX-License-Identifier: MIT
 *
 * Rows on their way to the DB: append-only segment files under $DATA_DIR/spool,
 * one writer each, one write(2) a row, so that what a finished request wrote is
 * never lost when its worker is killed. The writer holds an flock on its segment
 * while it lives; a segment without a lock is finished. A struct spool belongs to
 * one thread.
 *
 * spool_flush() moves rows into the DB in batches, each one transaction together
 * with the position reached in the segment (gptl_spool), so that rows, counters
 * and hourly sums are counted exactly once, whatever dies when.
 */
#ifndef LIB_SPOOL_H
#define LIB_SPOOL_H

#include "lib/db.h"
#include "lib/logrow.h"

struct conf;
struct spool;

enum err spool_open(const struct conf *conf, struct spool **ret, struct errinfo *info) MUST_CHECK;
void spool_close(struct spool *s); /* NULL is fine */

/* Writes one row, never blocks on the DB. Over SPOOL_SIZE_MB: first without the
 * body, then the oldest finished segment is given up; what was lost is counted
 * (spool_lost) and said. ERR_DISK: the disk is full, the row is lost and counted. */
enum err spool_append(struct spool *s, struct logrow *row) MUST_CHECK;
/* Rows lost on this node since the spool folder was made; of a segment that was given
 * up, all that it held, so that this is at most too high (segment.h). */
int64_t spool_lost(const struct conf *conf);
/* Looks at the folder: its size, for the bound. Call every second or so. */
void spool_tend(struct spool *s);

/* Bytes waiting on this node. */
int64_t spool_waiting(const struct conf *conf);
/* Writes everything that waits on this node to the DB. One process at a time
 * (flock); if another is at it, waits for it when `wait`, else returns at once.
 * A row that the DB refuses is set aside in spool/refused, named in a log line.
 * ret_rows may be NULL. */
enum err spool_flush(const struct conf *conf, struct db *db, bool wait, int64_t *ret_rows,
		     struct errinfo *info) MUST_CHECK;

#endif
