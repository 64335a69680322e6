/* SPDX-License-Identifier: MIT
 *
 * HTTP header lists and the rules for names and values.
 */
#include "lib/header.h"

#define HEADERS_FIRST_CAP 16

void
headers_init(struct headers *h, struct arena *arena)
{
	*h = (struct headers){.arena = arena};
}

void
headers_add(struct headers *h, struct str name, struct str value)
{
	if (h->n == h->cap) {
		size_t cap = h->cap > 0 ? h->cap * 2 : HEADERS_FIRST_CAP;
		struct header *v = arena_alloc(h->arena, cap * sizeof(*v));

		if (h->n > 0)
			memcpy(v, h->v, h->n * sizeof(*v));
		h->v = v;
		h->cap = cap;
	}
	h->v[h->n++] = (struct header){name, value};
}

void
headers_remove(struct headers *h, struct str name)
{
	size_t kept = 0;

	for (size_t i = 0; i < h->n; i++)
		if (!str_ieq(h->v[i].name, name))
			h->v[kept++] = h->v[i];
	h->n = kept;
}

void
headers_set(struct headers *h, struct str name, struct str value)
{
	headers_remove(h, name);
	headers_add(h, name, value);
}

bool
headers_find(const struct headers *h, struct str name, struct str *ret)
{
	for (size_t i = 0; i < h->n; i++) {
		if (str_ieq(h->v[i].name, name)) {
			*ret = h->v[i].value;
			return true;
		}
	}
	return false;
}

bool
header_name_valid(struct str name)
{
	if (name.n == 0)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if ((c >= 'a' && c <= 'z') || c == '-' || (c >= 'A' && c <= 'Z') ||
		    (c >= '0' && c <= '9'))
			continue;
		if (c == '\0' || strchr("!#$%&'*+.^_`|~", c) == NULL)
			return false;
	}
	return true;
}

bool
header_value_valid(struct str value)
{
	for (size_t i = str_printable(value); i < value.n; i++) {
		unsigned char c = (unsigned char)value.p[i];

		if ((c < 0x20 && c != '\t') || c == 0x7F)
			return false;
	}
	return true;
}

bool
header_is_hop_by_hop(struct str name)
{
	static const struct str names[] = {
	    STR_INIT("connection"),     STR_INIT("keep-alive"),        STR_INIT("te"),
	    STR_INIT("trailer"),        STR_INIT("transfer-encoding"), STR_INIT("upgrade"),
	    STR_INIT("http2-settings"),
	};

	if (name.n > 6 && str_iis((struct str){name.p, 6}, "proxy-"))
		return true;
	return str_iamong(name, names, ARRAY_LEN(names));
}
