/* SPDX-License-Identifier: MIT
 *
 * FastCGI records as they lie in memory: is a request there whole, and what does it
 * say. An ordinary request is taken apart here, where it was peeked at: libfcgi makes a
 * string of every variable and 17 KB of stream buffers for it, a fifth of what an
 * exchange costs. What is unusual (another role, records of two requests mixed) and
 * what is still on its way is left to libfcgi.
 *
 * Formats: FastCGI 1.0, sections 3.3 (records), 3.4 (name-value pairs), 5.1 to 5.3.
 */
#include "fcgi-app/responder.h"

#include <fastcgi.h>

struct record {
	int type;
	uint16_t id;
	const unsigned char *content;
	size_t n;
	size_t bytes; /* header and padding included */
};

/* The record at p, of which n bytes are there. False: its header is not there yet. */
static bool
record_at(const unsigned char *p, size_t n, struct record *ret)
{
	if (n < FCGI_HEADER_LEN)
		return false;
	*ret = (struct record){
	    .type = p[1],
	    .id = (uint16_t)(p[2] << 8 | p[3]),
	    .content = p + FCGI_HEADER_LEN,
	    .n = (size_t)(p[4] << 8 | p[5]),
	};
	ret->bytes = FCGI_HEADER_LEN + ret->n + p[6];
	return true;
}

/* Is this what a request may consist of, in its order. */
static bool
is_usual(const struct records *r, const struct record *one, bool first, bool params_done)
{
	if (first)
		return one->type == FCGI_BEGIN_REQUEST && one->n == sizeof(FCGI_BeginRequestBody) &&
		       (one->content[0] << 8 | one->content[1]) == FCGI_RESPONDER;
	return one->id == r->request_id && one->type == (params_done ? FCGI_STDIN : FCGI_PARAMS);
}

enum look
records_look(const unsigned char *p, size_t n, struct records *ret)
{
	bool params_done = false;
	struct record one;

	*ret = (struct records){.p = p, .usual = true};
	for (size_t at = 0; record_at(p + at, n - at, &one); at += one.bytes) {
		bool last = one.type == FCGI_STDIN && one.n == 0 && params_done;

		if (p[at] != FCGI_VERSION_1)
			return LOOK_CLOSED;
		/* The padding of the last one need not be there. */
		if (one.bytes > n - at && !last)
			break;
		if (at == 0)
			ret->request_id = one.id;
		ret->usual =
		    ret->usual && one.bytes <= n - at && is_usual(ret, &one, at == 0, params_done);
		if (one.type == FCGI_PARAMS && one.n == 0)
			params_done = true;
		else if (one.type == FCGI_PARAMS)
			ret->params += one.n;
		else if (one.type == FCGI_STDIN)
			ret->body += one.n;
		if (last) {
			ret->bytes = at + one.bytes;
			return LOOK_WHOLE;
		}
	}
	return LOOK_PARTIAL;
}

/* What all records of this type hold, one after the other, into `out`. */
static void
gather(const struct records *r, int type, char *out)
{
	struct record one;

	for (size_t at = 0; at < r->bytes && record_at(r->p + at, r->bytes - at, &one);
	     at += one.bytes) {
		if (one.type != type || one.n == 0)
			continue;
		memcpy(out, one.content, one.n);
		out += one.n;
	}
}

/* One length of a name-value pair, in one or four bytes. */
static bool
length_at(const unsigned char **p, const unsigned char *end, size_t *ret)
{
	const unsigned char *b = *p;

	if (b == end)
		return false;
	if (b[0] < 0x80) {
		*ret = b[0];
		*p += 1;
		return true;
	}
	if (end - b < 4)
		return false;
	*ret = (size_t)(b[0] & 0x7F) << 24 | (size_t)b[1] << 16 | (size_t)b[2] << 8 | b[3];
	*p += 4;
	return true;
}

/* The lengths before a pair; *p is then at its name. */
static bool
pair_at(const unsigned char **p, const unsigned char *end, size_t *ret_name, size_t *ret_value)
{
	return length_at(p, end, ret_name) && length_at(p, end, ret_value) &&
	       *ret_name <= (size_t)(end - *p) && *ret_value <= (size_t)(end - *p) - *ret_name;
}

static bool
count_pairs(const unsigned char *p, const unsigned char *end, size_t *ret)
{
	size_t name;
	size_t value;

	for (*ret = 0; p < end; ++*ret) {
		if (!pair_at(&p, end, &name, &value))
			return false;
		p += name + value;
	}
	return true;
}

bool
records_variables(const struct records *r, struct arena *arena, char ***ret_envp)
{
	unsigned char *in = arena_alloc(arena, 2 * r->params + 1);
	/* A pair's lengths take as much room as the '=' and the NUL do, or more. */
	char *out = (char *)in + r->params;
	const unsigned char *p = in;
	const unsigned char *end = in + r->params;
	size_t n;
	char **envp;

	gather(r, FCGI_PARAMS, (char *)in);
	if (!count_pairs(p, end, &n))
		return false;
	envp = arena_alloc(arena, (n + 1) * sizeof(*envp));
	*ret_envp = envp;
	while (p < end) {
		size_t name = 0;
		size_t value = 0;

		check(pair_at(&p, end, &name, &value));
		*envp++ = out;
		memcpy(out, p, name);
		out[name] = '=';
		memcpy(out + name + 1, p + name, value);
		out[name + 1 + value] = '\0';
		out += name + value + 2;
		p += name + value;
	}
	*envp = NULL;
	return true;
}

struct str
records_body(const struct records *r, struct arena *arena)
{
	char *p;

	if (r->body == 0)
		return (struct str){NULL, 0};
	p = arena_alloc(arena, r->body + 1);
	gather(r, FCGI_STDIN, p);
	p[r->body] = '\0';
	return (struct str){p, r->body};
}
