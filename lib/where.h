/* SPDX-License-Identifier: MIT
 *
 * The text of a query whose filters are optional, put together from constant
 * pieces, with the values bound beside it. Only string literals become SQL.
 */
#ifndef LIB_WHERE_H
#define LIB_WHERE_H

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/db.h"

#define WHERE_TEXT 16384
#define WHERE_ARGS 256

struct where {
	struct buf sql;
	struct db_arg args[WHERE_ARGS]; /* texts are borrowed */
	size_t n;
};

void where_init(struct where *w);
void where_done(struct where *w);
/* `literal` is added as it is. */
#define where_text(w, literal) where_text_of(w, "" literal)
/* Same, with the value of the one `?` in it. */
#define where_arg(w, literal, arg) where_arg_of(w, "" literal, arg)
void where_text_of(struct where *w, const char *text);
void where_arg_of(struct where *w, const char *text, struct db_arg arg);
/* Adds the pieces of `from` again, with their values. */
void where_copy(struct where *w, const struct where *from);

/* "%text%" for LIKE ? ESCAPE '!', with what is a wildcard in text escaped. */
struct str where_like(struct str text, struct arena *arena);

enum err where_query(const struct where *w, struct db *db, struct db_rows **ret) MUST_CHECK;
/* See db_query_int; none is 0. */
enum err where_query_int(const struct where *w, struct db *db, int64_t *ret) MUST_CHECK;

#endif
