/* SPDX-License-Identifier: MIT
 *
 * Groups in the DB. An update reads the row, lays the input over it and writes the
 * whole row back, all in one write transaction, so that two updates at once do not
 * mix.
 */
#include "lib/group.h"

#include "lib/channel.h"
#include "lib/clock.h"
#include "lib/group_input.h"
#include "lib/limits.h"
#include "lib/migrate.h"
#include "lib/publish.h"
#include "lib/str.h"

#include <stdio.h>

#define GROUP_NAME_MAX 100
#define COPIES_MAX     1000

/* SQLite has one writer anyway; elsewhere they queue for the row that all of them
 * change at their end. */
enum err
group_begin(struct db *db)
{
	int64_t one;
	enum err e = db_begin(db);

	if (e != ERR_OK || db_dialect(db) == DB_SQLITE)
		return e;
	e = db_query_int(db, "SELECT 1 FROM gptl_meta WHERE name = 'version' FOR UPDATE",
			 DB_NO_ARGS, 0, &one);
	if (e != ERR_OK)
		db_rollback(db);
	return e;
}

enum err
group_finish(struct db *db, enum err e)
{
	int64_t version;

	if (e == ERR_OK)
		e = meta_bump_version(db, &version);
	if (e == ERR_OK)
		e = db_commit(db);
	if (e != ERR_OK)
		db_rollback(db);
	return e;
}

/* --- reading --- */

/* {NULL, 0} for NULL. */
static struct str
column_text(struct db_rows *rows, int col, struct arena *arena)
{
	if (db_col_is_null(rows, col))
		return (struct str){NULL, 0};
	return arena_str(arena, db_col_text(rows, col));
}

void
group_read(struct db_rows *rows, struct arena *arena, struct group_row *ret)
{
	*ret = (struct group_row){
	    .id = db_col_int(rows, 0),
	    .name = column_text(rows, 1, arena),
	    .display_name = column_text(rows, 2, arena),
	    .description = column_text(rows, 3, arena),
	    .aggregate = str_is(db_col_text(rows, 4), "aggregate"),
	    .channel_type = column_text(rows, 5, arena),
	    .sort = db_col_int(rows, 6),
	    .test_model = column_text(rows, 7, arena),
	    .validation_endpoint = column_text(rows, 8, arena),
	    .proxy_keys = column_text(rows, 9, arena),
	    .upstreams_json = column_text(rows, 10, arena),
	    .param_overrides_json = column_text(rows, 11, arena),
	    .config_json = column_text(rows, 12, arena),
	    .options_json = column_text(rows, 13, arena),
	    .header_rules_json = column_text(rows, 14, arena),
	    .redirects_json = column_text(rows, 15, arena),
	    .redirect_strict = db_col_bool(rows, 16),
	    .last_validated_at = db_col_time(rows, 17),
	    .created_at = db_col_time(rows, 18),
	    .updated_at = db_col_time(rows, 19),
	};
}

enum err
group_get(struct db *db, int64_t id, struct arena *arena, struct group_row *ret,
	  struct errinfo *info)
{
	struct db_rows *rows = NULL;
	bool found = false;
	enum err e = db_query(db, "SELECT " GROUP_COLUMNS " FROM \"groups\" g WHERE g.id = ?",
			      DB_ARGS(db_int(id)), &rows);

	if (e == ERR_OK && db_next(rows, &e)) {
		group_read(rows, arena, ret);
		found = true;
	}
	db_rows_done(rows);
	if (e == ERR_OK && !found)
		return err_set(info, ERR_NOT_FOUND, "there is no group %lld", (long long)id);
	return e;
}

enum err
group_list(struct db *db, struct arena *arena, struct group_row **ret, size_t *ret_n)
{
	struct group_row *list;
	struct db_rows *rows = NULL;
	int64_t count;
	size_t n = 0;

	enum err e = db_query_int(db, "SELECT COUNT(*) FROM \"groups\"", DB_NO_ARGS, 0, &count);
	if (e != ERR_OK)
		return e;
	/* Groups made between the two queries are left for the next call. */
	list = arena_alloc(arena, ((size_t)count + 1) * sizeof(*list));
	e = db_query(db, "SELECT " GROUP_COLUMNS " FROM \"groups\" g ORDER BY g.sort, g.id DESC",
		     DB_NO_ARGS, &rows);
	while (e == ERR_OK && n < (size_t)count && db_next(rows, &e))
		group_read(rows, arena, &list[n++]);
	db_rows_done(rows);
	if (e != ERR_OK)
		return e;
	*ret = list;
	*ret_n = n;
	return ERR_OK;
}

