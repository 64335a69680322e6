/* SPDX-License-Identifier: MIT
 *
 * The configuration: one table of variables, where each value comes from, and the
 * rules between them. Runs once, at the start of every program; making what is
 * missing on disk is conf_prepare.c's.
 *
 * A message names the variable and where its value was set. It never holds the
 * value of a variable that can carry a secret.
 */
#include "lib/conf.h"

#include "lib/conf_rules.h"
#include "lib/envfile.h"
#include "lib/limits.h"
#include "lib/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#ifndef SYSCONFDIR
#define SYSCONFDIR "/usr/local/etc"
#endif
#ifndef LOCALSTATEDIR
#define LOCALSTATEDIR "/usr/local/var"
#endif
#define INSTALLED_FOLDER SYSCONFDIR "/gpt-load"
#define INSTALLED_FILE   INSTALLED_FOLDER "/gpt-load.env"

#define MIB (1024 * 1024)
/* What POOL_SIZE_MB and SPOOL_SIZE_MB are where their default does not fit. */
#define SMALL_MB 64

enum kind {
	KIND_TEXT,   /* empty: the default */
	KIND_LIST,   /* empty: an empty list */
	KIND_SECRET, /* never shown */
	KIND_URL,    /* may hold a password, which is not shown */
	KIND_PATH,
	KIND_SERVER,
	KIND_LAST_TEXT = KIND_SERVER, /* up to here the field is a char * */
	KIND_INT,
	KIND_MEGABYTES,
	KIND_BOOL,
	KIND_LEVEL,
	KIND_FORMAT,
};

/* A conf and what only this file needs of it. */
struct loaded {
	struct conf c; /* first: a struct conf * is one of these */
	bool log_enable_file;
	char *log_file_path;
};

/*	name, default, kind, min, max, field of struct loaded
 * An empty default means none, or one that finish() works out. */
#define CONF_TABLE(X)                                                                              \
	X("HOST", "0.0.0.0", TEXT, 0, 0, c.host)                                                   \
	X("PORT", "3001", INT, 1, 65535, c.port)                                                   \
	X("AUTH_KEY", "", SECRET, 0, 0, c.auth_key)                                                \
	X("DATA_DIR", "./data", PATH, 0, 0, c.data_dir)                                            \
	X("DATABASE_DSN", "$DATA_DIR/gpt-load.db", URL, 0, 0, c.database_dsn)                      \
	X("REDIS_DSN", "", URL, 0, 0, c.redis_dsn)                                                 \
	X("ENCRYPTION_KEY", "", SECRET, 0, 0, c.encryption_key)                                    \
	X("WEB_SERVER", "lighttpd", SERVER, 0, 0, c.web_server)                                    \
	X("WORKERS", "", INT, 1, LIMIT_WORKERS, c.workers)                                         \
	X("MAX_CONCURRENT_REQUESTS", "100", INT, 1, 1000000, c.max_concurrent_requests)            \
	X("MAX_REQUEST_BODY_MB", "128", MEGABYTES, 1, 2048, c.max_request_body)                    \
	X("SERVER_READ_TIMEOUT", "60", INT, 1, 65000, c.server_read_timeout_s)                     \
	X("SERVER_WRITE_TIMEOUT", "600", INT, 1, 65000, c.server_write_timeout_s)                  \
	X("SERVER_IDLE_TIMEOUT", "120", INT, 1, 65000, c.server_idle_timeout_s)                    \
	X("SERVER_GRACEFUL_SHUTDOWN_TIMEOUT", "10", INT, 1, 65000,                                 \
	  c.server_graceful_shutdown_timeout_s)                                                    \
	X("IS_SLAVE", "false", BOOL, 0, 0, c.is_slave)                                             \
	X("ENABLE_CORS", "true", BOOL, 0, 0, c.enable_cors)                                        \
	X("ALLOWED_ORIGINS", "*", LIST, 0, 0, c.allowed_origins)                                   \
	X("ALLOWED_METHODS", "GET,POST,PUT,DELETE,OPTIONS", TEXT, 0, 0, c.allowed_methods)         \
	X("ALLOWED_HEADERS", "*", TEXT, 0, 0, c.allowed_headers)                                   \
	X("ALLOW_CREDENTIALS", "false", BOOL, 0, 0, c.allow_credentials)                           \
	X("LOG_LEVEL", "info", LEVEL, 0, 0, c.log_level)                                           \
	X("LOG_FORMAT", "text", FORMAT, 0, 0, c.log_json)                                          \
	X("LOG_ENABLE_FILE", "false", BOOL, 0, 0, log_enable_file)                                 \
	X("LOG_FILE_PATH", "$DATA_DIR/logs/app.log", PATH, 0, 0, log_file_path)                    \
	X("TZ", "Asia/Shanghai", TEXT, 0, 0, c.tz)                                                 \
	X("TRUSTED_PROXIES", "", TEXT, 0, 0, c.trusted_proxies)                                    \
	X("AUTH_KEY_OPENS_PROXY", "true", BOOL, 0, 0, c.auth_key_opens_proxy)                      \
	X("MASK_KEYS", "false", BOOL, 0, 0, c.mask_keys)                                           \
	X("METRICS_PUBLIC", "false", BOOL, 0, 0, c.metrics_public)                                 \
	X("POOL_SIZE_MB", "1024", MEGABYTES, 1, 1024 * 1024, c.pool_size)                          \
	X("SPOOL_SIZE_MB", "1024", MEGABYTES, 1, 1024 * 1024, c.spool_size)                        \
	X("UPSTREAM_CA_FILE", "", PATH, 0, 0, c.upstream_ca_file)                                  \
	X("HTTP_PROXY", "", URL, 0, 0, c.http_proxy)                                               \
	X("HTTPS_PROXY", "", URL, 0, 0, c.https_proxy)                                             \
	X("NO_PROXY", "", TEXT, 0, 0, c.no_proxy)

