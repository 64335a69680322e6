/* SPDX-License-Identifier: MIT
 *
 * The commands of `gpt-load`: a struct command each, in the file of its group, and
 * what they share. argv begins with the command's own name. They return the process's
 * exit code: 0, 1 (could not), or 2 (bad configuration or usage). What a script reads
 * goes to stdout, all else to stderr; no secret is ever taken from argv but by
 * migrate-keys, which warns.
 */
#ifndef ADMIN_CGI_CLI_H
#define ADMIN_CGI_CLI_H

#include "lib/arena.h"
#include "lib/conf.h"
#include "lib/buf.h"

struct crypt;
struct db;
struct group_row;
struct pool;
struct task_row;

#define CLI_OK     0
#define CLI_FAILED 1
#define CLI_USAGE  2

struct command {
	const char *name;
	const char *summary;
	const char *usage; /* all of it; what the man page says in short */
	int (*run)(struct conf *conf, int argc, char **argv);
};

extern const struct command command_backup;
extern const struct command command_check_config;
extern const struct command command_env;
extern const struct command command_export;
extern const struct command command_groups;
extern const struct command command_import;
extern const struct command command_jobs;
extern const struct command command_keys;
extern const struct command command_log;
extern const struct command command_logs;
extern const struct command command_migrate_keys;
extern const struct command command_prepare;
extern const struct command command_restore;
extern const struct command command_status;

/* Prints "gpt-load: TEXT" on stderr and returns the exit code for the error. Of a standard
 * output that takes no more (ERR_IO) main() tells. */
int cli_error(enum err e, const struct errinfo *info);
/* Warnings and errors of lib/ to stderr; no more, for a command says itself what it did. */
void cli_log_open(const struct conf *conf);
/* A line on stderr for each secret that is weak. */
void cli_warn_weak(const struct conf *conf);

/* --- arguments (cli_tools.c) --- */

enum cli_kind {
	CLI_FLAG,   /* bool */
	CLI_TEXT,   /* const char *, borrowed from argv */
	CLI_NUMBER, /* int64_t, above 0 */
};
struct cli_option {
	const char *name; /* "--json" */
	enum cli_kind kind;
	void *to;
};
/* Takes "--name", "--name VALUE" and "--name=VALUE" out of argv, wherever they stand;
 * the rest moves up. false: said on stderr; the exit code is CLI_USAGE. */
bool cli_options(int *argc, char **argv, const struct cli_option *options, size_t n) MUST_CHECK;
/* Says what is wrong and how to learn more; returns CLI_USAGE. */
int cli_usage(const char *command, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* --- the state that commands work on (cli_state.c) --- */

struct state {
	const struct conf *conf; /* borrowed */
	struct crypt *crypt;
	struct db *db;
	struct pool *pool;
	struct arena arena; /* for the command's life */
};
/* Everything there and of this version, as a worker would make it. To be closed in
 * either case. */
enum err state_open(const struct conf *conf, struct state *s, struct errinfo *info) MUST_CHECK;
/* DATA_DIR and the AUTH_KEY are made too, as by `prepare`. */
enum err state_prepare(struct conf *conf, struct state *s, struct errinfo *info) MUST_CHECK;
void state_close(struct state *s);
/* What the pool knows of keys goes to the DB; what waits in the spool too. Nothing
 * when that cannot be: what is read then is a little older. */
void state_settle(struct state *s);
/* By name, else by id. ERR_NOT_FOUND says which. */
enum err state_group(struct state *s, const char *name, struct group_row *ret, struct errinfo *info)
    MUST_CHECK;

/* --- input and output (cli_tools.c) --- */

/* A line on stderr that is written over itself; nothing where stderr is no terminal. */
struct progress {
	const char *what;
	int64_t said_us; /* monotonic */
};
void progress_say(struct progress *p, int64_t done, int64_t total);
void progress_end(struct progress *p);

/* All of a file, or of standard input ("-" and NULL). ERR_TOO_LARGE. */
enum err cli_read(const char *path, size_t max, struct buf *out, struct errinfo *info) MUST_CHECK;
/* Prints the text and a newline; CLI_FAILED when stdout does not take it, of which main()
 * tells. */
int cli_print(const struct buf *out);
/* --yes was given, or a person at the terminal types it. */
bool cli_confirm(bool yes, const char *question);
/* A column of a table for people: padded, cut, without control characters. */
void cli_cell(struct buf *out, struct str text, int width);
/* Its end, without blanks. */
void cli_end_row(struct buf *out);

/* --- tasks (cli_import.c) --- */

/* Until it has ended, with progress: by whoever holds the lease of the background work,
 * which may be us. *task is as it is then. */
enum err cli_follow(struct state *s, struct task_row *task, struct errinfo *info) MUST_CHECK;
/* Prints what came of it and returns the exit code. */
int cli_task_result(const struct task_row *t, bool json);

#endif
