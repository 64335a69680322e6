/* SPDX-License-Identifier: MIT
 *
 * Commands that work on the state: prepare, jobs; and log, which only writes lines.
 */
#include "admin-cgi/cli.h"

#include "lib/arena.h"
#include "lib/await.h"
#include "lib/crypt.h"
#include "lib/db.h"
#include "lib/group.h"
#include "lib/jobs.h"
#include "lib/log.h"
#include "lib/migrate.h"
#include "lib/node.h"
#include "lib/pool.h"
#include "lib/publish.h"
#include "lib/sched.h"
#include "lib/spool.h"
#include "lib/str.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* A longer line of a web server is logged in pieces. */
#define LOG_LINE_MAX 4096
/* Keys whose state goes to the DB: so many times a portion of them. */
#define SETTLE_ROUNDS 1000

/* --- opening --- */

void
state_close(struct state *s)
{
	pool_close(s->pool);
	if (s->db != NULL)
		db_settle(s->db);
	db_close(s->db);
	crypt_free(s->crypt);
	arena_done(&s->arena);
}

enum err
state_open(const struct conf *conf, struct state *s, struct errinfo *info)
{
	AUTO_FREE char *derived = conf_path(conf, CRYPT_CACHE_FILE);
	enum err e;

	*s = (struct state){.conf = conf};
	arena_init(&s->arena, 64 * 1024);
	e = crypt_new(&s->crypt, conf->encryption_key, derived, info);

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

enum err
state_prepare(struct conf *conf, struct state *s, struct errinfo *info)
{
	bool generated;
	enum err e = conf_prepare(conf, &generated, info);

	if (e == ERR_OK)
		return state_open(conf, s, info);
	*s = (struct state){.conf = conf};
	return e;
}

void
state_settle(struct state *s)
{
	size_t n = 1;
	enum err e = spool_flush(s->conf, s->db, false, NULL, NULL);

	for (int i = 0; e == ERR_OK && n > 0 && i < SETTLE_ROUNDS; i++)
		e = writeback_run(s->db, s->pool, &n, NULL);
}

enum err
state_group(struct state *s, const char *name, struct group_row *ret, struct errinfo *info)
{
	int64_t id = 0;
	enum err e = db_query_int(s->db, "SELECT id FROM \"groups\" WHERE name = ?",
				  DB_ARGS(db_cstr(name)), 0, &id);

	if (e != ERR_OK)
		return err_set(info, e, "database: %s", db_error(s->db));
	if (id == 0 && !str_to_i64(str_of(name), 1, INT64_MAX, &id))
		return err_set(info, ERR_NOT_FOUND, "there is no group \"%s\"", name);
	return group_get(s->db, id, &s->arena, ret, info);
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

static int
prepare(struct conf *conf, int argc, char **argv)
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

static int
jobs(struct conf *conf, int argc, char **argv)
{
	struct errinfo info = {""};
	struct state s;
	struct jobs *j;
	enum err e;

	if (argc != 2 || strcmp(argv[1], "--once") != 0) {
		fputs("usage: gpt-load jobs --once\n", stderr);
		return CLI_USAGE;
	}
	log_open(conf, "gpt-load");
	sched_background();
	e = state_prepare(conf, &s, &info);
	if (e == ERR_OK) {
		j = jobs_new(conf, s.pool);
		e = jobs_once(j, &info);
		jobs_free(j);
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

static int
log_lines(struct conf *conf, int argc, char **argv)
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

const struct command command_prepare = {
    "prepare", "make folders, key, database and key pool ready to serve",
    "usage: gpt-load prepare [--wait]\n\n"
    "Makes DATA_DIR and, the first time, the AUTH_KEY, which it prints once; brings the\n"
    "database to this version; fills the key pool. Does nothing where all that is done.\n\n"
    "  --wait   for a database or a Redis that does not answer yet\n",
    prepare};

const struct command command_jobs = {
    "jobs", "do the background work once",
    "usage: gpt-load jobs --once\n\n"
    "Writes waiting log rows to the database, follows changes, tries keys that are out\n"
    "again, deletes old rows. For cron, where no worker runs all the time.\n",
    jobs};

const struct command command_log = {
    "log", "write lines of standard input to the log",
    "usage: gpt-load log NAME\n\n"
    "Reads lines, cuts query strings off the URLs in them, and logs them as NAME's. For\n"
    "a web server's error log.\n",
    log_lines};
