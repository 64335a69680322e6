/* SPDX-License-Identifier: MIT
 *
 * What the commands of `gpt-load` share: arguments, progress, input, tables.
 */
#include "admin-cgi/cli.h"

#include "lib/clock.h"
#include "lib/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define PROGRESS_US INT64_C(100000)

/* --- arguments --- */

int
cli_usage(const char *command, const char *fmt, ...)
{
	va_list ap;

	fputs("gpt-load: ", stderr);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "; see `gpt-load %s --help`\n", command);
	return CLI_USAGE;
}

/* The option that `arg` names, up to '='. */
static const struct cli_option *
find_option(const char *arg, const struct cli_option *options, size_t n, const char **ret_value)
{
	const char *equals = strchr(arg, '=');
	size_t len = equals != NULL ? (size_t)(equals - arg) : strlen(arg);

	*ret_value = equals != NULL ? equals + 1 : NULL;
	for (size_t i = 0; i < n; i++)
		if (strlen(options[i].name) == len && strncmp(options[i].name, arg, len) == 0)
			return &options[i];
	return NULL;
}

static bool
store(const struct cli_option *o, const char *value)
{
	switch (o->kind) {
	case CLI_FLAG:
		*(bool *)o->to = true;
		return value == NULL;
	case CLI_TEXT:
		*(const char **)o->to = value;
		return true;
	case CLI_NUMBER:
		return str_to_i64(str_of(value), 1, INT64_MAX, (int64_t *)o->to);
	}
	return false;
}

/* One option at argv[*i], and its value behind it. */
static bool
take_option(int argc, char **argv, int *i, const struct cli_option *options, size_t n)
{
	const char *value;
	const struct cli_option *o = find_option(argv[*i], options, n, &value);
	const char *name = argv[*i];

	if (o == NULL) {
		(void)cli_usage(argv[0], "there is no option %s",
				str_starts(str_of(name), "--") ? name : "of that name");
		return false;
	}
	if (o->kind != CLI_FLAG && value == NULL) {
		if (*i + 1 >= argc) {
			(void)cli_usage(argv[0], "%s needs a value", o->name);
			return false;
		}
		value = argv[++*i];
	}
	if (!store(o, value)) {
		(void)cli_usage(argv[0], "%s: the value cannot be used", o->name);
		return false;
	}
	return true;
}

bool
cli_options(int *argc, char **argv, const struct cli_option *options, size_t n)
{
	bool all_words = false;
	int words = 1;

	for (int i = 1; i < *argc; i++) {
		if (!all_words && strcmp(argv[i], "--") == 0) {
			all_words = true;
			continue;
		}
		if (all_words || argv[i][0] != '-' || argv[i][1] == '\0') {
			argv[words++] = argv[i];
			continue;
		}
		if (!take_option(*argc, argv, &i, options, n))
			return false;
	}
	*argc = words;
	return true;
}

/* --- progress --- */

void
progress_say(struct progress *p, int64_t done, int64_t total)
{
	int64_t now = clock_mono_us();

	if (!isatty(STDERR_FILENO) || (p->said_us != 0 && now - p->said_us < PROGRESS_US))
		return;
	p->said_us = now;
	if (total > 0)
		fprintf(stderr, "\r\033[K%s: %lld of %lld (%lld %%)", p->what, (long long)done,
			(long long)total, (long long)(MIN(done, total) * 100 / total));
	else
		fprintf(stderr, "\r\033[K%s: %lld", p->what, (long long)done);
	(void)fflush(stderr);
}

void
progress_end(struct progress *p)
{
	if (p->said_us != 0)
		fputs("\r\033[K", stderr);
	p->said_us = 0;
}

/* --- input and output --- */

enum err
cli_read(const char *path, size_t max, struct buf *out, struct errinfo *info)
{
	bool is_stdin = path == NULL || strcmp(path, "-") == 0;
	int fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
	enum err e = ERR_OK;
	char piece[65536];
	ssize_t n;

	if (fd < 0)
		return err_set(info, ERR_IO, "%s: %m", path);
	buf_init(out, max);
	while ((n = read(fd, piece, sizeof(piece))) != 0 && e == ERR_OK) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			e = err_set(info, ERR_IO, "%s: %m", is_stdin ? "standard input" : path);
		else
			buf_add(out, piece, (size_t)n);
		if (e == ERR_OK && buf_err(out) != ERR_OK)
			e = err_set(info, ERR_TOO_LARGE, "%s: more than %zu bytes",
				    is_stdin ? "standard input" : path, max);
	}
	wipe(piece, sizeof(piece));
	if (!is_stdin)
		(void)close(fd);
	return e;
}

int
cli_print(const struct buf *out)
{
	enum err e = buf_err(out);

	if (e != ERR_OK)
		return cli_error(e, NULL);
	if ((out->n > 0 && fwrite(out->p, 1, out->n, stdout) != out->n) ||
	    (out->n > 0 && out->p[out->n - 1] != '\n' && putchar('\n') == EOF) ||
	    fflush(stdout) != 0)
		return CLI_FAILED;
	return CLI_OK;
}

bool
cli_confirm(bool yes, const char *question)
{
	char line[16] = "";

	if (yes)
		return true;
	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
		fprintf(stderr, "gpt-load: %s: say --yes\n", question);
		return false;
	}
	fprintf(stderr, "%s? Type \"yes\": ", question);
	return fgets(line, sizeof(line), stdin) != NULL && strcmp(line, "yes\n") == 0;
}

void
cli_cell(struct buf *out, struct str text, int width)
{
	int n = 0;

	for (size_t i = 0; i < text.n && n < width;) {
		size_t len = utf8_next(text.p + i, text.n - i);
		bool shown = len > 0 && (unsigned char)text.p[i] >= ' ' && text.p[i] != 0x7f;

		if (shown)
			buf_add(out, text.p + i, len);
		else
			buf_char(out, '?');
		i += MAX(len, (size_t)1);
		n++;
	}
	for (; n < width; n++)
		buf_char(out, ' ');
	buf_char(out, ' ');
}

void
cli_end_row(struct buf *out)
{
	while (out->n > 0 && out->p[out->n - 1] == ' ')
		out->p[--out->n] = '\0';
	buf_char(out, '\n');
}
