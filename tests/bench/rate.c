/* SPDX-License-Identifier: MIT
 *
 * Requests at a constant rate over kept connections, one JSON line about their
 * latencies at the end.
 *
 *	rate PORT PATH KEY BODY-FILE RATE SECONDS
 *
 * Open loop: request i is due at start + i / RATE whatever became of those
 * before it, and its latency counts from then. A server that stops for a while
 * is therefore seen by every request that was due meanwhile, not by one.
 * A request that finds no idle connection opens one.
 */
#include "tests/bench/bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define CONNECTIONS_MAX 512
#define GRACE_NS        (2 * 1000000000LL) /* for answers after the last request */

struct connection {
	LIST_ENTRY(connection) idle;
	int fd;
	bool busy;
	bool used; /* has answered before: its end while idle is no fault */
	int64_t due_ns;
	size_t sent;
	struct answer answer;
};

static struct {
	uint16_t port;
	char *request;
	size_t request_n;
	int epoll;
	LIST_HEAD(, connection) idle;
	size_t open;
	size_t under_way;
	size_t waiting_max; /* most requests under way at once */
	size_t errors;
	size_t reconnects;
	struct sample latency;
} self;

static void
watch(struct connection *c, uint32_t events, int op)
{
	struct epoll_event ev = {.events = events, .data.ptr = c};

	check(epoll_ctl(self.epoll, op, c->fd, &ev) == 0);
}

static void
dial(struct connection *c)
{
	c->fd = connect_loopback(self.port);
	c->used = false;
	watch(c, EPOLLIN | EPOLLOUT | EPOLLET, EPOLL_CTL_ADD);
}

static void
drop(struct connection *c)
{
	if (!c->busy)
		LIST_REMOVE(c, idle);
	(void)close(c->fd);
	self.open--;
	free(c);
}

static void
send_rest(struct connection *c)
{
	while (c->sent < self.request_n) {
		ssize_t n =
		    send(c->fd, self.request + c->sent, self.request_n - c->sent, MSG_NOSIGNAL);

		if (n < 0)
			return; /* not now, or broken: reading tells */
		c->sent += (size_t)n;
	}
}

static void
start_request(int64_t due_ns)
{
	struct connection *c = LIST_FIRST(&self.idle);

	if (c != NULL) {
		LIST_REMOVE(c, idle);
	} else if (self.open < CONNECTIONS_MAX) {
		c = xcalloc(1, sizeof(*c));
		dial(c);
		self.open++;
	} else {
		self.errors++;
		return;
	}
	c->busy = true;
	c->due_ns = due_ns;
	c->sent = 0;
	answer_init(&c->answer, NULL);
	self.under_way++;
	self.waiting_max = MAX(self.waiting_max, self.under_way);
	send_rest(c);
}

static void
finish(struct connection *c)
{
	self.under_way--;
	if (c->answer.state == ANSWER_DONE && c->answer.status == 200)
		sample_add(&self.latency, now_ns() - c->due_ns);
	else
		self.errors++;
	if (c->answer.state != ANSWER_DONE || c->answer.close) {
		drop(c);
		return;
	}
	c->busy = false;
	c->used = true;
	LIST_INSERT_HEAD(&self.idle, c, idle);
}

/* The server closed a kept connection just as a request went out on it. */
static bool
closed_while_idle(const struct connection *c)
{
	return c->used && c->answer.state == ANSWER_STATUS && c->answer.line_n == 0;
}

static void
on_end(struct connection *c)
{
	if (!c->busy) {
		drop(c);
	} else if (closed_while_idle(c)) {
		(void)close(c->fd);
		self.reconnects++;
		c->sent = 0;
		dial(c);
	} else {
		answer_eof(&c->answer);
		c->answer.close = true;
		finish(c);
	}
}

static void
on_event(struct connection *c, uint32_t events)
{
	char buf[16384];

	if (c->busy && (events & EPOLLOUT) != 0)
		send_rest(c);
	for (;;) {
		ssize_t n = read(c->fd, buf, sizeof(buf));

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n <= 0 || !c->busy) {
			on_end(c);
			return;
		}
		answer_feed(&c->answer, buf, (size_t)n);
		if (c->answer.state == ANSWER_DONE || c->answer.state == ANSWER_BROKEN) {
			finish(c);
			return;
		}
	}
}

static void
run(int64_t rate, int64_t count)
{
	struct epoll_event ev[64];
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	int64_t start = now_ns() + 10000000;
	int64_t end = start + count * 1000000000 / rate + GRACE_NS;
	int64_t sent = 0;

	ev[0] = (struct epoll_event){.events = EPOLLIN, .data.ptr = NULL};
	check(timer >= 0 && epoll_ctl(self.epoll, EPOLL_CTL_ADD, timer, &ev[0]) == 0);
	while ((sent < count || self.under_way > 0) && now_ns() < end) {
		int64_t due = start + sent * 1000000000 / rate;
		int64_t at = sent < count ? due : end;
		struct itimerspec when = {
		    .it_value = {.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000}};
		int n;

		(void)timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
		n = epoll_wait(self.epoll, ev, ARRAY_LEN(ev), -1);
		for (int i = 0; i < n; i++)
			if (ev[i].data.ptr != NULL)
				on_event(ev[i].data.ptr, ev[i].events);
		while (sent < count && (due = start + sent * 1000000000 / rate) <= now_ns()) {
			start_request(due);
			sent++;
		}
	}
	self.errors += self.under_way;
}

int
main(int argc, char **argv)
{
	int64_t rate;

	if (argc != 7) {
		fprintf(stderr, "usage: rate PORT PATH KEY BODY-FILE RATE SECONDS\n");
		return 2;
	}
	self.port = (uint16_t)number_arg("PORT", argv[1], UINT16_MAX);
	self.request = chat_request(argv[2], argv[3], argv[4]);
	self.request_n = strlen(self.request);
	rate = MAX(number_arg("RATE", argv[5], 1000000), 1);
	self.epoll = epoll_create1(EPOLL_CLOEXEC);
	check(self.epoll >= 0);
	run(rate, rate * number_arg("SECONDS", argv[6], 3600));
	sample_sort(&self.latency);
	printf("{\"answers\": %zu, \"errors\": %zu, \"reconnects\": %zu, \"under_way_max\": %zu, "
	       "\"p50_us\": %.1f, \"p90_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}\n",
	       self.latency.n, self.errors, self.reconnects, self.waiting_max,
	       (double)sample_at(&self.latency, 0.5) / 1000,
	       (double)sample_at(&self.latency, 0.9) / 1000,
	       (double)sample_at(&self.latency, 0.99) / 1000,
	       (double)sample_at(&self.latency, 1) / 1000);
	return 0;
}
