/* SPDX-License-Identifier: MIT
 *
 * Requests to the management API without a web server; see admin_kit.h.
 */
#include "tests/unit/admin_kit.h"

#include "lib/clock.h"
#include "lib/json.h"

static const struct route *const tables[] = {
    routes_auth,      routes_channels, routes_groups,  routes_health,   routes_integration,
    routes_keys,      routes_key,      routes_version, routes_keytest,  routes_tasks,
    routes_dashboard, routes_logs,     routes_members, routes_settings, NULL};

int
kit_setup(void **state)
{
	struct fixture *f = xcalloc(1, sizeof(*f));
	struct errinfo info = {""};
	bool generated;

	f->sandbox = sandbox_new();
	struct conf *conf = &f->sandbox->conf;
	conf->auth_key = xstrdup(AUTH);
	conf->auth_key_opens_proxy = true;
	conf->enable_cors = true;
	conf->allowed_origins = xstrdup("*");
	conf->allowed_methods = xstrdup("GET,POST");
	conf->allowed_headers = xstrdup("*");
	if (conf_prepare(conf, &generated, &info) != ERR_OK)
		fail_msg("%s", info.text);
	buf_init(&f->output, 64 << 20);
	admin_init(&f->admin, conf, tables);
	*state = f;
	return 0;
}

int
kit_teardown(void **state)
{
	struct fixture *f = *state;
	struct conf *conf = &f->sandbox->conf;

	clock_fake(0);
	admin_done(&f->admin);
	json_done(f->json);
	buf_done(&f->output);
	free(conf->auth_key);
	free(conf->allowed_origins);
	free(conf->allowed_methods);
	free(conf->allowed_headers);
	sandbox_free(f->sandbox);
	free(f);
	return 0;
}

static ssize_t
read_input(void *arg, char *p, size_t n)
{
	struct fixture *f = arg;

	n = MIN(n, f->input.n);
	if (n == 0)
		return f->breaks_off ? -1 : 0;
	memcpy(p, f->input.p, n);
	f->input = str_from(f->input, n);
	return (ssize_t)n;
}

static bool
write_output(void *arg, const char *p, size_t n)
{
	struct fixture *f = arg;

	buf_add(&f->output, p, n);
	return true;
}

/* One request; `vars` are further variables, NULL at the end. The status. */
int
request(struct fixture *f, const char *method, const char *uri, struct str body,
	const char *const *vars)
{
	char *envp[16] = {xasprintf("REQUEST_METHOD=%s", method), xasprintf("REQUEST_URI=%s", uri),
			  xasprintf("CONTENT_LENGTH=%zu", body.n)};
	const struct admin_io io = {read_input, write_output, f};
	int64_t status;
	size_t n = 3;

	for (; vars != NULL && *vars != NULL; vars++)
		envp[n++] = xstrdup(*vars);
	f->input = body;
	buf_clear(&f->output);
	json_done(f->json);
	f->json = NULL;
	(void)admin_serve(&f->admin, envp, &io);
	for (size_t i = 0; i < n; i++)
		free(envp[i]);

	/* Whatever was asked, the input is read to its end and the answer is whole. */
	assert_int_equal(f->input.n, 0);
	assert_int_equal(buf_err(&f->output), ERR_OK);
	assert_memory_equal(f->output.p, "Status: ", 8);
	assert_true(str_to_i64((struct str){f->output.p + 8, 3}, 100, 599, &status));
	const char *end = strstr(f->output.p, "\r\n\r\n");
	assert_non_null(end);
	struct str answer = str_of(end + 4);
	/* What says that it is another thing is the test's to look at. */
	bool json = strstr(f->output.p, "Content-Disposition") == NULL;
	if (json && answer.n > 0 && json_parse(answer, &f->json, NULL) != ERR_OK)
		fail_msg("%s %s: not JSON: " STR_FMT, method, uri, STR_ARG(answer));
	return (int)status;
}

/* With the management key. */
int
ask(struct fixture *f, const char *method, const char *uri, const char *body)
{
	static const char *const vars[] = {"HTTP_AUTHORIZATION=Bearer " AUTH,
					   "HTTP_ACCEPT_LANGUAGE=en-US,zh;q=0.5",
					   "REMOTE_ADDR=192.0.2.1", NULL};

	return request(f, method, uri, str_of(body), vars);
}

struct json_object *
data(struct fixture *f)
{
	return json_get(f->json, "data");
}

int64_t
number(struct json_object *object, const char *name)
{
	int64_t n = -1;

	if (!json_get_int(json_get(object, name), &n))
		fail_msg("no number %s in %s", name, json_object_to_json_string(object));
	return n;
}

const char *
text(struct json_object *object, const char *name)
{
	const char *s = json_object_get_string(json_get(object, name));

	return s != NULL ? s : "";
}

struct json_object *
element(struct json_object *array, size_t i)
{
	return json_object_array_get_idx(array, i);
}

int64_t
make_group(struct fixture *f, const char *name, const char *more)
{
	char *body = xasprintf("{\"name\":\"%s\",\"channel_type\":\"openai\",\"test_model\":\"m\","
			       "\"upstreams\":[{\"url\":\"http://a\",\"weight\":1}]%s}",
			       name, more);
	int status = ask(f, "POST", "/api/groups", body);

	free(body);
	assert_int_equal(status, 200);
	return number(data(f), "id");
}

/* The pool holds the DB's version. */
void
assert_published(struct fixture *f)
{
	uint64_t version;
	int64_t wanted;

	assert_int_equal(pool_version(f->admin.pool, &version), ERR_OK);
	assert_int_equal(meta_version(f->admin.db, &wanted), ERR_OK);
	assert_int_equal(version, wanted);
	assert_int_equal(sandbox_int(f->admin.db, "SELECT COUNT(*) FROM gptl_outbox"), 0);
}
