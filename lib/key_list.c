/* SPDX-License-Identifier: MIT
 *
 * Keys in the DB looked at: counted, paged for people, walked through in order of
 * their ids for what goes over all of them; and what is noted beside one.
 */
#include "lib/key.h"

#include "lib/clock.h"
#include "lib/limits.h"
#include "lib/str.h"
#include "lib/where.h"

/* --- counting and listing --- */

enum err
key_counts(struct db *db, int64_t group_id, struct key_counts *ret)
{
	struct key_counts counts = {0};
	struct db_rows *rows = NULL;
	enum err e =
	    db_query(db, "SELECT status, COUNT(*) FROM api_keys WHERE group_id = ? GROUP BY status",
		     DB_ARGS(db_int(group_id)), &rows);

	while (e == ERR_OK && db_next(rows, &e)) {
		struct str status = db_col_text(rows, 0);
		int64_t n = db_col_int(rows, 1);
		counts.total += n;
		if (str_is(status, "active"))
			counts.active += n;
		else if (str_is(status, "disabled"))
			counts.disabled += n;
		else
			counts.invalid += n;
	}
	db_rows_done(rows);
	if (e == ERR_OK)
		*ret = counts;
	return e;
}

static void
read_row(struct db_rows *rows, const struct crypt *crypt, struct buf *plain, struct arena *arena,
	 struct key_row *ret)
{
	buf_clear(plain);
	ret->readable =
	    crypt_decrypt(crypt, db_col_text(rows, 2), plain) == ERR_OK && buf_err(plain) == ERR_OK;
	ret->id = db_col_int(rows, 0);
	ret->group_id = db_col_int(rows, 1);
	ret->value = ret->readable ? arena_str(arena, buf_view(plain)) : STR(KEY_UNREADABLE);
	ret->hash = arena_str(arena, db_col_text(rows, 3));
	ret->status = arena_str(arena, db_col_text(rows, 4));
	ret->notes = arena_str(arena, db_col_text(rows, 5));
	ret->request_count = db_col_int(rows, 6);
	ret->failure_count = db_col_int(rows, 7);
	ret->last_used_at = db_col_time(rows, 8);
	ret->created_at = db_col_time(rows, 9);
	ret->updated_at = db_col_time(rows, 10);
	ret->reason = arena_str(arena, db_col_text(rows, 11));
	ret->last_status = db_col_int(rows, 12);
	ret->last_error = arena_str(arena, db_col_text(rows, 13));
	ret->failed_at = db_col_time(rows, 14);
}

#define PAGE_COLUMNS                                                                               \
	"SELECT id, group_id, key_value, key_hash, status, notes, request_count, failure_count, "  \
	"last_used_at, created_at, updated_at, gptl_disabled_reason, "                             \
	"gptl_last_status, gptl_last_error, gptl_failed_at"

/* Keys that are idle are of two stretches of the index by use, or of one. */
enum use {
	USE_ANY,  /* as the query says */
	USE_LONG, /* those that were used, before q->idle_since */
	USE_NEVER,
};

static void
add_use(struct where *w, const struct key_query *q, enum use use)
{
	if (use == USE_NEVER || q->never_used) {
		where_text(w, " AND last_used_at IS NULL");
	} else if (use == USE_LONG) {
		where_arg(w, " AND last_used_at < ?", db_time(q->idle_since));
	} else if (q->idle_since > 0) {
		where_arg(w, " AND (last_used_at IS NULL OR last_used_at < ?)",
			  db_time(q->idle_since));
	}
}

static void
add_filters_of(struct where *w, const struct key_query *q, enum use use, struct arena *arena)
{
	/* A key is found by its hash, never among all of its group: hence the '+'. */
	if (q->hash.n > 0)
		where_arg(w, " FROM api_keys WHERE +group_id = ?", db_int(q->group_id));
	else
		where_arg(w, " FROM api_keys WHERE group_id = ?", db_int(q->group_id));
	if (q->status.n > 0)
		where_arg(w, " AND status = ?", db_text(q->status));
	if (q->hash.n > 0)
		where_arg(w, " AND key_hash = ?", db_text(q->hash));
	if (q->contains.n > 0) {
		struct db_arg part = db_text(where_like(q->contains, arena));
		where_arg(w, " AND (notes LIKE ? ESCAPE '!'", part);
		where_arg(w, " OR gptl_last_error LIKE ? ESCAPE '!')", part);
	}
	add_use(w, q, use);
}

static void
add_filters(struct where *w, const struct key_query *q, struct arena *arena)
{
	add_filters_of(w, q, USE_ANY, arena);
}

