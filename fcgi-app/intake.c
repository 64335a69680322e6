/* SPDX-License-Identifier: MIT
 *
 * From a connection of the web server to a struct request. The loop looks first
 * (MSG_PEEK, at record headers only) whether the request is there whole, and takes it
 * apart when it is (records.c); libfcgi, whose reading blocks, reads the rest. A request that has
 * only begun costs a descriptor and nothing else: the loop looks again when more has come. What has
 * more to come than fits the socket goes to a reader thread, which may block, and comes back
 * through one queue.
 */
#include "fcgi-app/responder.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOK_AHEAD_BYTES 65536
/* Half a request that is smaller waits in the loop. A larger one has to be read: a
 * Unix socket tells its sender that it is writable only while a quarter of its buffer
 * or less is queued, overhead included, which small records fill with 7 KB. */
#define WAIT_BYTES 4096
/* Connections taken in one turn of the loop. */
#define ACCEPTS_A_TURN 64
/* And before the socket is closed: as many connections as a queue has by default. */
#define LAST_TURNS (4096 / ACCEPTS_A_TURN)
/* How long accepting pauses when descriptors are out. */
#define ACCEPT_PAUSE_MS 100

/* An accepted connection that says nothing yet, or waits for a reader. */
struct waiting {
	struct intake *in;
	struct event event;
	int fd;
	STAILQ_ENTRY(waiting) link; /* in to_read */
	TAILQ_ENTRY(waiting) partial_link;
};

struct intake {
	struct worker *w;
	int listen_fd;
	struct event *accept_event;
	struct event *accept_pause;
	struct event *back_event;
	int fd_limit;
	TAILQ_HEAD(, waiting) partial; /* connections whose request is not whole yet */

	pthread_mutex_t lock; /* guards what follows */
	pthread_cond_t wake;
	STAILQ_HEAD(, waiting) to_read;
	STAILQ_HEAD(, request) back;
	int n_threads;
	int n_idle;
	int n_reading; /* queued or being read, not yet handed back */
	bool stop;
	pthread_t threads[LIMIT_READER_THREADS];
	int reading[LIMIT_READER_THREADS]; /* descriptor that each is reading; -1: none */
	int back_fd;                       /* eventfd: `back` is not empty */
};

/* --- looking ahead --- */

/* What was found is in *ret, and in a buffer that the next look overwrites. */
static enum look
look(int fd, struct records *ret)
{
	static unsigned char bytes[LOOK_AHEAD_BYTES]; /* the loop's alone */
	ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
	enum look seen = LOOK_PARTIAL;

	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		return LOOK_CLOSED;
	if (got > 0)
		seen = records_look(bytes, (size_t)got, ret);
	return seen == LOOK_PARTIAL && got >= WAIT_BYTES ? LOOK_LARGE : seen;
}

/* --- reader threads --- */

/* Which of the threads this is; with the lock held. */
static int
reader_index(const struct intake *in)
{
	int i = 0;

	while (i < in->n_threads && !pthread_equal(in->threads[i], pthread_self()))
		i++;
	check(i < in->n_threads);
	return i;
}

