/* SPDX-License-Identifier: MIT
 *
 * The part of conf.c that knows rules and the machine, not the table. Nobody else
 * includes it.
 */
#ifndef LIB_CONF_RULES_H
#define LIB_CONF_RULES_H

#include "lib/conf.h"

/* The rules between variables, and those that only a look at the machine can
 * decide. ERR_CONF, with the variable's name in *info. */
enum err conf_check(const struct conf *c, struct errinfo *info) MUST_CHECK;

/* In conf_prepare.c: takes the AUTH_KEY that was generated earlier, if one was. */
enum err conf_read_auth_key(struct conf *c, struct errinfo *info) MUST_CHECK;

/* Cores that this process may run on, 1 to LIMIT_WORKERS. */
int conf_count_cores(void);
/* Whether the usual sizes of pool and spool do not fit below data_dir (which need
 * not exist yet). Decided by what stays the same while the program is in use: all
 * processes of an installation must come to the same size. */
bool conf_disk_is_small(const char *data_dir);

/* Whether a DATABASE_DSN names a server; else it is the path of a SQLite file. */
bool conf_dsn_is_remote(const char *dsn);
/* The password in user:password@… of a DSN or URL: borrowed, empty when none. */
struct str conf_password_of(const char *url);

#endif
