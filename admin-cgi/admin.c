/* SPDX-License-Identifier: MIT
 *
 * One request from its CGI variables to its answer:
 *
 *	target → CORS → route → AUTH_KEY → body → the route's function → envelope
 *
 * The key is asked for before anything else is said, also whether a path exists;
 * only a route marked open goes by. There is no second place that lets anybody in.
 */
#include "admin-cgi/admin.h"

#include "admin-cgi/errtext.h"
#include "admin-cgi/throttle.h"
#include "lib/clock.h"
#include "lib/cors.h"
#include "lib/limits.h"
#include "lib/log.h"

#include <stdlib.h>

#define REQUEST_CHUNK (16 * 1024)
#define HEADERS_MAX   (16 * 1024)
#define PATH_IN_LOG   200
/* More than a web server reads at once: with less, it may meet the cut before it has sent
 * the head, and take what it has for all. */
#define FIRST_PIECE (1024 * 1024)

/* --- the process --- */

void
admin_init(struct admin *a, const struct conf *conf, const struct route *const *tables)
{
	AUTO_FREE char *path = conf_path(conf, "run/logins");

	*a = (struct admin){.conf = conf, .tables = tables, .throttle = throttle_open(path)};
}

void
admin_done(struct admin *a)
{
	throttle_close(a->throttle);
	pool_close(a->pool);
	db_close(a->db);
	crypt_free(a->crypt);
	*a = (struct admin){0};
}

/* --- keys --- */

enum err
req_may_try(struct req *req)
{
	int wait = throttle_wait(req->admin->throttle, req->client_ip, clock_wall_ms());

	if (wait == 0)
		return ERR_OK;
	buf_printf(&req->headers, "Retry-After: %d\r\n", wait);
	return err_set(&req->info, ERR_TOO_MANY,
		       "too many wrong keys from this address: try again in %d s", wait);
}

void
req_try_failed(struct req *req)
{
	throttle_failed(req->admin->throttle, req->client_ip, clock_wall_ms());
}

enum err
req_try_key(struct req *req, struct str key)
{
	enum err e = req_may_try(req);

	if (e != ERR_OK)
		return e;
	if (key.n > 0 && secret_equal(key, str_of(req->admin->conf->auth_key)))
		return ERR_OK;
	if (key.n > 0)
		req_try_failed(req);
	return ERR_UNAUTHORIZED;
}

enum err
req_authenticate(struct req *req)
{
	struct str key;

	(void)cgi_client_key(req->envp, req->target.query, &req->arena, &key);
	enum err e = req_try_key(req, key);
	req->trusted = e == ERR_OK;
	return e;
}

/* --- routes --- */

static enum method
method_of(struct str name)
{
	static const struct {
		const char *name;
		enum method method;
	} methods[] = {{"GET", METHOD_GET}, {"HEAD", METHOD_GET},      {"POST", METHOD_POST},
		       {"PUT", METHOD_PUT}, {"DELETE", METHOD_DELETE}, {"OPTIONS", METHOD_OPTIONS}};

	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (str_is(name, methods[i].name))
			return methods[i].method;
	return METHOD_OTHER;
}

/* Does the path have the pattern's form; ids are left as text. */
static bool
pattern_matches(const char *pattern, struct str path, struct str ids[ROUTE_IDS])
{
	struct str rest = str_of(pattern);
	struct str want;
	struct str have;
	size_t n = 0;

	if (path.n > 1 && path.p[path.n - 1] == '/')
		path.n--;
	while (str_split(&rest, '/', &want)) {
		if (!str_split(&path, '/', &have))
			return false;
		if (str_starts(want, "{")) {
			check(n < ROUTE_IDS);
			ids[n++] = have;
		} else if (!str_eq(want, have)) {
			return false;
		}
	}
	return !str_split(&path, '/', &have);
}

/* The first route of this path and method, among those without ids or those with;
 * *allowed gets the methods of all that have the path. */
static const struct route *
find_among(const struct req *req, bool with_ids, struct str ids[ROUTE_IDS], unsigned *allowed)
{
	const struct route *found = NULL;

	*allowed = 0;
	for (const struct route *const *t = req->admin->tables; *t != NULL; t++) {
		for (const struct route *r = *t; r->pattern != NULL; r++) {
			struct str these[ROUTE_IDS] = {{NULL, 0}};
			if ((strchr(r->pattern, '{') != NULL) != with_ids ||
			    !pattern_matches(r->pattern, req->target.path, these))
				continue;
			*allowed |= r->method;
			if (found != NULL || r->method != req->method)
				continue;
			found = r;
			memcpy(ids, these, sizeof(these));
		}
	}
	return found;
}

static const struct route *
find_route(const struct req *req, struct str ids[ROUTE_IDS], unsigned *allowed)
{
	const struct route *found = find_among(req, false, ids, allowed);

	return *allowed == 0 ? find_among(req, true, ids, allowed) : found;
}

