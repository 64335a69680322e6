/* SPDX-License-Identifier: MIT
 *
 * How many exchanges are under way on this node, over all its processes: a shared
 * file ($DATA_DIR/run/gate) with one slot a process. A process that dies leaves its
 * count behind; its slot's lock is gone with it, so the next gate_tend() of any
 * other gives the count back. The same file tells who looks whether anybody serves.
 */
#ifndef LIB_GATE_H
#define LIB_GATE_H

#include "lib/conf.h"

struct gate;

/* Takes a slot. ERR_BUSY: LIMIT_PROCESSES have one already. */
enum err gate_open(const struct conf *conf, struct gate **ret, struct errinfo *info) MUST_CHECK;
void gate_close(struct gate *g); /* NULL is fine */
/* false: MAX_CONCURRENT_REQUESTS are under way. Each true is ended by a leave. */
bool gate_enter(struct gate *g) MUST_CHECK;
void gate_leave(struct gate *g);
/* 1: a stream has begun, -1: it has ended. */
void gate_stream(struct gate *g, int change);
/* Gives back what dead processes held. Call every second or so. */
void gate_tend(struct gate *g);

/* What the node looks like from outside; takes no slot. */
struct gate_view {
	int processes;     /* alive */
	int64_t under_way; /* exchanges of those */
	int64_t streams;   /* answers that come in pieces, of those */
	int64_t since_us;  /* wall; when the oldest of them started; 0: none */
};
void gate_look(const struct conf *conf, struct gate_view *ret);

#endif
