/* SPDX-License-Identifier: MIT
 *
 * POST /api/upstreams/test: tries an upstream before it is saved. With a key it is one
 * validation request as the responder's background makes them; without, one GET of the
 * base URL, which any answer makes good. One connection, no redirect followed, within
 * a bounded time; nothing is stored, and no key's state changes.
 */
#include "admin-cgi/key_out.h"

#include "lib/channel.h"
#include "lib/group_input.h"
#include "lib/json.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/probe.h"
#include "lib/setting_json.h"
#include "lib/str.h"

#include <json-c/json.h>

#define SECONDS_DEFAULT 10

struct test {
	struct group group; /* as if it were saved; what it points to is in the arena */
	struct upstream upstream;
	struct str key; /* empty: none */
};

/* --- input --- */

static enum err
optional_text(struct req *req, struct json_object *body, const char *name, struct str *ret)
{
	struct json_object *value = json_get(body, name);

	*ret = STR("");
	if (value != NULL && !json_get_text(value, ret))
		return err_set(&req->info, ERR_INVALID_JSON, "\"%s\" must be a string", name);
	*ret = str_trim(*ret);
	return ERR_OK;
}

static enum err
read_target(struct req *req, struct json_object *body, struct test *t)
{
	struct str channel;
	struct str url;

	enum err e = req_text(req, body, "channel_type", &channel);
	if (e == ERR_OK)
		e = req_text(req, body, "url", &url);
	if (e != ERR_OK)
		return e;
	t->group.channel = channel_find(channel);
	t->group.channel_name = channel;
	if (t->group.channel == NULL)
		return err_set(&req->info, ERR_VALIDATION,
			       "\"channel_type\" is not one of GET /api/channel-types");
	e = group_check_url(str_trim(url), &req->info);
	if (e == ERR_OK && !upstream_parse(str_trim(url), &req->arena, &t->upstream))
		e = err_set(&req->info, ERR_VALIDATION,
			    "the URL must be http://host[:port]/path, without spaces and control "
			    "characters");
	return e;
}

/* The stored key is sent where the request says, so it is noted like a revealed one. */
static enum err
read_stored_key(struct req *req, int64_t id, struct test *t)
{
	struct key_row row;
	enum err e = req_readable_key(req, id, &row);

	if (e != ERR_OK)
		return e;
	log_info("upstream key %lld is tried at " STR_FMT " for " STR_FMT, (long long)id,
		 STR_ARG(t->upstream.origin), STR_ARG(req->client_ip));
	t->key = row.value;
	return ERR_OK;
}

static enum err
read_key(struct req *req, struct json_object *body, struct test *t)
{
	struct group *g = &t->group;
	int64_t id = 0;

	enum err e = optional_text(req, body, "key", &t->key);
	if (e == ERR_OK && json_get(body, "key_id") != NULL)
		e = req_id(req, body, "key_id", &id);
	if (e == ERR_OK && id > 0)
		e = read_stored_key(req, id, t);
	if (e == ERR_OK)
		e = optional_text(req, body, "test_model", &g->test_model);
	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < t->key.n; i++)
		if ((unsigned char)t->key.p[i] <= ' ' || t->key.p[i] == 0x7f)
			return err_set(&req->info, ERR_VALIDATION,
				       "\"key\" holds a space or a control character");
	if (t->key.n > LIMIT_KEY_BYTES)
		return err_set(&req->info, ERR_VALIDATION, "\"%s\" is longer than %d bytes", "key",
			       LIMIT_KEY_BYTES);
	if (t->key.n > 0 && g->test_model.n == 0)
		return err_set(&req->info, ERR_VALIDATION, "\"test_model\" is required");
	return ERR_OK;
}

/* As it would be stored: any other text could lead to another host. */
static enum err
read_endpoint(struct req *req, struct json_object *body, struct group *g)
{
	const struct group_input in = {.info = &req->info};
	struct group_row row = {0};

	enum err e = optional_text(req, body, "validation_endpoint", &row.validation_endpoint);
	if (e == ERR_OK)
		e = group_check_endpoint(&in, &row);
	g->validation_endpoint = row.validation_endpoint;
	return e;
}

