/* SPDX-License-Identifier: MIT
 *
 * Aggregates: which standard groups a group is made of, with their weights. All
 * members of one aggregate speak the same channel and are tested on the same path,
 * since a request may go to any of them.
 */
#include "lib/group.h"

#include "lib/clock.h"
#include "lib/limits.h"
#include "lib/str.h"

static enum err
get_aggregate(struct db *db, int64_t id, struct arena *arena, struct group_row *ret,
	      struct errinfo *info)
{
	enum err e = group_get(db, id, arena, ret, info);

	if (e == ERR_OK && !ret->aggregate)
		return err_set(info, ERR_BAD_REQUEST, "the group is not an aggregate");
	return e;
}

static enum err
read_members(struct db *db, int64_t id, struct arena *arena, struct group_member **ret,
	     size_t *ret_n)
{
	struct group_member *list = arena_alloc(arena, LIMIT_MEMBERS * sizeof(*list));
	struct db_rows *rows = NULL;
	size_t n = 0;

	enum err e = db_query(db,
			      "SELECT " GROUP_COLUMNS ", m.weight FROM group_sub_groups m "
			      "JOIN \"groups\" g ON g.id = m.sub_group_id WHERE m.group_id = ? "
			      "ORDER BY m.weight DESC, m.id",
			      DB_ARGS(db_int(id)), &rows);
	while (e == ERR_OK && n < LIMIT_MEMBERS && db_next(rows, &e)) {
		group_read(rows, arena, &list[n].group);
		list[n++].weight = db_col_int(rows, GROUP_COLUMN_COUNT);
	}
	db_rows_done(rows);
	if (e != ERR_OK)
		return e;
	*ret = list;
	*ret_n = n;
	return ERR_OK;
}

enum err
group_members(struct db *db, int64_t id, struct arena *arena, struct group_member **ret,
	      size_t *ret_n, struct errinfo *info)
{
	struct group_row aggregate;
	enum err e = get_aggregate(db, id, arena, &aggregate, info);

	return e == ERR_OK ? read_members(db, id, arena, ret, ret_n) : e;
}

static enum err
check_weight(int64_t weight, struct errinfo *info)
{
	if (weight < 0 || weight > LIMIT_WEIGHT)
		return err_set(info, ERR_VALIDATION, "\"weight\" must be 0 to %d", LIMIT_WEIGHT);
	return ERR_OK;
}

/* May this group join; *endpoint is that of the members so far, empty at first. */
static enum err
check_newcomer(const struct group_row *aggregate, const struct group_row *group,
	       struct str *endpoint, struct errinfo *info)
{
	struct str own = group_effective_endpoint(group->channel_type, group->validation_endpoint);

	if (group->aggregate)
		return err_set(info, ERR_VALIDATION,
			       "group " STR_FMT " is an aggregate and cannot be a member",
			       STR_ARG(group->name));
	if (!str_eq(group->channel_type, aggregate->channel_type))
		return err_set(info, ERR_VALIDATION,
			       "group " STR_FMT " has channel " STR_FMT
			       ", the aggregate has " STR_FMT,
			       STR_ARG(group->name), STR_ARG(group->channel_type),
			       STR_ARG(aggregate->channel_type));
	if (endpoint->p != NULL && !str_eq(own, *endpoint))
		return err_set(info, ERR_VALIDATION,
			       "group " STR_FMT
			       " has another validation endpoint than the other members",
			       STR_ARG(group->name));
	*endpoint = own;
	return ERR_OK;
}

static enum err
add_member(struct db *db, const struct group_row *aggregate, const struct group_weight *member,
	   struct arena *arena, struct str *endpoint, struct errinfo *info)
{
	const struct db_arg now = db_time(clock_wall_us());
	struct group_row group;

	enum err e = check_weight(member->weight, info);
	if (e != ERR_OK)
		return e;
	e = group_get(db, member->id, arena, &group, info);
	if (e == ERR_NOT_FOUND) /* a fault of the body, not of the path */
		return ERR_VALIDATION;
	if (e == ERR_OK)
		e = check_newcomer(aggregate, &group, endpoint, info);
	if (e != ERR_OK)
		return e;
	e = db_exec(
	    db,
	    "INSERT INTO group_sub_groups (group_id, sub_group_id, weight, created_at, updated_at) "
	    "VALUES (?,?,?,?,?)",
	    DB_ARGS(db_int(aggregate->id), db_int(member->id), db_int(member->weight), now, now),
	    NULL);
	if (e == ERR_DUPLICATE)
		return err_set(info, ERR_BAD_REQUEST, "group " STR_FMT " is a member already",
			       STR_ARG(group.name));
	return e;
}

