/* SPDX-License-Identifier: MIT
 *
 * logs: rows of request_logs, the newest last, and those that come. A row may come
 * late: another node writes its own once in a while. So what is followed is a window of
 * time up to now, in which rows that were shown are known by their ids.
 */
#include "admin-cgi/cli.h"
#include "admin-cgi/out.h"

#include "lib/clock.h"
#include "lib/crypt.h"
#include "lib/db.h"
#include "lib/key.h"
#include "lib/log.h"
#include "lib/pool.h"
#include "lib/spool.h"
#include "lib/str.h"
#include "lib/where.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <uthash.h>

#define US_PER_S  INT64_C(1000000)
#define WINDOW_US (180 * US_PER_S)
#define POLL_MS   500
#define ROWS      20
#define OUT_MAX   (1024 * 1024)
#define ID_SIZE   37

struct filters {
	const char *group;
	const char *model;
	const char *type;
	const char *ip;
	const char *request;
	const char *since;
	int64_t status;
	int64_t key;
	int64_t rows;
	bool failed;
	bool follow;
	bool json;
};

struct seen {
	char id[ID_SIZE];
	int64_t time_us;
	UT_hash_handle hh;
};

struct call {
	const struct filters *f;
	struct state s;
	struct str key_hash;
	struct seen *seen;
	struct buf out;
	bool broken; /* stdout is gone */
};

/* --- rows that were shown --- */

/* Notes it; false: it was shown before. */
static bool
is_new(struct call *c, struct str id, int64_t time_us)
{
	char key[ID_SIZE] = "";
	struct seen *s = NULL;

	memcpy(key, id.p, MIN(id.n, sizeof(key) - 1));
	HASH_FIND_STR(c->seen, key, s);
	if (s != NULL)
		return false;
	s = xcalloc(1, sizeof(*s));
	memcpy(s->id, key, sizeof(key));
	s->time_us = time_us;
	HASH_ADD_STR(c->seen, id, s);
	return true;
}

/* Those from before `time_us`. */
static void
forget(struct call *c, int64_t time_us)
{
	struct seen *s = NULL;
	struct seen *next = NULL;

	HASH_ITER (hh, c->seen, s, next) {
		if (s->time_us >= time_us)
			continue;
		HASH_DEL(c->seen, s);
		free(s);
	}
}

/* --- one row --- */

enum col {
	COL_ID,
	COL_TIME,
	COL_GROUP,
	COL_MODEL,
	COL_SUCCESS,
	COL_STATUS,
	COL_DURATION,
	COL_TYPE,
	COL_PATH,
	COL_UPSTREAM,
	COL_IP,
	COL_ERROR,
	COL_REQUEST,
	COL_ATTEMPT,
	COL_END,
	COL_PROMPT,
	COL_COMPLETION,
};

#define COLUMNS                                                                                    \
	"SELECT l.id, l.timestamp, l.group_name, l.model, l.is_success, l.status_code, "           \
	"l.duration, l.request_type, l.request_path, l.upstream_addr, l.source_ip, "               \
	"l.error_message, l.gptl_request_id, l.gptl_attempt, l.gptl_end, "                         \
	"l.gptl_prompt_tokens, l.gptl_completion_tokens FROM request_logs l"

static void
out_row(struct buf *b, struct db_rows *rows)
{
	static const struct {
		const char *name;
		enum col col;
	} texts[] = {
	    {"group", COL_GROUP}, {"model", COL_MODEL},        {"request_type", COL_TYPE},
	    {"path", COL_PATH},   {"upstream", COL_UPSTREAM},  {"source_ip", COL_IP},
	    {"error", COL_ERROR}, {"request_id", COL_REQUEST}, {"end", COL_END},
	};

	out_open(b, NULL, '{');
	out_str(b, "id", db_col_text(rows, COL_ID));
	out_time(b, "timestamp", db_col_time(rows, COL_TIME));
	out_bool(b, "is_success", db_col_bool(rows, COL_SUCCESS));
	out_int(b, "status_code", db_col_int(rows, COL_STATUS));
	out_int(b, "duration_ms", db_col_int(rows, COL_DURATION));
	out_int(b, "attempt", db_col_int(rows, COL_ATTEMPT));
	out_int(b, "prompt_tokens", db_col_int(rows, COL_PROMPT));
	out_int(b, "completion_tokens", db_col_int(rows, COL_COMPLETION));
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		out_str(b, texts[i].name, db_col_text(rows, texts[i].col));
	out_close(b, '}');
	buf_char(b, '\n');
}

