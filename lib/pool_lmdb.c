/* SPDX-License-Identifier: MIT
 *
 * The key pool in LMDB: opening and closing. The parts are beside this file:
 * pool_lmdb_base.c (transactions, records), _hot.c, _keys.c, _look.c, _meta.c,
 * _check.c.
 *
 * Without syncing the file is safe against the death of any process, never against
 * that of the machine; so it is used only within the boot that made it. And what
 * is written through a map into a file with holes is SIGBUS when the disk is full;
 * so every block is there before the first page is written.
 *
 *	pool.mdb	the file; a shared flock on it says that somebody uses it
 *	pool.mdb-lock	LMDB's own
 *	pool.open.lock	flock: one process opens at a time. Holds the mark: which
 *			file (format, boot, device, inode, size) was made to its end.
 *			No mark, or another one: the file is worth nothing.
 */
#include "lib/pool_lmdb.h"
#include "lib/conf.h"
#include "lib/log.h"
#include "lib/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>

/* Grows with each change of the records or databases. */
#define FORMAT      "gpt-load-pool-1"
#define MAX_READERS 4096
#define MB          ((int64_t)1024 * 1024)
#define UUID_CHARS  36

/* The process that has a pool open: LMDB allows a file to be opened once. */
static _Atomic(pid_t) opened_by;

/* One opening, from the locks to the map. */
struct opening {
	const struct conf *conf;
	struct errinfo *info;
	char *data_path;
	char *readers_path;
	int lock_fd;
	int data_fd;
	bool alone;    /* nobody else has the file open */
	bool is_new;   /* made now: blocks and databases are missing yet */
	int64_t size;  /* of the map */
	char boot[64]; /* "" when it cannot be known: no file outlives its users */
	struct pool_lmdb *p;
};

/* --- the ground --- */

static enum err
check_file_system(const struct conf *conf, struct errinfo *info)
{
	static const struct {
		unsigned int magic;
		const char *name;
	} remote[] = {
	    {0x6969, "NFS"},      {0x517B, "SMB"},      {0xFE534D42, "SMB"},
	    {0xFF534D42, "CIFS"}, {0x65735546, "FUSE"}, {0x01021997, "9P"},
	    {0x00C36400, "Ceph"}, {0x5346414F, "AFS"},  {0x0BD00BD0, "Lustre"},
	};
	struct statfs fs;

	if (statfs(conf->data_dir, &fs) != 0)
		return err_set(info, ERR_IO, "DATA_DIR %s: %m", conf->data_dir);
	for (size_t i = 0; i < ARRAY_LEN(remote); i++)
		if ((unsigned int)fs.f_type == remote[i].magic)
			return err_set(
			    info, ERR_CONF,
			    "DATA_DIR %s is on a network file system (%s): the embedded pool "
			    "needs a local disk",
			    conf->data_dir, remote[i].name);
	return ERR_OK;
}

/* Beyond the limit a write is a signal, not an error. */
static enum err
check_file_limit(int64_t size, struct errinfo *info)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
	    limit.rlim_cur >= (rlim_t)size)
		return ERR_OK;
	return err_set(
	    info, ERR_CONF,
	    "POOL_SIZE_MB is %lld, but files may not grow beyond %llu MB here (ulimit -f)",
	    (long long)(size / MB), (unsigned long long)limit.rlim_cur / (unsigned long long)MB);
}

static void
read_boot_id(char *ret, size_t size)
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, ret, size - 1) : 0;

	if (fd >= 0)
		close(fd);
	ret[n == UUID_CHARS + 1 ? UUID_CHARS : 0] = '\0';
}

static bool
lock(int fd, int how)
{
	int rc;

	do
		rc = flock(fd, how);
	while (rc != 0 && errno == EINTR);
	return rc == 0;
}

static enum err
lock_openers(struct opening *o)
{
	AUTO_FREE char *path = conf_path(o->conf, "pool.open.lock");

	o->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (o->lock_fd < 0 || !lock(o->lock_fd, LOCK_EX))
		return err_set(o->info, ERR_IO, "%s: %m", path);
	return ERR_OK;
}

