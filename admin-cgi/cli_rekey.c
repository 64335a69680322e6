/* SPDX-License-Identifier: MIT
 *
 * migrate-keys: where the old and the new ENCRYPTION_KEY come from, and what
 * lib/rekey.h does with them.
 */
#include "admin-cgi/cli.h"

#include "lib/crypt.h"
#include "lib/db.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/migrate.h"
#include "lib/pool.h"
#include "lib/rekey.h"
#include "lib/stored.h"
#include "lib/str.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

/* One of the two keys: at most one source each. */
struct source {
	const char *name; /* "from", "to" */
	const char *value;
	const char *env;
	const char *file;
	bool ask;
	struct buf text; /* what it gave */
};

/* --- where a key comes from --- */

static bool
is_given(const struct source *s)
{
	return s->value != NULL || s->env != NULL || s->file != NULL || s->ask;
}

static int
sources_of(const struct source *s)
{
	return (s->value != NULL) + (s->env != NULL) + (s->file != NULL) + s->ask;
}

static void
cut_line_end(struct buf *b)
{
	while (b->n > 0 && (b->p[b->n - 1] == '\n' || b->p[b->n - 1] == '\r'))
		b->p[--b->n] = '\0';
}

static volatile sig_atomic_t ended_by;

static void
on_end(int sig)
{
	ended_by = sig;
}

/* Asks for a line on `tty`, which is not shown. Whoever ends the program while it waits gets the
 * terminal back as it was. */
