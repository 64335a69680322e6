/* SPDX-License-Identifier: MIT
 *
 * A bump allocator whose life is one request (or one configuration snapshot):
 * everything in it is freed in one call, nothing singly. Embedded in its owner.
 */
#ifndef LIB_ARENA_H
#define LIB_ARENA_H

#include "lib/base.h"

struct arena_chunk;
struct arena_hook;

struct arena {
	struct arena_chunk *chunks; /* newest first */
	struct arena_hook *hooks;   /* foreign objects to free, newest first */
	size_t chunk_size;          /* of an ordinary chunk */
	size_t total;               /* bytes asked of malloc so far */
};

/* chunk_size: bytes of the first and every ordinary chunk. */
void arena_init(struct arena *a, size_t chunk_size);
/* Runs the hooks, frees all; the arena may be used again. */
void arena_done(struct arena *a);
/* The same, but a chunk of the usual size stays for what comes next. */
void arena_reset(struct arena *a);

/* Aligned for any type, not zeroed. Never NULL. */
void *arena_alloc(struct arena *a, size_t size) MUST_CHECK;
void *arena_zalloc(struct arena *a, size_t size) MUST_CHECK;
/* NUL-terminated copies. */
char *arena_strdup(struct arena *a, const char *s) MUST_CHECK;
char *arena_strndup(struct arena *a, const char *s, size_t n) MUST_CHECK;
struct str arena_str(struct arena *a, struct str s) MUST_CHECK;
char *arena_printf(struct arena *a, const char *fmt, ...) MUST_CHECK PRINTF_LIKE(2, 3);

/* The parts one after another: what arena_printf() would do with "%.*s" alone, at a
 * tenth of its cost. */
char *arena_concat(struct arena *a, const struct str *parts, size_t n) MUST_CHECK;
#define ARENA_CONCAT(a, ...)                                                                       \
	arena_concat(a, (const struct str[]){__VA_ARGS__},                                         \
		     sizeof((const struct str[]){__VA_ARGS__}) / sizeof(struct str))

/* fn(obj) is called by arena_done(), last registered first. */
void arena_on_free(struct arena *a, void (*fn)(void *obj), void *obj);

#endif
