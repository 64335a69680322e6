/* SPDX-License-Identifier: MIT
 *
 * Where there is no libFuzzer: gives every file of the named files and folders to
 * LLVMFuzzerTestOneInput() once, so that corpora are replayed by any build. Without
 * arguments, as `make check` runs it, fuzz_FORMAT takes $srcdir/tests/fuzz/corpus/FORMAT.
 * Output is TAP: a line for each input.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base.h"

#define INPUT_MAX (1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t n_done;

static void
replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data;
	size_t n;

	if (f == NULL) {
		printf("not ok %zu - %s cannot be opened\n", ++n_done, path);
		return;
	}
	data = xmalloc(INPUT_MAX);
	n = fread(data, 1, INPUT_MAX, f);
	fclose(f);
	/* A block of its very size, so that a read past the end is seen. */
	data = xrealloc(data, n);
	(void)LLVMFuzzerTestOneInput(data, n);
	free(data);
	printf("ok %zu - %s\n", ++n_done, path);
}

static void
replay(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;

	if (dir == NULL) {
		replay_file(path);
		return;
	}
	while ((entry = readdir(dir)) != NULL) {
		AUTO_FREE char *name = xasprintf("%s/%s", path, entry->d_name);

		if (entry->d_name[0] != '.')
			replay(name);
	}
	closedir(dir);
}

static void
replay_own_corpus(const char *program)
{
	const char *slash = strrchr(program, '/');
	const char *name = slash != NULL ? slash + 1 : program;
	const char *format = strncmp(name, "fuzz_", 5) == 0 ? name + 5 : name;
	const char *srcdir = getenv("srcdir");
	AUTO_FREE char *path =
	    xasprintf("%s/tests/fuzz/corpus/%s", srcdir != NULL ? srcdir : ".", format);

	replay(path);
}

int
main(int argc, char **argv)
{
	if (argc == 1)
		replay_own_corpus(argv[0]);
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	printf("1..%zu\n", n_done);
	return n_done > 0 ? 0 : 1;
}
