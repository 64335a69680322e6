/* SPDX-License-Identifier: MIT */
#include "lib/sched.h"

#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The longest that the kernel takes. */
#define SLICE_NS 100000000U

/* sched_setattr(2), its first version: the kernel's header of it and libc's <sched.h> cannot be
 * used together everywhere. */
struct attr {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime_ns; /* of an ordinary thread: its slice */
	uint64_t deadline_ns;
	uint64_t period_ns;
};

void
sched_background(void)
{
	struct attr attr = {.size = sizeof(attr)};

	if (syscall(SYS_sched_getattr, 0, &attr, sizeof(attr), 0) != 0 ||
	    attr.policy != SCHED_OTHER)
		return;
	attr.runtime_ns = SLICE_NS;
	(void)syscall(SYS_sched_setattr, 0, &attr, 0);
}
