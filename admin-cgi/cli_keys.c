/* SPDX-License-Identifier: MIT
 *
 * keys: those of a group listed, looked at, put in and out by hand, validated,
 * deleted. Which keys: by their ids, or, since a key must not stand in argv, by
 * standard input.
 */
#include "admin-cgi/cli.h"
#include "admin-cgi/out.h"

#include "lib/db.h"
#include "lib/group.h"
#include "lib/key.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/pool.h"
#include "lib/publish.h"
#include "lib/str.h"
#include "lib/task.h"

#include <limits.h>
#include <stdio.h>

#define PAGE      500
#define OUT_MAX   (1024 * 1024)
#define INPUT_MAX (LIMIT_SYNC_KEYS * (size_t)(LIMIT_KEY_BYTES + 1))
#define ERROR_MAX 512
/* Of columns; a revealed key is never cut. */
#define MASKED_WIDTH   20
#define REVEALED_WIDTH 60
#define REASON_WIDTH   255

struct arguments {
	const char *status;
	const char *reason;
	int64_t limit;
	bool json;
	bool reveal;
	bool all;
	bool invalid;
	bool yes;
	int argc; /* words behind the verb */
	char **argv;
};

struct call {
	const struct arguments *a;
	struct state s;
	struct group_row group;
	struct key_ids ids;
};

static const char *const state_names[KEY__MAX] = {
    [KEY_ACTIVE] = "active",
    [KEY_RESTING] = "resting",
    [KEY_INVALID] = "invalid",
    [KEY_DISABLED] = "disabled",
};

static enum err
refused(struct call *c, enum err e, struct errinfo *info)
{
	if (e == ERR_OK || info->text[0] != '\0')
		return e;
	return err_set(info, e, "%s",
		       e == ERR_DB || e == ERR_DB_AWAY ? db_error(c->s.db) : err_message(e));
}

/* --- showing --- */

static struct str
shown(const struct call *c, const struct key_row *row, struct arena *arena)
{
	return row->readable && !c->a->reveal ? key_mask(row->value, arena) : row->value;
}

/* The pool knows better than the column, as far as it can be asked. */
static struct key_info
info_of(struct call *c, const struct key_row *row)
{
	struct key_info k = {.fails = (uint32_t)MIN(row->failure_count, UINT32_MAX)};

	if (!key_state_parse(row->status, &k.state))
		k.state = KEY_INVALID;
	if (pool_key_info(c->s.pool, row->id, &k) != ERR_OK)
		k.error[0] = '\0';
	return k;
}

static void
out_one(struct call *c, const struct key_row *row, struct arena *arena, struct buf *b)
{
	struct key_info k = info_of(c, row);

	out_open(b, NULL, '{');
	out_int(b, "id", row->id);
	out_int(b, "group_id", row->group_id);
	out_str(b, "key", shown(c, row, arena));
	out_str(b, "status", row->status);
	out_cstr(b, "state", state_names[k.state]);
	out_int(b, "failure_count", k.fails);
	out_int(b, "request_count", row->request_count);
	out_int(b, "last_status", k.status);
	out_cstr(b, "last_error", k.error);
	out_time(b, "last_failed_at", k.failed_at_ms * 1000);
	out_time(b, "next_check_at", k.next_check_ms * 1000);
	out_time(b, "rest_until", k.rest_until_ms * 1000);
	out_str(b, "notes", row->notes);
	out_str(b, "disabled_reason", row->reason);
	out_time(b, "last_used_at", row->last_used_at);
	out_time(b, "created_at", row->created_at);
	out_close(b, '}');
}

static void
say_one(struct call *c, const struct key_row *row, struct arena *arena, struct buf *b)
{
	struct key_info k = info_of(c, row);
	struct str key = shown(c, row, arena);
	char id[24];
	char used[40] = "never";

	(void)snprintf(id, sizeof(id), "%lld", (long long)row->id);
	if (row->last_used_at > 0)
		time_format(used, row->last_used_at / 1000000 * 1000000, ' ');
	cli_cell(b, str_of(id), 8);
	cli_cell(b, str_of(state_names[k.state]), 9);
	cli_cell(b, key, c->a->reveal ? MAX(REVEALED_WIDTH, (int)key.n) : MASKED_WIDTH);
	buf_printf(b, "%7lld %6lld  %-26s", (long long)row->request_count, (long long)k.fails,
		   used);
	buf_char(b, ' ');
	cli_cell(b, k.error[0] != '\0' ? str_of(k.error) : row->reason, REASON_WIDTH);
	cli_end_row(b);
}

