/* SPDX-License-Identifier: MIT
 *
 * Keys for the time without the pool; see localkeys.h.
 */
#include "lib/localkeys.h"
#include "lib/arena.h"
#include "lib/limits.h"
#include "lib/pool_store.h"
#include "lib/str.h"

#include <stdlib.h>

#define ARENA_CHUNK ((size_t)64 * 1024)

static bool
take_row(struct db_rows *rows, struct arena *arena, struct pool_key *k)
{
	struct str stored = db_col_text(rows, 1);

	if (stored.n == 0 || stored.n > POOL_STORED_MAX)
		return false;
	*k = (struct pool_key){.id = db_col_int(rows, 0), .stored = arena_str(arena, stored)};
	if (!hex_decode(db_col_text(rows, 2), k->hash, sizeof(k->hash)))
		memset(k->hash, 0, sizeof(k->hash));
	k->fails = (uint32_t)MAX(0, MIN(db_col_int(rows, 3), (int64_t)UINT32_MAX));
	return true;
}

enum err
localkeys_give(struct db *db, struct pool *pool, int64_t group_id, struct errinfo *info)
{
	AUTO_FREE struct pool_key *keys = xcalloc(LIMIT_LOCAL_KEYS, sizeof(*keys));
	struct db_rows *rows = NULL;
	struct arena arena;
	size_t n = 0;
	enum err e;

	arena_init(&arena, ARENA_CHUNK);
	for (e = db_query(db,
			  "SELECT id, key_value, key_hash, failure_count FROM api_keys "
			  "WHERE group_id = ? AND status = 'active' ORDER BY id LIMIT ?",
			  DB_ARGS(db_int(group_id), db_int(LIMIT_LOCAL_KEYS)), &rows);
	     e == ERR_OK && db_next(rows, &e);)
		n += take_row(rows, &arena, &keys[n]);
	db_rows_done(rows);
	pool_give_keys(pool, group_id, keys, e == ERR_OK ? n : 0, e);
	arena_done(&arena);
	return e == ERR_OK ? ERR_OK : err_set(info, e, "%s", db_error(db));
}
