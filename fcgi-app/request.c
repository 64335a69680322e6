/* SPDX-License-Identifier: MIT
 *
 * Reading one request: its variables and its body, by libfcgi from a connection or
 * from the environment and standard input. It may block; intake.c sees to it that the
 * loop only reads what is there whole.
 *
 * libfcgi is handed an accepted descriptor by setting `ipcFd` and `keepConnection`
 * of a fresh FCGX_Request: FCGX_Accept_r() then reads instead of accepting. That
 * happens in request_read() and nowhere else; its stream buffers (17 KB) are freed
 * before the exchange begins.
 */
#include "fcgi-app/responder.h"

#include <errno.h>
#include <fcgiapp.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/cgi.h"

/* First chunk of a request's arena: variables and body of an ordinary one, its exchange,
 * and what that makes of them. */
#define REQUEST_ARENA_BYTES 8192
#ifdef __SANITIZE_ADDRESS__
#define REQUESTS_KEPT 0 /* a use after the end is to be seen */
#else
#define REQUESTS_KEPT 32
#endif
/* Steps of an in-memory body of unknown length. */
#define BODY_STEP_BYTES 16384

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

/* Requests that have ended, for those to come: malloc's way for blocks of this size is a
 * long one. Reader threads make requests too. */
static struct {
	pthread_mutex_t lock;
	struct request *kept[REQUESTS_KEPT];
	size_t n;
} stock = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct request *
stock_take(void)
{
	struct request *r;

	pthread_mutex_lock(&stock.lock);
	r = stock.n > 0 ? stock.kept[--stock.n] : NULL;
	pthread_mutex_unlock(&stock.lock);
	return r;
}

static bool
stock_put(struct request *r)
{
	bool kept;

	pthread_mutex_lock(&stock.lock);
	kept = stock.n + 1 <= REQUESTS_KEPT;
	if (kept)
		stock.kept[stock.n++] = r;
	pthread_mutex_unlock(&stock.lock);
	return kept;
}

static struct request *
request_new(void)
{
	struct request *r = stock_take();
	struct arena arena;

	if (r == NULL) {
		r = xcalloc(1, sizeof(*r));
		arena_init(&r->arena, REQUEST_ARENA_BYTES);
		return r;
	}
	arena = r->arena;
	*r = (struct request){.arena = arena};
	return r;
}

void
request_free(struct request *r)
{
	if (r == NULL)
		return;
	arena_reset(&r->arena);
	if (stock_put(r))
		return;
	arena_done(&r->arena);
	free(r);
}

/* Counts them, and checks that they are within the limits. Over them none is kept:
 * none is needed to say so. */
static enum err
check_variables(struct request *r, char *const *envp, size_t *ret_n)
{
	static char *none[] = {NULL};
	size_t n = 0;
	size_t bytes = 0;

	while (envp[n] != NULL)
		bytes += strlen(envp[n++]) + 1;
	*ret_n = n;
	if (n <= LIMIT_PARAMS && bytes <= LIMIT_PARAMS_BYTES)
		return ERR_OK;
	r->envp = none;
	return ERR_HEADERS_TOO_LARGE;
}

static enum err
copy_variables(struct request *r, char *const *envp)
{
	size_t n;
	enum err e = check_variables(r, envp, &n);

	if (e != ERR_OK)
		return e;
	r->envp = arena_alloc(&r->arena, (n + 1) * sizeof(*r->envp));
	for (size_t i = 0; i < n; i++)
		r->envp[i] = arena_strdup(&r->arena, envp[i]);
	r->envp[n] = NULL;
	return ERR_OK;
}

/* Blocks until the request is there, unless the caller has looked. NULL when the
 * connection is of no use (closed, garbage); it is closed then. */
struct request *
request_read(const struct conf *conf, int fd)
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

/* Takes n bytes that were peeked at out of the socket. */
static bool
consume(int fd, size_t n)
{
	char bytes[4096];

	while (n > 0) {
		ssize_t got = recv(fd, bytes, MIN(n, sizeof(bytes)), MSG_DONTWAIT);

		if (got <= 0)
			return false;
		n -= (size_t)got;
	}
	return true;
}

struct request *
request_take(const struct conf *conf, int fd, const struct records *records)
{
	struct request *r = request_new();
	size_t n;

	if (!records_variables(records, &r->arena, &r->envp) || !consume(fd, records->bytes)) {
		request_free(r);
		return NULL;
	}
	r->err = check_variables(r, r->envp, &n);
	r->body = records_body(records, &r->arena);
	if (r->err == ERR_OK && (int64_t)r->body.n > conf->max_request_body)
		r->err = ERR_TOO_LARGE;
	client_init(&r->client, fd, records->request_id, false);
	return r;
}

struct request *
request_cgi(const struct conf *conf, char **envp)
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
