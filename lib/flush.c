/* SPDX-License-Identifier: MIT
 *
 * From the spool to the DB. One process of a node at a time goes through the
 * segments, oldest first:
 *
 *	read up to 1000 rows ─▶ one transaction (batch.h): rows, key counters, hourly
 *	sums, position in the segment ─▶ next
 *	segment finished and read to its end ─▶ unlink it, forget its position
 *
 * The position is committed with the rows, so a kill at any moment repeats
 * nothing and leaves nothing out.
 *
 * A row that the database refuses is set aside, but only after a harmless row has
 * been accepted: a database that refuses every row is no reason to give them up.
 * A segment that cannot be read stays as it is, and holds up no other.
 */
#include "lib/flush.h"
#include "lib/batch.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "lib/segment.h"
#include "lib/str.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#define LOCK_FILE   "flush.lock"
#define REFUSED_DIR "refused"
/* Between two tries for the lock. */
#define LOCK_STEP_US 5000

struct position {
	char name[SEGMENT_NAME_SIZE];
	int64_t at;
};

struct flush {
	struct db *db; /* borrowed, like the next three */
	const struct flush_bounds *bounds;
	struct flush_result *result;
	struct errinfo *info;
	int dir;
	int lock;
	char node[37];
	struct position *positions; /* what the DB knows of this node's segments */
	size_t n_positions;
	struct batch *batch;
	enum err unreadable; /* why the first segment that was passed over was */
	struct errinfo unreadable_info;
};

static bool
out_of_bounds(const struct flush *f)
{
	const struct flush_bounds *b = f->bounds;

	return (b->stop != NULL && *b->stop) ||
	       (b->until_us != 0 && clock_mono_us() >= b->until_us);
}

static enum err
db_failure(struct flush *f, enum err e, const char *what)
{
	return err_set(f->info, e, "%s: %s", what, db_error(f->db));
}

static enum err
os_failure(struct flush *f, const char *what, const char *name)
{
	bool full = errno == ENOSPC || errno == EDQUOT || errno == EFBIG;
	char text[128];

	return err_set(f->info, full ? ERR_DISK : ERR_IO, "%s spool/%s: %s", what, name,
		       strerror_r(errno, text, sizeof(text)));
}

/* --- rows that cannot be stored --- */