static bool
read_silently(FILE *tty, const char *question, char *line, int size)
{
	static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
	struct sigaction end = {.sa_handler = on_end}; /* no SA_RESTART: the read ends */
	struct sigaction usual[ARRAY_LEN(ends)];
	struct termios before;
	struct termios silent;
	bool got;

	if (tcgetattr(fileno(tty), &before) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		(void)sigaction(ends[i], &end, &usual[i]);
	silent = before;
	silent.c_lflag &= ~(tcflag_t)ECHO;
	(void)tcsetattr(fileno(tty), TCSAFLUSH, &silent);
	fprintf(tty, "%s: ", question);
	(void)fflush(tty);
	got = ended_by == 0 && fgets(line, size, tty) != NULL;
	(void)tcsetattr(fileno(tty), TCSAFLUSH, &before);
	for (size_t i = 0; i < ARRAY_LEN(ends); i++)
		(void)sigaction(ends[i], &usual[i], NULL);
	if (ended_by != 0)
		(void)raise(ended_by);
	return got;
}

static bool
read_hidden(const char *question, struct buf *out)
{
	char line[LIMIT_CONF_VALUE];
	FILE *tty = fopen("/dev/tty", "r+");
	bool got;

	if (tty == NULL)
		return false;
	got = read_silently(tty, question, line, sizeof(line));
	fputc('\n', tty);
	(void)fclose(tty);
	if (got)
		buf_cstr(out, line);
	wipe(line, sizeof(line));
	cut_line_end(out);
	return got;
}

/* A new one twice: nobody would notice a slip of the fingers until it is too late. */
static enum err
ask_key(struct source *s, struct errinfo *info)
{
	bool is_new = strcmp(s->name, "to") == 0;
	struct buf again;
	enum err e = ERR_OK;

	buf_init(&again, LIMIT_CONF_VALUE);
	if (!read_hidden(is_new ? "new ENCRYPTION_KEY" : "old ENCRYPTION_KEY", &s->text))
		e = err_set(info, ERR_CONF, "--%s-ask: there is no terminal to ask at", s->name);
	else if (is_new && (!read_hidden("the same again", &again) ||
			    !str_eq(buf_view(&again), buf_view(&s->text))))
		e = err_set(info, ERR_CONF, "the two are not the same");
	if (again.p != NULL)
		wipe(again.p, again.n);
	buf_done(&again);
	return e;
}

static enum err
read_key(struct source *s, struct errinfo *info)
{
	enum err e = ERR_OK;

	if (s->value != NULL) {
		fprintf(stderr,
			"gpt-load: warning: a key on the command line is seen by every user of "
			"this machine: use --%s-env, --%s-file or --%s-ask\n",
			s->name, s->name, s->name);
		buf_cstr(&s->text, s->value);
	} else if (s->env != NULL) {
		const char *value = getenv(s->env);

		if (value == NULL)
			return err_set(info, ERR_CONF, "--%s-env: there is no variable %s", s->name,
				       s->env);
		buf_cstr(&s->text, value);
	} else if (s->file != NULL) {
		e = cli_read(s->file, LIMIT_CONF_VALUE, &s->text, info);
		cut_line_end(&s->text);
	} else if (s->ask) {
		e = ask_key(s, info);
	} else {
		return ERR_OK;
	}
	if (e == ERR_OK && buf_err(&s->text) != ERR_OK)
		return err_set(info, ERR_CONF, "the %s key is too long", s->name);
	if (e == ERR_OK && s->text.n == 0)
		return err_set(info, ERR_CONF, "the key for --%s is empty: leave the option out",
			       s->name);
	return e;
}

static enum err
read_keys(struct source *from, struct source *to, struct errinfo *info)
{
	enum err e = read_key(from, info);

	if (e == ERR_OK)
		e = read_key(to, info);
	if (e == ERR_OK && str_eq(buf_view(&from->text), buf_view(&to->text)))
		return err_set(info, ERR_CONF, "the old and the new key are the same");
	if (e == ERR_OK && to->text.n > 0 && conf_weakness(buf_text(&to->text)) != NULL)
		fprintf(stderr, "gpt-load: warning: the new key is weak: %s\n",
			conf_weakness(buf_text(&to->text)));
	redact_register(buf_view(&from->text));
	redact_register(buf_view(&to->text));
	return e;
}

/* --- doing it --- */

static void
on_progress(void *arg, const char *what, int64_t done, int64_t total)
{
	struct progress *p = arg;

	if (p->what != NULL && strcmp(p->what, what) != 0)
		progress_end(p);
	p->what = what;
	progress_say(p, done, total);
}

/* The state, but with the key that the stored ones open with: the old one, or, when a
 * run was killed, the new one. */
static enum err
open_with(struct conf *conf, const struct crypt *from, const struct crypt *to, struct state *s,
	  struct errinfo *info)
{
	bool generated;
	enum err e = conf_prepare(conf, &generated, info);

	*s = (struct state){.conf = conf};
	if (e == ERR_OK)
		e = db_open(conf, &s->db, info);
	if (e == ERR_OK)
		e = migrate_run(s->db, conf, from, info);
	if (e == ERR_CONF && stored_check(s->db, from, NULL) == ERR_CONF)
		e = migrate_run(s->db, conf, to, NULL) == ERR_OK ? ERR_OK : ERR_CRYPT;
	if (e == ERR_CRYPT)
		e = err_set(info, e,
			    "the keys in the database open neither with the old key nor "
			    "with the new one; nothing was changed");
	if (e == ERR_OK)
		e = pool_open(conf, &s->pool, info);
	return e;
}

static void
say_result(const struct rekey_result *r, const struct source *to)
{
	if (r->keys_before > 0)
		printf("%lld keys were stored with the new key already\n",
		       (long long)r->keys_before);
	printf("%lld keys and %lld log rows are stored anew\n", (long long)r->keys,
	       (long long)r->rows);
	if (r->rows_unreadable > 0)
		printf("%lld log rows open with neither key and were left as they are\n",
		       (long long)r->rows_unreadable);
	puts(to->text.n > 0 ? "Set ENCRYPTION_KEY to the new key, on every node, before the next "
			      "start."
			    : "Remove ENCRYPTION_KEY, on every node, before the next start.");
}

static int
run_with(struct conf *conf, const struct source *from, const struct source *to)
{
	struct progress progress = {NULL, 0};
	struct rekey_result result = {0};
	struct errinfo info = {""};
	struct crypt *old = NULL;
	struct crypt *new = NULL;
	struct state s = {.conf = conf};
	enum err e = crypt_new(&old, buf_text(&from->text), NULL, &info);

	if (e == ERR_OK)
		e = crypt_new(&new, buf_text(&to->text), NULL, &info);
	if (e == ERR_OK)
		e = open_with(conf, old, new, &s, &info);
	if (e == ERR_OK)
		e = rekey_run(conf, s.db, s.pool, old, new, on_progress, &progress, &result, &info);
	progress_end(&progress);
	if (e == ERR_OK)
		say_result(&result, to);
	state_close(&s);
	crypt_free(old);
	crypt_free(new);
	return e == ERR_OK ? CLI_OK : cli_error(e, &info);
}

static void
source_done(struct source *s)
{
	if (s->text.p != NULL)
		wipe(s->text.p, s->text.n);
	buf_done(&s->text);
}

static int
migrate_keys(struct conf *conf, int argc, char **argv)
{
	struct source from = {.name = "from"};
	struct source to = {.name = "to"};
	const struct cli_option options[] = {
	    {"--from", CLI_TEXT, &from.value},     {"--from-env", CLI_TEXT, &from.env},
	    {"--from-file", CLI_TEXT, &from.file}, {"--from-ask", CLI_FLAG, &from.ask},
	    {"--to", CLI_TEXT, &to.value},         {"--to-env", CLI_TEXT, &to.env},
	    {"--to-file", CLI_TEXT, &to.file},     {"--to-ask", CLI_FLAG, &to.ask},
	};
	struct errinfo info = {""};
	enum err e;
	int rc;

	if (!cli_options(&argc, argv, options, ARRAY_LEN(options)))
		return CLI_USAGE;
	if (argc > 1)
		return cli_usage(argv[0], "migrate-keys takes options only");
	if (!is_given(&from) && !is_given(&to))
		return cli_usage(argv[0], "say which key is the old one (--from-…), which the new "
					  "one (--to-…), or both");
	if (sources_of(&from) > 1 || sources_of(&to) > 1)
		return cli_usage(argv[0], "each key comes from one place");
	cli_log_open(conf);
	buf_init(&from.text, LIMIT_CONF_VALUE);
	buf_init(&to.text, LIMIT_CONF_VALUE);
	e = read_keys(&from, &to, &info);
	rc = e == ERR_OK ? run_with(conf, &from, &to) : cli_error(e, &info);
	source_done(&from);
	source_done(&to);
	return rc;
}

const struct command command_migrate_keys = {
    "migrate-keys", "change, set or remove the encryption key",
    "usage: gpt-load migrate-keys [--from-env NAME | --from-file FILE | --from-ask]\n"
    "                             [--to-env NAME | --to-file FILE | --to-ask]\n\n"
    "Stores all keys, those in log rows too, with another ENCRYPTION_KEY. Only a new key\n"
    "(--to-…): they were not encrypted before. Only an old one (--from-…): they are not\n"
    "from now on. Stop the gateway on every node first; make a backup. Everything is\n"
    "verified before the old is dropped, and when the command is killed it is started\n"
    "again with the same keys. Then change ENCRYPTION_KEY and start.\n\n"
    "  --from-env NAME, --to-env NAME      from this environment variable\n"
    "  --from-file FILE, --to-file FILE    from this file; - is standard input\n"
    "  --from-ask, --to-ask                typed at the terminal, unseen\n"
    "  --from VALUE, --to VALUE            as GPT-Load 1.4 took them; every user of the\n"
    "                                      machine can read them\n",
    migrate_keys};
