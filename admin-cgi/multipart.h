/* SPDX-License-Identifier: MIT
 *
 * A multipart/form-data body (RFC 7578) that is in memory already, part by part.
 */
#ifndef ADMIN_MULTIPART_H
#define ADMIN_MULTIPART_H

#include "lib/err.h"
#include "lib/str.h"

struct multipart {
	struct str rest;
	struct str boundary; /* as in the content type */
};

struct part {
	struct str name;
	struct str filename; /* empty: it is no file */
	struct str value;    /* slice of the body */
};

/* false: the content type is another, or has no boundary. */
bool multipart_init(struct multipart *m, struct str content_type, struct str body) MUST_CHECK;
/* The next; false: the last one is behind us. *ret_err: ERR_BAD_REQUEST when the body is
 * not what it says. */
bool multipart_next(struct multipart *m, struct part *ret, enum err *ret_err) MUST_CHECK;

#endif
