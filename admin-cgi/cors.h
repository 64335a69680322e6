/* SPDX-License-Identifier: MIT
 *
 * Cross-origin requests, as ENABLE_CORS and the variables beside it say.
 */
#ifndef ADMIN_CORS_H
#define ADMIN_CORS_H

#include <stdbool.h>

struct req;

/* Adds the headers that apply. true: the request is a preflight (any OPTIONS while
 * CORS is on), to be answered with 204. */
bool cors_add(struct req *req);

#endif
