/* SPDX-License-Identifier: MIT
 *
 * From a connection of the web server to a struct request. libfcgi parses the
 * records, but its reading blocks; so the loop looks first (MSG_PEEK, at record
 * headers only) whether the request is there whole, and lets libfcgi parse it at
 * once if so. What is not whole, or larger than LOOK_AHEAD_BYTES, goes to a reader
 * thread, which may block, and comes back through one queue: half a request costs
 * a parked thread, never the loop.
 *
 * libfcgi is handed an accepted descriptor by setting `ipcFd` and `keepConnection`
 * of a fresh FCGX_Request: FCGX_Accept_r() then reads instead of accepting. That
 * happens in parse() and nowhere else; its stream buffers (17 KB) are freed before
 * the exchange begins.
 */
#include "fcgi-app/responder.h"

#include <errno.h>
#include <fastcgi.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cgi.h"

#define LOOK_AHEAD_BYTES 65536
/* Connections taken in one turn of the loop. */
#define ACCEPTS_A_TURN 64
/* How long accepting pauses when descriptors are out. */
#define ACCEPT_PAUSE_MS 100
/* First chunk of a request's arena: variables and headers of an ordinary one. */
#define REQUEST_ARENA_BYTES 4096
/* Steps of an in-memory body of unknown length. */
#define BODY_STEP_BYTES 16384

/* An accepted connection that says nothing yet, or waits for a reader. */
struct waiting {
	struct intake *in;
	struct event event;
	int fd;
	STAILQ_ENTRY(waiting) link;
};

