/* SPDX-License-Identifier: MIT
 *
 * Whether stored keys open with the ENCRYPTION_KEY at hand, told from the newest.
 * See stored.h.
 */
#include "lib/stored.h"
#include "lib/crypt.h"
#include "lib/limits.h"
#include "lib/str.h"

#define CRYPT_SAMPLE 20

/* The shortest encrypted key: nonce, one byte, tag, in hex. */
#define STORED_MIN (2 * (12 + 1 + 16))

static bool
hash_is_plain(struct str stored, struct str hash)
{
	uint8_t digest[32];
	uint8_t is[32];

	sha256(stored, digest);
	return hex_decode(hash, is, sizeof(is)) && memcmp(is, digest, sizeof(is)) == 0;
}

static bool
looks_encrypted(struct str stored)
{
	for (size_t i = 0; i < stored.n; i++)
		if (strchr("0123456789abcdef", stored.p[i]) == NULL)
			return false;
	return stored.n >= STORED_MIN && stored.n % 2 == 0;
}

bool
stored_is_plain(struct str stored, struct str hash)
{
	return hash.n > 0 ? hash_is_plain(stored, hash) : !looks_encrypted(stored);
}

struct key_sample {
	int n;
	int open;  /* good with the crypt at hand */
	int plain; /* stored as they are */
};

static void
sample_add(struct key_sample *sample, const struct crypt *crypt, struct str stored, struct str hash)
{
	bool plain = stored_is_plain(stored, hash);
	bool open = plain;
	struct buf text;

	if (!crypt_is_identity(crypt)) {
		buf_init(&text, LIMIT_KEY_BYTES);
		open = crypt_decrypt(crypt, stored, &text) == ERR_OK;
		if (text.p != NULL)
			wipe(text.p, text.n);
		buf_done(&text);
	}
	sample->n++;
	sample->plain += plain;
	sample->open += open;
}

enum err
stored_check(struct db *db, const struct crypt *crypt, struct errinfo *info)
{
	struct key_sample sample = {0};
	struct db_rows *rows;
	enum err e;

	for (e = db_query(db,
			  "SELECT key_value, key_hash FROM api_keys WHERE key_value <> '' "
			  "ORDER BY id DESC LIMIT ?",
			  DB_ARGS(db_int(CRYPT_SAMPLE)), &rows);
	     e == ERR_OK && db_next(rows, &e);)
		sample_add(&sample, crypt, db_col_text(rows, 0), db_col_text(rows, 1));
	db_rows_done(rows);
	if (e != ERR_OK)
		return err_set(info, e, "database: %s", db_error(db));
	if (sample.open * 2 >= sample.n)
		return ERR_OK;
	if (crypt_is_identity(crypt))
		return err_set(
		    info, ERR_CONF,
		    "ENCRYPTION_KEY is not set, but the keys in the database are encrypted: set it "
		    "to what they were encrypted with");
	if (sample.plain * 2 >= sample.n)
		return err_set(
		    info, ERR_CONF,
		    "ENCRYPTION_KEY is set, but the keys in the database are not encrypted: "
		    "encrypt them first (gpt-load migrate-keys) or leave it empty");
	return err_set(
	    info, ERR_CONF,
	    "ENCRYPTION_KEY is not the one that the keys in the database were encrypted with");
}
