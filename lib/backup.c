/* SPDX-License-Identifier: MIT
 *
 * See backup.h. Copies are made with SQLite's own backup interface. While it goes from
 * page to page a read transaction is held open on the source: in a write-ahead log the
 * copy is then of one moment, and a writer does not make it begin anew.
 *
 * What is restored is first copied beside the database and made ready there (its
 * generation above the present one, so that every pool notices), then copied over the
 * database in one transaction of SQLite.
 */
#include "lib/backup.h"

#include "lib/db.h"
#include "lib/migrate.h"
#include "lib/stored.h"
#include "lib/str.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGES   512 /* of one step */
#define BUSY_MS 10000
#define WAIT_MS 20

/* --- SQLite --- */

static enum err
failed(sqlite3 *handle, const char *path, int code, struct errinfo *info)
{
	enum err e = (code & 0xff) == SQLITE_FULL     ? ERR_DISK
		     : (code & 0xff) == SQLITE_NOTADB ? ERR_CONF
						      : ERR_DB;

	return err_set(info, e, "%s: %s", path,
		       handle != NULL ? sqlite3_errmsg(handle) : sqlite3_errstr(code));
}

static enum err
open_file(const char *path, int flags, sqlite3 **ret, struct errinfo *info)
{
	AUTO_FREE char *real = db_file_path(path);
	int code;

	if (real == NULL)
		return err_set(info, ERR_IO, "%s: there is no such folder", path);
	code = sqlite3_open_v2(real, ret, flags | SQLITE_OPEN_NOFOLLOW, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_busy_timeout(*ret, BUSY_MS);
	/* Whether it is a database shows with the first page. */
	if (code == SQLITE_OK)
		code = sqlite3_exec(*ret, "SELECT count(*) FROM sqlite_master", NULL, NULL, NULL);
	return code == SQLITE_OK ? ERR_OK : failed(*ret, path, code, info);
}

static int
copy_pages(sqlite3_backup *backup, backup_progress_fn progress, void *arg)
{
	int waited = 0;
	int code;

	do {
		code = sqlite3_backup_step(backup, PAGES);
		progress(arg, sqlite3_backup_pagecount(backup) - sqlite3_backup_remaining(backup),
			 sqlite3_backup_pagecount(backup));
		if (code == SQLITE_BUSY || code == SQLITE_LOCKED)
			waited += sqlite3_sleep(WAIT_MS);
	} while (code == SQLITE_OK ||
		 ((code == SQLITE_BUSY || code == SQLITE_LOCKED) && waited < BUSY_MS));
	return code;
}

static enum err
copy_all(sqlite3 *from, sqlite3 *to, const char *to_path, backup_progress_fn progress, void *arg,
	 struct errinfo *info)
{
	int code =
	    sqlite3_exec(from, "BEGIN; SELECT count(*) FROM sqlite_master", NULL, NULL, NULL);
	sqlite3_backup *backup;

	if (code != SQLITE_OK)
		return failed(from, to_path, code, info);
	backup = sqlite3_backup_init(to, "main", from, "main");
	if (backup == NULL)
		return failed(to, to_path, SQLITE_ERROR, info);
	code = copy_pages(backup, progress, arg);
	(void)sqlite3_backup_finish(backup);
	(void)sqlite3_exec(from, "COMMIT", NULL, NULL, NULL);
	return code == SQLITE_DONE ? ERR_OK : failed(NULL, to_path, code, info);
}

static int
on_check(void *is_ok, int n, char **values, char **names)
{
	(void)names;
	*(bool *)is_ok = n == 1 && values[0] != NULL && strcmp(values[0], "ok") == 0;
	return *(bool *)is_ok ? 0 : 1;
}

/* One file, without a log beside it, and whole. */
static enum err
finish_copy(sqlite3 *copy, const char *path, struct errinfo *info)
{
	bool is_ok = false;
	int code = sqlite3_exec(copy, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_exec(copy, "PRAGMA quick_check(1)", on_check, &is_ok, NULL);
	if (code != SQLITE_OK && code != SQLITE_ABORT)
		return failed(copy, path, code, info);
	return is_ok ? ERR_OK : err_set(info, ERR_DB, "%s: the copy is damaged", path);
}

/* `path` is made anew, for its owner only. */
static enum err
copy_file(const char *from_path, const char *path, backup_progress_fn progress, void *arg,
	  struct errinfo *info)
{
	sqlite3 *from = NULL;
	sqlite3 *to = NULL;
	enum err e;
	int fd;

	(void)unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(info, ERR_IO, "%s: %m", path);
	(void)close(fd);
	e = open_file(from_path, SQLITE_OPEN_READONLY, &from, info);
	if (e == ERR_OK)
		e = open_file(path, SQLITE_OPEN_READWRITE, &to, info);
	if (e == ERR_OK)
		e = copy_all(from, to, path, progress, arg, info);
	if (e == ERR_OK)
		e = finish_copy(to, path, info);
	(void)sqlite3_close(from);
	(void)sqlite3_close(to);
	return e;
}

/* --- making one --- */

static enum err
sync_file(const char *path, struct errinfo *info)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int rc = fd < 0 ? -1 : fsync(fd);
	enum err e = rc == 0 ? ERR_OK : err_set(info, ERR_IO, "%s: %m", path);

	if (fd >= 0)
		(void)close(fd);
	return e;
}

static enum err
give_name(const char *part, const char *path, bool replace, struct errinfo *info)
{
	enum err e = sync_file(part, info);

	if (e != ERR_OK)
		return e;
	if (renameat2(AT_FDCWD, part, AT_FDCWD, path, replace ? 0 : RENAME_NOREPLACE) == 0)
		return ERR_OK;
	return err_set(info, errno == EEXIST ? ERR_DUPLICATE : ERR_IO, "%s: %m", path);
}

/* Whoever serves would go on in a file without a name. */
static bool
is_database_itself(const struct conf *conf, const char *path)
{
	struct stat database;
	struct stat st;

	return stat(conf->database_dsn, &database) == 0 && stat(path, &st) == 0 &&
	       st.st_dev == database.st_dev && st.st_ino == database.st_ino;
}

enum err
backup_make(const struct conf *conf, const char *path, bool replace, backup_progress_fn progress,
	    void *arg, struct errinfo *info)
{
	AUTO_FREE char *part = xasprintf("%s.part", path);
	struct stat st;
	enum err e;

	if (db_dialect_of(conf->database_dsn) != DB_SQLITE)
		return err_set(info, ERR_CONF, "DATABASE_DSN: only SQLite is copied this way");
	if (!replace && lstat(path, &st) == 0)
		return err_set(info, ERR_DUPLICATE, "%s is there already", path);
	if (is_database_itself(conf, path))
		return err_set(info, ERR_DUPLICATE, "%s is the database itself", path);
	e = copy_file(conf->database_dsn, part, progress, arg, info);
	if (e == ERR_OK)
		e = give_name(part, path, replace, info);
	if (e != ERR_OK)
		(void)unlink(part);
	return e;
}

/* --- putting one back --- */

/* Of the database that is there now; 0: none, or nothing that can be read. */
static int64_t
present(const struct conf *conf, const char *name)
{
	struct db *db = NULL;
	struct buf text;
	int64_t n = 0;

	if (db_open_read(conf, &db, NULL) != ERR_OK)
		return 0;
	buf_init(&text, 64);
	if (meta_get(db, name, &text) != ERR_OK ||
	    !str_to_i64(buf_view(&text), 0, INT64_MAX - 1, &n))
		n = 0;
	buf_done(&text);
	db_close(db);
	return n;
}

/* Above what is there now and above what the copy has, so that a pool of either is
 * noticed to be another. */
static enum err
raise(struct db *copy, const struct conf *conf, const char *name)
{
	int64_t now = present(conf, name);
	int64_t there = 0;
	char text[24];
	enum err e = db_query_int(copy, "SELECT value FROM gptl_meta WHERE name = ?",
				  DB_ARGS(db_cstr(name)), 0, &there);

	(void)snprintf(text, sizeof(text), "%lld", (long long)MAX(now, there) + 1);
	return e == ERR_OK ? meta_set(copy, name, str_of(text)) : e;
}

static enum err
make_ready_within(struct db *copy, const struct conf *conf)
{
	bool ours = false;
	enum err e = migrate_has_table(copy, "gptl_meta", &ours);

	/* One of GPT-Load 1.4 is taken over at the next start, and is new to every pool. */
	if (e != ERR_OK || !ours)
		return e;
	e = raise(copy, conf, "generation");
	if (e == ERR_OK)
		e = raise(copy, conf, "version");
	if (e == ERR_OK)
		e = db_exec(copy, "DELETE FROM gptl_lease", DB_NO_ARGS, NULL);
	return e;
}

static enum err
make_ready(struct db *copy, const struct conf *conf, const struct crypt *crypt,
	   struct errinfo *info)
{
	bool there = false;
	enum err e = migrate_has_table(copy, "groups", &there);

	if (e == ERR_OK && !there)
		return err_set(info, ERR_CONF, "this is not a database of GPT-Load");
	if (e == ERR_OK)
		e = migrate_refuse_older(copy, info);
	if (e != ERR_OK)
		return e;
	e = stored_check(copy, crypt, info);
	if (e != ERR_OK)
		return e;
	e = db_begin(copy);
	if (e == ERR_OK)
		e = make_ready_within(copy, conf);
	if (e == ERR_OK)
		e = db_commit(copy);
	if (e != ERR_OK) {
		(void)err_set(info, e, "%s", db_error(copy));
		db_rollback(copy);
	}
	return e;
}

static enum err
prepare_copy(const struct conf *conf, char *part, const struct crypt *crypt, struct errinfo *info)
{
	struct conf of_copy = *conf;
	struct db *copy = NULL;
	enum err e;

	of_copy.database_dsn = part;
	e = db_open(&of_copy, &copy, info);
	if (e == ERR_OK)
		e = make_ready(copy, conf, crypt, info);
	if (copy != NULL)
		db_settle(copy);
	db_close(copy);
	return e;
}

static enum err
put_over(const struct conf *conf, const char *part, backup_progress_fn progress, void *arg,
	 struct errinfo *info)
{
	sqlite3 *from = NULL;
	sqlite3 *to = NULL;
	enum err e = open_file(part, SQLITE_OPEN_READONLY, &from, info);

	if (e == ERR_OK)
		e = open_file(conf->database_dsn, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &to,
			      info);
	if (e == ERR_OK)
		e = copy_all(from, to, conf->database_dsn, progress, arg, info);
	(void)sqlite3_close(from);
	(void)sqlite3_close(to);
	return e;
}

enum err
backup_restore(const struct conf *conf, const char *path, const struct crypt *crypt,
	       backup_progress_fn progress, void *arg, struct errinfo *info)
{
	AUTO_FREE char *part = xasprintf("%s.restore", conf->database_dsn);
	AUTO_FREE char *log = xasprintf("%s-wal", part);
	AUTO_FREE char *memory = xasprintf("%s-shm", part);
	enum err e;

	if (db_dialect_of(conf->database_dsn) != DB_SQLITE)
		return err_set(info, ERR_CONF, "DATABASE_DSN: only SQLite is restored this way");
	e = copy_file(path, part, progress, arg, info);
	if (e == ERR_OK)
		e = prepare_copy(conf, part, crypt, info);
	if (e == ERR_OK)
		e = put_over(conf, part, progress, arg, info);
	(void)unlink(part);
	(void)unlink(log);
	(void)unlink(memory);
	return e;
}
