/* SPDX-License-Identifier: MIT
 *
 * groups: listed, looked at, made, changed and deleted, by the JSON that the
 * management API takes.
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

#include <stdio.h>

#define OUT_MAX (4 * LIMIT_GROUP_JSON)

struct arguments {
	bool json;
	bool yes;
	bool reveal;
	int argc; /* words behind the verb */
	char **argv;
};

struct call {
	const struct arguments *a;
	struct state s;
	struct buf out;
};

/* --- showing --- */

static void
out_group(struct call *c, const struct group_row *g, const struct key_counts *keys)
{
	struct buf *b = &c->out;
	struct str proxy_keys =
	    c->a->reveal ? g->proxy_keys : key_mask_list(g->proxy_keys, &c->s.arena);

	out_open(b, NULL, '{');
	out_int(b, "id", g->id);
	out_str(b, "name", g->name);
	out_str(b, "display_name", g->display_name);
	out_str(b, "description", g->description);
	out_cstr(b, "group_type", g->aggregate ? "aggregate" : "standard");
	out_str(b, "channel_type", g->channel_type);
	out_int(b, "sort", g->sort);
	out_str(b, "test_model", g->test_model);
	out_str(b, "validation_endpoint", g->validation_endpoint);
	out_str(b, "proxy_keys", proxy_keys);
	out_column(b, "upstreams", g->upstreams_json, "[]");
	out_column(b, "config", g->config_json, "{}");
	out_column(b, "options", g->options_json, "{}");
	out_column(b, "param_overrides", g->param_overrides_json, "{}");
	out_column(b, "header_rules", g->header_rules_json, "[]");
	out_column(b, "model_redirect_rules", g->redirects_json, "{}");
	out_bool(b, "model_redirect_strict", g->redirect_strict);
	out_open(b, "keys", '{');
	out_int(b, "total", keys->total);
	out_int(b, "active", keys->active);
	out_int(b, "invalid", keys->invalid);
	out_int(b, "disabled", keys->disabled);
	out_close(b, '}');
	out_close(b, '}');
}

static void
say_group(struct call *c, const struct group_row *g, const struct key_counts *keys)
{
	struct buf *b = &c->out;
	char id[24];

	(void)snprintf(id, sizeof(id), "%lld", (long long)g->id);
	cli_cell(b, str_of(id), 6);
	cli_cell(b, g->name, 24);
	cli_cell(b, g->aggregate ? STR("aggregate") : g->channel_type, 16);
	if (g->aggregate)
		buf_cstr(b, "        -");
	else
		buf_printf(b, "%9lld %9lld %9lld", (long long)keys->active,
			   (long long)keys->invalid, (long long)keys->disabled);
	if (g->display_name.n > 0) {
		buf_cstr(b, "  ");
		cli_cell(b, g->display_name, 32);
	}
	cli_end_row(b);
}

static enum err
print_group(struct call *c, const struct group_row *g, bool json, struct errinfo *info)
{
	struct key_counts keys;
	enum err e = key_counts(c->s.db, g->id, &keys);

	if (e != ERR_OK)
		return err_set(info, e, "database: %s", db_error(c->s.db));
	buf_clear(&c->out);
	if (json)
		out_group(c, g, &keys);
	else
		say_group(c, g, &keys);
	return cli_print(&c->out) == CLI_OK ? ERR_OK : ERR_IO;
}

static enum err
list(struct call *c, struct errinfo *info)
{
	struct group_row *groups;
	size_t n;
	enum err e;

	state_settle(&c->s);
	e = group_list(c->s.db, &c->s.arena, &groups, &n);
	if (e != ERR_OK)
		return err_set(info, e, "database: %s", db_error(c->s.db));
	if (!c->a->json)
		printf("%-6s %-24s %-16s %9s %9s %9s\n", "id", "name", "channel", "active",
		       "invalid", "disabled");
	for (size_t i = 0; i < n && e == ERR_OK; i++)
		e = print_group(c, &groups[i], c->a->json, info);
	return e;
}

static enum err
show(struct call *c, struct errinfo *info)
{
	struct group_row group = {0};
	enum err e = state_group(&c->s, c->a->argv[0], &group, info);

	state_settle(&c->s);
	return e == ERR_OK ? print_group(c, &group, true, info) : e;
}

/* --- changing --- */

static enum err
read_body(const char *file, struct buf *body, struct errinfo *info)
{
	return cli_read(file, LIMIT_ADMIN_BODY, body, info);
}

/* It is in the DB: whoever serves follows, if not now then a little later. */
static enum err
publish(struct call *c, struct errinfo *info)
{
	enum err e = publish_config(c->s.db, c->s.pool, info);

	return e == ERR_OK ? publish_keys(c->s.db, c->s.pool, NULL, NULL, info) : e;
}

