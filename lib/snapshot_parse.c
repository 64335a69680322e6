/* SPDX-License-Identifier: MIT
 *
 * From the snapshot's text to the structures that the data plane asks. The text's
 * form is drawn in snapshot_compile.c. It comes from the pool and may be damaged:
 * what is missing or of a wrong type reads as absent, and nothing in it can lead
 * outside the arena.
 */
#include "lib/snapshot.h"
#include "lib/channel.h"
#include "lib/crypt.h"
#include "lib/json.h"
#include "lib/limits.h"
#include "lib/str.h"
#include "lib/url.h"

#include <json-c/json.h>
#include <stdlib.h>

#define ARENA_CHUNK  65536
#define DIGEST_BYTES 32

/* The original's default for failover_status_codes: counts as not set. */
#define FAILOVER_UNSET "400-403,405-999"

/* --- reading the tree --- */

static struct str
get_text(struct json_object *obj, const char *name, struct arena *arena)
{
	struct str text;

	if (!json_get_text(json_get(obj, name), &text))
		return (struct str){NULL, 0};
	return arena_str(arena, text);
}

static bool
get_bool(struct json_object *obj, const char *name, bool otherwise)
{
	bool b;

	return json_get_bool(json_get(obj, name), &b) ? b : otherwise;
}

static int
get_int(struct json_object *obj, const char *name, int otherwise)
{
	int64_t i;

	if (!json_get_int(json_get(obj, name), &i) || i < 0 || i > INT32_MAX)
		return otherwise;
	return (int)i;
}

/* The member as an array; its length is 0 when it is none. */
static struct json_object *
get_array(struct json_object *obj, const char *name, size_t *ret_n)
{
	struct json_object *list = json_get(obj, name);

	if (!json_object_is_type(list, json_type_array))
		list = NULL;
	*ret_n = list != NULL ? json_object_array_length(list) : 0;
	return list;
}

/* Entry i of an array in an array. */
static struct json_object *
item_at(struct json_object *item, size_t i)
{
	return json_object_is_type(item, json_type_array) ? json_object_array_get_idx(item, i)
							  : NULL;
}

static bool
item_text(struct json_object *item, size_t i, struct arena *arena, struct str *ret)
{
	struct str text;

	if (!json_get_text(item_at(item, i), &text))
		return false;
	*ret = arena_str(arena, text);
	return true;
}

/* A weight: 1 and up. */
static bool
item_weight(struct json_object *item, size_t i, int *ret)
{
	int64_t v;

	if (!json_get_int(item_at(item, i), &v) || v < 1 || v > INT32_MAX)
		return false;
	*ret = (int)v;
	return true;
}

/* --- keys --- */

static void
read_keys(struct json_object *obj, struct arena *arena, struct key_set *ret)
{
	struct str hex;
	size_t n;

	if (!json_get_text(json_get(obj, "keys"), &hex))
		return;
	n = hex.n / (2 * DIGEST_BYTES);
	ret->digest = arena_alloc(arena, n * DIGEST_BYTES);
	for (size_t i = 0; i < n; i++) {
		struct str one = {hex.p + i * 2 * DIGEST_BYTES, (size_t)2 * DIGEST_BYTES};

		if (hex_decode(one, ret->digest[ret->n], DIGEST_BYTES))
			ret->n++;
	}
	qsort(ret->digest, ret->n, DIGEST_BYTES, key_digest_compare);
}

/* --- options --- */

static const struct {
	enum setting id;
	size_t offset;
} int_options[] = {
    {SETTING_REQUEST_TIMEOUT, offsetof(struct options, request_timeout_s)},
    {SETTING_CONNECT_TIMEOUT, offsetof(struct options, connect_timeout_s)},
    {SETTING_IDLE_CONN_TIMEOUT, offsetof(struct options, idle_conn_timeout_s)},
    {SETTING_RESPONSE_HEADER_TIMEOUT, offsetof(struct options, response_header_timeout_s)},
    {SETTING_STREAM_IDLE_TIMEOUT, offsetof(struct options, stream_idle_timeout_s)},
    {SETTING_STREAM_HEARTBEAT, offsetof(struct options, stream_heartbeat_s)},
    {SETTING_MAX_IDLE_CONNS, offsetof(struct options, max_idle_conns)},
    {SETTING_MAX_IDLE_CONNS_PER_HOST, offsetof(struct options, max_idle_conns_per_host)},
    {SETTING_MAX_RETRIES, offsetof(struct options, max_retries)},
    {SETTING_BLACKLIST_THRESHOLD, offsetof(struct options, blacklist_threshold)},
    {SETTING_VALIDATION_INTERVAL, offsetof(struct options, validation_interval_min)},
    {SETTING_VALIDATION_CONCURRENCY, offsetof(struct options, validation_concurrency)},
    {SETTING_VALIDATION_TIMEOUT, offsetof(struct options, validation_timeout_s)},
};

