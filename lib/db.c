/* SPDX-License-Identifier: MIT
 *
 * The database interface: picks the driver, keeps the rules that are the same
 * for all of them (order of calls, waiting for locks, scripts, reading columns),
 * and passes on. Times and numbers in text are read and written here too.
 */
#include "config.h"

#include "lib/db.h"
#include "lib/conf.h"
#include "lib/db_driver.h"
#include "lib/str.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

/* Milliseconds between two tries for a lock: short at first. */
#define LOCK_FIRST_WAIT_MS 2
#define LOCK_MOST_WAIT_MS  50

#define US_PER_S 1000000

/* --- connection --- */

enum db_dialect
db_dialect_of(const char *dsn)
{
	struct str s = str_of(dsn);

	if (str_starts(s, "postgres://") || str_starts(s, "postgresql://"))
		return DB_PGSQL;
	if (str_contains(s, "@tcp(") || str_contains(s, "@unix("))
		return DB_MYSQL;
	return DB_SQLITE;
}

enum err
db_open(const struct conf *conf, struct db **ret, struct errinfo *info)
{
	switch (db_dialect_of(conf->database_dsn)) {
	case DB_MYSQL:
#ifdef HAVE_MYSQL
		return db_mysql.open(conf, ret, info);
#else
		return err_set(info, ERR_CONF, "DATABASE_DSN: this build has no MySQL driver");
#endif
	case DB_PGSQL:
#ifdef HAVE_PGSQL
		return db_pgsql.open(conf, ret, info);
#else
		return err_set(info, ERR_CONF, "DATABASE_DSN: this build has no PostgreSQL driver");
#endif
	case DB_SQLITE:
		break;
	}
	return db_sqlite.open(conf, ret, info);
}

void
db_close(struct db *db)
{
	if (db == NULL)
		return;
	check(!db->rows_open);
	for (size_t i = 0; i < DB_LOCKS; i++)
		if (db->locks[i].name[0] != '\0')
			db_unlock(db, db->locks[i].name);
	db->driver->close(db);
}

void
db_settle(struct db *db)
{
	db->driver->settle(db);
}

static void
sqlite_bulk(struct db *db, bool on)
{
	/* KiB; 2000 is SQLite's own default. */
	enum err e = db_script(db, on ? "PRAGMA cache_size = -16384" : "PRAGMA cache_size = -2000");

	if (e == ERR_OK && !on)
		e = db_script(db, "PRAGMA shrink_memory");
	(void)e;
}

/* A plan that was made and kept while a table was empty reads all of it, and goes on
 * doing so as it fills; so does a new one until the server has counted the rows. What is
 * done in bulk has an index for everything. */
static void
pgsql_bulk(struct db *db, bool on)
{
	(void)!db_script(db, on ? "SET enable_seqscan = off; "
				  "SET plan_cache_mode = force_custom_plan"
				: "RESET enable_seqscan; RESET plan_cache_mode");
}

/* Without it everything works, slower. */
void
db_bulk(struct db *db, bool on)
{
	if (db_dialect(db) == DB_SQLITE)
		sqlite_bulk(db, on);
	else if (db_dialect(db) == DB_PGSQL)
		pgsql_bulk(db, on);
}

enum db_dialect
db_dialect(const struct db *db)
{
	return db->driver->dialect;
}

const char *
db_error(const struct db *db)
{
	return db->error;
}

enum err
db_failed(struct db *db, enum err e, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(db->error, sizeof(db->error), fmt, ap);
	va_end(ap);
	return e;
}

const char *
db_pick(const struct db *db, const struct sql *sql)
{
	const char *text = NULL;

	switch (db->driver->dialect) {
	case DB_SQLITE:
		break;
	case DB_MYSQL:
		text = sql->mysql;
		break;
	case DB_PGSQL:
		text = sql->pgsql;
		break;
	}
	return text != NULL ? text : sql->sqlite;
}

/* --- statements --- */

enum err
db_exec(struct db *db, const char *sql, const struct db_arg *args, size_t n_args,
	int64_t *ret_changed)
{
	return db->driver->exec(db, sql, args, n_args, ret_changed, NULL);
}

