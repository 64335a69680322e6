/* SPDX-License-Identifier: MIT
 *
 * A snapshot's life, what is asked of it, and the sequences of turns. It is
 * written by snapshot_compile.c and read by snapshot_parse.c.
 */
#include "lib/snapshot.h"
#include "lib/crypt.h"
#include "lib/limits.h"
#include "lib/str.h"

#include <stdlib.h>

#define GROUP_NAME_BYTES 100

struct snapshot *
snapshot_ref(struct snapshot *s)
{
	s->refs++;
	return s;
}

void
snapshot_unref(struct snapshot *s)
{
	if (s == NULL || --s->refs > 0)
		return;
	arena_done(&s->arena);
	free(s);
}

/* --- asking --- */

int
key_digest_compare(const void *a, const void *b)
{
	return memcmp(a, b, SHA256_BYTES);
}

int
redirect_compare(const void *a, const void *b)
{
	const struct redirect *x = a;
	const struct redirect *y = b;

	return str_compare(x->from, y->from);
}

bool
group_name_valid(struct str name)
{
	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
			return false;
	}
	return name.n > 0 && name.n <= GROUP_NAME_BYTES;
}

const struct group *
snapshot_group(const struct snapshot *s, struct str name)
{
	size_t low = 0;
	size_t high = s->n_groups;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = str_compare(s->groups[mid].name, name);

		if (order == 0)
			return &s->groups[mid];
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

const struct group *
snapshot_group_id(const struct snapshot *s, int64_t id)
{
	size_t low = 0;
	size_t high = s->n_groups;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->by_id[mid]->id == id)
			return s->by_id[mid];
		if (s->by_id[mid]->id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static bool
has_key(const struct key_set *set, const uint8_t digest[SHA256_BYTES])
{
	return set->n > 0 &&
	       bsearch(digest, set->digest, set->n, SHA256_BYTES, key_digest_compare) != NULL;
}

bool
snapshot_key_opens(const struct snapshot *s, const struct group *g, struct str client_key)
{
	uint8_t digest[SHA256_BYTES];

	if (client_key.n == 0)
		return false;
	sha256(client_key, digest);
	return snapshot_digest_opens(s, g, digest);
}

bool
snapshot_digest_opens(const struct snapshot *s, const struct group *g,
		      const uint8_t digest[SHA256_BYTES])
{
	return has_key(&s->proxy_keys, digest) || has_key(&g->proxy_keys, digest);
}

const struct redirect *
group_redirect(const struct group *g, struct str model)
{
	struct redirect wanted = {.from = model};

	if (g->n_redirects == 0)
		return NULL;
	return bsearch(&wanted, g->redirects, g->n_redirects, sizeof(*g->redirects),
		       redirect_compare);
}

/* --- turns --- */

static int64_t
common_divisor(int64_t a, int64_t b)
{
	while (b != 0) {
		int64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* Copies the weights, scaled down to LIMIT_TURNS and by their common divisor;
 * their sum. */
static int64_t
reduce_weights(const int *weights, size_t n, int64_t *ret)
{
	int64_t sum = 0;
	int64_t divisor = 0;
	int64_t reduced = 0;

	for (size_t i = 0; i < n; i++) {
		sum += weights[i];
		divisor = common_divisor(weights[i], divisor);
	}
	for (size_t i = 0; i < n; i++) {
		ret[i] = weights[i];
		/* Each keeps at least one turn, so room for n is set aside. */
		if (sum / divisor > LIMIT_TURNS)
			ret[i] = MAX(1, ret[i] * (int64_t)(LIMIT_TURNS - n) / sum);
	}
	divisor = 0;
	for (size_t i = 0; i < n; i++)
		divisor = common_divisor(ret[i], divisor);
	for (size_t i = 0; i < n; i++) {
		ret[i] /= divisor;
		reduced += ret[i];
	}
	return reduced;
}

uint16_t *
turns_build(struct arena *arena, const int *weights, size_t n, size_t *ret_n)
{
	int64_t *weight = arena_alloc(arena, n * sizeof(*weight));
	int64_t *lead = arena_zalloc(arena, n * sizeof(*lead));
	uint16_t *turns;
	int64_t sum;

	check(n > 0 && n < LIMIT_TURNS);
	sum = reduce_weights(weights, n, weight);
	turns = arena_alloc(arena, (size_t)sum * sizeof(*turns));
	/* Each turn everybody gains by his weight; who leads has it and pays the sum. */
	for (int64_t t = 0; t < sum; t++) {
		size_t best = 0;

		for (size_t i = 0; i < n; i++) {
			lead[i] += weight[i];
			if (lead[i] > lead[best])
				best = i;
		}
		lead[best] -= sum;
		turns[t] = (uint16_t)best;
	}
	*ret_n = (size_t)sum;
	return turns;
}

uint16_t
turns_index(const uint16_t *turns, size_t n, uint64_t turn)
{
	check(n > 0);
	return turns[(turn % n + turn / n) % n];
}
