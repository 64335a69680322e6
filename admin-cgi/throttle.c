/* SPDX-License-Identifier: MIT
 *
 * The file is a hash table: an address belongs to one bucket of a few slots, and
 * takes the oldest of them when all are in use. Writers hold an flock(2); readers
 * take none, since a torn slot costs one look too many at worst.
 */
#include "admin-cgi/throttle.h"

#include "lib/crypt.h"
#include "lib/str.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#define BUCKETS      512
#define BUCKET_SLOTS 8
#define WINDOW_MS    (THROTTLE_WINDOW_S * INT64_C(1000))

struct slot {
	uint8_t who[16];  /* all zero: free */
	int64_t since_ms; /* of the first failure of this window */
	int64_t failures;
};

struct throttle {
	int fd; /* -1: none */
};

struct throttle *
throttle_open(const char *path)
{
	struct throttle *t = xmalloc(sizeof(*t));

	t->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	return t;
}

void
throttle_close(struct throttle *t)
{
	if (t == NULL)
		return;
	if (t->fd >= 0)
		close(t->fd);
	free(t);
}

/* What an address counts as. */
static void
identify(struct str address, uint8_t ret[16])
{
	char text[INET6_ADDRSTRLEN] = "";
	uint8_t digest[32];
	struct in6_addr six;

	if (address.n < sizeof(text))
		memcpy(text, address.p, address.n);
	if (inet_pton(AF_INET6, text, &six) == 1 && !IN6_IS_ADDR_V4MAPPED(&six))
		sha256((struct str){(const char *)&six, 8}, digest);
	else
		sha256(address, digest);
	memcpy(ret, digest, 16);
}

static off_t
bucket_at(const uint8_t who[16])
{
	size_t bucket = ((size_t)who[0] << 8 | who[1]) % BUCKETS;

	return (off_t)(bucket * BUCKET_SLOTS * sizeof(struct slot));
}

/* The bucket of `who`; a part of the file that was never written reads as free. */
static bool
read_bucket(const struct throttle *t, const uint8_t who[16], struct slot slots[BUCKET_SLOTS])
{
	memset(slots, 0, BUCKET_SLOTS * sizeof(*slots));
	return t->fd >= 0 &&
	       pread(t->fd, slots, BUCKET_SLOTS * sizeof(*slots), bucket_at(who)) >= 0;
}

static bool
is_current(const struct slot *s, int64_t now_ms)
{
	return s->since_ms <= now_ms && now_ms - s->since_ms < WINDOW_MS;
}

int
throttle_wait(struct throttle *t, struct str address, int64_t now_ms)
{
	struct slot slots[BUCKET_SLOTS];
	uint8_t who[16];

	identify(address, who);
	if (!read_bucket(t, who, slots))
		return 0;
	for (size_t i = 0; i < BUCKET_SLOTS; i++) {
		const struct slot *s = &slots[i];
		if (memcmp(s->who, who, sizeof(who)) != 0 || !is_current(s, now_ms))
			continue;
		if (s->failures >= THROTTLE_TRIES)
			return (int)((s->since_ms + WINDOW_MS - now_ms + 999) / 1000);
	}
	return 0;
}

/* The slot of `who`, else the oldest. */
static struct slot *
choose(struct slot slots[BUCKET_SLOTS], const uint8_t who[16])
{
	struct slot *oldest = &slots[0];

	for (size_t i = 0; i < BUCKET_SLOTS; i++) {
		if (memcmp(slots[i].who, who, 16) == 0)
			return &slots[i];
		if (slots[i].since_ms < oldest->since_ms)
			oldest = &slots[i];
	}
	return oldest;
}

void
throttle_failed(struct throttle *t, struct str address, int64_t now_ms)
{
	struct slot slots[BUCKET_SLOTS];
	uint8_t who[16];

	identify(address, who);
	if (t->fd < 0 || flock(t->fd, LOCK_EX) != 0)
		return;
	if (read_bucket(t, who, slots)) {
		struct slot *s = choose(slots, who);
		if (memcmp(s->who, who, 16) != 0 || !is_current(s, now_ms)) {
			*s = (struct slot){.since_ms = now_ms};
			memcpy(s->who, who, 16);
		}
		s->failures++;
		off_t at = bucket_at(who) + (off_t)((size_t)(s - slots) * sizeof(*s));
		/* A full disk: the try goes uncounted. */
		ssize_t written UNUSED = pwrite(t->fd, s, sizeof(*s), at);
	}
	(void)flock(t->fd, LOCK_UN);
}
