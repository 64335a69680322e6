/* SPDX-License-Identifier: MIT
 *
 * Many event streams at once, opened at a given pace; says "open" when the last
 * has brought its first event, and one JSON line at the end.
 *
 *	streams PORT PATH KEY BODY-FILE STREAMS PER_SECOND EVENTS
 *
 * An event is a line with `"t":N}`, N being the monotonic nanosecond at which
 * the provider sent it (sse_server does); its delay is counted from there. A
 * stream is whole when its answer ended properly after EVENTS events.
 */
#include "tests/bench/bench.h"
#include "lib/str.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define SILENCE_NS  (30 * 1000000000LL) /* without any byte: give up */
#define LINE_MAX_N  256
#define STREAMS_MAX 60000

struct stream {
	struct answer answer; /* first: on_body() casts back */
	int fd;
	bool over;
	size_t sent;
	int64_t events;
	size_t line_n;
	char line[LINE_MAX_N];
};

static struct {
	char *request;
	size_t request_n;
	int epoll;
	size_t over;
	size_t whole;
	size_t begun; /* have brought an event */
	size_t errors;
	int64_t heartbeats; /* comment lines */
	struct sample delay;
} self;

static void
on_line(struct stream *s)
{
	static const char mark[] = "\"t\":";
	struct str line = str_trim((struct str){s->line, s->line_n});
	const char *t;
	int64_t sent_ns;

	if (line.n > 0 && line.p[0] == ':')
		self.heartbeats++;
	t = line.n > 0 ? memmem(line.p, line.n, mark, sizeof(mark) - 1) : NULL;
	if (t == NULL)
		return;
	line = str_from(line, (size_t)(t - line.p) + sizeof(mark) - 1);
	line.n -= line.n > 0 ? 1 : 0; /* the closing brace */
	if (!str_to_i64(line, 0, INT64_MAX, &sent_ns))
		return;
	sample_add(&self.delay, now_ns() - sent_ns);
	if (s->events++ == 0)
		self.begun++;
}

static void
on_body(struct answer *a, const char *p, size_t n)
{
	struct stream *s = container_of(a, struct stream, answer);

	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\n') {
			on_line(s);
			s->line_n = 0;
		} else if (s->line_n < sizeof(s->line)) {
			s->line[s->line_n++] = p[i];
		}
	}
}

static void
open_stream(struct stream *s, uint16_t port)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = s};

	answer_init(&s->answer, on_body);
	s->fd = connect_loopback(port);
	check(epoll_ctl(self.epoll, EPOLL_CTL_ADD, s->fd, &ev) == 0);
}

static void
finish(struct stream *s, int64_t events)
{
	s->over = true;
	self.over++;
	if (s->answer.state == ANSWER_DONE && s->answer.status == 200 && s->events == events)
		self.whole++;
	else
		self.errors++;
	(void)close(s->fd);
}

static void
on_event(struct stream *s, int64_t events)
{
	char buf[16384];
	ssize_t n = 0;

	while (s->sent < self.request_n && (n = send(s->fd, self.request + s->sent,
						     self.request_n - s->sent, MSG_NOSIGNAL)) > 0)
		s->sent += (size_t)n;
	for (;;) {
		n = read(s->fd, buf, sizeof(buf));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n > 0)
			answer_feed(&s->answer, buf, (size_t)n);
		else
			answer_eof(&s->answer);
		if (n <= 0 || s->answer.state == ANSWER_DONE || s->answer.state == ANSWER_BROKEN) {
			finish(s, events);
			return;
		}
	}
}

static void
run(uint16_t port, size_t count, int64_t per_second, int64_t events)
{
	struct stream *all = xcalloc(count, sizeof(*all));
	struct epoll_event ev[256];
	int64_t start = now_ns();
	int64_t heard = start;
	size_t opened = 0;
	bool said = false;

	while (self.over < count && now_ns() - heard < SILENCE_NS) {
		int n = epoll_wait(self.epoll, ev, ARRAY_LEN(ev), opened < count ? 1 : 1000);

		for (int i = 0; i < n; i++) {
			struct stream *s = ev[i].data.ptr;

			heard = now_ns();
			if (!s->over)
				on_event(s, events);
		}
		while (opened < count &&
		       start + (int64_t)opened * 1000000000 / per_second <= now_ns())
			open_stream(&all[opened++], port);
		if (!said && self.begun == count) {
			said = true;
			printf("open\n");
			(void)fflush(stdout);
		}
	}
	self.errors += count - self.over;
	free(all);
}

int
main(int argc, char **argv)
{
	uint16_t port;
	int64_t events;
	int64_t per_second;
	size_t count;

	if (argc != 8) {
		fprintf(stderr,
			"usage: streams PORT PATH KEY BODY-FILE STREAMS PER_SECOND EVENTS\n");
		return 2;
	}
	port = (uint16_t)number_arg("PORT", argv[1], UINT16_MAX);
	self.request = chat_request(argv[2], argv[3], argv[4]);
	self.request_n = strlen(self.request);
	count = (size_t)number_arg("STREAMS", argv[5], STREAMS_MAX);
	per_second = MAX(number_arg("PER_SECOND", argv[6], 1000000), 1);
	events = number_arg("EVENTS", argv[7], INT32_MAX);
	self.epoll = epoll_create1(EPOLL_CLOEXEC);
	check(self.epoll >= 0);
	run(port, count, per_second, events);
	sample_sort(&self.delay);
	printf("{\"streams\": %zu, \"whole\": %zu, \"errors\": %zu, \"events\": %zu, "
	       "\"lost\": %lld, \"heartbeats\": %lld, "
	       "\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f}\n",
	       count, self.whole, self.errors, self.delay.n,
	       (long long)((int64_t)count * events - (int64_t)self.delay.n),
	       (long long)self.heartbeats, (double)sample_at(&self.delay, 0.5) / 1e6,
	       (double)sample_at(&self.delay, 0.99) / 1e6, (double)sample_at(&self.delay, 1) / 1e6);
	return 0;
}
