/* SPDX-License-Identifier: MIT
 *
 * What the management API says to people when something went well, and the names
 * of settings. One row per message; a language is one more column.
 */
#ifndef ADMIN_MSG_H
#define ADMIN_MSG_H

#include "lib/str.h"

/*	id, English */
#define MSG_TABLE(X)                                                                               \
	X(OK, "Success")                                                                           \
	X(LOGIN_OK, "Logged in")                                                                   \
	X(LOGIN_REFUSED, "The key is not accepted")                                                \
	X(GROUP_CREATED, "The group was created")                                                  \
	X(GROUP_UPDATED, "The group was updated")                                                  \
	X(GROUP_DELETED, "The group and its keys were deleted")                                    \
	X(GROUP_COPIED, "The group was copied")                                                    \
	X(GROUPS_REORDERED, "The order was saved")                                                 \
	X(MEMBERS_ADDED, "The members were added")                                                 \
	X(MEMBER_WEIGHED, "The weight was changed")                                                \
	X(MEMBER_REMOVED, "The member was removed")                                                \
	X(KEYS_ADDED, "The keys were added")                                                       \
	X(KEYS_DELETED, "The keys were deleted")                                                   \
	X(KEYS_RESTORED, "The keys are active again")                                              \
	X(KEYS_CLEARED, "The keys were removed from the group")                                    \
	X(NOTES_SAVED, "The notes were saved")                                                     \
	X(KEY_DISABLED, "The key was disabled")                                                    \
	X(KEY_ENABLED, "The key is active")                                                        \
	X(SETTINGS_UPDATED, "The settings were saved")                                             \
	X(TASK_STARTED, "The task was started")                                                    \
	X(TASK_CANCELLED, "The task will end")                                                     \
	X(INVALID_KEYS, "Invalid keys")                                                            \
	X(SERIES_SUCCESS, "Succeeded")                                                             \
	X(SERIES_FAILURE, "Failed")                                                                \
	X(WARN_MISSING, "{} is not set")                                                           \
	X(WARN_SHORT, "{} is shorter than 16 characters")                                          \
	X(WARN_MEDIUM, "{} is shorter than 32 characters")                                         \
	X(WARN_WORD, "{} contains a word that is easily guessed")                                  \
	X(WARN_KINDS, "{} is made of too few kinds of characters")                                 \
	X(WARN_SUGGESTION,                                                                         \
	  "Use at least 32 random characters: upper and lower case, digits and others")            \
	X(DATA_NOT_ENCRYPTED, "ENCRYPTION_KEY is set, but the stored keys are not encrypted")      \
	X(KEY_NOT_CONFIGURED, "The stored keys are encrypted, but ENCRYPTION_KEY is not set")      \
	X(KEY_MISMATCH, "The stored keys were encrypted with another ENCRYPTION_KEY")              \
	X(ENCRYPTION_FITS, "The stored keys fit the ENCRYPTION_KEY")                               \
	X(ENCRYPTION_SUGGESTION, "Set the ENCRYPTION_KEY that the keys were stored with, or "      \
				 "convert them with: gpt-load migrate-keys")                       \
	X(CATEGORY_BASIC, "Basic")                                                                 \
	X(CATEGORY_REQUEST, "Requests")                                                            \
	X(CATEGORY_KEY, "Keys")                                                                    \
	MSG_SETTINGS(X)

