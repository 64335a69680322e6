/* SPDX-License-Identifier: MIT
 *
 * Circuit breakers, one an upstream and worker.
 *
 *	CLOSED ──5 failures in a row──▶ OPEN ──10 s──▶ HALF-OPEN (one probe)
 *	   ▲                             ▲                 │
 *	   └── probe's answer begins ────┼─────────────────┤
 *	                                 └── probe bad ────┘
 *
 * A stream that is the probe may last for minutes: the upstream is used again from its
 * first byte on, and its failures are forgotten when an answer is whole.
 *
 * An upstream that answers 429 to five different keys within ten seconds, with no
 * good answer between, limits the caller and not the keys: it rests too.
 */
#include "fcgi-app/responder.h"

#include <stdlib.h>
/* uthash's usual function is a switch that falls through: clang warns of it. */
#define HASH_FUNCTION(key, n, ret) HASH_SAX(key, n, ret)
#include <uthash.h>

#define FAILURES_TO_OPEN  5
#define OPEN_US           (10 * INT64_C(1000000))
#define LIMITED_KEYS      5
#define LIMITED_WINDOW_US (10 * INT64_C(1000000))
/* How long an upstream rests at least and at most for that. */
#define LIMITED_REST_MIN_US INT64_C(1000000)
#define LIMITED_REST_MAX_US (10 * INT64_C(1000000))

struct breaker {
	UT_hash_handle hh;
	int failures;       /* in a row */
	int64_t open_until; /* mono µs; 0: closed */
	bool probing;
	struct {
		int64_t key_id;
		int64_t at_us;
	} limited[LIMITED_KEYS]; /* the newest 429 of different keys */
	int n_limited;
	char url[];
};

struct breakers {
	struct breaker *by_url;
};

struct breakers *
breakers_new(void)
{
	return xcalloc(1, sizeof(struct breakers));
}

void
breakers_free(struct breakers *b)
{
	struct breaker *one;
	struct breaker *next;

	if (b == NULL)
		return;
	HASH_ITER (hh, b->by_url, one, next) {
		HASH_DEL(b->by_url, one);
		free(one);
	}
	free(b);
}

struct breaker *
breaker_of(struct breakers *b, struct str url)
{
	struct breaker *one;

	HASH_FIND(hh, b->by_url, url.p, url.n, one);
	if (one != NULL)
		return one;
	one = xcalloc(1, sizeof(*one) + url.n + 1);
	memcpy(one->url, url.p, url.n);
	HASH_ADD(hh, b->by_url, url[0], url.n, one);
	return one;
}

bool
breaker_allows(const struct breaker *b, int64_t now_us)
{
	return b->open_until == 0 || (now_us >= b->open_until && !b->probing);
}

int64_t
breaker_opens_at(const struct breaker *b)
{
	return b->open_until;
}

bool
breaker_begin(struct breaker *b, int64_t now_us)
{
	bool probe = b->open_until != 0 && now_us >= b->open_until && !b->probing;

	b->probing |= probe;
	return probe;
}

void
breaker_alive(struct breaker *b, bool probe)
{
	if (!probe)
		return;
	b->probing = false;
	b->open_until = 0;
}

void
breaker_ok(struct breaker *b)
{
	b->failures = 0;
	b->n_limited = 0;
	b->open_until = 0;
	b->probing = false;
}

void
breaker_failed(struct breaker *b, bool probe, int64_t now_us)
{
	b->failures++;
	if (probe || b->failures >= FAILURES_TO_OPEN)
		b->open_until = now_us + OPEN_US;
	breaker_released(b, probe);
}

void
breaker_limited(struct breaker *b, bool probe, int64_t key_id, int64_t rest_us, int64_t now_us)
{
	int kept = 0;

	b->failures = 0;
	breaker_released(b, probe);
	for (int i = 0; i < b->n_limited; i++)
		if (b->limited[i].key_id != key_id &&
		    now_us - b->limited[i].at_us < LIMITED_WINDOW_US)
			b->limited[kept++] = b->limited[i];
	b->limited[kept].key_id = key_id;
	b->limited[kept++].at_us = now_us;
	b->n_limited = kept;
	if (kept < LIMITED_KEYS)
		return;
	b->n_limited = 0;
	b->open_until = now_us + MIN(MAX(rest_us, LIMITED_REST_MIN_US), LIMITED_REST_MAX_US);
}

void
breaker_released(struct breaker *b, bool probe)
{
	if (probe)
		b->probing = false;
}
