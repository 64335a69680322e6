/* SPDX-License-Identifier: MIT
 *
 * What is the same for every route of the management API: who is let in, which
 * paths and methods there are, headers, bodies; and the resources that are not
 * groups, keys and logs.
 */
#include "lib/clock.h"
#include "lib/gate.h"
#include "lib/json.h"
#include "lib/limits.h"

#include "tests/unit/admin_kit.h"

/* --- who is let in --- */

static void
test_key_places(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *uri;
		const char *var;
		int status;
	} tries[] = {
	    {"/api/groups", NULL, 401},
	    {"/api/groups", "HTTP_AUTHORIZATION=Bearer " AUTH, 200},
	    {"/api/groups", "REDIRECT_HTTP_AUTHORIZATION=Bearer " AUTH, 200},
	    {"/api/groups", "HTTP_X_API_KEY=" AUTH, 200},
	    {"/api/groups", "HTTP_X_GOOG_API_KEY=" AUTH, 200},
	    {"/api/groups?key=" AUTH, NULL, 200},
	    {"/api/groups", "HTTP_AUTHORIZATION=Basic " AUTH, 401},
	    {"/api/groups", "HTTP_X_API_KEY=" AUTH "x", 401},
	    {"/api/groups", "HTTP_AUTHORIZATION=Bearer ", 401},
	    {"/api/groups?key=wrong", "HTTP_X_API_KEY=" AUTH, 401},
	    {"/api/no-such-path", NULL, 401},
	    {"/api/groups/list", NULL, 401},
	    {"/api/settings", NULL, 401},
	    {"/health", NULL, 503},
	};

	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		const char *vars[] = {tries[i].var, NULL};
		int status = request(f, "GET", tries[i].uri, STR(""), vars);
		if (status != tries[i].status)
			fail_msg("%s, %s: %d", tries[i].uri, tries[i].var, status);
		if (status == 401)
			assert_code(f, "UNAUTHORIZED");
	}
	static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH", "HEAD", "TRACE"};
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		assert_int_equal(request(f, methods[i], "/api/groups/1", STR("{}"), NULL), 401);
}

static int
login(struct fixture *f, const char *address, const char *key)
{
	char *var = xasprintf("REMOTE_ADDR=%s", address);
	char *body = xasprintf("{\"auth_key\":\"%s\"}", key);
	const char *const vars[] = {var, NULL};
	int status = request(f, "POST", "/api/auth/login", str_of(body), vars);

	free(var);
	free(body);
	return status;
}

static void
test_login(void **state)
{
	struct fixture *f = *state;
	bool success;

	assert_int_equal(login(f, "192.0.2.1", AUTH), 200);
	assert_true(json_get_bool(json_get(f->json, "success"), &success) && success);
	assert_false(json_has(f->json, "code"));
	assert_int_equal(login(f, "192.0.2.1", "wrong"), 401);
	assert_true(json_get_bool(json_get(f->json, "success"), &success) && !success);
	assert_int_equal(request(f, "POST", "/api/auth/login", STR("{}"), NULL), 400);
	assert_int_equal(request(f, "POST", "/api/auth/login", STR("x"), NULL), 400);
	assert_int_equal(request(f, "GET", "/api/auth/login", STR(""), NULL), 401);
}

static void
test_throttle(void **state)
{
	struct fixture *f = *state;
	int64_t now = INT64_C(1800000000000000);

	clock_fake(now);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(login(f, "192.0.2.7", AUTH), 200);
		assert_int_equal(login(f, "192.0.2.7", "wrong"), 401);
	}
	/* Now even the right key has to wait, here and on every other route. */
	assert_int_equal(login(f, "192.0.2.7", AUTH), 429);
	assert_has(f, "Retry-After: 60\r\n");
	static const char *const blocked[] = {"REMOTE_ADDR=192.0.2.7", "HTTP_X_API_KEY=" AUTH,
					      NULL};
	assert_int_equal(request(f, "GET", "/api/groups", STR(""), blocked), 429);
	assert_code(f, "TOO_MANY_REQUESTS");
	assert_int_equal(request(f, "GET", "/api/integration/info?key=x", STR(""), blocked), 429);
	/* Other addresses do not, and no key at all is no try. */
	assert_int_equal(login(f, "192.0.2.8", AUTH), 200);
	for (int i = 0; i < 20; i++)
		assert_int_equal(request(f, "GET", "/api/groups", STR(""), NULL), 401);
	clock_fake(now + 59 * INT64_C(1000000));
	assert_int_equal(login(f, "192.0.2.7", AUTH), 429);
	assert_has(f, "Retry-After: 1\r\n");
	clock_fake(now + 60 * INT64_C(1000000));
	assert_int_equal(login(f, "192.0.2.7", AUTH), 200);
	/* One IPv6 network is one address. */
	for (int i = 0; i < 10; i++)
		assert_int_equal(login(f, i % 2 ? "2001:db8::1" : "2001:db8::2", "wrong"), 401);
	assert_int_equal(login(f, "2001:db8::3", AUTH), 429);
	assert_int_equal(login(f, "2001:db8:0:1::3", AUTH), 200);
}

