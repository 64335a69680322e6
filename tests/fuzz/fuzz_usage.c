/* SPDX-License-Identifier: MIT
 *
 * usage: the first byte says how the rest is cut and what it is taken for. The counts
 * are the same however it is cut, and never below -1.
 */
#include "lib/channel.h"
#include "lib/usage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct usage
count(const struct usage_names *names, uint8_t how, const char *p, size_t n, size_t piece)
{
	enum usage_form form = (how & 0x20) != 0 ? USAGE_SSE : USAGE_JSON;
	struct usage_scan *s = usage_new_encoded(names, form, (how & 0x40) != 0 ? "deflate" : NULL);
	struct usage u;

	for (size_t at = 0; at < n; at += piece)
		usage_feed(s, p + at, MIN(piece, n - at));
	u = usage_result(s);
	usage_free(s);
	return u;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	for (size_t i = 0; channel_at(i) != NULL; i++) {
		const struct usage_names *names = channel_at(i)->usage;
		const char *p = (const char *)data + 1;
		struct usage whole = count(names, data[0], p, size - 1, size);
		struct usage cut = count(names, data[0], p, size - 1, 1 + data[0] % 32);

		check(whole.prompt == cut.prompt && whole.completion == cut.completion &&
		      whole.cached == cut.cached);
		check(whole.prompt >= -1 && whole.completion >= -1 && whole.cached >= -1);
	}
	return 0;
}
