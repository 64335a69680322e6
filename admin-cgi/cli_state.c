/* SPDX-License-Identifier: MIT
 *
 * Commands that work on the state: prepare, jobs; and log, which only writes lines.
 */
#include "admin-cgi/cli.h"

#include "lib/await.h"
#include "lib/crypt.h"
#include "lib/db.h"
#include "lib/jobs.h"
#include "lib/log.h"
#include "lib/migrate.h"
#include "lib/node.h"
#include "lib/pool.h"
#include "lib/publish.h"
#include "lib/str.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* A longer line of a web server is logged in pieces. */
#define LOG_LINE_MAX 4096

/* --- opening --- */

/* What the commands work on. */
struct state {
	struct crypt *crypt;
	struct db *db;
	struct pool *pool;
};

static void
state_close(struct state *s)
{
	pool_close(s->pool);
	if (s->db != NULL)
		db_settle(s->db);
	db_close(s->db);
	crypt_free(s->crypt);
}

/* Everything there and of this version, as a worker would make it. */
static enum err
state_open(const struct conf *conf, struct state *s, struct errinfo *info)
{
	AUTO_FREE char *derived = conf_path(conf, CRYPT_CACHE_FILE);
	enum err e = crypt_new(&s->crypt, conf->encryption_key, derived, info);

	if (e == ERR_OK)
		e = db_open(conf, &s->db, info);
	if (e == ERR_OK)
		e = migrate_run(s->db, conf, s->crypt, info);
	if (e == ERR_OK)
		e = pool_open(conf, &s->pool, info);
	if (e == ERR_OK)
		e = node_admit(conf, s->db, s->pool, info);
	if (e == ERR_OK)
		e = publish_ensure(conf, s->db, s->pool, info);
	return e;
}

/* --- prepare --- */

static enum err
prepare_state(const struct conf *conf, bool patient, struct errinfo *info)
{
	struct await await = {0};
	struct state s;
	bool say;
	enum err e;

	for (;;) {
		s = (struct state){NULL};
		info->text[0] = '\0';
		e = state_open(conf, &s, info);
		state_close(&s);
		if (e == ERR_OK || !patient || !await_may_come(conf, e))
			return e;
		int ms = await_next(&await, e, info, &say);

		if (say)
			fprintf(stderr, "gpt-load: cannot start yet, waiting: %s\n",
				err_text(info, e));
		(void)usleep((useconds_t)ms * 1000);
	}
}

int
cli_prepare(struct conf *conf, int argc, char **argv)
{
	bool patient = argc == 2 && strcmp(argv[1], "--wait") == 0;
	struct errinfo info = {""};
	bool generated = false;
	enum err e;

	if (argc > 1 && !patient) {
		fputs("usage: gpt-load prepare [--wait]\n", stderr);
		return CLI_USAGE;
	}
	e = conf_prepare(conf, &generated, &info);
	if (e == ERR_OK)
		e = prepare_state(conf, patient, &info);
	if (e != ERR_OK)
		return cli_error(e, &info);
	/* The one place and the one time that it is shown. */
	if (generated)
		printf("AUTH_KEY was made and is kept in %s/auth_key:\n\n    %s\n\n",
		       conf->data_dir, conf->auth_key);
	cli_warn_weak(conf);
	return CLI_OK;
}

/* --- jobs --- */

int
cli_jobs(struct conf *conf, int argc, char **argv)
{
	struct errinfo info = {""};
	struct state s = {NULL};
	struct jobs *jobs;
	bool generated;
	enum err e;

	if (argc != 2 || strcmp(argv[1], "--once") != 0) {
		fputs("usage: gpt-load jobs --once\n", stderr);
		return CLI_USAGE;
	}
	log_open(conf, "gpt-load");
	e = conf_prepare(conf, &generated, &info);
	if (e == ERR_OK)
		e = state_open(conf, &s, &info);
	if (e == ERR_OK) {
		jobs = jobs_new(conf, s.pool);
		e = jobs_once(jobs, &info);
		jobs_free(jobs);
	}
	state_close(&s);
	return e == ERR_OK ? CLI_OK : cli_error(e, &info);
}

/* --- log --- */

/* "2026-11-24 08:00:00: " before lighttpd's messages: the log has its own. */
static struct str
without_time(struct str line)
{
	static const char form[] = "0000-00-00 00:00:00: ";

	if (line.n < sizeof(form) - 1)
		return line;
	for (size_t i = 0; i < sizeof(form) - 1; i++) {
		bool digit = line.p[i] >= '0' && line.p[i] <= '9';

		if (form[i] == '0' ? !digit : line.p[i] != form[i])
			return line;
	}
	return str_from(line, sizeof(form) - 1);
}

/* "…/path?key=secret, …" loses what follows the '?', up to a blank. *in_query goes
 * on from piece to piece of a long line. */
static void
without_queries(struct buf *out, struct str piece, bool *in_query)
{
	buf_clear(out);
	for (size_t i = 0; i < piece.n; i++) {
		char c = piece.p[i];

		if (c == ' ' || c == '\t')
			*in_query = false;
		if (*in_query)
			continue;
		buf_char(out, c);
		if (c == '?') {
			buf_cstr(out, "…");
			*in_query = true;
		}
	}
}

int
cli_log(struct conf *conf, int argc, char **argv)
{
	char line[LOG_LINE_MAX];
	struct buf safe;
	bool in_query = false;

	if (argc != 2) {
		fputs("usage: gpt-load log NAME\n", stderr);
		return CLI_USAGE;
	}
	/* It ends with its input: the web server's last words are logged too. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	log_open(conf, argv[1]);
	/* A '?' becomes four bytes. */
	buf_init(&safe, 4 * sizeof(line));
	while (fgets(line, sizeof(line), stdin) != NULL) {
		bool whole = strchr(line, '\n') != NULL;

		without_queries(&safe, without_time(str_trim(str_of(line))), &in_query);
		if (safe.n > 0)
			log_line(LOG_INFO, STR_FMT, STR_ARG(buf_view(&safe)));
		if (whole)
			in_query = false;
	}
	buf_done(&safe);
	return CLI_OK;
}
