/* SPDX-License-Identifier: MIT
 *
 * The two clocks. Time-outs within a process use the monotonic one; whatever is
 * shared between processes or survives them (a rest, a lease, a row) the wall
 * clock. Tests move time through clock_fake().
 */
#ifndef LIB_CLOCK_H
#define LIB_CLOCK_H

#include "lib/base.h"

/* Microseconds since an arbitrary point; never goes back. */
int64_t clock_mono_us(void);
/* Microseconds since 1970-01-01 UTC. */
int64_t clock_wall_us(void);
int64_t clock_wall_ms(void);

/* From now on both clocks stand at wall_us until set again; 0 lets them run. */
void clock_fake(int64_t wall_us);
bool clock_is_fake(void);

#endif