static const struct variable {
	const char *name;
	const char *def;
	enum kind kind;
	int64_t min; /* of numbers */
	int64_t max;
	size_t offset;
} variables[] = {
#define X(name, def, kind, min, max, field)                                                        \
	{name, def, KIND_##kind, min, max, offsetof(struct loaded, field)},
    CONF_TABLE(X)
#undef X
};

static const char *const level_names[] = {
    [LOG_ERROR] = "error",
    [LOG_WARN] = "warn",
    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug",
};

static const char *const web_servers[] = {"lighttpd", "apache-fcgid", "apache-proxy", "caddy",
					  "nginx"};

/* One value on its way into the configuration. */
struct source {
	const struct variable *v;
	struct str text;   /* trimmed */
	const char *where; /* "in the environment", "in FILE:LINE", "by default" */
	const char *base;  /* the folder that a relative path starts from */
	struct errinfo *info;
};

static void *
field_of(const struct loaded *l, const struct variable *v)
{
	return (char *)(uintptr_t)l + v->offset;
}

static enum err
refuse(const struct source *s, const char *what)
{
	return err_set(s->info, ERR_CONF, "%s: \"" STR_FMT "\" (set %s) %s", s->v->name,
		       (int)MIN(s->text.n, 100), s->text.p, s->where, what);
}

/* --- the kinds --- */

static void
set_text(char **field, struct str text)
{
	free(*field);
	*field = xstrndup(text.p, text.n);
}

static void
set_path(char **field, const char *base, struct str path)
{
	while (str_starts(path, "./"))
		path = str_from(path, 2);
	while (path.n > 1 && path.p[path.n - 1] == '/')
		path.n--;
	if (strcmp(base, "/") == 0)
		base = "";
	free(*field);
	*field = str_starts(path, "/") ? xstrndup(path.p, path.n)
				       : xasprintf("%s/" STR_FMT, base, STR_ARG(path));
}

static enum err
set_number(struct loaded *l, const struct source *s)
{
	void *field = field_of(l, s->v);
	AUTO_FREE char *what = NULL;
	int64_t value;

	if (!str_to_i64(s->text, s->v->min, s->v->max, &value)) {
		what = xasprintf("is not a number from %lld to %lld", (long long)s->v->min,
				 (long long)s->v->max);
		return refuse(s, what);
	}
	if (s->v->kind == KIND_MEGABYTES)
		*(int64_t *)field = value * MIB;
	else
		*(int *)field = (int)value;
	return ERR_OK;
}

/* The position of the text among the names; -1 when it is none of them. */
static int
find_name(const char *const *names, size_t n, struct str text)
{
	for (size_t i = 0; i < n; i++)
		if (str_iis(text, names[i]))
			return (int)i;
	return -1;
}

static enum err
set_choice(struct loaded *l, const struct source *s)
{
	void *field = field_of(l, s->v);
	int at;

	if (s->v->kind == KIND_LEVEL) {
		at = str_iis(s->text, "warning")
			 ? (int)LOG_WARN
			 : find_name(level_names, ARRAY_LEN(level_names), s->text);
		if (at < 0)
			return refuse(s, "is none of error, warn, info and debug");
		*(enum log_level *)field = (enum log_level)at;
		return ERR_OK;
	}
	if (s->v->kind == KIND_FORMAT) {
		if (!str_iis(s->text, "json") && !str_iis(s->text, "text"))
			return refuse(s, "is neither text nor json");
		*(bool *)field = str_iis(s->text, "json");
		return ERR_OK;
	}
	at = find_name(web_servers, ARRAY_LEN(web_servers), s->text);
	if (at < 0)
		return refuse(s, "is none of lighttpd, apache-fcgid, apache-proxy, caddy and "
				 "nginx");
	set_text(field, str_of(web_servers[at]));
	return ERR_OK;
}

static enum err
set_value(struct loaded *l, const struct source *s)
{
	void *field = field_of(l, s->v);

	switch (s->v->kind) {
	case KIND_TEXT:
	case KIND_LIST:
	case KIND_SECRET:
	case KIND_URL:
		set_text(field, s->text);
		return ERR_OK;
	case KIND_PATH:
		set_path(field, s->base, s->text);
		return ERR_OK;
	case KIND_INT:
	case KIND_MEGABYTES:
		return set_number(l, s);
	case KIND_BOOL:
		if (!str_to_bool(s->text, field))
			return refuse(s, "is neither true nor false");
		return ERR_OK;
	case KIND_LEVEL:
	case KIND_FORMAT:
	case KIND_SERVER:
		return set_choice(l, s);
	}
	return ERR_INTERNAL;
}

/* --- where values come from --- */

/* The environment of a CGI program holds the request's headers as HTTP_…, so a
 * client's header "Proxy" would become the proxy of everything we send. */
static const char *
environment(const char *name)
{
	if (strcmp(name, "HTTP_PROXY") == 0 &&
	    (getenv("GATEWAY_INTERFACE") != NULL || getenv("REQUEST_METHOD") != NULL))
		return getenv("http_proxy");
	if (getenv(name) != NULL)
		return getenv(name);
	/* The forms that curl and most programs read as well. */
	if (strcmp(name, "HTTP_PROXY") == 0)
		return getenv("http_proxy");
	if (strcmp(name, "HTTPS_PROXY") == 0)
		return getenv("https_proxy");
	return strcmp(name, "NO_PROXY") == 0 ? getenv("no_proxy") : NULL;
}

static bool
has_control(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7F)
			return true;
	return false;
}

