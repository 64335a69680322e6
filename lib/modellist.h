/* SPDX-License-Identifier: MIT
 *
 * Putting a group's redirect sources into a vendor's list of models, in the text of
 * the answer: what is not touched stays byte for byte. The vendor's file describes
 * the shape of its list.
 */
#ifndef LIB_MODELLIST_H
#define LIB_MODELLIST_H

#include "lib/jsonscan.h"
#include "lib/snapshot.h"

#define MODELLIST_OTHERS_MAX 4

struct modellist;

struct modellist_shape {
	const char *array;     /* the top-level member that holds the models */
	const char *id;        /* the member of a model that names it */
	const char *id_prefix; /* may stand before the name there; "" for none */
	/* Appends one model, as JSON. */
	void (*entry)(struct buf *out, struct str model);
	/* Other top-level members (at most MODELLIST_OTHERS_MAX; unused ones NULL) that
	 * finish() wants to see: key 1 is the first of them. NULL: nothing to finish. */
	const char *others[MODELLIST_OTHERS_MAX];
	void (*finish)(struct modellist *m);
};

/* One edit under way, as finish() sees it. */
struct modellist {
	struct str body;
	bool strict;
	struct json_top top; /* no key twice */
	struct str first_id; /* of the finished list, as JSON; "null" when it is empty */
	struct str last_id;
	bool appended;      /* at least one model was added behind the vendor's */
	bool was_empty;     /* the vendor's list */
	struct arena arena; /* for texts of replacements */
	struct json_edit edits[1 + MODELLIST_OTHERS_MAX];
	size_t n_edits;
};

/* Writes the edited body. Not strict: models that are missing are appended, if `add`;
 * strict: the redirect sources become the whole list. In the group's order.
 * ERR_INVALID_JSON: not that shape; ERR_TOO_LARGE: `out` is full. */
enum err modellist_edit(const struct modellist_shape *shape, struct str body, const struct group *g,
			bool add, struct buf *out) MUST_CHECK;

/* For finish(): replaces the member's value, or takes the member out. */
void modellist_replace(struct modellist *m, const struct json_hit *hit, struct str json);
void modellist_remove(struct modellist *m, const struct json_hit *hit);

#endif
