/* SPDX-License-Identifier: MIT
 *
 * lib/conf: defaults, where values come from, what is refused and in which words,
 * the generated AUTH_KEY, and .env.example.
 *
 * Each test runs in a folder of its own with a clean environment.
 */
#include "lib/conf.h"

#include "lib/limits.h"
#include "lib/str.h"

#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

static char home[PATH_MAX]; /* the folder that the tests were started in */
static char dir[64];

static void
clean_environment(void)
{
	const char *name;
	const char *def;

	for (size_t i = 0; conf_variable(i, &name, &def); i++)
		unsetenv(name);
	unsetenv("GPT_LOAD_CONFIG");
	unsetenv("REQUEST_METHOD");
	unsetenv("GATEWAY_INTERFACE");
	unsetenv("http_proxy");
	unsetenv("https_proxy");
	unsetenv("no_proxy");
}

static int
set_up(void **state)
{
	(void)state;
	clean_environment();
	(void)snprintf(dir, sizeof(dir), "/tmp/test_conf.XXXXXX");
	return mkdtemp(dir) != NULL && chdir(dir) == 0 ? 0 : -1;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
tear_down(void **state)
{
	(void)state;
	if (chdir(home) != 0)
		return -1;
	return nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void
write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
	assert_int_equal(fclose(f), 0);
}

static struct conf *
load(void)
{
	struct errinfo info = {""};
	struct conf *c = NULL;
	enum err e = conf_load(&c, &info);

	if (e != ERR_OK)
		print_error("%s\n", info.text);
	assert_int_equal(e, ERR_OK);
	return c;
}

static void
assert_refused(const char *expected)
{
	struct errinfo info = {""};
	struct conf *c = NULL;

	assert_int_equal(conf_load(&c, &info), ERR_CONF);
	assert_null(c);
	if (strstr(info.text, expected) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", expected, info.text);
}

static void
assert_below(const char *path, const char *relative)
{
	char expected[PATH_MAX];

	(void)snprintf(expected, sizeof(expected), "%s/%s", dir, relative);
	assert_string_equal(path, expected);
}

static void
defaults(void **state)
{
	struct conf *c = load();

	(void)state;
	assert_string_equal(c->host, "0.0.0.0");
	assert_int_equal(c->port, 3001);
	assert_null(c->auth_key);
	assert_true(c->auth_key_opens_proxy);
	assert_below(c->data_dir, "data");
	assert_below(c->database_dsn, "data/gpt-load.db");
	assert_null(c->redis_dsn);
	assert_null(c->encryption_key);
	assert_string_equal(c->web_server, "lighttpd");
	assert_in_range(c->workers, 1, LIMIT_WORKERS);
	assert_int_equal(c->max_concurrent_requests, 100);
	assert_int_equal(c->max_request_body, 128 << 20);
	assert_int_equal(c->server_read_timeout_s, 60);
	assert_int_equal(c->server_write_timeout_s, 600);
	assert_int_equal(c->server_idle_timeout_s, 120);
	assert_int_equal(c->server_graceful_shutdown_timeout_s, 10);
	assert_false(c->is_slave);
	assert_true(c->enable_cors);
	assert_string_equal(c->allowed_origins, "*");
	assert_string_equal(c->allowed_methods, "GET,POST,PUT,DELETE,OPTIONS");
	assert_string_equal(c->allowed_headers, "*");
	assert_false(c->allow_credentials);
	assert_int_equal(c->log_level, LOG_INFO);
	assert_false(c->log_json);
	assert_null(c->log_file);
	assert_string_equal(c->tz, "Asia/Shanghai");
	assert_string_equal(getenv("TZ"), "Asia/Shanghai");
	assert_null(c->trusted_proxies);
	assert_false(c->mask_keys);
	assert_false(c->metrics_public);
	assert_null(c->upstream_ca_file);
	assert_null(c->http_proxy);
	assert_null(c->https_proxy);
	assert_null(c->no_proxy);
	assert_null(c->file);
	assert_null(c->unknown);
	conf_free(c);
}

static void
environment_wins_over_file(void **state)
{
	struct conf *c;

	(void)state;
	write_file(".env", "PORT=4000\nHOST=127.0.0.1\nREDIS_DSN=\n");
	setenv("PORT", "5000", 1);
	c = load();
	assert_int_equal(c->port, 5000);
	assert_string_equal(c->host, "127.0.0.1");
	assert_null(c->redis_dsn);
	assert_below(c->file, ".env");
	conf_free(c);
	/* Set and empty: the default, not the file's. */
	setenv("PORT", "", 1);
	c = load();
	assert_int_equal(c->port, 3001);
	conf_free(c);
}

static void
relative_paths_start_from_the_file(void **state)
{
	struct conf *c;

	(void)state;
	assert_int_equal(mkdir("etc", 0700), 0);
	write_file("etc/gw.env", "DATA_DIR=./state/\nLOG_ENABLE_FILE=yes\n"
				 "LOG_FILE_PATH=../log/x.log\nDATABASE_DSN=my.db\n"
				 "UPSTREAM_CA_FILE=gw.env\n");
	setenv("GPT_LOAD_CONFIG", "etc/gw.env", 1);
	c = load();
	assert_below(c->file, "etc/gw.env");
	assert_below(c->data_dir, "etc/state");
	assert_below(c->database_dsn, "etc/my.db");
	assert_below(c->log_file, "etc/../log/x.log");
	assert_below(c->upstream_ca_file, "etc/gw.env");
	conf_free(c);
	/* From the environment: from where the program was started. */
	setenv("DATA_DIR", "other", 1);
	setenv("DATABASE_DSN", "$DATA_DIR/x.db", 1);
	c = load();
	assert_below(c->data_dir, "other");
	assert_below(c->database_dsn, "other/x.db");
	conf_free(c);
	setenv("DATA_DIR", "/abs/", 1);
	unsetenv("DATABASE_DSN");
	write_file("etc/gw.env", "");
	c = load();
	assert_string_equal(c->data_dir, "/abs");
	assert_string_equal(c->database_dsn, "/abs/gpt-load.db");
	conf_free(c);
}

static void
values_are_taken(void **state)
{
	struct conf *c;

	(void)state;
	write_file(".env",
		   "HOST=::1\nAUTH_KEY=' sk # 1'\nENCRYPTION_KEY=\"a \\\"b\\\" $HOME\"\n"
		   "WEB_SERVER=Nginx\nWORKERS=3\nMAX_REQUEST_BODY_MB=2048\nIS_SLAVE=true\n"
		   "REDIS_DSN=redis://u:pa:s@h/0\nENABLE_CORS=off\nALLOWED_ORIGINS=\n"
		   "LOG_LEVEL=WARNING\nLOG_FORMAT=JSON\nTZ=UTC\nTRUSTED_PROXIES=10.0.0.0/8, ::1\n"
		   "AUTH_KEY_OPENS_PROXY=0\nMASK_KEYS=1\nMETRICS_PUBLIC=on\nPOOL_SIZE_MB=5\n"
		   "SPOOL_SIZE_MB=6\nDATABASE_DSN=u:p@tcp(h:3306)/db?parseTime=true\n"
		   "HTTP_PROXY=http://p:1\nNO_PROXY=localhost\nWORKER=1\nPROT=2\n");
	setenv("https_proxy", "socks5://q:2", 1);
	c = load();
	assert_string_equal(c->host, "::1");
	assert_string_equal(c->auth_key, "sk # 1");
	assert_string_equal(c->encryption_key, "a \"b\" $HOME");
	assert_string_equal(c->web_server, "nginx");
	assert_int_equal(c->workers, 3);
	assert_int_equal(c->max_request_body, (int64_t)2048 << 20);
	assert_true(c->is_slave);
	assert_false(c->enable_cors);
	assert_string_equal(c->allowed_origins, "");
	assert_int_equal(c->log_level, LOG_WARN);
	assert_true(c->log_json);
	assert_string_equal(c->tz, "UTC");
	assert_false(c->auth_key_opens_proxy);
	assert_true(c->mask_keys);
	assert_true(c->metrics_public);
	assert_int_equal(c->pool_size, 5 << 20);
	assert_int_equal(c->spool_size, 6 << 20);
	assert_string_equal(c->database_dsn, "u:p@tcp(h:3306)/db?parseTime=true");
	assert_string_equal(c->http_proxy, "http://p:1");
	assert_string_equal(c->https_proxy, "socks5://q:2");
	assert_string_equal(c->no_proxy, "localhost");
	assert_string_equal(c->unknown, "WORKER, PROT");
	conf_free(c);
}

/* --- what is refused --- */

static const struct {
	const char *name;
	const char *value;
	const char *message;
} refusals[] = {
    {"PORT", "0", "PORT: \"0\" (set in the environment) is not a number from 1 to 65535"},
    {"PORT", "65536", "PORT: \"65536\""},
    {"PORT", "80x", "PORT: \"80x\""},
    {"HOST", "a b", "HOST: \"a b\" is no address"},
    {"HOST", "\"", "HOST: "},
    {"WORKERS", "257", "WORKERS: \"257\" (set in the environment) is not a number from 1 to 256"},
    {"MAX_CONCURRENT_REQUESTS", "0", "MAX_CONCURRENT_REQUESTS: "},
    {"MAX_REQUEST_BODY_MB", "1.5", "MAX_REQUEST_BODY_MB: "},
    {"SERVER_READ_TIMEOUT", "-1", "SERVER_READ_TIMEOUT: "},
    {"SERVER_WRITE_TIMEOUT", "0", "SERVER_WRITE_TIMEOUT: "},
    {"SERVER_IDLE_TIMEOUT", "1m", "SERVER_IDLE_TIMEOUT: "},
    {"SERVER_GRACEFUL_SHUTDOWN_TIMEOUT", "0", "SERVER_GRACEFUL_SHUTDOWN_TIMEOUT: "},
    {"IS_SLAVE", "maybe", "IS_SLAVE: \"maybe\" (set in the environment) is neither true nor false"},
    {"IS_SLAVE", "true", "IS_SLAVE: true needs REDIS_DSN"},
    {"ENABLE_CORS", "2", "ENABLE_CORS: "},
    {"ALLOWED_ORIGINS", "", "ALLOWED_ORIGINS: it is empty"},
    {"ALLOW_CREDENTIALS", "?", "ALLOW_CREDENTIALS: "},
    {"LOG_LEVEL", "loud", "LOG_LEVEL: \"loud\" (set in the environment) is none of error"},
    {"LOG_FORMAT", "xml", "LOG_FORMAT: "},
    {"LOG_ENABLE_FILE", "x", "LOG_ENABLE_FILE: "},
    {"TZ", "Mars/Olympus", "TZ: \"Mars/Olympus\" is not a time zone"},
    {"TZ", "../../etc/passwd", "TZ: "},
    {"TZ", "/etc/passwd", "TZ: "},
    {"TRUSTED_PROXIES", "10.0.0.1, proxy", "TRUSTED_PROXIES: \"proxy\" is neither"},
    {"TRUSTED_PROXIES", "10.0.0.0/33", "TRUSTED_PROXIES: "},
    {"AUTH_KEY_OPENS_PROXY", "x", "AUTH_KEY_OPENS_PROXY: "},
    {"MASK_KEYS", "x", "MASK_KEYS: "},
    {"METRICS_PUBLIC", "x", "METRICS_PUBLIC: "},
    {"POOL_SIZE_MB", "0", "POOL_SIZE_MB: "},
    {"SPOOL_SIZE_MB", "many", "SPOOL_SIZE_MB: "},
    {"WEB_SERVER", "iis", "WEB_SERVER: \"iis\" (set in the environment) is none of lighttpd"},
    {"UPSTREAM_CA_FILE", "/nonexistent", "UPSTREAM_CA_FILE: /nonexistent cannot be read: No such"},
    {"DATABASE_DSN", "mysql://u:canary@h/db", "DATABASE_DSN: this form is not known"},
    {"DATABASE_DSN", ":memory:", "DATABASE_DSN: "},
    {"DATABASE_DSN", "postgres://u:p@h/db", "AUTH_KEY: it must be set"},
    {"REDIS_DSN", "redis://h/0", "AUTH_KEY: it must be set"},
    {"HTTP_PROXY", "ftp://u:p@h", "HTTP_PROXY: the scheme of a proxy is http, https"},
    {"HTTPS_PROXY", "h://", "HTTPS_PROXY: the scheme"},
    {"AUTH_KEY", "canary\nx", "AUTH_KEY: the value (set in the environment) is too long or holds"},
    {"GPT_LOAD_CONFIG", "/nonexistent", "GPT_LOAD_CONFIG: /nonexistent: there is no such file"},
    {"GPT_LOAD_CONFIG", "/tmp", "GPT_LOAD_CONFIG: /tmp is a folder"},
};

static void
unusable_values_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		clean_environment();
		setenv(refusals[i].name, refusals[i].value, 1);
		assert_refused(refusals[i].message);
	}
}

