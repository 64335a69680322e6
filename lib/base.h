/* SPDX-License-Identifier: MIT
 *
 * The few words every file of the project uses: attributes, checked
 * allocation, the slice type, and check().
 *
 * Memory policy: x-functions end the process when memory is gone (a supervised
 * restart is the recovery). A size that a client controls never reaches them
 * without a named maximum from limits.h.
 */
#ifndef LIB_BASE_H
#define LIB_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define MUST_CHECK        __attribute__((warn_unused_result))
#define NORETURN          __attribute__((noreturn))
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))
#define UNUSED            __attribute__((unused))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)    ((a) < (b) ? (a) : (b))
#define MAX(a, b)    ((a) > (b) ? (a) : (b))

/* The struct of which `ptr` is the member `member`. */
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Ends the process with a line on stderr when `expr` is false: for faults of
 * this program only, never for input. Compiled in always. */
#define check(expr) ((expr) ? (void)0 : check_failed(#expr, __FILE__, __LINE__))
NORETURN void check_failed(const char *expr, const char *file, int line);

void *xmalloc(size_t size) MUST_CHECK;
void *xcalloc(size_t count, size_t size) MUST_CHECK;
void *xrealloc(void *ptr, size_t size) MUST_CHECK;
char *xstrdup(const char *s) MUST_CHECK;
char *xstrndup(const char *s, size_t n) MUST_CHECK;
char *xasprintf(const char *fmt, ...) MUST_CHECK PRINTF_LIKE(1, 2);

/* `AUTO_FREE char *p = …;` frees p when it goes out of scope. */
#define AUTO_FREE __attribute__((cleanup(free_at_exit_of_scope)))
void free_at_exit_of_scope(void *ptr_to_ptr);

/* Overwrites a secret in a way the compiler cannot leave out. */
void wipe(void *p, size_t n);

/* Bytes that belong to somebody else; not ended by a NUL. {NULL, 0} is empty. */
struct str {
	const char *p;
	size_t n;
};

#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})
/* An entry of a static table. */
/* clang-format off */
#define STR_INIT(lit) {(lit), sizeof(lit) - 1}
/* clang-format on */
#define STR_FMT    "%.*s"
#define STR_ARG(s) (int)(s).n, (s).p

#endif