/* As they would be stored. */
static enum err
check_rules(struct req *req, struct json_object *body, struct str *ret)
{
	const struct group_input in = {
	    .text = req->body, .body = body, .arena = &req->arena, .info = &req->info};
	struct json_object *list = json_get(body, "header_rules");
	struct group_row row = {.header_rules_json = STR("[]")};

	if (list != NULL && !json_object_is_type(list, json_type_array))
		return err_set(&req->info, ERR_INVALID_JSON, "\"%s\" must be %s", "header_rules",
			       "an array");
	enum err e = group_check_header_rules(&in, &row);
	*ret = row.header_rules_json;
	return e;
}

static enum err
read_rules(struct req *req, struct json_object *body, struct group *g)
{
	AUTO_JSON struct json_object *rules = NULL;
	struct str action;
	struct str text;

	enum err e = check_rules(req, body, &text);
	if (e == ERR_OK)
		e = json_parse(text, &rules, &req->info);
	if (e != ERR_OK)
		return e;
	size_t n = json_object_array_length(rules);
	g->header_rules = arena_zalloc(&req->arena, (n + 1) * sizeof(*g->header_rules));
	for (size_t i = 0; i < n; i++) {
		struct json_object *one = json_object_array_get_idx(rules, i);
		struct header_rule *rule = &g->header_rules[g->n_header_rules++];
		if (!json_get_text(json_get(one, "key"), &rule->name) ||
		    !json_get_text(json_get(one, "value"), &rule->value) ||
		    !json_get_text(json_get(one, "action"), &action))
			return ERR_INTERNAL;
		rule->name = arena_str(&req->arena, rule->name);
		rule->value = arena_str(&req->arena, rule->value);
		rule->remove = str_is(action, "remove");
	}
	return ERR_OK;
}

/* The proxy is the request's or the system's; times are the request's. */
static enum err
read_options(struct req *req, struct json_object *body, struct options *opt)
{
	struct json_object *proxy = json_get(body, "proxy_url");
	struct json_object *value = json_get(body, "timeout_seconds");
	int64_t seconds = SECONDS_DEFAULT;
	struct settings settings;
	struct db *db;

	if (value != NULL && (!json_get_int(value, &seconds) || seconds < 1 ||
			      seconds > LIMIT_UPSTREAM_TEST_SECONDS))
		return err_set(&req->info, ERR_VALIDATION, "\"timeout_seconds\" must be 1 to %d",
			       LIMIT_UPSTREAM_TEST_SECONDS);
	opt->connect_timeout_s = opt->validation_timeout_s = (int)seconds;
	enum err e = ERR_OK;
	if (proxy != NULL)
		e = setting_from_json(SETTING_PROXY_URL, proxy, &req->arena, &opt->proxy_url,
				      &req->info);
	if (e == ERR_OK && opt->proxy_url.n == 0)
		e = req_db(req, &db);
	if (e != ERR_OK || opt->proxy_url.n > 0)
		return e;
	e = settings_load(db, &settings, NULL);
	if (e != ERR_OK)
		return e;
	opt->proxy_url = str_of(arena_strdup(&req->arena, settings.v[SETTING_PROXY_URL].s));
	settings_done(&settings);
	return ERR_OK;
}

static enum err
read_test(struct req *req, struct test *t)
{
	struct json_object *body;

	enum err e = req_json(req, &body);
	if (e == ERR_OK)
		e = read_target(req, body, t);
	if (e == ERR_OK)
		e = read_endpoint(req, body, &t->group);
	if (e == ERR_OK)
		e = read_rules(req, body, &t->group);
	if (e == ERR_OK)
		e = read_options(req, body, &t->group.opt);
	return e == ERR_OK ? read_key(req, body, t) : e;
}

/* --- what came of it --- */

static const char *
outcome_of(CURLcode code, const struct probe *p, bool good)
{
	long connect_status = 0;

	if (code == CURLE_OK)
		return good ? "ok" : "http_error";
	if (curl_easy_getinfo(p->easy, CURLINFO_HTTP_CONNECTCODE, &connect_status) == CURLE_OK &&
	    connect_status >= 300)
		return "proxy_failed";
	switch ((int)code) {
	case CURLE_COULDNT_RESOLVE_HOST:
		return "dns_failed";
	case CURLE_COULDNT_CONNECT:
		return "connect_failed";
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_PROXY:
		return "proxy_failed";
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
		return "tls_failed";
	case CURLE_OPERATION_TIMEDOUT:
		return "timeout";
	default:
		return "broken_off";
	}
}

/* The span between two of libcurl's times, each from the start; null when the later
 * was never reached. */
