/* SPDX-License-Identifier: MIT
 *
 * The LMDB store's file: one that is not to be trusted, one that cannot be made,
 * one that shall grow.
 */
#include "tests/unit/pool_kit.h"
#include "lib/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#define FS_NFS 0x6969

/* The two calls whose failures cannot be had otherwise; 0: the system's answer. */
static int allocation_error;
static long file_system;

int
posix_fallocate(int fd, off_t offset, off_t len)
{
	if (allocation_error != 0)
		return allocation_error;
	return fallocate(fd, 0, offset, len) == 0 ? 0 : errno;
}

int
statfs(const char *path, struct statfs *ret)
{
	int rc = (int)syscall(SYS_statfs, path, ret);

	if (rc == 0 && file_system != 0)
		ret->f_type = file_system;
	return rc;
}

static int
teardown_faults(void **state)
{
	allocation_error = 0;
	file_system = 0;
	return teardown(state);
}

static bool
has_file(struct fixture *f, const char *name, struct stat *ret)
{
	AUTO_FREE char *path = conf_path(&f->conf, name);

	return stat(path, ret) == 0;
}

/* Replaces the bytes of a file at its start. */
static void
overwrite(struct fixture *f, const char *name, const void *p, size_t n)
{
	AUTO_FREE char *path = conf_path(&f->conf, name);
	int fd;

	fd = open(path, O_WRONLY);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, p, n, 0), n);
	close(fd);
}

static size_t
read_file(struct fixture *f, const char *name, char *ret, size_t size)
{
	AUTO_FREE char *path = conf_path(&f->conf, name);
	ssize_t n;
	int fd;

	fd = open(path, O_RDONLY);
	assert_true(fd >= 0);
	n = read(fd, ret, size - 1);
	assert_true(n >= 0);
	close(fd);
	ret[n] = '\0';
	return (size_t)n;
}

/* Opens the pool, puts three keys in, and closes it. */
static void
make_pool(struct fixture *f)
{
	open_pool(f);
	add_keys(f->pool, GROUP, 1, 3);
	close_pool(f);
}

static void
expect_keys(struct fixture *f, int64_t n)
{
	open_pool(f);
	assert_int_equal(count(f->pool, GROUP), n);
	verify(f->pool);
}

static void
test_files(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	make_pool(f);
	assert_true(has_file(f, "pool.mdb", &st));
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, POOL_MB * MB);
	/* Every block is there. */
	assert_true(st.st_blocks * 512 >= st.st_size);
	assert_true(has_file(f, "pool.mdb-lock", &st));
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(has_file(f, "pool.open.lock", &st));
	assert_int_equal(st.st_mode & 0777, 0600);
	expect_keys(f, 3);
}

/* The kernel's flags of the mapping of `name` in this process. */
static void
mapping_flags(const char *name, char *ret, size_t size)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	char line[4096];
	bool here = false;

	ret[0] = '\0';
	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps) != NULL) {
		/* A mapping begins with its addresses, "7f00-7f10 rw-s …". */
		if (strchr("0123456789abcdef", line[0]) != NULL)
			here = strstr(line, name) != NULL;
		else if (here && str_starts(str_of(line), "VmFlags:"))
			(void)snprintf(ret, size, "%s", line);
	}
	(void)fclose(maps);
}

/* A fault read 8 MiB around it, where the disk's read-ahead is that large, with the
 * pool locked: every request waited for 20 ms. */
static void
test_is_not_read_ahead(void **state)
{
	struct fixture *f = *state;
	char flags[256];

	open_pool(f);
	mapping_flags("/pool.mdb\n", flags, sizeof(flags));
	assert_non_null(strstr(flags, " rr"));
}

#ifndef HAVE_REDIS
static void
test_redis_is_not_built_in(void **state)
{
	struct fixture *f = *state;
	char dsn[] = "redis://127.0.0.1/0";
	struct errinfo info;

	f->conf.redis_dsn = dsn;
	assert_int_equal(try_open(f, &info), ERR_CONF);
	assert_string_equal(info.text, "REDIS_DSN: this build has no Redis driver");
}
#endif

static void
test_folder_is_not_there(void **state)
{
	struct fixture *f = *state;
	char nowhere[] = "/nonexistent/data";
	struct errinfo info;

	f->conf.data_dir = nowhere;
	assert_int_equal(try_open(f, &info), ERR_IO);
	assert_non_null(strstr(info.text, nowhere));
	f->conf.data_dir = f->dir;
}

static void
test_network_file_system(void **state)
{
	struct fixture *f = *state;
	struct errinfo info;
	struct stat st;

	file_system = FS_NFS;
	assert_int_equal(try_open(f, &info), ERR_CONF);
	assert_non_null(strstr(info.text, "network file system (NFS)"));
	assert_false(has_file(f, "pool.mdb", &st));
}

