/* SPDX-License-Identifier: MIT
 *
 * The sink of all log lines; see log.h. A line is put together in memory,
 * redacted, and written with one write(2) per destination.
 *
 *	2026-11-24T08:00:00.123+08:00 WARN  gpt-load.fcgi[712]: message
 *	{"time":"…","level":"warn","program":"gpt-load.fcgi","pid":712,"message":"…"}
 *
 * A failure to write a line has nobody to be told to and is ignored, but for a
 * log file that cannot be opened: stderr says so, once per cause.
 */
#include "lib/log.h"

#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/limits.h"
#include "lib/str.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* How often a file is looked at for having been renamed. */
#define REOPEN_US 1000000
/* A message, where each byte may become six, and what stands around it. */
#define LINE_MAX_BYTES (6 * LIMIT_LOG_LINE + 512)

static const struct {
	const char *text; /* one width, so that messages stand below each other */
	const char *json;
} levels[] = {
    [LOG_ERROR] = {"ERROR", "error"},
    [LOG_WARN] = {"WARN ", "warn"},
    [LOG_INFO] = {"INFO ", "info"},
    [LOG_DEBUG] = {"DEBUG", "debug"},
};

static atomic_int threshold = LOG_INFO;

/* Guarded by `lock`, but for what log_open() sets before there are threads. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *program = "gpt-load";
static bool json;
static char *file_path;
static int file_fd = -1;
static dev_t file_dev;
static ino_t file_ino;
static int64_t looked_us;
static int open_errno; /* of the last try to open the file */

static void
add_time(struct buf *b)
{
	int64_t us = clock_wall_us();
	time_t seconds = (time_t)(us / 1000000);
	long minutes;
	struct tm tm;

	localtime_r(&seconds, &tm);
	minutes = tm.tm_gmtoff / 60;
	buf_printf(b, "%04d-%02d-%02dT%02d:%02d:%02d.%03d%c%02ld:%02ld", tm.tm_year + 1900,
		   tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
		   (int)(us / 1000 % 1000), minutes < 0 ? '-' : '+', labs(minutes) / 60,
		   labs(minutes) % 60);
}

/* The message with control characters made visible, so that it is one line and
 * moves no terminal's cursor. */
static void
add_escaped(struct buf *b, struct str s)
{
	size_t copied = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c >= 0x20 && c != 0x7F)
			continue;
		buf_add(b, s.p + copied, i - copied);
		if (c == '\n')
			buf_cstr(b, "\\n");
		else if (c == '\r')
			buf_cstr(b, "\\r");
		else if (c == '\t')
			buf_char(b, ' ');
		else
			buf_printf(b, "\\x%02x", c);
		copied = i + 1;
	}
	buf_str(b, str_from(s, copied));
}

static void
format_line(struct buf *line, enum log_level level, struct str message)
{
	if (json) {
		buf_cstr(line, "{\"time\":\"");
		add_time(line);
		buf_printf(line, "\",\"level\":\"%s\",\"program\":", levels[level].json);
		buf_json(line, str_of(program));
		buf_printf(line, ",\"pid\":%ld,\"message\":", (long)getpid());
		buf_json(line, message);
		buf_cstr(line, "}\n");
	} else {
		add_time(line);
		buf_printf(line, " %s %s[%ld]: ", levels[level].text, program, (long)getpid());
		add_escaped(line, message);
		buf_char(line, '\n');
	}
}

static void
write_line(int fd, struct str line)
{
	ssize_t n;

	do
		n = write(fd, line.p, line.n);
	while (n < 0 && errno == EINTR);
}

static void
say_unopened(int error)
{
	struct buf line;
	char reason[128];
	AUTO_FREE char *message = NULL;

	message = xasprintf("LOG_FILE_PATH: %s cannot be opened: %s", file_path,
			    strerror_r(error, reason, sizeof(reason)));
	buf_init(&line, LINE_MAX_BYTES);
	format_line(&line, LOG_ERROR, str_of(message));
	write_line(STDERR_FILENO, buf_view(&line));
	buf_done(&line);
}

static void
open_file(void)
{
	struct stat st;

	if (file_fd >= 0)
		close(file_fd);
	file_fd = open(file_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
	if (file_fd < 0) {
		if (errno != open_errno)
			say_unopened(errno);
		open_errno = errno;
		return;
	}
	open_errno = 0;
	if (fstat(file_fd, &st) == 0) {
		file_dev = st.st_dev;
		file_ino = st.st_ino;
	}
}

/* Opens the file again when another one stands at its path, or none. */
static void
follow_file(void)
{
	int64_t now = clock_mono_us();
	struct stat st;

	if (now - looked_us < REOPEN_US)
		return;
	looked_us = now;
	if (file_fd < 0 || stat(file_path, &st) != 0 || st.st_dev != file_dev ||
	    st.st_ino != file_ino)
		open_file();
}

void
log_open(const struct conf *conf, const char *name)
{
	pthread_mutex_lock(&lock);
	program = name;
	json = conf->log_json;
	free(file_path);
	file_path = conf->log_file != NULL ? xstrdup(conf->log_file) : NULL;
	if (file_fd >= 0)
		close(file_fd);
	file_fd = -1;
	open_errno = 0;
	looked_us = clock_mono_us();
	if (file_path != NULL)
		open_file();
	pthread_mutex_unlock(&lock);
	log_set_level(conf->log_level);
}

void
log_set_level(enum log_level level)
{
	atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

bool
log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&threshold, memory_order_relaxed);
}

void
log_line(enum log_level level, const char *fmt, ...)
{
	char *message = NULL;
	struct buf clean;
	struct buf line;
	va_list ap;
	int saved = errno;
	int n;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	n = vasprintf(&message, fmt, ap);
	va_end(ap);
	check(n >= 0);
	buf_init(&clean, LIMIT_LOG_LINE);
	redact_cut(&clean, (struct str){message, (size_t)n}, LIMIT_LOG_LINE, NULL, 0);
	buf_init(&line, LINE_MAX_BYTES);
	pthread_mutex_lock(&lock);
	format_line(&line, level, buf_view(&clean));
	write_line(STDERR_FILENO, buf_view(&line));
	if (file_path != NULL) {
		follow_file();
		if (file_fd >= 0)
			write_line(file_fd, buf_view(&line));
	}
	pthread_mutex_unlock(&lock);
	buf_done(&clean);
	buf_done(&line);
	free(message);
	errno = saved;
}
