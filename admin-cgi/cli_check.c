/* SPDX-License-Identifier: MIT
 *
 * check-config: what is in force, what the database is and what would be added to it,
 * and what an operator should know. Touches nothing.
 */
#include "admin-cgi/cli.h"
#include "admin-cgi/out.h"

#include "lib/crypt.h"
#include "lib/db.h"
#include "lib/pool.h"
#include "lib/str.h"
#include "lib/survey.h"

#include <stdio.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

#define OUT_MAX     (1024 * 1024)
#define WARNING_MAX 4096

static const char *const dialect_names[] = {
    [DB_SQLITE] = "SQLite",
    [DB_MYSQL] = "MySQL",
    [DB_PGSQL] = "PostgreSQL",
};

struct check {
	const struct conf *conf;
	struct arena arena;
	struct name_list warnings;
	bool database; /* there is one, and `survey` is filled */
	struct survey survey;
	bool redis;
};

static void
warn(struct check *c, struct str text)
{
	fprintf(stderr, "gpt-load: warning: " STR_FMT "\n", STR_ARG(text));
	name_list_add(&c->warnings, &c->arena, text);
}

/* --- looking --- */

static enum err
check_database(struct check *c, struct errinfo *info)
{
	/* Nothing is made, so the derived key is not looked for in DATA_DIR. */
	struct crypt *crypt = NULL;
	struct db *db = NULL;
	enum err e = db_open_read(c->conf, &db, info);

	if (e == ERR_NOT_FOUND)
		return ERR_OK;
	if (e == ERR_OK)
		e = crypt_new(&crypt, c->conf->encryption_key, NULL, info);
	if (e == ERR_OK) {
		e = survey_run(c->conf, db, crypt, &c->arena, &c->survey, info);
		c->database = c->survey.whole;
	}
	if (c->survey.both_run)
		warn(c, STR("GPT-Load 1.4 writes to this database while this gateway runs: stop "
			    "one of them"));
	if (c->survey.unreadable > 0 && e == ERR_OK)
		warn(c, str_of(arena_printf(&c->arena, "%lld keys cannot be decrypted",
					    (long long)c->survey.unreadable)));
	crypt_free(crypt);
	db_close(db);
	return e;
}

/* Of the embedded pool there is nothing to tell, and it may be in use. */
static enum err
check_redis(struct check *c, struct errinfo *info)
{
	struct pool *p = NULL;
	struct buf warning;
	enum err e;

	if (c->conf->redis_dsn == NULL)
		return ERR_OK;
	e = pool_open(c->conf, &p, info);
	if (e != ERR_OK)
		return e;
	c->redis = true;
	buf_init(&warning, WARNING_MAX);
	pool_warning(p, &warning);
	if (warning.n > 0)
		warn(c, buf_view(&warning));
	buf_done(&warning);
	pool_close(p);
	return ERR_OK;
}

static const char *
network_name(unsigned long type)
{
	switch (type) {
	case 0x6969UL:
		return "NFS";
	case 0x517BUL:
	case 0xFF534D42UL:
	case 0xFE534D42UL:
		return "SMB";
	case 0x65735546UL:
		return "FUSE";
	default:
		return NULL;
	}
}

/* Locks and shared memory over a network do not hold what they promise. */
static void
check_disk(struct check *c)
{
	const char *dir = c->conf->data_dir;
	int64_t needed =
	    c->conf->spool_size + (c->conf->redis_dsn == NULL ? c->conf->pool_size : 0);
	struct statvfs room;
	struct statfs kind;
	const char *network;

	if (statfs(dir, &kind) == 0 &&
	    (network = network_name((unsigned long)kind.f_type & 0xffffffffUL)) != NULL)
		warn(c, str_of(arena_printf(&c->arena, "DATA_DIR is on a network file system (%s)",
					    network)));
	if (statvfs(dir, &room) == 0 && (int64_t)room.f_bavail * (int64_t)room.f_frsize < needed)
		warn(c, str_of(arena_printf(
			    &c->arena, "DATA_DIR has %lld MB left; pool and spool may need %lld",
			    (long long)((int64_t)room.f_bavail * (int64_t)room.f_frsize >> 20),
			    (long long)(needed >> 20))));
}