static void
add_order(struct where *w, const struct key_query *q, bool ascending, enum db_dialect dialect)
{
	static const char *const orders[][2] = {
	    [KEY_BY_USE] = {" ORDER BY last_used_at DESC, id DESC", " ORDER BY last_used_at, id"},
	    [KEY_BY_AGE] = {" ORDER BY id DESC", " ORDER BY id"},
	    [KEY_BY_REQUESTS] = {" ORDER BY request_count DESC, id DESC",
				 " ORDER BY request_count, id"},
	    [KEY_BY_FAILURES] = {" ORDER BY failure_count DESC, id DESC",
				 " ORDER BY failure_count, id"},
	};

	/* Elsewhere NULL, which is "never used", counts as the smallest. */
	if (q->order == KEY_BY_USE && dialect == DB_PGSQL)
		where_text_of(w, ascending ? " ORDER BY last_used_at NULLS FIRST, id"
					   : " ORDER BY last_used_at DESC NULLS LAST, id DESC");
	else
		where_text_of(w, orders[q->order][ascending]);
}

/* Up to `limit` rows of a query of PAGE_COLUMNS. */
static enum err
read_rows(struct db *db, const struct crypt *crypt, const struct where *w, size_t limit,
	  struct arena *arena, struct key_row *list, size_t *ret_n)
{
	struct db_rows *rows = NULL;
	struct buf plain;
	size_t n = 0;

	buf_init(&plain, LIMIT_KEY_BYTES);
	enum err e = where_query(w, db, &rows);
	while (e == ERR_OK && n < limit && db_next(rows, &e))
		read_row(rows, crypt, &plain, arena, &list[n++]);
	db_rows_done(rows);
	wipe(plain.p, plain.n);
	buf_done(&plain);
	*ret_n = n;
	return e;
}

/* The ids of a page are found in an index alone, whichever rows are passed over before
 * them, from the end that is nearer; then their rows are read. CROSS JOIN is what SQLite
 * keeps in this order. */
static void
add_page(struct where *w, const struct key_query *q, struct arena *arena, enum db_dialect dialect)
{
	int64_t total = q->total;
	bool from_end = q->offset > total / 2 && q->offset < total;
	int64_t end = MIN(q->offset + q->limit, total);

	where_text(w, PAGE_COLUMNS " FROM (SELECT id AS page_id");
	add_filters(w, q, arena);
	add_order(w, q, q->ascending != from_end, dialect);
	where_arg(w, " LIMIT ?", db_int(from_end ? end - q->offset : q->limit));
	where_arg(w, " OFFSET ?", db_int(from_end ? total - end : q->offset));
	where_text(w, ") page CROSS JOIN api_keys WHERE id = page_id");
	add_order(w, q, q->ascending, dialect);
}

enum err
key_page(struct db *db, const struct crypt *crypt, const struct key_query *q, struct arena *arena,
	 struct key_found *ret)
{
	struct where w;

	*ret = (struct key_found){.total = q->total};
	ret->v = arena_alloc(arena, (size_t)q->limit * sizeof(*ret->v));
	where_init(&w);
	add_page(&w, q, arena, db_dialect(db));
	enum err e = read_rows(db, crypt, &w, (size_t)q->limit, arena, ret->v, &ret->n);
	where_done(&w);
	return e;
}

/* --- searching --- */

/* Keys that were used and such that were not stand apart in the index, however far it is
 * from its beginning to the first of them. */
static bool
in_stretches(const struct key_query *q)
{
	return q->idle_since > 0 && !q->never_used && q->order == KEY_BY_USE;
}

/* What of them is read: a page near the beginning from both, as far as it may reach into
 * either; of one far away the rows before it are passed over in the index. */
struct reach {
	int64_t first; /* offsets */
	int64_t second;
	int64_t both;
	int64_t limit; /* of each */
};
#define FAR_PAGES 5

static enum use
stretch_of(const struct key_query *q, bool second)
{
	return q->ascending == second ? USE_LONG : USE_NEVER;
}

static enum err
find_reach(struct db *db, const struct key_query *q, struct arena *arena, struct reach *ret)
{
	int64_t n = 0;
	struct where w;

	*ret = (struct reach){.both = q->offset, .limit = q->offset + q->limit};
	if (!in_stretches(q) || q->offset < FAR_PAGES * q->limit)
		return ERR_OK;
	where_init(&w);
	where_text(&w, "SELECT COUNT(*)");
	add_filters_of(&w, q, stretch_of(q, false), arena);
	enum err e = where_query_int(&w, db, &n);
	where_done(&w);
	*ret = (struct reach){
	    .first = q->offset, .second = MAX(q->offset - n, (int64_t)0), .limit = q->limit};
	return e;
}

