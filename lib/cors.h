/* SPDX-License-Identifier: MIT
 *
 * Cross-origin requests, as ENABLE_CORS and the variables beside it say; the same for
 * /proxy and for the management API. An origin that is allowed is named in the answer,
 * never as "*", and the answer varies with it. Credentials are only offered to an origin
 * that the operator listed by name: "*" must not mean "every site may act as the user".
 */
#ifndef LIB_CORS_H
#define LIB_CORS_H

#include "lib/buf.h"
#include "lib/conf.h"

/* May pages of this request's origin read the answer. */
bool cors_allows(const struct conf *conf, char *const *envp);
/* Appends header lines, each with CRLF; nothing when CORS is off. */
void cors_fields(const struct conf *conf, char *const *envp, struct buf *out);
/* The further ones of a preflight's answer. */
void cors_preflight_fields(const struct conf *conf, char *const *envp, struct buf *out);

#endif
