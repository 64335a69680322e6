/* SPDX-License-Identifier: MIT
 *
 * Segment files: how they come to be, grow, are read and go. The rules that make
 * it safe against a kill at any moment:
 *
 *	- a segment appears under its name (rename) only when it is locked and has
 *	  its header, so that nobody takes a new one for a finished one;
 *	- a row is one append; a row that did not fit whole is cut off again;
 *	- who removes a segment holds a lock on it, and who has got a lock looks
 *	  whether the file is still there.
 */
#include "lib/segment.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/crypt.h"
#include "lib/limits.h"
#include "lib/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* The last byte is the format's version. */
static const char magic[SEGMENT_HEADER] = {'G', 'P', 'T', 'L', 'S', 'P', 'L', 1};

#define UNFINISHED_SUFFIX ".new"
#define UNFINISHED_S      60 /* older ones belong to nobody */
#define NODE_FILE         "node"
#define LOST_FILE         "lost"
/* "%020lld\n": in place, so that counting needs no room on a full disk. */
#define LOST_BYTES 21
/* Larger than any record, so that a full window holds at least one. */
#define WINDOW_BYTES (256 * 1024)

_Static_assert(WINDOW_BYTES >= LIMIT_LOG_RECORD + 64, "a window holds a record");

static enum err
os_error(struct errinfo *info, const char *what, const char *name)
{
	int error = errno;
	bool full = error == ENOSPC || error == EDQUOT || error == EFBIG;
	char text[128];

	return err_set(info, full ? ERR_DISK : ERR_IO, "%s spool/%s: %s", what, name,
		       strerror_r(error, text, sizeof(text)));
}

static ssize_t
write_once(int fd, const void *p, size_t n)
{
	ssize_t done;

	do
		done = write(fd, p, n);
	while (done < 0 && errno == EINTR);
	return done;
}

static int
lock_file(int fd, int how)
{
	int result;

	do
		result = flock(fd, how);
	while (result < 0 && errno == EINTR);
	return result;
}

/* --- the folder --- */

enum err
segment_dir(const struct conf *conf, int *ret, struct errinfo *info)
{
	AUTO_FREE char *path = conf_path(conf, "spool");
	int dir;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return os_error(info, "cannot make", "");
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return os_error(info, "cannot open", "");
	if (mkdirat(dir, "refused", 0700) < 0 && errno != EEXIST) {
		enum err e = os_error(info, "cannot make", "refused");

		close(dir);
		return e;
	}
	*ret = dir;
	return ERR_OK;
}

static bool
read_node(int dir, char out[37])
{
	char text[37] = "";
	ssize_t n;
	int fd = openat(dir, NODE_FILE, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n != (ssize_t)sizeof(text) - 1)
		return false;
	memcpy(out, text, sizeof(text));
	return true;
}

enum err
segment_node(int dir, char out[37], struct errinfo *info)
{
	char id[37];
	char name[64];
	enum err e = ERR_OK;
	int fd;

	if (read_node(dir, out))
		return ERR_OK;
	uuid7(id);
	(void)snprintf(name, sizeof(name), NODE_FILE ".%s", id);
	fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return os_error(info, "cannot make", name);
	if (write_once(fd, id, sizeof(id) - 1) != (ssize_t)sizeof(id) - 1)
		e = os_error(info, "cannot write", name);
	close(fd);
	/* Of two processes that come here at once the first one's name holds. */
	if (e == ERR_OK && linkat(dir, name, dir, NODE_FILE, 0) < 0 && errno != EEXIST)
		e = os_error(info, "cannot make", NODE_FILE);
	unlinkat(dir, name, 0);
	if (e == ERR_OK && !read_node(dir, out))
		e = err_set(info, ERR_IO, "spool/" NODE_FILE " is damaged: remove it");
	return e;
}

/* --- all of them --- */

static int
by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

static bool
is_segment_name(const char *name)
{
	return strlen(name) == SEGMENT_NAME_SIZE - 1 && str_ends(str_of(name), SEGMENT_SUFFIX);
}

