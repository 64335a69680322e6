/* SPDX-License-Identifier: MIT
 *
 * A Redis server of one's own for tests: on a Unix socket in a temporary folder,
 * without persistence. The machine's own is never touched.
 */
#ifndef TESTS_UNIT_REDIS_KIT_H
#define TESTS_UNIT_REDIS_KIT_H

#include "lib/base.h"

#include <sys/types.h>

struct redis_server {
	char dir[80];
	char socket[96];
	pid_t pid; /* 0: it does not run */
};

/* `more`: further arguments, to NULL; may be NULL. Again after a kill: the same
 * socket. False where the machine has no redis-server. */
bool redis_server_start(struct redis_server *s, const char *const *more) MUST_CHECK;
/* kill -9. */
void redis_server_kill(struct redis_server *s);
/* And its folder. */
void redis_server_end(struct redis_server *s);
/* One inline command on a connection of its own; false: an error came back. */
bool redis_server_say(const struct redis_server *s, const char *command);
/* The answer as it comes, at most 16 KB; "" when there is none. To be freed. */
char *redis_server_ask(const struct redis_server *s, const char *command) MUST_CHECK;

#endif
