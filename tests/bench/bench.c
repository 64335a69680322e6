/* SPDX-License-Identifier: MIT
 *
 * What the bench programs share; see bench.h.
 */
#include "tests/bench/bench.h"
#include "lib/str.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BODY_MAX 65536

int64_t
now_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int64_t
number_arg(const char *name, const char *text, int64_t max)
{
	int64_t v;

	if (!str_to_i64(str_of(text), 0, max, &v)) {
		fprintf(stderr, "%s: \"%s\" is no number from 0 to %lld\n", name, text,
			(long long)max);
		exit(2);
	}
	return v;
}

int
connect_loopback(uint16_t port)
{
	struct sockaddr_in to = {
	    .sin_family = AF_INET,
	    .sin_port = htons(port),
	    .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;

	if (fd < 0 ||
	    (connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS)) {
		perror("connect to 127.0.0.1");
		exit(1);
	}
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

char *
chat_request(const char *path, const char *key, const char *body_file)
{
	char body[BODY_MAX];
	char *request;
	int fd = open(body_file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, body, sizeof(body)) : -1;

	if (n < 0) {
		perror(body_file);
		exit(2);
	}
	(void)close(fd);
	request = xasprintf("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
			    "Authorization: Bearer %s\r\nContent-Type: application/json\r\n"
			    "Content-Length: %zd\r\n\r\n%.*s",
			    path, key, n, (int)n, body);
	return request;
}

/* --- samples --- */

void
sample_add(struct sample *s, int64_t value)
{
	if (s->n == s->cap) {
		s->cap = s->cap > 0 ? s->cap * 2 : 1024;
		s->v = xrealloc(s->v, s->cap * sizeof(*s->v));
	}
	s->v[s->n++] = value;
}

static int
by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a;
	int64_t y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

void
sample_sort(struct sample *s)
{
	if (s->n > 0)
		qsort(s->v, s->n, sizeof(*s->v), by_value);
}

int64_t
sample_at(const struct sample *s, double p)
{
	size_t i = (size_t)(p * (double)s->n);

	return s->n == 0 ? 0 : s->v[MIN(i, s->n - 1)];
}

/* --- answers --- */

void
answer_init(struct answer *a, void (*on_body)(struct answer *a, const char *p, size_t n))
{
	*a = (struct answer){.left = -1, .on_body = on_body};
}

static void
on_status_line(struct answer *a, struct str line)
{
	int64_t status = 0;

	if (str_starts(line, "HTTP/1.") && line.n >= 12 &&
	    str_to_i64((struct str){line.p + 9, 3}, 100, 599, &status)) {
		a->status = (int)status;
		a->state = ANSWER_HEADER;
	} else {
		a->state = ANSWER_BROKEN;
	}
}

static void
on_header_line(struct answer *a, struct str line)
{
	struct str rest = line;
	struct str name;

	if (line.n > 0) {
		(void)str_split(&rest, ':', &name);
		rest = str_trim(rest);
		if (str_iis(name, "content-length") && !str_to_i64(rest, 0, INT64_MAX, &a->left))
			a->state = ANSWER_BROKEN;
		else if (str_iis(name, "transfer-encoding"))
			a->chunked = str_iis(rest, "chunked");
		else if (str_iis(name, "connection"))
			a->close = str_iis(rest, "close");
	} else if (a->status < 200) {
		answer_init(a, a->on_body);
	} else if (a->chunked) {
		a->state = ANSWER_CHUNK_SIZE;
	} else {
		a->state = a->left == 0 ? ANSWER_DONE : ANSWER_BODY;
		a->close |= a->left < 0;
	}
}

static void
on_chunk_size(struct answer *a, struct str line)
{
	char *end;

	a->left = strtol(line.p, &end, 16);
	if (end == line.p || a->left < 0)
		a->state = ANSWER_BROKEN;
	else
		a->state = a->left > 0 ? ANSWER_CHUNK : ANSWER_TRAILER;
}

static void
on_line(struct answer *a)
{
	struct str line = {a->line, a->line_n};

	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	a->line[line.n] = '\0';
	a->line_n = 0;
	if (a->state == ANSWER_STATUS)
		on_status_line(a, line);
	else if (a->state == ANSWER_HEADER)
		on_header_line(a, line);
	else if (a->state == ANSWER_CHUNK_SIZE)
		on_chunk_size(a, line);
	else if (a->state == ANSWER_CHUNK_END)
		a->state = ANSWER_CHUNK_SIZE;
	else if (line.n == 0)
		a->state = ANSWER_DONE;
}

/* Takes body bytes; returns how many of the n. */
static size_t
take_body(struct answer *a, const char *p, size_t n)
{
	if (a->left >= 0)
		n = MIN(n, (size_t)a->left);
	if (a->on_body != NULL)
		a->on_body(a, p, n);
	if (a->left >= 0)
		a->left -= (int64_t)n;
	if (a->left == 0)
		a->state = a->state == ANSWER_CHUNK ? ANSWER_CHUNK_END : ANSWER_DONE;
	return n;
}

void
answer_feed(struct answer *a, const char *p, size_t n)
{
	while (n > 0 && a->state != ANSWER_BROKEN) {
		size_t took = 1;

		if (a->state == ANSWER_DONE)
			a->state = ANSWER_BROKEN; /* more than was asked for */
		else if (a->state == ANSWER_BODY || a->state == ANSWER_CHUNK)
			took = take_body(a, p, n);
		else if (*p == '\n')
			on_line(a);
		else if (a->line_n < sizeof(a->line) - 1)
			a->line[a->line_n++] = *p;
		p += took;
		n -= took;
	}
}

void
answer_eof(struct answer *a)
{
	if (a->state == ANSWER_BODY && a->left < 0)
		a->state = ANSWER_DONE;
	else if (a->state != ANSWER_DONE)
		a->state = ANSWER_BROKEN;
}
