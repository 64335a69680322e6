/* SPDX-License-Identifier: MIT
 *
 * The writing end of the spool: which segment a row goes to, when a new one is
 * begun, and what gives way when the spool is full (the order is in spool.h). A
 * struct spool belongs to one thread.
 *
 * A segment is begun with the first row, so that an idle worker has none, and
 * ended by size or age, so that what was flushed can be deleted.
 */
#include "lib/spool.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/limits.h"
#include "lib/log.h"
#include "lib/segment.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* An older segment is ended, if the spool is small enough for that, each MiB. */
#define SEGMENT_AGE_US (60 * 1000000LL)
/* A small spool has small segments: one is what is given up at a time. */
#define SEGMENTS_AT_LEAST 8

struct spool {
	int dir;
	int64_t max;         /* bytes of all segments together */
	int64_t folder;      /* bytes now: what spool_tend() saw and what was added since */
	int64_t segment_max; /* bytes of one */
	struct segment segment;
	struct buf record; /* the row being written */
};

enum err
spool_open(const struct conf *conf, struct spool **ret, struct errinfo *info)
{
	struct spool *s;
	int dir = -1;
	enum err e = segment_dir(conf, &dir, info);

	if (e != ERR_OK)
		return e;
	if (segment_lost(dir, 0, NULL) != ERR_OK) {
		close(dir);
		return err_set(info, ERR_IO, "cannot write spool/lost in %s", conf->data_dir);
	}
	s = xcalloc(1, sizeof(*s));
	s->dir = dir;
	s->max = conf->spool_size;
	s->segment_max = MIN(LIMIT_SPOOL_SEGMENT, s->max / SEGMENTS_AT_LEAST);
	s->segment.fd = -1;
	buf_init(&s->record, LIMIT_LOG_RECORD + 64);
	spool_tend(s);
	*ret = s;
	return ERR_OK;
}

void
spool_close(struct spool *s)
{
	if (s == NULL)
		return;
	segment_finish(&s->segment);
	close(s->dir);
	buf_done(&s->record);
	free(s);
}

static void
encode(struct spool *s, const struct logrow *row)
{
	buf_clear(&s->record);
	logrow_encode(row, &s->record);
	check(buf_err(&s->record) == ERR_OK);
}

static bool
fits(const struct spool *s)
{
	return s->folder + (int64_t)s->record.n <= s->max;
}

/* Gives up finished segments, oldest first, until the record fits. The own one is
 * ended for that: it may be the oldest. */
static enum err
make_room(struct spool *s, struct errinfo *info)
{
	int64_t lost = 0;
	enum err e = ERR_OK;

	segment_finish(&s->segment);
	spool_tend(s);
	while (!fits(s) && e == ERR_OK) {
		int64_t rows = 0;

		e = segment_give_up(s->dir, &rows, info);
		lost += rows;
		spool_tend(s);
	}
	if (lost > 0) {
		log_error("the spool is full (SPOOL_SIZE_MB): %lld log rows that waited longest "
			  "were given up; is the database reachable?",
			  (long long)lost);
		if (segment_lost(s->dir, lost, NULL) != ERR_OK)
			log_error("cannot count them in spool/lost");
	}
	return fits(s) ? ERR_OK : ERR_DISK;
}

static enum err
append(struct spool *s, struct logrow *row, struct errinfo *info)
{
	enum err e = ERR_OK;

	encode(s, row);
	if (!fits(s) && row->request_body.n > 0) {
		logrow_drop_body(row);
		encode(s, row);
	}
	if (!fits(s))
		e = make_room(s, info);
	if (e == ERR_OK && s->segment.fd < 0) {
		e = segment_create(s->dir, &s->segment, info);
		if (e == ERR_OK)
			s->folder += SEGMENT_HEADER;
	}
	if (e == ERR_OK)
		e = segment_append(&s->segment, buf_view(&s->record), info);
	if (e == ERR_OK)
		s->folder += (int64_t)s->record.n;
	if (s->segment.fd >= 0 && s->segment.size >= s->segment_max)
		segment_finish(&s->segment);
	return e;
}

enum err
spool_append(struct spool *s, struct logrow *row)
{
	struct errinfo info = {""};
	enum err e = append(s, row, &info);

	/* Were the counter out of reach too, the caller's word is all there is. */
	if (e != ERR_OK && segment_lost(s->dir, 1, NULL) != ERR_OK)
		log_error("cannot count a lost log row: %s", err_text(&info, e));
	return e;
}

int64_t
spool_lost(const struct conf *conf)
{
	int64_t n = 0;
	int dir = -1;

	if (segment_dir(conf, &dir, NULL) != ERR_OK)
		return 0;
	if (segment_lost(dir, 0, &n) != ERR_OK)
		n = 0;
	close(dir);
	return n;
}

void
spool_tend(struct spool *s)
{
	struct segment_list list;

	if (s->segment.fd >= 0 && (clock_mono_us() - s->segment.made_us >= SEGMENT_AGE_US ||
				   segment_is_gone(&s->segment)))
		segment_finish(&s->segment);
	if (segment_list(s->dir, &list, NULL) != ERR_OK)
		return;
	s->folder = list.bytes;
	segment_list_done(&list);
}

int64_t
spool_waiting(const struct conf *conf)
{
	struct segment_list list;
	int64_t bytes = 0;
	int dir = -1;

	if (segment_dir(conf, &dir, NULL) != ERR_OK)
		return 0;
	if (segment_list(dir, &list, NULL) == ERR_OK) {
		bytes = list.bytes - (int64_t)list.n * SEGMENT_HEADER;
		segment_list_done(&list);
	}
	close(dir);
	return MAX(bytes, 0);
}
