/* SPDX-License-Identifier: MIT
 *
 * A key as the API shows it.
 */
#ifndef ADMIN_KEY_OUT_H
#define ADMIN_KEY_OUT_H

#include "admin-cgi/admin.h"
#include "lib/key.h"

/* As the next value; pool may be NULL, then as the DB last heard of it. */
void out_key(struct req *req, const struct key_row *row, struct pool *pool);

#endif