struct str
group_effective_endpoint(struct str channel_type, struct str validation_endpoint)
{
	const struct channel *c = channel_find(channel_type);

	if (c == NULL || (validation_endpoint.n > 0 && !c->own_validation_path))
		return validation_endpoint;
	return str_of(c->validation_path);
}

/* --- writing --- */

static struct db_arg
text_or_null(struct str s)
{
	return s.p == NULL ? db_null() : db_text(s);
}

static enum err
duplicate_named(enum err e, struct errinfo *info)
{
	if (e == ERR_DUPLICATE)
		return err_set(info, e, "a group of this \"name\" exists already");
	return e;
}

/* The order of these columns, and of the arguments made for them, is the same. */
#define WRITTEN_COLUMNS 16

static void
written_args(const struct group_row *row, struct db_arg args[WRITTEN_COLUMNS])
{
	const struct db_arg list[WRITTEN_COLUMNS] = {
	    db_text(row->name),
	    db_text(row->display_name),
	    db_text(row->description),
	    db_text(row->channel_type),
	    db_int(row->sort),
	    db_text(row->test_model),
	    db_text(row->validation_endpoint),
	    db_text(row->proxy_keys),
	    db_text(row->upstreams_json),
	    text_or_null(row->param_overrides_json),
	    text_or_null(row->config_json),
	    text_or_null(row->options_json),
	    text_or_null(row->header_rules_json),
	    text_or_null(row->redirects_json),
	    db_bool(row->redirect_strict),
	    db_time(row->updated_at),
	};

	memcpy(args, list, sizeof(list));
}

static enum err
insert_row(struct db *db, struct group_row *row, struct errinfo *info)
{
	struct db_arg args[WRITTEN_COLUMNS + 2];
	int64_t count;

	enum err e = db_query_int(db, "SELECT COUNT(*) FROM \"groups\"", DB_NO_ARGS, 0, &count);
	if (e != ERR_OK)
		return e;
	if (count >= LIMIT_GROUPS)
		return err_set(info, ERR_VALIDATION, "there are %d groups already", LIMIT_GROUPS);
	row->created_at = row->updated_at = clock_wall_us();
	written_args(row, args);
	args[WRITTEN_COLUMNS] = db_cstr(row->aggregate ? "aggregate" : "standard");
	args[WRITTEN_COLUMNS + 1] = db_time(row->created_at);
	return db_insert(
	    db,
	    "INSERT INTO \"groups\" (name, display_name, description, channel_type, sort, "
	    "test_model, validation_endpoint, proxy_keys, upstreams, param_overrides, config, "
	    "gptl_options, header_rules, model_redirect_rules, model_redirect_strict, updated_at, "
	    "group_type, created_at) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
	    args, ARRAY_LEN(args), &row->id);
}

enum err
group_create(struct db *db, struct str body, struct arena *arena, struct group_row *ret,
	     struct errinfo *info)
{
	struct group_row row;

	enum err e = group_parse(body, NULL, arena, &row, info);
	if (e != ERR_OK)
		return e;
	e = group_begin(db);
	if (e != ERR_OK)
		return e;
	e = group_finish(db, duplicate_named(insert_row(db, &row, info), info));
	if (e == ERR_OK)
		*ret = row;
	return e;
}

/* A member's channel and test path are what its aggregates were put together by. */
static enum err
check_memberships(struct db *db, const struct group_row *old, const struct group_row *row,
		  struct errinfo *info)
{
	struct str before = group_effective_endpoint(old->channel_type, old->validation_endpoint);
	struct str after = group_effective_endpoint(row->channel_type, row->validation_endpoint);
	int64_t n;

	if (str_eq(old->channel_type, row->channel_type) && str_eq(before, after))
		return ERR_OK;
	enum err e =
	    db_query_int(db, "SELECT COUNT(*) FROM group_sub_groups WHERE sub_group_id = ?",
			 DB_ARGS(db_int(row->id)), 0, &n);
	if (e == ERR_OK && n > 0)
		return err_set(info, ERR_VALIDATION,
			       "\"channel_type\" and \"validation_endpoint\" cannot change while "
			       "the group is a "
			       "member of %lld aggregate groups",
			       (long long)n);
	return e;
}