/* NAME_x and HELP_x for every SETTING_x of lib/setting.h. */
#define MSG_SETTINGS(X)                                                                            \
	X(NAME_APP_URL, "Address of this gateway")                                                 \
	X(HELP_APP_URL, "The address that clients use; the groups' endpoints are shown with it")   \
	X(NAME_PROXY_KEYS, "Client keys for all groups")                                           \
	X(HELP_PROXY_KEYS, "Keys that open every group, separated by commas")                      \
	X(NAME_RETENTION_DAYS, "Days that logs are kept")                                          \
	X(HELP_RETENTION_DAYS, "Request logs older than this are deleted; 0 keeps them for ever")  \
	X(NAME_WRITE_INTERVAL, "Minutes between log writes")                                       \
	X(HELP_WRITE_INTERVAL,                                                                     \
	  "How often waiting log rows go to the database at the latest; 0 writes at once")         \
	X(NAME_LOG_BODIES, "Log request bodies")                                                   \
	X(HELP_LOG_BODIES, "Keep the body and the user agent of each request in its log row")      \
	X(NAME_REQUEST_TIMEOUT, "Request timeout (s)")                                             \
	X(HELP_REQUEST_TIMEOUT,                                                                    \
	  "Bounds a whole exchange, retries included; for a stream, up to its first byte")         \
	X(NAME_CONNECT_TIMEOUT, "Connect timeout (s)")                                             \
	X(HELP_CONNECT_TIMEOUT, "How long connecting to an upstream may take")                     \
	X(NAME_IDLE_CONN_TIMEOUT, "Idle connection timeout (s)")                                   \
	X(HELP_IDLE_CONN_TIMEOUT, "How long an unused connection to an upstream is kept open")     \
	X(NAME_RESPONSE_HEADER_TIMEOUT, "Response header timeout (s)")                             \
	X(HELP_RESPONSE_HEADER_TIMEOUT,                                                            \
	  "How long to wait for the headers of an upstream's answer")                              \
	X(NAME_MAX_IDLE_CONNS, "Idle connections")                                                 \
	X(HELP_MAX_IDLE_CONNS, "Unused connections that a worker keeps open, over all upstreams")  \
	X(NAME_MAX_IDLE_CONNS_PER_HOST, "Idle connections per host")                               \
	X(HELP_MAX_IDLE_CONNS_PER_HOST, "Unused connections that a worker keeps open to one host") \
	X(NAME_PROXY_URL, "Outgoing proxy")                                                        \
	X(HELP_PROXY_URL,                                                                          \
	  "http, https or socks5 URL through which upstreams are reached; empty: as the "          \
	  "environment says")                                                                      \
	X(NAME_MAX_RETRIES, "Retries")                                                             \
	X(HELP_MAX_RETRIES, "Further tries of a request with other keys; 0: none")                 \
	X(NAME_BLACKLIST_THRESHOLD, "Failures until a key is out")                                 \
	X(HELP_BLACKLIST_THRESHOLD,                                                                \
	  "Failures in a row that blame the key, after which it is invalid; 0: never")             \
	X(NAME_FAILOVER_STATUS_CODES, "Statuses that are retried")                                 \
	X(HELP_FAILOVER_STATUS_CODES,                                                              \
	  "Such as 429,500-599; the default leaves the choice to the gateway")                     \
	X(NAME_VALIDATION_INTERVAL, "Minutes between key checks")                                  \
	X(HELP_VALIDATION_INTERVAL, "How often invalid keys are tried again")                      \
	X(NAME_VALIDATION_CONCURRENCY, "Key checks at once")                                       \
	X(HELP_VALIDATION_CONCURRENCY, "Keys of a group that are checked at the same time")        \
	X(NAME_VALIDATION_TIMEOUT, "Key check timeout (s)")                                        \
	X(HELP_VALIDATION_TIMEOUT, "How long the check of one key may take")                       \
	X(NAME_STREAM_IDLE_TIMEOUT, "Stream idle timeout (s)")                                     \
	X(HELP_STREAM_IDLE_TIMEOUT, "How long a stream may be silent between two bytes")           \
	X(NAME_STREAM_HEARTBEAT, "Stream heartbeat (s)")                                           \
	X(HELP_STREAM_HEARTBEAT,                                                                   \
	  "A comment is sent into an event stream silent for this long; 0: never")

enum msg {
#define X(id, en) MSG_##id,
	MSG_TABLE(X)
#undef X
	MSG__MAX
};

struct req;

/* In the language of the request. */
const char *msg(const struct req *req, enum msg id);
/* The same with "{}" replaced; in the request's arena. */
struct str msg_about(struct req *req, enum msg id, const char *what);

#endif
