/* SPDX-License-Identifier: MIT
 *
 * status: is this installation well? What runs, who does the background work, the pool,
 * the spool, the tasks, the database. Ends with 1 where /proxy cannot be served.
 */
#include "admin-cgi/cli.h"
#include "admin-cgi/out.h"

#include "lib/alive.h"
#include "lib/clock.h"
#include "lib/db.h"
#include "lib/gate.h"
#include "lib/log.h"
#include "lib/migrate.h"
#include "lib/pool.h"
#include "lib/rekey.h"
#include "lib/spool.h"
#include "lib/str.h"
#include "lib/task.h"

#include <stdio.h>

#define OUT_MAX   (256 * 1024)
#define TASKS_MAX 16

struct status {
	struct conf *conf;
	struct state s;
	struct gate_view node;
	struct alive alive;
	struct errinfo db_info; /* "": it answers */
	int64_t db_ms;
	int64_t schema;
	bool rekey_unfinished;
	struct errinfo pool_info;
	struct pool_identity identity;
	uint64_t version;
	struct pool_counts counts; /* over all groups */
	int64_t groups;
	int64_t spool_bytes;
	struct task_row *tasks;
	size_t n_tasks;
};

/* --- looking --- */

static void
look_at_db(struct status *st)
{
	int64_t began = clock_mono_us();
	enum err e = db_open(st->conf, &st->s.db, &st->db_info);

	if (e == ERR_OK)
		e = migrate_check(st->s.db, &st->db_info);
	if (e != ERR_OK)
		return;
	e = db_query_int(st->s.db, "SELECT value FROM gptl_meta WHERE name = 'schema'", DB_NO_ARGS,
			 0, &st->schema);
	st->db_ms = (clock_mono_us() - began) / 1000;
	if (e == ERR_OK)
		e = alive_look(st->conf, st->s.db, &st->alive);
	if (e == ERR_OK)
		e = rekey_is_unfinished(st->s.db, &st->rekey_unfinished);
	if (e == ERR_OK)
		e = task_list(st->s.db, 0, TASKS_MAX, &st->s.arena, &st->tasks, &st->n_tasks);
	if (e != ERR_OK)
		(void)err_set(&st->db_info, e, "%s", db_error(st->s.db));
}

static enum err
count_groups(struct status *st)
{
	AUTO_FREE int64_t *ids = NULL;
	size_t n = 0;
	enum err e = pool_groups(st->s.pool, &ids, &n);

	st->groups = (int64_t)n;
	for (size_t i = 0; i < n && e == ERR_OK; i++) {
		struct pool_counts one = {{0}};

		e = pool_counts(st->s.pool, ids[i], &one);
		for (int k = 0; k < KEY__MAX; k++)
			st->counts.by_state[k] += one.by_state[k];
	}
	return e;
}

static void
look_at_pool(struct status *st)
{
	enum err e = pool_open(st->conf, &st->s.pool, &st->pool_info);

	if (e == ERR_OK)
		e = pool_identity_get(st->s.pool, &st->identity);
	if (e == ERR_OK)
		e = pool_version(st->s.pool, &st->version);
	if (e == ERR_OK)
		e = count_groups(st);
	if (e != ERR_OK && st->pool_info.text[0] == '\0')
		(void)err_set(&st->pool_info, e, "%s", err_message(e));
}

static bool
serves(const struct status *st)
{
	return st->node.processes > 0 && st->pool_info.text[0] == '\0' && st->identity.complete &&
	       st->version > 0;
}

/* --- telling --- */

static void
say(struct buf *b, const struct status *st)
{
	const int64_t *n = st->counts.by_state;
	char since[40] = "";

	if (st->node.processes > 0)
		time_format(since, st->node.since_us / 1000000 * 1000000, ' ');
	if (st->node.processes > 0)
		buf_printf(b, "node        %d workers since %s, %lld exchanges under way\n",
			   st->node.processes, since, (long long)st->node.under_way);
	else
		buf_cstr(b, "node        nothing runs here\n");
	buf_printf(b, "background  %s\n",
		   st->alive.holder[0] != '\0' ? st->alive.holder : "nobody does it");
	if (st->alive.other[0] != '\0')
		buf_printf(b, "another     %s lives too\n", st->alive.other);
	if (st->db_info.text[0] != '\0')
		buf_printf(b, "database    %s\n", st->db_info.text);
	else
		buf_printf(b, "database    answers (%lld ms), schema %lld\n", (long long)st->db_ms,
			   (long long)st->schema);
	if (st->rekey_unfinished)
		buf_cstr(b, "            migrate-keys did not end: run it again\n");
	if (st->pool_info.text[0] != '\0')
		buf_printf(b, "pool        %s\n", st->pool_info.text);
	else
		buf_printf(b,
			   "pool        %s%s, configuration %llu, %lld groups with %lld keys "
			   "active, %lld resting, %lld invalid, %lld disabled\n",
			   st->conf->redis_dsn != NULL ? "Redis" : "embedded",
			   st->identity.complete ? "" : " (not filled yet)",
			   (unsigned long long)st->version, (long long)st->groups,
			   (long long)n[KEY_ACTIVE], (long long)n[KEY_RESTING],
			   (long long)n[KEY_INVALID], (long long)n[KEY_DISABLED]);
	buf_printf(b, "spool       %lld bytes wait\n", (long long)st->spool_bytes);
	for (size_t i = 0; i < st->n_tasks; i++)
		if (task_is_active(&st->tasks[i]))
			buf_printf(b, "task %-6lld " STR_FMT " of " STR_FMT ": %lld of %lld\n",
				   (long long)st->tasks[i].id, STR_ARG(st->tasks[i].type),
				   STR_ARG(st->tasks[i].group_name),
				   (long long)st->tasks[i].processed,
				   (long long)st->tasks[i].total);
	buf_cstr(b, serves(st) ? "serves\n" : "does not serve\n");
}