static size_t
count_refused(const struct flush *f)
{
	int fd = openat(f->dir, REFUSED_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fd >= 0 ? fdopendir(fd) : NULL;
	size_t n = 0;

	if (stream == NULL) {
		if (fd >= 0)
			close(fd);
		return 0;
	}
	while (readdir(stream) != NULL)
		n++;
	closedir(stream);
	return n;
}

/* As spool/refused/<id>.row, in the spool's own form. */
static enum err
keep_refused(struct flush *f, const struct logrow *row)
{
	struct buf record;
	char name[64];
	ssize_t n;
	int fd;

	(void)snprintf(name, sizeof(name), REFUSED_DIR "/%s.row", row->id);
	fd = openat(f->dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return os_failure(f, "cannot make", name);
	buf_init(&record, LIMIT_LOG_RECORD + 64);
	logrow_encode(row, &record);
	n = write(fd, record.p, record.n);
	close(fd);
	if (n == (ssize_t)record.n) {
		buf_done(&record);
		return ERR_OK;
	}
	if (n >= 0)
		errno = ENOSPC;
	buf_done(&record);
	return os_failure(f, "cannot write", name);
}

/* The database's refusal of this row, while it takes others, is final. */
static enum err
refuse(struct flush *f, size_t bad, enum err why)
{
	const struct logrow *row = &f->batch->rows[bad];
	enum err e;

	if (!batch_probe(f->batch))
		return why;
	if (count_refused(f) < LIMIT_SPOOL_REFUSED) {
		e = keep_refused(f, row);
		if (e != ERR_OK)
			return e;
		log_error("the database refused log row %s, kept in spool/" REFUSED_DIR ": %s",
			  row->id, err_text(f->info, why));
	} else {
		e = segment_lost(f->dir, 1, NULL);
		if (e != ERR_OK)
			return e;
		log_error("the database refused log row %s, lost since spool/" REFUSED_DIR
			  " is full: %s",
			  row->id, err_text(f->info, why));
	}
	f->batch->skip[bad] = true;
	f->result->refused++;
	return ERR_OK;
}

/* --- one segment --- */

static enum err
write_batch(struct flush *f, const struct batch_place *place)
{
	size_t refused = 0;
	size_t bad;
	enum err e;

	memset(f->batch->skip, 0, sizeof(f->batch->skip));
	while ((e = batch_write(f->batch, place, &bad)) != ERR_OK && bad != BATCH_NO_ROW) {
		e = refuse(f, bad, e);
		if (e != ERR_OK)
			return e;
		refused++;
	}
	if (e == ERR_OK)
		f->result->rows += (int64_t)(f->batch->n - refused);
	return e;
}

/* Rows that the position has passed, or a segment that goes: nobody sees them again. */
static enum err
count_lost(struct flush *f, const char *name, int64_t lost)
{
	if (lost == 0)
		return ERR_OK;
	log_warn("spool/%s: %lld log rows were torn or damaged and are lost", name,
		 (long long)lost);
	return segment_lost(f->dir, lost, NULL);
}

/* It is looked at again next time; whoever called hears of the first. */
static void
pass_over(struct flush *f, enum err why)
{
	if (f->unreadable == ERR_OK) {
		f->unreadable = why;
		f->unreadable_info = *f->info;
	}
}

/* *ret_whole: to the end, as far as it is written. */
static enum err
write_rows(struct flush *f, const char *name, struct segment_reader *r, bool *ret_whole)
{
	enum err e;

	*ret_whole = false;
	do {
		int64_t lost = 0;

		if (out_of_bounds(f)) {
			f->result->more = true;
			return ERR_OK;
		}
		e = segment_read(r, f->batch->rows, LIMIT_FLUSH_ROWS, &f->batch->n, &lost, f->info);
		if (e != ERR_OK) {
			pass_over(f, e);
			return ERR_OK;
		}
		if (f->batch->n > 0)
			e = write_batch(f, &(struct batch_place){.segment = name,
								 .node = f->node,
								 .position = r->next});
		if (e == ERR_OK)
			e = count_lost(f, name, lost);
	} while (e == ERR_OK && f->batch->n > 0);
	*ret_whole = e == ERR_OK;
	return e;
}

static enum err
forget_position(struct flush *f, const char *name)
{
	enum err e = db_exec(f->db, "DELETE FROM gptl_spool WHERE segment = ?",
			     DB_ARGS(db_cstr(name)), NULL);

	return e == ERR_OK ? ERR_OK : db_failure(f, e, "cannot forget a segment");
}

/* Nothing that this version can read; an older or newer one might. */
static enum err
set_segment_aside(struct flush *f, const char *name)
{
	char aside[64];

	(void)snprintf(aside, sizeof(aside), REFUSED_DIR "/%s", name);
	if (renameat(f->dir, name, f->dir, aside) < 0)
		return os_failure(f, "cannot move", name);
	log_error("spool/%s is not a segment of this version; moved to spool/" REFUSED_DIR, name);
	return ERR_OK;
}

/* 0 when the DB does not know it yet. */
static int64_t
position_of(const struct flush *f, const char *name)
{
	for (size_t i = 0; i < f->n_positions; i++)
		if (strcmp(f->positions[i].name, name) == 0)
			return f->positions[i].at;
	return 0;
}

static enum err
flush_segment(struct flush *f, const char *name)
{
	int64_t start = position_of(f, name);
	struct segment_reader r;
	bool whole;
	enum err e = segment_open(f->dir, name, start, &r, f->info);

	if (e == ERR_NOT_FOUND)
		return ERR_OK; /* given up meanwhile */
	if (e == ERR_CONF)
		return set_segment_aside(f, name);
	if (e != ERR_OK) {
		pass_over(f, e);
		return ERR_OK;
	}
	e = write_rows(f, name, &r, &whole);
	if (whole && r.finished) {
		/* The file first: a position without a segment is harmless. */
		if (unlinkat(f->dir, name, 0) < 0 && errno != ENOENT)
			e = os_failure(f, "cannot remove", name);
		else
			e = forget_position(f, name);
	}
	segment_close(&r);
	return e;
}

/* --- all of them --- */

static enum err
read_positions(struct flush *f)
{
	struct db_rows *rows = NULL;
	enum err e = db_query(f->db, "SELECT segment, position FROM gptl_spool WHERE node = ?",
			      DB_ARGS(db_cstr(f->node)), &rows);

	while (e == ERR_OK && db_next(rows, &e)) {
		struct str name = db_col_text(rows, 0);
		struct position *p;

		if (name.n != SEGMENT_NAME_SIZE - 1)
			continue;
		f->positions = xrealloc(f->positions, (f->n_positions + 1) * sizeof(*f->positions));
		p = &f->positions[f->n_positions++];
		memcpy(p->name, name.p, name.n);
		p->name[name.n] = '\0';
		p->at = db_col_int(rows, 1);
	}
	db_rows_done(rows);
	return e == ERR_OK ? ERR_OK : db_failure(f, e, "cannot read the spool's positions");
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Positions of segments that are no more: whoever removed them died before they
 * were forgotten, or could not reach the DB. */
static enum err
forget_stale(struct flush *f, const struct segment_list *list)
{
	enum err e = ERR_OK;

	for (size_t i = 0; i < f->n_positions && e == ERR_OK; i++)
		if (list->n == 0 || bsearch(f->positions[i].name, list->name, list->n,
					    sizeof(*list->name), by_name) == NULL)
			e = forget_position(f, f->positions[i].name);
	return e;
}

static enum err
flush_all(struct flush *f)
{
	struct segment_list list = {0};
	enum err e = segment_list(f->dir, &list, f->info);

	if (e == ERR_OK)
		e = segment_node(f->dir, f->node, f->info);
	if (e == ERR_OK)
		e = read_positions(f);
	if (e == ERR_OK)
		e = forget_stale(f, &list);
	for (size_t i = 0; e == ERR_OK && i < list.n && !f->result->more; i++)
		e = flush_segment(f, list.name[i]);
	segment_list_done(&list);
	if (e == ERR_OK && f->unreadable != ERR_OK) {
		*f->info = f->unreadable_info;
		e = f->unreadable;
	}
	return e;
}

/* ERR_TASK: another process has it. */
static enum err
take_lock(struct flush *f)
{
	f->lock = openat(f->dir, LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (f->lock < 0)
		return os_failure(f, "cannot open", LOCK_FILE);
	while (flock(f->lock, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK && errno != EINTR)
			return os_failure(f, "cannot lock", LOCK_FILE);
		if (!f->bounds->wait || out_of_bounds(f))
			return ERR_TASK;
		/* Not within flock(2): that could not be bounded. */
		(void)usleep(LOCK_STEP_US);
	}
	return ERR_OK;
}

enum err
flush_run(const struct conf *conf, struct db *db, const struct flush_bounds *bounds,
	  struct flush_result *ret, struct errinfo *info)
{
	struct errinfo own = {""};
	struct flush f = {
	    .db = db,
	    .bounds = bounds,
	    .result = ret,
	    .info = info != NULL ? info : &own,
	    .dir = -1,
	    .lock = -1,
	};
	enum err e;

	*ret = (struct flush_result){0};
	e = segment_dir(conf, &f.dir, f.info);
	if (e != ERR_OK)
		return e;
	f.batch = xcalloc(1, sizeof(*f.batch));
	f.batch->db = db;
	f.batch->info = f.info;
	e = take_lock(&f);
	if (e == ERR_OK)
		e = flush_all(&f);
	else if (e == ERR_TASK)
		ret->busy = true;
	if (f.lock >= 0)
		close(f.lock);
	close(f.dir);
	free(f.positions);
	free(f.batch);
	return ret->busy ? ERR_OK : e;
}

enum err
spool_flush(const struct conf *conf, struct db *db, bool wait, int64_t *ret_rows,
	    struct errinfo *info)
{
	struct flush_bounds bounds = {.wait = wait};
	struct flush_result result;
	enum err e = flush_run(conf, db, &bounds, &result, info);

	if (e == ERR_OK && ret_rows != NULL)
		*ret_rows = result.rows;
	return e;
}
