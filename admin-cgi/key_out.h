/* SPDX-License-Identifier: MIT
 *
 * A key as the API finds and shows it.
 */
#ifndef ADMIN_KEY_OUT_H
#define ADMIN_KEY_OUT_H

#include "admin-cgi/admin.h"
#include "lib/key.h"

/* The key with this id. ERR_NOT_FOUND */
enum err req_key(struct req *req, int64_t id, struct key_row *ret) MUST_CHECK;
/* To be handed out or used in clear: ERR_CRYPT when it cannot be decrypted. */
enum err req_readable_key(struct req *req, int64_t id, struct key_row *ret) MUST_CHECK;
/* As the next value; pool may be NULL, then as the DB last heard of it. */
void out_key(struct req *req, const struct key_row *row, struct pool *pool);

#endif
