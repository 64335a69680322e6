/* SPDX-License-Identifier: MIT
 *
 * Taking a URL that an operator configured apart: an upstream, a proxy, the
 * address of this installation. Nothing is decoded but what says so, and nothing
 * is normalised: bytes go up as they were configured.
 */
#ifndef LIB_URL_H
#define LIB_URL_H

#include "lib/arena.h"

struct url {
	struct str scheme;   /* as written */
	struct str userinfo; /* raw, without '@'; empty when there is none */
	struct str host;     /* with the brackets of an IPv6 address */
	struct str port;     /* digits, 1 to 65535; empty when there is none */
	struct str path;     /* raw, from its '/'; may be empty */
	struct str query;    /* raw, without '?' */
};

/* An absolute URL with an authority, free of blanks and control characters. The
 * fragment is cut off. Slices point into `text`. */
bool url_parse(struct str text, struct url *ret) MUST_CHECK;
/* Compares without case. */
bool url_scheme_is(const struct url *url, const char *scheme);
/* "%40" and the like decoded, in `arena`; false when malformed, or when a control
 * character comes out. */
bool url_decode(struct str text, struct arena *arena, struct str *ret) MUST_CHECK;

#endif
