/* SPDX-License-Identifier: MIT
 *
 * What the programs of the management API share: one process (struct admin), one
 * request (struct req), the table of routes that a resource exports, and what its
 * functions need to read a request and to answer it.
 *
 * A resource is one file with `const struct route routes_NAME[]`. Its functions
 * return ERR_OK and leave the JSON of `data` in req->data, or return an error with
 * req->info filled; admin.c makes the envelope. Every route needs the AUTH_KEY
 * unless it says `open`.
 */
#ifndef ADMIN_ADMIN_H
#define ADMIN_ADMIN_H

#include "admin-cgi/msg.h"
#include "admin-cgi/out.h"
#include "lib/cgi.h"
#include "lib/conf.h"
#include "lib/crypt.h"
#include "lib/db.h"
#include "lib/pool.h"

#include <sys/types.h>

struct json_object;
struct req;

/* Bits, so that a set of them makes an Allow header. HEAD is served as GET. */
enum method {
	METHOD_GET = 1,
	METHOD_POST = 2,
	METHOD_PUT = 4,
	METHOD_DELETE = 8,
	METHOD_OPTIONS = 16,
	METHOD_OTHER = 32,
};

typedef enum err (*route_fn)(struct req *req);

struct route {
	enum method method;
	/* "/api/groups/{id}/stats": a {…} is a decimal id, {uuid} is text. A pattern
	 * without any goes before one with. */
	const char *pattern;
	route_fn fn;
	unsigned flags; /* ROUTE_… */
};
#define ROUTE_OPEN   1U /* served without the AUTH_KEY */
#define ROUTE_UPLOAD 2U /* the body may be a file of keys */

/* Tables end with an entry without pattern. */
extern const struct route routes_auth[];
extern const struct route routes_bulk[];
extern const struct route routes_find[];
extern const struct route routes_channels[];
extern const struct route routes_groups[];
extern const struct route routes_health[];
extern const struct route routes_integration[];
extern const struct route routes_key[];
extern const struct route routes_keys[];
extern const struct route routes_logs[];
extern const struct route routes_members[];
extern const struct route routes_metrics[];
extern const struct route routes_preview[];
extern const struct route routes_reveal[];
extern const struct route routes_settings[];
extern const struct route routes_upstream[];
extern const struct route routes_version[];
extern const struct route routes_keytest[];
extern const struct route routes_tasks[];
extern const struct route routes_dashboard[];

/* --- the process --- */

struct admin {
	const struct conf *conf;           /* borrowed */
	const struct route *const *tables; /* NULL at the end; borrowed */
	struct throttle *throttle;
	/* Opened when a request first asks for them, kept for the next. */
	struct db *db;
	struct pool *pool;
	bool pool_complete;
	struct crypt *crypt;
};

void admin_init(struct admin *a, const struct conf *conf, const struct route *const *tables);
void admin_done(struct admin *a);

/* One request's body and answer, whatever the protocol. */
struct admin_io {
	/* Up to n bytes of the body; 0 at its end, -1 when it broke off. */
	ssize_t (*read)(void *arg, char *p, size_t n);
	/* false: the reader is gone. */
	bool (*write)(void *arg, const char *p, size_t n);
	void *arg;
};

/* Serves one request, whatever it is. false: a download failed in the middle, and must not
 * end like a whole one. */
bool admin_serve(struct admin *a, char *const *envp, const struct admin_io *io);

/* The main() of every program: FastCGI on descriptor 0 or plain CGI. */
int admin_main(const struct route *const *tables);

/* --- the request --- */

#define ROUTE_IDS 2

struct req {
	struct admin *admin;
	const struct admin_io *io;
	char *const *envp; /* borrowed */
	struct arena arena;
	struct cgi_target target;
	enum method method;
	bool head;
	struct str client_ip;
	enum language language;
	int64_t ids[ROUTE_IDS]; /* of the path, in order */
	struct str uuid;        /* of the path */
	struct str body;        /* of POST and PUT */
	bool trusted;           /* came with the AUTH_KEY */
	bool masked;            /* keys are shown masked, see req_show_key() */

