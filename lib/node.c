/* SPDX-License-Identifier: MIT
 *
 * Who belongs to the installation; see node.h.
 *
 *	start ──▶ node_admit: look at the others, write own row ──▶ run/node written
 *	every 5 s, one process of the node ──▶ node_beat: seen_at ──▶ run/node touched
 *	the last process ends ──▶ node_leave: row and run/node removed
 *
 * Whether a node is alive is told by the database's clock alone: those of the nodes
 * may differ. Looking and writing happen under a lock of the database, so that of two
 * nodes that start together with different secrets the second sees the first.
 */
#include "lib/node.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/crypt.h"
#include "lib/limits.h"
#include "lib/migrate.h"
#include "lib/segment.h"
#include "lib/str.h"

#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_WAIT_S   30
#define PLACE_MAX     255 /* of the column */
#define POOL_NAME_MAX 128 /* likewise */
#define META_MAX      4096
#define SALT_BYTES    16
#define HASH_BYTES    32
#define HASH_HEX      (2 * HASH_BYTES + 1)
/* How often, a second apart, pools that differ are looked at again. */
#define POOL_TRIES   (NODE_BEAT_S + 2)
#define FORGET_AFTER "86400"

static const char lock_name[] = "nodes";

/* The database's own clock, in seconds. */
#define NOW_SQLITE "CAST(strftime('%s', 'now') AS integer)"
#define NOW_MYSQL  "CAST(UNIX_TIMESTAMP() AS signed)"
#define NOW_PGSQL  "CAST(floor(extract(epoch FROM clock_timestamp())) AS bigint)"

/* One node, as it is recorded. */
struct node {
	char id[37];
	char place[PLACE_MAX + 1];
	char pool[POOL_NAME_MAX + 1];
	char auth[HASH_HEX];
	char encryption[HASH_HEX];
	int64_t age_s;     /* since its last sign of life */
	bool pool_differs; /* from one that lives */
};

static enum err
db_refused(struct db *db, enum err e, struct errinfo *info)
{
	return err_set(info, e, "database: %s", db_error(db));
}

/* --- DATA_DIR/run/node --- */

/* Of what all nodes must have the same. */
struct mark {
	uint8_t salt[SALT_BYTES];
	uint8_t hash[HASH_BYTES];
};

static void
mark_hash(const struct conf *conf, struct mark *m)
{
	const char *const parts[] = {conf->auth_key, conf->encryption_key, conf->database_dsn,
				     conf->redis_dsn};
	struct buf text;

	buf_init(&text, ARRAY_LEN(parts) * (LIMIT_CONF_VALUE + 1));
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		buf_cstr(&text, parts[i] != NULL ? parts[i] : "");
		buf_char(&text, '\n');
	}
	slow_digest(buf_text(&text), (struct str){(const char *)m->salt, sizeof(m->salt)},
		    CRYPT_ROUNDS_QUICK, m->hash);
	wipe(text.p, text.n);
	buf_done(&text);
}

/* A mark that cannot be written only costs the next process a look at the database. */
static void
mark_write(const struct conf *conf)
{
	AUTO_FREE char *path = conf_path(conf, "run/node");
	AUTO_FREE char *tmp = xasprintf("%s.%ld.tmp", path, (long)getpid());
	char text[2 * sizeof(struct mark) + 1];
	struct mark m;
	bool ok;
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return;
	random_bytes(m.salt, sizeof(m.salt));
	mark_hash(conf, &m);
	hex_encode(text, (const uint8_t *)&m, sizeof(m));
	ok = write(fd, text, sizeof(text) - 1) == (ssize_t)sizeof(text) - 1;
	if (close(fd) != 0 || !ok || rename(tmp, path) != 0)
		(void)unlink(tmp);
}

