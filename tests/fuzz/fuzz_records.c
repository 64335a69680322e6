/* SPDX-License-Identifier: MIT
 *
 * records: what is said to be whole lies within the bytes, and what comes out of it is as
 * long as was counted.
 */
#include "fcgi-app/responder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct records r;
	struct arena arena;
	char **envp;

	if (records_look(data, size, &r) != LOOK_WHOLE || !r.usual)
		return 0;
	check(r.bytes <= size);
	arena_init(&arena, 1024);
	if (records_variables(&r, &arena, &envp)) {
		size_t n = 0;

		for (; *envp != NULL; envp++)
			n += strlen(*envp) + 1;
		check(n <= r.params);
	}
	check(records_body(&r, &arena).n == r.body);
	arena_done(&arena);
	return 0;
}
