/* SPDX-License-Identifier: MIT
 *
 * The SQLite driver's connection. The file is made with mode 0600 and must not be a
 * symbolic link; its folder may be one. The write-ahead log is used; writers wait for
 * each other for up to ten seconds.
 */
#include "lib/db_sqlite.h"

#include "lib/conf.h"
#include "lib/str.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_MS      10000
#define BUSY_STEP_MS 20

/* --- errors --- */

static enum err
err_of(int code)
{
	switch (code) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
	case SQLITE_CONSTRAINT_ROWID:
		return ERR_DUPLICATE;
	default:
		break;
	}
	switch (code & 0xff) {
	case SQLITE_FULL:
		return ERR_DISK;
	case SQLITE_INTERRUPT:
		return ERR_TIMEOUT;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_CANTOPEN:
		return ERR_DB_AWAY;
	default:
		return ERR_DB;
	}
}

enum err
sqlite_failed(struct sqlite *s, int code)
{
	return db_failed(&s->base, err_of(code), "%s", sqlite3_errmsg(s->handle));
}

/* --- opening --- */

char *
db_file_path(const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *name = slash != NULL ? slash + 1 : path;
	AUTO_FREE char *folder = slash == NULL   ? xstrdup(".")
				 : slash == path ? xstrdup("/")
						 : xstrndup(path, (size_t)(slash - path));
	AUTO_FREE char *real = realpath(folder, NULL);

	if (real == NULL || *name == '\0')
		return NULL;
	return xasprintf("%s/%s", strcmp(real, "/") == 0 ? "" : real, name);
}

/* Makes the file if there is none, and looks whether it can be one. An existing
 * file is not opened here: closing a descriptor of it would drop the locks that
 * another thread of this process holds on it (fcntl locks are the process's). */
static enum err
prepare_file(const char *path, struct errinfo *info)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	struct stat st;

	if (fd >= 0) {
		(void)close(fd);
		return ERR_OK;
	}
	if (errno != EEXIST)
		return err_set(info, ERR_CONF, "DATABASE_DSN: %s cannot be made: %m", path);
	if (lstat(path, &st) < 0)
		return err_set(info, ERR_CONF, "DATABASE_DSN: %s: %m", path);
	if (S_ISLNK(st.st_mode))
		return err_set(info, ERR_CONF,
			       "DATABASE_DSN: %s is a symbolic link: name the file itself", path);
	if (!S_ISREG(st.st_mode))
		return err_set(info, ERR_CONF, "DATABASE_DSN: %s is not a file", path);
	if (access(path, R_OK | W_OK) < 0)
		return err_set(info, ERR_CONF, "DATABASE_DSN: %s cannot be written: %m", path);
	/* Taken over from GPT-Load 1.4, which left it readable to all. */
	if (st.st_uid == geteuid() && (st.st_mode & 077) != 0)
		(void)chmod(path, 0600);
	return ERR_OK;
}

static int
on_journal_mode(void *is_wal, int n, char **values, char **names)
{
	(void)names;
	*(bool *)is_wal = n == 1 && values[0] != NULL && strcmp(values[0], "wal") == 0;
	return 0;
}

/* The change to a write-ahead log asks for the whole file and does not use the
 * busy timeout. It is kept in the file, so only the first of all does it. */
static int
use_wal(struct sqlite *s)
{
	bool is_wal = false;
	int code = sqlite3_exec(s->handle, "PRAGMA journal_mode", on_journal_mode, &is_wal, NULL);

	for (int waited = 0; code == SQLITE_OK && !is_wal;) {
		code = sqlite3_exec(s->handle, "PRAGMA journal_mode = WAL", on_journal_mode,
				    &is_wal, NULL);
		if ((code & 0xff) != SQLITE_BUSY || waited >= BUSY_MS)
			break;
		waited += sqlite3_sleep(BUSY_STEP_MS);
		code = SQLITE_OK;
	}
	return code;
}

