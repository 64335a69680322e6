/* SPDX-License-Identifier: MIT
 *
 * gpt-load: the command line. This file finds the command, reads the configuration
 * and takes on the user that owns DATA_DIR; the commands are in cli_*.c.
 */
#include "admin-cgi/cli.h"

#include "lib/err.h"
#include "lib/str.h"

#include "config.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct command {
	const char *name;
	const char *summary;
	const char *usage;
	int (*run)(struct conf *conf, int argc, char **argv);
} commands[] = {
    {"prepare", "make folders, key, database and key pool ready to serve",
     "usage: gpt-load prepare [--wait]\n\n"
     "Makes DATA_DIR and, the first time, the AUTH_KEY, which it prints once; brings the\n"
     "database to this version; fills the key pool. Does nothing where all that is done.\n"
     "With --wait a database or a Redis that does not answer is waited for.\n",
     cli_prepare},
    {"check-config", "show what is in force, and what is wrong with it",
     "usage: gpt-load check-config\n\n"
     "Prints every variable with its value (secrets as \"(set)\"), the file that was read,\n"
     "and whether the database answers. Ends with 2 when a value cannot be used.\n",
     cli_check_config},
    {"jobs", "do the background work once",
     "usage: gpt-load jobs --once\n\n"
     "Writes waiting log rows to the database, follows changes, tries keys that are out\n"
     "again, deletes old rows. For cron, where no worker runs all the time.\n",
     cli_jobs},
    {"env", "print the configuration for a shell and a web server",
     "usage: gpt-load env\n\n"
     "Prints NAME='value' lines without secrets: what start.sh and conf-examples/ use.\n",
     cli_env},
    {"log", "write lines of standard input to the log",
     "usage: gpt-load log NAME\n\n"
     "Reads lines, cuts query strings off the URLs in them, and logs them as NAME's. For\n"
     "a web server's error log.\n",
     cli_log},
};

static void
print_usage(FILE *out)
{
	fputs("usage: gpt-load COMMAND [ARGUMENT…]\n\n", out);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(out, "  %-14s%s\n", commands[i].name, commands[i].summary);
	fputs("\n  --help, --version; `gpt-load COMMAND --help` says more\n\n"
	      "Configuration comes from the environment, and from the file named by\n"
	      "GPT_LOAD_CONFIG, else ./.env, else the installed gpt-load.env.\n",
	      out);
}

static const struct command *
find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

int
cli_error(enum err e, const struct errinfo *info)
{
	fprintf(stderr, "gpt-load: %s\n", err_text(info, e));
	return e == ERR_CONF ? CLI_USAGE : CLI_FAILED;
}

void
cli_warn_weak(const struct conf *conf)
{
	const struct {
		const char *name;
		const char *secret;
	} secrets[] = {
	    {"AUTH_KEY", conf->auth_key},
	    {"ENCRYPTION_KEY", conf->encryption_key},
	};

	for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
		const char *why =
		    secrets[i].secret != NULL ? conf_weakness(secrets[i].secret) : NULL;

		if (why != NULL)
			fprintf(stderr, "gpt-load: warning: %s is weak: %s\n", secrets[i].name,
				why);
	}
}

/* What root would make in DATA_DIR, its owner could not use. */
static bool
become_owner(const char *data_dir)
{
	struct stat st;

	if (geteuid() != 0 || stat(data_dir, &st) != 0 || st.st_uid == 0)
		return true;
	if (setgroups(0, NULL) == 0 && setgid(st.st_gid) == 0 && setuid(st.st_uid) == 0)
		return true;
	fprintf(stderr, "gpt-load: cannot act as the owner of %s: %s\n", data_dir,
		strerrordesc_np(errno));
	return false;
}

int
main(int argc, char **argv)
{
	struct errinfo info = {""};
	const struct command *c;
	struct conf *conf;
	enum err e;
	int rc;

	if (argc < 2) {
		print_usage(stderr);
		return CLI_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		print_usage(stdout);
		return CLI_OK;
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("gpt-load " PACKAGE_VERSION);
		return CLI_OK;
	}
	c = find(argv[1]);
	if (c == NULL) {
		fprintf(stderr, "gpt-load: there is no command \"%s\"\n\n", argv[1]);
		print_usage(stderr);
		return CLI_USAGE;
	}
	if (argc > 2 && strcmp(argv[2], "--help") == 0) {
		fputs(c->usage, stdout);
		return CLI_OK;
	}
	/* A file size limit is then an error of write(2), not the end. */
	signal(SIGXFSZ, SIG_IGN);
	e = conf_load(&conf, &info);
	if (e != ERR_OK) {
		cli_error(e, &info);
		return CLI_USAGE;
	}
	rc = become_owner(conf->data_dir) ? c->run(conf, argc - 1, argv + 1) : CLI_FAILED;
	conf_free(conf);
	return rc;
}