/* Is it ours; *ret_age_us: since the last sign of life. */
static bool
mark_read(const struct conf *conf, int64_t *ret_age_us)
{
	AUTO_FREE char *path = conf_path(conf, "run/node");
	char text[2 * sizeof(struct mark)];
	struct mark m;
	struct mark expected;
	struct stat st;
	bool ok;
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return false;
	ok = fstat(fd, &st) == 0 && read(fd, text, sizeof(text)) == (ssize_t)sizeof(text) &&
	     hex_decode((struct str){text, sizeof(text)}, (uint8_t *)&m, sizeof(m));
	(void)close(fd);
	if (!ok)
		return false;
	expected = m;
	mark_hash(conf, &expected);
	*ret_age_us = clock_wall_us() - (st.st_mtim.tv_sec * 1000000LL + st.st_mtim.tv_nsec / 1000);
	return memcmp(expected.hash, m.hash, sizeof(m.hash)) == 0;
}

static bool
mark_is_younger(const struct conf *conf, int64_t seconds)
{
	int64_t age_us = 0;

	return mark_read(conf, &age_us) && age_us >= -1000000 && age_us < seconds * 1000000;
}

static void
mark_touch(const struct conf *conf)
{
	AUTO_FREE char *path = conf_path(conf, "run/node");

	(void)utimensat(AT_FDCWD, path, NULL, 0);
}

/* Unless it is of processes with another configuration that go on. */
static void
mark_remove(const struct conf *conf)
{
	AUTO_FREE char *path = conf_path(conf, "run/node");
	int64_t age_us;

	if (mark_read(conf, &age_us))
		(void)unlink(path);
}

bool
node_was_admitted(const struct conf *conf, bool alive)
{
	int64_t age_us;

	return alive ? mark_is_younger(conf, NODE_ALIVE_S) : mark_read(conf, &age_us);
}

/* --- this node --- */

static enum err
own_id(const struct conf *conf, char ret[37], struct errinfo *info)
{
	int dir = -1;
	enum err e = segment_dir(conf, &dir, info);

	if (e != ERR_OK)
		return e;
	e = segment_node(dir, ret, info);
	(void)close(dir);
	return e;
}

/* The salt of this installation; the first node makes it. */
static enum err
read_salt(struct db *db, struct buf *ret)
{
	uint8_t random[SALT_BYTES];
	char hex[2 * SALT_BYTES + 1];
	enum err e = meta_get(db, "node_salt", ret);

	if (e != ERR_NOT_FOUND)
		return e;
	random_bytes(random, sizeof(random));
	hex_encode(hex, random, sizeof(random));
	buf_clear(ret);
	buf_cstr(ret, hex);
	return meta_set(db, "node_salt", str_of(hex));
}

/* The secrets have a salt each, so that nobody sees whether they are the same. */
static void
slow_hex(const char *secret, const char *use, const struct buf *salt, char ret[HASH_HEX])
{
	AUTO_FREE char *own = xasprintf("%s:%.*s", use, (int)salt->n, salt->p);
	uint8_t hash[HASH_BYTES];

	slow_digest(secret != NULL ? secret : "", str_of(own), CRYPT_ROUNDS, hash);
	hex_encode(ret, hash, sizeof(hash));
}

static void
own_place(const struct conf *conf, char ret[PLACE_MAX + 1])
{
	char host[65] = "";

	(void)gethostname(host, sizeof(host) - 1);
	(void)snprintf(ret, PLACE_MAX + 1, "%s:%.*s", host, (int)(PLACE_MAX - 1 - strlen(host)),
		       conf->data_dir);
}

static enum err
describe(const struct conf *conf, struct db *db, struct node *ret, struct errinfo *info)
{
	struct buf salt;
	enum err e = own_id(conf, ret->id, info);

	if (e != ERR_OK)
		return e;
	own_place(conf, ret->place);
	buf_init(&salt, META_MAX);
	e = read_salt(db, &salt);
	if (e == ERR_OK) {
		slow_hex(conf->auth_key, "auth", &salt, ret->auth);
		slow_hex(conf->encryption_key, "encryption", &salt, ret->encryption);
	}
	buf_done(&salt);
	return e == ERR_OK ? ERR_OK : db_refused(db, e, info);
}