static void
refusals_name_the_line_and_no_secret(void **state)
{
	struct errinfo info = {""};
	struct conf *c = NULL;
	char expected[PATH_MAX];

	(void)state;
	write_file(".env", "# one\n\nPORT=x\n");
	(void)snprintf(expected, sizeof(expected), "PORT: \"x\" (set in %s/.env:3)", dir);
	assert_refused(expected);
	write_file(".env", "\nAUTH_KEY canary\n");
	assert_refused("/.env:2: this is no NAME=value");
	write_file(".env", "DATABASE_DSN=weird://u:canary@h/db\n");
	assert_int_equal(conf_load(&c, &info), ERR_CONF);
	assert_null(strstr(info.text, "canary"));
}

/* --- proxies and CGI --- */

static void
clients_cannot_set_the_proxy(void **state)
{
	struct conf *c;

	(void)state;
	setenv("HTTP_PROXY", "http://evil:1", 1);
	setenv("REQUEST_METHOD", "GET", 1);
	c = load();
	assert_null(c->http_proxy);
	conf_free(c);
	setenv("http_proxy", "http://good:1", 1);
	c = load();
	assert_string_equal(c->http_proxy, "http://good:1");
	conf_free(c);
	unsetenv("REQUEST_METHOD");
	c = load();
	assert_string_equal(c->http_proxy, "http://evil:1");
	conf_free(c);
}

