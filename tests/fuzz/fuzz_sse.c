/* SPDX-License-Identifier: MIT
 *
 * sse: the first byte says how the rest is cut. The events are the same however that
 * is, and with a comment put in wherever it is allowed.
 */
#include "lib/buf.h"
#include "lib/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
on_data(void *arg, const char *p, size_t n)
{
	struct buf *b = arg;

	if (p == NULL)
		buf_char(b, '\0');
	else
		buf_add(b, p, n);
}

static void
feed_cut(const char *p, size_t n, size_t piece, bool comments, struct buf *out)
{
	static const char comment[] = ": heartbeat\n\n";
	struct sse s;

	sse_init(&s);
	for (size_t at = 0; at < n; at += piece) {
		sse_feed(&s, p + at, MIN(piece, n - at), on_data, out);
		if (comments && sse_between_events(&s))
			sse_feed(&s, comment, strlen(comment), on_data, out);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *p;
	struct buf whole;
	struct buf cut;
	size_t n;

	if (size == 0)
		return 0;
	p = (const char *)data + 1;
	n = size - 1;
	buf_init(&whole, 2 * size);
	buf_init(&cut, 2 * size);
	feed_cut(p, n, MAX(n, 1), false, &whole);
	for (int comments = 0; comments < 2; comments++) {
		buf_clear(&cut);
		feed_cut(p, n, 1 + data[0] % 32, comments == 1, &cut);
		check(cut.n == whole.n && (cut.n == 0 || memcmp(cut.p, whole.p, cut.n) == 0));
	}
	buf_done(&whole);
	buf_done(&cut);
	return 0;
}
