/* SPDX-License-Identifier: MIT
 *
 * OpenAI, and everything that offers its chat API: see openai.c. Azure too: its base
 * URL holds the deployment, and a header rule `api-key: ${API_KEY}` sends the key up
 * in Azure's own header.
 */
#include "lib/openai.h"
#include "lib/vendor.h"

#define VALIDATION_PATH "/v1/chat/completions"

static void
validation_request(const struct group *g, struct buf *ret_path, struct buf *ret_body)
{
	if (g->validation_endpoint.n > 0)
		buf_str(ret_path, g->validation_endpoint);
	else
		buf_cstr(ret_path, VALIDATION_PATH);
	buf_cstr(ret_body, "{\"model\":");
	buf_json(ret_body, g->test_model);
	buf_cstr(ret_body, ",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
}

const struct channel channel_openai = {
    .name = "openai",
    .validation_path = VALIDATION_PATH,
    .usage = &openai_usage,
    .join = openai_join,
    .authorize = openai_authorize,
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
