/* SPDX-License-Identifier: MIT
 *
 * Log rows to sums, and sums to the DB. Sums are kept in a list that is sorted and
 * merged when it is written or has grown. All that is written comes at the end and in
 * order of its table's key, as every writer does, so that two nodes do not lock each
 * other out.
 */
#include "lib/rollup.h"
#include "lib/clock.h"
#include "lib/limits.h"
#include "lib/str.h"

#include <stdio.h>
#include <stdlib.h>

#define US_PER_S 1000000
/* Merged when it has grown to this. */
#define MERGE_AT 8192
/* Rows of one statement. */
#define ROWS_AT_ONCE 16
#define COLUMNS      15

struct sum {
	int step;
	enum rollup_kind kind;
	int64_t time;
	int64_t group_id;
	struct str item;
	int slot;
	int64_t requests;
	int64_t errors;
	int64_t retries;
	int64_t prompt;
	int64_t completion;
	int64_t classes[4]; /* 2xx … 5xx */
};

/* The items of a kind, group and day that are counted by themselves. */
struct known {
	int64_t day;
	enum rollup_kind kind;
	int64_t group_id;
	struct str *items;
	size_t n;
	size_t stored; /* of those: the DB has them; what comes after them is new */
	size_t max;
};

struct rollup {
	struct arena arena; /* texts, and lists of known items */
	int64_t now;        /* s, when it began */
	struct sum *sums;
	size_t n;
	size_t cap;
	struct known *known;
	size_t n_known;
};

struct rollup *
rollup_new(void)
{
	struct rollup *r = xcalloc(1, sizeof(*r));

	arena_init(&r->arena, 16 * 1024);
	r->now = clock_wall_us() / US_PER_S;
	return r;
}

void
rollup_free(struct rollup *r)
{
	if (r == NULL)
		return;
	arena_done(&r->arena);
	free(r->known);
	free(r->sums);
	free(r);
}

/* --- latencies --- */

/* 2^(1/4), 2^(1/2), 2^(3/4) in 2^-20. */
static const uint64_t quarters[3] = {1246974, 1482911, 1763488};

int
rollup_slot(int64_t ms)
{
	int octave;
	int slot;

	if (ms < 1)
		return 0;
	octave = 63 - __builtin_clzll((uint64_t)ms);
	if (octave > 40)
		return ROLLUP_SLOTS - 1;
	slot = 1 + 4 * octave;
	for (int i = 0; i < 3; i++)
		slot += (((uint64_t)ms << 20) >> octave) >= quarters[i];
	return MIN(slot, ROLLUP_SLOTS - 1);
}

/* Where a slot begins, in ms. */
static double
slot_start(int slot)
{
	int quarter = (slot - 1) % 4;
	double low = slot > 0 ? (double)(UINT64_C(1) << ((slot - 1) / 4)) : 0;

	return quarter > 0 ? low * (double)quarters[quarter - 1] / (1 << 20) : low;
}

int64_t
rollup_percentile(const int64_t slots[ROLLUP_SLOTS], int percent)
{
	int64_t all = 0;
	int64_t before = 0;

	for (int i = 0; i < ROLLUP_SLOTS; i++)
		all += slots[i];
	if (all <= 0)
		return -1;
	/* The rank, from 1, of the one that is asked for. */
	int64_t rank = MAX((all * percent + 99) / 100, 1);

	for (int i = 0; i < ROLLUP_SLOTS; before += slots[i++]) {
		double share;

		if (before + slots[i] < rank)
			continue;
		share = ((double)(rank - before) - 0.5) / (double)slots[i];
		return (int64_t)(slot_start(i) + share * (slot_start(i + 1) - slot_start(i)));
	}
	return -1;
}

/* --- which items are counted by themselves --- */

static const char *const find_items =
    "SELECT item FROM gptl_rollup_items WHERE day = ? AND kind = ? AND group_id = ?";

