/* SPDX-License-Identifier: MIT
 *
 * The two clocks, and the one place where tests replace them.
 */
#include "lib/clock.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic int64_t fake_us;

static int64_t
read_us(clockid_t id)
{
	struct timespec ts;
	int64_t fake = atomic_load_explicit(&fake_us, memory_order_relaxed);

	if (fake != 0)
		return fake;
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t
clock_mono_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

int64_t
clock_wall_us(void)
{
	return read_us(CLOCK_REALTIME);
}

int64_t
clock_wall_ms(void)
{
	return clock_wall_us() / 1000;
}

void
clock_fake(int64_t wall_us)
{
	atomic_store(&fake_us, wall_us);
}

bool
clock_is_fake(void)
{
	return atomic_load_explicit(&fake_us, memory_order_relaxed) != 0;
}
