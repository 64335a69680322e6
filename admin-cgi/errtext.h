/* SPDX-License-Identifier: MIT
 *
 * Errors in the languages of the management API. lib/ says what went wrong in English,
 * as a log needs it; here that becomes what a person reads.
 */
#ifndef ADMIN_ERRTEXT_H
#define ADMIN_ERRTEXT_H

#include "admin-cgi/msg.h"
#include "lib/arena.h"

/* The text in this language, in the arena; as it is when there is no translation. */
struct str errtext(struct str text, enum language language, struct arena *arena);

#endif