static int
set_up(struct sqlite *s)
{
	int code = sqlite3_busy_timeout(s->handle, BUSY_MS);

	(void)sqlite3_db_config(s->handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	(void)sqlite3_db_config(s->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	(void)sqlite3_db_config(s->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	/* That the file can be read shows with the first query. */
	if (s->read_only)
		return code == SQLITE_OK
			   ? sqlite3_exec(s->handle, "PRAGMA schema_version", NULL, NULL, NULL)
			   : code;
	if (code == SQLITE_OK)
		code = use_wal(s);
	/* Foreign keys: GPT-Load 1.4 declares one and never turns it on. Log rows go to the
	 * ends of many indexes, whose pages are taken over from the write-ahead log only
	 * every 16 MiB of it: an eighth less of the flush. The size limit shrinks that log
	 * after a large import. */
	if (code == SQLITE_OK)
		code = sqlite3_exec(s->handle,
				    "PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = OFF;"
				    "PRAGMA wal_autocheckpoint = " SQLITE_CHECKPOINT_PAGES ";"
				    "PRAGMA journal_size_limit = 67108864",
				    NULL, NULL, NULL);
	if (code == SQLITE_OK && sqlite3_db_readonly(s->handle, "main") == 1)
		code = SQLITE_READONLY;
	return code;
}

static void
close_handle(struct sqlite *s)
{
	for (size_t i = 0; i < CACHED; i++) {
		(void)sqlite3_finalize(s->cache[i].stmt);
		free(s->cache[i].sql);
		s->cache[i] = (struct cached){0};
	}
	(void)sqlite3_close_v2(s->handle);
	s->handle = NULL;
}

static int
open_handle(struct sqlite *s)
{
	int code =
	    sqlite3_open_v2(s->path, &s->handle,
			    (s->read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE) |
				SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOFOLLOW,
			    NULL);

	return code == SQLITE_OK ? set_up(s) : code;
}

void
sqlite_close(struct db *db)
{
	struct sqlite *s = sqlite_of(db);

	close_handle(s);
	free(s->path);
	free(s);
}

static enum err
open_failed(struct sqlite *s, int code, struct errinfo *info)
{
	switch (code & 0xff) {
	case SQLITE_NOTADB:
		return err_set(info, ERR_CONF, "DATABASE_DSN: %s is not an SQLite database",
			       s->path);
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
		return err_set(
		    info, ERR_CONF,
		    "DATABASE_DSN: %s cannot be written: this user needs the file and its folder",
		    s->path);
	default:
		return err_set(info, err_of(code), "DATABASE_DSN: %s: %s", s->path,
			       sqlite3_errmsg(s->handle));
	}
}

static enum err
open_path(const struct conf *conf, const char *path, bool read_only, struct db **ret,
	  struct errinfo *info)
{
	struct sqlite *s = xcalloc(1, sizeof(*s));
	int code;
	enum err e;

	s->base.driver = &db_sqlite;
	s->base.conf = conf;
	s->path = xstrdup(path);
	s->read_only = read_only;
	code = open_handle(s);
	if (code != SQLITE_OK) {
		e = open_failed(s, code, info);
		sqlite_close(&s->base);
		return e;
	}
	*ret = &s->base;
	return ERR_OK;
}

enum err
sqlite_open(const struct conf *conf, struct db **ret, struct errinfo *info)
{
	AUTO_FREE char *path = db_file_path(conf->database_dsn);
	enum err e = path != NULL
			 ? prepare_file(path, info)
			 : err_set(info, ERR_CONF, "DATABASE_DSN: %s: there is no such folder",
				   conf->database_dsn);

	return e == ERR_OK ? open_path(conf, path, false, ret, info) : e;
}

bool
sqlite_is_there(const struct conf *conf)
{
	AUTO_FREE char *path = db_file_path(conf->database_dsn);

	return path != NULL && access(path, F_OK) == 0;
}

enum err
sqlite_open_read(const struct conf *conf, struct db **ret, struct errinfo *info)
{
	AUTO_FREE char *path = db_file_path(conf->database_dsn);

	if (!sqlite_is_there(conf))
		return err_set(info, ERR_NOT_FOUND, "DATABASE_DSN: %s: there is no such file",
			       conf->database_dsn);
	return open_path(conf, path, true, ret, info);
}

void
sqlite_settle(struct db *db)
{
	sqlite3 *handle = sqlite_of(db)->handle;

	if (handle != NULL) /* else the file was lost */
		(void)sqlite3_db_config(handle, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0, NULL);
}

/* The file was removed, or another lies in its place: what went into ours would be
 * lost. Nothing else tells, since an open file stays usable. */
enum err
sqlite_take_file_again(struct sqlite *s)
{
	int moved = 0;

	if (s->base.rows_open ||
	    (s->handle != NULL && (sqlite3_file_control(s->handle, "main", SQLITE_FCNTL_HAS_MOVED,
							&moved) != SQLITE_OK ||
				   moved == 0)))
		return ERR_OK;
	if (access(s->path, F_OK) < 0)
		return db_failed(&s->base, ERR_DB_AWAY, "%s is gone", s->path);
	close_handle(s);
	if (open_handle(s) == SQLITE_OK)
		return ERR_OK;
	close_handle(s);
	return db_failed(&s->base, ERR_DB_AWAY, "%s was replaced and cannot be opened", s->path);
}