struct intake {
	struct worker *w;
	int listen_fd;
	struct event *accept_event;
	struct event *accept_pause;
	struct event *back_event;
	int fd_limit;
	int n_silent; /* connections that have said nothing yet */

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

/* --- bodies --- */

struct mapping {
	void *p;
	size_t n;
};

static void
unmap(void *obj)
{
	struct mapping *m = obj;

	munmap(m->p, m->n);
}

/* Reads up to n bytes of the body; fewer only at its end. `arg` says from where. */
typedef size_t (*body_read_fn)(void *arg, char *p, size_t n);

static size_t
read_fcgi(void *arg, char *p, size_t n)
{
	return (size_t)FCGX_GetStr(p, (int)n, arg);
}

static size_t
read_stdin(void *arg, char *p, size_t n)
{
	size_t got = 0;

	(void)arg;
	while (got < n) {
		ssize_t r = read(STDIN_FILENO, p + got, n - got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			break;
		got += (size_t)r;
	}
	return got;
}

static enum err
write_all(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t w = write(fd, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? ERR_DISK
										    : ERR_IO;
		p += w;
		n -= (size_t)w;
	}
	return ERR_OK;
}

/* The rest of a body that does not fit in memory goes to an unlinked file, which is
 * mapped when it is whole. `got` bytes at `start` were read already. */
static enum err
body_to_file(const struct conf *conf, struct request *r, const char *start, size_t got,
	     body_read_fn read_fn, void *arg)
{
	AUTO_FREE char *dir = conf_path(conf, "tmp");
	AUTO_FREE char *step = xmalloc(LIMIT_BODY_IN_MEMORY);
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	int64_t total = (int64_t)got;
	enum err e;
	size_t n;

	if (fd < 0)
		return ERR_IO;
	e = write_all(fd, start, got);
	while ((n = read_fn(arg, step, LIMIT_BODY_IN_MEMORY)) > 0) {
		/* Over the limit it is read to its end all the same: closing with
		 * unread input would reset the connection and lose the answer. */
		total += (int64_t)n;
		if (e == ERR_OK && total > conf->max_request_body)
			e = ERR_TOO_LARGE;
		if (e == ERR_OK)
			e = write_all(fd, step, n);
		if (total > 2 * conf->max_request_body)
			break;
	}
	if (e == ERR_OK) {
		struct mapping *m = arena_alloc(&r->arena, sizeof(*m));

		m->n = (size_t)total;
		m->p = mmap(NULL, m->n, PROT_READ, MAP_PRIVATE, fd, 0);
		if (m->p == MAP_FAILED) {
			e = ERR_IO;
		} else {
			arena_on_free(&r->arena, unmap, m);
			r->body = (struct str){m->p, m->n};
		}
	}
	close(fd);
	return e;
}

/* CONTENT_LENGTH is only a hint: on some servers it is absent, empty or -1. */
static enum err
body_read(const struct conf *conf, struct request *r, body_read_fn read_fn, void *arg)
{
	size_t most = (size_t)MIN(conf->max_request_body, (int64_t)LIMIT_BODY_IN_MEMORY);
	int64_t hint = 0;
	size_t cap;
	size_t n = 0;
	char *p;

	if (!str_to_i64(cgi_var(r->envp, "CONTENT_LENGTH"), 0, INT64_MAX, &hint))
		hint = BODY_STEP_BYTES;
	cap = MIN((size_t)MIN(hint, (int64_t)most), most) + 1;
	p = xmalloc(cap);
	for (;;) {
		size_t got = read_fn(arg, p + n, cap - n);

		n += got;
		if (n < cap)
			break;
		if (cap > most) {
			enum err e = body_to_file(conf, r, p, n, read_fn, arg);

			free(p);
			return e;
		}
		cap = MIN(cap + MAX(cap, (size_t)BODY_STEP_BYTES), most + 1);
		p = xrealloc(p, cap);
	}
	if (n == 0) {
		free(p);
		return ERR_OK;
	}
	arena_on_free(&r->arena, free, p);
	r->body = (struct str){p, n};
	return (int64_t)n > conf->max_request_body ? ERR_TOO_LARGE : ERR_OK;
}

/* --- requests --- */

static struct request *
request_new(void)
{
	struct request *r = xcalloc(1, sizeof(*r));

	arena_init(&r->arena, REQUEST_ARENA_BYTES);
	return r;
}

void
request_free(struct request *r)
{
	if (r == NULL)
		return;
	arena_done(&r->arena);
	free(r);
}

static enum err
copy_variables(struct request *r, char *const *envp)
{
	size_t n = 0;
	size_t bytes = 0;

	while (envp[n] != NULL)
		bytes += strlen(envp[n++]) + 1;
	if (n > LIMIT_PARAMS || bytes > LIMIT_PARAMS_BYTES) {
		/* What is needed to answer at all. */
		static char *none[] = {NULL};

		r->envp = none;
		return ERR_HEADERS_TOO_LARGE;
	}
	r->envp = arena_alloc(&r->arena, (n + 1) * sizeof(*r->envp));
	for (size_t i = 0; i < n; i++)
		r->envp[i] = arena_strdup(&r->arena, envp[i]);
	r->envp[n] = NULL;
	return ERR_OK;
}

/* Blocks until the request is there, unless the caller has looked. NULL when the
 * connection is of no use (closed, garbage); it is closed then. */
static struct request *
parse(const struct conf *conf, int fd)
{
	FCGX_Request f;
	struct request *r;
	enum err e;

	check(FCGX_InitRequest(&f, -1, 0) == 0);
	f.ipcFd = fd;
	f.keepConnection = 1;
	if (FCGX_Accept_r(&f) != 0)
		return NULL; /* libfcgi has closed the descriptor and freed its own */
	r = request_new();
	r->err = copy_variables(r, f.envp);
	e = body_read(conf, r, read_fcgi, f.in);
	if (r->err == ERR_OK)
		r->err = e;
	if (FCGX_GetError(f.in) != 0) {
		/* The client left in the middle of its upload: nobody to answer. */
		FCGX_Free(&f, 1);
		request_free(r);
		return NULL;
	}
	client_init(&r->client, f.ipcFd, (uint16_t)f.requestId, false);
	FCGX_Free(&f, 0);
	return r;
}

struct request *
intake_cgi(const struct conf *conf, char **envp)
{
	struct request *r = request_new();
	enum err e;

	r->err = copy_variables(r, envp);
	e = body_read(conf, r, read_stdin, NULL);
	if (r->err == ERR_OK)
		r->err = e;
	client_init(&r->client, STDOUT_FILENO, 0, true);
	return r;
}

/* --- looking ahead --- */

enum look {
	LOOK_WHOLE,
	LOOK_PARTIAL,
	LOOK_CLOSED
};

static enum look
look(int fd)
{
	static unsigned char bytes[LOOK_AHEAD_BYTES]; /* the loop's alone */
	ssize_t got = recv(fd, bytes, sizeof(bytes), MSG_PEEK | MSG_DONTWAIT);
	bool params_done = false;
	size_t at = 0;

	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		return LOOK_CLOSED;
	while (got > 0 && at + FCGI_HEADER_LEN <= (size_t)got) {
		const unsigned char *h = bytes + at;
		size_t len = (size_t)(h[4] << 8 | h[5]);

		if (h[1] == FCGI_PARAMS && len == 0)
			params_done = true;
		if (h[1] == FCGI_STDIN && len == 0 && params_done)
			return LOOK_WHOLE;
		at += FCGI_HEADER_LEN + len + h[6];
	}
	return LOOK_PARTIAL;
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
		if (STAILQ_EMPTY(&in->to_read))
			break;
		wait = STAILQ_FIRST(&in->to_read);
		STAILQ_REMOVE_HEAD(&in->to_read, link);
		in->reading[self] = wait->fd;
		pthread_mutex_unlock(&in->lock);

		(void)setsockopt(wait->fd, SOL_SOCKET, SO_RCVTIMEO, &silence, sizeof(silence));
		r = parse(in->w->conf, wait->fd);
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
begin(struct intake *in, int fd)
{
	struct request *r = parse(in->w->conf, fd);

	if (r == NULL)
		return;
	if (fd >= in->fd_limit - LIMIT_RESERVED_FDS && r->err == ERR_OK)
		r->err = ERR_BUSY;
	exchange_start(in->w, r);
}

/* The first bytes of a connection that had none when it was accepted, or none
 * within the time a reader would wait for them. */
static void
on_first_bytes(evutil_socket_t fd, short what, void *arg)
{
	struct waiting *wait = arg;
	struct intake *in = wait->in;
	enum look seen = what & EV_TIMEOUT ? LOOK_CLOSED : look((int)fd);

	in->n_silent--;
	if (seen == LOOK_PARTIAL) {
		hand_to_reader(in, wait);
		return;
	}
	free(wait);
	if (seen == LOOK_WHOLE) {
		begin(in, (int)fd);
		upstreams_run(in->w->upstreams);
	} else {
		close((int)fd);
	}
}

static void
wait_for_bytes(struct intake *in, int fd)
{
	static const struct timeval silence = {.tv_sec = LIMIT_READ_SILENCE_S};
	struct waiting *wait = xcalloc(1, sizeof(*wait));

	wait->in = in;
	wait->fd = fd;
	in->n_silent++;
	event_assign(&wait->event, in->w->base, fd, EV_READ, on_first_bytes, wait);
	event_add(&wait->event, &silence);
}

static void
on_accept(evutil_socket_t listen_fd, short what, void *arg)
{
	static const struct timeval pause = {.tv_usec = ACCEPT_PAUSE_MS * 1000};
	struct intake *in = arg;

	(void)what;
	for (int i = 0; i < ACCEPTS_A_TURN && in->accept_event != NULL; i++) {
		int fd = accept4((int)listen_fd, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) {
			event_del(in->accept_event);
			evtimer_add(in->accept_pause, &pause);
		}
		if (fd < 0)
			break;
		switch (look(fd)) {
		case LOOK_WHOLE:
			begin(in, fd);
			break;
		case LOOK_PARTIAL:
			wait_for_bytes(in, fd);
			break;
		case LOOK_CLOSED:
			close(fd);
			break;
		}
	}
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

void
intake_stop(struct intake *in)
{
	if (in->accept_event == NULL)
		return;
	event_free(in->accept_event);
	in->accept_event = NULL;
	close(in->listen_fd);
}

bool
intake_is_empty(struct intake *in)
{
	bool empty;

	pthread_mutex_lock(&in->lock);
	empty = in->n_reading == 0;
	pthread_mutex_unlock(&in->lock);
	return empty && in->n_silent == 0;
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
	event_free(in->back_event);
	event_free(in->accept_pause);
	close(in->back_fd);
	pthread_cond_destroy(&in->wake);
	pthread_mutex_destroy(&in->lock);
	free(in);
}