static void
list_add(int dir, const char *name, struct segment_list *list)
{
	bool unfinished = str_ends(str_of(name), UNFINISHED_SUFFIX);
	struct stat st;

	if ((!unfinished && !is_segment_name(name)) ||
	    fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
		return;
	if (unfinished) {
		/* Has no row. A writer gives it its name at once, or died. */
		if (st.st_mtime < clock_wall_ms() / 1000 - UNFINISHED_S)
			unlinkat(dir, name, 0);
		return;
	}
	list->name = xrealloc(list->name, (list->n + 1) * sizeof(*list->name));
	memcpy(list->name[list->n++], name, SEGMENT_NAME_SIZE);
	list->bytes += st.st_size;
}

enum err
segment_list(int dir, struct segment_list *ret, struct errinfo *info)
{
	struct segment_list list = {0};
	const struct dirent *entry;
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;

	if (stream == NULL) {
		enum err e = os_error(info, "cannot read", "");

		if (fd >= 0)
			close(fd);
		return e;
	}
	while ((entry = readdir(stream)) != NULL)
		list_add(dir, entry->d_name, &list);
	closedir(stream);
	if (list.n > 1)
		qsort(list.name, list.n, sizeof(*list.name), by_name);
	*ret = list;
	return ERR_OK;
}

void
segment_list_done(struct segment_list *list)
{
	free(list->name);
	*list = (struct segment_list){0};
}

/* --- writing --- */

enum err
segment_create(int dir, struct segment *ret, struct errinfo *info)
{
	char id[37];
	char fresh[64];
	char name[64];
	enum err e;
	int fd;

	uuid7(id);
	(void)snprintf(fresh, sizeof(fresh), "%s" UNFINISHED_SUFFIX, id);
	(void)snprintf(name, sizeof(name), "%s" SEGMENT_SUFFIX, id);
	fd = openat(dir, fresh, O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return os_error(info, "cannot make", fresh);
	if (lock_file(fd, LOCK_EX | LOCK_NB) < 0)
		e = os_error(info, "cannot lock", fresh);
	else if (write_once(fd, magic, sizeof(magic)) != (ssize_t)sizeof(magic))
		e = os_error(info, "cannot write", fresh);
	else if (renameat(dir, fresh, dir, name) < 0)
		e = os_error(info, "cannot rename", fresh);
	else
		e = ERR_OK;
	if (e != ERR_OK) {
		unlinkat(dir, fresh, 0);
		close(fd);
		return e;
	}
	*ret = (struct segment){.fd = fd, .size = SEGMENT_HEADER, .made_us = clock_mono_us()};
	return ERR_OK;
}

enum err
segment_append(struct segment *s, struct str record, struct errinfo *info)
{
	ssize_t done = write_once(s->fd, record.p, record.n);
	enum err e;

	if (done == (ssize_t)record.n) {
		s->size += done;
		return ERR_OK;
	}
	/* A short write says why only when it is tried again; it is a full disk. */
	if (done >= 0)
		errno = ENOSPC;
	e = os_error(info, "cannot write", "a segment");
	if (done > 0 && ftruncate(s->fd, s->size) < 0)
		segment_finish(s); /* the torn row is its last, so the reader skips it */
	return e;
}

void
segment_finish(struct segment *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

bool
segment_is_gone(const struct segment *s)
{
	struct stat st;

	return fstat(s->fd, &st) < 0 || st.st_nlink == 0;
}

/* --- reading --- */

/* Opens and locks; *ret_finished tells whether the lock was to be had. */
static enum err
open_locked(int dir, const char *name, int how, int *ret_fd, bool *ret_finished,
	    struct errinfo *info)
{
	int fd = openat(dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	enum err e = ERR_OK;
	struct stat st;

	if (fd < 0)
		return errno == ENOENT ? ERR_NOT_FOUND : os_error(info, "cannot open", name);
	if (lock_file(fd, how | LOCK_NB) == 0)
		*ret_finished = true;
	else if (errno == EWOULDBLOCK)
		*ret_finished = false;
	else
		e = os_error(info, "cannot lock", name);
	if (e == ERR_OK && (fstat(fd, &st) < 0 || st.st_nlink == 0))
		e = ERR_NOT_FOUND;
	if (e != ERR_OK) {
		close(fd);
		return e;
	}
	*ret_fd = fd;
	return ERR_OK;
}

/* The descriptor is the reader's, or closed when it is no segment. */
static enum err
reader_init(int fd, bool finished, int64_t position, struct segment_reader *ret,
	    struct errinfo *info)
{
	char head[SEGMENT_HEADER];
	ssize_t n = pread(fd, head, sizeof(head), 0);

	if (n != (ssize_t)sizeof(head) || memcmp(head, magic, sizeof(head)) != 0) {
		enum err e = n < 0 ? os_error(info, "cannot read", "a segment")
				   : err_set(info, ERR_CONF, "not a segment of this version");

		close(fd);
		return e;
	}
	*ret = (struct segment_reader){
	    .fd = fd,
	    .finished = finished,
	    .next = MAX(position, SEGMENT_HEADER),
	    .window = xmalloc(WINDOW_BYTES),
	};
	return ERR_OK;
}

enum err
segment_open(int dir, const char *name, int64_t position, struct segment_reader *ret,
	     struct errinfo *info)
{
	bool finished = false;
	int fd = -1;
	enum err e = open_locked(dir, name, LOCK_SH, &fd, &finished, info);

	return e == ERR_OK ? reader_init(fd, finished, position, ret, info) : e;
}

void
segment_close(struct segment_reader *r)
{
	free(r->window);
	r->window = NULL;
	if (r->fd >= 0)
		close(r->fd);
	r->fd = -1;
}

/* Fills the window from r->next on; *ret_more: it holds more than before. */
static enum err
refill(struct segment_reader *r, bool *ret_more, struct errinfo *info)
{
	size_t had = r->rest.n;
	size_t n = 0;

	while (n < WINDOW_BYTES) {
		ssize_t got = pread(r->fd, r->window + n, WINDOW_BYTES - n, r->next + (int64_t)n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return os_error(info, "cannot read", "a segment");
		if (got == 0)
			break;
		n += (size_t)got;
	}
	r->rest = (struct str){r->window, n};
	*ret_more = n > had;
	return ERR_OK;
}

/* What stands at r->rest is no row and never becomes one. Its own length says
 * where the next one begins, unless that is damaged too: then the rest of the
 * segment is given up (looking for something that resembles a row would let a
 * logged request body pass for one). */
static void
skip_damaged(struct segment_reader *r)
{
	uint32_t n = 0;

	if (r->rest.n >= 8)
		memcpy(&n, r->rest.p, sizeof(n));
	n = le32toh(n);
	if (n > 0 && n <= LIMIT_LOG_RECORD && n + 8 <= r->rest.n) {
		r->rest = str_from(r->rest, n + 8);
		r->next += n + 8;
		return;
	}
	r->rest = (struct str){NULL, 0};
	r->next = INT64_MAX;
}

enum err
segment_read(struct segment_reader *r, struct logrow *rows, size_t max, size_t *ret_n,
	     int64_t *ret_lost, struct errinfo *info)
{
	size_t n = 0;

	while (n < max && r->next != INT64_MAX) {
		size_t before = r->rest.n;
		bool more = false;
		enum err e = logrow_decode(&r->rest, &rows[n]);

		if (e == ERR_OK) {
			n++;
			r->next += (int64_t)(before - r->rest.n);
			continue;
		}
		if (e == ERR_NOT_FOUND && n > 0)
			break; /* filling the window would move the rows */
		if (e == ERR_NOT_FOUND && (e = refill(r, &more, info)) != ERR_OK)
			return e;
		if (more)
			continue;
		/* What a living writer has not written whole yet is no damage. */
		if (!r->finished || r->rest.n == 0)
			break;
		skip_damaged(r);
		(*ret_lost)++;
	}
	*ret_n = n;
	return ERR_OK;
}

/* --- what was lost --- */

enum err
segment_lost(int dir, int64_t n, int64_t *ret)
{
	char text[LOST_BYTES + 1] = "";
	int64_t total = 0;
	bool there = false;
	enum err e = ERR_OK;
	int fd = openat(dir, LOST_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0)
		return ERR_IO;
	if (lock_file(fd, LOCK_EX) < 0)
		e = ERR_IO;
	else
		there = pread(fd, text, LOST_BYTES, 0) == LOST_BYTES &&
			str_to_i64((struct str){text, LOST_BYTES - 1}, 0, INT64_MAX, &total);
	total = n < INT64_MAX - total ? total + n : INT64_MAX;
	(void)snprintf(text, sizeof(text), "%020lld\n", (long long)total);
	/* The first call, which adds nothing, takes the room. */
	if (e == ERR_OK && (n > 0 || !there) && pwrite(fd, text, LOST_BYTES, 0) != LOST_BYTES)
		e = ERR_DISK;
	close(fd);
	if (e == ERR_OK && ret != NULL)
		*ret = total;
	return e;
}

/* Takes the descriptor. A file that is no segment holds none. */
static int64_t
count_rows(int fd)
{
	struct logrow rows[16];
	struct segment_reader r;
	int64_t total = 0;
	size_t n = 1;

	if (reader_init(fd, true, 0, &r, NULL) != ERR_OK)
		return 0;
	while (n > 0 && segment_read(&r, rows, ARRAY_LEN(rows), &n, &total, NULL) == ERR_OK)
		total += (int64_t)n;
	segment_close(&r);
	return total;
}

/* ERR_NOT_FOUND: it is in use, or gone. */
static enum err
give_up_one(int dir, const char *name, int64_t *ret_rows, struct errinfo *info)
{
	bool unused = false;
	int fd = -1;
	enum err e = open_locked(dir, name, LOCK_EX, &fd, &unused, info);

	if (e != ERR_OK)
		return e;
	if (!unused)
		e = ERR_NOT_FOUND;
	else if (unlinkat(dir, name, 0) < 0)
		e = os_error(info, "cannot remove", name);
	if (e != ERR_OK)
		close(fd);
	else
		*ret_rows = count_rows(fd);
	return e;
}

enum err
segment_give_up(int dir, int64_t *ret_rows, struct errinfo *info)
{
	struct segment_list list;
	enum err e = segment_list(dir, &list, info);

	if (e != ERR_OK)
		return e;
	e = ERR_NOT_FOUND;
	for (size_t i = 0; i < list.n && e == ERR_NOT_FOUND; i++)
		e = give_up_one(dir, list.name[i], ret_rows, info);
	segment_list_done(&list);
	return e;
}