/* --- the mark --- */

/* Which file it is: a copy put back from elsewhere is another one. */
static void
file_identity(const struct stat *st, char *ret, size_t size)
{
	(void)snprintf(ret, size, "%llx:%llx", (unsigned long long)st->st_dev,
		       (unsigned long long)st->st_ino);
}

/* Whether the file was made to its end, by this format and, unless somebody has it
 * open, in this boot. */
static bool
mark_read(const struct opening *o, int64_t *ret_size)
{
	enum {
		MARK_FORMAT,
		MARK_BOOT,
		MARK_FILE,
		MARK_SIZE,
		MARK__MAX
	};
	struct str field[MARK__MAX];
	char text[256];
	char identity[64];
	struct stat st;
	ssize_t n = pread(o->lock_fd, text, sizeof(text), 0);
	struct str rest;
	int64_t size;

	if (n <= 0 || fstat(o->data_fd, &st) != 0)
		return false;
	rest = str_trim((struct str){text, (size_t)n});
	for (size_t i = 0; i < MARK__MAX; i++)
		if (!str_split(&rest, ' ', &field[i]))
			return false;
	file_identity(&st, identity, sizeof(identity));
	if (!str_is(field[MARK_FORMAT], FORMAT) || !str_is(field[MARK_FILE], identity) ||
	    !str_to_i64(field[MARK_SIZE], 1, INT64_MAX, &size) || size != (int64_t)st.st_size)
		return false;
	if (o->alone && (o->boot[0] == '\0' || !str_is(field[MARK_BOOT], o->boot)))
		return false;
	*ret_size = size;
	return true;
}

static enum err
mark_write(const struct opening *o)
{
	char text[256];
	char identity[64];
	struct stat st;
	int n;

	if (fstat(o->data_fd, &st) != 0)
		return err_set(o->info, ERR_IO, "%s: %m", o->data_path);
	file_identity(&st, identity, sizeof(identity));
	n = snprintf(text, sizeof(text), FORMAT " %s %s %lld\n", o->boot, identity,
		     (long long)o->size);
	check(n > 0 && (size_t)n < sizeof(text));
	if (ftruncate(o->lock_fd, 0) != 0 || pwrite(o->lock_fd, text, (size_t)n, 0) != n)
		return err_set(o->info, ERR_DISK, "the pool's mark in DATA_DIR: %m");
	return ERR_OK;
}

/* --- the file --- */

static enum err
open_data(struct opening *o, int flags)
{
	if (o->data_fd >= 0)
		close(o->data_fd);
	o->data_fd = open(o->data_path, O_RDWR | O_CREAT | O_CLOEXEC | flags, 0600);
	if (o->data_fd < 0)
		return err_set(o->info, ERR_IO, "%s: %m", o->data_path);
	o->alone = lock(o->data_fd, LOCK_EX | LOCK_NB);
	return ERR_OK;
}

static void
remove_files(const struct opening *o)
{
	/* The mark goes first: the next file may get the same inode. */
	if (ftruncate(o->lock_fd, 0) != 0)
		log_debug("pool.open.lock: %m");
	unlink(o->readers_path);
	unlink(o->data_path);
}

static enum err
replace_file(struct opening *o)
{
	enum err e = check_file_limit(o->conf->pool_size, o->info);

	if (e != ERR_OK)
		return e;
	remove_files(o);
	o->size = o->conf->pool_size;
	o->is_new = true;
	return open_data(o, O_EXCL);
}

/* A larger map over the same content; without room it stays as it was. */
static enum err
grow_file(struct opening *o)
{
	int64_t wanted = o->conf->pool_size;
	int rc;

	if (check_file_limit(wanted, o->info) != ERR_OK)
		rc = EFBIG;
	else
		rc = posix_fallocate(o->data_fd, o->size, wanted - o->size);
	if (rc == 0) {
		o->size = wanted;
		return mark_write(o);
	}
	log_warn("the key pool stays at %lld MB: %s", (long long)(o->size / MB), mdb_strerror(rc));
	if (ftruncate(o->data_fd, o->size) != 0)
		return err_set(o->info, ERR_IO, "%s: %m", o->data_path);
	return ERR_OK;
}

