/* SPDX-License-Identifier: MIT
 *
 * Log rows as bytes: the one place that knows the layout of a spool record.
 *
 *	u32 length of the payload, u32 CRC-32 of the payload, payload
 *	payload: u8 version, then the fields in a fixed order;
 *	numbers are 8 bytes, text is u32 length + bytes, all little-endian
 *
 * A later version only adds fields at the end: what an older row lacks has its
 * default, what a newer row has more is left unread. So segments survive an
 * upgrade and a downgrade. Text is made fit for any database here, once, on its
 * way in: a row that was written can be stored.
 */
#include "lib/logrow.h"
#include "lib/limits.h"
#include "lib/str.h"

#include <endian.h>
#include <zlib.h>

#define LOGROW_VERSION 1
#define FRAME_BYTES    8

enum row_flag {
	ROW_SUCCESS = 1,
	ROW_FINAL = 2,
	ROW_STREAM = 4
};

/* --- writing --- */

static void
put_u32(struct buf *out, uint32_t v)
{
	v = htole32(v);
	buf_add(out, &v, sizeof(v));
}

static void
put_int(struct buf *out, int64_t v)
{
	uint64_t u = htole64((uint64_t)v);

	buf_add(out, &u, sizeof(u));
}

/* Overwrites what put_u32() left room for at `at`. */
static void
patch_u32(struct buf *out, size_t at, uint32_t v)
{
	v = htole32(v);
	memcpy(out->p + at, &v, sizeof(v));
}

/* Not text in any database: NUL ends or breaks a value, the rest is noise. */
static bool
is_unwanted(char c)
{
	unsigned char u = (unsigned char)c;

	return (u < 0x20 && c != '\t' && c != '\n' && c != '\r') || u == 0x7F;
}

/* Appends at most `room` bytes of valid UTF-8: control characters are left out,
 * each invalid byte becomes U+FFFD. */
static void
add_clean(struct buf *out, struct str s, size_t room)
{
	size_t i = 0;

	while (i < s.n) {
		size_t start = i;
		size_t n = 0;

		i += str_printable((struct str){s.p + i, MIN(s.n - i, room)});
		while (i < s.n && (n = utf8_next(s.p + i, s.n - i)) > 0 && !is_unwanted(s.p[i]) &&
		       i - start + n <= room)
			i += n;
		buf_add(out, s.p + start, i - start);
		room -= i - start;
		if (i == s.n)
			return;
		if (n == 0) {
			if (room < 3)
				return;
			buf_cstr(out, "\xEF\xBF\xBD");
			room -= 3;
		} else if (!is_unwanted(s.p[i])) {
			return; /* full */
		}
		i++;
	}
}

static void
put_text(struct buf *out, struct str s, size_t max)
{
	size_t at = out->n;

	put_u32(out, 0);
	add_clean(out, s, max);
	if (!out->overflowed)
		patch_u32(out, at, (uint32_t)(out->n - at - sizeof(uint32_t)));
}

static void
put_array(struct buf *out, const char *s, size_t size)
{
	put_text(out, (struct str){s, strnlen(s, size)}, size - 1);
}

static void
put_fields(struct buf *out, const struct logrow *row)
{
	int64_t flags = (row->is_success ? ROW_SUCCESS : 0) | (row->is_final ? ROW_FINAL : 0) |
			(row->is_stream ? ROW_STREAM : 0);

	put_array(out, row->id, sizeof(row->id));
	put_int(out, row->time_us);
	put_int(out, flags);
	put_int(out, row->group_id);
	put_text(out, row->group_name, LIMIT_LOG_GROUP_NAME);
	put_int(out, row->parent_id);
	put_text(out, row->parent_name, LIMIT_LOG_GROUP_NAME);
	put_int(out, row->key_id);
	put_text(out, row->key_stored, LIMIT_LOG_KEY);
	put_array(out, row->key_hash, sizeof(row->key_hash));
	put_text(out, row->model, LIMIT_LOG_MODEL);
	put_text(out, row->source_ip, LIMIT_LOG_SOURCE_IP);
	put_int(out, row->status);
	put_text(out, row->path, LIMIT_LOG_PATH);
	put_int(out, row->duration_ms);
	put_text(out, row->error, LIMIT_LOG_ERROR);
	put_text(out, row->user_agent, LIMIT_LOG_USER_AGENT);
	put_text(out, row->upstream, LIMIT_LOG_UPSTREAM);
	put_text(out, row->request_body, LIMIT_LOG_REQUEST_BODY);
	put_array(out, row->request_id, sizeof(row->request_id));
	put_int(out, row->attempt);
	put_int(out, row->ttfb_ms);
	put_int(out, row->bytes_in);
	put_int(out, row->bytes_out);
	put_int(out, row->prompt_tokens);
	put_int(out, row->completion_tokens);
	put_int(out, row->cached_tokens);
	put_text(out, row->end, LIMIT_LOG_END);
}