/* Where the search for values looks. */
struct lookup {
	const struct envfile *file; /* NULL: none */
	const char *file_path;
	char *file_dir;
	char *cwd;
};

/* Whether the file is the one that `make install` has in mind. */
static bool
is_installed(const struct lookup *from)
{
	return str_starts(str_of(from->file_path), INSTALLED_FOLDER "/");
}

/* Sets one variable from the first place that has it. An empty value is the
 * default, so that VAR= in a file or a compose file means what it looks like. */
static enum err
load_variable(struct loaded *l, const struct variable *v, const struct lookup *from,
	      struct errinfo *info)
{
	struct source s = {.v = v, .where = "in the environment", .base = from->cwd, .info = info};
	const char *text = environment(v->name);
	AUTO_FREE char *where = NULL;
	AUTO_FREE char *below = NULL;
	int line;

	if (text == NULL) {
		text = envfile_get(from->file, v->name, &line);
		if (text != NULL)
			where = xasprintf("in %s:%d", from->file_path, line);
		s.where = where != NULL ? where : "by default";
		s.base = from->file != NULL ? from->file_dir : from->cwd;
	}
	s.text = str_trim(str_of(text));
	if (s.text.n > LIMIT_CONF_VALUE || has_control(s.text))
		return err_set(info, ERR_CONF,
			       "%s: the value (set %s) is too long or holds "
			       "control characters",
			       v->name, s.where);
	if (s.text.n == 0 && !(text != NULL && v->kind == KIND_LIST)) {
		if (v->def[0] == '\0')
			return ERR_OK;
		s.where = "by default";
		s.text = str_of(v->def);
		if (v->offset == offsetof(struct loaded, c.data_dir) && is_installed(from))
			s.text = STR(LOCALSTATEDIR "/lib/gpt-load");
	}
	if (str_starts(s.text, "$DATA_DIR/") && (v->kind == KIND_PATH || v->kind == KIND_URL)) {
		below = xasprintf("%s" STR_FMT, l->c.data_dir,
				  STR_ARG(str_from(s.text, strlen("$DATA_DIR"))));
		s.text = str_of(below);
	}
	return set_value(l, &s);
}