/* Which pool this is, so that two nodes can tell whether they have the same. */
static enum err
claim_pool(struct db *db, struct pool *pool, char ret[POOL_NAME_MAX + 1], struct errinfo *info)
{
	struct buf installation;
	struct buf name;
	enum err e;

	buf_init(&installation, META_MAX);
	buf_init(&name, POOL_NAME_MAX);
	e = meta_get(db, "installation_id", &installation);
	if (e != ERR_OK) {
		e = db_refused(db, e, info);
	} else {
		e = pool_claim(pool, buf_text(&installation), &name);
		if (e == ERR_CONF)
			e = err_set(info, e,
				    "REDIS_DSN: another installation, with another DATABASE_DSN, "
				    "is alive in this Redis database: use another number after "
				    "the last slash");
		else if (e != ERR_OK)
			e = err_set(info, e, "%s", err_message(e));
	}
	if (e == ERR_OK)
		(void)snprintf(ret, POOL_NAME_MAX + 1, "%s", buf_text(&name));
	buf_done(&installation);
	buf_done(&name);
	return e;
}

/* --- the others --- */

static void
copy(char *to, size_t size, struct str from)
{
	(void)snprintf(to, size, STR_FMT, STR_ARG(from));
}

/* Of two faults the one that is to be mended first. */
static enum err
compare(struct node *own, const struct node *other, struct errinfo *info)
{
	const char *name = NULL;

	if (strcmp(own->auth, other->auth) != 0)
		name = "AUTH_KEY";
	else if (strcmp(own->encryption, other->encryption) != 0)
		name = "ENCRYPTION_KEY";
	if (name != NULL)
		return err_set(info, ERR_CONF,
			       "%s is not that of the node %s, which was alive %lld s ago: all "
			       "nodes of one database have the same; to change it stop the others "
			       "first",
			       name, other->place, (long long)other->age_s);
	if (own->pool[0] == '\0')
		return err_set(info, ERR_CONF,
			       "REDIS_DSN is not set, and the node %s was alive on the same "
			       "database %lld s ago: nodes share one Redis, or keys would be used "
			       "out of turn",
			       other->place, (long long)other->age_s);
	if (other->pool[0] == '\0')
		return err_set(info, ERR_CONF,
			       "REDIS_DSN is not set for the node %s, which was alive on the same "
			       "database %lld s ago: stop it, and give it this Redis",
			       other->place, (long long)other->age_s);
	if (strcmp(own->pool, other->pool) == 0)
		return ERR_OK;
	own->pool_differs = true;
	return err_set(info, ERR_CONF,
		       "REDIS_DSN is not that of the node %s, which was alive %lld s ago: all "
		       "nodes of one database share one Redis database",
		       other->place, (long long)other->age_s);
}

static enum err
compare_all(struct db *db, struct node *own, struct errinfo *info)
{
	static const struct sql query = {
	    .sqlite = "SELECT place, pool, auth_digest, encryption_digest, " NOW_SQLITE
		      " - seen_at FROM gptl_nodes WHERE node <> ? AND " NOW_SQLITE
		      " - seen_at < ? ORDER BY node",
	    .mysql = "SELECT place, pool, auth_digest, encryption_digest, " NOW_MYSQL
		     " - seen_at FROM gptl_nodes WHERE node <> ? AND " NOW_MYSQL
		     " - seen_at < ? ORDER BY node",
	    .pgsql = "SELECT place, pool, auth_digest, encryption_digest, " NOW_PGSQL
		     " - seen_at FROM gptl_nodes WHERE node <> ? AND " NOW_PGSQL
		     " - seen_at < ? ORDER BY node",
	};
	struct db_rows *rows = NULL;
	enum err found = ERR_OK;
	enum err e = db_query(db, db_pick(db, &query),
			      DB_ARGS(db_cstr(own->id), db_int(NODE_ALIVE_S)), &rows);

	while (e == ERR_OK && found == ERR_OK && db_next(rows, &e)) {
		struct node other = {.id = ""};

		copy(other.place, sizeof(other.place), db_col_text(rows, 0));
		copy(other.pool, sizeof(other.pool), db_col_text(rows, 1));
		copy(other.auth, sizeof(other.auth), db_col_text(rows, 2));
		copy(other.encryption, sizeof(other.encryption), db_col_text(rows, 3));
		other.age_s = MAX(db_col_int(rows, 4), 0);
		found = compare(own, &other, info);
	}
	db_rows_done(rows);
	return e == ERR_OK ? found : db_refused(db, e, info);
}

