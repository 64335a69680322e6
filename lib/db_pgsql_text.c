/* SPDX-License-Identifier: MIT
 *
 * The half of the PostgreSQL driver that is about texts. Nothing here talks to a
 * server, so that all of it is built and tested everywhere.
 */
#include "lib/db.h"
#include "lib/db_pgsql.h"
#include "lib/str.h"
#include "lib/url.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define DSN_MAX 8192

/* --- statements and texts --- */

size_t
pgsql_placeholders(const char *sql, struct buf *out)
{
	char quote = '\0';
	size_t n = 0;

	for (; *sql != '\0'; sql++) {
		if (quote != '\0') {
			if (*sql == quote)
				quote = '\0';
		} else if (*sql == '\'' || *sql == '"') {
			quote = *sql;
		} else if (*sql == '?') {
			buf_printf(out, "$%zu", ++n);
			continue;
		}
		buf_char(out, *sql);
	}
	return n;
}

void
pgsql_clean(struct str text, struct buf *out)
{
	size_t good = 0; /* where the stretch of good bytes begins */
	size_t i = 0;

	while (i < text.n) {
		size_t n = text.p[i] == '\0' ? 0 : utf8_next(text.p + i, text.n - i);

		if (n > 0) {
			i += n;
			continue;
		}
		buf_add(out, text.p + good, i - good);
		buf_cstr(out, "\xEF\xBF\xBD");
		good = ++i;
	}
	if (i > good)
		buf_add(out, text.p + good, i - good);
}

bool
pgsql_time(struct str text, int64_t *ret_us)
{
	char full[40];
	bool has_minutes = text.n > 6 && text.p[text.n - 3] == ':' &&
			   (text.p[text.n - 6] == '+' || text.p[text.n - 6] == '-');
	int n = snprintf(full, sizeof(full), STR_FMT "%s", STR_ARG(text), has_minutes ? "" : ":00");

	return n < (int)sizeof(full) && time_parse((struct str){full, (size_t)n}, ret_us);
}

/* --- errors --- */

bool
pgsql_ends_connection(const char *sqlstate)
{
	return sqlstate == NULL || *sqlstate == '\0' || strncmp(sqlstate, "08", 2) == 0 ||
	       strncmp(sqlstate, "57P0", 4) == 0 || strcmp(sqlstate, "25P03") == 0;
}

bool
pgsql_tells_values(const char *sqlstate)
{
	return sqlstate != NULL && strncmp(sqlstate, "22", 2) == 0 &&
	       strcmp(sqlstate, "22001") != 0;
}

enum err
pgsql_err_of(const char *sqlstate)
{
	static const struct {
		const char *state;
		enum err is;
	} rows[] = {
	    {"23505", ERR_DUPLICATE}, /* unique_violation */
	    {"25006", ERR_DB_AWAY},   /* read_only_sql_transaction: a standby answers */
	    {"40001", ERR_DB_AWAY},   /* serialization_failure */
	    {"40P01", ERR_DB_AWAY},   /* deadlock_detected */
	    {"53100", ERR_DISK},      /* disk_full */
	    {"53200", ERR_DB_AWAY},   /* out_of_memory */
	    {"53300", ERR_DB_AWAY},   /* too_many_connections */
	    {"55P03", ERR_DB_AWAY},   /* lock_not_available */
	    {"57014", ERR_DB_AWAY},   /* query_canceled: statement_timeout */
	};

	if (pgsql_ends_connection(sqlstate))
		return ERR_DB_AWAY;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].state, sqlstate) == 0)
			return rows[i].is;
	return ERR_DB;
}

/* --- the DSN --- */

/* Where the query begins: the '?' behind user, password and host, or the end. */
static const char *
query_start(const char *dsn)
{
	const char *host = strstr(dsn, "://") + 3;
	const char *at = strchr(host, '@');
	const char *slash = strchr(host, '/');
	const char *question;

	if (at != NULL && (slash == NULL || at < slash))
		host = at;
	question = strchr(host, '?');
	return question != NULL ? question : dsn + strlen(dsn);
}