static void
test_disk_full(void **state)
{
	struct fixture *f = *state;
	struct errinfo info;
	struct stat st;

	allocation_error = ENOSPC;
	assert_int_equal(try_open(f, &info), ERR_DISK);
	assert_non_null(strstr(info.text, "POOL_SIZE_MB"));
	assert_non_null(strstr(info.text, "32 MB"));
	assert_false(has_file(f, "pool.mdb", &st));
	assert_false(has_file(f, "pool.mdb-lock", &st));
	/* There is room again. */
	allocation_error = 0;
	open_pool(f);
	verify(f->pool);
}

/* In a process of its own: the limit cannot be raised again. */
static void
test_file_size_limit(void **state)
{
	struct fixture *f = *state;
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct rlimit limit = {8 * MB, 8 * MB};
		struct errinfo info;

		setrlimit(RLIMIT_FSIZE, &limit);
		if (try_open(f, &info) != ERR_CONF || strstr(info.text, "beyond 8 MB") == NULL)
			_exit(1);
		f->conf.pool_size = 4 * MB;
		_exit(try_open(f, &info) == ERR_OK ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* Each spoils the mark, or the file, in one way. */
static void
test_untrusted_files(void **state)
{
	static const struct {
		const char *what;
		const char *file;
		size_t from; /* of the file: the first byte that is changed */
	} rows[] = {
	    {"another format", "pool.open.lock", 0},
	    {"another boot", "pool.open.lock", sizeof("gpt-load-pool-N")},
	    {"garbage", "pool.mdb", 0},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[8192];
		size_t n;

		make_pool(f);
		n = read_file(f, rows[i].file, text, sizeof(text));
		memset(text + rows[i].from, 'z', MIN(n - rows[i].from, 4));
		if (strcmp(rows[i].file, "pool.mdb") == 0)
			memset(text, 0, n);
		overwrite(f, rows[i].file, text, n);
		open_pool(f);
		if (count(f->pool, GROUP) != 0)
			fail_msg("%s: the file was taken", rows[i].what);
		verify(f->pool);
		close_pool(f);
	}
}

static void
test_half_made_file(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE char *path = conf_path(&f->conf, "pool.open.lock");

	make_pool(f);
	assert_int_equal(truncate(path, 0), 0);
	expect_keys(f, 0);
}

static void
test_copied_file(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE char *path = conf_path(&f->conf, "pool.mdb");
	AUTO_FREE char *copy = conf_path(&f->conf, "copy");
	AUTO_FREE char *bytes = xmalloc(POOL_MB * MB + 1);
	size_t n;
	int fd;

	make_pool(f);
	n = read_file(f, "pool.mdb", bytes, POOL_MB * MB + 1);
	assert_int_equal(n, POOL_MB * MB);
	fd = open(copy, O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, bytes, n), n);
	close(fd);
	assert_int_equal(rename(copy, path), 0);
	expect_keys(f, 0);
}

static void
test_another_version_in_use(void **state)
{
	struct fixture *f = *state;
	struct errinfo info;
	pid_t pid;

	make_pool(f);
	pid = start_process(f, hold_pool, 0);
	/* Another boot cannot be, while somebody has it open; another format can. */
	overwrite(f, "pool.open.lock", "gpt-load-pool-1 zzzz", 20);
	expect_keys(f, 3);
	close_pool(f);
	overwrite(f, "pool.open.lock", "gpt-load-pool-0", 15);
	assert_int_equal(try_open(f, &info), ERR_POOL);
	assert_non_null(strstr(info.text, "another version"));
	kill_process(pid);
	expect_keys(f, 0);
}

static void
test_sizes(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	pid_t pid;

	make_pool(f);
	/* In use: it stays. */
	pid = start_process(f, hold_pool, 0);
	f->conf.pool_size = 48 * MB;
	expect_keys(f, 3);
	close_pool(f);
	assert_true(has_file(f, "pool.mdb", &st));
	assert_int_equal(st.st_size, POOL_MB * MB);
	kill_process(pid);
	/* No room: it stays. */
	allocation_error = ENOSPC;
	expect_keys(f, 3);
	close_pool(f);
	assert_true(has_file(f, "pool.mdb", &st));
	assert_int_equal(st.st_size, POOL_MB * MB);
	/* It grows and keeps its content. */
	allocation_error = 0;
	expect_keys(f, 3);
	assert_int_equal(add_sized(f->pool, GROUP, 1, 8000, 2000), ERR_OK);
	close_pool(f);
	assert_true(has_file(f, "pool.mdb", &st));
	assert_int_equal(st.st_size, 48 * MB);
	/* It never shrinks. */
	f->conf.pool_size = 16 * MB;
	expect_keys(f, 8000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup_closed, teardown_faults)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    TEST(test_files),
	    TEST(test_is_not_read_ahead),
#ifndef HAVE_REDIS
	    TEST(test_redis_is_not_built_in),
#endif
	    TEST(test_folder_is_not_there),
	    TEST(test_network_file_system),
	    TEST(test_disk_full),
	    TEST(test_file_size_limit),
	    TEST(test_untrusted_files),
	    TEST(test_half_made_file),
	    TEST(test_copied_file),
	    TEST(test_another_version_in_use),
	    TEST(test_sizes),
	};

	return cmocka_run_group_tests_name("pool_lmdb", tests, NULL, NULL);
}
