/* SPDX-License-Identifier: MIT
 *
 * The reader of .env files; see envfile.h.
 */
#include "lib/envfile.h"

#include "lib/buf.h"
#include "lib/limits.h"
#include "lib/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

struct entry {
	char *name;
	char *value;
	int line;
};

struct envfile {
	struct entry *entries;
	size_t n;
};

/* What is being parsed: for messages. */
struct place {
	const char *path;
	int line;
	struct errinfo *info;
};

static enum err
refuse(const struct place *at, const char *what)
{
	return err_set(at->info, ERR_CONF, "%s:%d: %s", at->path, at->line, what);
}

static bool
is_name(struct str s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
		      (i > 0 && c >= '0' && c <= '9')))
			return false;
	}
	return s.n > 0;
}

/* After the closing quote only a comment may stand. */
static bool
is_end(struct str s)
{
	s = str_trim(s);
	return s.n == 0 || s.p[0] == '#';
}

static enum err
parse_single(struct str s, struct buf *value, const struct place *at)
{
	const char *end = memchr(s.p + 1, '\'', s.n - 1);

	if (end == NULL)
		return refuse(at, "a ' is not closed on its line");
	buf_add(value, s.p + 1, (size_t)(end - s.p) - 1);
	return is_end(str_from(s, (size_t)(end - s.p) + 1))
		   ? ERR_OK
		   : refuse(at, "text after the closing '");
}

static enum err
parse_double(struct str s, struct buf *value, const struct place *at)
{
	size_t i = 1;

	for (; i < s.n && s.p[i] != '"'; i++) {
		char c = s.p[i];

		if (c == '\\' && i + 1 < s.n) {
			c = s.p[++i];
			switch (c) {
			case 'n':
				c = '\n';
				break;
			case 'r':
				c = '\r';
				break;
			case 't':
				c = '\t';
				break;
			case '"':
			case '\\':
			case '$':
				break;
			default:
				buf_char(value, '\\');
			}
		}
		buf_char(value, c);
	}
	if (i >= s.n)
		return refuse(at, "a \" is not closed on its line");
	return is_end(str_from(s, i + 1)) ? ERR_OK : refuse(at, "text after the closing \"");
}

/* Up to a '#' that follows a blank. */
static void
parse_bare(struct str s, struct buf *value)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '#' && (i == 0 || s.p[i - 1] == ' ' || s.p[i - 1] == '\t'))
			s.n = i;
	buf_str(value, str_trim(s));
}

static enum err
parse_value(struct str s, struct buf *value, const struct place *at)
{
	enum err e = ERR_OK;

	if (s.n > 0 && s.p[0] == '\'')
		e = parse_single(s, value, at);
	else if (s.n > 0 && s.p[0] == '"')
		e = parse_double(s, value, at);
	else
		parse_bare(s, value);
	if (e == ERR_OK && buf_err(value) != ERR_OK)
		e = refuse(at, "the value is too long");
	return e;
}

static enum err
parse_line(struct envfile *f, struct str line, const struct place *at)
{
	const char *equals;
	struct str name;
	struct buf value;
	enum err e;

	line = str_trim(line);
	if (line.n == 0 || line.p[0] == '#')
		return ERR_OK;
	if (str_starts(line, "export ") || str_starts(line, "export\t"))
		line = str_trim(str_from(line, strlen("export ")));
	equals = memchr(line.p, '=', line.n);
	name = equals != NULL ? str_trim((struct str){line.p, (size_t)(equals - line.p)})
			      : (struct str){NULL, 0};
	if (!is_name(name))
		return refuse(at, "this is no NAME=value");
	buf_init(&value, LIMIT_CONF_VALUE);
	e = parse_value(str_trim(str_from(line, (size_t)(equals - line.p) + 1)), &value, at);
	if (e == ERR_OK) {
		f->entries = xrealloc(f->entries, (f->n + 1) * sizeof(*f->entries));
		f->entries[f->n++] = (struct entry){
		    .name = xstrndup(name.p, name.n),
		    .value = xstrdup(buf_text(&value)),
		    .line = at->line,
		};
	}
	wipe(value.p, value.n);
	buf_done(&value);
	return e;
}

static enum err
parse(struct envfile *f, struct str text, struct place *at)
{
	struct str line;

	if (memchr(text.p, '\0', text.n) != NULL)
		return err_set(at->info, ERR_CONF, "%s: this is no text file", at->path);
	if (str_starts(text, "\xEF\xBB\xBF"))
		text = str_from(text, 3);
	while (str_split(&text, '\n', &line)) {
		enum err e;

		at->line++;
		e = parse_line(f, line, at);
		if (e != ERR_OK)
			return e;
	}
	return ERR_OK;
}

/* Reads the whole file into `out`. */
static enum err
slurp(const char *path, struct buf *out, struct errinfo *info)
{
	char chunk[8192];
	char reason[128];
	struct stat st;
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return err_set(info, ERR_NOT_FOUND, "%s: there is no such file", path);
	if (fd < 0)
		return err_set(info, ERR_CONF, "%s cannot be read: %s", path,
			       strerror_r(errno, reason, sizeof(reason)));
	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
		close(fd);
		return err_set(info, ERR_CONF, "%s is a folder", path);
	}
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_add(out, chunk, (size_t)n);
	close(fd);
	wipe(chunk, sizeof(chunk));
	if (n < 0)
		return err_set(info, ERR_CONF, "%s cannot be read: %s", path,
			       strerror_r(errno, reason, sizeof(reason)));
	if (buf_err(out) != ERR_OK)
		return err_set(info, ERR_CONF, "%s is larger than %d bytes", path, LIMIT_CONF_FILE);
	return ERR_OK;
}

enum err
envfile_read(const char *path, struct envfile **ret, struct errinfo *info)
{
	struct place at = {.path = path, .info = info};
	struct envfile *f;
	struct buf text;
	enum err e;

	buf_init(&text, LIMIT_CONF_FILE);
	e = slurp(path, &text, info);
	if (e == ERR_OK) {
		f = xcalloc(1, sizeof(*f));
		if (text.n > 0)
			e = parse(f, buf_view(&text), &at);
		if (e == ERR_OK)
			*ret = f;
		else
			envfile_free(f);
	}
	wipe(text.p, text.n);
	buf_done(&text);
	return e;
}

void
envfile_free(struct envfile *f)
{
	if (f == NULL)
		return;
	for (size_t i = 0; i < f->n; i++) {
		wipe(f->entries[i].value, strlen(f->entries[i].value));
		free(f->entries[i].name);
		free(f->entries[i].value);
	}
	free(f->entries);
	free(f);
}

const char *
envfile_get(const struct envfile *f, const char *name, int *ret_line)
{
	for (size_t i = f != NULL ? f->n : 0; i-- > 0;) {
		if (strcmp(f->entries[i].name, name) == 0) {
			*ret_line = f->entries[i].line;
			return f->entries[i].value;
		}
	}
	return NULL;
}

const char *
envfile_name(const struct envfile *f, size_t i)
{
	return f != NULL && i < f->n ? f->entries[i].name : NULL;
}