/* --- the envelope --- */

static void
test_routes(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask(f, "GET", "/api/nothing", ""), 404);
	assert_code(f, "NOT_FOUND");
	assert_int_equal(ask(f, "GET", "/api/groups/1/stats/x", ""), 404);
	assert_int_equal(ask(f, "PATCH", "/api/groups", ""), 405);
	assert_code(f, "METHOD_NOT_ALLOWED");
	assert_has(f, "Allow: GET, HEAD, POST, OPTIONS\r\n");
	assert_int_equal(ask(f, "GET", "/api/groups/1", ""), 405);
	assert_has(f, "Allow: PUT, DELETE, OPTIONS\r\n");
	assert_int_equal(ask(f, "PUT", "/api/groups/x1", "{}"), 400);
	assert_code(f, "BAD_REQUEST");
	assert_int_equal(ask(f, "PUT", "/api/groups/99999999999999999999", "{}"), 400);
	assert_int_equal(ask(f, "PUT", "/api/groups/-1", "{}"), 404);
	assert_int_equal(ask(f, "GET", "/api/groups/", ""), 200);
	assert_int_equal(ask(f, "GET", "/api/../api/groups", ""), 400);
	assert_int_equal(ask(f, "GET", "/api/%zz", ""), 400);

	assert_int_equal(ask(f, "GET", "/api/channel-types", ""), 200);
	assert_int_equal(number(f->json, "code"), 0);
	assert_true(json_object_array_length(data(f)) >= 4);
	for (size_t i = 1; i < json_object_array_length(data(f)); i++)
		assert_true(strcmp(json_object_get_string(element(data(f), i - 1)),
				   json_object_get_string(element(data(f), i))) < 0);
	assert_int_equal(ask(f, "HEAD", "/api/channel-types", ""), 200);
	assert_null(f->json);
	assert_hasnt(f, "Content-Length: 0\r\n");
}

static void
test_headers(void **state)
{
	struct fixture *f = *state;
	static const char *const preflight[] = {"HTTP_ORIGIN=https://a.example",
						"HTTP_ACCESS_CONTROL_REQUEST_HEADERS=x-foo, x-bar",
						NULL};

	assert_int_equal(request(f, "OPTIONS", "/api/groups", STR(""), preflight), 204);
	assert_has(f, "Access-Control-Allow-Origin: https://a.example\r\n");
	assert_has(f, "Access-Control-Allow-Methods: GET,POST\r\n");
	assert_has(f, "Access-Control-Allow-Headers: x-foo, x-bar\r\n");
	assert_has(f, "Vary: Origin\r\n");
	assert_hasnt(f, "\nContent-Type");

	/* A wildcard never hands out credentials; an origin that is listed gets them. */
	f->sandbox->conf.allow_credentials = true;
	assert_int_equal(request(f, "GET", "/api/groups", STR(""), preflight), 401);
	assert_has(f, "Access-Control-Allow-Origin: https://a.example\r\n");
	assert_hasnt(f, "Allow-Credentials");
	free(f->sandbox->conf.allowed_origins);
	f->sandbox->conf.allowed_origins = xstrdup("https://b.example, https://a.example");
	assert_int_equal(request(f, "GET", "/api/groups", STR(""), preflight), 401);
	assert_has(f, "Access-Control-Allow-Credentials: true\r\n");
	static const char *const other[] = {"HTTP_ORIGIN=https://c.example", NULL};
	assert_int_equal(request(f, "OPTIONS", "/api/groups", STR(""), other), 204);
	assert_hasnt(f, "Access-Control-Allow-Origin");

	f->sandbox->conf.enable_cors = false;
	assert_int_equal(request(f, "OPTIONS", "/api/groups", STR(""), preflight), 401);
	assert_int_equal(ask(f, "OPTIONS", "/api/groups", ""), 405);
	assert_hasnt(f, "Access-Control");
	assert_has(f, "X-Content-Type-Options: nosniff\r\n");
	assert_has(f, "X-Frame-Options: SAMEORIGIN\r\n");
	assert_has(f, "Referrer-Policy: strict-origin-when-cross-origin\r\n");
	assert_has(f, "Permissions-Policy: camera=()");
	assert_has(f, "Cache-Control: no-store\r\n");
}

