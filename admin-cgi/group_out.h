/* SPDX-License-Identifier: MIT
 *
 * A group as the API shows it, and its keys counted.
 */
#ifndef ADMIN_GROUP_OUT_H
#define ADMIN_GROUP_OUT_H

#include "admin-cgi/admin.h"
#include "lib/group.h"
#include "lib/key.h"

/* The group whose id is in the path. ERR_NOT_FOUND */
enum err req_group(struct req *req, struct group_row *ret) MUST_CHECK;
/* As the next element, or as the member `name`. app_url: the setting. */
void out_group(struct req *req, struct buf *b, const char *name, const struct group_row *g,
	       struct str app_url);
/* The setting app_url, in the request's arena. */
enum err req_app_url(struct req *req, struct str *ret) MUST_CHECK;

/* Members total_keys, active_keys, invalid_keys and more: from the pool, which knows
 * first, or from the DB. */
enum err out_key_counts(struct req *req, struct buf *b, int64_t group_id) MUST_CHECK;

/* What the pool knows of a group's keys; false: it cannot be asked. */
bool pool_key_counts(struct req *req, int64_t group_id, struct key_counts *ret,
		     int64_t *ret_resting) MUST_CHECK;

#endif
