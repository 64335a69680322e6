/* SPDX-License-Identifier: MIT
 *
 * What the bench programs share: a monotonic clock, percentiles of a sample, a
 * loopback connection, and an incremental reader of HTTP/1.1 answers (length,
 * chunked, or up to the end of the connection).
 */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include "lib/base.h"

/* Nanoseconds of the monotonic clock: the same in every process of a machine. */
int64_t now_ns(void);
/* The whole of `text` as a number from 0 to max; else says what is wrong with
 * the argument `name` and ends the program. */
int64_t number_arg(const char *name, const char *text, int64_t max);
/* A non-blocking socket whose connect to 127.0.0.1 has begun; ends the program
 * when there is none to be had. */
int connect_loopback(uint16_t port);

/* A whole POST of the file's text (64 KiB at most) with a bearer key; malloc'ed.
 * Ends the program when the file cannot be read. */
char *chat_request(const char *path, const char *key, const char *body_file);

struct sample {
	int64_t *v; /* sorted by sample_sort() */
	size_t n;
	size_t cap;
};

void sample_add(struct sample *s, int64_t value);
void sample_sort(struct sample *s);
/* The value below which the share p (0 to 1) lies; 0 of an empty sample. Sorted
 * before. */
int64_t sample_at(const struct sample *s, double p);

#define ANSWER_LINE_MAX 512

enum answer_state {
	ANSWER_STATUS,
	ANSWER_HEADER,
	ANSWER_BODY,
	ANSWER_CHUNK_SIZE,
	ANSWER_CHUNK,
	ANSWER_CHUNK_END,
	ANSWER_TRAILER,
	ANSWER_DONE,
	ANSWER_BROKEN,
};

struct answer {
	enum answer_state state;
	int status;
	bool chunked;
	bool close;   /* the server closes the connection after this answer */
	int64_t left; /* of the body or chunk; -1 up to the connection's end */
	size_t line_n;
	char line[ANSWER_LINE_MAX]; /* the line being read; what is longer is cut */
	/* Body bytes as they come, chunk framing taken off; may be NULL. */
	void (*on_body)(struct answer *a, const char *p, size_t n);
};

void answer_init(struct answer *a, void (*on_body)(struct answer *a, const char *p, size_t n));
/* Reads n more bytes of the connection; see a->state afterwards. */
void answer_feed(struct answer *a, const char *p, size_t n);
/* The connection has ended: may be just what the answer waited for. */
void answer_eof(struct answer *a);

#endif