static void
small_file_limit_makes_small_pools(void **state)
{
	struct rlimit old;
	struct rlimit small;
	struct conf *c;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small = old;
	small.rlim_cur = 100 << 20;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	setenv("SPOOL_SIZE_MB", "99", 1);
	c = load();
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(c->pool_size, 64 << 20);
	assert_int_equal(c->spool_size, 99 << 20);
	conf_free(c);
}

/* --- preparing --- */

static mode_t
mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_mode & 0777;
}

static void
folders_and_key_are_made_once(void **state)
{
	struct conf *c;
	struct errinfo info = {""};
	bool generated = false;
	char key[128];

	(void)state;
	setenv("DATA_DIR", "deep/er", 1);
	setenv("DATABASE_DSN", "db/x.db", 1);
	c = load();
	assert_int_equal(conf_prepare(c, &generated, &info), ERR_OK);
	assert_true(generated);
	assert_int_equal(strlen(c->auth_key), 51);
	assert_memory_equal(c->auth_key, "sk-", 3);
	assert_null(conf_weakness(c->auth_key));
	(void)snprintf(key, sizeof(key), "%s", c->auth_key);
	assert_int_equal(mode_of("deep/er"), 0700);
	assert_int_equal(mode_of("deep/er/run"), 0700);
	assert_int_equal(mode_of("deep/er/tmp"), 0700);
	assert_int_equal(mode_of("deep/er/spool"), 0700);
	assert_int_equal(mode_of("deep/er/auth_key"), 0600);
	assert_int_equal(mode_of("db"), 0700);
	conf_free(c);
	c = load();
	assert_string_equal(c->auth_key, key);
	assert_int_equal(conf_prepare(c, &generated, &info), ERR_OK);
	assert_false(generated);
	conf_free(c);
	/* One that is set is not written. */
	setenv("AUTH_KEY", "mine", 1);
	c = load();
	assert_string_equal(c->auth_key, "mine");
	conf_free(c);
}