static enum err
add_members(struct db *db, int64_t id, const struct group_weight *members, size_t n,
	    struct arena *arena, struct errinfo *info)
{
	struct str endpoint = {NULL, 0};
	struct group_member *present;
	struct group_row aggregate;
	size_t n_present;

	enum err e = get_aggregate(db, id, arena, &aggregate, info);
	if (e == ERR_OK)
		e = read_members(db, id, arena, &present, &n_present);
	if (e != ERR_OK)
		return e;
	if (n == 0 || n + n_present > LIMIT_MEMBERS)
		return err_set(info, ERR_VALIDATION, "an aggregate can have 1 to %d members",
			       LIMIT_MEMBERS);
	if (n_present > 0)
		endpoint = group_effective_endpoint(present[0].group.channel_type,
						    present[0].group.validation_endpoint);
	for (size_t i = 0; i < n && e == ERR_OK; i++) {
		for (size_t j = 0; j < i; j++)
			if (members[j].id == members[i].id)
				return err_set(info, ERR_VALIDATION, "group %lld is named twice",
					       (long long)members[i].id);
		e = add_member(db, &aggregate, &members[i], arena, &endpoint, info);
	}
	return e;
}

enum err
group_members_add(struct db *db, int64_t id, const struct group_weight *members, size_t n,
		  struct errinfo *info)
{
	struct arena arena;
	enum err e = group_begin(db);

	if (e != ERR_OK)
		return e;
	arena_init(&arena, 16 * 1024);
	e = group_finish(db, add_members(db, id, members, n, &arena, info));
	arena_done(&arena);
	return e;
}

static enum err
not_a_member(int64_t member_id, struct errinfo *info)
{
	return err_set(info, ERR_NOT_FOUND, "group %lld is not a member of this group",
		       (long long)member_id);
}

enum err
group_member_weigh(struct db *db, int64_t id, int64_t member_id, int64_t weight,
		   struct errinfo *info)
{
	int64_t changed = 0;
	enum err e = check_weight(weight, info);

	if (e == ERR_OK)
		e = group_begin(db);
	if (e != ERR_OK)
		return e;
	e = db_exec(
	    db,
	    "UPDATE group_sub_groups SET weight = ?, updated_at = ? "
	    "WHERE group_id = ? AND sub_group_id = ?",
	    DB_ARGS(db_int(weight), db_time(clock_wall_us()), db_int(id), db_int(member_id)),
	    &changed);
	if (e == ERR_OK && changed == 0)
		e = not_a_member(member_id, info);
	return group_finish(db, e);
}

enum err
group_member_remove(struct db *db, int64_t id, int64_t member_id, struct errinfo *info)
{
	int64_t changed = 0;
	enum err e = group_begin(db);

	if (e != ERR_OK)
		return e;
	e = db_exec(db, "DELETE FROM group_sub_groups WHERE group_id = ? AND sub_group_id = ?",
		    DB_ARGS(db_int(id), db_int(member_id)), &changed);
	if (e == ERR_OK && changed == 0)
		e = not_a_member(member_id, info);
	return group_finish(db, e);
}

enum err
group_parents(struct db *db, int64_t id, struct arena *arena, struct group_parent **ret,
	      size_t *ret_n)
{
	struct group_parent *list;
	struct db_rows *rows = NULL;
	int64_t count;
	size_t n = 0;

	enum err e =
	    db_query_int(db, "SELECT COUNT(*) FROM group_sub_groups WHERE sub_group_id = ?",
			 DB_ARGS(db_int(id)), 0, &count);
	if (e != ERR_OK)
		return e;
	list = arena_alloc(arena, ((size_t)count + 1) * sizeof(*list));
	e = db_query(
	    db,
	    "SELECT g.id, g.name, g.display_name, m.weight FROM group_sub_groups m "
	    "JOIN \"groups\" g ON g.id = m.group_id WHERE m.sub_group_id = ? ORDER BY g.sort, g.id",
	    DB_ARGS(db_int(id)), &rows);
	while (e == ERR_OK && n < (size_t)count && db_next(rows, &e)) {
		list[n++] = (struct group_parent){
		    .id = db_col_int(rows, 0),
		    .name = arena_str(arena, db_col_text(rows, 1)),
		    .display_name = arena_str(arena, db_col_text(rows, 2)),
		    .weight = db_col_int(rows, 3),
		};
	}
	db_rows_done(rows);
	if (e != ERR_OK)
		return e;
	*ret = list;
	*ret_n = n;
	return ERR_OK;
}