enum err
db_insert(struct db *db, const char *sql, const struct db_arg *args, size_t n_args, int64_t *ret_id)
{
	return db->driver->exec(db, sql, args, n_args, NULL, ret_id);
}

/* Does the statement at the start of `rest` end at `at`: a ';' at a line's end. */
static bool
ends_statement(struct str rest, size_t at)
{
	return rest.p[at] == ';' && (at + 1 == rest.n || rest.p[at + 1] == '\n');
}

enum err
db_script(struct db *db, const char *script)
{
	struct str rest = str_trim(str_of(script));

	while (rest.n > 0) {
		struct str statement = rest;
		enum err e;

		for (size_t i = 0; i < rest.n; i++) {
			if (ends_statement(rest, i)) {
				statement.n = i;
				break;
			}
		}
		e = db->driver->run(db, statement);
		if (e != ERR_OK)
			return e;
		rest = str_trim(str_from(rest, statement.n + 1));
	}
	return ERR_OK;
}

static enum err
begin(struct db *db, bool read_only)
{
	enum err e;

	check(!db->in_transaction && !db->rows_open);
	e = db->driver->begin(db, read_only);
	db->in_transaction = e == ERR_OK;
	return e;
}

enum err
db_begin(struct db *db)
{
	return begin(db, false);
}

enum err
db_begin_read(struct db *db)
{
	return begin(db, true);
}

enum err
db_begin_bounded(struct db *db, int ms)
{
	enum err e = begin(db, true);

	if (e != ERR_OK)
		return e;
	e = db->driver->bound(db, MAX(ms, 1));
	db->bounded = e == ERR_OK;
	if (e != ERR_OK)
		db_rollback(db);
	return e;
}

enum err
db_commit(struct db *db)
{
	enum err e;

	check(db->in_transaction && !db->rows_open);
	e = db->driver->commit(db);
	if (e != ERR_OK)
		db->driver->rollback(db);
	db->in_transaction = false;
	return e;
}

void
db_rollback(struct db *db)
{
	check(!db->rows_open);
	if (!db->in_transaction)
		return;
	db->driver->rollback(db);
	db->in_transaction = false;
	/* A connection on which this fails is lost. */
	if (db->bounded)
		(void)db->driver->bound(db, 0);
	db->bounded = false;
}

/* --- rows --- */

enum err
db_query(struct db *db, const char *sql, const struct db_arg *args, size_t n_args,
	 struct db_rows **ret)
{
	enum err e;

	check(!db->rows_open);
	*ret = NULL;
	e = db->driver->query(db, sql, args, n_args, ret);
	db->rows_open = e == ERR_OK;
	return e;
}

bool
db_next(struct db_rows *rows, enum err *ret_err)
{
	return rows->db->driver->next(rows, ret_err);
}

void
db_rows_done(struct db_rows *rows)
{
	if (rows == NULL)
		return;
	rows->db->rows_open = false;
	rows->db->driver->rows_done(rows);
}

bool
db_col_is_null(struct db_rows *rows, int col)
{
	return rows->db->driver->is_null(rows, col);
}

struct str
db_col_text(struct db_rows *rows, int col)
{
	return rows->db->driver->text(rows, col);
}

int64_t
db_col_int(struct db_rows *rows, int col)
{
	const struct db_driver *driver = rows->db->driver;
	int64_t v = 0;
	bool b = false;

	if (driver->is_null(rows, col))
		return 0;
	if (driver->integer != NULL && driver->integer(rows, col, &v))
		return v;
	if (number_parse(driver->text(rows, col), &v))
		return v;
	/* A boolean kept as text. */
	return str_to_bool(driver->text(rows, col), &b) && b;
}

bool
db_col_bool(struct db_rows *rows, int col)
{
	return db_col_int(rows, col) != 0;
}

int64_t
db_col_time(struct db_rows *rows, int col)
{
	return rows->db->driver->is_null(rows, col) ? 0 : rows->db->driver->time(rows, col);
}

enum err
db_query_int(struct db *db, const char *sql, const struct db_arg *args, size_t n_args, int64_t none,
	     int64_t *ret)
{
	struct db_rows *rows;
	enum err e = db_query(db, sql, args, n_args, &rows);

	if (e != ERR_OK)
		return e;
	if (db_next(rows, &e))
		*ret = db_col_int(rows, 0);
	else if (e == ERR_OK)
		*ret = none;
	db_rows_done(rows);
	return e;
}

