/* SPDX-License-Identifier: MIT
 *
 * A vendor that does not exist, for test_fifth_channel.py: it takes its key in a
 * header of its own, and is like OpenAI in the rest.
 */
#include "lib/openai.h"
#include "lib/vendor.h"

#define VALIDATION_PATH "/fifth/check"

static void
authorize(struct headers *h, struct str path UNUSED, struct str key, struct arena *arena UNUSED)
{
	headers_set(h, STR("x-fifth-key"), key);
}

static void
validation_request(const struct group *g UNUSED, struct buf *ret_path, struct buf *ret_body)
{
	buf_cstr(ret_path, VALIDATION_PATH);
	buf_cstr(ret_body, "{}");
}

const struct channel channel_fifth = {
    .name = "fifth",
    .validation_path = VALIDATION_PATH,
    .usage = &openai_usage,
    .join = channel_join_plain,
    .authorize = authorize,
    .path_streams = vendor_path_never,
    .heartbeat_allowed = vendor_path_always,
    .path_model = vendor_path_no_model,
    .model_in_body = vendor_path_always,
    .blames_key = openai_blames_key,
    .reset_ms = openai_reset_ms,
    .error_body = openai_error_body,
    .is_model_list = openai_is_model_list,
    .edit_models = openai_edit_models,
    .validation_request = validation_request,
};