static void
read_failover(struct json_object *obj, struct options *opt)
{
	struct str text;
	struct status_set set;
	struct status_set unset;

	if (!json_get_text(json_get(obj, setting_def(SETTING_FAILOVER_STATUS_CODES)->key), &text))
		return;
	check(status_set_parse(STR(FAILOVER_UNSET), &unset, NULL) == ERR_OK);
	if (status_set_parse(text, &set, NULL) != ERR_OK)
		return;
	opt->failover = set;
	opt->failover_set = memcmp(&set, &unset, sizeof(set)) != 0;
}

/* Lays the options that `obj` names over those in *opt. */
static void
read_options(struct json_object *obj, struct arena *arena, struct options *opt)
{
	const char *proxy_url = setting_def(SETTING_PROXY_URL)->key;

	if (obj == NULL)
		return;
	for (size_t i = 0; i < ARRAY_LEN(int_options); i++) {
		int *field = (int *)(void *)((char *)opt + int_options[i].offset);

		*field = get_int(obj, setting_def(int_options[i].id)->key, *field);
	}
	opt->max_retries = MIN(opt->max_retries, LIMIT_RETRIES);
	opt->log_bodies = get_bool(obj, setting_def(SETTING_LOG_BODIES)->key, opt->log_bodies);
	if (json_has(obj, proxy_url))
		opt->proxy_url = get_text(obj, proxy_url, arena);
	read_failover(obj, opt);
}

/* --- upstreams --- */

bool
upstream_parse(struct str text, struct arena *arena, struct upstream *ret)
{
	struct url url;
	struct upstream up = {0};
	char *origin;

	if (!url_parse(text, &url) ||
	    (!url_scheme_is(&url, "http") && !url_scheme_is(&url, "https")) ||
	    !url_decode(url.userinfo, arena, &up.userinfo))
		return false;
	origin = arena_printf(arena, STR_FMT "://" STR_FMT "%s" STR_FMT, STR_ARG(url.scheme),
			      STR_ARG(url.host), url.port.n > 0 ? ":" : "", STR_ARG(url.port));
	up.origin = str_of(origin);
	up.path = arena_str(arena, url.path);
	up.query = arena_str(arena, url.query);
	up.url = str_of(arena_printf(arena, "%s" STR_FMT "%s" STR_FMT, origin, STR_ARG(up.path),
				     url.query.n > 0 ? "?" : "", STR_ARG(up.query)));
	while (str_ends(up.path, "/"))
		up.path.n--;
	*ret = up;
	return true;
}

static void
read_upstreams(struct json_object *obj, struct arena *arena, struct group *g)
{
	size_t n;
	struct json_object *list = get_array(obj, "upstreams", &n);
	int weights[LIMIT_UPSTREAMS];

	n = MIN(n, LIMIT_UPSTREAMS);
	g->upstreams = arena_alloc(arena, n * sizeof(*g->upstreams));
	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		struct upstream up;
		struct str url;
		int weight;

		if (!json_get_text(item_at(item, 0), &url) || !item_weight(item, 1, &weight) ||
		    !upstream_parse(url, arena, &up))
			continue;
		up.weight = weights[g->n_upstreams] = weight;
		g->upstreams[g->n_upstreams++] = up;
	}
	if (g->n_upstreams > 0)
		g->upstream_turns =
		    turns_build(arena, weights, g->n_upstreams, &g->n_upstream_turns);
}

/* --- what changes a request --- */

static void
read_overrides(struct json_object *obj, struct arena *arena, struct group *g)
{
	size_t n;
	struct json_object *list = get_array(obj, "overrides", &n);

	g->overrides = arena_alloc(arena, n * sizeof(*g->overrides));
	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		struct override *o = &g->overrides[g->n_overrides];

		if (item_text(item, 0, arena, &o->key) && item_text(item, 1, arena, &o->json))
			g->n_overrides++;
	}
}

static void
read_header_rules(struct json_object *obj, struct arena *arena, struct group *g)
{
	size_t n;
	struct json_object *list = get_array(obj, "headers", &n);

	g->header_rules = arena_alloc(arena, n * sizeof(*g->header_rules));
	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		struct header_rule rule = {0};

		if (!item_text(item, 0, arena, &rule.name))
			continue;
		rule.remove = !item_text(item, 1, arena, &rule.value);
		g->header_rules[g->n_header_rules++] = rule;
	}
}

static void
read_redirects(struct json_object *obj, struct arena *arena, struct group *g)
{
	size_t n;
	struct json_object *list = get_array(obj, "redirects", &n);

	g->redirects = arena_alloc(arena, n * sizeof(*g->redirects));
	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		struct redirect *r = &g->redirects[g->n_redirects];

		if (item_text(item, 0, arena, &r->from) && item_text(item, 1, arena, &r->to))
			g->n_redirects++;
	}
	if (g->n_redirects > 0)
		qsort(g->redirects, g->n_redirects, sizeof(*g->redirects), redirect_compare);
	g->redirect_strict = get_bool(obj, "strict", false);
}

