/* SPDX-License-Identifier: MIT
 *
 * Brings a database to this version's schema: makes an empty one, takes a
 * GPT-Load 1.4 one over, applies the numbered migrations of sql/. Migrations
 * only add, run under a database lock, each in its own transaction.
 */
#ifndef LIB_MIGRATE_H
#define LIB_MIGRATE_H

#include "lib/buf.h"
#include "lib/db.h"

struct crypt;

/* Default settings rows (setting.h) and missing key hashes are filled too, the
 * latter with `crypt`. ERR_CONF: the stored keys do not open with it. A slave only
 * looks whether all that is done. */
enum err migrate_run(struct db *db, const struct conf *conf, const struct crypt *crypt,
		     struct errinfo *info) MUST_CHECK;
/* ERR_CONF when the schema is not this version's. One cheap query: what every
 * program does after db_open() instead of migrating. */
enum err migrate_check(struct db *db, struct errinfo *info) MUST_CHECK;

/* --- shared with survey.c --- */
/* The text of migration `number`, of the schema for 0; NULL when there is none. */
const char *migrate_sql(const struct db *db, int64_t number);
enum err migrate_has_table(struct db *db, const char *name, bool *ret) MUST_CHECK;
/* ERR_CONF where columns are missing that GPT-Load added in the course of its 1.x
 * versions. */
enum err migrate_refuse_older(struct db *db, struct errinfo *info) MUST_CHECK;

/* gptl_meta: small facts of the installation. buf_… of *ret is the caller's;
 * ERR_NOT_FOUND when there is no such row. */
enum err meta_get(struct db *db, const char *name, struct buf *ret) MUST_CHECK;
enum err meta_set(struct db *db, const char *name, struct str value) MUST_CHECK;
/* The configuration version: grows by one with every change that a responder
 * must obey. Call within the transaction that makes the change. */
enum err meta_bump_version(struct db *db, int64_t *ret) MUST_CHECK;
/* Every pool of the installation is filled anew from the DB: its keys were stored in
 * another way, or are those of a backup. */
enum err meta_bump_generation(struct db *db) MUST_CHECK;
enum err meta_version(struct db *db, int64_t *ret) MUST_CHECK;

#endif
