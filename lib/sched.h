/* SPDX-License-Identifier: MIT
 *
 * How the kernel's scheduler is told who must not wait.
 */
#ifndef LIB_SCHED_H
#define LIB_SCHED_H

/* The calling thread works for nobody who waits: whoever wakes while it runs goes first.
 *
 * Linux gives each task a virtual deadline, its slice away (EEVDF, since 6.6), and one that
 * wakes takes the processor over only if its own comes before; else it waits for a tick, up to
 * 4 ms at 250 Hz. A long slice (settable since 6.12) puts this thread's deadline behind
 * everybody's. Its share of the processor stays the same, and so does its nice value; who
 * waits for a lock that it holds sleeps, which leaves it the processor. Beside an import of 100,000
 * keys on two processors the p99 of 200 requests a second fell from 3 to 4 ms to 1.5 to 2
 * (tests/bench/rate). Where the kernel cannot or may not: nothing. */
void sched_background(void);

#endif
