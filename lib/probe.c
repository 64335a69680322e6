/* SPDX-License-Identifier: MIT
 *
 * Building a validation request, and what its answer says of the key.
 */
#include "lib/probe.h"
#include "lib/channel.h"
#include "lib/clock.h"
#include "lib/headerrule.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/proxyurl.h"
#include "lib/str.h"

#define ARENA_CHUNK   4096
#define LIMIT_WHY     (LIMIT_LOG_ERROR + 64)
#define REQUEST_LIMIT (64 * 1024)
#define PROBE_AGENT   "gpt-load"
#define PROBE_SCHEMES "http,https"

/* Keeps the start of the answer, lets the rest pass by. */
static size_t
on_answer(char *p, size_t size, size_t n, void *arg)
{
	struct probe *probe = arg;
	size_t room = LIMIT_ERROR_BODY - probe->answer.n;

	buf_add(&probe->answer, p, MIN(size * n, room));
	return size * n;
}

/* The path and query of the request, and the whole URL. */
static char *
build_url(const struct group *g, const struct upstream *u, struct str endpoint,
	  struct str *ret_path, struct arena *arena)
{
	struct str query = endpoint;
	struct str path = {NULL, 0};
	struct str joined;

	if (!str_split(&query, '?', &path))
		path = endpoint;
	joined = g->channel->join(u->path, path, arena);
	*ret_path = path;
	return arena_printf(arena, STR_FMT STR_FMT "%s" STR_FMT "%s" STR_FMT, STR_ARG(u->origin),
			    STR_ARG(joined), u->query.n + query.n > 0 ? "?" : "", STR_ARG(u->query),
			    u->query.n > 0 && query.n > 0 ? "&" : "", STR_ARG(query));
}

static enum err
build_headers(struct probe *p, const struct group *g, struct str path, struct errinfo *info)
{
	struct rule_vars vars = {
	    .client_ip = STR("127.0.0.1"),
	    .group_name = g->name,
	    .api_key = p->key,
	    .now_ms = clock_wall_ms(),
	};
	struct headers h;
	enum err e;

	headers_init(&h, &p->arena);
	headers_add(&h, STR("Content-Type"), STR("application/json"));
	headers_add(&h, STR("User-Agent"), STR(PROBE_AGENT));
	g->channel->authorize(&h, path, p->key, &p->arena);
	e = header_rules_apply(g, &h, &vars, &p->arena, info);
	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < h.n; i++) {
		/* A name and ';' is how libcurl is told to send an empty field. */
		bool empty = h.v[i].value.n == 0;
		char *line = arena_printf(&p->arena, STR_FMT "%s" STR_FMT, STR_ARG(h.v[i].name),
					  empty ? ";" : ": ", STR_ARG(h.v[i].value));
		struct curl_slist *list = curl_slist_append(p->headers, line);

		check(list != NULL);
		p->headers = list;
	}
	return ERR_OK;
}

/* Options that libcurl may refuse only when it was built without them. */
#define SET(easy, option, value) check(curl_easy_setopt(easy, option, value) == CURLE_OK)

static void
set_options(struct probe *p, const struct conf *conf, const struct group *g,
	    const struct upstream *u, const char *url, const char *body)
{
	struct proxy_choice proxy = proxy_choose(conf, &g->opt, u->origin, &p->arena);

	SET(p->easy, CURLOPT_NOSIGNAL, 1L);
	SET(p->easy, CURLOPT_ERRORBUFFER, p->curl_error);
	SET(p->easy, CURLOPT_PRIVATE, p);
	SET(p->easy, CURLOPT_PROTOCOLS_STR, PROBE_SCHEMES);
	SET(p->easy, CURLOPT_FOLLOWLOCATION, 0L);
	SET(p->easy, CURLOPT_PATH_AS_IS, 1L);
	SET(p->easy, CURLOPT_URL, url);
	if (u->userinfo.n > 0)
		SET(p->easy, CURLOPT_USERPWD,
		    arena_strndup(&p->arena, u->userinfo.p, u->userinfo.n));
	SET(p->easy, CURLOPT_POSTFIELDS, body);
	SET(p->easy, CURLOPT_HTTPHEADER, p->headers);
	SET(p->easy, CURLOPT_PROXY, proxy.url);
	SET(p->easy, CURLOPT_NOPROXY, proxy.except);
	if (conf->upstream_ca_file != NULL) {
		SET(p->easy, CURLOPT_CAINFO, conf->upstream_ca_file);
		SET(p->easy, CURLOPT_PROXY_CAINFO, conf->upstream_ca_file);
	}
	SET(p->easy, CURLOPT_CONNECTTIMEOUT, (long)g->opt.connect_timeout_s);
	SET(p->easy, CURLOPT_TIMEOUT, (long)g->opt.validation_timeout_s);
	SET(p->easy, CURLOPT_WRITEFUNCTION, on_answer);
	SET(p->easy, CURLOPT_WRITEDATA, p);
}

enum err
probe_init(struct probe *p, const struct conf *conf, const struct group *g,
	   const struct upstream *u, struct str key, struct errinfo *info)
{
	struct buf endpoint;
	struct buf body;
	struct str path;
	char *url;
	enum err e;

	*p = (struct probe){0};
	arena_init(&p->arena, ARENA_CHUNK);
	buf_init(&p->answer, LIMIT_ERROR_BODY);
	buf_init(&endpoint, REQUEST_LIMIT);
	buf_init(&body, REQUEST_LIMIT);
	p->channel = g->channel;
	p->key = arena_str(&p->arena, key);
	g->channel->validation_request(g, &endpoint, &body);
	url = build_url(g, u, arena_str(&p->arena, buf_view(&endpoint)), &path, &p->arena);
	e = build_headers(p, g, path, info);
	if (e == ERR_OK) {
		p->easy = curl_easy_init();
		check(p->easy != NULL);
		set_options(p, conf, g, u, url, arena_strdup(&p->arena, buf_text(&body)));
	}
	buf_done(&endpoint);
	buf_done(&body);
	if (e != ERR_OK)
		probe_done(p);
	return e;
}

void
probe_done(struct probe *p)
{
	curl_easy_cleanup(p->easy);
	curl_slist_free_all(p->headers);
	buf_done(&p->answer);
	arena_done(&p->arena);
	*p = (struct probe){0};
}

void
probe_judge(struct probe *p, CURLcode code, struct probe_answer *ret)
{
	long status = 0;
	struct str text;

	if (curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status) != CURLE_OK)
		status = 0;
	buf_init(&ret->why, LIMIT_WHY);
	/* An answer that broke off says nothing about the key, whatever it began with. */
	ret->ok = code == CURLE_OK && status >= 200 && status < 300;
	ret->status = code == CURLE_OK ? (int)status : 0;
	ret->blames_key = code == CURLE_OK && !ret->ok &&
			  (status == 401 || status == 402 || status == 403 ||
			   p->channel->blames_key((int)status, buf_view(&p->answer)));
	if (ret->ok)
		return;
	if (code == CURLE_OK) {
		buf_printf(&ret->why, "[status %ld] ", status);
		text = channel_error_message(buf_view(&p->answer), &p->arena);
	} else {
		text = str_of(p->curl_error[0] != '\0' ? p->curl_error : curl_easy_strerror(code));
	}
	redact_cut(&ret->why, text, LIMIT_LOG_ERROR, &p->key, 1);
}
