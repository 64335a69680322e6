/* SPDX-License-Identifier: MIT
 *
 * `gpt-load.fcgi --listen SOCKET --workers N`: binds (or takes the socket that systemd
 * has bound, so that connections wait in it over a restart), then runs itself (or what --run
 * names: api.fcgi) N times with the socket on descriptor 0, as a web server would. A
 * worker that dies is replaced at once (later when it dies young again and again).
 * SIGTERM drains all; SIGHUP starts new workers, of the program as it is on disk
 * then, and drains the old.
 *
 * The master holds no state and opens nothing else, so that nothing is inherited by
 * accident and there is next to nothing in it that can fail.
 */
#include "fcgi-app/master.h"
#include "lib/clock.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/str.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LISTEN_BACKLOG 4096
/* A worker that lived less is young; the next one is then delayed. */
#define YOUNG_US     INT64_C(2000000)
#define DELAY_MIN_US INT64_C(100000)
#define DELAY_MAX_US INT64_C(10000000)
/* What a worker ends with that was not let in: another would not be either. */
#define EXIT_BAD_CONFIGURATION 2
/* Beyond the drain time-out, before a worker is killed. */
#define KILL_AFTER_US INT64_C(10000000)

struct child {
	pid_t pid; /* 0: to be started */
	int64_t started_us;
	int64_t start_at_us; /* not before */
	int64_t delay_us;
};

struct master {
	const struct conf *conf;
	const char *program; /* what a worker runs: its path */
	const char *socket;
	int fd;
	int n;
	struct child workers[LIMIT_WORKERS];
	pid_t old[2 * LIMIT_WORKERS]; /* draining after SIGHUP */
	int n_old;
	bool stopping;
	bool served; /* some worker has lived beyond its youth */
	int rc;      /* of the process */
	int64_t kill_at_us;
};

/* --- the socket --- */

static enum err
bind_unix(const char *path, mode_t mode, int *ret, struct errinfo *info)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(a.sun_path))
		return err_set(info, ERR_CONF, "--listen %s: a socket's path may have %zu bytes",
			       path, sizeof(a.sun_path) - 1);
	memcpy(a.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(fd >= 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0) {
		close(fd);
		return err_set(info, ERR_IO, "--listen %s: another responder serves there", path);
	}
	close(fd);
	/* What nobody serves is left over. */
	if (unlink(path) != 0 && errno != ENOENT)
		return err_set(info, ERR_IO, "--listen %s: %s", path, strerrordesc_np(errno));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	check(fd >= 0);
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 || chmod(path, mode) != 0 ||
	    listen(fd, LISTEN_BACKLOG) != 0) {
		close(fd);
		return err_set(info, ERR_IO, "--listen %s: %s", path, strerrordesc_np(errno));
	}
	*ret = fd;
	return ERR_OK;
}

static enum err
bind_tcp(const char *address, int *ret, struct errinfo *info)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
	const char *colon = strrchr(address, ':');
	AUTO_FREE char *host = xstrndup(address, (size_t)(colon - address));
	struct addrinfo *a = NULL;
	int one = 1;
	int rc;
	int fd;

	if (host[0] == '\0')
		return err_set(info, ERR_CONF, "--listen %s: name the address, e.g. 127.0.0.1%s",
			       address, colon);
	rc = getaddrinfo(host, colon + 1, &hints, &a);
	if (rc != 0)
		return err_set(info, ERR_CONF, "--listen %s: %s", address, gai_strerror(rc));
	fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) != 0 ||
	    bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
		rc = errno;
		freeaddrinfo(a);
		if (fd >= 0)
			close(fd);
		return err_set(info, ERR_IO, "--listen %s: %s", address, strerrordesc_np(rc));
	}
	freeaddrinfo(a);
	*ret = fd;
	return ERR_OK;
}

/* The one on descriptor 0, moved out of the way of what children get there. */
static enum err
take_inherited(int *ret, struct errinfo *info)
{
	*ret = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	if (*ret < 0)
		return err_set(info, ERR_IO, "--listen -: %s", strerrordesc_np(errno));
	return ERR_OK;
}

/* --- workers --- */

static void
start_worker(struct master *m, struct child *c)
{
	pid_t parent = getpid();
	pid_t pid = fork();

	if (pid < 0) {
		log_error("fork: %s", strerrordesc_np(errno));
		c->start_at_us = clock_mono_us() + DELAY_MAX_US;
		return;
	}
	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		/* Workers do not outlive their master, however it ends. */
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		if (getppid() != parent || dup2(m->fd, STDIN_FILENO) < 0)
			_exit(1);
		execl(m->program, m->program, (char *)NULL);
		fprintf(stderr, "gpt-load.fcgi: %s: %s\n", m->program, strerrordesc_np(errno));
		_exit(1);
	}
	c->pid = pid;
	c->started_us = clock_mono_us();
}

