/* SPDX-License-Identifier: MIT
 *
 * For unit tests that send requests: a provider on a port of its own, in a thread.
 * It answers each request the same, one at a time, and keeps the last one.
 */
#ifndef TESTS_UNIT_HTTPMOCK_H
#define TESTS_UNIT_HTTPMOCK_H

#include "lib/base.h"

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define HTTPMOCK_REQUEST 8192

struct httpmock {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t served;
	int listener;
	int quit[2]; /* a pipe: closed to end the thread */
	int port;
	/* under the lock: */
	int status; /* 0: reads the request and never answers */
	const char *body;
	int requests;
	char last[HTTPMOCK_REQUEST];
};

/* Waits until fd can be read; false when the end was asked for. */
static inline bool
httpmock_wait(struct httpmock *m, int fd)
{
	struct pollfd p[2] = {{.fd = fd, .events = POLLIN}, {.fd = m->quit[0], .events = POLLIN}};

	(void)poll(p, 2, -1);
	return p[1].revents == 0;
}

static inline bool
httpmock_is_whole(const char *request)
{
	const char *end = strstr(request, "\r\n\r\n");
	const char *length = strcasestr(request, "\r\nContent-Length: ");

	if (end == NULL)
		return false;
	return length == NULL ||
	       strlen(end + 4) >= strtoul(length + strlen("\r\nContent-Length: "), NULL, 10);
}

static inline void
httpmock_serve(struct httpmock *m, int fd)
{
	char request[HTTPMOCK_REQUEST] = "";
	char answer[1024];
	size_t n = 0;
	int status;

	while (!httpmock_is_whole(request) && n < sizeof(request) - 1 && httpmock_wait(m, fd)) {
		ssize_t got = read(fd, request + n, sizeof(request) - 1 - n);

		if (got <= 0)
			return;
		n += (size_t)got;
		request[n] = '\0';
	}
	pthread_mutex_lock(&m->lock);
	memcpy(m->last, request, sizeof(request));
	m->requests++;
	status = m->status;
	(void)snprintf(answer, sizeof(answer),
		       "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
		       status, strlen(m->body), m->body);
	pthread_cond_broadcast(&m->served);
	pthread_mutex_unlock(&m->lock);
	if (status == 0)
		(void)httpmock_wait(m, fd);
	else if (write(fd, answer, strlen(answer)) < 0)
		perror("httpmock");
}

static inline void *
httpmock_main(void *arg)
{
	struct httpmock *m = arg;

	while (httpmock_wait(m, m->listener)) {
		int fd = accept(m->listener, NULL, NULL);

		if (fd < 0)
			continue;
		httpmock_serve(m, fd);
		close(fd);
	}
	return NULL;
}

static inline struct httpmock *
httpmock_new(int status, const char *body)
{
	struct httpmock *m = xcalloc(1, sizeof(*m));
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t size = sizeof(address);

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	m->status = status;
	m->body = body;
	m->listener = socket(AF_INET, SOCK_STREAM, 0);
	check(bind(m->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
	check(listen(m->listener, 64) == 0);
	check(getsockname(m->listener, (struct sockaddr *)&address, &size) == 0);
	m->port = ntohs(address.sin_port);
	check(pipe(m->quit) == 0);
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->served, NULL);
	check(pthread_create(&m->thread, NULL, httpmock_main, m) == 0);
	return m;
}

static inline void
httpmock_free(struct httpmock *m)
{
	close(m->quit[1]);
	pthread_join(m->thread, NULL);
	close(m->quit[0]);
	close(m->listener);
	pthread_mutex_destroy(&m->lock);
	pthread_cond_destroy(&m->served);
	free(m);
}

static inline void
httpmock_answer(struct httpmock *m, int status, const char *body)
{
	pthread_mutex_lock(&m->lock);
	m->status = status;
	m->body = body;
	pthread_mutex_unlock(&m->lock);
}

static inline int
httpmock_requests(struct httpmock *m)
{
	int n;

	pthread_mutex_lock(&m->lock);
	n = m->requests;
	pthread_mutex_unlock(&m->lock);
	return n;
}

#endif
