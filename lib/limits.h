/* SPDX-License-Identifier: MIT
 *
 * Every maximum of the project, in one place. Each bounds something that a
 * client, a provider or an operator controls.
 */
#ifndef LIB_LIMITS_H
#define LIB_LIMITS_H

/* --- what a client sends --- */
/* FastCGI parameters of one request: the largest header block that a web
 * server of conf-examples/ lets through is 64 KiB; CGI variables come on top. */
#define LIMIT_PARAMS_BYTES (128 * 1024)
#define LIMIT_PARAMS       256
/* A longer request target gets 414. */
#define LIMIT_TARGET_BYTES (16 * 1024)
/* A body beyond this waits in an unlinked file, not in memory. */
#define LIMIT_BODY_IN_MEMORY (1024 * 1024)
/* JSON body of a management request. */
#define LIMIT_ADMIN_BODY (16 * 1024 * 1024)
/* The same with a file of keys: LIMIT_TASK_KEYS of 80 bytes. */
#define LIMIT_UPLOAD_BODY (80 * 1024 * 1024)
/* Nesting of JSON that is looked into. */
#define LIMIT_JSON_DEPTH 128
/* Top-level members of one request body that are edited. */
#define LIMIT_JSON_EDITS 256

/* --- what a provider sends --- */
#define LIMIT_RESPONSE_HEADER_BYTES (64 * 1024)
#define LIMIT_RESPONSE_HEADERS      128
/* An answer that will be retried is kept to this size for the log, and for the
 * client if it turns out to be the last. */
#define LIMIT_ERROR_BODY (64 * 1024)
/* A model list that has to be edited. */
#define LIMIT_MODEL_LIST (8 * 1024 * 1024)
/* What a compressed answer may grow to while it is looked into. */
#define LIMIT_INFLATED (64 * 1024 * 1024)

/* --- what an operator sets --- */
#define LIMIT_GROUPS       10000
#define LIMIT_UPSTREAMS    64
#define LIMIT_MEMBERS      256
#define LIMIT_HEADER_RULES 64
/* One JSON column of a group, as text. */
#define LIMIT_GROUP_JSON (256 * 1024)
/* An upstream's URL, a header rule's value. */
#define LIMIT_URL        2048
#define LIMIT_RULE_VALUE 4096
/* The answer of one management request: 1,000 log rows with their bodies fit. */
#define LIMIT_ADMIN_ANSWER (192 * 1024 * 1024)
#define LIMIT_OVERRIDES    64
/* Placeholders in the value of one header rule; later ones stay as they are. */
#define LIMIT_RULE_VARIABLES 32
#define LIMIT_REDIRECTS      1024
#define LIMIT_PROXY_KEYS     10000
#define LIMIT_WEIGHT         1000
/* Entries of a weighted sequence; a sub-group or upstream of weight 1 beside
 * larger ones still gets its turn. */
#define LIMIT_TURNS    (LIMIT_UPSTREAMS * LIMIT_WEIGHT)
#define LIMIT_SNAPSHOT (64 * 1024 * 1024)
/* A setting's text, in bytes: one value, and a list of keys (what MySQL's TEXT
 * holds). */
#define LIMIT_SETTING_TEXT 2048
#define LIMIT_SETTING_LIST 65535
/* An upstream key, in bytes. */
#define LIMIT_KEY_BYTES 4096
/* Notes of a key, and why it was disabled, in characters. */
#define LIMIT_NOTE_CHARS 255
/* Seconds that a synchronous test of them may take. */
#define LIMIT_TEST_SECONDS 240
/* Keys of one task, and days for which one that has ended can be looked at. */
#define LIMIT_TASK_KEYS 1000000
#define LIMIT_TASK_DAYS 7
/* A file of keys that the command line imports. */
#define LIMIT_IMPORT_BYTES ((size_t)512 * 1024 * 1024)
/* Imports of one group that wait for a task of it to end. */
#define LIMIT_TASKS_QUEUED 16
/* Tasks that are worked on in turn. */
#define LIMIT_TASKS_AT_ONCE 16
/* Keys in one synchronous call of the management API. */
#define LIMIT_SYNC_KEYS 5000
/* Keys looked for by one call. */
#define LIMIT_FIND_KEYS 100
/* Milliseconds in which a page of keys is looked for, and in which they are counted. */
#define LIMIT_KEY_SEARCH_MS 2000
#define LIMIT_KEY_COUNT_MS  250
/* Days for which a key that is looked for was not used, at most. */
#define LIMIT_IDLE_DAYS 3650
/* Ids of one bulk action of the management API. */
#define LIMIT_BULK_IDS 1000
/* Malformed keys of one import that its report names; more are only counted. */
#define LIMIT_KEY_FAULTS 100
/* Causes of failures that one report tells apart, and bytes of each one's text. */
#define LIMIT_CAUSES      40
#define LIMIT_CAUSE_BYTES 160
/* Seconds that the test of an upstream may take. */
#define LIMIT_UPSTREAM_TEST_SECONDS 30
/* Tries of one request: max_retries is held to this. */
#define LIMIT_RETRIES 32