static enum err
find_file(struct opening *o)
{
	enum err e = open_data(o, 0);

	if (e != ERR_OK)
		return e;
	if (!mark_read(o, &o->size)) {
		if (o->alone)
			return replace_file(o);
		return err_set(o->info, ERR_POOL,
			       "%s is in use by processes of another version: end them first",
			       o->data_path);
	}
	if (o->conf->pool_size <= o->size)
		return ERR_OK;
	if (o->alone)
		return grow_file(o);
	log_warn("the key pool stays at %lld MB: to grow it, end every process that uses it",
		 (long long)(o->size / MB));
	return ERR_OK;
}

/* --- the map --- */

/* ERR_POOL: the file itself is at fault. */
static enum err
map_failed(const struct opening *o, int rc)
{
	if (rc == ENOMEM)
		return err_set(o->info, ERR_IO, "%s: cannot map %lld MB: lower POOL_SIZE_MB",
			       o->data_path, (long long)(o->size / MB));
	if (rc > 0)
		return err_set(o->info, rc == ENOSPC ? ERR_DISK : ERR_IO, "%s: %s", o->data_path,
			       mdb_strerror(rc));
	return err_set(o->info, ERR_POOL, "%s: %s", o->data_path, mdb_strerror(rc));
}

static int
open_databases(struct pool_lmdb *p)
{
	const struct {
		const char *name;
		unsigned int flags;
		MDB_dbi *ret;
	} all[] = {
	    {"meta", 0, &p->meta},
	    {"snapshot", MDB_INTEGERKEY, &p->snapshot},
	    {"groups", 0, &p->groups},
	    {"keys", MDB_INTEGERKEY, &p->keys},
	    {"members", 0, &p->members},
	    {"ring", 0, &p->ring},
	    {"rest", 0, &p->rest},
	    {"due", 0, &p->due},
	    {"dirty", MDB_INTEGERKEY, &p->dirty},
	};
	MDB_txn *txn;
	int rc = mdb_txn_begin(p->env, NULL, 0, &txn);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < ARRAY_LEN(all) && rc == 0; i++)
		rc = mdb_dbi_open(txn, all[i].name, all[i].flags | MDB_CREATE, all[i].ret);
	if (rc == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return rc;
}

/* LMDB leaves it to be inherited. */
static int
close_on_exec(MDB_env *env)
{
	int fd;
	int rc = mdb_env_get_fd(env, &fd);

	if (rc != 0)
		return rc;
	return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 ? 0 : errno;
}

static int
open_env(struct opening *o)
{
	struct pool_lmdb *p = o->p;
	int rc = mdb_env_create(&p->env);

	if (rc != 0)
		return rc;
	rc = mdb_env_set_mapsize(p->env, (size_t)o->size);
	if (rc == 0)
		rc = mdb_env_set_maxreaders(p->env, MAX_READERS);
	if (rc == 0)
		rc = mdb_env_set_maxdbs(p->env, 16);
	/* Keys lie anywhere in the file. What the kernel reads besides, up to 8 MiB as some
	 * disks are set, is read under the lock. */
	if (rc == 0)
		rc = mdb_env_open(
		    p->env, o->data_path,
		    MDB_NOSUBDIR | MDB_NOSYNC | MDB_WRITEMAP | MDB_NOTLS | MDB_NORDAHEAD, 0600);
	return rc == 0 ? close_on_exec(p->env) : rc;
}

