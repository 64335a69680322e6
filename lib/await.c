/* SPDX-License-Identifier: MIT
 *
 * Waiting at a start; see await.h.
 */
#include "lib/await.h"
#include "lib/clock.h"
#include "lib/str.h"

#include <stdio.h>

#define PAUSE_FIRST_MS 250
#define PAUSE_MOST_MS  2000
#define SAY_AGAIN_US   INT64_C(60000000)

bool
await_may_come(const struct conf *conf, enum err e)
{
	bool redis = conf->redis_dsn != NULL && conf->redis_dsn[0] != '\0';

	/* The embedded pool is a file: what is wrong with it stays so. */
	return e == ERR_DB_AWAY || (e == ERR_POOL && redis);
}

int
await_next(struct await *a, enum err e, const struct errinfo *info, bool *ret_say)
{
	const char *text = err_text(info, e);
	int64_t now = clock_mono_us();

	*ret_say =
	    a->said_us == 0 || now - a->said_us >= SAY_AGAIN_US || strcmp(a->said.text, text) != 0;
	if (*ret_say) {
		a->said_us = now;
		(void)snprintf(a->said.text, sizeof(a->said.text), "%s", text);
	}
	a->pause_ms = MIN(MAX(2 * a->pause_ms, PAUSE_FIRST_MS), PAUSE_MOST_MS);
	return a->pause_ms;
}
