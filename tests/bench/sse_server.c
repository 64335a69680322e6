/* SPDX-License-Identifier: MIT
 *
 * A provider that streams: every request is answered by EVENTS server-sent
 * events INTERVAL milliseconds apart, each with the monotonic time at which it
 * was sent, then "[DONE]".
 *
 *	sse_server PORT EVENTS INTERVAL_MS
 *
 * All intervals are equal, so the streams wait in one queue in order of their
 * next event. Request bodies are skipped by their Content-Length; connections
 * are kept.
 */
#include "tests/bench/bench.h"
#include "lib/str.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX 16384

struct stream {
	TAILQ_ENTRY(stream) queue;
	int fd;
	bool streaming; /* in the queue */
	int64_t sent;   /* events so far */
	int64_t due_ns;
	size_t head_n;
	int64_t skip; /* bytes of the request's body still to come */
	char head[HEAD_MAX];
};

static struct {
	int epoll;
	int listener;
	int64_t events;
	int64_t interval_ns;
	TAILQ_HEAD(, stream) queue;
} self;

static void
drop(struct stream *s)
{
	if (s->streaming)
		TAILQ_REMOVE(&self.queue, s, queue);
	(void)close(s->fd);
	free(s);
}

/* What is sent is small and the reader reads: a full socket ends the stream. */
static bool
say(const struct stream *s, const char *text)
{
	size_t n = strlen(text);

	return send(s->fd, text, n, MSG_NOSIGNAL) == (ssize_t)n;
}

static bool
say_event(struct stream *s)
{
	char data[160];
	char chunk[200];
	int n;

	n = snprintf(data, sizeof(data),
		     "data: {\"choices\":[{\"delta\":{\"content\":\"word %lld\"}}],\"t\":%lld}\n\n",
		     (long long)s->sent, (long long)now_ns());
	check(n > 0 && (size_t)n < sizeof(data));
	n = snprintf(chunk, sizeof(chunk), "%x\r\n%s\r\n", (unsigned)n, data);
	check(n > 0 && (size_t)n < sizeof(chunk));
	s->sent++;
	return say(s, chunk);
}

static bool
begin(struct stream *s)
{
	s->streaming = true;
	s->sent = 0;
	s->due_ns = now_ns() + self.interval_ns;
	TAILQ_INSERT_TAIL(&self.queue, s, queue);
	return say(s, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
		      "Transfer-Encoding: chunked\r\n\r\n") &&
	       say_event(s);
}

static int64_t
content_length(struct str head)
{
	struct str line;
	struct str name;
	int64_t n = 0;

	while (str_split(&head, '\n', &line))
		if (str_split(&line, ':', &name) && str_iis(name, "content-length") &&
		    !str_to_i64(str_trim(line), 0, INT64_MAX, &n))
			return 0;
	return n;
}

/* Takes request bytes; false when the connection is of no more use. */
static bool
on_bytes(struct stream *s, const char *p, size_t n)
{
	while (n > 0) {
		const char *end;
		size_t had = s->head_n;
		size_t take;

		if (s->skip > 0) {
			take = MIN(n, (size_t)s->skip);
			s->skip -= (int64_t)take;
			p += take;
			n -= take;
			if (s->skip == 0 && !begin(s))
				return false;
			continue;
		}
		take = MIN(n, sizeof(s->head) - had);
		memcpy(s->head + had, p, take);
		end = memmem(s->head, had + take, "\r\n\r\n", 4);
		if (end == NULL) {
			s->head_n += take;
			return s->head_n < sizeof(s->head);
		}
		take = (size_t)(end - s->head) + 4 - had;
		p += take;
		n -= take;
		s->skip = content_length((struct str){s->head, (size_t)(end - s->head)});
		s->head_n = 0;
		if (s->skip == 0 && !begin(s))
			return false;
	}
	return true;
}

static void
on_readable(struct stream *s)
{
	char buf[16384];
	ssize_t n = read(s->fd, buf, sizeof(buf));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || !on_bytes(s, buf, (size_t)n))
		drop(s);
}

static void
on_connection(void)
{
	int fd;

	while ((fd = accept4(self.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct stream *s = xcalloc(1, sizeof(*s));
		struct epoll_event ev = {.events = EPOLLIN, .data.ptr = s};
		int on = 1;

		s->fd = fd;
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		check(epoll_ctl(self.epoll, EPOLL_CTL_ADD, fd, &ev) == 0);
	}
}

/* Sends what is due; returns the milliseconds until the next event. */
static int
send_due(void)
{
	struct stream *s;

	while ((s = TAILQ_FIRST(&self.queue)) != NULL) {
		int64_t wait_ns = s->due_ns - now_ns();
		bool more = s->sent < self.events;

		if (wait_ns > 0)
			return (int)(wait_ns / 1000000) + 1;
		TAILQ_REMOVE(&self.queue, s, queue);
		s->streaming = more;
		if (more) {
			s->due_ns += self.interval_ns;
			TAILQ_INSERT_TAIL(&self.queue, s, queue);
		}
		if (!(more ? say_event(s) : say(s, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")))
			drop(s);
	}
	return -1;
}

static int
listen_loopback(uint16_t port)
{
	struct sockaddr_in at = {
	    .sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) != 0 || listen(fd, 4096) != 0) {
		perror("listen on 127.0.0.1");
		exit(1);
	}
	return fd;
}

int
main(int argc, char **argv)
{
	struct epoll_event ev[256];

	if (argc != 4) {
		fprintf(stderr, "usage: sse_server PORT EVENTS INTERVAL_MS\n");
		return 2;
	}
	TAILQ_INIT(&self.queue);
	self.events = number_arg("EVENTS", argv[2], INT32_MAX);
	self.interval_ns = number_arg("INTERVAL_MS", argv[3], 3600000) * 1000000;
	self.listener = listen_loopback((uint16_t)number_arg("PORT", argv[1], UINT16_MAX));
	self.epoll = epoll_create1(EPOLL_CLOEXEC);
	ev[0] = (struct epoll_event){.events = EPOLLIN, .data.ptr = NULL};
	check(self.epoll >= 0 && epoll_ctl(self.epoll, EPOLL_CTL_ADD, self.listener, &ev[0]) == 0);
	for (;;) {
		int n = epoll_wait(self.epoll, ev, ARRAY_LEN(ev), send_due());

		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr == NULL)
				on_connection();
			else
				on_readable(ev[i].data.ptr);
		}
	}
}