static enum err
update_row(struct db *db, struct group_row *row)
{
	struct db_arg args[WRITTEN_COLUMNS + 1];

	row->updated_at = clock_wall_us();
	written_args(row, args);
	args[WRITTEN_COLUMNS] = db_int(row->id);
	return db_exec(
	    db,
	    "UPDATE \"groups\" SET name = ?, display_name = ?, description = ?, channel_type = ?, "
	    "sort = ?, test_model = ?, validation_endpoint = ?, proxy_keys = ?, upstreams = ?, "
	    "param_overrides = ?, config = ?, gptl_options = ?, header_rules = ?, "
	    "model_redirect_rules = ?, model_redirect_strict = ?, updated_at = ? WHERE id = ?",
	    args, ARRAY_LEN(args), NULL);
}

enum err
group_update(struct db *db, int64_t id, struct str body, struct arena *arena, struct group_row *ret,
	     struct errinfo *info)
{
	struct group_row old;
	struct group_row row;

	enum err e = group_begin(db);
	if (e != ERR_OK)
		return e;
	e = group_get(db, id, arena, &old, info);
	if (e == ERR_OK)
		e = group_parse(body, &old, arena, &row, info);
	if (e == ERR_OK)
		e = check_memberships(db, &old, &row, info);
	if (e == ERR_OK)
		e = duplicate_named(update_row(db, &row), info);
	e = group_finish(db, e);
	if (e == ERR_OK)
		*ret = row;
	return e;
}

enum err
group_hold(struct db *db, int64_t id)
{
	int64_t one;

	if (db_dialect(db) == DB_SQLITE)
		return ERR_OK;
	return db_query_int(db, "SELECT 1 FROM \"groups\" WHERE id = ? FOR UPDATE",
			    DB_ARGS(db_int(id)), 0, &one);
}

static enum err
delete_row(struct db *db, int64_t id, struct errinfo *info)
{
	int64_t changed = 0;

	/* An import that is under way ends first: its keys go too. */
	enum err e = group_hold(db, id);
	/* Keys first: api_keys refers to groups. */
	if (e == ERR_OK)
		e = db_exec(db, "DELETE FROM api_keys WHERE group_id = ?", DB_ARGS(db_int(id)),
			    NULL);
	if (e == ERR_OK)
		e = db_exec(db,
			    "DELETE FROM group_sub_groups WHERE group_id = ? OR sub_group_id = ?",
			    DB_ARGS(db_int(id), db_int(id)), NULL);
	if (e == ERR_OK)
		e = db_exec(db, "DELETE FROM \"groups\" WHERE id = ?", DB_ARGS(db_int(id)),
			    &changed);
	if (e == ERR_OK && changed == 0)
		return err_set(info, ERR_NOT_FOUND, "there is no group %lld", (long long)id);
	return e == ERR_OK ? outbox_add(db, id, 0, INT64_MAX) : e;
}

enum err
group_delete(struct db *db, int64_t id, struct errinfo *info)
{
	enum err e = group_begin(db);

	return e == ERR_OK ? group_finish(db, delete_row(db, id, info)) : e;
}

/* --- order --- */

static enum err
check_sort(struct db *db, const struct group_sort *items, size_t i, struct errinfo *info)
{
	int64_t there = 0;

	if (items[i].id < 1 || items[i].sort < 0)
		return err_set(info, ERR_VALIDATION,
			       "each of \"items\" must have an \"id\" above 0 and a \"sort\" that "
			       "is not below 0");
	for (size_t j = 0; j < i; j++)
		if (items[j].id == items[i].id)
			return err_set(info, ERR_VALIDATION, "\"items\" names group %lld twice",
				       (long long)items[i].id);
	enum err e = db_query_int(db, "SELECT COUNT(*) FROM \"groups\" WHERE id = ?",
				  DB_ARGS(db_int(items[i].id)), 0, &there);
	if (e == ERR_OK && there == 0)
		return err_set(info, ERR_VALIDATION, "there is no group %lld",
			       (long long)items[i].id);
	return e;
}

enum err
group_reorder(struct db *db, const struct group_sort *items, size_t n, struct errinfo *info)
{
	enum err e = ERR_OK;

	if (n == 0 || n > LIMIT_GROUPS)
		return err_set(info, ERR_VALIDATION, "\"items\" must have 1 to %d entries",
			       LIMIT_GROUPS);
	e = group_begin(db);
	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < n && e == ERR_OK; i++) {
		e = check_sort(db, items, i, info);
		if (e == ERR_OK)
			e = db_exec(db, "UPDATE \"groups\" SET sort = ? WHERE id = ?",
				    DB_ARGS(db_int(items[i].sort), db_int(items[i].id)), NULL);
	}
	return group_finish(db, e);
}

