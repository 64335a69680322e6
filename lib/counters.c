/* SPDX-License-Identifier: MIT
 *
 * The file: a header with the sums over all groups, then a table of groups by id, open
 * addressing, in which an entry is taken for good by the first that counts its group.
 */
#include "lib/counters.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <unistd.h>

/* Changes with the layout. */
#define COUNTERS_MAGIC 0x636e747331ULL /* "cnts1" */
/* Of no group, and of those beyond the table. */
#define ENTRY_NONE  LIMIT_METRIC_GROUPS
#define ENTRY_OTHER (LIMIT_METRIC_GROUPS + 1)
#define ENTRIES     (LIMIT_METRIC_GROUPS + 2)

struct entry {
	_Atomic int64_t id; /* 0: free */
	_Atomic int64_t requests[CLASS__MAX];
	_Atomic int64_t retries;
	int64_t spare; /* a cache line */
};

struct file {
	_Atomic uint64_t magic;
	_Atomic int64_t parent; /* process id of what started the responders */
	_Atomic int64_t overhead_us;
	_Atomic int64_t overhead[OVERHEAD_BUCKETS];
	struct entry entries[ENTRIES];
};

struct counters {
	int fd; /* holds a shared lock for as long as the process lives */
	struct file *file;
};

static const int64_t bounds[] = OVERHEAD_BOUNDS;

static void
add(_Atomic int64_t *counter, int64_t n)
{
	(void)atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static enum err
map_file(struct counters *c, const char *path, bool starts, struct errinfo *info)
{
	void *p;
	int e;

	c->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->fd < 0)
		return err_set(info, ERR_IO, "%s: %s", path, strerrordesc_np(errno));
	/* Allocated whole, so that a full disk shows here and not as a SIGBUS. */
	e = posix_fallocate(c->fd, 0, sizeof(*c->file));
	if (e != 0)
		return err_set(info, e == ENOSPC ? ERR_DISK : ERR_IO, "%s: %s", path,
			       strerrordesc_np(e));
	p = mmap(NULL, sizeof(*c->file), PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	if (p == MAP_FAILED)
		return err_set(info, ERR_IO, "%s: %s", path, strerrordesc_np(errno));
	c->file = p;
	/* Alone, and not in the place of one that died: what is there is of an earlier run. */
	if (starts && flock(c->fd, LOCK_EX | LOCK_NB) == 0 &&
	    atomic_load(&c->file->parent) != getppid()) {
		memset(p, 0, sizeof(*c->file));
		atomic_store(&c->file->parent, getppid());
	}
	/* Who waits here waits for the memset of another. */
	if (flock(c->fd, LOCK_SH) != 0)
		return err_set(info, ERR_IO, "%s: %s", path, strerrordesc_np(errno));
	atomic_store(&c->file->magic, COUNTERS_MAGIC);
	return ERR_OK;
}

enum err
counters_open(const struct conf *conf, bool starts, struct counters **ret, struct errinfo *info)
{
	AUTO_FREE char *path = conf_path(conf, "run/counters");
	struct counters *c = xcalloc(1, sizeof(*c));
	enum err e;

	c->fd = -1;
	e = map_file(c, path, starts, info);
	if (e != ERR_OK) {
		counters_close(c);
		return e;
	}
	*ret = c;
	return ERR_OK;
}

void
counters_close(struct counters *c)
{
	if (c == NULL)
		return;
	if (c->file != NULL)
		munmap(c->file, sizeof(*c->file));
	if (c->fd >= 0)
		close(c->fd);
	free(c);
}

static struct entry *
entry_of(struct counters *c, int64_t group_id)
{
	struct entry *entries = c->file->entries;

	if (group_id <= 0)
		return &entries[ENTRY_NONE];
	for (int i = 0; i < LIMIT_METRIC_GROUPS; i++) {
		struct entry *at = &entries[(group_id + i) % LIMIT_METRIC_GROUPS];
		int64_t id = atomic_load_explicit(&at->id, memory_order_relaxed);

		if (id == group_id)
			return at;
		if (id == 0 &&
		    (atomic_compare_exchange_strong(&at->id, &id, group_id) || id == group_id))
			return at;
	}
	return &entries[ENTRY_OTHER];
}

static enum counter_class
class_of(int status)
{
	return status == 499 || status < 200 ? CLASS_GONE
	       : status >= 500               ? CLASS_5XX
					     : (enum counter_class)(status / 100 - 2);
}

void
counters_request(struct counters *c, int64_t group_id, int status, int64_t overhead_us)
{
	int bucket = 0;

	while (bucket < OVERHEAD_BUCKETS - 1 && overhead_us > bounds[bucket])
		bucket++;
	add(&entry_of(c, group_id)->requests[class_of(status)], 1);
	add(&c->file->overhead[bucket], 1);
	add(&c->file->overhead_us, overhead_us > 0 ? overhead_us : 0);
}

void
counters_retry(struct counters *c, int64_t group_id)
{
	add(&entry_of(c, group_id)->retries, 1);
}

static void
look_at_entry(struct counters_view *view, struct entry *e, int64_t id)
{
	struct counters_group *g = &view->groups[view->n_groups];
	int64_t all = 0;

	*g = (struct counters_group){.id = id, .retries = atomic_load(&e->retries)};
	for (int i = 0; i < CLASS__MAX; i++) {
		g->requests[i] = atomic_load(&e->requests[i]);
		all += g->requests[i];
	}
	view->n_groups += all + g->retries > 0;
}

void
counters_look(const struct conf *conf, struct counters_view *ret)
{
	AUTO_FREE char *path = conf_path(conf, "run/counters");
	AUTO_FREE struct file *f = xcalloc(1, sizeof(*f));
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	ssize_t n = fd >= 0 ? pread(fd, f, sizeof(*f), 0) : -1;

	memset(ret, 0, sizeof(*ret));
	if (fd >= 0)
		close(fd);
	if (n != (ssize_t)sizeof(*f) || atomic_load(&f->magic) != COUNTERS_MAGIC)
		return;
	for (int i = 0; i < LIMIT_METRIC_GROUPS; i++)
		if (atomic_load(&f->entries[i].id) != 0)
			look_at_entry(ret, &f->entries[i], atomic_load(&f->entries[i].id));
	look_at_entry(ret, &f->entries[ENTRY_NONE], 0);
	look_at_entry(ret, &f->entries[ENTRY_OTHER], -1);
	ret->overhead_us = atomic_load(&f->overhead_us);
	for (int i = 0; i < OVERHEAD_BUCKETS; i++)
		ret->overhead[i] = atomic_load(&f->overhead[i]);
}
