/* SPDX-License-Identifier: MIT
 *
 * Queries from constant pieces. The pieces and their number are this program's
 * own, so running out of room is a fault of it, not of its input.
 */
#include "lib/where.h"

void
where_init(struct where *w)
{
	buf_init(&w->sql, WHERE_TEXT);
	w->n = 0;
}

void
where_done(struct where *w)
{
	buf_done(&w->sql);
}

void
where_text_of(struct where *w, const char *text)
{
	buf_cstr(&w->sql, text);
}

void
where_arg_of(struct where *w, const char *text, struct db_arg arg)
{
	check(w->n < WHERE_ARGS);
	buf_cstr(&w->sql, text);
	w->args[w->n++] = arg;
}

void
where_copy(struct where *w, const struct where *from)
{
	buf_str(&w->sql, buf_view(&from->sql));
	for (size_t i = 0; i < from->n; i++)
		where_arg_of(w, "", from->args[i]);
}

enum err
where_query(const struct where *w, struct db *db, struct db_rows **ret)
{
	check(buf_err(&w->sql) == ERR_OK);
	return db_query(db, buf_text(&w->sql), w->args, w->n, ret);
}

enum err
where_query_int(const struct where *w, struct db *db, int64_t *ret)
{
	check(buf_err(&w->sql) == ERR_OK);
	return db_query_int(db, buf_text(&w->sql), w->args, w->n, 0, ret);
}

struct str
where_like(struct str text, struct arena *arena)
{
	char *out = arena_alloc(arena, 2 * text.n + 3);
	size_t n = 0;

	out[n++] = '%';
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == '%' || text.p[i] == '_' || text.p[i] == '!')
			out[n++] = '!';
		out[n++] = text.p[i];
	}
	out[n++] = '%';
	out[n] = '\0';
	return (struct str){out, n};
}