static void
say_row(struct buf *b, struct db_rows *rows)
{
	struct str error = db_col_text(rows, COL_ERROR);
	char time[40];

	time_format(time, db_col_time(rows, COL_TIME) / 1000 * 1000, ' ');
	cli_cell(b, str_of(time), 29);
	cli_cell(b, db_col_text(rows, COL_GROUP), 16);
	buf_printf(b, "%3lld %6lld ms ", (long long)db_col_int(rows, COL_STATUS),
		   (long long)db_col_int(rows, COL_DURATION));
	cli_cell(b, db_col_text(rows, COL_TYPE), 5);
	cli_cell(b, db_col_text(rows, COL_MODEL), 24);
	if (error.n > 0)
		cli_cell(b, error, 120);
	cli_end_row(b);
}

/* --- asking --- */

static void
add_filters(struct call *c, struct where *w)
{
	const struct filters *f = c->f;

	if (f->group != NULL)
		where_arg(w, " AND group_name = ?", db_cstr(f->group));
	if (f->model != NULL)
		where_arg(w, " AND model = ?", db_cstr(f->model));
	if (f->type != NULL)
		where_arg(w, " AND request_type = ?", db_cstr(f->type));
	if (f->ip != NULL)
		where_arg(w, " AND source_ip = ?", db_cstr(f->ip));
	if (f->request != NULL)
		where_arg(w, " AND gptl_request_id = ?", db_cstr(f->request));
	if (f->status > 0)
		where_arg(w, " AND status_code = ?", db_int(f->status));
	if (f->failed)
		where_arg(w, " AND is_success = ?", db_bool(false));
	if (c->key_hash.n > 0)
		where_arg(w, " AND key_hash = ?", db_text(c->key_hash));
}

/* Prints what is new among the newest `limit` rows since `since_us`; 0: no bound. */
static enum err
print_rows(struct call *c, int64_t since_us, int64_t limit)
{
	struct db_rows *rows = NULL;
	struct where w;
	enum err e;

	where_init(&w);
	where_text(&w, COLUMNS " JOIN (SELECT id FROM request_logs WHERE 1 = 1");
	if (since_us > 0)
		where_arg(&w, " AND timestamp >= ?", db_time(since_us));
	add_filters(c, &w);
	where_arg(&w, " ORDER BY timestamp DESC, id DESC LIMIT ?", db_int(limit));
	where_text(&w, ") p ON p.id = l.id ORDER BY l.timestamp, l.id");
	e = where_query(&w, c->s.db, &rows);
	while (e == ERR_OK && !c->broken && db_next(rows, &e)) {
		if (!is_new(c, db_col_text(rows, COL_ID), db_col_time(rows, COL_TIME)))
			continue;
		buf_clear(&c->out);
		if (c->f->json)
			out_row(&c->out, rows);
		else
			say_row(&c->out, rows);
		c->broken = cli_print(&c->out) != CLI_OK;
	}
	db_rows_done(rows);
	where_done(&w);
	return e;
}

/* The pause between two looks; true: whoever read standard output is gone. */
static bool
wait_or_leave(void)
{
	struct pollfd reader = {.fd = STDOUT_FILENO};

	return poll(&reader, 1, POLL_MS) > 0;
}

/* The DB may be away for a while: it goes on when that is over. */
static enum err
follow(struct call *c, int64_t began_us)
{
	enum err e = ERR_OK;

	while (!c->broken && (e == ERR_OK || e == ERR_DB_AWAY)) {
		int64_t since = MAX(began_us, clock_wall_us() - WINDOW_US);

		c->broken = wait_or_leave();
		e = spool_flush(c->s.conf, c->s.db, false, NULL, NULL);
		if (e == ERR_OK)
			e = print_rows(c, since, INT32_MAX);
		forget(c, since - US_PER_S);
	}
	return e;
}

