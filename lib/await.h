/* SPDX-License-Identifier: MIT
 *
 * A start that finds the database or Redis away waits for it, and says so: at once,
 * when the reason changes, and once a minute. What can only be mended in the
 * configuration (a password, a name, a DSN that cannot be read) is refused instead.
 */
#ifndef LIB_AWAIT_H
#define LIB_AWAIT_H

#include "lib/conf.h"
#include "lib/err.h"

struct await {
	int64_t said_us; /* mono; 0: nothing yet */
	int pause_ms;
	struct errinfo said;
};

/* Whether what failed so comes right by itself: nobody answers, not yet, or others
 * keep it for too long. */
bool await_may_come(const struct conf *conf, enum err e);
/* For how long to wait before the next try; *ret_say: the reason is to be told. */
int await_next(struct await *a, enum err e, const struct errinfo *info, bool *ret_say);

#endif