static char *
current_folder(void)
{
	char *cwd = getcwd(NULL, 0);

	return cwd != NULL ? cwd : xstrdup("/");
}

/* The first file that exists of those that may be. */
static enum err
find_file(const char *cwd, char **ret_path, struct envfile **ret, struct errinfo *info)
{
	const char *named = getenv("GPT_LOAD_CONFIG");
	const char *places[] = {".env", INSTALLED_FILE};
	char *path = NULL;
	enum err e;

	if (named != NULL && named[0] != '\0') {
		struct errinfo why = {""};

		set_path(&path, cwd, str_of(named));
		e = envfile_read(path, ret, &why);
		if (e == ERR_OK)
			*ret_path = path;
		else
			free(path);
		return e == ERR_OK ? e : err_set(info, ERR_CONF, "GPT_LOAD_CONFIG: %s", why.text);
	}
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		set_path(&path, cwd, str_of(places[i]));
		e = envfile_read(path, ret, info);
		if (e == ERR_OK)
			*ret_path = path;
		else
			free(path);
		if (e != ERR_NOT_FOUND)
			return e;
		path = NULL;
	}
	if (info != NULL)
		info->text[0] = '\0';
	return ERR_OK;
}

/* Names in the file that mean nothing here: most likely misspelt. */
static char *
unknown_names(const struct envfile *file)
{
	struct buf b;
	const char *name;

	buf_init(&b, LIMIT_CONF_FILE);
	for (size_t i = 0; (name = envfile_name(file, i)) != NULL; i++) {
		bool known = false;

		for (size_t j = 0; j < ARRAY_LEN(variables); j++)
			known = known || strcmp(variables[j].name, name) == 0;
		if (!known)
			buf_printf(&b, "%s%s", b.n > 0 ? ", " : "", name);
	}
	return b.n > 0 ? buf_take(&b, NULL) : NULL;
}

/* --- what is worked out --- */

static bool
is_set(const struct lookup *from, const char *name)
{
	const char *text = environment(name);
	int line;

	if (text == NULL)
		text = envfile_get(from->file, name, &line);
	return text != NULL && str_trim(str_of(text)).n > 0;
}

/* A path is made absolute; other forms are the drivers' to judge. */
static enum err
finish_database(struct conf *c, const struct lookup *from, struct errinfo *info)
{
	struct str dsn = str_of(c->database_dsn);
	const char *base = from->cwd;
	char *path = NULL;

	if (conf_dsn_is_remote(c->database_dsn))
		return ERR_OK;
	if (str_contains(dsn, "://") || str_starts(dsn, ":memory:") || str_starts(dsn, "file:"))
		return err_set(
		    info, ERR_CONF,
		    "DATABASE_DSN: this form is not known: it is the path of a SQLite file, "
		    "user:password@tcp(host:3306)/database, or postgres://…");
	if (getenv("DATABASE_DSN") == NULL && from->file != NULL)
		base = from->file_dir;
	set_path(&path, base, dsn);
	free(c->database_dsn);
	c->database_dsn = path;
	return ERR_OK;
}

static enum err
finish(struct loaded *l, const struct lookup *from, struct errinfo *info)
{
	struct conf *c = &l->c;
	enum err e;

	if (c->workers == 0)
		c->workers = conf_count_cores();
	if (!is_set(from, "POOL_SIZE_MB") && conf_disk_is_small(c->data_dir))
		c->pool_size = (int64_t)SMALL_MB * MIB;
	if (!is_set(from, "SPOOL_SIZE_MB") && conf_disk_is_small(c->data_dir))
		c->spool_size = (int64_t)SMALL_MB * MIB;
	if (l->log_enable_file)
		c->log_file = xstrdup(l->log_file_path);
	c->unknown = unknown_names(from->file);
	c->in_folder = getenv("GPT_LOAD_IN_FOLDER") != NULL;
	e = finish_database(c, from, info);
	if (e != ERR_OK)
		return e;
	if (c->auth_key == NULL && (conf_dsn_is_remote(c->database_dsn) || c->redis_dsn != NULL))
		return err_set(
		    info, ERR_CONF,
		    "AUTH_KEY: it must be set where DATABASE_DSN or REDIS_DSN is a server's: "
		    "every node needs the same one");
	return c->auth_key == NULL ? conf_read_auth_key(c, info) : ERR_OK;
}

