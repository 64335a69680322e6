/* SPDX-License-Identifier: MIT
 *
 * The messages of msg.h as text, in the language that a request asks for.
 */
#include "admin-cgi/msg.h"

#include "admin-cgi/admin.h"

static const char *const texts[MSG__MAX][LANGUAGE__MAX] = {
#define X(id, en, zh, ja)                                                                          \
	[MSG_##id] = {[LANGUAGE_ZH] = (zh), [LANGUAGE_EN] = (en), [LANGUAGE_JA] = (ja)},
    MSG_TABLE(X)
#undef X
};

enum language
language_of(struct str accept)
{
	struct str tag = STR("");

	accept = str_trim(accept);
	if (!str_split(&accept, ',', &tag) || tag.n < 2)
		return LANGUAGE_ZH;
	/* "en", "en-US", "en;q=1"; not "eng". */
	bool whole = tag.n == 2 || strchr("-_; ", tag.p[2]) != NULL;
	tag.n = 2;
	if (whole && str_iis(tag, "en"))
		return LANGUAGE_EN;
	if (whole && str_iis(tag, "ja"))
		return LANGUAGE_JA;
	return LANGUAGE_ZH;
}

const char *
msg(const struct req *req, enum msg id)
{
	return texts[id][req->language];
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
