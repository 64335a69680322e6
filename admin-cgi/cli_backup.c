/* SPDX-License-Identifier: MIT
 *
 * backup and restore: of SQLite by lib/backup.h; for a server the line that its own tool
 * is called with is printed, and the pool is filled anew after it.
 */
#include "admin-cgi/cli.h"

#include "lib/alive.h"
#include "lib/backup.h"
#include "lib/crypt.h"
#include "lib/db.h"
#include "lib/db_mysql.h"
#include "lib/gate.h"
#include "lib/log.h"
#include "lib/migrate.h"
#include "lib/pool.h"
#include "lib/publish.h"
#include "lib/str.h"

#include <stdio.h>

#define LINE_MAX_BYTES 4096

/* --- a server's own tools --- */

static void
quote(struct buf *b, const char *text)
{
	buf_char(b, '\'');
	for (; *text != '\0'; text++) {
		if (*text == '\'')
			buf_cstr(b, "'\\''");
		else
			buf_char(b, *text);
	}
	buf_char(b, '\'');
}

static void
mysql_options_of(struct buf *b, const struct mysql_dsn *dsn)
{
	if (dsn->socket != NULL) {
		buf_cstr(b, " --socket=");
		quote(b, dsn->socket);
	} else if (dsn->host != NULL) {
		buf_cstr(b, " --host=");
		quote(b, dsn->host);
		buf_printf(b, " --port=%u", dsn->port);
	}
	buf_cstr(b, " --user=");
	quote(b, dsn->user != NULL ? dsn->user : "");
	buf_cstr(b, " --password ");
	quote(b, dsn->database != NULL ? dsn->database : "");
}

static void
mysql_line(struct buf *b, const char *dsn_text, const char *file, bool restore)
{
	struct mysql_dsn dsn;

	if (mysql_dsn_parse(dsn_text, &dsn, NULL) == ERR_OK) {
		buf_cstr(b, restore ? "mariadb" : "mariadb-dump --single-transaction --quick");
		mysql_options_of(b, &dsn);
		buf_cstr(b, restore ? " <" : " >");
		quote(b, file);
	}
	mysql_dsn_done(&dsn);
}

/* Without the password, and without options, among which one may stand too. */
static void
pgsql_line(struct buf *b, const char *dsn_text, const char *file, bool restore)
{
	struct str dsn = str_of(dsn_text);
	const char *begin = strstr(dsn_text, "://") + 3;
	size_t end = strcspn(begin, "/?");
	struct str authority = {begin, end};
	struct str path = {begin + end, strcspn(begin + end, "?")};
	struct buf url;
	size_t at = authority.n;

	buf_init(&url, LINE_MAX_BYTES);
	while (at > 0 && authority.p[at - 1] != '@')
		at--;
	buf_add(&url, dsn.p, (size_t)(begin - dsn.p));
	if (at > 0) {
		struct str user = {authority.p, at - 1};
		struct str name;

		(void)str_split(&user, ':', &name);
		buf_str(&url, name);
		buf_char(&url, '@');
	}
	buf_str(&url, str_from(authority, at));
	buf_str(&url, path);
	if (strstr(dsn_text, "?host=/") != NULL) {
		const char *host = strstr(dsn_text, "?host=/");

		buf_add(&url, host, strcspn(host, "&"));
	}
	buf_cstr(b, restore ? "pg_restore --clean --if-exists --single-transaction --dbname="
			    : "pg_dump --format=custom --dbname=");
	quote(b, buf_text(&url));
	buf_cstr(b, restore ? " " : " --file=");
	quote(b, file);
	buf_done(&url);
}

/* What to do instead; the line itself on stdout. */
static int
say_tool(const struct conf *conf, const char *file, bool restore)
{
	bool mysql = db_dialect_of(conf->database_dsn) == DB_MYSQL;
	struct buf line;

	buf_init(&line, LINE_MAX_BYTES);
	if (mysql)
		mysql_line(&line, conf->database_dsn, file, restore);
	else
		pgsql_line(&line, conf->database_dsn, file, restore);
	fprintf(stderr,
		"gpt-load: a database of %s is %s by its own tool (it asks for the password)%s:\n",
		mysql ? "MySQL" : "PostgreSQL", restore ? "restored" : "copied",
		restore ? "; with the gateway stopped, and followed by `gpt-load restore --refill`"
			: "");
	(void)cli_print(&line);
	buf_done(&line);
	return CLI_FAILED;
}

/* --- backup --- */

static void
on_progress(void *arg, int64_t done, int64_t total)
{
	progress_say(arg, done, total);
}

