/* SPDX-License-Identifier: MIT
 *
 * Requests to providers: one libcurl multi handle, driven by its socket and timer
 * callbacks from the event loop. Handles are kept and used again; options that
 * never change are set once, those of a call are all set anew, so that nothing of
 * one request can reach the next. Left out are only those, costly for libcurl to
 * set, that are seen to have that value already (struct handle).
 *
 * libcurl calls back from inside curl_multi_socket_action(); nothing here calls
 * into the multi handle from there. What a callback decides (stop, pause) is its
 * return value, and on_done runs after libcurl has returned.
 */
#include "fcgi-app/responder.h"
#include "lib/proxyurl.h"

#include <curl/curl.h>
#include <stdlib.h>
/* uthash's usual function is a switch that falls through: clang warns of it. */
#define HASH_FUNCTION(key, n, ret) HASH_SAX(key, n, ret)
#include <uthash.h>

/* Idle handles kept for reuse; each holds about 6 KB. */
#define HANDLES_KEPT 256
/* What libcurl reads at once; it keeps one such buffer for every open transfer. */
#define READ_BUFFER_BYTES 8192L
/* libcurl's own bound on kept connections; ours are in sockets.c. */
#define CONNECTIONS_MAX 100000L
/* libcurl never adds Expect to a body of so few; each line that it is given costs. */
#define EXPECT_NOT_BYTES 1024
/* URLs kept parsed. They stay to the end, since libcurl may come back to one; an
 * upstream beyond them is parsed for each call. */
#define PARSED_KEPT 1024

/* A URL that libcurl need not take apart and put together again for each call. */
struct parsed_url {
	UT_hash_handle hh;
	CURLU *parts;
	char url[];
};

struct handle {
	CURL *easy;
	const CURLU *url; /* of CURLOPT_CURLU and CURLOPT_URL; NULL: set anew */
	bool direct;      /* without a proxy */
	bool anonymous;   /* without user and password */
};

struct upstreams {
	struct worker *w;
	CURLM *multi;
	CURLSH *share; /* TLS sessions, so that a new connection resumes an old one's */
	struct sockets *sockets;
	struct event *timer;
	struct handle *kept[HANDLES_KEPT];
	int n_kept;
	bool started; /* something was added since libcurl last ran */
	struct parsed_url *parsed;
};

/* --- callbacks of libcurl: the loop --- */

static int
on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *unused)
{
	struct upstreams *u = arg;
	struct call *c = NULL;

	(void)unused;
	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &c);
	sockets_watch(u->sockets, fd, what, c != NULL ? c->opt : NULL, c != NULL ? c->url : "");
	return 0;
}

static int
on_curl_timer(CURLM *multi, long ms, void *arg)
{
	struct upstreams *u = arg;
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	(void)multi;
	if (ms < 0)
		evtimer_del(u->timer);
	else
		evtimer_add(u->timer, &tv);
	return 0;
}

static curl_socket_t
on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct upstreams *u = arg;
	int fd = sockets_open(u->sockets, address->family, address->socktype, address->protocol);

	(void)purpose;
	return fd >= 0 ? fd : CURL_SOCKET_BAD;
}

static int
on_close_socket(void *arg, curl_socket_t fd)
{
	struct upstreams *u = arg;

	sockets_close(u->sockets, fd);
	return 0;
}

/* --- callbacks of libcurl: a call --- */

