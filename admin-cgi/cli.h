/* SPDX-License-Identifier: MIT
 *
 * The commands of `gpt-load`, one function each: argv begins with the command's own
 * name. They return the process's exit code: 0, 1 (could not), or 2 (bad
 * configuration or usage).
 */
#ifndef ADMIN_CGI_CLI_H
#define ADMIN_CGI_CLI_H

#include "lib/conf.h"

#define CLI_OK     0
#define CLI_FAILED 1
#define CLI_USAGE  2

int cli_prepare(struct conf *conf, int argc, char **argv);
int cli_check_config(struct conf *conf, int argc, char **argv);
int cli_env(struct conf *conf, int argc, char **argv);
int cli_jobs(struct conf *conf, int argc, char **argv);
int cli_log(struct conf *conf, int argc, char **argv);

/* Prints "gpt-load: TEXT" on stderr and returns the exit code for the error. */
int cli_error(enum err e, const struct errinfo *info);
/* A line on stderr for each secret that is weak. */
void cli_warn_weak(const struct conf *conf);

#endif