static void *
reader(void *arg)
{
	struct intake *in = arg;
	int self;

	pthread_setname_np(pthread_self(), "reader");
	pthread_mutex_lock(&in->lock);
	self = reader_index(in);
	for (;;) {
		struct timeval silence = {.tv_sec = LIMIT_READ_SILENCE_S};
		struct waiting *wait;
		struct request *r;
		uint64_t one = 1;

		in->n_idle++;
		while (STAILQ_EMPTY(&in->to_read) && !in->stop)
			pthread_cond_wait(&in->wake, &in->lock);
		in->n_idle--;
		if (in->stop)
			break;
		wait = STAILQ_FIRST(&in->to_read);
		STAILQ_REMOVE_HEAD(&in->to_read, link);
		in->reading[self] = wait->fd;
		pthread_mutex_unlock(&in->lock);

		(void)setsockopt(wait->fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
		r = request_read(in->w->conf, wait->fd);
		free(wait);

		pthread_mutex_lock(&in->lock);
		in->reading[self] = -1;
		if (r != NULL)
			STAILQ_INSERT_TAIL(&in->back, r, link);
		else
			in->n_reading--;
		if (write(in->back_fd, &one, sizeof(one)) != sizeof(one))
			check_failed("eventfd write", __FILE__, __LINE__);
	}
	pthread_mutex_unlock(&in->lock);
	return NULL;
}

/* Threads are made when they are first needed. Signals are blocked in the process
 * (worker.c), and so in every thread: libfcgi takes an interrupted read for an
 * error. */
static void
hand_to_reader(struct intake *in, struct waiting *wait)
{
	pthread_mutex_lock(&in->lock);
	STAILQ_INSERT_TAIL(&in->to_read, wait, link);
	in->n_reading++;
	if (in->n_idle == 0 && in->n_threads < LIMIT_READER_THREADS &&
	    pthread_create(&in->threads[in->n_threads], NULL, reader, in) == 0)
		in->n_threads++;
	pthread_cond_signal(&in->wake);
	pthread_mutex_unlock(&in->lock);
}

static void
on_back(evutil_socket_t fd, short what, void *arg)
{
	struct intake *in = arg;
	uint64_t n;

	(void)what;
	if (read((int)fd, &n, sizeof(n)) != sizeof(n))
		return;
	for (;;) {
		struct request *r;

		pthread_mutex_lock(&in->lock);
		r = STAILQ_FIRST(&in->back);
		if (r != NULL) {
			STAILQ_REMOVE_HEAD(&in->back, link);
			in->n_reading--;
		}
		pthread_mutex_unlock(&in->lock);
		if (r == NULL)
			break;
		exchange_start(in->w, r);
	}
	upstreams_run(in->w->upstreams);
	worker_exchange_ended(in->w);
}

/* --- connections --- */

static void
begin(struct intake *in, int fd, const struct records *seen)
{
	struct request *r = seen->usual ? request_take(in->w->conf, fd, seen) : NULL;

	if (r == NULL)
		r = request_read(in->w->conf, fd);
	if (r == NULL)
		return;
	if (fd >= in->fd_limit - LIMIT_RESERVED_FDS && r->err == ERR_OK)
		r->err = ERR_BUSY;
	exchange_start(in->w, r);
}

/* With unread bytes before it, the end shows in no read. */
static bool
has_hung_up(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLRDHUP};

	return poll(&p, 1, 0) > 0;
}

static void
stop_waiting(struct waiting *wait)
{
	event_del(&wait->event);
	TAILQ_REMOVE(&wait->in->partial, wait, partial_link);
}

/* More has come of a request that was not whole, or nothing for too long. The event is
 * edge-triggered: what is there and not whole stays unread. */
static void
on_more(evutil_socket_t fd, short what, void *arg)
{
	struct waiting *wait = arg;
	struct intake *in = wait->in;
	struct records records;
	enum look seen = what & EV_TIMEOUT ? LOOK_CLOSED : look((int)fd, &records);

	if (seen == LOOK_PARTIAL && !has_hung_up((int)fd))
		return;
	stop_waiting(wait);
	if (seen == LOOK_LARGE) {
		hand_to_reader(in, wait);
		return;
	}
	free(wait);
	if (seen == LOOK_WHOLE) {
		begin(in, (int)fd, &records);
		upstreams_run(in->w->upstreams);
	} else {
		close((int)fd);
	}
	worker_exchange_ended(in->w);
}

static struct waiting *
waiting_new(struct intake *in, int fd)
{
	struct waiting *wait = xcalloc(1, sizeof(*wait));

	wait->in = in;
	wait->fd = fd;
	return wait;
}

static void
wait_for_more(struct intake *in, int fd)
{
	static const struct timeval silence = {.tv_sec = LIMIT_READ_SILENCE_S};
	struct waiting *wait = waiting_new(in, fd);

	TAILQ_INSERT_TAIL(&in->partial, wait, partial_link);
	event_assign(&wait->event, in->w->base, fd, EV_READ | EV_ET | EV_PERSIST, on_more, wait);
	event_add(&wait->event, &silence);
}

/* Takes some of the connections that wait; false when none is left. */
static bool
accept_some(struct intake *in)
{
	static const struct timeval pause = {.tv_usec = ACCEPT_PAUSE_MS * 1000};

	for (int i = 0; i < ACCEPTS_A_TURN && in->accept_event != NULL; i++) {
		int fd = accept4(in->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		struct records records;

		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
			event_del(in->accept_event);
			evtimer_add(in->accept_pause, &pause);
		}
		if (fd < 0)
			return false;
		switch (look(fd, &records)) {
		case LOOK_WHOLE:
			begin(in, fd, &records);
			break;
		case LOOK_PARTIAL:
			wait_for_more(in, fd);
			break;
		case LOOK_LARGE:
			hand_to_reader(in, waiting_new(in, fd));
			break;
		case LOOK_CLOSED:
			close(fd);
			break;
		}
	}
	return in->accept_event != NULL;
}