static void
out_pool(struct buf *b, const struct status *st)
{
	const int64_t *n = st->counts.by_state;

	out_open(b, "pool", '{');
	out_bool(b, "answers", st->pool_info.text[0] == '\0');
	out_cstr(b, "store", st->conf->redis_dsn != NULL ? "redis" : "embedded");
	out_bool(b, "complete", st->identity.complete);
	out_int(b, "version", (int64_t)st->version);
	out_int(b, "groups", st->groups);
	out_int(b, "active", n[KEY_ACTIVE]);
	out_int(b, "resting", n[KEY_RESTING]);
	out_int(b, "invalid", n[KEY_INVALID]);
	out_int(b, "disabled", n[KEY_DISABLED]);
	out_cstr(b, "error", st->pool_info.text);
	out_close(b, '}');
}

static void
out(struct buf *b, const struct status *st)
{
	out_open(b, NULL, '{');
	out_bool(b, "serves", serves(st));
	out_open(b, "node", '{');
	out_int(b, "workers", st->node.processes);
	out_int(b, "under_way", st->node.under_way);
	out_time(b, "since", st->node.since_us);
	out_close(b, '}');
	out_cstr(b, "lease_holder", st->alive.holder);
	out_cstr(b, "other_node", st->alive.other);
	out_open(b, "database", '{');
	out_bool(b, "answers", st->db_info.text[0] == '\0');
	out_int(b, "schema", st->schema);
	out_int(b, "ms", st->db_ms);
	out_bool(b, "rekey_unfinished", st->rekey_unfinished);
	out_cstr(b, "error", st->db_info.text);
	out_close(b, '}');
	out_pool(b, st);
	out_int(b, "spool_bytes", st->spool_bytes);
	out_open(b, "tasks", '[');
	for (size_t i = 0; i < st->n_tasks; i++) {
		if (!task_is_active(&st->tasks[i]))
			continue;
		out_open(b, NULL, '{');
		out_int(b, "id", st->tasks[i].id);
		out_str(b, "type", st->tasks[i].type);
		out_str(b, "group", st->tasks[i].group_name);
		out_int(b, "processed", st->tasks[i].processed);
		out_int(b, "total", st->tasks[i].total);
		out_close(b, '}');
	}
	out_close(b, ']');
	out_close(b, '}');
}

static int
status(struct conf *conf, int argc, char **argv)
{
	struct status st = {.conf = conf};
	bool json = false;
	const struct cli_option options[] = {{"--json", CLI_FLAG, &json}};
	struct buf text;
	int rc;

	if (!cli_options(&argc, argv, options, ARRAY_LEN(options)))
		return CLI_USAGE;
	if (argc > 1)
		return cli_usage(argv[0], "status takes options only");
	cli_log_open(conf);
	arena_init(&st.s.arena, 4096);
	gate_look(conf, &st.node);
	look_at_db(&st);
	look_at_pool(&st);
	st.spool_bytes = spool_waiting(conf);
	buf_init(&text, OUT_MAX);
	if (json)
		out(&text, &st);
	else
		say(&text, &st);
	rc = cli_print(&text);
	if (rc == CLI_OK && !serves(&st))
		rc = CLI_FAILED;
	buf_done(&text);
	state_close(&st.s);
	return rc;
}

const struct command command_status = {
    "status", "show what runs and how it is",
    "usage: gpt-load status [--json]\n\n"
    "Shows the workers of this node, who does the background work of the installation, the\n"
    "database, the key pool, log rows that wait on this node, and tasks under way. Ends\n"
    "with 1 when this node cannot serve requests.\n\n"
    "  --json   the same for programs\n",
    status};
