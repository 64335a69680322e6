/* SPDX-License-Identifier: MIT
 *
 * What an import is given, and how what becomes of it is shown: for the preview and for
 * the report of the task.
 */
#ifndef ADMIN_PREVIEW_H
#define ADMIN_PREVIEW_H

#include "admin-cgi/admin.h"
#include "lib/key.h"

struct key_input {
	int64_t group_id;
	struct str text;
};

/* From JSON, or from an uploaded file where `uploads` allows it. */
enum err req_key_input(struct req *req, bool uploads, struct key_input *ret) MUST_CHECK;

struct import_counts {
	int64_t total;
	int64_t added; /* or would be */
	int64_t in_text;
	int64_t in_group;
	int64_t malformed;
};
/* The member `counts`. */
void out_import_counts(struct buf *b, const struct import_counts *counts);
/* The members `malformed` and `malformed_left_out`. */
void out_key_faults(struct req *req, const struct key_fault *v, size_t n, int64_t all);

#endif