static size_t
on_header(char *p, size_t size, size_t n, void *arg)
{
	struct call *c = arg;
	struct str line = str_trim((struct str){p, size * n});
	const char *colon;

	n *= size;
	if (c->head_done) /* a trailer */
		return n;
	c->head_bytes += n;
	if (c->head_bytes > LIMIT_RESPONSE_HEADER_BYTES || c->answer.n > LIMIT_RESPONSE_HEADERS)
		return 0;
	if (str_starts(line, "HTTP/")) {
		headers_init(&c->answer, c->arena);
		return n;
	}
	if (line.n == 0) {
		long status = 0;

		curl_easy_getinfo(c->handle->easy, CURLINFO_RESPONSE_CODE, &status);
		if (status < 200)
			return n;
		c->status = (int)status;
		c->head_done = true;
		c->on_head(c);
		return c->stopped ? 0 : n;
	}
	colon = memchr(line.p, ':', line.n);
	if (colon != NULL) {
		size_t at = (size_t)(colon - line.p);
		struct str name = {line.p, at};
		struct str value = str_trim(str_from(line, at + 1));

		if (header_name_valid(name) && header_value_valid(value))
			headers_add(&c->answer, arena_str(c->arena, name),
				    arena_str(c->arena, value));
	}
	return n;
}

static size_t
on_body(char *p, size_t size, size_t n, void *arg)
{
	struct call *c = arg;

	n *= size;
	switch (c->on_data(c, p, n)) {
	case CALL_GO_ON:
		return n;
	case CALL_PAUSE:
		return CURL_WRITEFUNC_PAUSE;
	case CALL_STOP:
		c->stopped = true;
		return 0;
	}
	return 0;
}

/* The request body in pieces, for libcurl's upload buffer. */
static size_t
on_read(char *p, size_t size, size_t n, void *arg)
{
	struct call *c = arg;
	int64_t at = c->body_at;
	size_t room = size * n;
	size_t given = 0;

	for (size_t i = 0; i < c->n_slices && given < room; i++) {
		int64_t len = (int64_t)c->slices[i].n;

		if (at >= len) {
			at -= len;
			continue;
		}
		size_t take = MIN(room - given, (size_t)(len - at));

		memcpy(p + given, c->slices[i].p + at, take);
		given += take;
		at = 0;
	}
	c->body_at += (int64_t)given;
	return given;
}

/* libcurl begins again on a fresh connection when a kept one turns out dead. */
static int
on_seek(void *arg, curl_off_t offset, int origin)
{
	struct call *c = arg;

	if (origin != SEEK_SET || offset < 0 || offset > c->body_len)
		return CURL_SEEKFUNC_CANTSEEK;
	c->body_at = offset;
	return CURL_SEEKFUNC_OK;
}

/* --- handles --- */

#define SET(easy, option, value) check(curl_easy_setopt(easy, option, value) == CURLE_OK)

