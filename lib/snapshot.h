/* SPDX-License-Identifier: MIT
 *
 * The compiled configuration: system settings, groups, members, everything that
 * the data plane asks, with overrides already merged. Immutable; counted
 * references; one arena. An exchange keeps the snapshot it began with.
 *
 * It travels as one JSON text (snapshot_compile → the pool → snapshot_parse), so
 * that a responder needs no database. Client keys are in it as SHA-256 only.
 */
#ifndef LIB_SNAPSHOT_H
#define LIB_SNAPSHOT_H

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/crypt.h"
#include "lib/db.h"
#include "lib/setting.h"

struct channel;

struct upstream {
	struct str url;      /* as configured, without user:password: for rows and errors */
	struct str origin;   /* scheme://host[:port], as libcurl takes it */
	struct str userinfo; /* "user:password" of the URL, decoded; usually empty */
	struct str path;     /* raw, without trailing slashes; "" for none */
	struct str query;    /* raw, without '?'; "" for none */
	int weight;          /* > 0 (others are not compiled in) */
};

struct header_rule {
	struct str name;
	struct str value; /* unused when remove */
	bool remove;
};

struct override {
	struct str key;  /* decoded name of the top-level member */
	struct str json; /* its value, as JSON text exactly as configured */
};

struct redirect {
	struct str from;
	struct str to;
};

struct member {
	const struct group *group; /* a standard group of the same snapshot */
	int weight;                /* > 0 */
};

/* Digests of client keys, sorted, for bsearch. */
struct key_set {
	uint8_t (*digest)[32];
	size_t n;
};

/* Effective values: the system's with the group's on top. */
struct options {
	int request_timeout_s;
	int connect_timeout_s;
	int idle_conn_timeout_s;
	int response_header_timeout_s;
	int stream_idle_timeout_s;
	int stream_heartbeat_s; /* 0: none */
	int max_idle_conns;
	int max_idle_conns_per_host;
	struct str proxy_url; /* empty: the environment's */
	int max_retries;
	int blacklist_threshold; /* 0: never */
	bool failover_set;       /* false: the verdict table rules */
	struct status_set failover;
	int validation_interval_min;
	int validation_concurrency;
	int validation_timeout_s;
	bool log_bodies;
};

struct group {
	int64_t id;
	struct str name;
	struct str display_name; /* may be empty; for /api/integration/info */
	bool aggregate;
	const struct channel *channel; /* NULL: a channel this build does not have */
	struct str channel_name;
	struct key_set proxy_keys; /* the group's own */

	/* Upstreams and members are taken by turn: entry (turn % n) of a fixed
	 * sequence in which each stands as often as its weight says, spread out
	 * evenly. See turns_index(). */
	struct upstream *upstreams;
	size_t n_upstreams;
	uint16_t *upstream_turns;
	size_t n_upstream_turns;
	struct member *members; /* of an aggregate */
	size_t n_members;
	uint16_t *member_turns;
	size_t n_member_turns;

	struct str test_model;
	struct str validation_endpoint; /* empty: the channel's */
	struct override *overrides;
	size_t n_overrides;
	struct header_rule *header_rules;
	size_t n_header_rules;
	struct redirect *redirects; /* sorted by `from` */
	size_t n_redirects;
	bool redirect_strict;
	struct options opt;
};

struct snapshot {
	uint64_t version;
	struct arena arena;
	int refs;                  /* of one thread: the loop's, or a job's own copy */
	struct key_set proxy_keys; /* the system's */
	int log_retention_days;
	int log_write_interval_min;
	struct str app_url;
	struct group *groups; /* sorted by name */
	size_t n_groups;
	struct group **by_id; /* the same, sorted by id */
};

/* Of the text; grows when a program of the version before could misread it. */
#define SNAPSHOT_FORMAT 1

/* Reads the DB in one transaction and writes the text; *ret_version is the
 * version it holds. Groups that cannot be used are left out and named in
 * warnings (may be NULL), one line each. */
enum err snapshot_compile(struct db *db, struct buf *out, uint64_t *ret_version,
			  struct buf *warnings, struct errinfo *info) MUST_CHECK;
/* *ret has one reference. ERR_INVALID_JSON: damaged, or of another format. */
enum err snapshot_parse(struct str text, struct snapshot **ret, struct errinfo *info) MUST_CHECK;
struct snapshot *snapshot_ref(struct snapshot *s);
void snapshot_unref(struct snapshot *s); /* NULL is fine */

const struct group *snapshot_group(const struct snapshot *s, struct str name); /* or NULL */
const struct group *snapshot_group_id(const struct snapshot *s, int64_t id);   /* or NULL */
/* Does this client key open that group: the system's keys or the group's own. */
bool snapshot_key_opens(const struct snapshot *s, const struct group *g, struct str client_key);
/* The same of the key's SHA-256. */
bool snapshot_digest_opens(const struct snapshot *s, const struct group *g,
			   const uint8_t digest[SHA256_BYTES]);
/* Exact, case-sensitive; NULL when there is no rule for the model. */
const struct redirect *group_redirect(const struct group *g, struct str model);

/* Takes an upstream's URL apart; its weight is 0. False: no http or https URL with
 * a host. In `arena`. */
bool upstream_parse(struct str url, struct arena *arena, struct upstream *ret) MUST_CHECK;
/* [a-z0-9_-], 1 to 100 of them. */
bool group_name_valid(struct str name);

/* The orders of struct key_set and of group.redirects, for qsort and bsearch. */
int key_digest_compare(const void *a, const void *b);
int redirect_compare(const void *a, const void *b);

/* The smooth weighted round-robin sequence for these weights, shortened by their
 * greatest common divisor; in `arena`. All weights > 0. No longer than LIMIT_TURNS:
 * the weights are scaled down to that. */
uint16_t *turns_build(struct arena *arena, const int *weights, size_t n, size_t *ret_n);
/* Which entry a turn takes. Each whole pass begins one entry later than the one
 * before, so that a pool whose size divides the sequence does not tie each key to
 * one upstream for ever; over n² turns the shares are exact. */
uint16_t turns_index(const uint16_t *turns, size_t n, uint64_t turn);

#endif