/* A page of rows, each a line. */
static int
print_rows(struct call *c, const struct key_row *rows, size_t n, struct arena *arena)
{
	struct buf out;
	int rc = CLI_OK;

	buf_init(&out, OUT_MAX);
	for (size_t i = 0; i < n && rc == CLI_OK; i++) {
		buf_clear(&out);
		if (c->a->json)
			out_one(c, &rows[i], arena, &out);
		else
			say_one(c, &rows[i], arena, &out);
		rc = cli_print(&out);
	}
	buf_done(&out);
	return rc;
}

static enum err
list(struct call *c, UNUSED struct errinfo *info)
{
	struct key_query q = {.group_id = c->group.id, .status = str_of(c->a->status)};
	int64_t left = c->a->limit > 0 ? c->a->limit : INT64_MAX;
	int64_t after = 0;
	size_t n = 1;
	enum err e = ERR_OK;

	state_settle(&c->s);
	if (!c->a->json)
		printf("%-8s %-9s %-*s %7s %6s  %-26s %s\n", "id", "state",
		       c->a->reveal ? REVEALED_WIDTH : MASKED_WIDTH, "key", "used", "failed",
		       "last used", "");
	while (e == ERR_OK && n > 0 && left > 0) {
		struct key_row *rows;
		struct arena arena;

		arena_init(&arena, 64 * 1024);
		q.limit = MIN(left, (int64_t)PAGE);
		e = key_scan(c->s.db, c->s.crypt, &q, after, &arena, &rows, &n);
		if (e == ERR_OK && n > 0) {
			after = rows[n - 1].id;
			left -= (int64_t)n;
			if (print_rows(c, rows, n, &arena) != CLI_OK)
				e = ERR_IO;
		}
		arena_done(&arena);
	}
	return e;
}

static enum err
show(struct call *c, struct errinfo *info)
{
	struct key_row row;
	int64_t id;
	enum err e;

	if (c->a->argc != 1 || !str_to_i64(str_of(c->a->argv[0]), 1, INT64_MAX, &id))
		return err_set(info, ERR_CONF, "keys show needs the id of a key");
	state_settle(&c->s);
	e = key_get(c->s.db, c->s.crypt, id, &c->s.arena, &row, info);
	if (e == ERR_OK && print_rows(c, &row, 1, &c->s.arena) != CLI_OK)
		e = ERR_IO;
	return e;
}

/* --- which keys --- */

static enum err
find_by_text(struct call *c, struct errinfo *info)
{
	struct key_text keys;
	struct buf text;
	enum err e;

	buf_init(&text, 1);
	e = cli_read("-", INPUT_MAX, &text, info);
	if (e == ERR_OK)
		e = key_text_parse(buf_view(&text), LIMIT_SYNC_KEYS, &c->s.arena, &keys, info);
	if (e == ERR_OK)
		e = key_find(c->s.db, c->s.crypt, c->group.id, keys.v, keys.n, &c->ids);
	if (text.p != NULL)
		wipe(text.p, text.n);
	buf_done(&text);
	return e;
}

/* Each must be the group's, so that a slip of the finger is noticed. */
static enum err
find_by_id(struct call *c, struct errinfo *info)
{
	int n = c->a->argc - 1;
	enum err e = ERR_OK;

	c->ids.v = xcalloc((size_t)n, sizeof(*c->ids.v));
	for (int i = 0; i < n && e == ERR_OK; i++) {
		const char *word = c->a->argv[i + 1];
		struct key_row row;
		int64_t id;

		if (!str_to_i64(str_of(word), 1, INT64_MAX, &id))
			return err_set(info, ERR_CONF,
				       "a key is named by its id, or given on standard input with "
				       "\"-\"");
		e = key_get(c->s.db, c->s.crypt, id, &c->s.arena, &row, info);
		if (e == ERR_OK && row.group_id != c->group.id)
			return err_set(info, ERR_NOT_FOUND, "key %lld is not of group " STR_FMT,
				       (long long)id, STR_ARG(c->group.name));
		/* In order, and each once. */
		size_t at = c->ids.n;
		while (at > 0 && c->ids.v[at - 1] > id)
			at--;
		if (at > 0 && c->ids.v[at - 1] == id)
			continue;
		memmove(&c->ids.v[at + 1], &c->ids.v[at], (c->ids.n - at) * sizeof(id));
		c->ids.v[at] = id;
		c->ids.n++;
	}
	return e;
}

