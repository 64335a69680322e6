/* SPDX-License-Identifier: MIT
 *
 * A list of HTTP header fields in an arena. Names compare without case; order
 * and repeated fields are kept.
 */
#ifndef LIB_HEADER_H
#define LIB_HEADER_H

#include "lib/arena.h"
#include "lib/str.h"

struct header {
	struct str name;
	struct str value;
};

struct headers {
	struct arena *arena; /* borrowed: holds the array; text is the caller's */
	struct header *v;
	size_t n;
	size_t cap;
};

void headers_init(struct headers *h, struct arena *arena);
/* name and value are borrowed for the list's life. */
void headers_add(struct headers *h, struct str name, struct str value);
/* Removes every field of that name, then adds one. */
void headers_set(struct headers *h, struct str name, struct str value);
void headers_remove(struct headers *h, struct str name);
/* The first field's value; false when there is none. */
bool headers_find(const struct headers *h, struct str name, struct str *ret);

static inline bool
headers_get(const struct headers *h, const char *name, struct str *ret)
{
	return headers_find(h, str_of(name), ret);
}

/* Token characters only (RFC 9110, 5.6.2). */
bool header_name_valid(struct str name);
/* No CR, LF, NUL or other control character but tab. */
bool header_value_valid(struct str value);
/* Belongs to one connection and is never passed on (RFC 9110, 7.6.1):
 * Connection, Keep-Alive, Proxy-*, TE, Trailer, Transfer-Encoding, Upgrade … */
bool header_is_hop_by_hop(struct str name);

#endif
