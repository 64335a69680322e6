/* SPDX-License-Identifier: MIT
 *
 * env: the configuration for start.sh and the web servers' files.
 */
#include "admin-cgi/cli.h"

#include "lib/db.h"
#include "lib/migrate.h"
#include "lib/setting.h"
#include "lib/str.h"

#include <stdio.h>
#include <sys/resource.h>

/* Descriptors of the web server: two a stream. lighttpd counts them in 16 bits. */
#define WEB_FDS_MAX 40000
/* Connections are half of that, less what it needs itself. */
#define WEB_FDS_SPARE 128
/* Beyond the longest that an exchange may be silent. */
#define WRITE_IDLE_SPARE_S 60
#define SHUTDOWN_SPARE_S   5
/* What a time-out of a web server's configuration may be, in seconds. */
#define WEB_TIMEOUT_MAX_S 65000

static void
print_text(const char *name, const char *value)
{
	printf("%s='", name);
	for (; *value != '\0'; value++) {
		if (*value == '\'')
			fputs("'\\''", stdout);
		else
			putchar(*value);
	}
	puts("'");
}

static void
print_number(const char *name, int64_t value)
{
	printf("%s='%lld'\n", name, (long long)value);
}

/* The web servers want an IPv6 address in brackets. */
static void
print_bind(const char *host)
{
	AUTO_FREE char *bracketed = xasprintf("[%s]", host);

	print_text("GPT_LOAD_BIND", strchr(host, ':') != NULL ? bracketed : host);
}

/* The longest request_timeout in force, so that the web server never cuts an
 * exchange before we answer; the default where there is no database yet. */
static int64_t
request_timeout(const struct conf *conf)
{
	const struct setting_def *def = setting_def(SETTING_REQUEST_TIMEOUT);
	int64_t longest = 0;
	struct settings s;
	struct db *db = NULL;

	check(str_to_i64(str_of(def->default_text), 0, INT64_MAX, &longest));
	if (db_open(conf, &db, NULL) == ERR_OK && migrate_check(db, NULL) == ERR_OK &&
	    settings_load(db, &s, NULL) == ERR_OK) {
		longest = MAX(longest, s.v[SETTING_REQUEST_TIMEOUT].i);
		settings_done(&s);
	}
	db_close(db);
	return longest;
}

/* Absolute: the web server starts programs in folders of their own, where neither
 * ./.env nor a relative path would be found. */
static void
print_paths(const struct conf *conf)
{
	if (conf->file != NULL)
		print_text("GPT_LOAD_CONFIG", conf->file);
	print_text("DATA_DIR", conf->data_dir);
	if (db_dialect_of(conf->database_dsn) == DB_SQLITE)
		print_text("DATABASE_DSN", conf->database_dsn);
	if (conf->log_file != NULL)
		print_text("LOG_FILE_PATH", conf->log_file);
	if (conf->upstream_ca_file != NULL)
		print_text("UPSTREAM_CA_FILE", conf->upstream_ca_file);
}

static int
env(struct conf *conf, int argc, char **argv)
{
	struct rlimit limit = {.rlim_max = WEB_FDS_MAX};
	int64_t fds;
	int64_t idle;

	(void)argv;
	if (argc > 1) {
		fputs("gpt-load: env takes no argument\n", stderr);
		return CLI_USAGE;
	}
	(void)getrlimit(RLIMIT_NOFILE, &limit);
	fds = (int64_t)MIN(limit.rlim_max, (rlim_t)WEB_FDS_MAX);
	idle =
	    MAX((int64_t)conf->server_write_timeout_s, request_timeout(conf) + WRITE_IDLE_SPARE_S);
	print_paths(conf);
	print_text("HOST", conf->host);
	print_number("PORT", conf->port);
	print_text("WEB_SERVER", conf->web_server);
	print_number("WORKERS", conf->workers);
	print_number("SERVER_READ_TIMEOUT", conf->server_read_timeout_s);
	print_number("SERVER_WRITE_TIMEOUT", conf->server_write_timeout_s);
	print_number("SERVER_IDLE_TIMEOUT", conf->server_idle_timeout_s);
	print_bind(conf->host);
	print_number("GPT_LOAD_MAX_REQUEST_KB", conf->max_request_body / 1024 + 1024);
	print_number("GPT_LOAD_MAX_REQUEST_BYTES", conf->max_request_body + 1024 * 1024);
	print_number("GPT_LOAD_MAX_FDS", fds);
	print_number("GPT_LOAD_MAX_CONNECTIONS", MAX(fds / 2 - WEB_FDS_SPARE, fds / 4));
	print_number("GPT_LOAD_WRITE_IDLE", MIN(idle, WEB_TIMEOUT_MAX_S));
	print_number("GPT_LOAD_SHUTDOWN_TIMEOUT",
		     conf->server_graceful_shutdown_timeout_s + SHUTDOWN_SPARE_S);
	return CLI_OK;
}

const struct command command_env = {
    "env", "print the configuration for a shell and a web server",
    "usage: gpt-load env\n\n"
    "Prints NAME='value' lines without secrets: what start.sh and conf-examples/ use.\n",
    env};
