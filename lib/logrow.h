/* SPDX-License-Identifier: MIT
 *
 * One row of request_logs: one attempt. The responder fills it, the spool
 * carries it, the flusher writes it. Text is cut to its column and made valid
 * UTF-8 when it is encoded, so that no row can be refused by a database.
 */
#ifndef LIB_LOGROW_H
#define LIB_LOGROW_H

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/err.h"

struct logrow {
	char id[37];      /* UUIDv7 */
	int64_t time_us;  /* end of the attempt, wall */
	int64_t group_id; /* effective (sub-)group */
	struct str group_name;
	int64_t parent_id; /* the aggregate; 0: none */
	struct str parent_name;
	int64_t key_id;        /* 0: no key was used */
	struct str key_stored; /* api_keys.key_value as stored */
	char key_hash[65];     /* hex; "" without a key */
	struct str model;
	bool is_success;
	struct str source_ip;
	int status;
	struct str path;       /* client's, with query, without `key` */
	int64_t duration_ms;   /* of the whole exchange so far */
	struct str error;      /* redacted by the caller */
	struct str user_agent; /* only with body logging */
	bool is_final;         /* request_type final / retry */
	struct str upstream;   /* target URL without secrets */
	bool is_stream;
	struct str request_body; /* only with body logging */

	/* ours (columns with defaults) */
	char request_id[37];   /* the same for all attempts of one request */
	int attempt;           /* from 1 */
	int64_t ttfb_ms;       /* from the attempt's start to the first answer byte; -1 */
	int64_t bytes_in;      /* request body */
	int64_t bytes_out;     /* answer body passed to the client */
	int64_t prompt_tokens; /* -1: not said; likewise the two below */
	int64_t completion_tokens;
	int64_t cached_tokens;
	struct str end; /* how it ended: "complete", "truncated", "client_gone", … */
};

/* Appends one framed record: u32 length, u32 CRC-32, payload. */
void logrow_encode(const struct logrow *row, struct buf *out);
/* Reads one record from the front of *in and cuts it off. Slices point into *in.
 * ERR_NOT_FOUND: not (yet) whole; ERR_IO: damaged, *in unchanged. */
enum err logrow_decode(struct str *in, struct logrow *ret) MUST_CHECK;
/* Without its request body: for a spool that is nearly full. */
void logrow_drop_body(struct logrow *row);

#endif
