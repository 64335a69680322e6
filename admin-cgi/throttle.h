/* SPDX-License-Identifier: MIT
 *
 * Slows down whoever tries keys: counts failed tries per address, over all admin
 * processes of the node, in a small file of fixed size.
 */
#ifndef ADMIN_THROTTLE_H
#define ADMIN_THROTTLE_H

#include "lib/base.h"

/* Failed tries within THROTTLE_WINDOW_S after which an address has to wait. */
#define THROTTLE_TRIES    10
#define THROTTLE_WINDOW_S 60

struct throttle;

/* Made if need be. One that cannot be opened lets everybody pass: a full disk must
 * not lock the operator out. */
struct throttle *throttle_open(const char *path) MUST_CHECK;
void throttle_close(struct throttle *t); /* NULL is fine */

/* Seconds until this address may try again; 0: now. An IPv6 address counts as its
 * /64. */
int throttle_wait(struct throttle *t, struct str address, int64_t now_ms);
void throttle_failed(struct throttle *t, struct str address, int64_t now_ms);

#endif
