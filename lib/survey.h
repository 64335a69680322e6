/* SPDX-License-Identifier: MIT
 *
 * What a database is and holds, and what would be added to it, before anything is
 * touched: for `gpt-load check-config`, and for whoever is about to take over an
 * installation of GPT-Load 1.4. Only reads.
 */
#ifndef LIB_SURVEY_H
#define LIB_SURVEY_H

#include "lib/arena.h"
#include "lib/crypt.h"
#include "lib/db.h"

enum survey_kind {
	SURVEY_EMPTY,    /* no tables of ours or the original's */
	SURVEY_ORIGINAL, /* GPT-Load 1.4's, not taken over yet */
	SURVEY_OURS
};

/* Names, in the arena. */
struct name_list {
	struct str *v;
	size_t n;
	size_t cap;
};

struct survey {
	bool whole; /* all of it was looked at */
	enum survey_kind kind;
	int64_t schema; /* the last migration done; 0: none */
	int64_t groups;
	int64_t keys;
	int64_t without_hash;
	int64_t repeated;   /* keys that their group has already */
	int64_t unreadable; /* keys that do not open with the crypt at hand */
	int64_t logs;
	int64_t hours; /* rows of group_hourly_stats */
	bool encrypted;
	bool both_run; /* GPT-Load 1.4 writes to it while we run */

	/* what would be added; tables of an empty database are not listed */
	struct name_list tables;
	struct name_list columns; /* "table.column" */
	struct name_list indexes;
	struct name_list settings;
	/* what versions before 1.4 left behind, and stays */
	struct name_list legacy;
};

/* ERR_CONF: another program's database, one of GPT-Load before 1.4, or the stored keys
 * do not open; in the last case *ret is whole. Goes over all keys. */
enum err survey_run(const struct conf *conf, struct db *db, const struct crypt *crypt,
		    struct arena *arena, struct survey *ret, struct errinfo *info) MUST_CHECK;

/* --- between survey.c and survey_plan.c --- */
void name_list_add(struct name_list *list, struct arena *arena, struct str name);
/* What the migrations after s->schema add. */
void survey_plan(const struct db *db, struct arena *arena, struct survey *s);

#endif
