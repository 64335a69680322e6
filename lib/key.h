/* SPDX-License-Identifier: MIT
 *
 * The entity "key" in the DB: keys given as text, adding, finding, deleting,
 * listing, counting. State (who is out, who rests) is the pool's; the columns
 * here follow it (publish.h), and every change of which keys exist writes the
 * outbox row that makes the pool follow.
 *
 * Duplicates within a group are left out here, under a lock on the group: the
 * table has no unique index, since groups taken over may hold duplicates.
 */
#ifndef LIB_KEY_H
#define LIB_KEY_H

#include "lib/arena.h"
#include "lib/crypt.h"
#include "lib/db.h"

enum key_fault_kind {
	KEY_FAULT_LONG,
	KEY_FAULT_CHARACTER,
	KEY_FAULT_NO_TEXT, /* an entry of a JSON array that is no string */
	KEY_FAULT__MAX
};

/* What was left out of a text. */
struct key_fault {
	size_t line; /* of the text, or the number of the array's entry; from 1 */
	enum key_fault_kind kind;
	struct str sample; /* masked; in the arena */
};
struct key_faults {
	struct key_fault *v; /* the first LIMIT_KEY_FAULTS of them; in the arena */
	size_t n;            /* of all; v has MIN(n, LIMIT_KEY_FAULTS) */
};

/* Keys as somebody pasted them: each once, in order. */
struct key_text {
	struct str *v; /* in the arena */
	size_t n;
	size_t given; /* before repeats were left out */
	struct key_faults faults;
};

/* A JSON array of strings, or anything separated by white space, commas and
 * semicolons. ERR_VALIDATION: none in it, more than `max`, one that is too long or
 * holds a control character, or text that begins like an array and is none. */
enum err key_text_parse(struct str text, size_t max, struct arena *arena, struct key_text *ret,
			struct errinfo *info) MUST_CHECK;
/* The same, but single keys that are no good are left out and told in ret->faults.
 * ERR_VALIDATION when none is left: only with `some`. */
enum err key_text_sift(struct str text, size_t max, bool some, struct arena *arena,
		       struct key_text *ret, struct errinfo *info) MUST_CHECK;

/* Adds those that the group does not have yet, as active, in one transaction.
 * ERR_NOT_FOUND: no such group. ERR_VALIDATION: an aggregate has no keys. ERR_CRYPT:
 * the keys that are there were stored with another ENCRYPTION_KEY. */
enum err key_add(struct db *db, const struct crypt *crypt, int64_t group_id, const struct str *keys,
		 size_t n, size_t *ret_added, struct errinfo *info) MUST_CHECK;

/* The same inside the caller's transaction; *ret_added grows. */
enum err key_add_within(struct db *db, const struct crypt *crypt, int64_t group_id,
			const struct str *keys, size_t n, size_t *ret_added, struct errinfo *info)
    MUST_CHECK;

/* Ids of keys, ascending; malloc'ed. */
struct key_ids {
	int64_t *v;
	size_t n;
	size_t cap;
};
void key_ids_done(struct key_ids *ids);

/* The rows that hold these keys: more than one each where a group holds duplicates. */
enum err key_find(struct db *db, const struct crypt *crypt, int64_t group_id,
		  const struct str *keys, size_t n, struct key_ids *ret) MUST_CHECK;
/* Those of `wanted` (ascending, each once) that are the group's. */
enum err key_find_ids(struct db *db, int64_t group_id, const int64_t *wanted, size_t n,
		      struct key_ids *ret) MUST_CHECK;
/* How many of these keys, each given once, the group has. */
enum err key_count_there(struct db *db, const struct crypt *crypt, int64_t group_id,
			 const struct str *keys, size_t n, size_t *ret) MUST_CHECK;
/* The rows whose column `status` says invalid. */
enum err key_find_invalid(struct db *db, int64_t group_id, struct key_ids *ret) MUST_CHECK;

/* One transaction; ids (ascending) that are not the group's are left alone. */
enum err key_delete(struct db *db, int64_t group_id, const int64_t *ids, size_t n,
		    size_t *ret_deleted) MUST_CHECK;
/* The same inside the caller's transaction; *ret_deleted grows. */
enum err key_delete_within(struct db *db, int64_t group_id, const int64_t *ids, size_t n,
			   size_t *ret_deleted) MUST_CHECK;
/* All keys of the group. */
enum err key_clear(struct db *db, int64_t group_id, size_t *ret_deleted) MUST_CHECK;