static enum err
no_route(struct req *req, unsigned allowed)
{
	if (allowed == 0)
		return err_set(&req->info, ERR_NOT_FOUND, "there is no such path in the API");
	buf_cstr(&req->headers, "Allow: ");
	if (allowed & METHOD_GET)
		buf_cstr(&req->headers, "GET, HEAD, ");
	if (allowed & METHOD_POST)
		buf_cstr(&req->headers, "POST, ");
	if (allowed & METHOD_PUT)
		buf_cstr(&req->headers, "PUT, ");
	if (allowed & METHOD_DELETE)
		buf_cstr(&req->headers, "DELETE, ");
	buf_cstr(&req->headers, "OPTIONS\r\n");
	return ERR_METHOD;
}

static enum err
parse_ids(struct req *req, const struct route *route, const struct str ids[ROUTE_IDS])
{
	if (strstr(route->pattern, "{uuid}") != NULL) {
		req->uuid = ids[0];
		return ERR_OK;
	}
	for (size_t i = 0; i < ROUTE_IDS && ids[i].p != NULL; i++)
		if (!str_to_i64(ids[i], INT64_MIN, INT64_MAX, &req->ids[i]))
			return err_set(&req->info, ERR_BAD_REQUEST,
				       "an id in the path is not a number");
	return ERR_OK;
}

/* --- the body --- */

/* Reads to the end in any case: unread input would cut the answer off. */
static enum err
read_body(struct req *req, bool keep, size_t most)
{
	char chunk[REQUEST_CHUNK];
	int64_t announced;
	int64_t got = 0;
	ssize_t n;
	struct buf body;

	buf_init(&body, most);
	while ((n = req->io->read(req->io->arg, chunk, sizeof(chunk))) > 0) {
		got += n;
		if (keep)
			buf_add(&body, chunk, (size_t)n);
	}
	enum err e = buf_err(&body);
	req->body = STR("");
	if (e == ERR_OK && body.n > 0) {
		req->body.p = buf_take(&body, &req->body.n);
		arena_on_free(&req->arena, free, (void *)(uintptr_t)req->body.p);
	}
	buf_done(&body);
	if (e != ERR_OK)
		return err_set(&req->info, e, "the body is larger than %d MiB",
			       (int)(most / (1024 * 1024)));
	struct str length = cgi_var(req->envp, "CONTENT_LENGTH");
	if (n < 0 || (str_to_i64(length, 0, INT64_MAX, &announced) && got < announced))
		return err_set(&req->info, ERR_BAD_REQUEST, "the body broke off");
	return ERR_OK;
}

/* --- serving --- */

/* Adds the CORS headers. Any OPTIONS is a preflight: no route has that method. */
static bool
is_preflight(struct req *req)
{
	const struct conf *conf = req->admin->conf;

	cors_fields(conf, req->envp, &req->headers);
	if (!conf->enable_cors || req->method != METHOD_OPTIONS)
		return false;
	cors_preflight_fields(conf, req->envp, &req->headers);
	return true;
}

/* Everything up to the answer. A preflight is answered without a key, as no browser
 * sends one. */
static enum err
handle(struct req *req)
{
	struct str ids[ROUTE_IDS] = {{NULL, 0}};
	unsigned allowed;

	enum err e = cgi_target(req->envp, &req->target, &req->info);
	if (e == ERR_OK && is_preflight(req)) {
		req_bare(req, 204);
		return read_body(req, false, LIMIT_ADMIN_BODY);
	}
	const struct route *route = e == ERR_OK ? find_route(req, ids, &allowed) : NULL;
	if (e == ERR_OK && (route == NULL || !(route->flags & ROUTE_OPEN)))
		e = req_authenticate(req);
	if (e == ERR_OK && route == NULL)
		e = no_route(req, allowed);
	if (e == ERR_OK)
		e = parse_ids(req, route, ids);
	bool keep = e == ERR_OK && (req->method & (METHOD_POST | METHOD_PUT)) != 0;
	bool upload = keep && (route->flags & ROUTE_UPLOAD) != 0;
	enum err read = read_body(req, keep, upload ? LIMIT_UPLOAD_BODY : LIMIT_ADMIN_BODY);
	if (e == ERR_OK)
		e = read;
	return e == ERR_OK ? route->fn(req) : e;
}

/* Strangers are not told what is wrong inside. */
struct str
req_error_text(struct req *req, enum err e)
{
	bool strange = err_status(e) >= 500 && !req->trusted;
	const char *text = strange ? err_message(e) : err_text(&req->info, e);

	return errtext(str_of(text), req->language, &req->arena);
}

static void
build_envelope(struct req *req, enum err e, struct buf *out)
{
	out_open(out, NULL, '{');
	if (e == ERR_OK)
		out_int(out, "code", 0);
	else
		out_cstr(out, "code", err_code(e));
	out_str(out, "message",
		e == ERR_OK ? str_of(msg(req, req->message)) : req_error_text(req, e));
	if (e == ERR_OK && req->data.n > 0)
		out_raw(out, "data", buf_view(&req->data));
	out_close(out, '}');
}

