/* SPDX-License-Identifier: MIT
 *
 * import and export of a group's keys, and long tasks followed to their end. An import
 * is a task like the page's: when this command is killed, the gateway finishes it.
 */
#include "admin-cgi/cli.h"
#include "admin-cgi/out.h"

#include "lib/clock.h"
#include "lib/db.h"
#include "lib/group.h"
#include "lib/lease.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/pool.h"
#include "lib/str.h"
#include "lib/task.h"

#include <poll.h>
#include <stdio.h>

#define STEP_US     INT64_C(200000)
#define STEP_MS     200
#define OUT_MAX     4096
#define EXPORT_PAGE 500

/* --- tasks --- */

/* Whoever follows a task may be the one that does it. */
struct follower {
	struct state *s;
	struct lease *lease;
	struct task_runner *runner; /* NULL: another holds the lease */
};

static enum err
step(struct follower *f, struct errinfo *info)
{
	bool held = false;
	bool more = false;
	enum err e = ERR_OK;

	if (!f->s->conf->is_slave)
		e = lease_hold(f->lease, f->s->db, false, &held, info);
	if (e == ERR_OK && !held)
		(void)poll(NULL, 0, STEP_MS);
	if (e != ERR_OK || !held)
		return e;
	if (f->runner == NULL)
		f->runner = task_runner_new(f->s->conf, f->s->pool, f->s->db, f->s->crypt);
	return task_run(f->runner, clock_mono_us() + STEP_US, NULL, &more, info);
}

enum err
cli_follow(struct state *s, struct task_row *task, struct errinfo *info)
{
	struct follower f = {.s = s, .lease = lease_new("jobs")};
	struct progress progress = {"keys", 0};
	int64_t id = task->id;
	bool active = true;
	enum err e = ERR_OK;

	while (e == ERR_OK && active) {
		struct arena arena;

		arena_init(&arena, 4096);
		e = step(&f, info);
		if (e == ERR_OK)
			e = task_get(s->db, id, &arena, task, info);
		if (e == ERR_OK) {
			active = task_is_active(task);
			progress_say(&progress, task->processed, task->total);
		}
		arena_done(&arena);
	}
	progress_end(&progress);
	task_runner_free(f.runner);
	if (lease_release(f.lease, s->db) != ERR_OK && e == ERR_OK)
		e = err_set(info, ERR_DB, "database: %s", db_error(s->db));
	lease_free(f.lease);
	return e == ERR_OK ? task_get(s->db, id, &s->arena, task, info) : e;
}

static void
out_task(struct buf *b, const struct task_row *t)
{
	out_open(b, NULL, '{');
	out_int(b, "task_id", t->id);
	out_str(b, "task_type", t->type);
	out_str(b, "state", t->state);
	out_str(b, "group", t->group_name);
	out_int(b, "total", t->total);
	out_int(b, "done", t->good);
	out_int(b, "ignored", t->processed - t->good);
	out_str(b, "error", t->error);
	out_close(b, '}');
}

static void
say_task(struct buf *b, const struct task_row *t)
{
	long long good = t->good;
	long long others = t->processed - t->good;

	if (task_is_active(t))
		buf_printf(b, "task %lld is under way: %lld of %lld", (long long)t->id,
			   (long long)t->processed, (long long)t->total);
	else if (!str_is(t->state, "done"))
		buf_printf(b, "task %lld: " STR_FMT, (long long)t->id, STR_ARG(t->state));
	else if (str_is(t->type, "KEY_IMPORT"))
		buf_printf(b, "%lld keys added, %lld were there already", good, others);
	else if (str_is(t->type, "KEY_DELETE"))
		buf_printf(b, "%lld keys deleted, %lld were not there", good, others);
	else
		buf_printf(b, "%lld keys work, %lld do not", good, others);
}

int
cli_task_result(const struct task_row *t, bool json)
{
	struct buf out;
	int rc;

	buf_init(&out, OUT_MAX);
	if (json)
		out_task(&out, t);
	else
		say_task(&out, t);
	rc = cli_print(&out);
	buf_done(&out);
	if (t->error.n > 0)
		fprintf(stderr, "gpt-load: " STR_FMT "\n", STR_ARG(t->error));
	return rc == CLI_OK && !task_is_active(t) && !str_is(t->state, "done") ? CLI_FAILED : rc;
}

/* --- import --- */

static enum err
import_keys(struct state *s, const char *group_name, const char *file, bool background,
	    struct task_row *ret, struct errinfo *info)
{
	struct group_row group;
	struct key_text keys;
	struct buf text;
	enum err e;

	buf_init(&text, 1);
	e = state_group(s, group_name, &group, info);
	if (e == ERR_OK)
		e = cli_read(file, LIMIT_IMPORT_BYTES, &text, info);
	if (e == ERR_OK)
		e = key_text_parse(buf_view(&text), LIMIT_TASK_KEYS, &s->arena, &keys, info);
	if (e == ERR_OK)
		e = task_add(s->db, s->crypt, group.id, TASK_IMPORT, &keys, &s->arena, ret, info);
	if (text.p != NULL)
		wipe(text.p, text.n);
	buf_done(&text);
	return e == ERR_OK && !background ? cli_follow(s, ret, info) : e;
}

