/* SPDX-License-Identifier: MIT
 *
 * What lies beside a task's row, in gptl_task_input: parts from 1 on are the keys still to
 * be done, part 0 is its report, kept as long as the row. For the files of lib/task.h.
 */
#ifndef LIB_TASK_STORE_H
#define LIB_TASK_STORE_H

#include "lib/task.h"

/* A part's text, encrypted in hex, is about twice that. */
#define TASK_PART_BYTES (24 * 1024)

/* Within the caller's transaction, like the next two. n: keys in it. */
enum err task_put_part(struct db *db, const struct crypt *crypt, int64_t task_id, int64_t part,
		       struct str text, size_t n) MUST_CHECK;
/* The report of an import, if it left anything out. */
enum err task_put_faults(struct db *db, const struct crypt *crypt, int64_t task_id,
			 const struct key_text *keys) MUST_CHECK;
/* The report of a validation so far, in place of what it was. */
enum err task_put_causes(struct db *db, const struct crypt *crypt, int64_t task_id,
			 const struct causes *causes) MUST_CHECK;

#endif
