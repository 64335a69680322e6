/* SPDX-License-Identifier: MIT
 *
 * One line per event, on stderr and, when LOG_ENABLE_FILE is set, appended to a
 * file that many processes share: a line is one write(2), so lines stay whole.
 * The file is reopened when it was renamed (log rotation).
 *
 * The redactor sits at the sink: whatever is written passes through it, so no
 * caller can leak a registered secret or something that looks like a key.
 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include "lib/base.h"
#include "lib/buf.h"

enum log_level {
	LOG_ERROR,
	LOG_WARN,
	LOG_INFO,
	LOG_DEBUG
};

struct conf;

/* Takes level, format and file from the configuration. Before it is called,
 * lines go to stderr as text at level info. `program` is put into each line;
 * borrowed for ever. */
void log_open(const struct conf *conf, const char *program);
void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

/* The message is one line; line breaks in it are escaped. */
void log_line(enum log_level level, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) (log_enabled(LOG_DEBUG) ? log_line(LOG_DEBUG, __VA_ARGS__) : (void)0)

/* --- the redactor --- */

/* From now on `secret` is replaced wherever it would be written. Secrets of
 * fewer than 6 bytes are not registered: they would blank ordinary words. Known
 * ones are ignored. Thread-safe. */
void redact_register(struct str secret);
/* Appends `text` to `out` with everything secret replaced by "[redacted]":
 * registered secrets, the `extra` ones (an exchange's own keys; raw and as they
 * look percent-encoded), `key=` values in URLs, user:password@ in URLs, and
 * tokens of the vendors' forms (sk-…, AIza…, gsk_…, xai-…). */
/* The most that n bytes become. */
#define REDACT_GROWTH(n) (3 * (n) + 16)
void redact(struct buf *out, struct str text, const struct str *extra, size_t n_extra);
/* The first `max` bytes of what redact() makes of it, cut between two characters. What is
 * cut first and redacted then keeps half a secret. */
void redact_cut(struct buf *out, struct str text, size_t max, const struct str *extra,
		size_t n_extra);
/* Whether redact_cut() would replace anything. */
bool redact_finds(struct str text, size_t max, const struct str *extra, size_t n_extra);

#endif