static void
two_starting_together_agree(void **state)
{
	struct conf *first = load();
	struct conf *second = load();
	bool generated = false;

	(void)state;
	assert_int_equal(conf_prepare(first, &generated, NULL), ERR_OK);
	assert_true(generated);
	assert_int_equal(conf_prepare(second, &generated, NULL), ERR_OK);
	assert_false(generated);
	assert_string_equal(first->auth_key, second->auth_key);
	conf_free(first);
	conf_free(second);
}

static void
unusable_key_file_is_refused(void **state)
{
	(void)state;
	assert_int_equal(mkdir("data", 0700), 0);
	write_file("data/auth_key", "\n");
	assert_refused("AUTH_KEY: ");
	write_file("data/auth_key", "two words\n");
	assert_refused("/data/auth_key holds no key");
}

static void
unusable_folder_is_named(void **state)
{
	struct errinfo info = {""};
	bool generated;
	struct conf *c;

	(void)state;
	write_file("file", "");
	setenv("DATA_DIR", "file/data", 1);
	c = load();
	assert_int_equal(conf_prepare(c, &generated, &info), ERR_IO);
	assert_non_null(strstr(info.text, "DATA_DIR: the folder "));
	conf_free(c);
	setenv("DATA_DIR", "file", 1);
	c = load();
	assert_int_equal(conf_prepare(c, &generated, &info), ERR_IO);
	assert_non_null(strstr(info.text, "/file is no folder"));
	conf_free(c);
	setenv("DATA_DIR", "data", 1);
	setenv("LOG_ENABLE_FILE", "true", 1);
	setenv("LOG_FILE_PATH", "file/app.log", 1);
	c = load();
	assert_int_equal(conf_prepare(c, &generated, &info), ERR_IO);
	assert_non_null(strstr(info.text, "LOG_FILE_PATH: "));
	conf_free(c);
}

