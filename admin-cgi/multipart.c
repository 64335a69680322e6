/* SPDX-License-Identifier: MIT
 *
 * Every part begins with "--BOUNDARY" on a line of its own, then header lines and an
 * empty line; the last boundary is followed by "--". All slices are of the body.
 */
#include "admin-cgi/multipart.h"

#include <string.h>

#define BOUNDARY_MAX 70 /* RFC 2046, 5.1.1 */

bool
multipart_init(struct multipart *m, struct str content_type, struct str body)
{
	struct str piece;
	struct str boundary = {NULL, 0};

	if (!str_split(&content_type, ';', &piece) ||
	    !str_iis(str_trim(piece), "multipart/form-data"))
		return false;
	while (str_split(&content_type, ';', &piece)) {
		piece = str_trim(piece);
		if (piece.n > 9 && str_ieq((struct str){piece.p, 9}, STR("boundary=")))
			boundary = str_from(piece, 9);
	}
	if (boundary.n >= 2 && boundary.p[0] == '"' && boundary.p[boundary.n - 1] == '"')
		boundary = (struct str){boundary.p + 1, boundary.n - 2};
	if (boundary.n == 0 || boundary.n > BOUNDARY_MAX)
		return false;
	*m = (struct multipart){.rest = body, .boundary = boundary};
	return true;
}

/* Where "--BOUNDARY" stands next at the start of a line; NULL: nowhere. */
static const char *
find_boundary(const struct multipart *m)
{
	const char *end = m->rest.p + m->rest.n;
	const char *p = m->rest.p;

	while ((size_t)(end - p) >= m->boundary.n + 2) {
		p = memmem(p, (size_t)(end - p), "--", 2);
		if (p == NULL || (size_t)(end - p) < m->boundary.n + 2)
			return NULL;
		bool at_start = p == m->rest.p || p[-1] == '\n';
		if (at_start && memcmp(p + 2, m->boundary.p, m->boundary.n) == 0)
			return p;
		p++;
	}
	return NULL;
}

/* name="value" in a header's value. */
static struct str
parameter(struct str value, const char *name)
{
	struct str piece;

	while (str_split(&value, ';', &piece)) {
		piece = str_trim(piece);
		size_t n = strlen(name);
		if (piece.n < n + 1 || memcmp(piece.p, name, n) != 0 || piece.p[n] != '=')
			continue;
		piece = str_from(piece, n + 1);
		if (piece.n >= 2 && piece.p[0] == '"' && piece.p[piece.n - 1] == '"')
			piece = (struct str){piece.p + 1, piece.n - 2};
		return piece;
	}
	return (struct str){"", 0};
}

static bool
read_headers(struct multipart *m, struct part *ret)
{
	struct str line;

	while (str_split(&m->rest, '\n', &line)) {
		line = str_trim(line);
		if (line.n == 0)
			return true;
		struct str name;
		if (!str_split(&line, ':', &name) || !str_iis(name, "content-disposition"))
			continue;
		ret->name = parameter(line, "name");
		ret->filename = parameter(line, "filename");
	}
	return false;
}

static bool
bad(enum err *ret_err)
{
	*ret_err = ERR_BAD_REQUEST;
	return false;
}

bool
multipart_next(struct multipart *m, struct part *ret, enum err *ret_err)
{
	const char *at = find_boundary(m);

	*ret_err = ERR_OK;
	*ret = (struct part){.name = STR(""), .filename = STR("")};
	if (at == NULL)
		return bad(ret_err);
	m->rest = str_from(m->rest, (size_t)(at - m->rest.p) + 2 + m->boundary.n);
	if (str_starts(m->rest, "--"))
		return false;
	struct str line;
	if (!str_split(&m->rest, '\n', &line) || !read_headers(m, ret))
		return bad(ret_err);
	at = find_boundary(m);
	if (at == NULL)
		return bad(ret_err);
	size_t n = (size_t)(at - m->rest.p);
	/* The line break before a boundary belongs to it. */
	if (n > 0 && m->rest.p[n - 1] == '\n')
		n--;
	if (n > 0 && m->rest.p[n - 1] == '\r')
		n--;
	ret->value = (struct str){m->rest.p, n};
	m->rest = str_from(m->rest, (size_t)(at - m->rest.p));
	return true;
}
