/* SPDX-License-Identifier: MIT
 *
 * Why keys failed, counted: a hundred thousand failures are a few causes. What differs
 * from one failure to the next without saying anything (the number of a request, a key
 * with its middle masked) is left out of a cause's text: "…" stands there, and what is
 * between two of them stands so in each of the failures' own texts.
 */
#ifndef LIB_CAUSE_H
#define LIB_CAUSE_H

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/limits.h"

struct json_object;

struct cause {
	struct str text; /* in the arena of its causes */
	int64_t status;
	int64_t n;
	int64_t last; /* the caller's: when it was last seen */
};

struct causes {
	struct cause v[LIMIT_CAUSES]; /* in the order they came up */
	size_t n;
	int64_t others; /* failures by causes beyond that number */
	struct arena arena;
};

void causes_init(struct causes *c);
void causes_done(struct causes *c);
/* n more failures by this, where there is no status beside the text: it is 0. */
void causes_add(struct causes *c, struct str why, int64_t n);
/* The same with one, which makes another cause of it; NULL: it went to the others. */
struct cause *causes_add_status(struct causes *c, int64_t status, struct str why, int64_t n);
/* The most frequent first. */
void causes_sort(struct causes *c);

/* Members of a JSON object, without statuses: "causes":[["…",7],…],"others":0 */
void causes_write(const struct causes *c, struct buf *b);
/* Adds those of such an object; none when it has no such member. */
enum err causes_read(struct causes *c, struct json_object *from) MUST_CHECK;

#endif
