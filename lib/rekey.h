/* SPDX-License-Identifier: MIT
 *
 * Another ENCRYPTION_KEY for everything that is stored: from none to one, from one to
 * none, from one to another. In place, with the gateway stopped, and to be started
 * again after it was killed at any moment:
 *
 *	check ─▶ copy into gptl_rekey ─▶ verify the copy ─▶ swap ─▶ log rows ─▶ done
 *	  every key opens   nothing is changed yet     one transaction   in portions
 *
 * Until the swap the old key is the one that opens the keys, from then on the new one;
 * they are never mixed. Which it is tells each row by itself (AES-GCM opens with one
 * key only), so a second run finds out where the first was. The swap makes every pool
 * of the installation be filled anew (gptl_meta "generation").
 */
#ifndef LIB_REKEY_H
#define LIB_REKEY_H

#include "lib/conf.h"
#include "lib/crypt.h"
#include "lib/db.h"
#include "lib/pool.h"

/* What is being done, for people; total 0: not known. */
typedef void (*rekey_progress_fn)(void *arg, const char *what, int64_t done, int64_t total);

struct rekey_result {
	int64_t keys;            /* stored anew by this run */
	int64_t keys_before;     /* that were so already */
	int64_t rows;            /* of request_logs, likewise */
	int64_t rows_unreadable; /* that open with neither, and stay */
};

/* The spool of this node is written first, and what the pool knows of keys. Neither
 * crypt is kept. ERR_TASK: the gateway runs. ERR_CRYPT: keys open with neither; nothing
 * was changed. */
enum err rekey_run(const struct conf *conf, struct db *db, struct pool *pool,
		   const struct crypt *from, const struct crypt *to, rekey_progress_fn progress,
		   void *arg, struct rekey_result *ret, struct errinfo *info) MUST_CHECK;
/* A run was killed after the swap: log rows wait to be done. */
enum err rekey_is_unfinished(struct db *db, bool *ret) MUST_CHECK;

/* --- between rekey.c and rekey_logs.c --- */

#define REKEY_META "rekey" /* gptl_meta: the id of the last log row done */
#define REKEY_PAGE 1000

enum rekey_state {
	REKEY_OLD, /* opens with `from`: to be stored anew */
	REKEY_NEW, /* has been */
	REKEY_BAD, /* opens with neither */
};

struct rekey {
	const struct conf *conf; /* borrowed, like the next four */
	struct db *db;
	struct pool *pool;
	const struct crypt *from;
	const struct crypt *to;
	rekey_progress_fn progress;
	void *arg;
	struct buf plain; /* the key that was opened last; wiped at the end */
	struct rekey_result result;
};

/* r->plain is the key in clear, but for REKEY_BAD. `hash` may be empty. */
enum rekey_state rekey_open(struct rekey *r, struct str stored, struct str hash);
/* r->plain as it is to be stored. */
void rekey_store(struct rekey *r, struct buf *stored, char hash[CRYPT_HASH_HEX + 1]);
enum err rekey_logs(struct rekey *r, struct errinfo *info) MUST_CHECK;

#endif