/* --- the row --- */

static enum err
write_row(struct db *db, const struct node *n)
{
#define INSERT                                                                                     \
	"INSERT INTO gptl_nodes (node, place, version, pool, auth_digest, encryption_digest, "     \
	"seen_at) VALUES (?, ?, ?, ?, ?, ?, "
#define ON_CONFLICT                                                                                \
	") ON CONFLICT (node) DO UPDATE SET place = excluded.place, version = excluded.version, "  \
	"pool = excluded.pool, auth_digest = excluded.auth_digest, "                               \
	"encryption_digest = excluded.encryption_digest, seen_at = excluded.seen_at"
	static const struct sql upsert = {
	    .sqlite = INSERT NOW_SQLITE ON_CONFLICT,
	    .mysql = INSERT NOW_MYSQL
	    ") ON DUPLICATE KEY UPDATE place = VALUES(place), version = VALUES(version), "
	    "pool = VALUES(pool), auth_digest = VALUES(auth_digest), "
	    "encryption_digest = VALUES(encryption_digest), seen_at = VALUES(seen_at)",
	    .pgsql = INSERT NOW_PGSQL ON_CONFLICT,
	};
#undef INSERT
#undef ON_CONFLICT

	return db_exec(db, db_pick(db, &upsert),
		       DB_ARGS(db_cstr(n->id), db_cstr(n->place), db_cstr(PACKAGE_VERSION),
			       db_cstr(n->pool), db_cstr(n->auth), db_cstr(n->encryption)),
		       NULL);
}

/* Rows of nodes that went without a word long ago. */
static enum err
forget_old(struct db *db)
{
	static const struct sql query = {
	    .sqlite = "DELETE FROM gptl_nodes WHERE seen_at < " NOW_SQLITE " - " FORGET_AFTER,
	    .mysql = "DELETE FROM gptl_nodes WHERE seen_at < " NOW_MYSQL " - " FORGET_AFTER,
	    .pgsql = "DELETE FROM gptl_nodes WHERE seen_at < " NOW_PGSQL " - " FORGET_AFTER,
	};

	return db_exec(db, db_pick(db, &query), DB_NO_ARGS, NULL);
}

static enum err
admit_locked(struct db *db, struct pool *pool, struct node *own, struct errinfo *info)
{
	enum err e = claim_pool(db, pool, own->pool, info);

	if (e == ERR_OK)
		e = compare_all(db, own, info);
	if (e != ERR_OK)
		return e;
	e = write_row(db, own);
	if (e == ERR_OK)
		e = forget_old(db);
	return e == ERR_OK ? ERR_OK : db_refused(db, e, info);
}

static enum err
admit(const struct conf *conf, struct db *db, struct pool *pool, struct node *own,
      struct errinfo *info)
{
	enum err e = db_lock(db, lock_name, LOCK_WAIT_S);

	if (e != ERR_OK)
		return db_refused(db, e, info);
	/* The salt is made under the lock. */
	e = describe(conf, db, own, info);
	if (e == ERR_OK)
		e = admit_locked(db, pool, own, info);
	db_unlock(db, lock_name);
	return e;
}