static struct handle *
handle_new(struct upstreams *u)
{
	struct handle *h = xcalloc(1, sizeof(*h));
	CURL *easy = curl_easy_init();
	const char *ca = u->w->conf->upstream_ca_file;

	check(easy != NULL);
	h->easy = easy;
	SET(easy, CURLOPT_NOSIGNAL, 1L);
	SET(easy, CURLOPT_SHARE, u->share);
	SET(easy, CURLOPT_PROTOCOLS_STR, "http,https");
	SET(easy, CURLOPT_FOLLOWLOCATION, 0L);
	/* One connection a transfer: a paused stream then holds up nobody else's,
	 * and costs a third of the memory of an HTTP/2 one. */
	SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(easy, CURLOPT_PATH_AS_IS, 1L);
	SET(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	SET(easy, CURLOPT_TCP_KEEPALIVE, 1L);
	SET(easy, CURLOPT_BUFFERSIZE, READ_BUFFER_BYTES);
	SET(easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	SET(easy, CURLOPT_OPENSOCKETDATA, u);
	SET(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
	SET(easy, CURLOPT_CLOSESOCKETDATA, u);
	SET(easy, CURLOPT_HEADERFUNCTION, on_header);
	SET(easy, CURLOPT_WRITEFUNCTION, on_body);
	SET(easy, CURLOPT_READFUNCTION, on_read);
	SET(easy, CURLOPT_SEEKFUNCTION, on_seek);
	if (ca != NULL) {
		SET(easy, CURLOPT_CAINFO, ca);
		SET(easy, CURLOPT_PROXY_CAINFO, ca);
	}
	return h;
}

static struct handle *
handle_take(struct upstreams *u)
{
	return u->n_kept > 0 ? u->kept[--u->n_kept] : handle_new(u);
}

static void
handle_free(struct handle *h)
{
	curl_easy_cleanup(h->easy);
	free(h);
}

static void
handle_give_back(struct upstreams *u, struct handle *h)
{
	CURL *easy = h->easy;

	/* Nothing of the call may be reached through it any more. */
	SET(easy, CURLOPT_PRIVATE, NULL);
	SET(easy, CURLOPT_HTTPHEADER, NULL);
	SET(easy, CURLOPT_POSTFIELDS, NULL);
	SET(easy, CURLOPT_ERRORBUFFER, NULL);
	if (u->n_kept < HANDLES_KEPT)
		u->kept[u->n_kept++] = h;
	else
		handle_free(h);
}

/* --- a call's options --- */

/* The field lines as libcurl wants them, in the arena: it only reads the list. The
 * ones that it would add by itself are switched off where the client sent none. */
static struct curl_slist *
header_list(struct call *c)
{
	static const char *const unwanted[] = {"Accept", "Content-Type", "Expect"};
	size_t n_unwanted = ARRAY_LEN(unwanted) - (c->body_len <= EXPECT_NOT_BYTES);
	struct curl_slist *list = NULL;
	struct curl_slist **end = &list;
	struct str value;

	for (size_t i = 0; i < c->headers->n + n_unwanted; i++) {
		struct curl_slist *one = arena_zalloc(c->arena, sizeof(*one));

		if (i < c->headers->n) {
			const struct header *h = &c->headers->v[i];

			/* libcurl's way to say an empty value. */
			one->data = h->value.n > 0
					? ARENA_CONCAT(c->arena, h->name, STR(": "), h->value)
					: ARENA_CONCAT(c->arena, h->name, STR(";"));
		} else {
			const char *name = unwanted[i - c->headers->n];

			if (headers_get(c->headers, name, &value))
				continue;
			one->data = ARENA_CONCAT(c->arena, str_of(name), STR(":"));
		}
		*end = one;
		end = &one->next;
	}
	return list;
}

static void
set_body(CURL *easy, struct call *c)
{
	c->body_len = 0;
	c->body_at = 0;
	for (size_t i = 0; i < c->n_slices; i++)
		c->body_len += (int64_t)c->slices[i].n;
	SET(easy, CURLOPT_NOBODY, 0L);
	SET(easy, CURLOPT_READDATA, c);
	SET(easy, CURLOPT_SEEKDATA, c);
	if (c->has_body) {
		SET(easy, CURLOPT_POST, 1L);
		SET(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)c->body_len);
		SET(easy, CURLOPT_POSTFIELDS,
		    c->n_slices == 1   ? c->slices[0].p
		    : c->n_slices == 0 ? ""
				       : NULL);
	} else if (strcmp(c->method, "HEAD") == 0) {
		SET(easy, CURLOPT_NOBODY, 1L);
	} else {
		SET(easy, CURLOPT_HTTPGET, 1L);
	}
	SET(easy, CURLOPT_CUSTOMREQUEST, c->method);
}

/* NULL: libcurl is to parse it, and to say what is wrong with it. */
static CURLU *
parsed_url(struct upstreams *u, const char *url)
{
	size_t n = strlen(url);
	struct parsed_url *one;
	CURLU *parts;

	HASH_FIND(hh, u->parsed, url, n, one);
	if (one != NULL)
		return one->parts;
	if (HASH_COUNT(u->parsed) >= PARSED_KEPT)
		return NULL;
	parts = curl_url();
	check(parts != NULL);
	if (curl_url_set(parts, CURLUPART_URL, url, 0) != CURLUE_OK) {
		curl_url_cleanup(parts);
		return NULL;
	}
	one = xcalloc(1, sizeof(*one) + n + 1);
	one->parts = parts;
	memcpy(one->url, url, n);
	HASH_ADD_KEYPTR(hh, u->parsed, one->url, n, one);
	return parts;
}

static void
parsed_free(struct upstreams *u)
{
	struct parsed_url *one;
	struct parsed_url *next;

	HASH_ITER (hh, u->parsed, one, next) {
		HASH_DEL(u->parsed, one);
		curl_url_cleanup(one->parts);
		free(one);
	}
}

/* The raw target goes out as it is, apart from libcurl's idea of the URL. A proxy,
 * though, is asked for a plain http URL in absolute form (RFC 9112, 3.2.2), which
 * libcurl must put together itself: only it knows whether the proxy is used. */
static void
set_target(struct handle *h, struct call *c, bool by_proxy)
{
	bool absolute = by_proxy && strncmp(c->url, "http://", 7) == 0;
	CURLU *url = absolute ? NULL : parsed_url(c->owner, c->url);
	CURL *easy = h->easy;

	if (url == NULL || url != h->url)
		SET(easy, CURLOPT_CURLU, url);
	if (absolute) {
		SET(easy, CURLOPT_URL,
		    arena_printf(c->arena, "%.*s%s", (int)strlen(c->url) - 1, c->url, c->target));
		SET(easy, CURLOPT_REQUEST_TARGET, NULL);
	} else {
		if (url == NULL || url != h->url)
			SET(easy, CURLOPT_URL, c->url);
		SET(easy, CURLOPT_REQUEST_TARGET, c->target);
	}
	h->url = url;
}

static void
set_proxy(struct handle *h, const struct proxy_choice *proxy)
{
	bool direct = proxy->url[0] == '\0';

	if (direct && h->direct)
		return;
	SET(h->easy, CURLOPT_PROXY, proxy->url);
	SET(h->easy, CURLOPT_NOPROXY, proxy->except);
	h->direct = direct;
}

static void
set_user(struct handle *h, const char *userinfo)
{
	if (userinfo == NULL && h->anonymous)
		return;
	SET(h->easy, CURLOPT_USERPWD, userinfo);
	h->anonymous = userinfo == NULL;
}

void
upstream_start(struct upstreams *u, struct call *c)
{
	struct proxy_choice proxy =
	    proxy_choose(u->w->conf, c->opt, (struct str){c->url, strlen(c->url) - 1}, c->arena);
	struct handle *h = handle_take(u);
	CURL *easy = h->easy;

	c->owner = u;
	c->handle = h;
	c->status = 0;
	c->error[0] = '\0';
	c->head_bytes = 0;
	c->head_done = false;
	c->stopped = false;
	headers_init(&c->answer, c->arena);
	SET(easy, CURLOPT_PRIVATE, c);
	SET(easy, CURLOPT_ERRORBUFFER, c->error);
	SET(easy, CURLOPT_HEADERDATA, c);
	SET(easy, CURLOPT_WRITEDATA, c);
	set_proxy(h, &proxy);
	set_target(h, c, strncmp(proxy.url, "http", 4) == 0);
	set_body(easy, c);
	SET(easy, CURLOPT_HTTPHEADER, header_list(c));
	set_user(h, c->userinfo);
	SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)c->opt->connect_timeout_s * 1000);
	SET(easy, CURLOPT_MAXAGE_CONN, (long)c->opt->idle_conn_timeout_s);
	check(curl_multi_add_handle(u->multi, easy) == CURLM_OK);
	u->started = true;
}

