/* SPDX-License-Identifier: MIT
 *
 * Trying keys of one group now, for whoever has them as text or by their ids.
 */
#ifndef ADMIN_KEYTEST_H
#define ADMIN_KEYTEST_H

#include "admin-cgi/admin.h"

struct key_trial {
	struct str key;
	int64_t id; /* 0: the group does not have it; then it is not tried */
	bool done;
	bool ok;
	int status; /* of the answer; 0: there was none */
	int64_t took_ms;
	struct str error; /* empty: none */
};

/* As many side by side as the group's key_validation_concurrency says, for at most
 * LIMIT_TEST_SECONDS. Each counts for the key as a validation does, and the DB has the
 * keys' new state when this returns. */
enum err key_trials_run(struct req *req, int64_t group_id, struct key_trial *v, size_t n)
    MUST_CHECK;
/* The member `results`. */
void out_key_trials(struct req *req, const struct key_trial *v, size_t n);

#endif
