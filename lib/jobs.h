/* SPDX-License-Identifier: MIT
 *
 * Background work, one round at a time: what every node does for itself (flush
 * its spool, follow the DB's version) and what one lease-holder does for the
 * installation (write key state back, validate keys that are out, long tasks,
 * retention).
 * Runs in a thread of each worker, and in `gpt-load jobs --once`.
 */
#ifndef LIB_JOBS_H
#define LIB_JOBS_H

#include <stdatomic.h>

#include "lib/conf.h"
#include "lib/pool.h"

struct jobs;

/* Opens its own DB connection when first needed; pool and conf are borrowed. */
struct jobs *jobs_new(const struct conf *conf, struct pool *pool) MUST_CHECK;
void jobs_free(struct jobs *j); /* gives the lease up */

/* Does what is due and returns the milliseconds until something is due again
 * (at most 1000). Never throws a failure up: logs it (once per cause) and tries
 * again later. `stop` is looked at between steps and during validations. */
int jobs_round(struct jobs *j, const atomic_bool *stop);
/* The last one of a process that ends: flushes the spool, writes state back. */
void jobs_last(struct jobs *j);
/* Everything at once, whether due or not: `jobs --once`. */
enum err jobs_once(struct jobs *j, struct errinfo *info) MUST_CHECK;

/* Rows were spooled and the write interval is 0: flush soon. From any thread. */
void jobs_poke(struct jobs *j);

#endif
