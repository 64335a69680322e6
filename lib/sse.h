/* SPDX-License-Identifier: MIT
 *
 * Where one is in a text/event-stream (WHATWG HTML, 9.2): enough to know that a
 * comment may be put in here, and to find the data lines. Lines end with LF, CR
 * or CR LF; an empty line ends an event. Nothing is kept of the bytes.
 */
#ifndef LIB_SSE_H
#define LIB_SSE_H

#include "lib/base.h"

struct sse {
	uint8_t line;    /* where in the line: an enum of sse.c */
	bool event_open; /* a field line was seen since the last empty line */
	bool any_event;  /* at least one event has ended */
	bool after_cr;
	bool has_data;   /* the open event has a data line */
	uint8_t name_at; /* how much of "data" the line has matched */
};

/* p[0..n) belongs to the data of the open event; p == NULL: that event has ended. */
typedef void (*sse_data_fn)(void *arg, const char *p, size_t n);

void sse_init(struct sse *s);
/* Calls data(arg, …) for each run of bytes of a data line's value, with a "\n" between
 * the data lines of one event, and with NULL at the end of an event that had any.
 * data may be NULL. */
void sse_feed(struct sse *s, const char *p, size_t n, sse_data_fn data, void *arg);
/* At the start of a line with no event begun, after at least one event. After a bare
 * CR it is false until the next byte tells whether an LF belongs to it. */
bool sse_between_events(const struct sse *s);

#endif
