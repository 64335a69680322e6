/* SPDX-License-Identifier: MIT
 *
 * Encryption of upstream keys at rest, in the stored format of GPT-Load 1.4, and
 * digests.
 *
 *   key    = PBKDF2-HMAC-SHA256(ENCRYPTION_KEY, "gpt-load-encryption-v1", 100,000, 32)
 *   stored = hex(nonce[12] || AES-256-GCM(key, nonce, plain) || tag[16])
 *   hash   = hex(HMAC-SHA256(key, plain))
 *
 * Without ENCRYPTION_KEY: stored = plain, hash = hex(SHA-256(plain)).
 */
#ifndef LIB_CRYPT_H
#define LIB_CRYPT_H

#include "lib/base.h"
#include "lib/buf.h"
#include "lib/err.h"

#define CRYPT_HASH_BYTES 32
#define CRYPT_HASH_HEX   (2 * CRYPT_HASH_BYTES)

/* cache_file of every program of an installation, below DATA_DIR. */
#define CRYPT_CACHE_FILE "derived_key"

struct crypt;

/* password NULL or "": the identity. The derivation takes about 30 ms, so its
 * result is kept in cache_file (0600, with a salted check so that another
 * password is noticed); NULL keeps it nowhere. */
enum err crypt_new(struct crypt **ret, const char *password, const char *cache_file,
		   struct errinfo *info) MUST_CHECK;
void crypt_free(struct crypt *c);
bool crypt_is_identity(const struct crypt *c);

/* Append to out. Encrypting never fails but for out's maximum. */
void crypt_encrypt(const struct crypt *c, struct str plain, struct buf *out);
/* ERR_CRYPT when `stored` does not open: never a fall-back to the text itself. */
enum err crypt_decrypt(const struct crypt *c, struct str stored, struct buf *out) MUST_CHECK;
/* The look-up hash of a key. The empty key has no hash: all zero bytes. */
void crypt_hash(const struct crypt *c, struct str plain, uint8_t ret[CRYPT_HASH_BYTES]);

/* --- without a key --- */
/* PBKDF2-HMAC-SHA256: of a secret that is stored where others may look (30 ms), or in
 * a file that holds as much itself (0.6 ms). */
#define CRYPT_ROUNDS       100000
#define CRYPT_ROUNDS_QUICK 2000
void slow_digest(const char *secret, struct str salt, int rounds, uint8_t ret[32]);
#define SHA256_BYTES 32
void sha256(struct str data, uint8_t ret[SHA256_BYTES]);
bool sha256_equal(const uint8_t a[SHA256_BYTES], const uint8_t b[SHA256_BYTES]); /* constant time */
/* In constant time, over digests of both. */
bool secret_equal(struct str a, struct str b);
void random_bytes(void *p, size_t n);
/* UUID version 7 (RFC 9562): time-ordered. out[37]. */
void uuid7(char out[37]);

#endif