static void
test_bodies(void **state)
{
	struct fixture *f = *state;
	char *big = xmalloc(LIMIT_ADMIN_BODY + 1);

	assert_int_equal(ask(f, "POST", "/api/groups", ""), 400);
	assert_code(f, "INVALID_JSON");
	assert_int_equal(ask(f, "POST", "/api/groups", "[]"), 400);
	assert_code(f, "INVALID_JSON");
	assert_int_equal(ask(f, "POST", "/api/groups", "{\"name\":5}"), 400);
	assert_non_null(strstr(text(f->json, "message"), "name"));
	f->breaks_off = true;
	assert_int_equal(ask(f, "POST", "/api/groups", "{}"), 400);
	assert_code(f, "BAD_REQUEST");
	f->breaks_off = false;
	static const char *const vars[] = {"HTTP_X_API_KEY=" AUTH, NULL};
	memset(big, ' ', LIMIT_ADMIN_BODY + 1);
	assert_int_equal(
	    request(f, "POST", "/api/groups", (struct str){big, LIMIT_ADMIN_BODY + 1}, vars), 413);
	assert_code(f, "PAYLOAD_TOO_LARGE");
	assert_int_equal(
	    request(f, "POST", "/api/groups", (struct str){big, LIMIT_ADMIN_BODY + 1}, NULL), 401);
	free(big);
}

/* --- settings --- */

static void
test_settings(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *body;
		const char *names;
	} refused[] = {
	    {"{\"max_retries\":1,\"nonsense\":1}", "nonsense"},
	    {"{\"max_retries\":1,\"request_timeout\":0}", "request_timeout"},
	    {"{\"request_timeout\":1.5}", "request_timeout"},
	    {"{\"request_timeout\":\"5\"}", "request_timeout"},
	    {"{\"request_timeout\":null}", "request_timeout"},
	    {"{\"enable_request_body_logging\":1}", "enable_request_body_logging"},
	    {"{\"app_url\":\"\"}", "app_url"},
	    {"{\"app_url\":\"nonsense\"}", "app_url"},
	    {"{\"proxy_keys\":\" , \"}", "proxy_keys"},
	    {"{\"proxy_keys\":\"a b\"}", "proxy_keys"},
	    {"{\"failover_status_codes\":\"500-400\"}", "failover_status_codes"},
	};

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		assert_int_equal(ask(f, "PUT", "/api/settings", refused[i].body), 400);
		assert_code(f, "VALIDATION_FAILED");
		if (strstr(text(f->json, "message"), refused[i].names) == NULL)
			fail_msg("%s: %s", refused[i].body, text(f->json, "message"));
	}
	/* A body that is refused half-way changed nothing. */
	assert_int_equal(sandbox_int(f->admin.db, "SELECT setting_value FROM system_settings "
						  "WHERE setting_key = 'max_retries'"),
			 3);
	assert_int_equal(ask(f, "PUT", "/api/settings", "{}"), 200);
	assert_int_equal(ask(f, "PUT", "/api/settings", "[]"), 400);
	assert_code(f, "INVALID_JSON");
	assert_int_equal(ask(f, "PUT", "/api/settings",
			     "{\"max_retries\":7.0,\"blacklist_threshold\":1000000,"
			     "\"enable_request_body_logging\":true,\"stream_idle_timeout\":9,"
			     "\"proxy_keys\":\" a, b,,a\"}"),
			 200);
	assert_false(json_has(f->json, "data"));
	assert_int_equal(
	    sandbox_int(f->admin.db,
			"SELECT COUNT(*) FROM system_settings WHERE setting_value = "
			"'1000000' OR (setting_key = 'proxy_keys' AND setting_value = 'a,b')"),
	    2);
	assert_published(f);
	assert_int_equal(ask(f, "GET", "/api/settings", ""), 200);
	assert_int_equal(json_object_array_length(data(f)), 3);
	assert_string_equal(text(element(data(f), 0), "category_id"), "basic");
	struct json_object *keys = json_get(element(data(f), 2), "settings");
	assert_string_equal(text(element(keys, 0), "key"), "max_retries");
	assert_int_equal(number(element(keys, 0), "value"), 7);
	assert_string_equal(text(element(keys, 0), "default_value"), "3");
	assert_string_equal(text(element(keys, 0), "type"), "int");
}