static enum err
create(struct call *c, struct errinfo *info)
{
	struct group_row group = {0};
	struct buf body;
	enum err e;

	buf_init(&body, 1);
	e = read_body(c->a->argc > 0 ? c->a->argv[0] : "-", &body, info);
	if (e == ERR_OK)
		e = group_create(c->s.db, buf_view(&body), &c->s.arena, &group, info);
	buf_done(&body);
	if (e == ERR_OK)
		e = publish(c, info);
	return e == ERR_OK ? print_group(c, &group, true, info) : e;
}

static enum err
update(struct call *c, struct errinfo *info)
{
	struct group_row group = {0};
	struct buf body;
	enum err e = state_group(&c->s, c->a->argv[0], &group, info);

	if (e != ERR_OK)
		return e;
	buf_init(&body, 1);
	e = read_body(c->a->argc > 1 ? c->a->argv[1] : "-", &body, info);
	if (e == ERR_OK)
		e = group_update(c->s.db, group.id, buf_view(&body), &c->s.arena, &group, info);
	buf_done(&body);
	if (e == ERR_OK)
		e = publish(c, info);
	return e == ERR_OK ? print_group(c, &group, true, info) : e;
}

static enum err
delete_group(struct call *c, struct errinfo *info)
{
	struct group_row group;
	enum err e = state_group(&c->s, c->a->argv[0], &group, info);

	if (e != ERR_OK)
		return e;
	if (!cli_confirm(c->a->yes, "delete the group and all its keys"))
		return err_set(info, ERR_CONF, "nothing was deleted");
	e = group_delete(c->s.db, group.id, info);
	return e == ERR_OK ? publish(c, info) : e;
}

/* --- all of them --- */

static const struct verb {
	const char *name;
	int words; /* at least */
	int most;
	enum err (*run)(struct call *c, struct errinfo *info);
} verbs[] = {
    {"list", 0, 0, list},     {"show", 1, 1, show},           {"create", 0, 1, create},
    {"update", 1, 2, update}, {"delete", 1, 1, delete_group},
};

static int
run_verb(struct conf *conf, const struct verb *verb, const struct arguments *a)
{
	struct call c = {.a = a};
	struct errinfo info = {""};
	enum err e;

	cli_log_open(conf);
	buf_init(&c.out, OUT_MAX);
	e = state_prepare(conf, &c.s, &info);
	if (e == ERR_OK)
		e = verb->run(&c, &info);
	if (e != ERR_OK && info.text[0] == '\0' && c.s.db != NULL && err_status(e) >= 500)
		(void)err_set(&info, e, "database: %s", db_error(c.s.db));
	buf_done(&c.out);
	state_close(&c.s);
	return e == ERR_OK ? CLI_OK : cli_error(e, &info);
}

static int
groups(struct conf *conf, int argc, char **argv)
{
	struct arguments a = {0};
	const struct cli_option options[] = {
	    {"--json", CLI_FLAG, &a.json},
	    {"--yes", CLI_FLAG, &a.yes},
	    {"--reveal", CLI_FLAG, &a.reveal},
	};
	const char *name;

	if (!cli_options(&argc, argv, options, ARRAY_LEN(options)))
		return CLI_USAGE;
	name = argc > 1 ? argv[1] : "list";
	a.argc = MAX(argc - 2, 0);
	a.argv = argv + 2;
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (strcmp(verbs[i].name, name) != 0)
			continue;
		if (a.argc < verbs[i].words)
			return cli_usage(argv[0], "groups %s needs a group", name);
		if (a.argc > verbs[i].most)
			return cli_usage(argv[0], "\"%s\" is one word too many",
					 a.argv[verbs[i].most]);
		return run_verb(conf, &verbs[i], &a);
	}
	return cli_usage(argv[0], "groups takes list, show, create, update or delete");
}

const struct command command_groups = {
    "groups", "list, show, make, change and delete groups",
    "usage: gpt-load groups [list] [--json] [--reveal]\n"
    "       gpt-load groups show GROUP [--reveal]\n"
    "       gpt-load groups create [FILE]\n"
    "       gpt-load groups update GROUP [FILE]\n"
    "       gpt-load groups delete GROUP [--yes]\n\n"
    "GROUP is a name or an id. FILE (or standard input) holds the JSON that POST and PUT\n"
    "/api/groups take; the group is printed as it is then.\n\n"
    "  --json     for programs: one object a line\n"
    "  --reveal   the group's proxy keys in clear, not masked\n"
    "  --yes      do not ask\n",
    groups};