static int
backup(struct conf *conf, int argc, char **argv)
{
	struct progress progress = {"pages", 0};
	bool replace = false;
	const struct cli_option options[] = {{"--replace", CLI_FLAG, &replace}};
	struct errinfo info = {""};
	struct state s;
	enum err e;

	if (!cli_options(&argc, argv, options, ARRAY_LEN(options)))
		return CLI_USAGE;
	if (argc != 2)
		return cli_usage(argv[0], "backup needs the name of a file");
	cli_log_open(conf);
	if (db_dialect_of(conf->database_dsn) != DB_SQLITE)
		return say_tool(conf, argv[1], false);
	/* With what waits on this node in it. */
	e = state_prepare(conf, &s, &info);
	if (e == ERR_OK)
		state_settle(&s);
	state_close(&s);
	if (e == ERR_OK)
		e = backup_make(conf, argv[1], replace, on_progress, &progress, &info);
	progress_end(&progress);
	return e == ERR_OK ? CLI_OK : cli_error(e, &info);
}

const struct command command_backup = {
    "backup", "copy the database while it is used",
    "usage: gpt-load backup FILE [--replace]\n\n"
    "Copies the SQLite database to FILE as it is at one moment, the gateway running or not;\n"
    "the copy is checked before it gets its name. Of a MySQL or PostgreSQL database it\n"
    "prints the line that its own tool is called with, and ends with 1. FILE holds every\n"
    "key, as it is stored: without ENCRYPTION_KEY in clear.\n\n"
    "  --replace   FILE may be there already\n",
    backup};

/* --- restore --- */

/* Of a database that cannot be read nobody can be asked but this node. */
static enum err
refuse_alive(const struct conf *conf, struct errinfo *info)
{
	struct gate_view here;
	struct db *db = NULL;
	enum err e = ERR_OK;

	gate_look(conf, &here);
	if (here.processes > 0)
		return err_set(info, ERR_TASK,
			       "%d workers of this node are running: stop the "
			       "gateway first",
			       here.processes);
	if (db_open_read(conf, &db, NULL) == ERR_OK && migrate_check(db, NULL) == ERR_OK)
		e = alive_refuse(conf, db, info);
	db_close(db);
	return e;
}

static enum err
restore_file(struct conf *conf, const char *file, struct errinfo *info)
{
	struct progress progress = {"pages", 0};
	struct crypt *crypt = NULL;
	bool generated;
	enum err e = conf_prepare(conf, &generated, info);

	if (e == ERR_OK)
		e = crypt_new(&crypt, conf->encryption_key, NULL, info);
	if (e == ERR_OK)
		e = backup_restore(conf, file, crypt, on_progress, &progress, info);
	progress_end(&progress);
	crypt_free(crypt);
	return e;
}

static enum err
begin_generation(struct state *s, struct errinfo *info)
{
	int64_t version;
	enum err e = db_begin(s->db);

	if (e == ERR_OK)
		e = meta_bump_generation(s->db);
	if (e == ERR_OK)
		e = meta_bump_version(s->db, &version);
	if (e == ERR_OK)
		e = db_commit(s->db);
	if (e != ERR_OK) {
		(void)err_set(info, e, "database: %s", db_error(s->db));
		db_rollback(s->db);
	}
	return e == ERR_OK ? publish_ensure(s->conf, s->db, s->pool, info) : e;
}

static int
restore(struct conf *conf, int argc, char **argv)
{
	bool yes = false;
	bool refill = false;
	const struct cli_option options[] = {
	    {"--yes", CLI_FLAG, &yes},
	    {"--refill", CLI_FLAG, &refill},
	};
	struct errinfo info = {""};
	struct state s = {.conf = conf};
	enum err e;

	if (!cli_options(&argc, argv, options, ARRAY_LEN(options)))
		return CLI_USAGE;
	if (argc != (refill ? 1 : 2))
		return cli_usage(argv[0], "restore needs the name of a file, or --refill alone");
	cli_log_open(conf);
	if (!refill && db_dialect_of(conf->database_dsn) != DB_SQLITE)
		return say_tool(conf, argv[1], true);
	/* Workers that run follow a new generation: only a file needs them to be gone. */
	e = refill ? ERR_OK : refuse_alive(conf, &info);
	if (e == ERR_OK && !refill) {
		if (!cli_confirm(yes, "replace everything in the database"))
			return CLI_USAGE;
		e = restore_file(conf, argv[1], &info);
	}
	if (e == ERR_OK)
		e = state_prepare(conf, &s, &info);
	if (e == ERR_OK && refill)
		e = begin_generation(&s, &info);
	state_close(&s);
	return e == ERR_OK ? CLI_OK : cli_error(e, &info);
}

const struct command command_restore = {
    "restore", "put a copy of the database back",
    "usage: gpt-load restore FILE [--yes]\n"
    "       gpt-load restore --refill\n\n"
    "Replaces everything in the SQLite database by what is in FILE, made by `gpt-load\n"
    "backup` or the database of GPT-Load 1.4. Stop the gateway first. FILE is checked before\n"
    "anything is changed; when the command is killed, either the one or the other is\n"
    "there. Of a MySQL or PostgreSQL database it prints the line that its own tool is\n"
    "called with, and ends with 1; after that tool, --refill makes the key pool follow.\n\n"
    "  --yes      do not ask\n"
    "  --refill   only fill the key pool anew from the database\n",
    restore};
