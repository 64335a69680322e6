/* SPDX-License-Identifier: MIT
 *
 * The files of /api/logs: which rows are asked for, rows as JSON, and the export.
 */
#ifndef ADMIN_LOGS_H
#define ADMIN_LOGS_H

#include "admin-cgi/admin.h"
#include "lib/where.h"

/* Rows that agree in the four columns which nearly every filter names; the newest of them
 * are one stretch of an index. */
struct log_part {
	int64_t group_id;
	int64_t status;
	bool success;
	struct str type; /* in the arena */
};
#define LOG_PARTS 24

struct log_filters {
	/* " FROM request_logs WHERE …": for all rows or their number, for the newest of them,
	 * and with the filters on the time alone. */
	struct where all;
	struct where newest;
	struct where times;
	bool others;      /* there are filters beside these and the four: */
	int64_t group_id; /* 0: any */
	int64_t status;   /* -1: any */
	int success;      /* likewise */
	struct str type;  /* empty: any */
	/* Of a class of statuses; equal: any. `outside`: those that are not from … below. */
	int64_t class_from;
	int64_t class_below;
	bool class_outside;
	/* By logs_split(). */
	bool split; /* `part` has all that there are */
	struct log_part part[LOG_PARTS];
	size_t n_parts;
};

/* What both routes begin with: where to look, and for what, by the request's query; new
 * rows are in the database. log_filters_done() in any case. ERR_VALIDATION: a value that
 * cannot be read; rows that were not asked for would be taken for an answer. */
enum err logs_open(struct req *req, struct db **ret_db, struct crypt **ret_crypt,
		   struct log_filters *ret) MUST_CHECK;
void log_filters_done(struct log_filters *f);
/* Fills f->newest, which may have to ask how many rows there are of a class. */
enum err logs_newest(struct req *req, struct db *db, struct crypt *crypt, struct log_filters *f)
    MUST_CHECK;
/* Looks up which parts match, where more than one of the four columns is asked for: the
 * index of one alone might be walked through without finding a row. Where there are too
 * many they are left: f->split stays false. */
enum err logs_split(struct req *req, struct db *db, struct log_filters *f) MUST_CHECK;
/* `select` from the rows of a part within the times: a SELECT without its end. */
void logs_add_part(struct where *w, const char *select, const struct log_filters *f,
		   const struct log_part *part);
/* A key as it is stored in clear, or KEY_UNREADABLE; in `plain`. */
struct str logs_key(const struct crypt *crypt, struct str stored, struct buf *plain);
/* GET /api/logs/export */
enum err logs_export(struct req *req) MUST_CHECK;

#endif