static void
register_secrets(const struct conf *c)
{
	redact_register(str_of(c->auth_key));
	redact_register(str_of(c->encryption_key));
	if (conf_dsn_is_remote(c->database_dsn))
		redact_register(conf_password_of(c->database_dsn));
	redact_register(conf_password_of(c->redis_dsn));
	redact_register(conf_password_of(c->http_proxy));
	redact_register(conf_password_of(c->https_proxy));
}

/* --- the interface --- */

enum err
conf_load(struct conf **ret, struct errinfo *info)
{
	struct loaded *l = xcalloc(1, sizeof(*l));
	struct lookup from = {.cwd = current_folder()};
	struct envfile *file = NULL;
	enum err e;

	(void)umask(0077);
	e = find_file(from.cwd, &l->c.file, &file, info);
	if (file != NULL) {
		from.file = file;
		from.file_path = l->c.file;
		from.file_dir =
		    xstrndup(l->c.file, MAX(1, (size_t)(strrchr(l->c.file, '/') - l->c.file)));
	}
	for (size_t i = 0; e == ERR_OK && i < ARRAY_LEN(variables); i++)
		e = load_variable(l, &variables[i], &from, info);
	if (e == ERR_OK)
		e = finish(l, &from, info);
	if (e == ERR_OK)
		e = conf_check(&l->c, info);
	envfile_free(file);
	free(from.file_dir);
	free(from.cwd);
	if (e != ERR_OK) {
		conf_free(&l->c);
		return e;
	}
	register_secrets(&l->c);
	(void)setenv("TZ", l->c.tz, 1);
	tzset();
	*ret = &l->c;
	return ERR_OK;
}

void
conf_free(struct conf *c)
{
	struct loaded *l = (struct loaded *)c;

	if (c == NULL)
		return;
	for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
		char **text = field_of(l, &variables[i]);

		if (variables[i].kind > KIND_LAST_TEXT)
			continue;
		wipe(*text, *text != NULL ? strlen(*text) : 0);
		free(*text);
	}
	free(c->log_file);
	free(c->unknown);
	free(c->file);
	free(l);
}

bool
conf_variable(size_t i, const char **ret_name, const char **ret_default)
{
	if (i >= ARRAY_LEN(variables))
		return false;
	*ret_name = variables[i].name;
	*ret_default = variables[i].def;
	return true;
}

/* The text with its password as "***". */
static char *
without_password(const char *url)
{
	struct str secret = conf_password_of(url);

	if (secret.n == 0)
		return xstrdup(url);
	return xasprintf("%.*s***%s", (int)(secret.p - url), url, secret.p + secret.n);
}

char *
conf_value(const struct conf *c, size_t i)
{
	const struct variable *v = &variables[i];
	const void *field = field_of((const struct loaded *)c, v);
	const char *text = v->kind <= KIND_LAST_TEXT ? *(char *const *)field : NULL;

	switch (v->kind) {
	case KIND_SECRET:
		return xstrdup(text != NULL ? "(set)" : "(not set)");
	case KIND_URL:
		return without_password(text != NULL ? text : "");
	case KIND_TEXT:
	case KIND_LIST:
	case KIND_PATH:
	case KIND_SERVER:
		return xstrdup(text != NULL ? text : "");
	case KIND_INT:
		return xasprintf("%d", *(const int *)field);
	case KIND_MEGABYTES:
		return xasprintf("%lld", (long long)(*(const int64_t *)field / MIB));
	case KIND_BOOL:
		return xstrdup(*(const bool *)field ? "true" : "false");
	case KIND_LEVEL:
		return xstrdup(level_names[*(const enum log_level *)field]);
	case KIND_FORMAT:
		return xstrdup(*(const bool *)field ? "json" : "text");
	}
	return NULL;
}
