/* SPDX-License-Identifier: MIT
 *
 * The node's gate: a mapped page with the total, and a slot a process that is held
 * by a lock on byte GATE_SLOTS_AT + slot.
 *
 * Open file description locks (fcntl(2), F_OFD_SETLK) are used because they belong
 * to the descriptor: threads and forked children do not confuse them.
 */
#include "lib/gate.h"
#include "lib/clock.h"
#include "lib/limits.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Where the slots begin: the header has a page of its own. */
#define GATE_SLOTS_AT 4096
/* The byte that who opens it has locked. */
#define GATE_OPENING_AT (GATE_SLOTS_AT - 1)
#define GATE_MAGIC      0x6761746531ULL /* "gate1" */

struct gate_header {
	_Atomic uint64_t magic;
	_Atomic int64_t total;
};

struct gate_slot {
	_Atomic int64_t count;
	_Atomic int64_t pid;        /* 0: free */
	_Atomic int64_t started_us; /* wall */
	_Atomic int64_t streams;
};

struct gate {
	int fd;
	int slot; /* -1: none yet */
	int64_t max;
	struct gate_header *header;
	struct gate_slot *slots;
};

#define GATE_BYTES (GATE_SLOTS_AT + LIMIT_PROCESSES * sizeof(struct gate_slot))

static bool
lock_slot(int fd, int slot, short type)
{
	struct flock lock = {
	    .l_type = type, .l_whence = SEEK_SET, .l_start = GATE_SLOTS_AT + slot, .l_len = 1};

	return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

/* With the slot's lock held: what a dead process had under way is over. */
static void
reclaim(struct gate *g, int slot)
{
	struct gate_slot *s = &g->slots[slot];
	int64_t lost = atomic_exchange(&s->count, 0);

	atomic_fetch_sub(&g->header->total, lost);
	atomic_store(&s->streams, 0);
	atomic_store(&s->pid, 0);
}

static bool
take_slot(struct gate *g)
{
	for (int i = 0; i < LIMIT_PROCESSES; i++) {
		if (!lock_slot(g->fd, i, F_WRLCK))
			continue;
		reclaim(g, i);
		atomic_store(&g->slots[i].started_us, clock_wall_us());
		atomic_store(&g->slots[i].pid, getpid());
		g->slot = i;
		return true;
	}
	return false;
}

static enum err
map_file(struct gate *g, const char *path, struct errinfo *info)
{
	char *p;

	g->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (g->fd < 0)
		return err_set(info, ERR_IO, "%s: %s", path, strerrordesc_np(errno));
	/* Allocated whole, so that a full disk shows here and not as a SIGBUS. */
	int e = posix_fallocate(g->fd, 0, GATE_BYTES);

	if (e != 0)
		return err_set(info, e == ENOSPC ? ERR_DISK : ERR_IO, "%s: %s", path,
			       strerrordesc_np(e));
	p = mmap(NULL, GATE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, g->fd, 0);
	if (p == MAP_FAILED)
		return err_set(info, ERR_IO, "%s: %s", path, strerrordesc_np(errno));
	g->header = (struct gate_header *)p;
	g->slots = (struct gate_slot *)(p + GATE_SLOTS_AT);
	return ERR_OK;
}

/* The first slot from `from` on that a living process holds; -1: there is none. */
static int
next_held(int fd, int from)
{
	struct flock lock = {
	    .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = GATE_SLOTS_AT + from};

	if (from >= LIMIT_PROCESSES || fcntl(fd, F_OFD_GETLK, &lock) != 0 || lock.l_type == F_UNLCK)
		return -1;
	return MAX((int)lock.l_start - GATE_SLOTS_AT, from);
}

/* One process opens at a time. Who is the only one then begins at zero: a process that was
 * killed between its own count and the node's has left the latter wrong. */
static enum err
enter_node(struct gate *g, const char *path, struct errinfo *info)
{
	struct flock opening = {
	    .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = GATE_OPENING_AT, .l_len = 1};
	enum err e = ERR_OK;

	if (TEMP_FAILURE_RETRY(fcntl(g->fd, F_OFD_SETLKW, &opening)) != 0)
		return err_set(info, ERR_IO, "%s: %s", path, strerrordesc_np(errno));
	if (take_slot(g)) {
		gate_tend(g);
		if (next_held(g->fd, 0) < 0)
			atomic_store(&g->header->total, 0);
		atomic_store(&g->header->magic, GATE_MAGIC);
	} else {
		e = err_set(info, ERR_BUSY, "%s: %d processes serve here already", path,
			    LIMIT_PROCESSES);
	}
	opening.l_type = F_UNLCK;
	(void)fcntl(g->fd, F_OFD_SETLK, &opening);
	return e;
}

enum err
gate_open(const struct conf *conf, struct gate **ret, struct errinfo *info)
{
	AUTO_FREE char *path = conf_path(conf, "run/gate");
	struct gate *g = xcalloc(1, sizeof(*g));
	enum err e;

	g->fd = g->slot = -1;
	g->max = conf->max_concurrent_requests;
	e = map_file(g, path, info);
	if (e == ERR_OK)
		e = enter_node(g, path, info);
	if (e != ERR_OK) {
		gate_close(g);
		return e;
	}
	*ret = g;
	return ERR_OK;
}

void
gate_close(struct gate *g)
{
	if (g == NULL)
		return;
	if (g->slot >= 0)
		reclaim(g, g->slot);
	if (g->header != NULL)
		munmap(g->header, GATE_BYTES);
	if (g->fd >= 0)
		close(g->fd);
	free(g);
}

bool
gate_enter(struct gate *g)
{
	if (atomic_fetch_add(&g->header->total, 1) >= g->max) {
		atomic_fetch_sub(&g->header->total, 1);
		return false;
	}
	atomic_fetch_add(&g->slots[g->slot].count, 1);
	return true;
}

void
gate_leave(struct gate *g)
{
	atomic_fetch_sub(&g->slots[g->slot].count, 1);
	atomic_fetch_sub(&g->header->total, 1);
}

void
gate_stream(struct gate *g, int change)
{
	atomic_fetch_add_explicit(&g->slots[g->slot].streams, change, memory_order_relaxed);
}

void
gate_tend(struct gate *g)
{
	for (int i = 0; i < LIMIT_PROCESSES; i++) {
		if (i == g->slot || atomic_load(&g->slots[i].pid) == 0)
			continue;
		if (lock_slot(g->fd, i, F_WRLCK)) {
			reclaim(g, i);
			(void)lock_slot(g->fd, i, F_UNLCK);
		}
	}
}

void
gate_look(const struct conf *conf, struct gate_view *ret)
{
	AUTO_FREE char *path = conf_path(conf, "run/gate");
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	struct gate_slot slot;

	*ret = (struct gate_view){0};
	if (fd < 0)
		return;
	for (int i = 0; (i = next_held(fd, i)) >= 0; i++) {
		off_t at = GATE_SLOTS_AT + (off_t)i * (off_t)sizeof(slot);
		int64_t started;

		if (pread(fd, &slot, sizeof(slot), at) != (ssize_t)sizeof(slot))
			continue;
		started = atomic_load(&slot.started_us);
		ret->processes++;
		ret->under_way += atomic_load(&slot.count);
		ret->streams += atomic_load(&slot.streams);
		if (ret->since_us == 0 || started < ret->since_us)
			ret->since_us = started;
	}
	close(fd);
}