void
upstream_cancel(struct call *c)
{
	struct handle *h = c->handle;

	if (h == NULL)
		return;
	curl_multi_remove_handle(c->owner->multi, h->easy);
	c->handle = NULL;
	handle_give_back(c->owner, h);
}

void
upstream_resume(struct call *c)
{
	if (c->handle == NULL)
		return;
	/* May call on_data at once. */
	(void)curl_easy_pause(c->handle->easy, CURLPAUSE_CONT);
	c->owner->started = true;
}

void
upstream_progress(const struct call *c, bool *ret_written, int64_t *ret_sending_since_us)
{
	curl_off_t sending = 0;
	curl_off_t uploaded = 0;

	*ret_written = false;
	*ret_sending_since_us = -1;
	if (c->handle == NULL)
		return;
	curl_easy_getinfo(c->handle->easy, CURLINFO_PRETRANSFER_TIME_T, &sending);
	curl_easy_getinfo(c->handle->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
	if (sending > 0)
		*ret_sending_since_us = sending;
	*ret_written = sending > 0 && uploaded >= c->body_len;
}

/* --- ends --- */

/* That nothing of the request left is libcurl's own say: it never came to sending
 * (through a proxy the bytes of CONNECT are counted too), or counts no byte. */
static enum call_end
end_of(const struct call *c, CURLcode rc)
{
	curl_off_t ready = 0;
	long sent = 0;

	if (rc == CURLE_OK && c->head_done)
		return CALL_COMPLETE;
	if (c->stopped)
		return CALL_STOPPED;
	curl_easy_getinfo(c->handle->easy, CURLINFO_PRETRANSFER_TIME_T, &ready);
	curl_easy_getinfo(c->handle->easy, CURLINFO_REQUEST_SIZE, &sent);
	if (c->head_done || (ready > 0 && sent > 0))
		return CALL_BROKEN;
	return rc == CURLE_OPERATION_TIMEDOUT ? CALL_TOO_SLOW_CONNECT : CALL_NOT_SENT;
}

static void
collect_ended(struct upstreams *u)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(u->multi, &left)) != NULL) {
		CURLcode rc = m->data.result;
		struct call *c = NULL;
		struct handle *h;
		enum call_end end;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &c);
		h = c->handle;
		end = end_of(c, rc);
		if (rc != CURLE_OK && c->error[0] == '\0')
			(void)snprintf(c->error, sizeof(c->error), "%s", curl_easy_strerror(rc));
		curl_multi_remove_handle(u->multi, h->easy);
		c->handle = NULL;
		handle_give_back(u, h);
		c->on_done(c, end);
	}
}

