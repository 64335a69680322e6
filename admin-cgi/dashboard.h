/* SPDX-License-Identifier: MIT
 *
 * The files of /api/dashboard: numbers, sums of a range, and what is said of secrets.
 */
#ifndef ADMIN_DASHBOARD_H
#define ADMIN_DASHBOARD_H

#include "admin-cgi/admin.h"

/* The member `security_warnings`: weak or missing secrets, never the secret itself. */
enum err out_security_warnings(struct req *req, struct db *db) MUST_CHECK;
/* GET /api/dashboard/encryption-status */
enum err encryption_status(struct req *req) MUST_CHECK;

/* What the query of the next two asks for. */
struct asked {
	const char *range;
	int64_t from; /* s */
	int64_t to;
	int64_t group_id; /* 0: all */
};
enum err dashboard_asked(struct req *req, struct asked *ret) MUST_CHECK;

/* GET /api/dashboard/summary */
enum err dashboard_summary(struct req *req) MUST_CHECK;
/* GET /api/dashboard/errors */
enum err dashboard_errors(struct req *req) MUST_CHECK;

#endif