static enum err
find_keys(struct call *c, struct errinfo *info)
{
	const struct arguments *a = c->a;
	enum err e;

	if ((a->argc > 1) + a->invalid + a->all != 1)
		return err_set(info, ERR_CONF,
			       "say which keys: their ids, \"-\" with the keys on standard input, "
			       "or --invalid");
	if (a->all)
		return ERR_OK;
	if (a->invalid) {
		state_settle(&c->s);
		e = key_find_invalid(c->s.db, c->group.id, &c->ids);
	} else if (a->argc == 2 && strcmp(a->argv[1], "-") == 0) {
		e = find_by_text(c, info);
	} else {
		e = find_by_id(c, info);
	}
	return refused(c, e, info);
}

/* --- changing --- */

static int
say_count(const struct arguments *a, const char *what, size_t n)
{
	struct buf out;
	int rc;

	buf_init(&out, ERROR_MAX);
	if (a->json)
		buf_printf(&out, "{\"%s\":%zu}", what, n);
	else
		buf_printf(&out, "%zu keys %s", n, what);
	rc = cli_print(&out);
	buf_done(&out);
	return rc;
}

static enum err
set_state(struct call *c, enum key_state state, struct errinfo *info)
{
	struct str reason = str_of(state == KEY_DISABLED ? c->a->reason : NULL);
	size_t changed = 0;
	enum err e = find_keys(c, info);

	for (size_t i = 0; i < c->ids.n && e == ERR_OK; i++)
		e = key_set_reason(c->s.db, c->ids.v[i], reason, info);
	if (e == ERR_OK && c->ids.n > 0)
		e = pool_set_state(c->s.pool, c->group.id, c->ids.v, c->ids.n, state, &changed);
	if (e != ERR_OK)
		return refused(c, e, info);
	state_settle(&c->s);
	if (say_count(c->a, state == KEY_DISABLED ? "disabled" : "enabled", changed) != CLI_OK)
		return ERR_IO;
	return ERR_OK;
}

static enum err
enable(struct call *c, struct errinfo *info)
{
	return set_state(c, KEY_ACTIVE, info);
}

static enum err
disable(struct call *c, struct errinfo *info)
{
	return set_state(c, KEY_DISABLED, info);
}

static enum err
delete_keys(struct call *c, struct errinfo *info)
{
	const struct arguments *a = c->a;
	size_t deleted = 0;
	enum err e = find_keys(c, info);

	if (e != ERR_OK)
		return e;
	if ((a->all || a->invalid) &&
	    !cli_confirm(a->yes, a->all ? "delete all keys of the group"
					: "delete all invalid keys of the group"))
		return err_set(info, ERR_CONF, "nothing was deleted");
	if (a->all)
		e = key_clear(c->s.db, c->group.id, &deleted);
	else
		e = key_delete(c->s.db, c->group.id, c->ids.v, c->ids.n, &deleted);
	if (e == ERR_OK)
		e = publish_keys(c->s.db, c->s.pool, NULL, NULL, info);
	if (e == ERR_OK && say_count(a, "deleted", deleted) != CLI_OK)
		return ERR_IO;
	return refused(c, e, info);
}

static enum err
validate(struct call *c, struct errinfo *info)
{
	struct task_row task = {0};
	enum err e;

	state_settle(&c->s);
	e = task_add_validation(c->s.db, c->group.id, str_of(c->a->status), &c->s.arena, &task,
				info);
	if (e == ERR_OK)
		e = cli_follow(&c->s, &task, info);
	if (e == ERR_OK && cli_task_result(&task, c->a->json) != CLI_OK)
		return err_set(info, ERR_IO, "the task did not end well");
	return refused(c, e, info);
}

/* --- all of them --- */

/* What not every verb has: an option that would be ignored is refused. */
enum option {
	OPTION_STATUS = 1,
	OPTION_REASON = 2,
	OPTION_LIMIT = 4,
	OPTION_REVEAL = 8,
	OPTION_ALL = 16,
	OPTION_INVALID = 32,
	OPTION_YES = 64,
};

