/* SPDX-License-Identifier: MIT
 *
 * What the resources' functions use: reading the query and the body, opening the
 * DB and the pool when first needed, and making the pool follow a change.
 */
#include "admin-cgi/admin.h"

#include "lib/json.h"
#include "lib/key.h"
#include "lib/log.h"
#include "lib/migrate.h"
#include "lib/node.h"
#include "lib/publish.h"
#include "lib/spool.h"

#include <json-c/json.h>

#define PAGE_DEFAULT 15
#define PAGE_MAX     1000

/* --- body and query --- */

static void
free_json(void *object)
{
	json_done(object);
}

enum err
req_json(struct req *req, struct json_object **ret)
{
	struct json_object *object = NULL;

	if (str_trim(req->body).n == 0)
		return err_set(&req->info, ERR_INVALID_JSON, "a JSON body is required");
	enum err e = json_parse(req->body, &object, &req->info);
	if (e != ERR_OK)
		return e;
	if (object != NULL)
		arena_on_free(&req->arena, free_json, object);
	if (!json_object_is_type(object, json_type_object))
		return err_set(&req->info, ERR_INVALID_JSON, "the body must be a JSON object");
	*ret = object;
	return ERR_OK;
}

enum err
req_id(struct req *req, struct json_object *body, const char *name, int64_t *ret)
{
	int64_t id;

	if (!json_get_int(json_get(body, name), &id) || id < 1)
		return err_set(&req->info, ERR_INVALID_JSON, "\"%s\" must be a number above 0",
			       name);
	*ret = id;
	return ERR_OK;
}

enum err
req_text(struct req *req, struct json_object *body, const char *name, struct str *ret)
{
	struct str text;

	if (!json_get_text(json_get(body, name), &text) || text.n == 0)
		return err_set(&req->info, ERR_INVALID_JSON,
			       "\"%s\" must be a string that is not empty", name);
	*ret = text;
	return ERR_OK;
}

struct str
req_query(struct req *req, const char *name)
{
	struct str value = {"", 0};

	(void)query_get(req->target.query, name, &req->arena, &value);
	return str_trim(value);
}

struct page
req_page(struct req *req)
{
	struct page page = {.number = 1, .size = PAGE_DEFAULT};

	if (!str_to_i64(req_query(req, "page"), 1, INT32_MAX, &page.number))
		page.number = 1;
	if (!str_to_i64(req_query(req, "page_size"), 1, INT64_MAX, &page.size))
		page.size = PAGE_DEFAULT;
	page.size = MIN(page.size, PAGE_MAX);
	return page;
}

int64_t
page_offset(struct page page)
{
	return (page.number - 1) * page.size;
}

void
out_pagination(struct buf *b, struct page page, int64_t total, bool capped, bool stopped)
{
	out_open(b, "pagination", '{');
	out_int(b, "page", page.number);
	out_int(b, "page_size", page.size);
	out_int(b, "total_items", total);
	out_int(b, "total_pages", (total + page.size - 1) / page.size);
	if (capped)
		out_bool(b, "total_capped", true);
	if (stopped)
		out_bool(b, "stopped", true);
	out_close(b, '}');
}

/* --- DB, pool, cipher --- */

enum err
req_crypt(struct req *req, struct crypt **ret)
{
	struct admin *a = req->admin;

	if (a->crypt == NULL) {
		AUTO_FREE char *cache = conf_path(a->conf, CRYPT_CACHE_FILE);
		enum err e = crypt_new(&a->crypt, a->conf->encryption_key, cache, &req->info);
		if (e != ERR_OK)
			return e;
	}
	*ret = a->crypt;
	return ERR_OK;
}

/* Brings a DB that is new or of an older version to this one's schema: on hosting
 * without a responder of ours running this may be the first program to come by. */
