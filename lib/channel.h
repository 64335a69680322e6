/* SPDX-License-Identifier: MIT
 *
 * A channel is what the gateway knows of one vendor's API: where its key goes,
 * which paths stream, what in an answer blames the key, the shape of its errors,
 * of its model list and of its usage numbers. One file each, channel_NAME.c,
 * which defines `const struct channel channel_NAME`; autogen.sh lists the files,
 * so that a vendor is added by adding a file (and running autogen.sh).
 *
 * Paths are raw (percent-encoded) and are what follows /proxy/{group}.
 */
#ifndef LIB_CHANNEL_H
#define LIB_CHANNEL_H

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/header.h"
#include "lib/snapshot.h"
#include "lib/usage.h"

struct channel {
	const char *name;            /* as in groups.channel_type */
	const char *validation_path; /* used when validation_endpoint is empty */
	bool own_validation_path;    /* validation_endpoint is ignored (gemini) */
	/* Where the numbers stand in this vendor's answers. */
	const struct usage_names *usage;

	/* The path below the upstream's base path. In most cases base + path; openai
	 * adds or drops a "/v1". In `arena`. */
	struct str (*join)(struct str base_path, struct str path, struct arena *arena);
	/* Puts the upstream key where this vendor wants it, and what else it needs
	 * (anthropic-version, if the client sent none). The client's own credentials
	 * are gone already. */
	void (*authorize)(struct headers *h, struct str path, struct str key, struct arena *arena);
	/* The path alone says that the answer streams. */
	bool (*path_streams)(struct str path);
	/* May a comment line be put between events of a stream of this path. */
	bool (*heartbeat_allowed)(struct str path);
	/* The model in the path: a slice of `path`, empty when the model is in the
	 * body (model_in_body) or there is none. */
	struct str (*path_model)(struct str path);
	bool (*model_in_body)(struct str path);
	/* Does this answer blame the key (beyond 401, 402, 403, which always do)?
	 * `body` is decoded and cut to LIMIT_ERROR_BODY. */
	bool (*blames_key)(int status, struct str body);
	/* Until when the vendor's own headers, or the body, of a 429 ask to wait, wall
	 * ms; 0 when they say nothing. Retry-After is looked at before, for every
	 * vendor. `body` as for blames_key. */
	int64_t (*reset_ms)(const struct headers *h, struct str body, int64_t now_ms);
	/* The error body that this vendor's SDK parses, for `path`, with our own
	 * `code` and `message` at the top level too. */
	void (*error_body)(struct buf *out, struct str path, int status, const char *code,
			   const char *message);
	/* The value with which a header of the answer reaches the client; NULL: none of
	 * this vendor's is changed. `prefix` is "/proxy/{group}", `client` what the
	 * client says of itself (x-goog-api-client; may be empty). In `arena`. */
	struct str (*client_header)(const struct header *h, struct str prefix, struct str client,
				    struct arena *arena);
	/* Is it the vendor's list of models. */
	bool (*is_model_list)(struct str path);
	/* Writes `body` (a whole JSON answer) with the group's redirect sources added,
	 * or, when strict, as its only models; every other byte stays. `query` is the
	 * request's, raw. ERR_INVALID_JSON: not the expected shape, pass it as it is. */
	enum err (*edit_models)(struct str body, const struct group *g, struct str query,
				struct buf *out);
	/* A minimal POST that costs next to nothing and succeeds only with a good key.
	 * `ret_path` is still to be joined, and may hold a query. */
	void (*validation_request)(const struct group *g, struct buf *ret_path,
				   struct buf *ret_body);
};

/* NULL when there is none of that name. */
const struct channel *channel_find(struct str name);
/* The i-th of all, in order of name; NULL past the end. */
const struct channel *channel_at(size_t i);

/* --- what is the same for all --- */
/* Wall ms until which a 429 asks to wait: Retry-After (seconds or date) and
 * retry-after-ms, then what the vendor says; 0 when nothing is said. At most one hour
 * ahead. `body` as for blames_key. */
int64_t channel_rest_until(const struct channel *c, const struct headers *h, struct str body,
			   int64_t now_ms);
/* Base path, then path; no other change. */
struct str channel_join_plain(struct str base_path, struct str path, struct arena *arena);
/* error.message, error_msg, error, message of a JSON body, else the body itself;
 * trimmed, valid UTF-8; what is beyond LIMIT_ERROR_BODY may be missing. In `arena`. May be
 * longer than a row takes, and is cut when it is redacted. */
struct str channel_error_message(struct str body, struct arena *arena);

#endif
