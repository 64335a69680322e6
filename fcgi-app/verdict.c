/* SPDX-License-Identifier: MIT
 *
 * Who is at fault decides what happens: three separate decisions for every outcome
 * (is it tried again, what becomes of the key, what of the upstream). The table is
 * that of ARCHITECTURE.md, "Verdicts".
 */
#include "fcgi-app/responder.h"

static bool
blames_key(const struct group *g, int status, struct str body)
{
	return status == 401 || status == 402 || status == 403 ||
	       (status >= 400 && g->channel->blames_key(status, body));
}

struct verdict
verdict_of_answer(const struct group *g, int status, struct str body)
{
	struct verdict v = {.upstream = UPSTREAM_OK};

	if (status < 400) {
		v.key_concerned = true;
		v.key = VERDICT_OK;
	} else if (blames_key(g, status, body)) {
		v.retry = true;
		v.key_concerned = true;
		v.key = VERDICT_BLAMED;
	} else if (status == 429) {
		v.retry = true;
		v.key_concerned = true;
		v.key = VERDICT_LIMITED;
		v.upstream = UPSTREAM_LIMITED;
	} else if (status >= 500) {
		v.retry = true;
		v.upstream = UPSTREAM_FAILED;
	}
	/* An operator's list says which statuses are tried again, and only that. */
	if (g->opt.failover_set)
		v.retry = status_set_has(&g->opt.failover, status);
	return v;
}

struct verdict
verdict_of_failure(enum call_end end, enum overdue overdue, bool answer_begun)
{
	struct verdict v = {.upstream = UPSTREAM_FAILED};

	/* Once the request was written it may have been done, and billed. */
	v.retry = !answer_begun && overdue == OVERDUE_NOT &&
		  (end == CALL_NOT_SENT || end == CALL_TOO_SLOW_CONNECT);
	return v;
}
