/* SPDX-License-Identifier: MIT
 *
 * A copy of an SQLite database, made while it is used, and put back. A server's
 * database is copied by the server's own tools.
 */
#ifndef LIB_BACKUP_H
#define LIB_BACKUP_H

#include "lib/conf.h"
#include "lib/crypt.h"
#include "lib/err.h"

/* In pages of the database. */
typedef void (*backup_progress_fn)(void *arg, int64_t done, int64_t total);

/* Copies the database of conf to `path`, as it is at one moment; what is copied is
 * checked before the file gets its name. ERR_DUPLICATE: there is a file, and not
 * `replace`, or it is the database. ERR_CONF: not SQLite. */
enum err backup_make(const struct conf *conf, const char *path, bool replace,
		     backup_progress_fn progress, void *arg, struct errinfo *info) MUST_CHECK;
/* Replaces the contents of conf's database by those of the file, in one step: whoever is
 * killed leaves one or the other. Nothing of the gateway may run. The pools are filled
 * anew at the next start. ERR_CONF: not a database of ours or of GPT-Load 1.4, or the keys
 * in it do not open with `crypt`. */
enum err backup_restore(const struct conf *conf, const char *path, const struct crypt *crypt,
			backup_progress_fn progress, void *arg, struct errinfo *info) MUST_CHECK;

#endif
