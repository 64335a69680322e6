/* SPDX-License-Identifier: MIT
 *
 * The small process over the workers of one socket.
 */
#ifndef FCGI_APP_MASTER_H
#define FCGI_APP_MASTER_H

#include "lib/conf.h"

/* `program`: what to run as worker. `socket`: a path, or ADDRESS:PORT.
 * Runs until SIGTERM; the process's exit code. */
int master_run(const struct conf *conf, const char *program, const char *socket,
	       unsigned socket_mode, int workers);

#endif
