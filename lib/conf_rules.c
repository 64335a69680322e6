/* SPDX-License-Identifier: MIT
 *
 * What a configuration must fulfil beyond the form of each value, and what is
 * worked out from the machine. Part of conf.c, which calls all of it.
 */
#include "lib/conf_rules.h"

#include "lib/limits.h"
#include "lib/str.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MIB (1024 * 1024)
/* The defaults of POOL_SIZE_MB and SPOOL_SIZE_MB, in bytes. */
#define USUAL_SIZE ((rlim_t)1024 * MIB)
/* On a file system of less than this the two would take more than a quarter. */
#define SMALL_DISK ((uint64_t)8 * 1024 * MIB)

int
conf_count_cores(void)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	return MAX(1, MIN(CPU_COUNT(&set), LIMIT_WORKERS));
}

bool
conf_disk_is_small(const char *data_dir)
{
	char *path = xstrdup(data_dir);
	struct statvfs fs;
	struct rlimit limit;
	bool small = false;
	char *slash;

	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < USUAL_SIZE)
		small = true;
	/* The folder itself may not be there yet. */
	while (!small && statvfs(path, &fs) != 0 && (slash = strrchr(path, '/')) != NULL &&
	       slash != path)
		*slash = '\0';
	if (!small && statvfs(path, &fs) == 0)
		small = (uint64_t)fs.f_blocks * fs.f_frsize < SMALL_DISK;
	free(path);
	return small;
}

bool
conf_dsn_is_remote(const char *dsn)
{
	struct str s = str_of(dsn);

	return str_starts(s, "postgres://") || str_starts(s, "postgresql://") ||
	       str_contains(s, "@tcp(") || str_contains(s, "@unix(");
}

/* Where the address of a MySQL DSN begins; NULL when it is none. Its password may
 * hold anything, so the last one counts. */
static const char *
mysql_address(const char *dsn)
{
	const char *last = NULL;

	for (const char *at = strchr(dsn, '@'); at != NULL; at = strchr(at + 1, '@'))
		if (str_starts(str_of(at), "@tcp(") || str_starts(str_of(at), "@unix("))
			last = at;
	return last;
}

struct str
conf_password_of(const char *url)
{
	const char *at = url != NULL ? mysql_address(url) : NULL;
	const char *start = url;
	const char *colon;

	if (url == NULL)
		return (struct str){NULL, 0};
	if (at == NULL) {
		start = strstr(url, "://");
		start = start != NULL ? start + 3 : url;
		at = strrchr(start, '@');
	}
	colon = at != NULL ? memchr(start, ':', (size_t)(at - start)) : NULL;
	return colon != NULL ? (struct str){colon + 1, (size_t)(at - colon) - 1}
			     : (struct str){NULL, 0};
}

static bool
is_host(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      memchr(".:-_%", c, 5) != NULL))
			return false;
	}
	return s.n > 0 && s.n < 256;
}

/* An address, or a network as address/bits. */
static bool
is_network(struct str s)
{
	char text[64];
	const char *slash = memchr(s.p, '/', s.n);
	struct str address = {s.p, slash != NULL ? (size_t)(slash - s.p) : s.n};
	unsigned char bytes[16];
	int64_t bits;
	bool v4;

	if (address.n >= sizeof(text))
		return false;
	(void)snprintf(text, sizeof(text), STR_FMT, STR_ARG(address));
	v4 = inet_pton(AF_INET, text, bytes) == 1;
	if (!v4 && inet_pton(AF_INET6, text, bytes) != 1)
		return false;
	return slash == NULL || str_to_i64(str_from(s, address.n + 1), 0, v4 ? 32 : 128, &bits);
}

/* What libcurl can speak to; a URL without a scheme is taken for http. The URL may
 * hold a password, so it is not shown. */
static enum err
check_proxy(const char *name, const char *url, struct errinfo *info)
{
	static const char *const schemes[] = {
	    "http", "https", "socks4", "socks4a", "socks5", "socks5h",
	};
	const char *end = url != NULL ? strstr(url, "://") : NULL;

	if (end == NULL)
		return ERR_OK;
	for (size_t i = 0; i < ARRAY_LEN(schemes); i++)
		if (str_iis((struct str){url, (size_t)(end - url)}, schemes[i]))
			return ERR_OK;
	return err_set(info, ERR_CONF,
		       "%s: the scheme of a proxy is http, https, socks4, socks4a, socks5 or "
		       "socks5h",
		       name);
}

static enum err
check_trusted(const struct conf *c, struct errinfo *info)
{
	struct str rest = str_of(c->trusted_proxies);
	struct str piece;

	while (str_split(&rest, ',', &piece)) {
		piece = str_trim(piece);
		if (piece.n > 0 && !is_network(piece))
			return err_set(info, ERR_CONF,
				       "TRUSTED_PROXIES: \"" STR_FMT
				       "\" is neither an address nor a network "
				       "like 10.0.0.0/8",
				       (int)MIN(piece.n, 100), piece.p);
	}
	return ERR_OK;
}

static bool
zone_is_known(const char *tz)
{
	const char *folder = getenv("TZDIR");
	AUTO_FREE char *path = NULL;
	char magic[4];
	bool known;
	int fd;

	if (*tz == ':')
		tz++;
	if (strcmp(tz, "UTC") == 0)
		return true;
	if (tz[0] == '\0' || str_contains(str_of(tz), ".."))
		return false;
	path = tz[0] == '/'
		   ? xstrdup(tz)
		   : xasprintf("%s/%s", folder != NULL ? folder : "/usr/share/zoneinfo", tz);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	known = fd >= 0 && read(fd, magic, sizeof(magic)) == (ssize_t)sizeof(magic) &&
		memcmp(magic, "TZif", sizeof(magic)) == 0;
	if (fd >= 0)
		close(fd);
	return known;
}

enum err
conf_check(const struct conf *c, struct errinfo *info)
{
	char reason[128];
	enum err e;

	if (!is_host(str_of(c->host)))
		return err_set(info, ERR_CONF, "HOST: \"%.100s\" is no address", c->host);
	if (!zone_is_known(c->tz))
		return err_set(
		    info, ERR_CONF,
		    "TZ: \"%.100s\" is not a time zone this machine knows (Debian package tzdata)",
		    c->tz);
	if (c->is_slave && c->redis_dsn == NULL)
		return err_set(info, ERR_CONF, "IS_SLAVE: true needs REDIS_DSN");
	if (c->enable_cors && c->allowed_origins[0] == '\0')
		return err_set(
		    info, ERR_CONF,
		    "ALLOWED_ORIGINS: it is empty: name the origins, or set ENABLE_CORS=false");
	if (c->upstream_ca_file != NULL && access(c->upstream_ca_file, R_OK) != 0)
		return err_set(info, ERR_CONF, "UPSTREAM_CA_FILE: %s cannot be read: %s",
			       c->upstream_ca_file, strerror_r(errno, reason, sizeof(reason)));
	e = check_proxy("HTTP_PROXY", c->http_proxy, info);
	if (e == ERR_OK)
		e = check_proxy("HTTPS_PROXY", c->https_proxy, info);
	return e == ERR_OK ? check_trusted(c, info) : e;
}