enum err
node_admit(const struct conf *conf, struct db *db, struct pool *pool, struct errinfo *info)
{
	struct node own = {.id = ""};
	enum err e = ERR_OK;

	for (int i = 0; i < POOL_TRIES; i++) {
		own.pool_differs = false;
		e = admit(conf, db, pool, &own, info);
		if (!own.pool_differs)
			break;
		(void)sleep(1);
	}
	if (e == ERR_OK)
		mark_write(conf);
	else if (e == ERR_CONF)
		mark_remove(conf);
	return e;
}

/* --- from then on --- */

/* pool NULL: it does not answer now, and is the one that it was. */
static enum err
touch_row(struct db *db, const char *id, const char *pool, int64_t *ret_changed)
{
#define UPDATE "UPDATE gptl_nodes SET pool = COALESCE(?, pool), seen_at = "
	static const struct sql query = {
	    .sqlite = UPDATE NOW_SQLITE " WHERE node = ?",
	    .mysql = UPDATE NOW_MYSQL " WHERE node = ?",
	    .pgsql = UPDATE NOW_PGSQL " WHERE node = ?",
	};
#undef UPDATE

	return db_exec(db, db_pick(db, &query),
		       DB_ARGS(pool != NULL ? db_cstr(pool) : db_null(), db_cstr(id)), ret_changed);
}

enum err
node_beat(const struct conf *conf, struct db *db, struct pool *pool, struct errinfo *info)
{
	struct node own = {.id = ""};
	int64_t changed = 0;
	enum err claimed;
	enum err e;

	if (mark_is_younger(conf, NODE_BEAT_S - 1))
		return ERR_OK;
	if (!node_was_admitted(conf, true)) {
		e = admit(conf, db, pool, &own, info);
		if (e == ERR_OK)
			mark_write(conf);
		return e;
	}
	e = own_id(conf, own.id, info);
	if (e != ERR_OK)
		return e;
	claimed = claim_pool(db, pool, own.pool, info);
	if (claimed != ERR_OK && claimed != ERR_POOL)
		return claimed;
	e = touch_row(db, own.id, claimed == ERR_OK ? own.pool : NULL, &changed);
	if (e != ERR_OK)
		return db_refused(db, e, info);
	/* Somebody removed the row: an end and a start at the same time. */
	if (changed == 0)
		e = admit(conf, db, pool, &own, info);
	if (e == ERR_OK)
		mark_touch(conf);
	return e;
}

enum err
node_other_place(const struct conf *conf, struct db *db, char ret[65])
{
#define OTHERS "SELECT place FROM gptl_nodes WHERE place <> ? AND "
	static const struct sql query = {
	    .sqlite = OTHERS NOW_SQLITE " - seen_at < ? ORDER BY place LIMIT 1",
	    .mysql = OTHERS NOW_MYSQL " - seen_at < ? ORDER BY place LIMIT 1",
	    .pgsql = OTHERS NOW_PGSQL " - seen_at < ? ORDER BY place LIMIT 1",
	};
#undef OTHERS
	char place[PLACE_MAX + 1];
	struct db_rows *rows = NULL;
	enum err e;

	own_place(conf, place);
	ret[0] = '\0';
	e = db_query(db, db_pick(db, &query), DB_ARGS(db_cstr(place), db_int(NODE_ALIVE_S)), &rows);
	if (e == ERR_OK && db_next(rows, &e))
		copy(ret, 65, db_col_text(rows, 0));
	db_rows_done(rows);
	return e;
}

enum err
node_leave(const struct conf *conf, struct db *db)
{
	AUTO_FREE char *path = conf_path(conf, "run/node");
	char id[37];
	enum err e = own_id(conf, id, NULL);

	(void)unlink(path);
	return e == ERR_OK ? db_exec(db, "DELETE FROM gptl_nodes WHERE node = ?",
				     DB_ARGS(db_cstr(id)), NULL)
			   : e;
}