struct key_counts {
	int64_t total;
	int64_t active;
	int64_t invalid;
	int64_t disabled;
};
/* By the column `status`. An unknown group has no keys. */
enum err key_counts(struct db *db, int64_t group_id, struct key_counts *ret) MUST_CHECK;

/* A page's order; the newest come first among equals, or last where it is ascending. */
enum key_order {
	KEY_BY_USE,
	KEY_BY_AGE,
	KEY_BY_REQUESTS,
	KEY_BY_FAILURES
};

struct key_query {
	int64_t group_id;
	struct str status;   /* empty: any */
	struct str hash;     /* hex; empty: any */
	struct str contains; /* part of the note or of the last error; empty: any */
	int64_t idle_since;  /* µs: last used before that, or never; 0: any */
	bool never_used;
	enum key_order order;
	bool ascending;
	int64_t offset;
	int64_t limit;
	int64_t total; /* how many there are, where it is known; else 0 */
};

/* One row; text in the arena. */
struct key_row {
	int64_t id;
	int64_t group_id;
	struct str value; /* in clear, or KEY_UNREADABLE */
	bool readable;
	struct str hash;
	struct str status;
	struct str notes;
	struct str reason; /* of having been disabled by hand */
	/* Of the last failure, as the DB last heard of it. */
	int64_t last_status;
	struct str last_error;
	int64_t failed_at; /* µs; 0: none */
	int64_t request_count;
	int64_t failure_count;
	int64_t last_used_at; /* µs; 0: never */
	int64_t created_at;
	int64_t updated_at;
};

/* A page of rows that were looked for. */
struct key_found {
	struct key_row *v;
	size_t n;
	int64_t total; /* without offset and limit */
	bool capped;   /* the total is a lower bound */
	bool stopped;  /* time was over before the page was full */
};

/* What stands for a value that cannot be decrypted. */
#define KEY_UNREADABLE "failed-to-decrypt"

/* As q->order says; never used is the longest ago. There are q->total: a page beyond the
 * middle is reached from the end, and is off by as many as that is wrong. */
enum err key_page(struct db *db, const struct crypt *crypt, const struct key_query *q,
		  struct arena *arena, struct key_found *ret) MUST_CHECK;

/* The same where nobody knows how many there are, and a filter may have to go over all of
 * the group's keys: for LIMIT_KEY_SEARCH_MS at most, and what was found by then is kept. */
enum err key_search(struct db *db, const struct crypt *crypt, const struct key_query *q,
		    struct arena *arena, struct key_found *ret) MUST_CHECK;

/* The next q->limit rows after this id, in order of ids; offset is not looked at. */
enum err key_scan(struct db *db, const struct crypt *crypt, const struct key_query *q,
		  int64_t after_id, struct arena *arena, struct key_row **ret, size_t *ret_n)
    MUST_CHECK;
/* ERR_NOT_FOUND, likewise the next two; those: ERR_VALIDATION when it is too long. */
enum err key_get(struct db *db, const struct crypt *crypt, int64_t id, struct arena *arena,
		 struct key_row *ret, struct errinfo *info) MUST_CHECK;
enum err key_set_notes(struct db *db, int64_t id, struct str notes, struct errinfo *info)
    MUST_CHECK;
enum err key_set_reason(struct db *db, int64_t id, struct str reason, struct errinfo *info)
    MUST_CHECK;
/* The same for several, all or none. */
enum err key_set_notes_of(struct db *db, const int64_t *ids, size_t n, struct str notes,
			  struct errinfo *info) MUST_CHECK;
enum err key_set_reasons(struct db *db, const int64_t *ids, size_t n, struct str reason,
			 struct errinfo *info) MUST_CHECK;

/* --- showing keys --- */
/* The first and last four bytes around asterisks; a short key is asterisks alone. */
struct str key_mask(struct str key, struct arena *arena);
/* Each item of a comma-separated list masked. */
struct str key_mask_list(struct str list, struct arena *arena);
/* A list that was shown masked and came back: an item that is the mask of one in
 * `old` becomes that one again (each of `old` once), others stay. */
struct str key_unmask_list(struct str list, struct str old, struct arena *arena);
/* Comma- or newline-separated keys, each trimmed, once, joined by commas.
 * ERR_VALIDATION, naming `field`: control characters, too many. */
enum err key_list_clean(struct str list, const char *field, struct arena *arena, struct str *ret,
			struct errinfo *info) MUST_CHECK;

#endif
