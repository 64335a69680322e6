/* SPDX-License-Identifier: MIT
 *
 * One file of the spool: a header and framed rows (logrow.h), appended by one
 * writer that holds an exclusive flock(2) while it lives. Who gets a shared lock
 * has a segment that will not grow any more.
 *
 * Between spool.c, which writes, and flush.c, which reads; nobody else needs it.
 */
#ifndef LIB_SEGMENT_H
#define LIB_SEGMENT_H

#include "lib/err.h"
#include "lib/logrow.h"

struct conf;

#define SEGMENT_SUFFIX    ".spool"
#define SEGMENT_NAME_SIZE (36 + sizeof(SEGMENT_SUFFIX))
#define SEGMENT_HEADER    8 /* bytes before the first row */

/* The spool folder and spool/refused are made if they are not there (0700). *ret
 * is the folder's descriptor, the caller's. */
enum err segment_dir(const struct conf *conf, int *ret, struct errinfo *info) MUST_CHECK;
/* The name of this folder, made up once: tells its segments from another node's in
 * the DB. out[37]. */
enum err segment_node(int dir, char out[37], struct errinfo *info) MUST_CHECK;

/* --- all of them --- */
struct segment_list {
	char (*name)[SEGMENT_NAME_SIZE]; /* oldest first */
	size_t n;
	int64_t bytes; /* of all */
};
enum err segment_list(int dir, struct segment_list *ret, struct errinfo *info) MUST_CHECK;
void segment_list_done(struct segment_list *list);

/* --- writing --- */
struct segment {
	int fd; /* -1: none */
	int64_t size;
	int64_t made_us; /* monotonic */
};
/* ERR_DISK when there is no room for it. */
enum err segment_create(int dir, struct segment *ret, struct errinfo *info) MUST_CHECK;
/* One write(2); whatever does not fit whole is cut off again. After ERR_DISK and
 * ERR_IO the segment is as it was, or finished if not even that was possible. */
enum err segment_append(struct segment *s, struct str record, struct errinfo *info) MUST_CHECK;
/* The lock goes, the file stays. Nothing when there is none. */
void segment_finish(struct segment *s);
/* Somebody removed the file under its writer. */
bool segment_is_gone(const struct segment *s);

/* --- reading --- */
struct segment_reader {
	int fd;
	bool finished;
	int64_t next;    /* in the file: behind what segment_read() returned */
	char *window;    /* bytes of the file, the reader's own */
	struct str rest; /* of the window, not yet returned: stands at `next` */
};
/* From byte `position` on (0: the start). ERR_NOT_FOUND: there is no such segment
 * any more. ERR_CONF: not a segment, or one of a format that this version does not
 * know. */
enum err segment_open(int dir, const char *name, int64_t position, struct segment_reader *ret,
		      struct errinfo *info) MUST_CHECK;
void segment_close(struct segment_reader *r);
/* Up to max whole rows; slices point into the reader until the next call. Nothing
 * more, for now: *ret_n is 0. *ret_lost is raised by the rows that are damaged or
 * were torn off at the end of a finished segment. */
enum err segment_read(struct segment_reader *r, struct logrow *rows, size_t max, size_t *ret_n,
		      int64_t *ret_lost, struct errinfo *info) MUST_CHECK;

/* --- what was lost --- */
/* Counts n rows as lost, over all processes of the node; n 0 reads. *ret (may be
 * NULL): how many in all. */
enum err segment_lost(int dir, int64_t n, int64_t *ret) MUST_CHECK;
/* Removes the oldest segment that is neither being written nor being read. *ret_rows:
 * how many it held, those included that are in the DB already: how far it was flushed
 * only the DB knows, which is not asked here. ERR_NOT_FOUND: there is none. */
enum err segment_give_up(int dir, int64_t *ret_rows, struct errinfo *info) MUST_CHECK;

#endif