/* --- groups --- */

/* A group while it is read: its members can be found only when all are there. */
struct draft {
	struct group group;
	struct json_object *json; /* borrowed from the tree */
};

static int
compare_drafts(const void *a, const void *b)
{
	const struct draft *x = a;
	const struct draft *y = b;

	return str_compare(x->group.name, y->group.name);
}

static int
compare_ids(const void *a, const void *b)
{
	const struct group *const *x = a;
	const struct group *const *y = b;

	return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

static bool
read_group(struct json_object *obj, struct arena *arena, const struct options *system,
	   struct group *ret)
{
	struct group g = {.opt = *system};

	g.name = get_text(obj, "name", arena);
	if (!json_get_int(json_get(obj, "id"), &g.id) || !group_name_valid(g.name))
		return false;
	g.display_name = get_text(obj, "display_name", arena);
	g.channel_name = get_text(obj, "channel", arena);
	g.channel = channel_find(g.channel_name);
	g.aggregate = get_bool(obj, "aggregate", false);
	g.test_model = get_text(obj, "test_model", arena);
	g.validation_endpoint = get_text(obj, "validation_endpoint", arena);
	read_keys(obj, arena, &g.proxy_keys);
	read_options(json_get(obj, "options"), arena, &g.opt);
	if (!g.aggregate) {
		read_upstreams(obj, arena, &g);
		read_overrides(obj, arena, &g);
		read_header_rules(obj, arena, &g);
		read_redirects(obj, arena, &g);
	}
	*ret = g;
	return true;
}

static void
read_members(struct json_object *obj, struct snapshot *s, struct group *g)
{
	size_t n;
	struct json_object *list = get_array(obj, "members", &n);
	int weights[LIMIT_MEMBERS];

	n = g->aggregate ? MIN(n, LIMIT_MEMBERS) : 0;
	g->members = arena_alloc(&s->arena, n * sizeof(*g->members));
	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(list, i);
		struct member m = {0};
		int64_t id;

		if (!json_get_int(item_at(item, 0), &id) || !item_weight(item, 1, &m.weight))
			continue;
		m.group = snapshot_group_id(s, id);
		if (m.group == NULL || m.group->aggregate)
			continue;
		weights[g->n_members] = m.weight;
		g->members[g->n_members++] = m;
	}
	if (g->n_members > 0)
		g->member_turns = turns_build(&s->arena, weights, g->n_members, &g->n_member_turns);
}

static void
read_groups(struct json_object *root, const struct options *system, struct snapshot *s)
{
	size_t n;
	struct json_object *list = get_array(root, "groups", &n);
	AUTO_FREE struct draft *drafts = xcalloc(n + 1, sizeof(*drafts));

	for (size_t i = 0; i < n; i++) {
		struct draft *d = &drafts[s->n_groups];

		d->json = json_object_array_get_idx(list, i);
		if (read_group(d->json, &s->arena, system, &d->group))
			s->n_groups++;
	}
	qsort(drafts, s->n_groups, sizeof(*drafts), compare_drafts);
	s->groups = arena_alloc(&s->arena, s->n_groups * sizeof(*s->groups));
	s->by_id = arena_alloc(&s->arena, s->n_groups * sizeof(*s->by_id));
	for (size_t i = 0; i < s->n_groups; i++) {
		s->groups[i] = drafts[i].group;
		s->by_id[i] = &s->groups[i];
	}
	qsort(s->by_id, s->n_groups, sizeof(*s->by_id), compare_ids);
	for (size_t i = 0; i < s->n_groups; i++)
		read_members(drafts[i].json, s, &s->groups[i]);
}

/* --- the whole --- */

enum err
snapshot_parse(struct str text, struct snapshot **ret, struct errinfo *info)
{
	AUTO_JSON struct json_object *root = NULL;
	struct options system = {0};
	struct snapshot *s;
	int64_t version;
	enum err e = json_parse(text, &root, info);

	if (e != ERR_OK)
		return e;
	if (get_int(root, "format", 0) != SNAPSHOT_FORMAT ||
	    !json_get_int(json_get(root, "version"), &version))
		return err_set(info, ERR_INVALID_JSON,
			       "the configuration in the pool is damaged, or of another version");
	s = xcalloc(1, sizeof(*s));
	arena_init(&s->arena, ARENA_CHUNK);
	s->refs = 1;
	s->version = (uint64_t)version;
	s->log_retention_days = get_int(root, setting_def(SETTING_RETENTION_DAYS)->key, 0);
	s->log_write_interval_min = get_int(root, setting_def(SETTING_WRITE_INTERVAL)->key, 1);
	s->app_url = get_text(root, "app_url", &s->arena);
	read_keys(root, &s->arena, &s->proxy_keys);
	read_options(json_get(root, "options"), &s->arena, &system);
	read_groups(root, &system, s);
	*ret = s;
	return ERR_OK;
}