static void
check_names(struct check *c)
{
	const struct {
		const char *name;
		const char *secret;
	} secrets[] = {
	    {"AUTH_KEY", c->conf->auth_key},
	    {"ENCRYPTION_KEY", c->conf->encryption_key},
	};

	if (c->conf->unknown != NULL)
		warn(c, str_of(arena_printf(&c->arena, "%s has names that mean nothing here: %s",
					    c->conf->file, c->conf->unknown)));
	for (size_t i = 0; i < ARRAY_LEN(secrets); i++) {
		const char *why =
		    secrets[i].secret != NULL ? conf_weakness(secrets[i].secret) : NULL;

		if (why != NULL)
			warn(c, str_of(arena_printf(&c->arena, "%s is weak: %s", secrets[i].name,
						    why)));
	}
}

/* --- for people --- */

static void
say_list(struct buf *b, const char *name, const struct name_list *list)
{
	if (list->n == 0)
		return;
	buf_printf(b, "  %-10s", name);
	for (size_t i = 0; i < list->n; i++) {
		if (i > 0)
			buf_cstr(b, i % 3 == 0 ? ",\n            " : ", ");
		buf_str(b, list->v[i]);
	}
	buf_char(b, '\n');
}

static bool
nothing_to_add(const struct survey *s)
{
	return s->tables.n + s->columns.n + s->indexes.n + s->settings.n == 0 &&
	       s->without_hash == 0;
}

static void
say_contents(struct buf *b, const struct survey *s)
{
	buf_printf(b, "  holds     %lld groups, %lld keys (%s", (long long)s->groups,
		   (long long)s->keys, s->encrypted ? "encrypted" : "not encrypted");
	if (s->without_hash > 0)
		buf_printf(b, ", %lld without a hash", (long long)s->without_hash);
	if (s->repeated > 0)
		buf_printf(b, ", %lld repeated in their group", (long long)s->repeated);
	buf_printf(b, "), %lld log rows, %lld hourly sums\n", (long long)s->logs,
		   (long long)s->hours);
}

static void
say_database(struct buf *b, const struct check *c)
{
	const struct survey *s = &c->survey;
	const char *name = dialect_names[db_dialect_of(c->conf->database_dsn)];

	if (!c->database || s->kind == SURVEY_EMPTY) {
		buf_printf(b, "database (%s): %s; `gpt-load prepare` makes it\n", name,
			   c->database ? "is empty" : "is not there yet");
		return;
	}
	buf_printf(b, "database (%s): %s\n", name,
		   s->kind == SURVEY_ORIGINAL ? "of GPT-Load 1.4, which can be taken over"
					      : "answers");
	say_contents(b, s);
	if (nothing_to_add(s)) {
		buf_cstr(b, "  its schema is this version's\n");
	} else {
		buf_cstr(b, "`gpt-load prepare` would add (nothing has been changed):\n");
		say_list(b, "tables", &s->tables);
		say_list(b, "columns", &s->columns);
		say_list(b, "indexes", &s->indexes);
		say_list(b, "settings", &s->settings);
		if (s->without_hash > 0)
			buf_printf(b, "  hashes    of %lld keys\n", (long long)s->without_hash);
	}
	if (s->legacy.n > 0) {
		buf_cstr(b, "left as they are (of versions before 1.4):\n");
		say_list(b, "indexes", &s->legacy);
	}
}

static void
say_all(struct buf *b, const struct check *c)
{
	const char *name;
	const char *default_text;

	buf_printf(b, "file read: %s\n\n", c->conf->file != NULL ? c->conf->file : "none");
	for (size_t i = 0; conf_variable(i, &name, &default_text); i++) {
		AUTO_FREE char *value = conf_value(c->conf, i);

		buf_printf(b, "%-33s %s\n", name, value);
	}
	buf_char(b, '\n');
	say_database(b, c);
	if (c->redis)
		buf_cstr(b, "Redis: answers\n");
}

/* --- for programs --- */