static void
on_accept(evutil_socket_t listen_fd, short what, void *arg)
{
	struct intake *in = arg;

	(void)listen_fd;
	(void)what;
	(void)accept_some(in);
	upstreams_run(in->w->upstreams);
}

static void
on_accept_pause(evutil_socket_t fd, short what, void *arg)
{
	struct intake *in = arg;

	(void)fd;
	(void)what;
	if (in->accept_event != NULL)
		event_add(in->accept_event, NULL);
}

struct intake *
intake_new(struct worker *w, int listen_fd)
{
	struct intake *in = xcalloc(1, sizeof(*in));
	struct rlimit limit;

	in->w = w;
	in->listen_fd = listen_fd;
	check(getrlimit(RLIMIT_NOFILE, &limit) == 0);
	in->fd_limit = (int)MIN(limit.rlim_cur, (rlim_t)INT32_MAX);
	pthread_mutex_init(&in->lock, NULL);
	pthread_cond_init(&in->wake, NULL);
	TAILQ_INIT(&in->partial);
	STAILQ_INIT(&in->to_read);
	STAILQ_INIT(&in->back);
	for (int i = 0; i < LIMIT_READER_THREADS; i++)
		in->reading[i] = -1;
	in->back_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	check(in->back_fd >= 0);
	check(evutil_make_socket_nonblocking(listen_fd) == 0);
	in->back_event = event_new(w->base, in->back_fd, EV_READ | EV_PERSIST, on_back, in);
	in->accept_event = event_new(w->base, listen_fd, EV_READ | EV_PERSIST, on_accept, in);
	in->accept_pause = evtimer_new(w->base, on_accept_pause, in);
	event_add(in->back_event, NULL);
	event_add(in->accept_event, NULL);
	return in;
}

static bool
says_nothing(int fd)
{
	char byte;

	return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0;
}

/* Requests that have only begun are still served: their web server has connected to
 * this worker and goes to no other. It says something at once; what stays silent is
 * not waited for. */
void
intake_stop(struct intake *in)
{
	static const struct timeval silence = {.tv_sec = LIMIT_DRAIN_SILENCE_S};
	struct waiting *wait;

	if (in->accept_event == NULL)
		return;
	/* A process that its web server manages has the socket for itself: who waits there
	 * would be cut off. Where others have it too, there may always be somebody. */
	for (int turns = 0; turns < LAST_TURNS && accept_some(in); turns++)
		continue;
	upstreams_run(in->w->upstreams);
	event_free(in->accept_event);
	in->accept_event = NULL;
	close(in->listen_fd);
	TAILQ_FOREACH (wait, &in->partial, partial_link) {
		if (says_nothing(wait->fd))
			event_add(&wait->event, &silence);
	}
}

bool
intake_is_empty(struct intake *in)
{
	bool empty;

	if (!TAILQ_EMPTY(&in->partial))
		return false;
	pthread_mutex_lock(&in->lock);
	empty = in->n_reading == 0;
	pthread_mutex_unlock(&in->lock);
	return empty;
}

/* What has not become an exchange will not any more. */
static void
drop_all(struct intake *in)
{
	struct waiting *wait;
	struct request *r;

	while ((wait = TAILQ_FIRST(&in->partial)) != NULL) {
		stop_waiting(wait);
		close(wait->fd);
		free(wait);
	}
	while ((wait = STAILQ_FIRST(&in->to_read)) != NULL) {
		STAILQ_REMOVE_HEAD(&in->to_read, link);
		close(wait->fd);
		free(wait);
	}
	while ((r = STAILQ_FIRST(&in->back)) != NULL) {
		STAILQ_REMOVE_HEAD(&in->back, link);
		client_close(&r->client);
		request_free(r);
	}
}

void
intake_free(struct intake *in)
{
	if (in == NULL)
		return;
	intake_stop(in);
	pthread_mutex_lock(&in->lock);
	in->stop = true;
	/* A reader may be waiting for the rest of a request that never comes. */
	for (int i = 0; i < in->n_threads; i++)
		if (in->reading[i] >= 0)
			(void)shutdown(in->reading[i], SHUT_RD);
	pthread_cond_broadcast(&in->wake);
	pthread_mutex_unlock(&in->lock);
	for (int i = 0; i < in->n_threads; i++)
		pthread_join(in->threads[i], NULL);
	drop_all(in);
	event_free(in->back_event);
	event_free(in->accept_pause);
	close(in->back_fd);
	pthread_cond_destroy(&in->wake);
	pthread_mutex_destroy(&in->lock);
	free(in);
}