/* --- locks --- */

static struct db_lock *
lock_find(struct db *db, const char *name)
{
	for (size_t i = 0; i < DB_LOCKS; i++)
		if (strcmp(db->locks[i].name, name) == 0)
			return &db->locks[i];
	return NULL;
}

static bool
lock_name_valid(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && name[n] == '\0' && n < sizeof(((struct db_lock *)NULL)->name);
}

static void
wait_ms(int ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	(void)nanosleep(&t, NULL);
}

enum err
db_lock(struct db *db, const char *name, int timeout_s)
{
	struct db_lock *lock = lock_find(db, "");
	int wait = LOCK_FIRST_WAIT_MS;
	int held = -1;
	enum err e;

	check(lock_name_valid(name) && lock != NULL && lock_find(db, name) == NULL);
	/* Time is counted in waits, not read from the clock: tests fake that. */
	for (int64_t left = (int64_t)timeout_s * 1000;; left -= wait) {
		e = db->driver->lock(db, name, &held);
		if (e != ERR_TASK || left <= 0)
			break;
		wait_ms(wait);
		wait = MIN(wait * 2, LOCK_MOST_WAIT_MS);
	}
	if (e != ERR_OK)
		return e;
	(void)snprintf(lock->name, sizeof(lock->name), "%s", name);
	lock->held = held;
	return ERR_OK;
}

void
db_unlock(struct db *db, const char *name)
{
	struct db_lock *lock = lock_find(db, name);

	check(lock != NULL && name[0] != '\0');
	db->driver->unlock(db, lock->name, lock->held);
	lock->name[0] = '\0';
}

/* --- times in text --- */

/* The last n digits of v, ended by no NUL. */
static char *
put_digits(char *out, int64_t v, int n)
{
	for (int i = n - 1; i >= 0; i--) {
		out[i] = (char)('0' + v % 10);
		v /= 10;
	}
	return out + n;
}

void
time_format(char out[40], int64_t us, char sep)
{
	int64_t fraction = us % US_PER_S;
	time_t s = (time_t)(us / US_PER_S);
	struct tm tm;
	char *p = out;
	long offset;

	if (fraction < 0) {
		fraction += US_PER_S;
		s--;
	}
	check(localtime_r(&s, &tm) != NULL);
	p = put_digits(p, tm.tm_year + 1900, 4);
	*p++ = '-';
	p = put_digits(p, tm.tm_mon + 1, 2);
	*p++ = '-';
	p = put_digits(p, tm.tm_mday, 2);
	*p++ = sep;
	p = put_digits(p, tm.tm_hour, 2);
	*p++ = ':';
	p = put_digits(p, tm.tm_min, 2);
	*p++ = ':';
	p = put_digits(p, tm.tm_sec, 2);
	if (fraction > 0) {
		*p++ = '.';
		p = put_digits(p, fraction, 6);
		while (p[-1] == '0')
			p--;
	}
	offset = tm.tm_gmtoff / 60;
	*p++ = offset < 0 ? '-' : '+';
	offset = offset < 0 ? -offset : offset;
	p = put_digits(p, offset / 60, 2);
	*p++ = ':';
	p = put_digits(p, offset % 60, 2);
	*p = '\0';
}

/* Cuts exactly n digits off *s. */
static bool
take_digits(struct str *s, size_t n, int *ret)
{
	int v = 0;

	if (s->n < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return false;
		v = v * 10 + (s->p[i] - '0');
	}
	*ret = v;
	*s = str_from(*s, n);
	return true;
}

static bool
take_char(struct str *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = str_from(*s, 1);
	return true;
}

/* ".123456789": to microseconds, the rest is cut. */
static bool
take_fraction(struct str *s, int64_t *ret_us)
{
	int64_t us = 0;
	int n = 0;
	int digit;

	if (!take_char(s, '.')) {
		*ret_us = 0;
		return true;
	}
	for (; take_digits(s, 1, &digit); n++)
		if (n < 6)
			us = us * 10 + digit;
	if (n == 0 || n > 9)
		return false;
	for (; n < 6; n++)
		us *= 10;
	*ret_us = us;
	return true;
}