static void
out_span(struct buf *b, const char *name, CURL *easy, CURLINFO from, CURLINFO to)
{
	curl_off_t begin = 0;
	curl_off_t end = 0;

	if (from != CURLINFO_NONE)
		(void)curl_easy_getinfo(easy, from, &begin);
	(void)curl_easy_getinfo(easy, to, &end);
	if (end <= 0)
		out_raw(b, name, STR("null"));
	else
		out_int(b, name, MAX(end - begin, (curl_off_t)0) / 1000);
}

static void
out_times(struct buf *b, CURL *easy)
{
	curl_off_t total = 0;

	out_span(b, "dns_ms", easy, CURLINFO_NONE, CURLINFO_NAMELOOKUP_TIME_T);
	out_span(b, "connect_ms", easy, CURLINFO_NAMELOOKUP_TIME_T, CURLINFO_CONNECT_TIME_T);
	out_span(b, "tls_ms", easy, CURLINFO_CONNECT_TIME_T, CURLINFO_APPCONNECT_TIME_T);
	out_span(b, "first_byte_ms", easy, CURLINFO_NONE, CURLINFO_STARTTRANSFER_TIME_T);
	(void)curl_easy_getinfo(easy, CURLINFO_TOTAL_TIME_T, &total);
	out_int(b, "total_ms", total / 1000);
}

static const char *
http_version(CURL *easy)
{
	long version = 0;

	(void)curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
	switch (version) {
	case CURL_HTTP_VERSION_1_0:
		return "1.0";
	case CURL_HTTP_VERSION_1_1:
		return "1.1";
	case CURL_HTTP_VERSION_2_0:
		return "2";
	case CURL_HTTP_VERSION_3:
		return "3";
	default:
		return "";
	}
}

static const char *
text_info(CURL *easy, CURLINFO info)
{
	char *text = NULL;

	if (curl_easy_getinfo(easy, info, &text) != CURLE_OK || text == NULL)
		return "";
	return text;
}

static void
out_verdict(struct buf *b, const struct test *t, const struct probe_answer *answer)
{
	const char *verdict = "null";

	if (t->key.n > 0 && answer->ok)
		verdict = "true";
	else if (t->key.n > 0 && answer->blames_key)
		verdict = "false";
	out_raw(b, "key_accepted", str_of(verdict));
}

static void
out_test(struct req *req, const struct test *t, struct probe *p, CURLcode code)
{
	struct buf *b = &req->data;
	struct probe_answer answer;

	probe_judge(p, code, &answer);
	bool good = code == CURLE_OK && (answer.ok || t->key.n == 0);
	out_open(b, NULL, '{');
	out_cstr(b, "outcome", outcome_of(code, p, good));
	out_bool(b, "reachable", code == CURLE_OK);
	out_int(b, "status", answer.status);
	out_verdict(b, t, &answer);
	out_cstr(b, "remote_ip", text_info(p->easy, CURLINFO_PRIMARY_IP));
	out_cstr(b, "http_version", http_version(p->easy));
	out_cstr(b, "redirected_to", text_info(p->easy, CURLINFO_REDIRECT_URL));
	out_times(b, p->easy);
	out_str(b, "message", good ? STR("") : buf_view(&answer.why));
	out_close(b, '}');
	buf_done(&answer.why);
}

/* Without a key, only whether somebody answers there. */
static void
ask_plainly(struct req *req, const struct test *t, struct probe *p)
{
	char *url = arena_strndup(&req->arena, t->upstream.url.p, t->upstream.url.n);

	check(curl_easy_setopt(p->easy, CURLOPT_HTTPGET, 1L) == CURLE_OK);
	check(curl_easy_setopt(p->easy, CURLOPT_HTTPHEADER, NULL) == CURLE_OK);
	check(curl_easy_setopt(p->easy, CURLOPT_URL, url) == CURLE_OK);
}

static enum err
test_upstream(struct req *req)
{
	struct test t = {.group = {.name = STR("test")}};
	struct probe probe;

	enum err e = read_test(req, &t);
	if (e == ERR_OK)
		e = probe_init(&probe, req->admin->conf, &t.group, &t.upstream, t.key, &req->info);
	if (e == ERR_CONF)
		return ERR_VALIDATION;
	if (e != ERR_OK)
		return e;
	if (t.key.n == 0)
		ask_plainly(req, &t, &probe);
	out_test(req, &t, &probe, curl_easy_perform(probe.easy));
	probe_done(&probe);
	return ERR_OK;
}

const struct route routes_upstream[] = {
    {METHOD_POST, "/api/upstreams/test", test_upstream, 0},
    {0},
};
