/* SPDX-License-Identifier: MIT
 *
 * What a client may learn with its key: which groups it opens, what they speak and
 * where they are. One list for /api/integration/info and for the same path below
 * /proxy/{group}.
 */
#ifndef LIB_INTEGRATION_H
#define LIB_INTEGRATION_H

#include "lib/buf.h"
#include "lib/snapshot.h"

/* Appends the JSON array of the groups that this key opens; with `only` (may be
 * NULL), of that group at most, and with paths relative to it. *ret_n counts them:
 * 0 means that the key opens nothing here. */
void integration_info(const struct snapshot *s, const struct group *only, struct str client_key,
		      struct buf *out, size_t *ret_n);
/* The same for a key that opens every group: the AUTH_KEY. */
void integration_info_all(const struct snapshot *s, const struct group *only, struct buf *out,
			  size_t *ret_n);

#endif
