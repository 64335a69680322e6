/* SPDX-License-Identifier: MIT
 *
 * What a node's responders have counted since the first of them started, for /metrics: a
 * shared file ($DATA_DIR/run/counters) that all of them add to with relaxed atomics. A
 * worker that dies leaves its counts behind, as it should.
 */
#ifndef LIB_COUNTERS_H
#define LIB_COUNTERS_H

#include "lib/conf.h"
#include "lib/limits.h"

enum counter_class {
	CLASS_2XX,
	CLASS_3XX,
	CLASS_4XX,
	CLASS_5XX,
	CLASS_GONE, /* the client left before its answer was whole */
	CLASS__MAX
};

/* Upper bounds of the overhead's buckets in µs; one more has none. */
#define OVERHEAD_BOUNDS                                                                            \
	{                                                                                          \
		50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 1000000  \
	}
#define OVERHEAD_BUCKETS 14

struct counters;

/* `starts`: a server that stays; the first of them on a node begins at zero. */
enum err counters_open(const struct conf *conf, bool starts, struct counters **ret,
		       struct errinfo *info) MUST_CHECK;
void counters_close(struct counters *c); /* NULL is fine */

/* One exchange is over. group_id 0: of no group. overhead_us: what it took less what the
 * provider took. */
void counters_request(struct counters *c, int64_t group_id, int status, int64_t overhead_us);
/* A try that was followed by another. */
void counters_retry(struct counters *c, int64_t group_id);

struct counters_group {
	int64_t id; /* 0: requests of no group; -1: of groups beyond LIMIT_METRIC_GROUPS */
	int64_t requests[CLASS__MAX];
	int64_t retries;
};

struct counters_view {
	struct counters_group groups[LIMIT_METRIC_GROUPS + 2];
	size_t n_groups;
	int64_t overhead[OVERHEAD_BUCKETS];
	int64_t overhead_us; /* their sum */
};

/* From outside; nothing was counted when there is no such file. About 40 KB. */
void counters_look(const struct conf *conf, struct counters_view *ret);

#endif