/* --- health, integration --- */

/* A responder that was started 3723 s ago. */
static struct gate *
hold_gate(struct fixture *f)
{
	struct gate *g = NULL;

	clock_fake(clock_wall_us() - INT64_C(3723000000));
	assert_int_equal(gate_open(&f->sandbox->conf, &g, NULL), ERR_OK);
	clock_fake(0);
	return g;
}

static void
test_health(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(request(f, "GET", "/health", STR(""), NULL), 503);
	assert_string_equal(text(f->json, "status"), "unhealthy");
	assert_has(f, "\"down\":[\"configuration\",\"workers\"]");
	assert_int_equal(ask(f, "GET", "/api/groups", ""), 200);
	make_group(f, "a", "");
	struct gate *g = hold_gate(f);
	assert_int_equal(request(f, "GET", "/health", STR(""), NULL), 200);
	assert_string_equal(text(f->json, "status"), "healthy");
	assert_memory_equal(text(f->json, "uptime"), "1h2m3.", 6);
	assert_false(json_has(f->json, "code"));
	/* The worker dies: its lock goes with it. */
	gate_close(g);
	assert_int_equal(request(f, "GET", "/health", STR(""), NULL), 503);
	assert_has(f, "\"down\":[\"workers\"]");
}

static int
integration(struct fixture *f, const char *key)
{
	char uri[128];

	(void)snprintf(uri, sizeof(uri), "/api/integration/info?key=%s", key);
	return request(f, "GET", uri, STR(""), NULL);
}

static void
test_integration(void **state)
{
	struct fixture *f = *state;

	make_group(f, "a", ",\"proxy_keys\":\"only-a\"");
	make_group(f, "b", ",\"validation_endpoint\":\"/x/chat\"");
	assert_int_equal(ask(f, "PUT", "/api/settings", "{\"proxy_keys\":\"all\"}"), 200);
	assert_int_equal(integration(f, "only-a"), 200);
	assert_int_equal(json_object_array_length(data(f)), 1);
	assert_string_equal(text(element(data(f), 0), "path"), "/proxy/a");
	assert_string_equal(text(element(data(f), 0), "channel_type"), "openai");
	assert_int_equal(integration(f, "all"), 200);
	assert_int_equal(json_object_array_length(data(f)), 2);
	assert_string_equal(text(element(data(f), 1), "channel_type"), "custom");
	assert_string_equal(text(element(data(f), 1), "path"), "/proxy/b/x/chat");
	assert_int_equal(integration(f, AUTH), 200);
	assert_int_equal(json_object_array_length(data(f)), 2);
	f->sandbox->conf.auth_key_opens_proxy = false;
	assert_int_equal(integration(f, AUTH), 401);
	assert_int_equal(integration(f, "unknown"), 401);
	assert_int_equal(integration(f, ""), 400);
}

int
main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, kit_setup, kit_teardown)
	const struct CMUnitTest tests[] = {
	    TEST(test_key_places), TEST(test_login),   TEST(test_throttle),
	    TEST(test_routes),     TEST(test_headers), TEST(test_bodies),
	    TEST(test_settings),   TEST(test_health),  TEST(test_integration),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