static void
add_stretch(struct where *w, const struct key_query *q, const struct reach *reach, bool second,
	    struct arena *arena, enum db_dialect dialect)
{
	where_text(w, "SELECT id, last_used_at FROM (SELECT id, last_used_at");
	add_filters_of(w, q, stretch_of(q, second), arena);
	add_order(w, q, q->ascending, dialect);
	where_arg(w, " LIMIT ?", db_int(reach->limit));
	where_arg(w, " OFFSET ?) stretch", db_int(second ? reach->second : reach->first));
}

static void
add_found(struct where *w, const struct key_query *q, const struct reach *reach,
	  struct arena *arena, enum db_dialect dialect)
{
	where_text(w, "SELECT id");
	if (in_stretches(q)) {
		where_text(w, " FROM (");
		add_stretch(w, q, reach, false, arena, dialect);
		where_text(w, " UNION ALL ");
		add_stretch(w, q, reach, true, arena, dialect);
		where_text(w, ") stretches");
	} else {
		add_filters(w, q, arena);
	}
	add_order(w, q, q->ascending, dialect);
	where_arg(w, " LIMIT ?", db_int(q->limit));
	where_arg(w, " OFFSET ?", db_int(reach->both));
}

/* What was found before the time was over is kept. */
static enum err
find_page(struct db *db, const struct key_query *q, struct arena *arena, int64_t *ids, size_t *n)
{
	struct db_rows *rows = NULL;
	struct reach reach;
	struct where w;
	enum err e = db_begin_bounded(db, LIMIT_KEY_SEARCH_MS);

	if (e != ERR_OK)
		return e;
	where_init(&w);
	e = find_reach(db, q, arena, &reach);
	if (e == ERR_OK) {
		add_found(&w, q, &reach, arena, db_dialect(db));
		e = where_query(&w, db, &rows);
	}
	while (e == ERR_OK && *n < (size_t)q->limit && db_next(rows, &e))
		ids[(*n)++] = db_col_int(rows, 0);
	db_rows_done(rows);
	where_done(&w);
	db_rollback(db);
	return e;
}

#define IDS_AT_ONCE 100

/* Up to IDS_AT_ONCE rows, in the order of the query. */
static enum err
read_these(struct db *db, const struct crypt *crypt, const struct key_query *q, const int64_t *ids,
	   size_t n, struct arena *arena, struct key_found *ret)
{
	struct where w;
	size_t got = 0;

	where_init(&w);
	where_text(&w, PAGE_COLUMNS " FROM api_keys WHERE id IN (");
	for (size_t i = 0; i < n; i++)
		where_arg_of(&w, i > 0 ? ", ?" : "?", db_int(ids[i]));
	where_text(&w, ")");
	add_order(&w, q, q->ascending, db_dialect(db));
	enum err e = read_rows(db, crypt, &w, n, arena, ret->v + ret->n, &got);
	where_done(&w);
	ret->n += got;
	return e;
}

static enum err
count_found(struct db *db, const struct key_query *q, struct arena *arena, int64_t *ret)
{
	bool stretches = q->idle_since > 0 && !q->never_used;
	struct where w;
	enum err e = db_begin_bounded(db, LIMIT_KEY_COUNT_MS);

	if (e != ERR_OK)
		return e;
	where_init(&w);
	where_text(&w, "SELECT (SELECT COUNT(*)");
	add_filters_of(&w, q, stretches ? USE_LONG : USE_ANY, arena);
	if (stretches) {
		where_text(&w, ") + (SELECT COUNT(*)");
		add_filters_of(&w, q, USE_NEVER, arena);
	}
	where_text(&w, ")");
	e = where_query_int(&w, db, ret);
	where_done(&w);
	db_rollback(db);
	return e;
}

/* The last page, when it is not the first and empty, says it itself. */
static enum err
find_total(struct db *db, const struct key_query *q, struct arena *arena, struct key_found *ret)
{
	int64_t so_far = ret->n > 0 ? q->offset + (int64_t)ret->n : 0;
	bool last = (int64_t)ret->n < q->limit && (ret->n > 0 || q->offset == 0);

	ret->total = so_far;
	ret->capped = ret->stopped;
	if (ret->stopped || last)
		return ERR_OK;
	enum err e = count_found(db, q, arena, &ret->total);
	if (e != ERR_TIMEOUT)
		return e;
	ret->total = ret->n > 0 ? so_far + 1 : 0;
	ret->capped = true;
	return ERR_OK;
}