static void
signal_all(struct master *m, int sig)
{
	for (int i = 0; i < m->n; i++)
		if (m->workers[i].pid > 0)
			kill(m->workers[i].pid, sig);
	for (int i = 0; i < m->n_old; i++)
		kill(m->old[i], sig);
}

static void
stop(struct master *m)
{
	int64_t drain_us = (int64_t)m->conf->server_graceful_shutdown_timeout_s * 1000000;

	m->stopping = true;
	m->kill_at_us = clock_mono_us() + drain_us + KILL_AFTER_US;
	signal_all(m, SIGTERM);
}

static void
worker_died(struct master *m, struct child *c, int status)
{
	int64_t now = clock_mono_us();
	bool young = now - c->started_us < YOUNG_US;
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;

	c->pid = 0;
	if (m->stopping)
		return;
	/* Being refused may take longer than a youth: the database is asked, and waited for. */
	m->served |= !young && code != EXIT_BAD_CONFIGURATION;
	/* It has said itself why it cannot start, and the next could not either. */
	if (!m->served && code > 0) {
		m->rc = code;
		stop(m);
		return;
	}
	c->delay_us = !young             ? 0
		      : c->delay_us == 0 ? DELAY_MIN_US
					 : MIN(2 * c->delay_us, DELAY_MAX_US);
	c->start_at_us = now + c->delay_us;
	if (WIFSIGNALED(status))
		log_error("a worker was killed by signal %d; another takes its place",
			  WTERMSIG(status));
	else
		log_error("a worker ended with code %d; another takes its place",
			  WEXITSTATUS(status));
}

static void
reap(struct master *m)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (int i = 0; i < m->n; i++)
			if (m->workers[i].pid == pid)
				worker_died(m, &m->workers[i], status);
		for (int i = 0; i < m->n_old; i++)
			if (m->old[i] == pid)
				m->old[i--] = m->old[--m->n_old];
	}
}

/* New workers first, so that somebody always accepts. */
static void
replace(struct master *m)
{
	log_info("starting new workers; the old ones drain");
	m->served = true; /* those that there are, else there were no master */
	for (int i = 0; i < m->n; i++) {
		struct child old = m->workers[i];

		if (old.pid == 0 || m->n_old == (int)ARRAY_LEN(m->old))
			continue;
		start_worker(m, &m->workers[i]);
		if (m->workers[i].pid == old.pid)
			continue;
		m->old[m->n_old++] = old.pid;
		kill(old.pid, SIGTERM);
	}
}

/* Starts what is to be started; µs until the next is due, at most a second. */
static int64_t
start_due(struct master *m)
{
	int64_t now = clock_mono_us();
	int64_t wait = 1000000;

	for (int i = 0; i < m->n && !m->stopping; i++) {
		struct child *c = &m->workers[i];

		if (c->pid == 0 && c->start_at_us <= now)
			start_worker(m, c);
		else if (c->pid == 0)
			wait = MIN(wait, c->start_at_us - now);
	}
	return wait;
}

static bool
all_gone(const struct master *m)
{
	for (int i = 0; i < m->n; i++)
		if (m->workers[i].pid > 0)
			return false;
	return m->n_old == 0;
}

static void
run(struct master *m)
{
	static const int wanted[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		sigaddset(&set, wanted[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	while (!m->stopping || !all_gone(m)) {
		int64_t wait = start_due(m);
		struct timespec ts = {.tv_sec = wait / 1000000, .tv_nsec = wait % 1000000 * 1000};

		switch (sigtimedwait(&set, NULL, &ts)) {
		case SIGTERM:
		case SIGINT:
			stop(m);
			break;
		case SIGHUP:
			if (!m->stopping)
				replace(m);
			break;
		default:
			break;
		}
		reap(m);
		if (m->stopping && clock_mono_us() > m->kill_at_us)
			signal_all(m, SIGKILL);
	}
}

int
master_run(const struct conf *conf, const char *program, const char *socket, unsigned socket_mode,
	   int workers)
{
	struct master *m = xcalloc(1, sizeof(*m));
	bool inherited = strcmp(socket, "-") == 0;
	bool unix_socket =
	    !inherited && (strchr(socket, '/') != NULL || strchr(socket, ':') == NULL);
	struct errinfo info = {""};
	enum err e;
	int rc;

	m->conf = conf;
	m->program = program;
	m->socket = socket;
	m->n = MIN(workers, LIMIT_WORKERS);
	e = inherited     ? take_inherited(&m->fd, &info)
	    : unix_socket ? bind_unix(socket, socket_mode, &m->fd, &info)
			  : bind_tcp(socket, &m->fd, &info);
	if (e != ERR_OK) {
		log_error("%s", err_text(&info, e));
		free(m);
		return e == ERR_CONF ? 2 : 1;
	}
	run(m);
	rc = m->rc;
	if (unix_socket)
		(void)unlink(socket);
	close(m->fd);
	free(m);
	return rc;
}