static enum err
load_known(struct rollup *r, struct db *db, struct known *k)
{
	struct db_rows *rows = NULL;
	enum err e =
	    db_query(db, find_items,
		     DB_ARGS(db_int(k->day), db_int((int64_t)k->kind), db_int(k->group_id)), &rows);

	k->max = k->kind == ROLLUP_KEY || k->kind == ROLLUP_PARENT_KEY ? LIMIT_ROLLUP_KEYS
								       : LIMIT_ROLLUP_MODELS;
	k->items = arena_alloc(&r->arena, k->max * sizeof(*k->items));
	while (e == ERR_OK && db_next(rows, &e))
		if (k->n < k->max)
			k->items[k->n++] = arena_str(&r->arena, db_col_text(rows, 0));
	k->stored = k->n;
	db_rows_done(rows);
	return e;
}

static enum err
find_known(struct rollup *r, struct db *db, int64_t day, enum rollup_kind kind, int64_t group_id,
	   struct known **ret)
{
	struct known *k;
	enum err e;

	for (size_t i = r->n_known; i-- > 0;) {
		k = &r->known[i];
		if (k->day == day && k->kind == kind && k->group_id == group_id) {
			*ret = k;
			return ERR_OK;
		}
	}
	r->known = xrealloc(r->known, (r->n_known + 1) * sizeof(*r->known));
	k = &r->known[r->n_known];
	*k = (struct known){.day = day, .kind = kind, .group_id = group_id};
	e = load_known(r, db, k);
	if (e != ERR_OK)
		return e;
	r->n_known++;
	*ret = k;
	return ERR_OK;
}

/* *item becomes the one that it is counted under; it lives as long as the sums. */
static enum err
settle_item(struct rollup *r, struct db *db, int64_t day, enum rollup_kind kind, int64_t group_id,
	    struct str *item)
{
	struct known *k = NULL;
	enum err e = find_known(r, db, day, kind, group_id, &k);

	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < k->n; i++)
		if (str_eq(k->items[i], *item)) {
			*item = k->items[i];
			return ERR_OK;
		}
	if (k->n == k->max) {
		*item = STR(ROLLUP_OTHER);
		return ERR_OK;
	}
	*item = k->items[k->n++] = arena_str(&r->arena, *item);
	return ERR_OK;
}

static int
by_known(const void *a, const void *b)
{
	const struct known *x = a;
	const struct known *y = b;

	if (x->day != y->day)
		return x->day < y->day ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	return x->group_id < y->group_id ? -1 : x->group_id > y->group_id;
}