static enum err
find_key(struct call *c, struct errinfo *info)
{
	struct key_row row;
	enum err e;

	if (c->f->key == 0)
		return ERR_OK;
	e = key_get(c->s.db, c->s.crypt, c->f->key, &c->s.arena, &row, info);
	if (e == ERR_OK)
		c->key_hash = row.hash;
	return e;
}

static enum err
run(struct call *c, int64_t since_us, struct errinfo *info)
{
	int64_t began = clock_wall_us() - US_PER_S;
	enum err e = find_key(c, info);

	if (e != ERR_OK)
		return e;
	/* What waits is shown too; when it cannot be written it is shown later. */
	if (spool_flush(c->s.conf, c->s.db, false, NULL, NULL) != ERR_OK)
		began -= US_PER_S;
	e = print_rows(c, since_us,
		       c->f->rows > 0 ? c->f->rows : (since_us > 0 ? INT32_MAX : ROWS));
	if (e == ERR_OK && c->f->follow)
		e = follow(c, began);
	return e == ERR_OK ? ERR_OK : err_set(info, e, "database: %s", db_error(c->s.db));
}

static int
logs(struct conf *conf, int argc, char **argv)
{
	struct filters f = {0};
	const struct cli_option options[] = {
	    {"--follow", CLI_FLAG, &f.follow},   {"--group", CLI_TEXT, &f.group},
	    {"--model", CLI_TEXT, &f.model},     {"--status", CLI_NUMBER, &f.status},
	    {"--type", CLI_TEXT, &f.type},       {"--ip", CLI_TEXT, &f.ip},
	    {"--request", CLI_TEXT, &f.request}, {"--key-id", CLI_NUMBER, &f.key},
	    {"--failed", CLI_FLAG, &f.failed},   {"--since", CLI_TEXT, &f.since},
	    {"--rows", CLI_NUMBER, &f.rows},     {"--json", CLI_FLAG, &f.json},
	};
	struct call c = {.f = &f};
	struct errinfo info = {""};
	int64_t since = 0;
	enum err e;

	if (!cli_options(&argc, argv, options, ARRAY_LEN(options)))
		return CLI_USAGE;
	if (argc > 1)
		return cli_usage(argv[0], "logs takes options only");
	if (f.since != NULL && !time_parse(str_of(f.since), &since))
		return cli_usage(argv[0], "--since is a time such as 2006-01-02T15:04:05Z");
	if (f.type != NULL && strcmp(f.type, "final") != 0 && strcmp(f.type, "retry") != 0)
		return cli_usage(argv[0], "--type is final or retry");
	cli_log_open(conf);
	buf_init(&c.out, OUT_MAX);
	e = state_prepare(conf, &c.s, &info);
	if (e == ERR_OK)
		e = run(&c, since, &info);
	forget(&c, INT64_MAX);
	buf_done(&c.out);
	state_close(&c.s);
	if (e != ERR_OK)
		return cli_error(e, &info);
	return c.broken ? CLI_FAILED : CLI_OK;
}

const struct command command_logs = {
    "logs", "show request log rows, and follow them",
    "usage: gpt-load logs [--follow] [FILTER…] [--json]\n\n"
    "Prints the newest rows of the request log, the newest last; with --follow those that\n"
    "come too, until it is stopped. Filters are joined by \"and\".\n\n"
    "  --follow          go on with rows as they come\n"
    "  --rows N          begin with so many (20)\n"
    "  --since TIME      begin with those since then (RFC 3339)\n"
    "  --group NAME      of this group\n"
    "  --model NAME      of this model\n"
    "  --status CODE     with this status\n"
    "  --failed          that failed\n"
    "  --type TYPE       \"final\" or \"retry\"\n"
    "  --ip ADDRESS      of this client\n"
    "  --request ID      all tries of this request\n"
    "  --key-id ID       made with this key\n"
    "  --json            for programs: one object a line\n",
    logs};