/* "Z" or "+08:00", to the end of s. */
static bool
take_offset(struct str *s, int64_t *ret_s)
{
	bool west = s->n > 0 && s->p[0] == '-';
	int hours;
	int minutes;

	if (take_char(s, 'Z') || take_char(s, 'z')) {
		*ret_s = 0;
		return s->n == 0;
	}
	if (!take_char(s, west ? '-' : '+') || !take_digits(s, 2, &hours) || !take_char(s, ':') ||
	    !take_digits(s, 2, &minutes) || s->n > 0 || hours > 23 || minutes > 59)
		return false;
	*ret_s = (west ? -1 : 1) * (hours * 60 + minutes) * 60;
	return true;
}

bool
time_parse(struct str text, int64_t *ret_us)
{
	struct tm tm = {0};
	struct tm same;
	int64_t offset;
	int64_t us;
	time_t s;

	if (!take_digits(&text, 4, &tm.tm_year) || !take_char(&text, '-') ||
	    !take_digits(&text, 2, &tm.tm_mon) || !take_char(&text, '-') ||
	    !take_digits(&text, 2, &tm.tm_mday) ||
	    !(take_char(&text, 'T') || take_char(&text, 't') || take_char(&text, ' ')) ||
	    !take_digits(&text, 2, &tm.tm_hour) || !take_char(&text, ':') ||
	    !take_digits(&text, 2, &tm.tm_min) || !take_char(&text, ':') ||
	    !take_digits(&text, 2, &tm.tm_sec) || !take_fraction(&text, &us) ||
	    !take_offset(&text, &offset))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	/* timegm() carries "31 April" over into May: what comes out must be what went
	 * in. */
	same = tm;
	s = timegm(&same);
	if (same.tm_year != tm.tm_year || same.tm_mon != tm.tm_mon || same.tm_mday != tm.tm_mday ||
	    same.tm_hour != tm.tm_hour || same.tm_min != tm.tm_min || same.tm_sec != tm.tm_sec)
		return false;
	*ret_us = ((int64_t)s - offset) * US_PER_S + us;
	return true;
}

/* --- numbers in text --- */

/* Digits with at most one point among them, written to `digits` without it and
 * without zeros in front; *ret_point is how many stood behind the point. */
static bool
take_mantissa(struct str *s, char digits[32], size_t *ret_n, int *ret_point)
{
	bool point = false;
	bool any = false;
	size_t n = 0;
	int behind = 0;

	for (; s->n > 0; *s = str_from(*s, 1)) {
		char c = s->p[0];

		if (c == '.' && any && !point) {
			point = true;
			continue;
		}
		if (c < '0' || c > '9')
			break;
		any = true;
		behind += point;
		if (n == 0 && c == '0')
			continue;
		if (n == 31)
			return false;
		digits[n++] = c;
	}
	*ret_n = n;
	*ret_point = behind;
	return any;
}

bool
number_parse(struct str text, int64_t *ret)
{
	char digits[32];
	char whole[32] = "-";
	int64_t exponent = 0;
	bool negative;
	size_t n;
	int point;

	text = str_trim(text);
	if (str_to_i64(text, INT64_MIN, INT64_MAX, ret))
		return true;
	negative = take_char(&text, '-');
	if (!take_mantissa(&text, digits, &n, &point))
		return false;
	if (text.n > 0 &&
	    ((text.p[0] | 0x20) != 'e' || !str_to_i64(str_from(text, 1), -1000, 1000, &exponent)))
		return false;
	exponent -= point;
	/* The digits, shifted: zeros added, or zeros (nothing else) taken away. */
	for (; exponent < 0 && n > 0; exponent++)
		if (digits[--n] != '0')
			return false;
	if (n == 0) {
		*ret = 0;
		return true;
	}
	for (; exponent > 0; exponent--) {
		if (n == 20)
			return false;
		digits[n++] = '0';
	}
	if (n > 20)
		return false;
	memcpy(whole + 1, digits, n);
	return str_to_i64((struct str){negative ? whole : whole + 1, negative ? n + 1 : n},
			  INT64_MIN, INT64_MAX, ret);
}