static const struct verb {
	const char *name;
	bool of_group;
	int words;        /* behind it, at most */
	unsigned options; /* OPTION_… */
	enum err (*run)(struct call *c, struct errinfo *info);
} verbs[] = {
    {"list", true, 1, OPTION_STATUS | OPTION_LIMIT | OPTION_REVEAL, list},
    {"show", false, 1, OPTION_REVEAL, show},
    {"enable", true, INT_MAX, OPTION_INVALID, enable},
    {"disable", true, INT_MAX, OPTION_REASON, disable},
    {"delete", true, INT_MAX, OPTION_INVALID | OPTION_ALL | OPTION_YES, delete_keys},
    {"validate", true, 1, OPTION_STATUS, validate},
};

static unsigned
options_given(const struct arguments *a)
{
	return (a->status != NULL ? OPTION_STATUS : 0U) | (a->reason != NULL ? OPTION_REASON : 0U) |
	       (a->limit > 0 ? OPTION_LIMIT : 0U) | (a->reveal ? OPTION_REVEAL : 0U) |
	       (a->all ? OPTION_ALL : 0U) | (a->invalid ? OPTION_INVALID : 0U) |
	       (a->yes ? OPTION_YES : 0U);
}

static const struct verb *
find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(verbs[i].name, name) == 0)
			return &verbs[i];
	return NULL;
}

static int
run_verb(struct conf *conf, const struct verb *verb, const struct arguments *a)
{
	struct call c = {.a = a};
	struct errinfo info = {""};
	enum err e;

	cli_log_open(conf);
	e = state_prepare(conf, &c.s, &info);
	if (e == ERR_OK && verb->of_group)
		e = state_group(&c.s, a->argv[0], &c.group, &info);
	if (e == ERR_OK)
		e = refused(&c, verb->run(&c, &info), &info);
	key_ids_done(&c.ids);
	state_close(&c.s);
	return e == ERR_OK ? CLI_OK : cli_error(e, &info);
}

static int
keys(struct conf *conf, int argc, char **argv)
{
	struct arguments a = {0};
	const struct cli_option options[] = {
	    {"--status", CLI_TEXT, &a.status},   {"--reason", CLI_TEXT, &a.reason},
	    {"--limit", CLI_NUMBER, &a.limit},   {"--json", CLI_FLAG, &a.json},
	    {"--reveal", CLI_FLAG, &a.reveal},   {"--all", CLI_FLAG, &a.all},
	    {"--invalid", CLI_FLAG, &a.invalid}, {"--yes", CLI_FLAG, &a.yes},
	};
	const struct verb *verb;
	enum key_state state;

	if (!cli_options(&argc, argv, options, ARRAY_LEN(options)))
		return CLI_USAGE;
	verb = argc > 1 ? find_verb(argv[1]) : NULL;
	if (verb == NULL)
		return cli_usage(argv[0], "keys needs one of list, show, enable, disable, delete, "
					  "validate");
	if (verb->of_group && argc < 3)
		return cli_usage(argv[0], "keys %s needs a group", verb->name);
	if (a.status != NULL && !key_state_parse(str_of(a.status), &state))
		return cli_usage(argv[0], "--status is active, invalid or disabled");
	if ((options_given(&a) & ~verb->options) != 0)
		return cli_usage(argv[0], "keys %s does not have all of these options", verb->name);
	if (argc - 2 > verb->words)
		return cli_usage(argv[0], "\"%s\" is one word too many", argv[2 + verb->words]);
	a.argc = argc - 2;
	a.argv = argv + 2;
	return run_verb(conf, verb, &a);
}

const struct command command_keys = {
    "keys", "list, enable, disable, validate and delete keys",
    "usage: gpt-load keys list GROUP [--status STATUS] [--limit N] [--reveal] [--json]\n"
    "       gpt-load keys show ID [--reveal] [--json]\n"
    "       gpt-load keys enable GROUP {ID… | - | --invalid} [--json]\n"
    "       gpt-load keys disable GROUP {ID… | -} [--reason TEXT] [--json]\n"
    "       gpt-load keys validate GROUP [--status STATUS] [--json]\n"
    "       gpt-load keys delete GROUP {ID… | - | --invalid | --all} [--yes] [--json]\n\n"
    "GROUP is a name or an id. A key is named by its ID, or given on standard input (-):\n"
    "never on the command line. `show` tells why a key is out and when it is tried again.\n\n"
    "  --status STATUS  only those that are active, invalid or disabled\n"
    "  --limit N        at most so many\n"
    "  --reveal         keys in clear, not masked\n"
    "  --reason TEXT    why; kept while the key is disabled\n"
    "  --invalid        all that are invalid\n"
    "  --all            all of the group\n"
    "  --yes            do not ask\n"
    "  --json           for programs: one object a line\n",
    keys};