static void
weak_secrets(void **state)
{
	static const char *const weak[] = {"",
					   "sk-123456",
					   "fifteen-letters",
					   "my-PassWord-is-very-long",
					   "abcdefgh-123456-xyz",
					   "an-admin-0123-4567-89",
					   "aaaaaaaaaaaaaaaaaaaaaaaa"};
	static const char *const strong[] = {"sk-7d1f0e6b5c4a392817",
					     "correct horse battery staple"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(weak); i++)
		assert_non_null(conf_weakness(weak[i]));
	for (size_t i = 0; i < ARRAY_LEN(strong); i++)
		assert_null(conf_weakness(strong[i]));
}

/* --- looking --- */

static size_t
index_of(const char *wanted)
{
	const char *name;
	const char *def;
	size_t i = 0;

	while (conf_variable(i, &name, &def) && strcmp(name, wanted) != 0)
		i++;
	return i;
}

static void
assert_value(const struct conf *c, const char *name, const char *expected)
{
	char *value = conf_value(c, index_of(name));

	assert_string_equal(value, expected);
	free(value);
}

static void
values_are_shown_without_secrets(void **state)
{
	struct conf *c;

	(void)state;
	setenv("AUTH_KEY", "canary", 1);
	setenv("DATABASE_DSN", "u:ca:n@ry@tcp(h:3306)/db", 1);
	setenv("HTTPS_PROXY", "socks5h://u:canary@h:1", 1);
	setenv("MAX_REQUEST_BODY_MB", "7", 1);
	c = load();
	assert_value(c, "AUTH_KEY", "(set)");
	assert_value(c, "ENCRYPTION_KEY", "(not set)");
	assert_value(c, "DATABASE_DSN", "u:***@tcp(h:3306)/db");
	assert_value(c, "HTTPS_PROXY", "socks5h://u:***@h:1");
	assert_value(c, "REDIS_DSN", "");
	assert_value(c, "MAX_REQUEST_BODY_MB", "7");
	assert_value(c, "PORT", "3001");
	assert_value(c, "LOG_LEVEL", "info");
	assert_value(c, "LOG_FORMAT", "text");
	assert_value(c, "LOG_ENABLE_FILE", "false");
	assert_value(c, "ALLOWED_ORIGINS", "*");
	conf_free(c);
	setenv("DATABASE_DSN", "u:a://b@c:d@unix(/run/m.sock)/db?x=@", 1);
	c = load();
	assert_value(c, "DATABASE_DSN", "u:***@unix(/run/m.sock)/db?x=@");
	conf_free(c);
}

/* .env.example names every variable once, with its default. */
static void
example_file_is_complete(void **state)
{
	const char *source = getenv("srcdir");
	char *path;
	char line[512];
	const char *name;
	const char *def;
	size_t found = 0;
	size_t i;
	FILE *f;

	(void)state;
	/* srcdir is relative to where `make check` runs, if it is relative. */
	assert_int_equal(chdir(home), 0);
	path = xasprintf("%s/.env.example", source != NULL ? source : ".");
	f = fopen(path, "re");
	free(path);
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) != NULL) {
		char *equals = strchr(line, '=');

		line[strcspn(line, "\n")] = '\0';
		if (line[0] != '#' || line[1] < 'A' || line[1] > 'Z' || equals == NULL)
			continue;
		*equals = '\0';
		i = index_of(line + 1);
		if (!conf_variable(i, &name, &def))
			fail_msg(".env.example has %s, which is no variable", line + 1);
		else
			assert_string_equal(equals + 1, def);
		found++;
	}
	(void)fclose(f);
	for (i = 0; conf_variable(i, &name, &def); i++)
		continue;
	assert_int_equal(found, i);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(defaults),
	    TEST(environment_wins_over_file),
	    TEST(relative_paths_start_from_the_file),
	    TEST(values_are_taken),
	    TEST(unusable_values_are_refused),
	    TEST(refusals_name_the_line_and_no_secret),
	    TEST(clients_cannot_set_the_proxy),
	    TEST(small_file_limit_makes_small_pools),
	    TEST(folders_and_key_are_made_once),
	    TEST(two_starting_together_agree),
	    TEST(unusable_key_file_is_refused),
	    TEST(unusable_folder_is_named),
	    TEST(weak_secrets),
	    TEST(values_are_shown_without_secrets),
	    TEST(example_file_is_complete),
	};

	if (getcwd(home, sizeof(home)) == NULL)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