/* --- columns of request_logs; longer text is cut before it is spooled --- */
#define LIMIT_LOG_MODEL        255
#define LIMIT_LOG_PATH         500
#define LIMIT_LOG_UPSTREAM     500
#define LIMIT_LOG_USER_AGENT   512
#define LIMIT_LOG_SOURCE_IP    64
#define LIMIT_LOG_GROUP_NAME   255
#define LIMIT_LOG_ERROR        2048
#define LIMIT_LOG_REQUEST_BODY 65000
#define LIMIT_LOG_END          64
/* A key as it is stored: hex of nonce, key and tag. */
#define LIMIT_LOG_KEY (2 * (LIMIT_KEY_BYTES + 28))
/* The payload of one row in the spool: more than all of the above together. */
#define LIMIT_LOG_RECORD (128 * 1024)

/* --- the spool and the background --- */
#define LIMIT_SPOOL_SEGMENT (8 * 1024 * 1024)
/* Rows of one transaction on their way to the DB. */
#define LIMIT_FLUSH_ROWS 1000
/* Models and keys of a group that have sums of their own on one day; those beyond
 * share one. */
#define LIMIT_ROLLUP_MODELS 100
#define LIMIT_ROLLUP_KEYS   200
/* Log rows are counted up to this, for so many ms; a page of them may take so many
 * seconds to find. */
#define LIMIT_LOG_COUNT    10000
#define LIMIT_LOG_COUNT_MS 50
#define LIMIT_LOG_SECONDS  2
/* Up to this many rows of a class of statuses are sorted by their time. */
#define LIMIT_LOG_RARE 5000
/* The newest failed requests of a range whose causes the dashboard counts. */
#define LIMIT_SUMMARY_FAILURES 2000
/* Entries of each breakdown of the dashboard. */
#define LIMIT_SUMMARY_ITEMS 50
/* Rows that the DB refused and that are kept in files; more are only counted. */
#define LIMIT_SPOOL_REFUSED 1000
/* What one worker knows of keys while Redis is away: keys of one group, and of all;
 * reports that it keeps for Redis, the oldest goes first. */
#define LIMIT_LOCAL_KEYS     10000
#define LIMIT_LOCAL_KEYS_ALL 50000
#define LIMIT_LOCAL_REPORTS  10000
/* Keys tried again at the same time, over all groups. */
#define LIMIT_VALIDATIONS 256

/* --- this process --- */
/* A longer log message is cut. */
#define LIMIT_LOG_LINE 8192
/* A configuration file. */
#define LIMIT_CONF_FILE (256 * 1024)
/* One value in it, or in the environment. */
#define LIMIT_CONF_VALUE 8192
/* Descriptors kept back, so that there is still one to answer 503 with. */
#define LIMIT_RESERVED_FDS 32
/* Threads that wait for what the loop must not wait for: uploads under way. Made when
 * they are first needed. */
#define LIMIT_READER_THREADS 64
/* Seconds a reader thread waits for the next byte of a request. */
#define LIMIT_READ_SILENCE_S 60
/* Seconds a worker that drains waits for the first byte on a connection. */
#define LIMIT_DRAIN_SILENCE_S 1
/* Workers of one master, and processes of one node (mod_fcgid). */
#define LIMIT_WORKERS   256
#define LIMIT_PROCESSES 1024
/* Groups that /metrics counts by themselves; those beyond share one entry. */
#define LIMIT_METRIC_GROUPS 512

#endif
