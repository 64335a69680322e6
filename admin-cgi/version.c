/* SPDX-License-Identifier: MIT
 *
 * GET /api/version: what is running here.
 */
#include "admin-cgi/admin.h"

#include "config.h"

#include "lib/limits.h"
#include "lib/migrate.h"

/* What a page has to know before it sends something. */
static void
out_limits(struct buf *b)
{
	out_open(b, "limits", '{');
	out_int(b, "bulk_ids", LIMIT_BULK_IDS);
	out_int(b, "sync_keys", LIMIT_SYNC_KEYS);
	out_int(b, "task_keys", LIMIT_TASK_KEYS);
	out_int(b, "body_bytes", LIMIT_ADMIN_BODY);
	out_int(b, "upload_bytes", LIMIT_UPLOAD_BODY);
	out_int(b, "note_chars", LIMIT_NOTE_CHARS);
	out_int(b, "key_bytes", LIMIT_KEY_BYTES);
	out_close(b, '}');
}

static enum err
version(struct req *req)
{
	const struct conf *conf = req->admin->conf;
	static const char *const databases[] = {
	    [DB_SQLITE] = "sqlite", [DB_MYSQL] = "mysql", [DB_PGSQL] = "postgresql"};
	struct buf *b = &req->data;
	int64_t configuration;
	struct db *db;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = meta_version(db, &configuration);
	if (e != ERR_OK)
		return e;
	out_open(b, NULL, '{');
	out_cstr(b, "name", "gpt-load-c");
	out_cstr(b, "version", PACKAGE_VERSION);
	out_cstr(b, "compatible_with", "1.4");
	out_cstr(b, "license", "MIT");
	out_cstr(b, "database", databases[db_dialect(db)]);
	out_cstr(b, "pool", conf->redis_dsn != NULL ? "redis" : "lmdb");
	out_bool(b, "encrypted", conf->encryption_key != NULL);
	out_bool(b, "mask_keys", conf->mask_keys);
	out_int(b, "configuration_version", configuration);
	out_limits(b);
	out_close(b, '}');
	return ERR_OK;
}

const struct route routes_version[] = {
    {METHOD_GET, "/api/version", version, 0},
    {0},
};
