/* SPDX-License-Identifier: MIT
 *
 * The list of groups that a client key opens, from the snapshot alone: the
 * responder answers it too, and has no database.
 */
#include "lib/integration.h"

#include "lib/channel.h"
#include "lib/str.h"

/* An OpenAI group with a test path of its own stands for something else that
 * speaks the same protocol. */
static bool
is_custom(const struct group *g)
{
	return str_starts(g->channel_name, "openai") && g->channel != NULL &&
	       g->validation_endpoint.n > 0 &&
	       !str_is(g->validation_endpoint, g->channel->validation_path);
}

static void
add_group(const struct group *g, bool relative, struct buf *out)
{
	bool custom = is_custom(g);
	struct buf path;

	buf_init(&path, 1024);
	if (!relative)
		buf_printf(&path, "/proxy/" STR_FMT, STR_ARG(g->name));
	if (custom)
		buf_str(&path, g->validation_endpoint);
	buf_cstr(out, "{\"name\":");
	buf_json(out, g->name);
	buf_cstr(out, ",\"display_name\":");
	buf_json(out, g->display_name);
	buf_cstr(out, ",\"channel_type\":");
	buf_json(out, custom ? STR("custom") : g->channel_name);
	buf_cstr(out, ",\"path\":");
	buf_json(out, buf_view(&path));
	buf_char(out, '}');
	buf_done(&path);
}

/* key NULL: every group. */
static void
add_groups(const struct snapshot *s, const struct group *only, const struct str *key,
	   struct buf *out, size_t *ret_n)
{
	size_t n = 0;

	buf_char(out, '[');
	for (size_t i = 0; i < s->n_groups; i++) {
		const struct group *g = &s->groups[i];
		if (only != NULL && g != only)
			continue;
		if (key != NULL && !snapshot_key_opens(s, g, *key))
			continue;
		if (n++ > 0)
			buf_char(out, ',');
		add_group(g, only != NULL, out);
	}
	buf_char(out, ']');
	*ret_n = n;
}

void
integration_info(const struct snapshot *s, const struct group *only, struct str client_key,
		 struct buf *out, size_t *ret_n)
{
	add_groups(s, only, &client_key, out, ret_n);
}

void
integration_info_all(const struct snapshot *s, const struct group *only, struct buf *out,
		     size_t *ret_n)
{
	add_groups(s, only, NULL, out, ret_n);
}
