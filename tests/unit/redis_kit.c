/* SPDX-License-Identifier: MIT
 *
 * A Redis server of one's own for tests; see redis_kit.h.
 */
#include "tests/unit/redis_kit.h"
#include "lib/base.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#define ARGS_MAX  32
#define REPLY_MAX 16384

/* Waits, without sleeping for a fixed time, until the server answers. */
static bool
answers(const struct redis_server *s)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char reply[64] = "";
	bool ok = false;

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", s->socket);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 &&
	    write(fd, "PING\r\n", 6) == 6 && read(fd, reply, sizeof(reply) - 1) > 0)
		/* An error, that it wants a password, is an answer; that it loads is none. */
		ok = strncmp(reply, "-LOADING", 8) != 0;
	close(fd);
	return ok;
}

static NORETURN void
become_server(const struct redis_server *s, const char *const *more)
{
	const char *argv[ARGS_MAX] = {
	    "redis-server", "--port",     "0",      "--unixsocket", s->socket, "--dir",
	    s->dir,         "--save",     "",       "--appendonly", "no",      "--daemonize",
	    "no",           "--loglevel", "warning"};
	size_t n = 15;
	int fd = open("/dev/null", O_RDWR);

	/* It ends with its test, however that ends. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (more != NULL && *more != NULL && n < ARGS_MAX - 1)
		argv[n++] = *more++;
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	execvp(argv[0], (char *const *)(uintptr_t)argv);
	_exit(127);
}

bool
redis_server_start(struct redis_server *s, const char *const *more)
{
	const char *tmp = getenv("TMPDIR");
	int status;

	if (s->dir[0] == '\0') {
		(void)snprintf(s->dir, sizeof(s->dir), "%s/redis-XXXXXX",
			       tmp != NULL ? tmp : "/tmp");
		if (mkdtemp(s->dir) == NULL)
			return false;
		(void)snprintf(s->socket, sizeof(s->socket), "%s/s", s->dir);
	}
	s->pid = fork();
	if (s->pid == 0)
		become_server(s, more);
	for (int i = 0; i < 5000 && s->pid > 0; i++) {
		if (answers(s))
			return true;
		if (waitpid(s->pid, &status, WNOHANG) == s->pid)
			break; /* there is none on this machine */
		usleep(2000);
	}
	s->pid = 0;
	rmdir(s->dir);
	s->dir[0] = '\0';
	return false;
}

void
redis_server_kill(struct redis_server *s)
{
	int status;

	if (s->pid <= 0)
		return;
	kill(s->pid, SIGKILL);
	(void)waitpid(s->pid, &status, 0);
	s->pid = 0;
	unlink(s->socket);
}

void
redis_server_end(struct redis_server *s)
{
	static const char *const files[] = {"dump.rdb", "nodes.conf", "appendonly.aof"};

	redis_server_kill(s);
	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		AUTO_FREE
		char *path = xasprintf("%s/%s", s->dir, files[i]);

		unlink(path);
	}
	rmdir(s->dir);
	s->dir[0] = '\0';
}

char *
redis_server_ask(const struct redis_server *s, const char *command)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	AUTO_FREE char *line = xasprintf("%s\r\n", command);
	char *reply = xcalloc(1, REPLY_MAX + 1);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", s->socket);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0 ||
	    write(fd, line, strlen(line)) != (ssize_t)strlen(line) ||
	    read(fd, reply, REPLY_MAX) <= 0)
		reply[0] = '\0';
	close(fd);
	return reply;
}

bool
redis_server_say(const struct redis_server *s, const char *command)
{
	AUTO_FREE char *reply = redis_server_ask(s, command);

	return reply[0] != '\0' && reply[0] != '-';
}
