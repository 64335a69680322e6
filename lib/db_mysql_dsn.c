/* SPDX-License-Identifier: MIT
 *
 * A MySQL DSN in the form of Go's driver. The password may hold any character: the
 * last "@tcp(" or "@unix(" ends it. Values of parameters and the database's name are
 * percent-decoded. A parameter that means nothing here is passed over; one that
 * nobody knows is an error, since it may be a `tls` written wrongly.
 */
#include "lib/db_mysql.h"
#include "lib/str.h"

#include <stdlib.h>

#define DEFAULT_PORT 3306
#define MOST_SECONDS 86400

static enum err
refused(struct errinfo *info, const char *why)
{
	return err_set(info, ERR_CONF,
		       "DATABASE_DSN: %s (user:password@tcp(host:3306)/database or "
		       "user:password@unix(/socket)/database)",
		       why);
}

/* --- pieces --- */

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* malloc'ed; NULL when a '%' begins nothing, or a NUL comes out. */
static char *
decoded(struct str s)
{
	char *out = xmalloc(s.n + 1);
	size_t n = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '%') {
			int high = s.n - i > 2 ? hex_digit(s.p[i + 1]) : -1;
			int low = s.n - i > 2 ? hex_digit(s.p[i + 2]) : -1;

			c = high < 0 || low < 0 ? '\0' : (char)(high * 16 + low);
			i += 2;
		}
		if (c == '\0') {
			free(out);
			return NULL;
		}
		out[n++] = c;
	}
	out[n] = '\0';
	return out;
}

/* Where `mark` stands for the last time; s.n when it does not. */
static size_t
find_last(struct str s, const char *mark)
{
	for (size_t i = s.n; i-- > 0;)
		if (str_starts(str_from(s, i), mark))
			return i;
	return s.n;
}

static void
take_user(struct str s, struct mysql_dsn *ret)
{
	struct str user = s;

	(void)str_split(&s, ':', &user);
	ret->user = xstrndup(user.p, user.n);
	ret->password = xstrndup(s.p != NULL ? s.p : "", s.n);
}

/* "host:port", "[::1]:port", or without the port. */
static bool
take_address(struct str s, struct mysql_dsn *ret)
{
	size_t colon = find_last(s, ":");
	struct str host = {s.p, colon};
	int64_t port = DEFAULT_PORT;

	if (s.n > 0 && s.p[s.n - 1] == ']')
		host.n = colon = s.n;
	if (colon < s.n && !str_to_i64(str_from(s, colon + 1), 1, 65535, &port))
		return false;
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = (struct str){host.p + 1, host.n - 2};
	if (host.n == 0)
		return false;
	ret->host = xstrndup(host.p, host.n);
	ret->port = (unsigned)port;
	return true;
}

/* --- parameters --- */

/* "30s", "1m30s", "500ms"; rounded up to seconds. */
static bool
take_duration(struct str s, unsigned *ret)
{
	static const struct {
		const char *unit;
		int64_t us;
	} units[] = {{"ms", 1000}, {"us", 1}, {"h", 3600000000}, {"m", 60000000}, {"s", 1000000}};
	int64_t us = 0;

	if (str_is(s, "0")) {
		*ret = 0;
		return true;
	}
	while (s.n > 0) {
		size_t digits = 0;
		size_t u = 0;
		int64_t n;

		while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
			digits++;
		if (!str_to_i64((struct str){s.p, digits}, 0, INT32_MAX, &n))
			return false;
		s = str_from(s, digits);
		while (u < ARRAY_LEN(units) && !str_starts(s, units[u].unit))
			u++;
		if (u == ARRAY_LEN(units) || n > MOST_SECONDS * INT64_C(1000000) / units[u].us)
			return false;
		s = str_from(s, strlen(units[u].unit));
		us += n * units[u].us;
	}
	if (us > MOST_SECONDS * INT64_C(1000000))
		return false;
	*ret = (unsigned)((us + 999999) / 1000000);
	return true;
}

static bool
take_tls(struct str s, enum mysql_tls *ret)
{
	bool on;

	if (str_iis(s, "skip-verify"))
		*ret = MYSQL_TLS_UNVERIFIED;
	else if (str_iis(s, "preferred"))
		*ret = MYSQL_TLS_PREFERRED;
	else if (str_to_bool(s, &on))
		*ret = on ? MYSQL_TLS_VERIFIED : MYSQL_TLS_OFF;
	else
		return false;
	return true;
}

/* Another zone than the process's own would need tables of our own. */
static bool
take_zone(struct str s, bool *ret_local)
{
	const char *tz = getenv("TZ");

	*ret_local = !str_is(s, "UTC");
	return str_is(s, "UTC") || str_is(s, "Local") || (tz != NULL && str_is(s, tz));
}

