/* SPDX-License-Identifier: MIT
 *
 * libcurl's sockets in the event loop, and what becomes of idle connections.
 *
 * libcurl takes its socket out of the loop and puts it in again around every use
 * of a kept connection: two system calls that change nothing. So a watch stays in
 * place when libcurl removes it, and is dropped only when the descriptor reports
 * while idle, or is closed. That is right only for descriptors which this file
 * opened: the resolver's own are closed without telling, their number comes again,
 * and a kept watch on it would never fire.
 *
 * libcurl has one bound on kept connections for everything; ours are per group
 * (max_idle_conns, max_idle_conns_per_host, idle_conn_timeout). A connection over a
 * bound is shut down here: the provider sees it end at once, libcurl notices when
 * it next looks for a connection and closes the descriptor.
 */
#include "fcgi-app/responder.h"
#include "lib/clock.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
/* uthash's usual function is a switch that falls through: clang warns of it. */
#define HASH_FUNCTION(key, n, ret) HASH_SAX(key, n, ret)
#include <uthash.h>

/* How often idle connections are looked at for their age. */
#define SWEEP_MS 250

struct idle_host {
	UT_hash_handle hh;
	int count;
	char origin[];
};

struct watched_socket {
	struct event event;
	struct sockets *owner;
	int fd;
	short mask;             /* in force in the loop; 0: none */
	bool ours;              /* made by sockets_open() */
	bool idle;              /* libcurl has no transfer on it */
	struct idle_host *host; /* when idle */
	int64_t idle_since_us;
	int64_t idle_timeout_us;
	TAILQ_ENTRY(watched_socket) idle_link;
};

struct sockets {
	struct event_base *base;
	void (*on_ready)(void *arg, int fd, int bits);
	void *arg;
	struct watched_socket **by_fd;
	size_t n_by_fd;
	TAILQ_HEAD(idle_list, watched_socket) idle; /* oldest first */
	int n_idle;
	struct idle_host *hosts;
	struct event *sweep;
	bool sweeping;
};

static void on_sweep(evutil_socket_t fd, short what, void *arg);

struct sockets *
sockets_new(struct event_base *base, void (*on_ready)(void *arg, int fd, int bits), void *arg)
{
	struct sockets *s = xcalloc(1, sizeof(*s));
	struct rlimit limit;

	s->base = base;
	s->on_ready = on_ready;
	s->arg = arg;
	TAILQ_INIT(&s->idle);
	check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	s->n_by_fd = (size_t)MIN(limit.rlim_cur, (rlim_t)1 << 20);
	s->by_fd = xcalloc(s->n_by_fd, sizeof(struct watched_socket *));
	s->sweep = evtimer_new(base, on_sweep, s);
	check(s->sweep != NULL);
	return s;
}

static void
forget_host(struct sockets *s, struct idle_host *h)
{
	if (--h->count > 0)
		return;
	HASH_DEL(s->hosts, h);
	free(h);
}

static void
leave_idle(struct sockets *s, struct watched_socket *w)
{
	if (w->host == NULL)
		return;
	TAILQ_REMOVE(&s->idle, w, idle_link);
	s->n_idle--;
	forget_host(s, w->host);
	w->host = NULL;
}

static void
unwatch(struct watched_socket *w)
{
	if (w->mask != 0)
		event_del(&w->event);
	w->mask = 0;
}

static void
forget(struct sockets *s, int fd)
{
	struct watched_socket *w = (size_t)fd < s->n_by_fd ? s->by_fd[fd] : NULL;

	if (w == NULL)
		return;
	leave_idle(s, w);
	unwatch(w);
	s->by_fd[fd] = NULL;
	free(w);
}

void
sockets_free(struct sockets *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n_by_fd; i++)
		if (s->by_fd[i] != NULL)
			forget(s, (int)i);
	event_free(s->sweep);
	free(s->by_fd);
	free(s);
}

static struct watched_socket *
entry(struct sockets *s, int fd)
{
	check(fd >= 0 && (size_t)fd < s->n_by_fd);
	if (s->by_fd[fd] == NULL) {
		s->by_fd[fd] = xcalloc(1, sizeof(struct watched_socket));
		s->by_fd[fd]->fd = fd;
		s->by_fd[fd]->owner = s;
	}
	return s->by_fd[fd];
}

