/* SPDX-License-Identifier: MIT
 *
 * The files of /api/logs: which rows are asked for, rows as JSON, and the export.
 */
#ifndef ADMIN_LOGS_H
#define ADMIN_LOGS_H

#include "admin-cgi/admin.h"
#include "lib/where.h"

/* "FROM request_logs WHERE …" by the request's filters; newest_first: for a query that
 * wants the newest of them and not all. ERR_VALIDATION: a value that cannot be read; rows
 * that were not asked for would be taken for an answer. */
enum err logs_filters(struct req *req, struct db *db, struct crypt *crypt, bool newest_first,
		      struct where *w) MUST_CHECK;
/* GET /api/logs/export */
enum err logs_export(struct req *req) MUST_CHECK;

#endif
