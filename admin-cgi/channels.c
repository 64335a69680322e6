/* SPDX-License-Identifier: MIT
 *
 * GET /api/channel-types: the vendors' APIs that this build speaks, sorted.
 */
#include "admin-cgi/admin.h"

#include "lib/channel.h"

static enum err
list_channels(struct req *req)
{
	const struct channel *c;

	out_open(&req->data, NULL, '[');
	for (size_t i = 0; (c = channel_at(i)) != NULL; i++)
		out_cstr(&req->data, NULL, c->name);
	out_close(&req->data, ']');
	return ERR_OK;
}

const struct route routes_channels[] = {
    {METHOD_GET, "/api/channel-types", list_channels, 0},
    {0},
};
