/* SPDX-License-Identifier: MIT
 *
 * The way back to the web server. The answer is framed as FastCGI records here
 * and sent with sendmsg(MSG_DONTWAIT): a chunk that libcurl hands over goes to the
 * socket from where it is, with its record header beside it, in one call. Only what
 * the socket does not take is copied, into `out`; while anything waits there the
 * exchange reads no more from its provider. libfcgi's own writing would copy every
 * byte and block the loop when a client reads slowly.
 *
 * Record formats: FastCGI 1.0, sections 3.3, 5.3 and 5.5.
 */
#include "fcgi-app/responder.h"

#include <errno.h>
#include <fastcgi.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* The largest content of a record that keeps the next header aligned. */
#define RECORD_CONTENT_MAX 65528
/* The most that may wait for a client: an edited model list and its head. */
#define CLIENT_OUT_MAX (2 * (size_t)LIMIT_MODEL_LIST)
#define OUT_USUAL      1024 /* a head and a short answer */

void
client_init(struct client *c, int fd, uint16_t request_id, bool plain)
{
	*c = (struct client){.fd = fd, .request_id = request_id, .plain = plain};
	buf_init(&c->out, CLIENT_OUT_MAX);
}

/* --- watching --- */

/* The web server says nothing after the request but that the client left, by
 * closing or by an abort record. */
static bool
has_left(const struct client *c)
{
	struct pollfd out = {.fd = c->fd};
	unsigned char bytes[64];
	ssize_t n;

	/* Plain CGI: a pipe or socket whose other end is closed, both ways: one that is
	 * standard input as well is shut one way when the request is whole. */
	if (c->plain)
		return poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP));
	n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	return n <= 0 || (n >= 2 && bytes[1] == FCGI_ABORT_REQUEST);
}

static void send_or_keep(struct client *c, const struct iovec *iov, size_t n);
static void watch(struct client *c, short want);

/* The only place that tells events: what is called from elsewhere only marks that
 * the client is gone, so that no caller loses the exchange under its feet. */
static void
on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	(void)fd;
	if (what & EV_WRITE) {
		send_or_keep(c, NULL, 0);
		if (!c->gone && c->out.n > 0)
			return;
		watch(c, EV_READ);
	} else {
		c->gone = has_left(c);
		if (!c->gone)
			return;
	}
	if (c->gone)
		watch(c, 0);
	c->on_event(c->arg, c->gone ? CLIENT_LEFT : CLIENT_WRITABLE);
}

static void
watch(struct client *c, short want)
{
	if (want == c->watched || c->event.ev_base == NULL)
		return;
	if (c->watched != 0)
		event_del(&c->event);
	c->watched = want;
	if (want == 0)
		return;
	/* What a CGI socket may still say nobody reads: only what changes there matters. */
	event_assign(&c->event, c->event.ev_base, c->fd,
		     (short)(want | EV_PERSIST | (c->plain ? EV_ET : 0)), on_socket, c);
	event_add(&c->event, NULL);
}

void
client_attach(struct client *c, struct event_base *base,
	      void (*fn)(void *arg, enum client_event ev), void *arg)
{
	c->on_event = fn;
	c->arg = arg;
	event_assign(&c->event, base, c->fd, EV_READ, on_socket, c);
}

/* Plain CGI may write into a file, which cannot be watched. */
static bool
can_leave(const struct client *c)
{
	struct stat st;

	return !c->plain ||
	       (fstat(c->fd, &st) == 0 && (S_ISFIFO(st.st_mode) || S_ISSOCK(st.st_mode)));
}

void
client_watch(struct client *c)
{
	if (!c->gone && can_leave(c))
		watch(c, (short)(c->watched | EV_READ));
}

/* --- writing --- */

static void
record_header(unsigned char h[FCGI_HEADER_LEN], uint8_t type, uint16_t id, size_t len)
{
	h[0] = FCGI_VERSION_1;
	h[1] = type;
	h[2] = (unsigned char)(id >> 8);
	h[3] = (unsigned char)id;
	h[4] = (unsigned char)(len >> 8);
	h[5] = (unsigned char)len;
	h[6] = 0;
	h[7] = 0;
}

static void
forget_out(struct client *c)
{
	buf_clear(&c->out);
	c->out_at = 0;
}