	/* --- the answer --- */
	int status;
	struct buf headers; /* further lines, each with CRLF */
	struct buf data;    /* JSON of `data`; empty: there is none */
	enum msg message;
	bool bare;      /* data is the whole body, without the envelope */
	bool streaming; /* see req_stream() */
	bool begun;     /* and its head is out */
	const char *filename;
	bool gone; /* the reader left in the middle */
	const char *content_type;
	struct errinfo info;
};

#define CONTENT_TYPE_JSON "application/json; charset=utf-8"

/* Asks for the AUTH_KEY, wherever a client may put it. admin.c does it in front of
 * every route that is not open. */
enum err req_authenticate(struct req *req) MUST_CHECK;
/* What the answer says of an error, in the language of the request. */
struct str req_error_text(struct req *req, enum err e);
/* Answers without the envelope, with this status. */
void req_bare(struct req *req, int status);
/* Answers with a download of any length. What is put into req->data from here on goes out
 * with req_stream_flush(), once there is a good deal of it, or at the end; false: the reader
 * is gone. An error before the first piece is answered like any other; after it, the error
 * is logged and the answer breaks off. */
void req_stream(struct req *req, const char *content_type, const char *filename);
bool req_stream_flush(struct req *req);
/* Counts failed tries per address: ERR_UNAUTHORIZED, or ERR_TOO_MANY with a
 * Retry-After header set. An empty key is refused without being counted. */
enum err req_try_key(struct req *req, struct str key) MUST_CHECK;
/* Same, without looking at a key: may this address try one now; and it failed. */
enum err req_may_try(struct req *req) MUST_CHECK;
void req_try_failed(struct req *req);

/* The body as a JSON object; the request owns it. ERR_INVALID_JSON. */
enum err req_json(struct req *req, struct json_object **ret) MUST_CHECK;
/* A required member. ERR_INVALID_JSON, naming it: absent, another type, or an id
 * below 1 or text that is empty. */
enum err req_id(struct req *req, struct json_object *body, const char *name, int64_t *ret)
    MUST_CHECK;
enum err req_text(struct req *req, struct json_object *body, const char *name, struct str *ret)
    MUST_CHECK;

/* A query parameter, decoded and trimmed; empty when it is not there. */
struct str req_query(struct req *req, const char *name);

/* Which page of a list is asked for; unusable values count as the default. */
struct page {
	int64_t number;
	int64_t size;
};
struct page req_page(struct req *req);
int64_t page_offset(struct page page);
/* The member `pagination`. capped: the total is a lower bound; stopped: time was over before
 * the page was full. */
void out_pagination(struct buf *b, struct page page, int64_t total, bool capped, bool stopped);

/* --- what a request works with; each fills req->info when it fails --- */

enum err req_db(struct req *req, struct db **ret) MUST_CHECK;
/* Complete: filled from the DB if it was empty. */
enum err req_pool(struct req *req, struct pool **ret) MUST_CHECK;
/* As it is, perhaps empty: for looking at its health. */
enum err req_pool_as_is(struct req *req, struct pool **ret) MUST_CHECK;
enum err req_crypt(struct req *req, struct crypt **ret) MUST_CHECK;

/* After a commit: makes the pool follow. What fails here is finished by any worker
 * later, so it is logged and the request goes on. */
void req_publish_config(struct req *req);
/* ERR_POOL_FULL: the keys are stored, and nobody will get them before the pool is
 * made larger: that the caller must be told. */
enum err req_publish_keys(struct req *req) MUST_CHECK;
/* Before reading: this node's log rows, or the keys' state, into the DB. What fails
 * is logged, and the DB is read as it is. */
void req_flush_logs(struct req *req);
void req_write_back(struct req *req);

/* A key as lists show it: in clear, or masked where MASK_KEYS or the request's header
 * X-Mask-Keys says so. */
struct str req_show_key(struct req *req, struct str key);
struct str req_show_keys(struct req *req, struct str list);

#endif
