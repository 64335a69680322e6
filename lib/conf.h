/* SPDX-License-Identifier: MIT
 *
 * The configuration of one process: the environment, over the file named by
 * GPT_LOAD_CONFIG, over ./.env, over $sysconfdir/gpt-load/gpt-load.env (the
 * first file that exists is the one). Read once at start, constant from then on.
 * Every variable stands in one table in conf.c.
 */
#ifndef LIB_CONF_H
#define LIB_CONF_H

#include "lib/base.h"
#include "lib/err.h"
#include "lib/log.h"

struct conf {
	char *host;
	int port;
	char *auth_key; /* NULL: none set and none generated yet */
	bool auth_key_opens_proxy;
	char *data_dir;       /* absolute */
	char *database_dsn;   /* of SQLite: an absolute path */
	char *redis_dsn;      /* NULL: the embedded pool */
	char *encryption_key; /* NULL: keys are stored as they are */
	char *web_server;
	int workers;
	int max_concurrent_requests;
	int64_t max_request_body; /* bytes */
	int server_read_timeout_s;
	int server_write_timeout_s;
	int server_idle_timeout_s;
	int server_graceful_shutdown_timeout_s;
	bool is_slave;
	bool enable_cors;
	char *allowed_origins; /* comma-separated, as set */
	char *allowed_methods;
	char *allowed_headers;
	bool allow_credentials;
	enum log_level log_level;
	bool log_json;
	char *log_file; /* absolute; NULL: none */
	char *tz;
	char *trusted_proxies; /* comma-separated addresses or CIDR; NULL: default */
	bool mask_keys;
	bool metrics_public;
	int64_t pool_size;      /* bytes */
	int64_t spool_size;     /* bytes */
	char *upstream_ca_file; /* NULL: the system's */
	char *http_proxy;       /* from the process environment at start; NULL: none */
	char *https_proxy;
	char *no_proxy;
	/* Started by what `make install-htaccess` laid into a web server's folder: a
	 * process comes with a request, and addresses begin below that folder. */
	bool in_folder;
	char *file;    /* the file that was read; NULL: none */
	char *unknown; /* names in it that mean nothing here, comma-separated; NULL */
};

/* Reads and checks everything. On failure *info names the variable and what is
 * wrong with it; the caller prints it and exits with 2. *ret is to be freed with
 * conf_free(). Sets TZ and the umask (0077) of the process. Registers the
 * secrets with the redactor. */
enum err conf_load(struct conf **ret, struct errinfo *info) MUST_CHECK;
void conf_free(struct conf *c);

/* Makes DATA_DIR and the folders below it (0700), and the AUTH_KEY if there is
 * none yet ($DATA_DIR/auth_key, 0600; the winner's when two start at once).
 * *ret_generated tells that it was made now. */
enum err conf_prepare(struct conf *c, bool *ret_generated, struct errinfo *info) MUST_CHECK;

/* malloc'ed path below DATA_DIR. */
char *conf_path(const struct conf *c, const char *relative) MUST_CHECK;

/* What makes a secret weak, as the end of a sentence ("is shorter than …"); NULL:
 * nothing found. */
const char *conf_weakness(const char *secret);

/* The table, for `gpt-load check-config`, the documents' test and .env.example:
 * name and default of the i-th variable; false past the end. */
bool conf_variable(size_t i, const char **ret_name, const char **ret_default);
/* The value in force, as text; secrets as "(set)" or "(not set)". malloc'ed. */
char *conf_value(const struct conf *c, size_t i) MUST_CHECK;

#endif