static bool
take_collation(struct str s, struct mysql_dsn *ret)
{
	for (size_t i = 0; i < s.n; i++)
		if (strchr("abcdefghijklmnopqrstuvwxyz0123456789_", s.p[i]) == NULL)
			return false;
	if (!str_starts(s, "utf8mb4_"))
		return false;
	free(ret->collation);
	ret->collation = xstrndup(s.p, s.n);
	return true;
}

/* They concern Go's driver, or what ours does always. */
static bool
means_nothing(struct str name)
{
	static const char *const names[] = {
	    "allowAllFiles",
	    "allowCleartextPasswords",
	    "allowOldPasswords",
	    "allowFallbackToPlaintext",
	    "allowNativePasswords",
	    "checkConnLiveness",
	    "clientFoundRows",
	    "columnsWithAlias",
	    "compress",
	    "connectionAttributes",
	    "interpolateParams",
	    "maxAllowedPacket",
	    "multiStatements",
	    "parseTime",
	    "rejectReadOnly",
	    "timeTruncate",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (str_is(name, names[i]))
			return true;
	return false;
}

static enum err
take_parameter(struct str name, struct str value, struct mysql_dsn *ret, struct errinfo *info)
{
	bool good;

	if (str_is(name, "tls"))
		good = take_tls(value, &ret->tls);
	else if (str_is(name, "timeout"))
		good = take_duration(value, &ret->connect_s);
	else if (str_is(name, "readTimeout"))
		good = take_duration(value, &ret->read_s);
	else if (str_is(name, "writeTimeout"))
		good = take_duration(value, &ret->write_s);
	else if (str_is(name, "charset"))
		good = str_starts(value, "utf8mb4");
	else if (str_is(name, "collation"))
		good = take_collation(value, ret);
	else if (!str_is(name, "loc"))
		good = means_nothing(name);
	else if (!take_zone(value, &ret->local))
		return err_set(info, ERR_CONF,
			       "DATABASE_DSN: \"loc\" must be Local, UTC or what TZ is set to");
	else
		good = true;
	if (good)
		return ERR_OK;
	return err_set(info, ERR_CONF, "DATABASE_DSN: the parameter \"" STR_FMT "\" is not usable",
		       (int)MIN(name.n, 40), name.p);
}

static enum err
take_parameters(struct str s, struct mysql_dsn *ret, struct errinfo *info)
{
	struct str piece;
	enum err e = ERR_OK;

	while (e == ERR_OK && str_split(&s, '&', &piece)) {
		struct str name = piece;
		AUTO_FREE
		char *value = NULL;

		if (piece.n == 0)
			continue;
		(void)str_split(&piece, '=', &name);
		value = decoded(piece);
		e = value == NULL ? refused(info, "a parameter is not percent-encoded rightly")
				  : take_parameter(name, str_of(value), ret, info);
	}
	return e;
}

/* --- all of it --- */

enum err
mysql_dsn_parse(const char *text, struct mysql_dsn *ret, struct errinfo *info)
{
	struct str s = str_of(text);
	size_t tcp = find_last(s, "@tcp(");
	size_t local = find_last(s, "@unix(");
	size_t at = MIN(tcp, local);
	struct str database = {0};
	struct str address;
	struct str rest;

	*ret = (struct mysql_dsn){.port = DEFAULT_PORT};
	if (tcp < s.n && local < s.n)
		at = MAX(tcp, local);
	if (at == s.n)
		return refused(info, "it has no address");
	take_user((struct str){s.p, at}, ret);
	rest = str_from(s, at + (at == tcp ? 5 : 6));
	if (!str_split(&rest, ')', &address) || rest.n == 0 || rest.p[0] != '/')
		return refused(info, "the address is not followed by \")/\"");
	if (at == local && address.n > 0)
		ret->socket = xstrndup(address.p, address.n);
	else if (at == local || !take_address(address, ret))
		return refused(info, "the address is not usable");
	rest = str_from(rest, 1);
	(void)str_split(&rest, '?', &database);
	ret->database = decoded(database);
	if (ret->database == NULL || *ret->database == '\0')
		return refused(info, "it names no database");
	return take_parameters(rest, ret, info);
}

void
mysql_dsn_done(struct mysql_dsn *dsn)
{
	if (dsn->password != NULL)
		wipe(dsn->password, strlen(dsn->password));
	free(dsn->user);
	free(dsn->password);
	free(dsn->host);
	free(dsn->socket);
	free(dsn->database);
	free(dsn->collation);
	*dsn = (struct mysql_dsn){0};
}