static void
out_list(struct buf *b, const char *name, const struct name_list *list)
{
	out_open(b, name, '[');
	for (size_t i = 0; i < list->n; i++)
		out_str(b, NULL, list->v[i]);
	out_close(b, ']');
}

static void
out_database(struct buf *b, const struct check *c)
{
	static const char *const kinds[] = {
	    [SURVEY_EMPTY] = "empty",
	    [SURVEY_ORIGINAL] = "gpt-load-1.4",
	    [SURVEY_OURS] = "ours",
	};
	const struct survey *s = &c->survey;

	out_open(b, "database", '{');
	out_cstr(b, "dialect", dialect_names[db_dialect_of(c->conf->database_dsn)]);
	out_cstr(b, "kind", c->database ? kinds[s->kind] : "missing");
	out_int(b, "schema", s->schema);
	out_bool(b, "encrypted", s->encrypted);
	out_bool(b, "both_run", s->both_run);
	out_int(b, "groups", s->groups);
	out_open(b, "keys", '{');
	out_int(b, "total", s->keys);
	out_int(b, "without_hash", s->without_hash);
	out_int(b, "repeated", s->repeated);
	out_int(b, "unreadable", s->unreadable);
	out_close(b, '}');
	out_int(b, "request_logs", s->logs);
	out_int(b, "hourly_sums", s->hours);
	out_open(b, "would_add", '{');
	out_list(b, "tables", &s->tables);
	out_list(b, "columns", &s->columns);
	out_list(b, "indexes", &s->indexes);
	out_list(b, "settings", &s->settings);
	out_int(b, "key_hashes", s->without_hash);
	out_close(b, '}');
	out_list(b, "legacy_indexes", &s->legacy);
	out_close(b, '}');
}

static void
out_all(struct buf *b, const struct check *c)
{
	const char *name;
	const char *default_text;

	out_open(b, NULL, '{');
	out_cstr(b, "file", c->conf->file);
	out_open(b, "variables", '{');
	for (size_t i = 0; conf_variable(i, &name, &default_text); i++) {
		AUTO_FREE char *value = conf_value(c->conf, i);

		out_cstr(b, name, value);
	}
	out_close(b, '}');
	out_database(b, c);
	out_bool(b, "redis", c->redis);
	out_list(b, "warnings", &c->warnings);
	out_close(b, '}');
}

static int
check_config(struct conf *conf, int argc, char **argv)
{
	struct check c = {.conf = conf};
	bool json = false;
	const struct cli_option options[] = {{"--json", CLI_FLAG, &json}};
	struct errinfo info = {""};
	struct errinfo redis_info = {""};
	enum err redis;
	struct buf out;
	enum err e;
	int rc;

	if (!cli_options(&argc, argv, options, ARRAY_LEN(options)))
		return CLI_USAGE;
	if (argc > 1)
		return cli_usage(argv[0], "check-config takes no argument");
	arena_init(&c.arena, 4096);
	buf_init(&out, OUT_MAX);
	e = check_database(&c, &info);
	redis = check_redis(&c, &redis_info);
	check_disk(&c);
	check_names(&c);
	if (json)
		out_all(&out, &c);
	else
		say_all(&out, &c);
	rc = cli_print(&out);
	if (redis != ERR_OK)
		rc = cli_error(redis, &redis_info);
	if (e != ERR_OK)
		rc = cli_error(e, &info);
	buf_done(&out);
	arena_done(&c.arena);
	return rc;
}

const struct command command_check_config = {
    "check-config", "show what is in force, and what is wrong with it",
    "usage: gpt-load check-config [--json]\n\n"
    "Prints every variable with its value (secrets as \"(set)\"), the file that was read,\n"
    "what the database is and holds, and what `gpt-load prepare` would add to it: so that\n"
    "a database of GPT-Load 1.4 can be looked at before it is taken over. Warns of a low\n"
    "disk, a network file system, a Redis that evicts, and of both programs writing to one\n"
    "database. Changes nothing. Ends with 2 when a value cannot be used, with 1 when the\n"
    "database or Redis does not answer.\n\n"
    "  --json         the same for programs\n",
    check_config};
