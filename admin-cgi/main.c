/* SPDX-License-Identifier: MIT
 *
 * The main() behind every admin program: FastCGI when descriptor 0 is a listening
 * socket, else plain CGI, one request from the environment and standard input.
 *
 * SIGTERM ends a FastCGI process after the request under way. A signal that comes
 * just before accept(2) would be slept through; an alarm then interrupts it.
 */
#include "admin-cgi/admin.h"

#include "lib/log.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include <fcgiapp.h>

#define EXIT_BAD_USE   2
#define EXIT_BAD_START 1
/* Between two tries to accept when there are no descriptors left. */
#define ACCEPT_PAUSE_US 10000

extern char **environ;

static volatile sig_atomic_t stopping;
static volatile sig_atomic_t accepting;

static void
on_term(UNUSED int sig)
{
	stopping = 1;
	FCGX_ShutdownPending();
	if (accepting)
		alarm(1);
}

/* Before FCGX_Init(), which leaves handlers of ours alone. No SA_RESTART: accept(2)
 * has to come back. */
static void
set_signals(void)
{
	struct sigaction term = {.sa_handler = on_term};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	sigemptyset(&term.sa_mask);
	sigemptyset(&ignore.sa_mask);
	sigaction(SIGTERM, &term, NULL);
	sigaction(SIGUSR1, &term, NULL);
	sigaction(SIGALRM, &term, NULL);
	sigaction(SIGPIPE, &ignore, NULL);
}

/* --- FastCGI --- */

static ssize_t
fcgi_read(void *arg, char *p, size_t n)
{
	FCGX_Request *r = arg;
	int got = FCGX_GetStr(p, (int)n, r->in);

	return got == 0 && FCGX_GetError(r->in) != 0 ? -1 : got;
}

static bool
fcgi_write(void *arg, const char *p, size_t n)
{
	FCGX_Request *r = arg;

	while (n > 0) {
		int piece = (int)MIN(n, (size_t)1 << 20);
		if (FCGX_PutStr(p, piece, r->out) != piece)
			return false;
		p += piece;
		n -= (size_t)piece;
	}
	return true;
}

/* One connection a request: a kept one would hold this process while others wait.
 * Detaching spares libfcgi's wait for the server to close first; everything the
 * server sent has been read. Without the end record the server knows that the answer
 * is cut, and lets the client know. */
static void
finish(FCGX_Request *r, bool whole)
{
	r->keepConnection = 0;
	FCGX_Detach(r);
	if (!whole) {
		(void)FCGX_FFlush(r->out);
		FCGX_Free(r, 1);
	}
	FCGX_Finish_r(r);
}

static int
serve_fcgi(struct admin *a)
{
	static FCGX_Request request; /* its streams point back at it */

	if (FCGX_Init() != 0 || FCGX_InitRequest(&request, 0, 0) != 0) {
		log_error("FastCGI could not be initialised");
		return EXIT_BAD_START;
	}
	for (;;) {
		accepting = 1;
		int rc = stopping ? -1 : FCGX_Accept_r(&request);
		accepting = 0;
		if (rc == 0) {
			const struct admin_io io = {fcgi_read, fcgi_write, &request};
			finish(&request, admin_serve(a, request.envp, &io));
		}
		if (stopping)
			return 0;
		if (rc != 0)
			usleep(ACCEPT_PAUSE_US);
	}
}

/* --- plain CGI --- */

/* Bytes of the body that are still to come. */
struct cgi_input {
	int64_t left;
};

static ssize_t
cgi_read(void *arg, char *p, size_t n)
{
	struct cgi_input *in = arg;
	ssize_t got;

	if (in->left == 0)
		return 0;
	do
		got = read(STDIN_FILENO, p, MIN(n, (uint64_t)in->left));
	while (got < 0 && errno == EINTR);
	if (got > 0)
		in->left -= got;
	return got;
}

static bool
cgi_write(UNUSED void *arg, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t sent = write(STDOUT_FILENO, p, n);
		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return false;
		p += sent;
		n -= (size_t)sent;
	}
	return true;
}

/* Standard input need not end with the body (RFC 3875, 4.2). */
static int
serve_cgi(struct admin *a)
{
	struct cgi_input in = {0};
	const struct admin_io io = {cgi_read, cgi_write, &in};

	if (!str_to_i64(cgi_var(environ, "CONTENT_LENGTH"), 0, INT64_MAX, &in.left))
		in.left = 0;
	/* For who runs it by hand: plain CGI cannot tell the server that an answer is cut. */
	return admin_serve(a, environ, &io) ? 0 : EXIT_BAD_START;
}

/* --- start --- */

static int
usage(void)
{
	fputs("This is a program of GPT-Load's management API. A web server starts it, as CGI or\n"
	      "as FastCGI with the listening socket on descriptor 0; see conf-examples/.\n",
	      stderr);
	return EXIT_BAD_USE;
}

/* Says why on stderr; a web server that started us as CGI gets an answer too, which
 * tells strangers no more than that. */
static int
refuse(bool cgi, const struct errinfo *info, enum err e)
{
	struct buf answer;

	log_error("%s", err_text(info, e));
	if (cgi) {
		buf_init(&answer, 1024);
		buf_printf(&answer,
			   "Status: %d %s\r\nContent-Type: application/json; charset=utf-8\r\n"
			   "Cache-Control: no-store\r\n\r\n{\"code\":\"%s\",\"message\":\"%s\"}",
			   err_status(e), status_reason(err_status(e)), err_code(e),
			   err_message(e));
		(void)cgi_write(NULL, answer.p, answer.n);
		buf_done(&answer);
	}
	return e == ERR_CONF ? EXIT_BAD_USE : EXIT_BAD_START;
}

int
admin_main(const struct route *const *tables)
{
	bool cgi = FCGX_IsCGI();
	struct errinfo info = {0};
	struct conf *conf = NULL;
	struct admin admin;
	bool generated;
	int code;

	if (cgi && cgi_var(environ, "REQUEST_METHOD").n == 0)
		return usage();
	set_signals();
	enum err e = conf_load(&conf, &info);
	if (e != ERR_OK)
		return refuse(cgi, &info, e);
	log_open(conf, "admin");
	if (conf->in_folder)
		cgi_begin_at_script();
	e = conf_prepare(conf, &generated, &info);
	if (e != ERR_OK) {
		code = refuse(cgi, &info, e);
	} else {
		admin_init(&admin, conf, tables);
		code = cgi ? serve_cgi(&admin) : serve_fcgi(&admin);
		admin_done(&admin);
	}
	conf_free(conf);
	return code;
}
