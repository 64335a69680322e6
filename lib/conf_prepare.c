/* SPDX-License-Identifier: MIT
 *
 * What a configuration needs on disk before anything is served: the folders below
 * DATA_DIR, and an AUTH_KEY where nobody has set one. Run by `gpt-load prepare`,
 * as the user that everything of the installation runs as.
 */
#include "lib/conf.h"

#include "lib/conf_rules.h"
#include "lib/crypt.h"
#include "lib/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Random bytes in a generated AUTH_KEY: 192 bits. */
#define AUTH_KEY_BYTES    24
#define AUTH_KEY_FILE_MAX 8192
/* A secret of fewer bytes is weak, as is one with fewer different ones. */
#define STRONG_BYTES     16
#define STRONG_DIFFERENT 6

char *
conf_path(const struct conf *c, const char *relative)
{
	return xasprintf("%s/%s", c->data_dir, relative);
}

/* One that is there already is fine, also where none could be made. 0 or errno. */
static int
make_one(const char *path)
{
	struct stat st;
	int error;

	if (mkdir(path, 0700) == 0)
		return 0;
	error = errno;
	return stat(path, &st) == 0 ? 0 : error;
}

/* Makes the folder and those above it. */
static enum err
make_folder(const char *name, const char *path, struct errinfo *info)
{
	AUTO_FREE char *copy = xstrdup(path);
	char reason[128];
	struct stat st;
	int error;

	for (char *slash = strchr(copy + 1, '/');; slash = strchr(slash + 1, '/')) {
		if (slash != NULL)
			*slash = '\0';
		error = make_one(copy);
		if (error != 0)
			return err_set(info, ERR_IO, "%s: the folder %s cannot be made: %s", name,
				       copy, strerror_r(error, reason, sizeof(reason)));
		if (slash == NULL)
			break;
		*slash = '/';
	}
	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		return err_set(info, ERR_IO, "%s: %s is no folder", name, path);
	if (access(path, R_OK | W_OK | X_OK) != 0)
		return err_set(info, ERR_IO, "%s: the folder %s cannot be written: %s", name, path,
			       strerror_r(errno, reason, sizeof(reason)));
	return ERR_OK;
}

static enum err
make_parent(const char *name, const char *path, struct errinfo *info)
{
	AUTO_FREE char *folder = xstrdup(path);
	char *slash = strrchr(folder, '/');

	if (slash == NULL || slash == folder)
		return ERR_OK;
	*slash = '\0';
	return make_folder(name, folder, info);
}

/* The log file is tried here, so that the first line of a program is not the one
 * that finds out. */