static int
by_text(const void *a, const void *b)
{
	return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static enum err
write_new(struct db *db, struct known *k)
{
	static const struct sql insert = {
	    .sqlite = "INSERT INTO gptl_rollup_items (day, kind, group_id, item) "
		      "VALUES (?, ?, ?, ?) ON CONFLICT (day, kind, group_id, item) DO NOTHING",
	    .mysql = "INSERT INTO gptl_rollup_items (day, kind, group_id, item) "
		     "VALUES (?, ?, ?, ?) ON DUPLICATE KEY UPDATE day = day",
	};
	enum err e = ERR_OK;

	qsort(k->items + k->stored, k->n - k->stored, sizeof(*k->items), by_text);
	for (; k->stored < k->n && e == ERR_OK; k->stored++)
		e = db_exec(db, db_pick(db, &insert),
			    DB_ARGS(db_int(k->day), db_int((int64_t)k->kind), db_int(k->group_id),
				    db_text(k->items[k->stored])),
			    NULL);
	return e;
}

static enum err
write_items(struct rollup *r, struct db *db)
{
	enum err e = ERR_OK;

	if (r->n_known > 1)
		qsort(r->known, r->n_known, sizeof(*r->known), by_known);
	for (size_t i = 0; i < r->n_known && e == ERR_OK; i++)
		e = write_new(db, &r->known[i]);
	return e;
}

/* --- adding up --- */

static int
by_place(const void *a, const void *b)
{
	const struct sum *x = a;
	const struct sum *y = b;
	int order;

	if (x->step != y->step)
		return x->step < y->step ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->time != y->time)
		return x->time < y->time ? -1 : 1;
	if (x->group_id != y->group_id)
		return x->group_id < y->group_id ? -1 : 1;
	order = memcmp(x->item.p, y->item.p, MIN(x->item.n, y->item.n));
	if (order != 0)
		return order;
	if (x->item.n != y->item.n)
		return x->item.n < y->item.n ? -1 : 1;
	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

static void
merge(struct rollup *r)
{
	size_t kept = 0;

	if (r->n == 0)
		return;
	qsort(r->sums, r->n, sizeof(*r->sums), by_place);
	for (size_t i = 1; i < r->n; i++) {
		const struct sum *from = &r->sums[i];
		struct sum *to = &r->sums[kept];

		if (by_place(to, from) != 0) {
			r->sums[++kept] = *from;
			continue;
		}
		to->requests += from->requests;
		to->errors += from->errors;
		to->retries += from->retries;
		to->prompt += from->prompt;
		to->completion += from->completion;
		for (size_t c = 0; c < ARRAY_LEN(to->classes); c++)
			to->classes[c] += from->classes[c];
	}
	r->n = kept + 1;
}

static void
push(struct rollup *r, const struct sum *s)
{
	if (r->n == r->cap) {
		if (r->cap >= MERGE_AT)
			merge(r);
		if (r->n * 2 >= r->cap) {
			r->cap = MAX(2 * r->cap, (size_t)1024);
			r->sums = xrealloc(r->sums, r->cap * sizeof(*r->sums));
		}
	}
	r->sums[r->n++] = *s;
}

static void
push_steps(struct rollup *r, struct sum s, int64_t seconds)
{
	static const struct {
		int step;
		int64_t kept;
	} steps[] = {{ROLLUP_MINUTE, ROLLUP_KEEP_MINUTES},
		     {ROLLUP_HOUR, ROLLUP_KEEP_HOURS},
		     {ROLLUP_DAY, INT64_MAX}};

	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		/* What would go at once again need not be written. */
		if (r->now - seconds > steps[i].kept)
			continue;
		s.step = steps[i].step;
		s.time = seconds - seconds % steps[i].step;
		push(r, &s);
	}
}

static struct str
number_text(struct arena *arena, int64_t number)
{
	char text[24];
	int n = snprintf(text, sizeof(text), "%lld", (long long)number);

	return arena_str(arena, (struct str){text, (size_t)n});
}

/* What one row adds, as a request; as a try with a key, if `tries`. */
static struct sum
sum_of(const struct logrow *row, bool tries)
{
	bool counts = tries || row->is_final;
	int class = row->status / 100 - 2;
	struct sum s = {
	    .slot = counts ? rollup_slot(row->duration_ms) : 0,
	    .requests = counts,
	    .errors = counts && !row->is_success,
	    .retries = !row->is_final,
	    .prompt = MAX(row->prompt_tokens, 0),
	    .completion = MAX(row->completion_tokens, 0),
	};

	if (counts && class >= 0 && class < (int)ARRAY_LEN(s.classes))
		s.classes[class] = 1;
	return s;
}

