/* SPDX-License-Identifier: MIT
 *
 * What rows of api_keys hold: keys as they are, or encrypted, and with which
 * ENCRYPTION_KEY.
 */
#ifndef LIB_STORED_H
#define LIB_STORED_H

#include "lib/crypt.h"
#include "lib/db.h"

/* Is this one not encrypted; by its hash, else by what it looks like. */
bool stored_is_plain(struct str stored, struct str hash);
/* ERR_CONF, *info says why: most of the newest keys do not open. A few damaged rows
 * do not stop the gateway. */
enum err stored_check(struct db *db, const struct crypt *crypt, struct errinfo *info) MUST_CHECK;

#endif
