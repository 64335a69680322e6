/* SPDX-License-Identifier: MIT
 *
 * What migrations would add, read off their own text: they consist of CREATE TABLE,
 * CREATE INDEX and ALTER TABLE … ADD COLUMN, each beginning a line.
 */
#include "lib/migrate.h"
#include "lib/str.h"
#include "lib/survey.h"

void
name_list_add(struct name_list *list, struct arena *arena, struct str name)
{
	if (list->n == list->cap) {
		struct str *old = list->v;

		list->cap = MAX(list->cap * 2, (size_t)16);
		list->v = arena_alloc(arena, list->cap * sizeof(*list->v));
		if (list->n > 0)
			memcpy(list->v, old, list->n * sizeof(*old));
	}
	list->v[list->n++] = arena_str(arena, name);
}

/* Cuts the next word off, without quotes: it ends at a blank, '(' or ';'. */
static struct str
take_word(struct str *s)
{
	size_t n = 0;

	*s = str_trim(*s);
	while (n < s->n && strchr(" \t(;,", s->p[n]) == NULL)
		n++;

	struct str word = {s->p, n};

	*s = str_from(*s, n);
	if (word.n >= 2 && (word.p[0] == '`' || word.p[0] == '"'))
		word = (struct str){word.p + 1, word.n - 2};
	return word;
}

/* Cuts `words` off the front of *s when they are there. */
static bool
take_words(struct str *s, const char *words)
{
	if (!str_starts(*s, words))
		return false;
	*s = str_from(*s, strlen(words));
	return true;
}

static void
plan_line(struct str line, struct arena *arena, struct survey *s)
{
	if (take_words(&line, "CREATE TABLE ")) {
		(void)take_words(&line, "IF NOT EXISTS ");
		name_list_add(&s->tables, arena, take_word(&line));
	} else if (take_words(&line, "CREATE INDEX ") ||
		   take_words(&line, "CREATE UNIQUE INDEX ")) {
		(void)take_words(&line, "IF NOT EXISTS ");
		name_list_add(&s->indexes, arena, take_word(&line));
	} else if (take_words(&line, "ALTER TABLE ")) {
		struct str table = take_word(&line);

		line = str_trim(line);
		if (take_words(&line, "ADD COLUMN ")) {
			(void)take_words(&line, "IF NOT EXISTS ");
			struct str column = take_word(&line);
			name_list_add(&s->columns, arena,
				      str_of(arena_printf(arena, STR_FMT "." STR_FMT,
							  STR_ARG(table), STR_ARG(column))));
		}
	}
}

void
survey_plan(const struct db *db, struct arena *arena, struct survey *s)
{
	const char *text;

	for (int64_t n = s->schema + 1; (text = migrate_sql(db, n)) != NULL; n++) {
		struct str rest = str_of(text);
		struct str line;

		while (str_split(&rest, '\n', &line))
			plan_line(line, arena, s);
	}
}
