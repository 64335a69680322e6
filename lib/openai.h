/* SPDX-License-Identifier: MIT
 *
 * The shape of OpenAI's API, which most vendors offer too: the functions of struct
 * channel for it. Used by channel_openai.c and channel_openai_response.c, and by
 * channel_gemini.c for its compatible path.
 */
#ifndef LIB_OPENAI_H
#define LIB_OPENAI_H

#include "lib/channel.h"

extern const struct usage_names openai_usage;

/* Base URL without a path: the endpoints of OpenAI's own API get the "/v1" that the
 * client left out. With one: joined as it stands, less a doubled "/v1". */
struct str openai_join(struct str base_path, struct str path, struct arena *arena);
/* Authorization: Bearer. */
void openai_authorize(struct headers *h, struct str path, struct str key, struct arena *arena);
bool openai_blames_key(int status, struct str body);
int64_t openai_reset_ms(const struct headers *h, struct str body, int64_t now_ms);
void openai_error_body(struct buf *out, struct str path, int status, const char *code,
		       const char *message);
bool openai_is_model_list(struct str path);
enum err openai_edit_models(struct str body, const struct group *g, struct str query,
			    struct buf *out);
/* The same, where ids may have a prefix ("models/", Google). */
enum err openai_edit_models_prefixed(struct str body, const struct group *g, const char *id_prefix,
				     struct buf *out);

#endif
