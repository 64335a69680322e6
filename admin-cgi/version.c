/* SPDX-License-Identifier: MIT
 *
 * GET /api/version: what is running here.
 */
#include "admin-cgi/admin.h"

#include "config.h"

#include "lib/migrate.h"

static enum err
version(struct req *req)
{
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
	out_cstr(b, "database", databases[db_dialect(db)]);
	out_int(b, "configuration_version", configuration);
	out_close(b, '}');
	return ERR_OK;
}

const struct route routes_version[] = {
    {METHOD_GET, "/api/version", version, false},
    {0},
};