/* What GPT-Load 1.4's driver keeps for itself; no parameter of a session. */
static bool
is_of_original(const char *name)
{
	static const char *const names[] = {
	    "default_query_exec_mode", "description_cache_capacity", "min_read_buffer_size",
	    "prefer_simple_protocol",  "statement_cache_capacity",   "statement_cache_mode",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	return strncmp(name, "pool_", 5) == 0;
}

static bool
name_is_plain(struct str name)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    c != '_' && c != '.')
			return false;
	}
	return name.n > 0 && name.n < 64;
}

static enum err
add_setting(struct pgsql_dsn *dsn, const char *name, struct str value, struct errinfo *info)
{
	struct arena scratch;
	struct str plain;
	enum err e = ERR_OK;

	if (dsn->n_set == PGSQL_DSN_SET)
		return err_set(info, ERR_CONF,
			       "DATABASE_DSN: it sets more than %d parameters of the session",
			       PGSQL_DSN_SET);
	arena_init(&scratch, DSN_MAX);
	if (url_decode(value, &scratch, &plain)) {
		dsn->set[dsn->n_set].name = xstrdup(name);
		dsn->set[dsn->n_set++].value = xstrndup(plain.p, plain.n);
	} else {
		e = err_set(info, ERR_CONF,
			    "DATABASE_DSN: \"%s\" holds a malformed percent-encoding", name);
	}
	arena_done(&scratch);
	return e;
}

/* One "name=value" of the query. */
static enum err
take_pair(struct pgsql_dsn *dsn, struct str pair, bool (*known)(void *arg, const char *name),
	  void *arg, struct buf *uri, struct errinfo *info)
{
	const char *equals = pair.n > 0 ? memchr(pair.p, '=', pair.n) : NULL;
	struct str name = {pair.p, equals != NULL ? (size_t)(equals - pair.p) : pair.n};
	char text[64];

	if (equals == NULL || !name_is_plain(name))
		return err_set(info, ERR_CONF,
			       "DATABASE_DSN: behind the '?' stand name=value, joined by '&'");
	(void)snprintf(text, sizeof(text), STR_FMT, STR_ARG(name));
	if (known(arg, text)) {
		buf_char(uri, *query_start(buf_text(uri)) == '\0' ? '?' : '&');
		buf_str(uri, pair);
		return ERR_OK;
	}
	if (is_of_original(text))
		return ERR_OK;
	return add_setting(dsn, text, str_from(pair, name.n + 1), info);
}

enum err
pgsql_dsn_parse(const char *dsn, bool (*known)(void *arg, const char *name), void *arg,
		struct pgsql_dsn *ret, struct errinfo *info)
{
	const char *query = query_start(dsn);
	struct str rest = str_of(*query == '?' ? query + 1 : query);
	struct pgsql_dsn parsed = {0};
	struct str pair;
	struct buf uri;
	enum err e = ERR_OK;

	buf_init(&uri, DSN_MAX);
	buf_add(&uri, dsn, (size_t)(query - dsn));
	while (e == ERR_OK && str_split(&rest, '&', &pair))
		if (pair.n > 0)
			e = take_pair(&parsed, pair, known, arg, &uri, info);
	if (e == ERR_OK && buf_err(&uri) != ERR_OK)
		e = err_set(info, ERR_CONF, "DATABASE_DSN: longer than %d bytes", DSN_MAX);
	parsed.uri = xstrdup(buf_text(&uri));
	buf_done(&uri);
	if (e != ERR_OK) {
		pgsql_dsn_done(&parsed);
		return e;
	}
	*ret = parsed;
	return ERR_OK;
}

void
pgsql_dsn_done(struct pgsql_dsn *dsn)
{
	for (size_t i = 0; i < dsn->n_set; i++) {
		free(dsn->set[i].name);
		free(dsn->set[i].value);
	}
	if (dsn->uri != NULL)
		wipe(dsn->uri, strlen(dsn->uri));
	free(dsn->uri);
	*dsn = (struct pgsql_dsn){0};
}

bool
pgsql_dsn_sets(const struct pgsql_dsn *dsn, const char *name)
{
	for (size_t i = 0; i < dsn->n_set; i++)
		if (strcasecmp(dsn->set[i].name, name) == 0)
			return true;
	return false;
}
