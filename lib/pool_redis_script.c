/* SPDX-License-Identifier: MIT
 *
 * The scripts: the files of lib/redis as they lie in this program, with the name of
 * the channel and common.lua before each.
 */
#include "lib/lua_text.h"
#include "lib/pool_redis.h"
#include "lib/str.h"

#define TEXT_MAX ((size_t)64 * 1024)

static const char *const names[SCRIPT__MAX] = {
    [SCRIPT_PICK] = "pick.lua",         [SCRIPT_TURN] = "turn.lua",
    [SCRIPT_REPORT] = "report.lua",     [SCRIPT_SYNC] = "sync.lua",
    [SCRIPT_DROP] = "drop.lua",         [SCRIPT_GROUPS] = "groups.lua",
    [SCRIPT_STATE] = "state.lua",       [SCRIPT_COUNTS] = "counts.lua",
    [SCRIPT_DIRTY] = "dirty.lua",       [SCRIPT_CLEAR] = "clear.lua",
    [SCRIPT_DUE] = "due.lua",           [SCRIPT_CHECK] = "check.lua",
    [SCRIPT_SNAPSHOT] = "snapshot.lua", [SCRIPT_VERIFY] = "verify.lua",
    [SCRIPT_CLAIM] = "claim.lua",
};

static const char *
file(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(lua_texts); i++)
		if (strcmp(lua_texts[i].name, name) == 0)
			return lua_texts[i].text;
	check(!"a script of this program");
}

/* Where Redis' memory is full nothing new may go in, but what is there must go on
 * moving. Redis 7 lets a script say so. */
static bool
goes_on_when_full(enum script script)
{
	return script != SCRIPT_SYNC && script != SCRIPT_SNAPSHOT;
}

void
rpool_scripts_init(struct pool_redis *p, int64_t server_major)
{
	char channel[32];

	rpool_channel(p, channel, sizeof(channel));
	for (size_t i = 0; i < SCRIPT__MAX; i++) {
		struct buf *text = &p->text[i];

		buf_init(text, TEXT_MAX);
		if (server_major >= 7 && goes_on_when_full((enum script)i))
			buf_cstr(text, "#!lua flags=allow-oom\n");
		buf_printf(text, "local CHANNEL = '%s'\n", channel);
		buf_cstr(text, file("common.lua"));
		buf_cstr(text, file(names[i]));
		check(buf_err(text) == ERR_OK);
	}
}

void
rpool_script_load(const struct pool_redis *p, enum script script, struct buf *cmd)
{
	buf_init(cmd, TEXT_MAX + 64);
	rpool_cmd(cmd, 3);
	rpool_arg(cmd, STR("SCRIPT"));
	rpool_arg(cmd, STR("LOAD"));
	rpool_arg(cmd, buf_view(&p->text[script]));
}
