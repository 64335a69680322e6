/* SPDX-License-Identifier: MIT
 *
 * gpt-load.fcgi: the responder. How it was started says what it is:
 *
 *	descriptor 0 is a listening socket	a FastCGI worker (mod_fcgid, lighttpd,
 *						spawn-fcgi, systemd, or our own master)
 *	--listen SOCKET				the master over --workers N of those, or of
 *						the program that --run names
 *	REQUEST_METHOD is set			plain CGI, one request
 */
#include "fcgi-app/master.h"
#include "fcgi-app/responder.h"
#include "lib/cgi.h"
#include "lib/log.h"

#include "config.h"

#include <fcgiapp.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static const char usage[] =
    "usage: gpt-load.fcgi --listen SOCKET [--workers N] [--socket-mode MODE] [--run PROGRAM]\n"
    "       gpt-load.fcgi          (started by a web server, as FastCGI or CGI)\n"
    "\n"
    "Serves /proxy/{group}/… of GPT-Load behind a web server.\n"
    "\n"
    "  --listen SOCKET     a path, or ADDRESS:PORT, or - for the listening socket on\n"
    "                      descriptor 0 (systemd); runs workers on it until SIGTERM,\n"
    "                      which lets running requests end; SIGHUP replaces the workers\n"
    "  --workers N         how many (default: WORKERS, or the number of cores)\n"
    "  --socket-mode MODE  permissions of a socket path, in octal (default: 600)\n"
    "  --run PROGRAM       the workers are this FastCGI program instead: api.fcgi, for\n"
    "                      web servers that start none\n"
    "  --help, --version\n"
    "\n"
    "Configuration comes from the environment and from the file named by\n"
    "GPT_LOAD_CONFIG; `gpt-load check-config` shows what is in force.\n";

struct options_given {
	const char *listen;
	const char *run; /* NULL: this program itself */
	int workers;
	unsigned socket_mode;
};

static bool
is_listening(int fd)
{
	int yes = 0;
	socklen_t n = sizeof(yes);

	return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &n) == 0 && yes != 0;
}

static NORETURN void
bad_usage(const char *what, const char *value)
{
	fprintf(stderr, "gpt-load.fcgi: %s: %s\n\n%s", what, value, usage);
	exit(2);
}

static void
parse_options(int argc, char **argv, struct options_given *o)
{
	static const struct option known[] = {
	    {"listen", required_argument, NULL, 'l'},
	    {"workers", required_argument, NULL, 'w'},
	    {"socket-mode", required_argument, NULL, 'm'},
	    {"run", required_argument, NULL, 'r'},
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},
	    {NULL, 0, NULL, 0},
	};
	int64_t n;
	char *end;
	int opt;

	while ((opt = getopt_long(argc, argv, "", known, NULL)) != -1) {
		switch (opt) {
		case 'l':
			o->listen = optarg;
			break;
		case 'w':
			if (!str_to_i64(str_of(optarg), 1, LIMIT_WORKERS, &n))
				bad_usage("--workers is not a number from 1 to 256", optarg);
			o->workers = (int)n;
			break;
		case 'm':
			o->socket_mode = (unsigned)strtoul(optarg, &end, 8);
			if (*end != '\0' || o->socket_mode > 0777)
				bad_usage("--socket-mode is not an octal mode", optarg);
			break;
		case 'r':
			if (access(optarg, X_OK) != 0)
				bad_usage("--run is not a program that can be run", optarg);
			o->run = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		case 'V':
			puts("gpt-load.fcgi " PACKAGE_VERSION);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (o->listen != NULL && strcmp(o->listen, "-") == 0 && !is_listening(STDIN_FILENO))
		bad_usage("--listen -: descriptor 0 is not a listening socket",
			  "see systemd.exec(5)");
	if (o->run != NULL && o->listen == NULL)
		bad_usage("--run needs --listen", o->run);
	if (optind < argc)
		bad_usage("unknown argument", argv[optind]);
}

/* Workers run the program at the path it was started by, so that SIGHUP takes up a
 * newly installed one; /proc/self/exe would still be the old file. */
static char *
own_path(const char *argv0)
{
	char *path = strchr(argv0, '/') != NULL ? realpath(argv0, NULL) : NULL;

	return path != NULL ? path : realpath("/proc/self/exe", NULL);
}

/* Plain CGI: why is in the server's error log; its client is told no more than that. */
static void
answer_cannot_start(bool as_cgi)
{
	if (as_cgi)
		printf("Status: %d %s\r\nContent-Type: application/json\r\nRetry-After: 5\r\n\r\n"
		       "{\"code\":\"%s\",\"message\":\"the gateway cannot start; "
		       "the web server's error log says why\"}",
		       err_status(ERR_POOL), status_reason(err_status(ERR_POOL)),
		       err_code(ERR_POOL));
}

int
main(int argc, char **argv)
{
	struct options_given o = {.socket_mode = 0600};
	struct errinfo info = {""};
	struct conf *conf;
	bool generated;
	bool as_cgi = getenv("REQUEST_METHOD") != NULL;
	int rc;

	if (!as_cgi)
		parse_options(argc, argv, &o);
	if (o.listen == NULL && !as_cgi && !is_listening(STDIN_FILENO)) {
		fputs(usage, stderr);
		return 2;
	}
	if (conf_load(&conf, &info) != ERR_OK) {
		fprintf(stderr, "gpt-load.fcgi: %s\n", info.text);
		answer_cannot_start(as_cgi);
		return 2;
	}
	/* Folders and, on the very first start, the AUTH_KEY. */
	if (conf_prepare(conf, &generated, &info) != ERR_OK) {
		fprintf(stderr, "gpt-load.fcgi: %s\n", info.text);
		answer_cannot_start(as_cgi);
		conf_free(conf);
		return 2;
	}
	log_open(conf, "gpt-load.fcgi");
	if (conf->in_folder)
		cgi_begin_at_script();
	if (o.listen != NULL) {
		AUTO_FREE char *program = o.run != NULL ? realpath(o.run, NULL) : own_path(argv[0]);

		rc = master_run(conf, program, o.listen, o.socket_mode,
				o.workers > 0 ? o.workers : conf->workers);
	} else if (as_cgi) {
		rc = worker_run_cgi(conf);
		answer_cannot_start(rc != 0);
	} else {
		rc = worker_run(conf, STDIN_FILENO);
	}
	conf_free(conf);
	return rc;
}