static int
import(struct conf *conf, int argc, char **argv)
{
	bool json = false;
	bool background = false;
	const struct cli_option options[] = {
	    {"--json", CLI_FLAG, &json},
	    {"--background", CLI_FLAG, &background},
	};
	struct errinfo info = {""};
	struct task_row task = {0};
	struct state s;
	enum err e;
	int rc = CLI_OK;

	if (!cli_options(&argc, argv, options, ARRAY_LEN(options)))
		return CLI_USAGE;
	if (argc < 2 || argc > 3)
		return cli_usage(argv[0], "import needs a group, and may have a file");
	cli_log_open(conf);
	e = state_prepare(conf, &s, &info);
	if (e == ERR_OK)
		e = import_keys(&s, argv[1], argc > 2 ? argv[2] : NULL, background, &task, &info);
	if (e == ERR_OK)
		rc = cli_task_result(&task, json);
	state_close(&s);
	return e == ERR_OK ? rc : cli_error(e, &info);
}

const struct command command_import = {
    "import", "add keys to a group",
    "usage: gpt-load import GROUP [FILE]\n\n"
    "Adds the keys in FILE, or in standard input (also \"-\"), to the group of that name or\n"
    "id: one a line, or separated by blanks, commas or semicolons, or a JSON array. Those\n"
    "that are there already are left out. Shows its progress at a terminal. When it is\n"
    "stopped the gateway goes on with it.\n\n"
    "  --background   only hand the keys over, and do not wait\n"
    "  --json         the result for programs\n",
    import};

/* --- export --- */

static bool
is_status(const char *status)
{
	return strcmp(status, "active") == 0 || strcmp(status, "invalid") == 0 ||
	       strcmp(status, "disabled") == 0;
}

/* *ret_unreadable grows. */
static bool
put_page(const struct key_row *rows, size_t n, int64_t *ret_unreadable)
{
	for (size_t i = 0; i < n; i++) {
		if (!rows[i].readable) {
			(*ret_unreadable)++;
			continue;
		}
		if (fwrite(rows[i].value.p, 1, rows[i].value.n, stdout) != rows[i].value.n ||
		    putchar('\n') == EOF)
			return false;
	}
	return true;
}

static enum err
export_keys(struct state *s, const char *group_name, const char *status, int64_t *ret_unreadable,
	    struct errinfo *info)
{
	struct group_row group;
	struct key_query q = {.limit = EXPORT_PAGE, .status = str_of(status)};
	int64_t after = 0;
	size_t n = EXPORT_PAGE;
	enum err e = state_group(s, group_name, &group, info);

	if (e != ERR_OK)
		return e;
	state_settle(s);
	q.group_id = group.id;
	while (e == ERR_OK && n == EXPORT_PAGE) {
		struct key_row *rows;
		struct arena arena;

		arena_init(&arena, 64 * 1024);
		e = key_scan(s->db, s->crypt, &q, after, &arena, &rows, &n);
		if (e != ERR_OK)
			(void)err_set(info, e, "database: %s", db_error(s->db));
		else if (!put_page(rows, n, ret_unreadable))
			e = ERR_IO;
		if (e == ERR_OK && n > 0)
			after = rows[n - 1].id;
		arena_done(&arena);
	}
	if (e == ERR_OK && fflush(stdout) != 0)
		return ERR_IO;
	return e;
}

static int
export_group(struct conf *conf, int argc, char **argv)
{
	const char *status = NULL;
	const struct cli_option options[] = {{"--status", CLI_TEXT, &status}};
	struct errinfo info = {""};
	int64_t unreadable = 0;
	struct state s;
	enum err e;

	if (!cli_options(&argc, argv, options, ARRAY_LEN(options)))
		return CLI_USAGE;
	if (argc != 2)
		return cli_usage(argv[0], "export needs a group");
	if (status != NULL && !is_status(status))
		return cli_usage(argv[0], "--status is active, invalid or disabled");
	cli_log_open(conf);
	e = state_prepare(conf, &s, &info);
	if (e == ERR_OK)
		e = export_keys(&s, argv[1], status, &unreadable, &info);
	state_close(&s);
	if (e != ERR_OK)
		return cli_error(e, &info);
	if (unreadable > 0)
		fprintf(stderr, "gpt-load: %lld keys cannot be decrypted and were left out\n",
			(long long)unreadable);
	return unreadable > 0 ? CLI_FAILED : CLI_OK;
}

const struct command command_export = {
    "export", "print the keys of a group",
    "usage: gpt-load export GROUP [--status STATUS]\n\n"
    "Prints the keys of the group of that name or id in clear, one a line. Ends with 1 when\n"
    "some could not be decrypted; they are left out.\n\n"
    "  --status STATUS   only those that are active, invalid or disabled\n",
    export_group};