/* length < 0: it is not known. false: the reader is gone. */
static bool
send_head(struct req *req, int64_t length)
{
	struct buf head;

	buf_init(&head, HEADERS_MAX + 1024);
	buf_printf(&head, "Status: %d %s\r\n", req->status, status_reason(req->status));
	if (req->status != 204)
		buf_printf(&head, "Content-Type: %s\r\n", req->content_type);
	if (req->status != 204 && length >= 0)
		buf_printf(&head, "Content-Length: %lld\r\n", (long long)length);
	buf_cstr(&head, "Cache-Control: no-store\r\n"
			"X-Content-Type-Options: nosniff\r\n"
			"X-Frame-Options: SAMEORIGIN\r\n"
			"Referrer-Policy: strict-origin-when-cross-origin\r\n"
			"Permissions-Policy: camera=(), microphone=(), geolocation=(), payment=(), "
			"usb=()\r\n");
	buf_str(&head, buf_view(&req->headers));
	buf_cstr(&head, "\r\n");
	bool sent = req->io->write(req->io->arg, head.p, head.n);
	buf_done(&head);
	return sent;
}

static void
send_answer(struct req *req, struct str body)
{
	if (send_head(req, (int64_t)body.n) && !req->head && body.n > 0)
		(void)req->io->write(req->io->arg, body.p, body.n);
}

void
req_stream(struct req *req, const char *content_type, const char *filename)
{
	req->streaming = true;
	req->content_type = content_type;
	req->filename = arena_strdup(&req->arena, filename);
}

/* All that there is; false: no more is wanted. */
static bool
send_piece(struct req *req)
{
	if (!req->begun) {
		req->begun = true;
		buf_printf(&req->headers, "Content-Disposition: attachment; filename=\"%s\"\r\n",
			   req->filename);
		req->gone = !send_head(req, -1);
	}
	if (!req->gone && !req->head && req->data.n > 0)
		req->gone = !req->io->write(req->io->arg, req->data.p, req->data.n);
	buf_clear(&req->data);
	return !req->gone && !req->head;
}

bool
req_stream_flush(struct req *req)
{
	if (!req->begun && !req->head && req->data.n < FIRST_PIECE)
		return true;
	return send_piece(req);
}

/* What the operator has to know; clients' own faults are not. */
static void
log_failure(struct req *req, enum err e)
{
	struct str path = req->target.path;
	bool db = (e == ERR_DB || e == ERR_DB_AWAY) && req->admin->db != NULL;

	if (err_status(e) < 500)
		return;
	path.n = MIN(path.n, (size_t)PATH_IN_LOG);
	log_error("%s " STR_FMT ": %s%s%s", err_code(e), STR_ARG(path), err_text(&req->info, e),
		  db ? ": " : "", db ? db_error(req->admin->db) : "");
}

static void
answer(struct req *req, enum err e)
{
	struct buf body;

	if (req->streaming && (e == ERR_OK || req->begun)) {
		if (e != ERR_OK)
			log_failure(req, e);
		(void)send_piece(req);
		return;
	}
	buf_init(&body, LIMIT_ADMIN_ANSWER + 1024);
	if (e == ERR_OK && buf_err(&req->data) != ERR_OK)
		e = err_set(&req->info, ERR_INTERNAL,
			    "the answer would be too large: ask for a smaller page");
	if (e != ERR_OK) {
		req->bare = false;
		req->content_type = CONTENT_TYPE_JSON;
		req->status = err_status(e);
		log_failure(req, e);
	}
	if (!req->bare) {
		build_envelope(req, e, &body);
		send_answer(req, buf_view(&body));
	} else {
		send_answer(req, buf_view(&req->data));
	}
	buf_done(&body);
}

void
req_bare(struct req *req, int status)
{
	req->bare = true;
	req->status = status;
}

bool
admin_serve(struct admin *a, char *const *envp, const struct admin_io *io)
{
	struct req req = {.admin = a,
			  .io = io,
			  .envp = envp,
			  .status = 200,
			  .message = MSG_OK,
			  .content_type = CONTENT_TYPE_JSON};
	struct str method = cgi_var(envp, "REQUEST_METHOD");

	arena_init(&req.arena, REQUEST_CHUNK);
	buf_init(&req.headers, HEADERS_MAX);
	buf_init(&req.data, LIMIT_ADMIN_ANSWER);
	req.method = method_of(method);
	req.head = str_is(method, "HEAD");
	req.language = language_of(cgi_var(envp, "HTTP_ACCEPT_LANGUAGE"));
	req.masked = a->conf->mask_keys || str_is(cgi_var(envp, "HTTP_X_MASK_KEYS"), "true");
	req.client_ip = cgi_client_ip(envp, a->conf->trusted_proxies, &req.arena);
	enum err e = handle(&req);
	answer(&req, e);
	buf_done(&req.data);
	buf_done(&req.headers);
	arena_done(&req.arena);
	return e == ERR_OK || !req.begun;
}