/* For the group itself, or the aggregate above it: then kinds are `shift` further. */
static enum err
add_for(struct rollup *r, struct db *db, const struct logrow *row, int64_t group_id, int shift)
{
	int64_t seconds = row->time_us / US_PER_S;
	int64_t day = seconds - seconds % ROLLUP_DAY;
	struct sum s = sum_of(row, false);
	enum err e;

	s.group_id = group_id;
	s.kind = (enum rollup_kind)(ROLLUP_GROUP + shift);
	s.item = number_text(&r->arena, row->group_id);
	push_steps(r, s, seconds);

	s.kind = (enum rollup_kind)(ROLLUP_MODEL + shift);
	s.item = STR("");
	if (row->model.n > 0)
		s.item = str_of(ARENA_CONCAT(&r->arena, STR("="), row->model));
	e = settle_item(r, db, day, s.kind, group_id, &s.item);
	if (e != ERR_OK)
		return e;
	push_steps(r, s, seconds);

	if (row->key_id == 0)
		return ERR_OK;
	s = sum_of(row, true);
	s.group_id = group_id;
	s.kind = (enum rollup_kind)(ROLLUP_KEY + shift);
	s.item = number_text(&r->arena, row->key_id);
	e = settle_item(r, db, day, s.kind, group_id, &s.item);
	if (e == ERR_OK)
		push_steps(r, s, seconds);
	return e;
}

enum err
rollup_add(struct rollup *r, struct db *db, const struct logrow *row)
{
	enum err e = add_for(r, db, row, row->group_id, 0);

	if (e == ERR_OK && row->parent_id != 0)
		e = add_for(r, db, row, row->parent_id, ROLLUP_PARENT_GROUP - ROLLUP_GROUP);
	return e;
}

/* --- writing --- */

#define INSERT                                                                                     \
	"INSERT INTO gptl_rollups (step, kind, time, group_id, item, slot, requests, errors, "     \
	"retries, prompt_tokens, completion_tokens, c2xx, c3xx, c4xx, c5xx) VALUES "
#define ONE           "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
#define FOUR          ONE ", " ONE ", " ONE ", " ONE
#define MANY          FOUR ", " FOUR ", " FOUR ", " FOUR /* ROWS_AT_ONCE */
#define ADD(column)   #column " = gptl_rollups." #column " + excluded." #column
#define ADDMY(column) #column " = " #column " + VALUES(" #column ")"
#define TOKENS(F)     F(prompt_tokens) ", " F(completion_tokens)
#define CLASSES(F)    F(c2xx) ", " F(c3xx) ", " F(c4xx) ", " F(c5xx)
#define COUNTS(F)     F(requests) ", " F(errors) ", " F(retries) ", " TOKENS(F) ", " CLASSES(F)
#define ON_CONFLICT                                                                                \
	" ON CONFLICT (step, kind, time, group_id, item, slot) DO UPDATE SET " COUNTS(ADD)
#define ON_DUPLICATE " ON DUPLICATE KEY UPDATE " COUNTS(ADDMY)

static void
fill_args(const struct sum *s, struct db_arg *args)
{
	const int64_t counts[] = {s->requests,   s->errors,     s->retries,
				  s->prompt,     s->completion, s->classes[0],
				  s->classes[1], s->classes[2], s->classes[3]};

	*args++ = db_int(s->step);
	*args++ = db_int((int64_t)s->kind);
	*args++ = db_int(s->time);
	*args++ = db_int(s->group_id);
	*args++ = db_text(s->item);
	*args++ = db_int(s->slot);
	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		*args++ = db_int(counts[i]);
}

enum err
rollup_write(struct rollup *r, struct db *db)
{
	static const struct sql one = {.sqlite = INSERT ONE ON_CONFLICT,
				       .mysql = INSERT ONE ON_DUPLICATE};
	static const struct sql many = {.sqlite = INSERT MANY ON_CONFLICT,
					.mysql = INSERT MANY ON_DUPLICATE};
	struct db_arg args[ROWS_AT_ONCE * COLUMNS];
	enum err e = write_items(r, db);

	merge(r);
	for (size_t i = 0; i < r->n && e == ERR_OK;) {
		size_t rows = r->n - i >= ROWS_AT_ONCE ? ROWS_AT_ONCE : 1;

		for (size_t k = 0; k < rows; k++)
			fill_args(&r->sums[i + k], &args[k * COLUMNS]);
		e = db_exec(db, db_pick(db, rows == 1 ? &one : &many), args, rows * COLUMNS, NULL);
		i += rows;
	}
	return e;
}
