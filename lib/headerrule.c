/* SPDX-License-Identifier: MIT
 *
 * Header rules: placeholders, and the refusal of what must not get into a header.
 */
#include "lib/headerrule.h"
#include "lib/limits.h"

static struct str
number(int64_t v, struct arena *arena)
{
	return str_of(arena_printf(arena, "%lld", (long long)v));
}

/* The value of a placeholder's name; false when there is none of that name. */
static bool
find_variable(struct str name, const struct rule_vars *vars, struct arena *arena, struct str *ret)
{
	if (str_is(name, "CLIENT_IP"))
		*ret = vars->client_ip;
	else if (str_is(name, "GROUP_NAME"))
		*ret = vars->group_name;
	else if (str_is(name, "API_KEY"))
		*ret = vars->api_key;
	else if (str_is(name, "TIMESTAMP_MS"))
		*ret = number(vars->now_ms, arena);
	else if (str_is(name, "TIMESTAMP_S"))
		*ret = number(vars->now_ms / 1000, arena);
	else
		return false;
	return true;
}

/* A text that is made up piece by piece: measured first, then written. */
struct pieces {
	struct str v[2 * LIMIT_RULE_VARIABLES + 1];
	size_t n;
	size_t bytes;
};

static void
add_piece(struct pieces *p, struct str s)
{
	p->v[p->n++] = s;
	p->bytes += s.n;
}

/* Is there a placeholder at the start of s? */
static bool
parse_variable(struct str s, struct str *ret_name)
{
	const char *end;

	if (!str_starts(s, "${"))
		return false;
	end = memchr(s.p, '}', s.n);
	if (end == NULL)
		return false;
	*ret_name = (struct str){s.p + 2, (size_t)(end - s.p) - 2};
	return true;
}

static struct str
expand(struct str value, const struct rule_vars *vars, struct arena *arena)
{
	struct pieces pieces = {.n = 0};
	size_t start = 0;
	char *text;
	char *at;

	for (size_t i = 0; i < value.n && pieces.n + 2 < ARRAY_LEN(pieces.v); i++) {
		struct str name;
		struct str known;

		if (!parse_variable(str_from(value, i), &name) ||
		    !find_variable(name, vars, arena, &known))
			continue;
		add_piece(&pieces, (struct str){value.p + start, i - start});
		add_piece(&pieces, known);
		i += name.n + 2; /* and the loop's step: "${" name "}" */
		start = i + 1;
	}
	if (pieces.n == 0)
		return value;
	add_piece(&pieces, str_from(value, start));
	text = at = arena_alloc(arena, pieces.bytes + 1);
	for (size_t i = 0; i < pieces.n; i++) {
		if (pieces.v[i].n > 0)
			memcpy(at, pieces.v[i].p, pieces.v[i].n);
		at += pieces.v[i].n;
	}
	*at = '\0';
	return (struct str){text, pieces.bytes};
}

/* Set by the transfer itself; a rule could only break it. */
static bool
is_transfers_own(struct str name)
{
	return header_is_hop_by_hop(name) || str_iis(name, "host") ||
	       str_iis(name, "content-length");
}

enum err
header_rules_apply(const struct group *g, struct headers *h, const struct rule_vars *vars,
		   struct arena *arena, struct errinfo *info)
{
	for (size_t i = 0; i < g->n_header_rules; i++) {
		const struct header_rule *rule = &g->header_rules[i];
		struct str value;

		if (!header_name_valid(rule->name))
			return err_set(info, ERR_CONF,
				       "group " STR_FMT ": header rule %zu: not a header name",
				       STR_ARG(g->name), i + 1);
		if (is_transfers_own(rule->name))
			continue;
		if (rule->remove) {
			headers_remove(h, rule->name);
			continue;
		}
		value = expand(rule->value, vars, arena);
		if (!header_value_valid(value))
			return err_set(info, ERR_CONF,
				       "group " STR_FMT ": header rule for " STR_FMT
				       ": the value holds a control character",
				       STR_ARG(g->name), STR_ARG(rule->name));
		headers_set(h, rule->name, value);
	}
	return ERR_OK;
}
