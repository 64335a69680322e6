/* SPDX-License-Identifier: MIT
 *
 * The entity "group" in the DB: the one place where its input is checked, and
 * where it is created, changed, deleted, listed and put together with others.
 * (struct group of snapshot.h is the compiled form that the data plane uses.)
 *
 * Every function that changes something is one transaction, which bumps the
 * configuration version; the caller publishes after it (publish.h).
 */
#ifndef LIB_GROUP_H
#define LIB_GROUP_H

#include "lib/arena.h"
#include "lib/db.h"

/* One row; all text is in an arena. Texts named …_json are raw JSON; {NULL, 0} is a
 * NULL column. */
struct group_row {
	int64_t id;
	struct str name;
	struct str display_name;
	struct str description;
	bool aggregate;
	struct str channel_type;
	int64_t sort;
	struct str test_model;
	struct str validation_endpoint;
	struct str proxy_keys; /* comma-separated */
	struct str upstreams_json;
	struct str param_overrides_json;
	struct str config_json;
	struct str options_json; /* gptl_options: the overrides that are ours */
	struct str header_rules_json;
	struct str redirects_json;
	bool redirect_strict;
	int64_t last_validated_at; /* µs; 0: never. Likewise the two below */
	int64_t created_at;
	int64_t updated_at;
};

/* Reads the JSON body of a creation (old NULL) or of a partial update over `old`,
 * and checks all that needs no DB. ERR_INVALID_JSON: a wrong type; ERR_VALIDATION:
 * a value that is not acceptable; *info names the field. Pure. */
enum err group_parse(struct str body, const struct group_row *old, struct arena *arena,
		     struct group_row *ret, struct errinfo *info) MUST_CHECK;
/* An upstream's base URL. */
enum err group_check_url(struct str url, struct errinfo *info) MUST_CHECK;

/* ERR_NOT_FOUND, with *info said. */
enum err group_get(struct db *db, int64_t id, struct arena *arena, struct group_row *ret,
		   struct errinfo *info) MUST_CHECK;
/* In order of `sort`, then newest first. */
enum err group_list(struct db *db, struct arena *arena, struct group_row **ret, size_t *ret_n)
    MUST_CHECK;
/* ERR_DUPLICATE: the name is taken. *ret is the row as it is now. */
enum err group_create(struct db *db, struct str body, struct arena *arena, struct group_row *ret,
		      struct errinfo *info) MUST_CHECK;
enum err group_update(struct db *db, int64_t id, struct str body, struct arena *arena,
		      struct group_row *ret, struct errinfo *info) MUST_CHECK;
/* With its keys and memberships; its logs and hourly sums stay. */
enum err group_delete(struct db *db, int64_t id, struct errinfo *info) MUST_CHECK;
enum group_copy_keys {
	GROUP_COPY_ALL,
	GROUP_COPY_ACTIVE,
	GROUP_COPY_NONE
};
/* Another group like this one, "NAME_copy" or "NAME_copy_2" and so on, with its
 * members or its keys: these active (or disabled as they were), without notes and
 * counters, each once. */
enum err group_copy(struct db *db, int64_t id, enum group_copy_keys keys, struct arena *arena,
		    struct group_row *ret, struct errinfo *info) MUST_CHECK;
struct group_sort {
	int64_t id;
	int64_t sort;
};
/* All or nothing. ERR_VALIDATION: none, an id that is unknown or stands there twice, a
 * sort below 0. */
enum err group_reorder(struct db *db, const struct group_sort *items, size_t n,
		       struct errinfo *info) MUST_CHECK;
/* The path that its keys are tried on: the group's own or the channel's. */
struct str group_effective_endpoint(struct str channel_type, struct str validation_endpoint);

/* --- aggregates --- */
struct group_member {
	struct group_row group;
	int64_t weight; /* 0: parked */
};
struct group_parent {
	int64_t id;
	struct str name;
	struct str display_name;
	int64_t weight;
};
struct group_weight {
	int64_t id;
	int64_t weight;
};

/* Heaviest first. ERR_BAD_REQUEST: not an aggregate. */
enum err group_members(struct db *db, int64_t id, struct arena *arena, struct group_member **ret,
		       size_t *ret_n, struct errinfo *info) MUST_CHECK;
/* All or nothing. ERR_BAD_REQUEST: not an aggregate, or a member already. */
enum err group_members_add(struct db *db, int64_t id, const struct group_weight *members, size_t n,
			   struct errinfo *info) MUST_CHECK;
/* ERR_NOT_FOUND: not a member. */
enum err group_member_weigh(struct db *db, int64_t id, int64_t member_id, int64_t weight,
			    struct errinfo *info) MUST_CHECK;
enum err group_member_remove(struct db *db, int64_t id, int64_t member_id, struct errinfo *info)
    MUST_CHECK;
/* The aggregates that use this group; none when there is no such group. */
enum err group_parents(struct db *db, int64_t id, struct arena *arena, struct group_parent **ret,
		       size_t *ret_n) MUST_CHECK;

/* --- what all who change the configuration share --- */

/* Begins a transaction that changes groups or settings. There is one at a time, on a server
 * too: what it checks stays true until it ends. */
enum err group_begin(struct db *db) MUST_CHECK;
/* Within a transaction: whoever adds keys or a task to the group, or deletes it, waits until
 * that ends. Before the first read, which MySQL would go on answering from. */
enum err group_hold(struct db *db, int64_t id) MUST_CHECK;
/* Bumps the version and ends the transaction: commit when e is ERR_OK, else (and
 * when that fails) rollback. */
enum err group_finish(struct db *db, enum err e) MUST_CHECK;
/* The columns that group_read() takes, from column `first` on, of the table `g`. */
#define GROUP_COLUMNS                                                                              \
	"g.id, g.name, g.display_name, g.description, g.group_type, g.channel_type, g.sort, "      \
	"g.test_model, g.validation_endpoint, g.proxy_keys, g.upstreams, g.param_overrides, "      \
	"g.config, g.gptl_options, g.header_rules, g.model_redirect_rules, "                       \
	"g.model_redirect_strict, g.last_validated_at, g.created_at, g.updated_at"
#define GROUP_COLUMN_COUNT 20
void group_read(struct db_rows *rows, struct arena *arena, struct group_row *ret);

#endif
