/* SPDX-License-Identifier: MIT
 *
 * A state machine over the lines of an event stream. The start of a line is looked
 * at byte by byte, until it is known whether it is a data line; the rest of it is
 * skipped or handed on in runs. A chunk may end anywhere.
 */
#include "lib/sse.h"

enum line {
	LINE_FIRST, /* of the stream: a byte order mark may stand here */
	LINE_BOM_2,
	LINE_BOM_3,
	LINE_START,
	LINE_NAME,  /* so far it spells a start of "data" */
	LINE_SPACE, /* after "data:", where one space is left out */
	LINE_DATA,
	LINE_OTHER,
};

static const char data_name[] = "data";
#define DATA_NAME_LEN (sizeof(data_name) - 1)

/* One call of sse_feed(). */
struct feed {
	const char *p;
	const char *end;
	const char *lf; /* the next LF and CR from p on, `end` when there is none: */
	const char *cr; /* looked for again only once passed, else CRs were quadratic */
	sse_data_fn data;
	void *arg;
};

void
sse_init(struct sse *s)
{
	*s = (struct sse){.line = LINE_FIRST};
}

bool
sse_between_events(const struct sse *s)
{
	return s->line == LINE_START && !s->event_open && s->any_event && !s->after_cr;
}

static void
give(const struct feed *f, const char *p, size_t n)
{
	if (f->data != NULL)
		f->data(f->arg, p, n);
}

static const char *
find(const struct feed *f, char c)
{
	const char *p = memchr(f->p, c, (size_t)(f->end - f->p));

	return p != NULL ? p : f->end;
}

static const char *
line_end(struct feed *f)
{
	if (f->lf < f->p)
		f->lf = find(f, '\n');
	if (f->cr < f->p)
		f->cr = find(f, '\r');
	return MIN(f->lf, f->cr);
}

/* A data line begins: its name is complete. */
static void
begin_data(struct sse *s, const struct feed *f)
{
	if (s->has_data)
		give(f, "\n", 1);
	s->has_data = true;
}

static void
empty_line(struct sse *s, const struct feed *f)
{
	if (s->has_data)
		give(f, NULL, 0);
	if (s->event_open)
		s->any_event = true;
	s->event_open = false;
	s->has_data = false;
}

static void
end_line(struct sse *s, const struct feed *f)
{
	if (s->line == LINE_START || s->line == LINE_FIRST)
		empty_line(s, f);
	else if (s->line == LINE_NAME && s->name_at == DATA_NAME_LEN)
		begin_data(s, f);
	s->line = LINE_START;
}

/* One byte of the start of a line, which is not a line end. */
static void
begin_line(struct sse *s, char c)
{
	s->name_at = 0;
	if (c == ':') {
		s->line = LINE_OTHER;
		return;
	}
	s->event_open = true;
	s->line = c == data_name[0] ? LINE_NAME : LINE_OTHER;
	s->name_at = 1;
}

static void
name_byte(struct sse *s, const struct feed *f, char c)
{
	if (s->name_at < DATA_NAME_LEN && c == data_name[s->name_at]) {
		s->name_at++;
	} else if (s->name_at == DATA_NAME_LEN && c == ':') {
		begin_data(s, f);
		s->line = LINE_SPACE;
	} else {
		s->line = LINE_OTHER;
	}
}

/* The mark's second and third byte; anything else was the start of some field. */
static void
mark_byte(struct sse *s, char c)
{
	bool second = s->line == LINE_BOM_2;

	if (c != (second ? '\xBB' : '\xBF')) {
		s->event_open = true;
		s->line = LINE_OTHER;
	} else {
		s->line = second ? LINE_BOM_3 : LINE_START;
	}
}

/* Up to the end of the line, or one byte where each counts. */
static void
inside_line(struct sse *s, struct feed *f)
{
	const char *stop;

	switch ((enum line)s->line) {
	case LINE_FIRST:
		if (*f->p == '\xEF')
			s->line = LINE_BOM_2;
		else
			begin_line(s, *f->p);
		break;
	case LINE_BOM_2:
	case LINE_BOM_3:
		mark_byte(s, *f->p);
		break;
	case LINE_START:
		begin_line(s, *f->p);
		break;
	case LINE_NAME:
		name_byte(s, f, *f->p);
		break;
	case LINE_SPACE:
		s->line = LINE_DATA;
		if (*f->p != ' ')
			return;
		break;
	case LINE_DATA:
	case LINE_OTHER:
		stop = line_end(f);
		if (s->line == LINE_DATA)
			give(f, f->p, (size_t)(stop - f->p));
		f->p = stop;
		return;
	}
	f->p++;
}

void
sse_feed(struct sse *s, const char *p, size_t n, sse_data_fn data, void *arg)
{
	struct feed f = {.p = p, .data = data, .arg = arg};

	if (n == 0)
		return;
	f.end = p + n;
	f.lf = find(&f, '\n');
	f.cr = find(&f, '\r');
	while (f.p < f.end) {
		char c = *f.p;
		bool second_half = s->after_cr && c == '\n';

		s->after_cr = false;
		if (second_half) {
			f.p++;
		} else if (c == '\n' || c == '\r') {
			s->after_cr = c == '\r';
			end_line(s, &f);
			f.p++;
		} else {
			inside_line(s, &f);
		}
	}
}
