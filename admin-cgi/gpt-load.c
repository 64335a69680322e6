/* SPDX-License-Identifier: MIT
 *
 * gpt-load: the command line. This file finds the command, reads the configuration
 * and takes on the user that owns DATA_DIR; the commands are in cli_*.c.
 */
#include "admin-cgi/cli.h"

#include "lib/err.h"
#include "lib/log.h"
#include "lib/str.h"

#include "config.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* In the order in which --help lists them. */
static const struct command *const commands[] = {
    &command_prepare, &command_check_config, &command_status,       &command_groups,
    &command_keys,    &command_import,       &command_export,       &command_logs,
    &command_backup,  &command_restore,      &command_migrate_keys, &command_jobs,
    &command_env,     &command_log,
};

static void
print_usage(FILE *out)
{
	fputs("usage: gpt-load COMMAND [ARGUMENT…]\n\n", out);
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		fprintf(out, "  %-14s%s\n", commands[i]->name, commands[i]->summary);
	fputs("\n  --help, --version; `gpt-load COMMAND --help` says more\n\n"
	      "Configuration comes from the environment, and from the file named by\n"
	      "GPT_LOAD_CONFIG, else ./.env, else the installed gpt-load.env.\n",
	      out);
}

static const struct command *
find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

int
cli_error(enum err e, const struct errinfo *info)
{
	if (e != ERR_IO || !ferror(stdout))
		fprintf(stderr, "gpt-load: %s\n", err_text(info, e));
	return e == ERR_CONF ? CLI_USAGE : CLI_FAILED;
}

void
cli_log_open(const struct conf *conf)
{
	log_open(conf, "gpt-load");
	log_set_level(MIN(conf->log_level, LOG_WARN));
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

static bool
wants_help(int argc, char **argv)
{
	for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++)
		if (strcmp(argv[i], "--help") == 0)
			return true;
	return false;
}

/* Reads the configuration and runs the command. */
static int
run(const struct command *c, int argc, char **argv)
{
	struct errinfo info = {""};
	struct conf *conf;
	int rc;

	/* A file size limit is then an error of write(2), not the end. */
	signal(SIGXFSZ, SIG_IGN);
	if (conf_load(&conf, &info) != ERR_OK) {
		cli_error(ERR_CONF, &info);
		return CLI_USAGE;
	}
	rc = become_owner(conf->data_dir) ? c->run(conf, argc - 1, argv + 1) : CLI_FAILED;
	conf_free(conf);
	return rc;
}

/* Nobody takes half of an output for all of it. */
static int
end(int rc)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return rc;
	fputs("gpt-load: standard output does not take everything\n", stderr);
	return CLI_FAILED;
}

int
main(int argc, char **argv)
{
	const struct command *c;

	if (argc < 2) {
		print_usage(stderr);
		return CLI_USAGE;
	}
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
		print_usage(stdout);
		return end(CLI_OK);
	}
	if (strcmp(argv[1], "--version") == 0) {
		puts("gpt-load " PACKAGE_VERSION);
		return end(CLI_OK);
	}
	c = find(argv[1]);
	if (c == NULL) {
		fprintf(stderr, "gpt-load: there is no command \"%s\"\n\n", argv[1]);
		print_usage(stderr);
		return CLI_USAGE;
	}
	if (wants_help(argc, argv)) {
		fputs(c->usage, stdout);
		return end(CLI_OK);
	}
	return end(run(c, argc, argv));
}