void
logrow_encode(const struct logrow *row, struct buf *out)
{
	size_t at = out->n;
	size_t payload;
	size_t n;

	put_u32(out, 0);
	put_u32(out, 0);
	payload = out->n;
	buf_char(out, LOGROW_VERSION);
	put_fields(out, row);
	if (out->overflowed)
		return;
	n = out->n - payload;
	check(n <= LIMIT_LOG_RECORD);
	patch_u32(out, at, (uint32_t)n);
	patch_u32(out, at + 4, (uint32_t)crc32_z(0, (const Bytef *)out->p + payload, n));
}

void
logrow_drop_body(struct logrow *row)
{
	row->request_body = (struct str){NULL, 0};
}

/* --- reading --- */

struct cursor {
	struct str rest;
	bool bad;
};

static uint32_t
load_u32(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return le32toh(v);
}

/* The next n bytes; NULL when the row ended before (an older version's) or, which
 * is `bad`, within them. */
static const char *
take(struct cursor *c, size_t n)
{
	const char *p = c->rest.p;

	if (c->rest.n < n) {
		c->bad |= c->rest.n > 0;
		c->rest.n = 0;
		return NULL;
	}
	c->rest.p += n;
	c->rest.n -= n;
	return p;
}

static int64_t
get_int(struct cursor *c, int64_t none)
{
	const char *p = take(c, sizeof(uint64_t));
	uint64_t u;

	if (p == NULL)
		return none;
	memcpy(&u, p, sizeof(u));
	return (int64_t)le64toh(u);
}

static struct str
get_text(struct cursor *c)
{
	const char *p = take(c, sizeof(uint32_t));
	size_t n;

	if (p == NULL)
		return (struct str){NULL, 0};
	n = load_u32(p);
	if (n == 0)
		return (struct str){p, 0};
	p = take(c, n);
	if (p == NULL)
		c->bad = true;
	return (struct str){p, p != NULL ? n : 0};
}

static void
get_array(struct cursor *c, char *out, size_t size)
{
	struct str s = get_text(c);

	if (s.n >= size) {
		c->bad = true;
		s.n = 0;
	}
	if (s.n > 0)
		memcpy(out, s.p, s.n);
	out[s.n] = '\0';
}

static int
get_small(struct cursor *c)
{
	int64_t v = get_int(c, 0);

	c->bad |= v < INT32_MIN || v > INT32_MAX;
	return (int)v;
}

static void
get_fields(struct cursor *c, struct logrow *row)
{
	int64_t flags;

	get_array(c, row->id, sizeof(row->id));
	row->time_us = get_int(c, 0);
	flags = get_int(c, 0);
	row->is_success = (flags & ROW_SUCCESS) != 0;
	row->is_final = (flags & ROW_FINAL) != 0;
	row->is_stream = (flags & ROW_STREAM) != 0;
	row->group_id = get_int(c, 0);
	row->group_name = get_text(c);
	row->parent_id = get_int(c, 0);
	row->parent_name = get_text(c);
	row->key_id = get_int(c, 0);
	row->key_stored = get_text(c);
	get_array(c, row->key_hash, sizeof(row->key_hash));
	row->model = get_text(c);
	row->source_ip = get_text(c);
	row->status = get_small(c);
	row->path = get_text(c);
	row->duration_ms = get_int(c, 0);
	row->error = get_text(c);
	row->user_agent = get_text(c);
	row->upstream = get_text(c);
	row->request_body = get_text(c);
	get_array(c, row->request_id, sizeof(row->request_id));
	row->attempt = get_small(c);
	row->ttfb_ms = get_int(c, -1);
	row->bytes_in = get_int(c, 0);
	row->bytes_out = get_int(c, 0);
	row->prompt_tokens = get_int(c, -1);
	row->completion_tokens = get_int(c, -1);
	row->cached_tokens = get_int(c, -1);
	row->end = get_text(c);
}

/* An id becomes part of a file's name when its row is refused. */
static bool
id_usable(const char *id)
{
	return id[0] != '\0' && strspn(id, "0123456789abcdefghijklmnopqrstuvwxyz"
					   "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") == strlen(id);
}

enum err
logrow_decode(struct str *in, struct logrow *ret)
{
	struct cursor c = {0};
	struct logrow row = {0};
	size_t n;

	if (in->n < FRAME_BYTES)
		return ERR_NOT_FOUND;
	n = load_u32(in->p);
	if (n == 0 || n > LIMIT_LOG_RECORD)
		return ERR_IO;
	if (in->n - FRAME_BYTES < n)
		return ERR_NOT_FOUND;
	if (load_u32(in->p + 4) != crc32_z(0, (const Bytef *)in->p + FRAME_BYTES, n))
		return ERR_IO;
	if (in->p[FRAME_BYTES] == 0)
		return ERR_IO;
	c.rest = (struct str){in->p + FRAME_BYTES + 1, n - 1};
	get_fields(&c, &row);
	if (c.bad || !id_usable(row.id))
		return ERR_IO;
	*ret = row;
	*in = str_from(*in, FRAME_BYTES + n);
	return ERR_OK;
}
