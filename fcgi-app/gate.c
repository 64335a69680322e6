/* SPDX-License-Identifier: MIT
 *
 * The node's gate: how many exchanges are under way, over every process that
 * serves from this DATA_DIR. A shared page holds the total and one count a
 * process. A process that dies leaves its count behind; its slot's lock is gone
 * with it, so the next gate_tend() of any other gives the count back.
 *
 * Open file description locks (fcntl(2), F_OFD_SETLK) are used because they belong
 * to the descriptor: threads and forked children do not confuse them.
 */
#include "fcgi-app/responder.h"
#include "lib/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define GATE_MAGIC 0x6761746531ULL /* "gate1" */

struct gate_header {
	_Atomic uint64_t magic;
	_Atomic int64_t total;
};

struct gate_slot {
	_Atomic int64_t count;
	_Atomic int64_t pid;        /* 0: free */
	_Atomic int64_t started_us; /* wall */
	int64_t spare;
};

struct gate {
	int fd;
	int slot;
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

enum err
gate_open(const struct conf *conf, struct gate **ret, struct errinfo *info)
{
	AUTO_FREE
	char *path = conf_path(conf, "run/gate");
	struct gate *g = xcalloc(1, sizeof(*g));
	enum err e;

	g->fd = -1;
	g->max = conf->max_concurrent_requests;
	e = map_file(g, path, info);
	if (e == ERR_OK && !take_slot(g))
		e = err_set(info, ERR_BUSY, "%s: %d processes serve here already", path,
			    LIMIT_PROCESSES);
	if (e != ERR_OK) {
		gate_close(g);
		return e;
	}
	atomic_store(&g->header->magic, GATE_MAGIC);
	gate_tend(g);
	*ret = g;
	return ERR_OK;
}

void
gate_close(struct gate *g)
{
	if (g == NULL)
		return;
	if (g->header != NULL) {
		reclaim(g, g->slot);
		munmap(g->header, GATE_BYTES);
	}
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