static enum err
map_file(struct opening *o)
{
	struct pool_lmdb *p = o->p;
	MDB_stat st;
	int rc = open_env(o);

	/* LMDB has written its first two pages with write(2), none through the map. */
	if (rc == 0 && o->is_new) {
		rc = posix_fallocate(o->data_fd, 0, o->size);
		if (rc == ENOSPC || rc == EDQUOT)
			return err_set(
			    o->info, ERR_DISK,
			    "no room for the key pool of %lld MB in DATA_DIR (POOL_SIZE_MB): %s",
			    (long long)(o->size / MB), mdb_strerror(rc));
	}
	if (rc == 0)
		rc = open_databases(p);
	if (rc == 0)
		rc = mdb_env_stat(p->env, &st);
	if (rc != 0)
		return map_failed(o, rc);
	p->page_size = st.ms_psize;
	p->pages = (size_t)o->size / st.ms_psize;
	return o->is_new ? mark_write(o) : ERR_OK;
}

static void
unmap(struct opening *o)
{
	if (o->p->env != NULL)
		mdb_env_close(o->p->env);
	o->p->env = NULL;
}

/* --- opening and closing --- */

static enum err
open_all(struct opening *o)
{
	enum err e = check_file_system(o->conf, o->info);

	if (e == ERR_OK)
		e = lock_openers(o);
	if (e == ERR_OK)
		e = find_file(o);
	if (e != ERR_OK)
		return e;
	e = map_file(o);
	if (e == ERR_POOL && o->alone && !o->is_new) {
		unmap(o);
		e = replace_file(o);
		if (e == ERR_OK)
			e = map_file(o);
	}
	if (e == ERR_OK && !lock(o->data_fd, LOCK_SH))
		e = err_set(o->info, ERR_IO, "%s: %m", o->data_path);
	if (e != ERR_OK) {
		unmap(o);
		if (o->is_new)
			remove_files(o);
	}
	return e;
}

static void
close_lmdb(struct pool *pool)
{
	struct pool_lmdb *p = lmdb_of(pool);
	MDB_txn *idle = atomic_exchange(&p->idle_reader, NULL);

	if (idle != NULL)
		mdb_txn_abort(idle);
	mdb_env_close(p->env);
	close(p->fd);
	free(p);
	opened_by = 0;
}

static void
tend_lmdb(struct pool *pool)
{
	int dead;

	(void)mdb_reader_check(lmdb_of(pool)->env, &dead);
}

static const struct pool_store store = {
    .close = close_lmdb,
    .identity_get = lmdb_identity_get,
    .identity_set = lmdb_identity_set,
    .version = lmdb_version,
    .snapshot_put = lmdb_snapshot_put,
    .snapshot_get = lmdb_snapshot_get,
    .snapshot_ask = lmdb_snapshot_ask,
    .pick = lmdb_pick,
    .turn = lmdb_turn,
    .report = lmdb_report,
    .sync = lmdb_sync,
    .drop_group = lmdb_drop_group,
    .groups = lmdb_groups,
    .set_state = lmdb_set_state,
    .counts = lmdb_counts,
    .key_info = lmdb_key_info,
    .dirty = lmdb_dirty,
    .dirty_clear = lmdb_dirty_clear,
    .due = lmdb_due,
    .check_failed = lmdb_check_failed,
    .tend = tend_lmdb,
    .verify = lmdb_verify,
};

enum err
pool_lmdb_open(const struct conf *conf, struct pool **ret, struct errinfo *info)
{
	struct opening o = {.conf = conf, .info = info, .lock_fd = -1, .data_fd = -1};
	enum err e;

	check(opened_by != getpid());
	o.p = xcalloc(1, sizeof(*o.p));
	o.p->pool.store = &store;
	o.data_path = conf_path(conf, "pool.mdb");
	o.readers_path = conf_path(conf, "pool.mdb-lock");
	read_boot_id(o.boot, sizeof(o.boot));
	e = open_all(&o);
	if (o.lock_fd >= 0)
		close(o.lock_fd);
	free(o.data_path);
	free(o.readers_path);
	if (e != ERR_OK) {
		if (o.data_fd >= 0)
			close(o.data_fd);
		free(o.p);
		return e;
	}
	o.p->fd = o.data_fd;
	opened_by = getpid();
	*ret = &o.p->pool;
	return ERR_OK;
}
