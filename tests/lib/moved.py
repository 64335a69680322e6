# SPDX-License-Identifier: MIT
"""The wall clock of a program moved by some hours: a library put in front of the C
library's. Rows of a whole day are then written in seconds, by the real programs."""

import subprocess

SOURCE = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static long long moved(void)
{
	const char *s = getenv("TEST_CLOCK_MOVED_S");
	return s ? strtoll(s, 0, 10) : 0;
}
int clock_gettime(clockid_t id, struct timespec *t)
{
	static int (*real)(clockid_t, struct timespec *);
	if (!real)
		real = dlsym(RTLD_NEXT, "clock_gettime");
	int rc = real(id, t);
	if (rc == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
		t->tv_sec += moved();
	return rc;
}
int gettimeofday(struct timeval *t, void *zone)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	t->tv_sec = now.tv_sec;
	t->tv_usec = now.tv_nsec / 1000;
	return 0;
}
time_t time(time_t *ret)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	if (ret)
		*ret = now.tv_sec;
	return now.tv_sec;
}
"""


class MovedClock:
    def __init__(self, folder):
        self.library = folder / "moved.so"
        source = folder / "moved.c"
        source.write_text(SOURCE)
        subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self.library, source, "-ldl"],
                       check=True)

    def environment(self, hours, base):
        """What moves the clock of a program by `hours`; `base` is its environment."""
        asan = base.get("ASAN_OPTIONS", "")
        return {"LD_PRELOAD": str(self.library), "TEST_CLOCK_MOVED_S": str(int(hours * 3600)),
                "ASAN_OPTIONS": f"{asan}:verify_asan_link_order=0".lstrip(":")}