static enum err
try_log_file(const struct conf *c, struct errinfo *info)
{
	char reason[128];
	enum err e;
	int fd;

	if (c->log_file == NULL)
		return ERR_OK;
	e = make_parent("LOG_FILE_PATH", c->log_file, info);
	if (e != ERR_OK)
		return e;
	fd = open(c->log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	if (fd < 0)
		return err_set(info, ERR_IO, "LOG_FILE_PATH: %s cannot be opened: %s", c->log_file,
			       strerror_r(errno, reason, sizeof(reason)));
	close(fd);
	return ERR_OK;
}

static enum err
make_folders(const struct conf *c, struct errinfo *info)
{
	static const char *const folders[] = {"run", "tmp", "spool", "logs"};
	enum err e = make_folder("DATA_DIR", c->data_dir, info);

	for (size_t i = 0; e == ERR_OK && i < ARRAY_LEN(folders); i++) {
		AUTO_FREE char *path = conf_path(c, folders[i]);

		e = make_folder("DATA_DIR", path, info);
	}
	if (e == ERR_OK && !conf_dsn_is_remote(c->database_dsn))
		e = make_parent("DATABASE_DSN", c->database_dsn, info);
	return e == ERR_OK ? try_log_file(c, info) : e;
}

/* --- the AUTH_KEY --- */

static bool
write_key(const char *path, const char *key)
{
	size_t n = strlen(key);
	bool ok;
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return false;
	ok = write(fd, key, n) == (ssize_t)n && write(fd, "\n", 1) == 1 && fsync(fd) == 0;
	return close(fd) == 0 && ok;
}

enum err
conf_read_auth_key(struct conf *c, struct errinfo *info)
{
	AUTO_FREE char *path = conf_path(c, "auth_key");
	char reason[128];
	char text[AUTH_KEY_FILE_MAX];
	struct str key;
	ssize_t n = -1;
	int error;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return ERR_OK;
	if (fd >= 0)
		n = read(fd, text, sizeof(text));
	error = errno;
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return err_set(info, ERR_CONF, "AUTH_KEY: %s cannot be read: %s", path,
			       strerror_r(error, reason, sizeof(reason)));
	key = str_trim((struct str){text, (size_t)n});
	for (size_t i = 0; i < key.n; i++)
		if ((unsigned char)key.p[i] <= ' ')
			key.n = 0;
	if (key.n == 0)
		return err_set(
		    info, ERR_CONF,
		    "AUTH_KEY: %s holds no key: set AUTH_KEY, or remove the file to have one made",
		    path);
	c->auth_key = xstrndup(key.p, key.n);
	wipe(text, sizeof(text));
	redact_register(str_of(c->auth_key));
	return ERR_OK;
}

/* A file appears under its name whole or not at all, and only once: of two that
 * start together one links its key, the other takes what it finds. */
static enum err
make_auth_key(struct conf *c, bool *ret_generated, struct errinfo *info)
{
	AUTO_FREE char *path = conf_path(c, "auth_key");
	AUTO_FREE char *tmp = xasprintf("%s.%ld.tmp", path, (long)getpid());
	uint8_t bytes[AUTH_KEY_BYTES];
	char key[3 + 2 * AUTH_KEY_BYTES + 1] = "sk-";
	char reason[128];
	bool linked;
	int error;

	random_bytes(bytes, sizeof(bytes));
	hex_encode(key + 3, bytes, sizeof(bytes));
	wipe(bytes, sizeof(bytes));
	(void)unlink(tmp);
	linked = write_key(tmp, key) && link(tmp, path) == 0;
	error = errno;
	(void)unlink(tmp);
	if (!linked && error != EEXIST) {
		wipe(key, sizeof(key));
		return err_set(info, ERR_IO, "AUTH_KEY: %s cannot be written: %s", path,
			       strerror_r(error, reason, sizeof(reason)));
	}
	wipe(key, sizeof(key));
	*ret_generated = linked;
	return conf_read_auth_key(c, info);
}

enum err
conf_prepare(struct conf *c, bool *ret_generated, struct errinfo *info)
{
	enum err e = make_folders(c, info);

	*ret_generated = false;
	if (e == ERR_OK && c->auth_key == NULL)
		e = make_auth_key(c, ret_generated, info);
	return e;
}

const char *
conf_weakness(const char *secret)
{
	/* Long enough not to stand in a random key by chance. */
	static const struct {
		const char *piece;
		const char *why;
	} pieces[] = {
	    {"password", "holds the word \"password\""},
	    {"passwd", "holds the word \"passwd\""},
	    {"123456", "holds \"123456\""},
	    {"admin", "holds the word \"admin\""},
	    {"secret", "holds the word \"secret\""},
	    {"default", "holds the word \"default\""},
	    {"changeme", "holds the word \"changeme\""},
	    {"qwerty", "holds \"qwerty\""},
	};
	struct str s = str_of(secret);
	bool seen[256] = {false};
	size_t different = 0;

	for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
		if (str_icontains(s, pieces[i].piece))
			return pieces[i].why;
	if (s.n < STRONG_BYTES)
		return "is shorter than 16 characters";
	for (size_t i = 0; i < s.n; i++) {
		different += !seen[(unsigned char)s.p[i]];
		seen[(unsigned char)s.p[i]] = true;
	}
	return different < STRONG_DIFFERENT ? "repeats a few characters" : NULL;
}
