/* SPDX-License-Identifier: MIT
 *
 * The messages of msg.h as text.
 */
#include "admin-cgi/msg.h"

#include "admin-cgi/admin.h"

static const char *const english[MSG__MAX] = {
#define X(id, en) [MSG_##id] = (en),
    MSG_TABLE(X)
#undef X
};

const char *
msg(UNUSED const struct req *req, enum msg id)
{
	return english[id];
}

struct str
msg_about(struct req *req, enum msg id, const char *what)
{
	const char *text = msg(req, id);
	const char *at = strstr(text, "{}");

	if (at == NULL)
		return str_of(text);
	return str_of(arena_printf(&req->arena, "%.*s%s%s", (int)(at - text), text, what, at + 2));
}
