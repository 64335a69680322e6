/* SPDX-License-Identifier: MIT
 *
 * Model lists: find the array, note which sources it has, then write it with the
 * others. The edits are few (the array, and what pages it), so they are gathered in
 * a fixed array and sorted.
 */
#include "lib/modellist.h"

#include <stdlib.h>

#define ARENA_CHUNK   4096
#define SCRATCH_CHUNK 1024

/* What the vendor's array holds. */
struct listed {
	bool *has;        /* for each redirect of the group */
	size_t last_end;  /* offset in the body of the last element's end */
	struct str first; /* the id of the first and last element, JSON; empty: none */
	struct str last;
	bool any;
};

static const struct json_hit *
find_array(const struct json_top *top)
{
	const struct json_hit *array = NULL;
	bool seen[1 + MODELLIST_OTHERS_MAX] = {false};

	for (size_t i = 0; i < top->n_hits; i++) {
		const struct json_hit *hit = &top->hits[i];

		if (seen[hit->key])
			return NULL;
		seen[hit->key] = true;
		if (hit->key == 0 && hit->kind == JSON_ARRAY)
			array = hit;
	}
	return array;
}

/* The id of one element, as JSON text with its quotes; empty when it has none. */
static struct str
element_id(const struct modellist_shape *shape, struct str element, struct arena *scratch)
{
	struct str key = str_of(shape->id);
	struct json_top top;

	if (json_scan(element, &key, 1, scratch, &top) != ERR_OK || top.n_hits == 0 ||
	    top.hits[0].kind != JSON_STRING)
		return (struct str){NULL, 0};
	return (struct str){element.p + top.hits[0].start, top.hits[0].end - top.hits[0].start};
}

static void
note_source(const struct modellist_shape *shape, const struct group *g, struct str id,
	    struct listed *l, struct arena *scratch)
{
	const struct redirect *r;
	struct str name;

	if (json_text(id, scratch, &name) != ERR_OK)
		return;
	if (str_starts(name, shape->id_prefix))
		name = str_from(name, strlen(shape->id_prefix));
	r = group_redirect(g, name);
	if (r != NULL)
		l->has[r - g->redirects] = true;
}

static struct listed
read_array(struct modellist *m, const struct modellist_shape *shape, const struct group *g,
	   const struct json_hit *hit)
{
	struct str array = {m->body.p + hit->start, hit->end - hit->start};
	struct listed l = {.has = arena_zalloc(&m->arena, g->n_redirects * sizeof(bool))};
	struct arena scratch; /* emptied for each element: their number is the vendor's */
	struct str element;
	size_t at = 0;

	arena_init(&scratch, SCRATCH_CHUNK);
	while (json_next(array, &at, &element)) {
		struct str id = element_id(shape, element, &scratch);

		if (!l.any)
			l.first = id;
		l.last = id;
		l.any = true;
		l.last_end = hit->start + at;
		if (id.n > 0)
			note_source(shape, g, id, &l, &scratch);
		arena_done(&scratch);
	}
	return l;
}

/* The models to write: all sources, or those that are missing. */
static void
write_entries(struct modellist *m, const struct modellist_shape *shape, const struct group *g,
	      const struct listed *l, struct buf *b)
{
	for (size_t i = 0; i < g->n_redirects; i++) {
		struct buf id;

		if (!m->strict && l->has[i])
			continue;
		if (m->strict ? i > 0 : l->any || m->appended)
			buf_char(b, ',');
		shape->entry(b, g->redirects[i].from);
		buf_init(&id, SIZE_MAX / 2);
		buf_json(&id, g->redirects[i].from);
		m->last_id = arena_str(&m->arena, buf_view(&id));
		if (m->first_id.n == 0)
			m->first_id = m->last_id;
		m->appended = true;
		buf_done(&id);
	}
}

static void
edit_array(struct modellist *m, const struct modellist_shape *shape, const struct group *g,
	   const struct json_hit *hit)
{
	struct listed l = read_array(m, shape, g, hit);
	struct json_edit *edit = &m->edits[m->n_edits++];
	struct buf b;

	buf_init(&b, SIZE_MAX / 2);
	m->was_empty = !l.any;
	if (!m->strict) {
		m->first_id = l.first;
		m->last_id = l.last;
	}
	write_entries(m, shape, g, &l, &b);
	if (m->first_id.n == 0)
		m->first_id = STR("null");
	if (m->last_id.n == 0)
		m->last_id = STR("null");
	edit->with = arena_str(&m->arena, buf_view(&b));
	edit->start = hit->start + 1;
	edit->end = hit->end - 1;
	if (!m->strict) {
		edit->start = l.any ? l.last_end : hit->start + 1;
		edit->end = edit->start;
	}
	buf_done(&b);
}

void
modellist_replace(struct modellist *m, const struct json_hit *hit, struct str json)
{
	m->edits[m->n_edits++] = (struct json_edit){hit->start, hit->end, json};
}

static bool
is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

void
modellist_remove(struct modellist *m, const struct json_hit *hit)
{
	const char *p = m->body.p;
	size_t start = hit->name;
	size_t end = hit->end;

	/* With the comma behind it, or, for the last member, the one before. */
	while (is_space(p[end]))
		end++;
	if (p[end] == ',') {
		end++;
	} else {
		end = hit->end;
		while (is_space(p[start - 1]))
			start--;
		if (p[start - 1] == ',')
			start--;
	}
	m->edits[m->n_edits++] = (struct json_edit){start, end, {NULL, 0}};
}

static int
by_start(const void *a, const void *b)
{
	const struct json_edit *x = a;
	const struct json_edit *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

static void
write_edited(struct modellist *m, struct buf *out)
{
	struct str *slices;
	size_t n;

	qsort(m->edits, m->n_edits, sizeof(m->edits[0]), by_start);
	slices = json_slices(m->body, m->edits, m->n_edits, &m->arena, &n);
	for (size_t i = 0; i < n; i++)
		buf_str(out, slices[i]);
}

enum err
modellist_edit(const struct modellist_shape *shape, struct str body, const struct group *g,
	       bool add, struct buf *out)
{
	struct modellist m = {.body = body, .strict = g->redirect_strict};
	struct str keys[1 + MODELLIST_OTHERS_MAX] = {str_of(shape->array)};
	size_t n_keys = 1;
	const struct json_hit *array;
	enum err e;

	for (; n_keys < ARRAY_LEN(keys) && shape->others[n_keys - 1] != NULL; n_keys++)
		keys[n_keys] = str_of(shape->others[n_keys - 1]);
	arena_init(&m.arena, ARENA_CHUNK);
	e = json_scan(body, keys, n_keys, &m.arena, &m.top);
	array = e == ERR_OK ? find_array(&m.top) : NULL;
	if (array == NULL) {
		e = ERR_INVALID_JSON;
	} else {
		if (g->n_redirects > 0 && (m.strict || add)) {
			edit_array(&m, shape, g, array);
			if (shape->finish != NULL)
				shape->finish(&m);
		}
		write_edited(&m, out);
		e = buf_err(out);
	}
	arena_done(&m.arena);
	return e;
}