enum err
key_search(struct db *db, const struct crypt *crypt, const struct key_query *q, struct arena *arena,
	   struct key_found *ret)
{
	int64_t *ids = arena_alloc(arena, (size_t)q->limit * sizeof(*ids));
	size_t n = 0;
	enum err e = find_page(db, q, arena, ids, &n);

	*ret = (struct key_found){.stopped = e == ERR_TIMEOUT};
	if (ret->stopped)
		e = ERR_OK;
	ret->v = arena_alloc(arena, MAX(n, (size_t)1) * sizeof(*ret->v));
	for (size_t i = 0; i < n && e == ERR_OK; i += IDS_AT_ONCE)
		e = read_these(db, crypt, q, ids + i, MIN(n - i, (size_t)IDS_AT_ONCE), arena, ret);
	return e == ERR_OK ? find_total(db, q, arena, ret) : e;
}

enum err
key_scan(struct db *db, const struct crypt *crypt, const struct key_query *q, int64_t after_id,
	 struct arena *arena, struct key_row **ret, size_t *ret_n)
{
	struct key_row *list = arena_alloc(arena, (size_t)q->limit * sizeof(*list));
	struct where w;

	where_init(&w);
	where_text(&w, PAGE_COLUMNS);
	add_filters(&w, q, arena);
	where_arg(&w, " AND id > ?", db_int(after_id));
	where_arg(&w, " ORDER BY id LIMIT ?", db_int(q->limit));
	enum err e = read_rows(db, crypt, &w, (size_t)q->limit, arena, list, ret_n);
	where_done(&w);
	*ret = list;
	return e;
}

enum err
key_get(struct db *db, const struct crypt *crypt, int64_t id, struct arena *arena,
	struct key_row *ret, struct errinfo *info)
{
	struct where w;
	size_t n = 0;

	where_init(&w);
	where_text(&w, PAGE_COLUMNS);
	where_arg(&w, " FROM api_keys WHERE id = ?", db_int(id));
	enum err e = read_rows(db, crypt, &w, 1, arena, ret, &n);
	where_done(&w);
	if (e == ERR_OK && n == 0)
		return err_set(info, ERR_NOT_FOUND, "there is no key %lld", (long long)id);
	return e;
}

/* --- what is noted beside a key --- */

static size_t
count_chars(struct str s)
{
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++)
		n += ((unsigned char)s.p[i] & 0xc0) != 0x80;
	return n;
}

/* `sql` sets a column to the text, updated_at, and names the row. */
static enum err
set_text(struct db *db, const char *sql, const char *field, int64_t id, struct str text,
	 struct errinfo *info)
{
	int64_t changed = 0;

	text = str_trim(text);
	if (!utf8_valid(text) || count_chars(text) > LIMIT_NOTE_CHARS)
		return err_set(info, ERR_VALIDATION, "\"%s\" may have %d characters at most", field,
			       LIMIT_NOTE_CHARS);
	if (str_has_control(text, true))
		return err_set(info, ERR_VALIDATION, "\"%s\" must not hold control characters",
			       field);
	enum err e = db_exec(db, sql, DB_ARGS(db_text(text), db_time(clock_wall_us()), db_int(id)),
			     &changed);
	if (e == ERR_OK && changed == 0)
		return err_set(info, ERR_NOT_FOUND, "there is no key %lld", (long long)id);
	return e;
}

enum err
key_set_notes(struct db *db, int64_t id, struct str notes, struct errinfo *info)
{
	return set_text(db, "UPDATE api_keys SET notes = ?, updated_at = ? WHERE id = ?", "notes",
			id, notes, info);
}

enum err
key_set_reason(struct db *db, int64_t id, struct str reason, struct errinfo *info)
{
	return set_text(db,
			"UPDATE api_keys SET gptl_disabled_reason = ?, updated_at = ? WHERE id = ?",
			"reason", id, reason, info);
}

typedef enum err (*set_one_fn)(struct db *db, int64_t id, struct str text, struct errinfo *info);

static enum err
set_each(struct db *db, set_one_fn set_one, const int64_t *ids, size_t n, struct str text,
	 struct errinfo *info)
{
	enum err e = db_begin(db);

	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < n && e == ERR_OK; i++)
		e = set_one(db, ids[i], text, info);
	if (e == ERR_OK)
		e = db_commit(db);
	if (e != ERR_OK)
		db_rollback(db);
	return e;
}

enum err
key_set_notes_of(struct db *db, const int64_t *ids, size_t n, struct str notes,
		 struct errinfo *info)
{
	return set_each(db, key_set_notes, ids, n, notes, info);
}

enum err
key_set_reasons(struct db *db, const int64_t *ids, size_t n, struct str reason,
		struct errinfo *info)
{
	return set_each(db, key_set_reason, ids, n, reason, info);
}