static enum err
prepare_schema(struct req *req, struct db *db)
{
	struct crypt *crypt;

	if (migrate_check(db, NULL) == ERR_OK)
		return ERR_OK;
	if (req->admin->conf->is_slave)
		return migrate_check(db, &req->info);
	enum err e = req_crypt(req, &crypt);
	return e == ERR_OK ? migrate_run(db, req->admin->conf, crypt, &req->info) : e;
}

/* A file that was lost under a node that has served is not replaced by an empty one: what
 * were changed there would be lost when it comes back. */
enum err
req_db(struct req *req, struct db **ret)
{
	struct admin *a = req->admin;

	if (a->db == NULL) {
		struct db *db;
		enum err e = ERR_OK;

		if (!db_is_there(a->conf) && node_was_admitted(a->conf, false))
			e = err_set(
			    &req->info, ERR_DB_AWAY,
			    "the database's file is gone (\"gpt-load prepare\" makes a new one)");
		if (e == ERR_OK)
			e = db_open(a->conf, &db, &req->info);
		if (e == ERR_OK) {
			e = prepare_schema(req, db);
			if (e != ERR_OK)
				db_close(db);
		}
		if (e != ERR_OK)
			return e;
		a->db = db;
	}
	*ret = a->db;
	return ERR_OK;
}

enum err
req_pool_as_is(struct req *req, struct pool **ret)
{
	struct admin *a = req->admin;

	if (a->pool == NULL) {
		enum err e = pool_open(a->conf, &a->pool, &req->info);
		if (e != ERR_OK)
			return e;
	}
	*ret = a->pool;
	return ERR_OK;
}

enum err
req_pool(struct req *req, struct pool **ret)
{
	struct admin *a = req->admin;
	struct db *db;

	enum err e = req_pool_as_is(req, ret);
	if (e == ERR_OK)
		e = req_db(req, &db);
	if (e == ERR_OK && !a->pool_complete) {
		e = publish_ensure(a->conf, db, a->pool, &req->info);
		a->pool_complete = e == ERR_OK;
	}
	return e;
}

/* --- steps whose failure does not fail the request --- */

/* Says what failed, once, and clears it for the answer. */
static void
put_off(struct req *req, const char *what, enum err e)
{
	if (e == ERR_OK)
		return;
	log_warn("%s put off: %s", what, err_text(&req->info, e));
	req->info = (struct errinfo){0};
}

void
req_publish_config(struct req *req)
{
	struct pool *pool;
	enum err e = req_pool(req, &pool);

	if (e == ERR_OK)
		e = publish_config(req->admin->db, pool, &req->info);
	put_off(req, "publishing the configuration", e);
}

enum err
req_publish_keys(struct req *req)
{
	struct pool *pool;
	enum err e = req_pool(req, &pool);

	if (e == ERR_OK)
		e = publish_keys(req->admin->db, pool, NULL, NULL, &req->info);
	if (e == ERR_POOL_FULL)
		return err_set(&req->info, e,
			       "the keys are stored, but the key pool is full: raise "
			       "POOL_SIZE_MB and start again");
	put_off(req, "publishing keys", e);
	return ERR_OK;
}

void
req_flush_logs(struct req *req)
{
	struct db *db;
	enum err e = req_db(req, &db);

	if (e == ERR_OK)
		e = spool_flush(req->admin->conf, db, true, NULL, &req->info);
	put_off(req, "writing log rows", e);
}

void
req_write_back(struct req *req)
{
	struct pool *pool;
	size_t n;
	enum err e = req_pool(req, &pool);

	if (e == ERR_OK)
		e = writeback_run(req->admin->db, pool, &n, &req->info);
	put_off(req, "writing the keys' state", e);
}

/* --- showing keys --- */

struct str
req_show_key(struct req *req, struct str key)
{
	return req->masked ? key_mask(key, &req->arena) : key;
}

struct str
req_show_keys(struct req *req, struct str list)
{
	return req->masked ? key_mask_list(list, &req->arena) : list;
}
