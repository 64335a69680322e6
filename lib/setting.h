/* SPDX-License-Identifier: MIT
 *
 * The system settings: one table of name, type, default, bounds, category, and
 * whether a group may override it. Rows of system_settings hold them as text.
 * The first 18 are GPT-Load 1.4's and keep its names, types and order; the rest
 * are ours: in a group they live in the column `gptl_options`, never in
 * `config`, which the original refuses to save with a key unknown to it.
 */
#ifndef LIB_SETTING_H
#define LIB_SETTING_H

#include "lib/base.h"
#include "lib/db.h"

enum setting_type {
	SETTING_STRING,
	SETTING_INT,
	SETTING_BOOL
};
enum setting_category {
	SETTING_BASIC,
	SETTING_REQUEST,
	SETTING_KEY
};
/* Where a group's override is kept. */
enum setting_scope {
	SETTING_SYSTEM_ONLY,
	SETTING_GROUP_CONFIG,
	SETTING_GROUP_OPTION
};

/*	id				type	default		min	max	*/
#define SETTING_TABLE(X)                                                                           \
	X(APP_URL, "app_url", STRING, "", 0, 0, BASIC, SYSTEM_ONLY)                                \
	X(PROXY_KEYS, "proxy_keys", STRING, "", 0, 0, BASIC, SYSTEM_ONLY)                          \
	X(RETENTION_DAYS, "request_log_retention_days", INT, "7", 0, 36500, BASIC, SYSTEM_ONLY)    \
	X(WRITE_INTERVAL, "request_log_write_interval_minutes", INT, "1", 0, 1440, BASIC,          \
	  SYSTEM_ONLY)                                                                             \
	X(LOG_BODIES, "enable_request_body_logging", BOOL, "false", 0, 0, BASIC, GROUP_CONFIG)     \
	X(REQUEST_TIMEOUT, "request_timeout", INT, "600", 1, 86400, REQUEST, GROUP_CONFIG)         \
	X(CONNECT_TIMEOUT, "connect_timeout", INT, "15", 1, 3600, REQUEST, GROUP_CONFIG)           \
	X(IDLE_CONN_TIMEOUT, "idle_conn_timeout", INT, "120", 1, 86400, REQUEST, GROUP_CONFIG)     \
	X(RESPONSE_HEADER_TIMEOUT, "response_header_timeout", INT, "600", 1, 86400, REQUEST,       \
	  GROUP_CONFIG)                                                                            \
	X(MAX_IDLE_CONNS, "max_idle_conns", INT, "100", 1, 100000, REQUEST, GROUP_CONFIG)          \
	X(MAX_IDLE_CONNS_PER_HOST, "max_idle_conns_per_host", INT, "50", 1, 100000, REQUEST,       \
	  GROUP_CONFIG)                                                                            \
	X(PROXY_URL, "proxy_url", STRING, "", 0, 0, REQUEST, GROUP_CONFIG)                         \
	X(MAX_RETRIES, "max_retries", INT, "3", 0, 32, KEY, GROUP_CONFIG)                          \
	X(BLACKLIST_THRESHOLD, "blacklist_threshold", INT, "3", 0, 1000000, KEY, GROUP_CONFIG)     \
	X(FAILOVER_STATUS_CODES, "failover_status_codes", STRING, "400-403,405-999", 0, 0, KEY,    \
	  GROUP_CONFIG)                                                                            \
	X(VALIDATION_INTERVAL, "key_validation_interval_minutes", INT, "60", 1, 525600, KEY,       \
	  GROUP_CONFIG)                                                                            \
	X(VALIDATION_CONCURRENCY, "key_validation_concurrency", INT, "10", 1, 1000, KEY,           \
	  GROUP_CONFIG)                                                                            \
	X(VALIDATION_TIMEOUT, "key_validation_timeout_seconds", INT, "20", 1, 3600, KEY,           \
	  GROUP_CONFIG)                                                                            \
	X(STREAM_IDLE_TIMEOUT, "stream_idle_timeout", INT, "300", 1, 86400, REQUEST, GROUP_OPTION) \
	X(STREAM_HEARTBEAT, "stream_heartbeat_seconds", INT, "15", 0, 3600, REQUEST, GROUP_OPTION)

enum setting {
#define X(id, ...) SETTING_##id,
	SETTING_TABLE(X)
#undef X
	SETTING__MAX
};

struct setting_def {
	const char *key;
	enum setting_type type;
	const char *default_text; /* app_url and proxy_keys: set at first start */
	int64_t min;
	int64_t max;
	enum setting_category category;
	enum setting_scope scope;
};

const struct setting_def *setting_def(enum setting id);
/* false when there is no setting of that name. */
bool setting_find(struct str key, enum setting *ret);

/* One value, checked. Strings are malloc'ed by whoever fills it. */
union setting_value {
	int64_t i;
	bool b;
	char *s;
};

/* Checks the text form of a value and, for lists, cleans it (proxy_keys: trimmed,
 * empties dropped). A number in exponent form ("1e+06", written by the original)
 * is read as what it was meant to be. Strings in *ret are malloc'ed. *info says
 * what is wrong, naming the setting. */
enum err setting_parse(enum setting id, struct str text, union setting_value *ret,
		       struct errinfo *info) MUST_CHECK;

struct json_object;
/* The same for a value that stands in the database already, in JSON as a group's config
 * holds it: GPT-Load 1.4 knew no maximum, so a number above ours is held to it. A value
 * of another JSON type is refused. */
enum err setting_read_json(enum setting id, struct json_object *value, union setting_value *ret,
			   struct errinfo *info) MUST_CHECK;
/* Frees the string of a string setting. */
void setting_value_done(enum setting id, union setting_value *v);
bool setting_equal(enum setting id, union setting_value a, union setting_value b);

/* The system values in force: rows over defaults. A row that cannot be read
 * counts as its default; the first such is named in *ret_bad (may be NULL; empty
 * when all are well; the text is static). */
struct settings {
	union setting_value v[SETTING__MAX];
};
enum err settings_load(struct db *db, struct settings *ret, struct str *ret_bad) MUST_CHECK;
/* Which of them have a row in the database. */
enum err settings_there(struct db *db, bool ret[SETTING__MAX]) MUST_CHECK;
void settings_done(struct settings *s);

/* Status codes as a set, from the grammar "400-403, 429". */
struct status_set {
	uint64_t bits[16]; /* 0..1023 */
};
bool status_set_has(const struct status_set *s, int status);
enum err status_set_parse(struct str text, struct status_set *ret, struct errinfo *info) MUST_CHECK;

#endif
