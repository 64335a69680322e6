/* SPDX-License-Identifier: MIT
 *
 * Writing JSON answers. Commas come by themselves: a value or a name that follows
 * a finished value gets one before it.
 */
#ifndef ADMIN_OUT_H
#define ADMIN_OUT_H

#include "lib/buf.h"

/* '{' or '[' as the next value; with a name, as that member. */
void out_open(struct buf *b, const char *name, char bracket);
void out_close(struct buf *b, char bracket);

/* Members of the open object; name NULL: elements of the open array. */
void out_str(struct buf *b, const char *name, struct str value);
void out_cstr(struct buf *b, const char *name, const char *value);
void out_int(struct buf *b, const char *name, int64_t value);
void out_bool(struct buf *b, const char *name, bool value);
/* µs as RFC 3339; 0 is null. */
void out_time(struct buf *b, const char *name, int64_t us);
/* Text that is JSON. */
void out_raw(struct buf *b, const char *name, struct str json);
/* A stored JSON column: as it is, or `instead` when it is empty or not JSON. */
void out_column(struct buf *b, const char *name, struct str json, const char *instead);

#endif