/* --- copies --- */

/* A name that is free: the original's is shortened where it would become too long. */
static enum err
copy_name(struct db *db, struct str name, struct arena *arena, struct str *ret,
	  struct errinfo *info)
{
	for (int i = 1; i <= COPIES_MAX; i++) {
		char ending[24] = "_copy";
		int64_t taken = 0;

		if (i > 1)
			(void)snprintf(ending, sizeof(ending), "_copy_%d", i);
		int cut = (int)MIN(name.n, GROUP_NAME_MAX - strlen(ending));
		struct str candidate = str_of(arena_printf(arena, "%.*s%s", cut, name.p, ending));
		enum err e = db_query_int(db, "SELECT COUNT(*) FROM \"groups\" WHERE name = ?",
					  DB_ARGS(db_text(candidate)), 0, &taken);
		if (e != ERR_OK)
			return e;
		if (taken == 0) {
			*ret = candidate;
			return ERR_OK;
		}
	}
	return err_set(info, ERR_DUPLICATE, "there are %d copies of this group already",
		       COPIES_MAX);
}

/* Stored values go over as they are, so that no key is needed. */
static enum err
copy_keys(struct db *db, int64_t from, int64_t to, enum group_copy_keys which)
{
	const struct db_arg now = db_time(clock_wall_us());
	const struct db_arg args[] = {db_int(to), now, now, db_int(from)};
	int64_t n = 0;
	enum err e;

#define COPY_KEYS(status, which)                                                                   \
	"INSERT INTO api_keys (key_value, key_hash, group_id, status, notes, request_count, "      \
	"failure_count, created_at, updated_at) SELECT key_value, key_hash, ?, " status            \
	", '', 0, 0, ?, ? FROM api_keys WHERE id IN (SELECT MIN(id) FROM api_keys WHERE "          \
	"group_id = ?" which " GROUP BY key_hash) ORDER BY id"
	if (which == GROUP_COPY_NONE)
		return ERR_OK;
	if (which == GROUP_COPY_ALL)
		e = db_exec(
		    db,
		    COPY_KEYS("CASE WHEN status = 'disabled' THEN status ELSE 'active' END", ""),
		    args, ARRAY_LEN(args), &n);
	else
		e = db_exec(db, COPY_KEYS("'active'", " AND status = 'active'"), args,
			    ARRAY_LEN(args), &n);
#undef COPY_KEYS
	return e == ERR_OK && n > 0 ? outbox_add(db, to, 0, INT64_MAX) : e;
}

static enum err
copy_members(struct db *db, int64_t from, int64_t to)
{
	const struct db_arg now = db_time(clock_wall_us());

	return db_exec(db,
		       "INSERT INTO group_sub_groups (group_id, sub_group_id, weight, created_at, "
		       "updated_at) SELECT ?, sub_group_id, weight, ?, ? FROM group_sub_groups "
		       "WHERE group_id = ?",
		       DB_ARGS(db_int(to), now, now, db_int(from)), NULL);
}

static enum err
copy_row(struct db *db, int64_t id, enum group_copy_keys keys, struct arena *arena,
	 struct group_row *ret, struct errinfo *info)
{
	enum err e = group_get(db, id, arena, ret, info);

	if (e == ERR_OK)
		e = copy_name(db, ret->name, arena, &ret->name, info);
	if (e != ERR_OK)
		return e;
	if (ret->display_name.n > 0)
		ret->display_name = utf8_cut(
		    str_of(arena_printf(arena, STR_FMT " Copy", STR_ARG(ret->display_name))),
		    GROUP_COLUMN_CHARS);
	ret->last_validated_at = 0;
	e = insert_row(db, ret, info);
	if (e == ERR_OK)
		e = ret->aggregate ? copy_members(db, id, ret->id)
				   : copy_keys(db, id, ret->id, keys);
	return e;
}

enum err
group_copy(struct db *db, int64_t id, enum group_copy_keys keys, struct arena *arena,
	   struct group_row *ret, struct errinfo *info)
{
	enum err e = group_begin(db);

	if (e != ERR_OK)
		return e;
	return group_finish(db, duplicate_named(copy_row(db, id, keys, arena, ret, info), info));
}