static void
act(struct upstreams *u, int fd, int bits)
{
	int running;

	(void)curl_multi_socket_action(u->multi, fd, bits, &running);
	collect_ended(u);
}

void
upstreams_run(struct upstreams *u)
{
	/* A retry started by an end is taken up in the same turn. */
	while (u->started) {
		u->started = false;
		act(u, CURL_SOCKET_TIMEOUT, 0);
	}
}

static void
on_ready(void *arg, int fd, int bits)
{
	struct upstreams *u = arg;

	act(u, fd, bits);
	upstreams_run(u);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct upstreams *u = arg;

	(void)fd;
	(void)what;
	u->started = true;
	upstreams_run(u);
}

struct upstreams *
upstreams_new(struct worker *w)
{
	struct upstreams *u = xcalloc(1, sizeof(*u));

	u->w = w;
	u->sockets = sockets_new(w->base, on_ready, u);
	u->multi = curl_multi_init();
	u->share = curl_share_init();
	u->timer = evtimer_new(w->base, on_timer, u);
	check(u->multi != NULL && u->share != NULL && u->timer != NULL);
	curl_share_setopt(u->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	curl_multi_setopt(u->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	curl_multi_setopt(u->multi, CURLMOPT_SOCKETDATA, u);
	curl_multi_setopt(u->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	curl_multi_setopt(u->multi, CURLMOPT_TIMERDATA, u);
	curl_multi_setopt(u->multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_MAX);
	return u;
}

void
upstreams_free(struct upstreams *u)
{
	if (u == NULL)
		return;
	while (u->n_kept > 0)
		handle_free(u->kept[--u->n_kept]);
	curl_multi_cleanup(u->multi);
	curl_share_cleanup(u->share);
	parsed_free(u);
	sockets_free(u->sockets);
	event_free(u->timer);
	free(u);
}