/* Plain CGI has one exchange, so that waiting for its reader holds nobody up. */
static bool
write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t sent = write(fd, p, n);

		if (sent < 0 && errno == EAGAIN) {
			struct pollfd ready = {.fd = fd, .events = POLLOUT};

			(void)poll(&ready, 1, -1);
		} else if (sent < 0 && errno != EINTR) {
			return false;
		} else if (sent > 0) {
			p += sent;
			n -= (size_t)sent;
		}
	}
	return true;
}

static void
send_plain(struct client *c, const struct iovec *iov, size_t n)
{
	bool ok = write_all(c->fd, c->out.p + c->out_at, c->out.n - c->out_at);

	for (size_t i = 0; i < n && ok; i++)
		ok = write_all(c->fd, iov[i].iov_base, iov[i].iov_len);
	forget_out(c);
	if (!ok)
		c->gone = true;
}

/* Sends what waits and then the vectors, as far as the socket takes them; the rest
 * waits in `out`. */
static void
send_or_keep(struct client *c, const struct iovec *iov, size_t n)
{
	struct iovec all[3] = {{.iov_base = c->out.p + c->out_at, .iov_len = c->out.n - c->out_at}};
	struct msghdr m = {.msg_iov = all, .msg_iovlen = n + 1};
	ssize_t got;
	size_t sent;

	check(n < ARRAY_LEN(all));
	if (c->plain) {
		send_plain(c, iov, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		all[i + 1] = iov[i];
	do {
		got = sendmsg(c->fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (got < 0 && errno == EINTR);
	if (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
		forget_out(c);
		c->gone = true;
		return;
	}
	sent = got > 0 ? (size_t)got : 0;
	size_t of_out = MIN(sent, all[0].iov_len);

	c->out_at += of_out;
	sent -= of_out;
	if (c->out_at == c->out.n)
		forget_out(c);
	for (size_t i = 0; i < n; i++) {
		size_t cut = MIN(sent, iov[i].iov_len);

		buf_add(&c->out, (const char *)iov[i].iov_base + cut, iov[i].iov_len - cut);
		sent -= cut;
	}
	check(!c->out.overflowed);
	if (c->out.n > 0)
		watch(c, EV_READ | EV_WRITE);
}

void
client_put(struct client *c, struct str bytes)
{
	unsigned char h[FCGI_HEADER_LEN];

	if (c->out.p == NULL)
		buf_reserve(&c->out, OUT_USUAL);
	while (bytes.n > 0 && !c->gone) {
		size_t n = MIN(bytes.n, RECORD_CONTENT_MAX);

		if (!c->plain) {
			record_header(h, FCGI_STDOUT, c->request_id, n);
			buf_add(&c->out, h, sizeof(h));
		}
		buf_add(&c->out, bytes.p, n);
		bytes = str_from(bytes, n);
	}
}

void
client_write(struct client *c, struct str bytes)
{
	unsigned char h[FCGI_HEADER_LEN];

	while (bytes.n > RECORD_CONTENT_MAX) {
		client_put(c, (struct str){bytes.p, RECORD_CONTENT_MAX});
		bytes = str_from(bytes, RECORD_CONTENT_MAX);
	}
	if (c->gone)
		return;
	record_header(h, FCGI_STDOUT, c->request_id, bytes.n);

	struct iovec iov[2] = {
	    {.iov_base = h, .iov_len = c->plain || bytes.n == 0 ? 0 : sizeof(h)},
	    {.iov_base = (void *)(uintptr_t)bytes.p, .iov_len = bytes.n},
	};
	send_or_keep(c, iov, ARRAY_LEN(iov));
}

void
client_take_back(struct client *c)
{
	check(c->out_at == 0);
	forget_out(c);
}

bool
client_is_full(const struct client *c)
{
	return !c->gone && c->out.n > 0 && (c->watched & EV_WRITE) != 0;
}

void
client_finish(struct client *c)
{
	/* The empty STDOUT record, then END_REQUEST: status 0, request complete. */
	unsigned char end[3 * FCGI_HEADER_LEN] = {0};
	struct iovec iov = {.iov_base = end, .iov_len = sizeof(end)};

	if (c->gone)
		return;
	record_header(end, FCGI_STDOUT, c->request_id, 0);
	record_header(end + FCGI_HEADER_LEN, FCGI_END_REQUEST, c->request_id, FCGI_HEADER_LEN);
	send_or_keep(c, &iov, c->plain ? 0 : 1);
}

void
client_close(struct client *c)
{
	watch(c, 0);
	if (c->fd >= 0 && !c->plain)
		close(c->fd);
	c->fd = -1;
	buf_done(&c->out);
}
