/* SPDX-License-Identifier: MIT
 *
 * Chunked bump allocator. A request larger than a quarter of a chunk gets a
 * chunk of its own, put behind the current one, so that the room left in the
 * current one is not lost.
 */
#include "lib/arena.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

struct arena_chunk {
	struct arena_chunk *next;
	size_t used;
	size_t size;
	alignas(max_align_t) char bytes[];
};

struct arena_hook {
	struct arena_hook *next;
	void (*fn)(void *obj);
	void *obj;
};

#define ARENA_ALIGN alignof(max_align_t)

void
arena_init(struct arena *a, size_t chunk_size)
{
	*a = (struct arena){.chunk_size = chunk_size};
}

static void
free_chunks(struct arena_chunk *c)
{
	while (c != NULL) {
		struct arena_chunk *next = c->next;

		free(c);
		c = next;
	}
}

static void
run_hooks(struct arena *a)
{
	for (struct arena_hook *h = a->hooks; h != NULL; h = h->next)
		h->fn(h->obj);
	a->hooks = NULL;
}

void
arena_done(struct arena *a)
{
	run_hooks(a);
	free_chunks(a->chunks);
	arena_init(a, a->chunk_size);
}

void
arena_reset(struct arena *a)
{
	struct arena_chunk **at = &a->chunks;
	struct arena_chunk *kept;

	run_hooks(a);
	while (*at != NULL && (*at)->size != a->chunk_size)
		at = &(*at)->next;
	kept = *at;
	if (kept != NULL)
		*at = kept->next;
	free_chunks(a->chunks);
	arena_init(a, a->chunk_size);
	if (kept == NULL)
		return;
	kept->next = NULL;
	kept->used = 0;
	a->chunks = kept;
	a->total = kept->size;
}

static struct arena_chunk *
chunk_new(struct arena *a, size_t size)
{
	struct arena_chunk *c;

	check(size <= SIZE_MAX / 2);
	c = xmalloc(sizeof(*c) + size);
	c->used = 0;
	c->size = size;
	a->total += size;
	return c;
}

void *
arena_alloc(struct arena *a, size_t size)
{
	struct arena_chunk *c = a->chunks;
	void *p;

	check(size <= SIZE_MAX / 2);
	size = (size + ARENA_ALIGN - 1) & ~(ARENA_ALIGN - 1);
	if (c == NULL || c->size - c->used < size) {
		bool own = c != NULL && size > a->chunk_size / 4;

		c = chunk_new(a, MAX(size, own ? 0 : a->chunk_size));
		if (own) {
			c->next = a->chunks->next;
			a->chunks->next = c;
		} else {
			c->next = a->chunks;
			a->chunks = c;
		}
	}
	p = c->bytes + c->used;
	c->used += size;
	return p;
}

void *
arena_zalloc(struct arena *a, size_t size)
{
	return memset(arena_alloc(a, size), 0, size);
}

char *
arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *p = arena_alloc(a, n + 1);

	if (n > 0)
		memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

char *
arena_strdup(struct arena *a, const char *s)
{
	return arena_strndup(a, s, strlen(s));
}

struct str
arena_str(struct arena *a, struct str s)
{
	return (struct str){arena_strndup(a, s.p, s.n), s.n};
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	check(n >= 0);
	p = arena_alloc(a, (size_t)n + 1);
	va_start(ap, fmt);
	(void)vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

char *
arena_concat(struct arena *a, const struct str *parts, size_t n)
{
	size_t total = 0;
	char *start;
	char *p;

	for (size_t i = 0; i < n; i++)
		total += parts[i].n;
	start = p = arena_alloc(a, total + 1);
	for (size_t i = 0; i < n; i++) {
		if (parts[i].n > 0)
			memcpy(p, parts[i].p, parts[i].n);
		p += parts[i].n;
	}
	*p = '\0';
	return start;
}

void
arena_on_free(struct arena *a, void (*fn)(void *obj), void *obj)
{
	struct arena_hook *h = arena_alloc(a, sizeof(*h));

	*h = (struct arena_hook){.next = a->hooks, .fn = fn, .obj = obj};
	a->hooks = h;
}
