/* SPDX-License-Identifier: MIT
 *
 * Log rows that are older than request_log_retention_days go, a bounded number
 * per transaction, so that nobody waits long for the database.
 */
#ifndef LIB_RETENTION_H
#define LIB_RETENTION_H

#include "lib/db.h"

#define RETENTION_BATCH 1000

/* Deletes at most RETENTION_BATCH rows, oldest first. *ret_more: there may be more
 * to delete. days 0: rows are kept for ever. */
enum err retention_step(struct db *db, int days, bool *ret_more, struct errinfo *info) MUST_CHECK;

#endif