int
sockets_open(struct sockets *s, int family, int type, int protocol)
{
	int fd = socket(family, type | SOCK_CLOEXEC, protocol);

	if (fd < 0 || (size_t)fd >= s->n_by_fd) {
		if (fd >= 0)
			close(fd);
		return -1;
	}
	forget(s, fd);
	entry(s, fd)->ours = true;
	return fd;
}

void
sockets_close(struct sockets *s, int fd)
{
	forget(s, fd);
	close(fd);
}

/* --- idle connections --- */

/* The provider sees the end now; libcurl when it next looks. NULL is fine. */
static void
retire(struct sockets *s, struct watched_socket *w)
{
	if (w == NULL)
		return;
	leave_idle(s, w);
	unwatch(w);
	(void)shutdown(w->fd, SHUT_RDWR);
}

static void
on_sweep(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval again = {.tv_usec = SWEEP_MS * 1000};
	struct sockets *s = arg;
	struct watched_socket *w = TAILQ_FIRST(&s->idle);
	int64_t now = clock_mono_us();

	(void)fd;
	(void)what;
	while (w != NULL) {
		struct watched_socket *next = TAILQ_NEXT(w, idle_link);

		if (now - w->idle_since_us >= w->idle_timeout_us)
			retire(s, w);
		w = next;
	}
	s->sweeping = s->n_idle > 0;
	if (s->sweeping)
		evtimer_add(s->sweep, &again);
}

static struct idle_host *
host_of(struct sockets *s, const char *origin)
{
	size_t n = strlen(origin);
	struct idle_host *h;

	HASH_FIND(hh, s->hosts, origin, n, h);
	if (h == NULL) {
		h = xcalloc(1, sizeof(*h) + n + 1);
		memcpy(h->origin, origin, n);
		HASH_ADD(hh, s->hosts, origin[0], n, h);
	}
	return h;
}

static struct watched_socket *
oldest_of(struct sockets *s, const struct idle_host *h)
{
	struct watched_socket *w;

	TAILQ_FOREACH (w, &s->idle, idle_link)
		if (w->host == h)
			break;
	return w;
}

static void
enter_idle(struct sockets *s, struct watched_socket *w, const struct options *opt,
	   const char *origin)
{
	struct idle_host *h = host_of(s, origin);

	w->idle_since_us = clock_mono_us();
	w->idle_timeout_us = (int64_t)opt->idle_conn_timeout_s * 1000000;
	w->host = h;
	h->count++;
	TAILQ_INSERT_TAIL(&s->idle, w, idle_link);
	s->n_idle++;
	if (h->count > opt->max_idle_conns_per_host)
		retire(s, oldest_of(s, h));
	if (s->n_idle > opt->max_idle_conns)
		retire(s, TAILQ_FIRST(&s->idle));
	if (!s->sweeping)
		on_sweep(-1, 0, s);
}

/* --- watching --- */

static void
on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct watched_socket *w = arg;
	int bits = 0;

	if (w->idle) {
		/* The provider closed a kept connection. */
		leave_idle(w->owner, w);
		unwatch(w);
		return;
	}
	if (what & EV_READ)
		bits |= CURL_CSELECT_IN;
	if (what & EV_WRITE)
		bits |= CURL_CSELECT_OUT;
	w->owner->on_ready(w->owner->arg, fd, bits);
}

void
sockets_watch(struct sockets *s, int fd, int what, const struct options *opt, const char *origin)
{
	struct watched_socket *w = entry(s, fd);
	short mask = EV_PERSIST;

	if (what == CURL_POLL_REMOVE) {
		if (!w->ours) {
			forget(s, fd);
			return;
		}
		if (!w->idle && opt != NULL)
			enter_idle(s, w, opt, origin);
		w->idle = true;
		return;
	}
	leave_idle(s, w);
	w->idle = false;
	if (what != CURL_POLL_OUT)
		mask |= EV_READ;
	if (what != CURL_POLL_IN)
		mask |= EV_WRITE;
	if (mask == w->mask)
		return;
	unwatch(w);
	event_assign(&w->event, s->base, fd, mask, on_socket, w);
	event_add(&w->event, NULL);
	w->mask = mask;
}
