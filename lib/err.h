/* SPDX-License-Identifier: MIT
 *
 * The one table of errors. Each row says what the client is told: the HTTP
 * status, our stable code, and the message used where nothing better is known.
 * Functions that can fail return `enum err`; the detail for the operator goes
 * into a struct errinfo where the fact is known. Code in lib/ never logs an
 * error: whoever ends the request does, once.
 */
#ifndef LIB_ERR_H
#define LIB_ERR_H

#include "lib/base.h"

/*	name			status code			message */
#define ERR_TABLE(X)                                                                               \
	X(ERR_OK, 200, "OK", "ok")                                                                 \
	X(ERR_BAD_REQUEST, 400, "BAD_REQUEST", "the request is malformed")                         \
	X(ERR_INVALID_JSON, 400, "INVALID_JSON", "the body is not valid JSON")                     \
	X(ERR_VALIDATION, 400, "VALIDATION_FAILED", "a value is not acceptable")                   \
	X(ERR_UNAUTHORIZED, 401, "UNAUTHORIZED", "the key is missing or not accepted")             \
	X(ERR_FORBIDDEN, 403, "FORBIDDEN", "this is not allowed")                                  \
	X(ERR_NOT_FOUND, 404, "NOT_FOUND", "there is no such thing here")                          \
	X(ERR_METHOD, 405, "METHOD_NOT_ALLOWED", "this method is not served here")                 \
	X(ERR_DUPLICATE, 409, "DUPLICATE_RESOURCE", "it exists already")                           \
	X(ERR_TASK, 409, "TASK_IN_PROGRESS", "a task is already running")                          \
	X(ERR_TOO_LARGE, 413, "PAYLOAD_TOO_LARGE", "the body is too large")                        \
	X(ERR_TARGET_TOO_LONG, 414, "URI_TOO_LONG", "the request target is too long")              \
	X(ERR_TOO_MANY, 429, "TOO_MANY_REQUESTS", "too many tries, wait a while")                  \
	X(ERR_ALL_RESTING, 429, "ALL_KEYS_RESTING", "every key of the group is rate limited")      \
	X(ERR_HEADERS_TOO_LARGE, 431, "HEADERS_TOO_LARGE", "the request headers are too large")    \
	X(ERR_CLIENT_GONE, 499, "CLIENT_GONE", "the client went away")                             \
	X(ERR_INTERNAL, 500, "INTERNAL_SERVER_ERROR", "something went wrong in the gateway")       \
	X(ERR_DB, 500, "DATABASE_ERROR", "the database refused the operation")                     \
	X(ERR_UPGRADE, 501, "UPGRADE_NOT_SUPPORTED",                                               \
	  "connections cannot be upgraded (WebSocket): FastCGI cannot carry them")                 \
	X(ERR_UPSTREAM, 502, "BAD_GATEWAY", "the upstream could not be reached")                   \
	X(ERR_DB_AWAY, 503, "DATABASE_UNAVAILABLE", "the database cannot be reached")              \
	X(ERR_POOL, 503, "POOL_UNAVAILABLE", "the key pool cannot be reached")                     \
	X(ERR_POOL_FULL, 503, "POOL_FULL", "the key pool is full: raise POOL_SIZE_MB")             \
	X(ERR_NO_KEYS, 503, "NO_KEYS_AVAILABLE", "the group has no active key")                    \
	X(ERR_BUSY, 503, "GATEWAY_BUSY", "too many requests are under way on this node")           \
	X(ERR_UPSTREAM_RESTING, 503, "UPSTREAM_UNAVAILABLE", "the upstreams of the group rest")    \
	X(ERR_TIMEOUT, 504, "GATEWAY_TIMEOUT", "the upstream did not answer in time")              \
	X(ERR_DISK, 507, "INSUFFICIENT_STORAGE", "the disk is full")                               \
	X(ERR_CRYPT, 500, "KEY_UNREADABLE", "a stored key cannot be decrypted")                    \
	X(ERR_CONF, 500, "CONFIGURATION_ERROR", "the configuration cannot be used")                \
	X(ERR_IO, 500, "IO_ERROR", "a file or socket could not be used")

enum err {
#define X(name, status, code, message) name,
	ERR_TABLE(X)
#undef X
	ERR__MAX
};

int err_status(enum err e);          /* HTTP status */
const char *err_code(enum err e);    /* stable, for programs */
const char *err_message(enum err e); /* for people; see also struct errinfo */

/* What exactly went wrong, for people. Never holds a secret. */
struct errinfo {
	char text[512];
};

/* Fills *info (which may be NULL) and returns e: `return err_set(info, ERR_IO, …)`. */
enum err err_set(struct errinfo *info, enum err e, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* info's text, or the table's when it is empty. */
const char *err_text(const struct errinfo *info, enum err e);
/* The reason phrase of an HTTP status ("Not Found"); "Unknown" for others. */
const char *status_reason(int status);

#endif
