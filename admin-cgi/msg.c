/* SPDX-License-Identifier: MIT
 *
 * The messages of msg.h as text.
 */
#include "admin-cgi/msg.h"

#include "lib/base.h"

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
