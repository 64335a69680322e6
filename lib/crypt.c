/* SPDX-License-Identifier: MIT
 *
 * Keys at rest and digests, with OpenSSL's EVP; the stored format is in crypt.h.
 *
 * Deriving the key takes about 30 ms on purpose, which a CGI program cannot pay
 * at each start: the result is kept in a file of one line of hex digits,
 *
 *	salt[16] || key[32] || HMAC-SHA256(PBKDF2(password, salt, 2,000), key)
 *
 * so that another password, or a damaged file, is noticed and the key derived
 * again. Whoever reads the file has the key itself; the rounds are for the
 * password, which may have been used elsewhere too.
 */
#include "lib/crypt.h"

#include "lib/clock.h"
#include "lib/str.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define KEY_BYTES   32
#define NONCE_BYTES 12
#define TAG_BYTES   16

static const char derivation_salt[] = "gpt-load-encryption-v1";

struct crypt {
	bool identity;
	uint8_t key[KEY_BYTES];
	EVP_CIPHER *cipher; /* fetched once: a fetch costs more than encrypting a key */
	EVP_MAC_CTX *mac;   /* keyed; duplicated for each use */
};

/* What the cache file holds, in this order. */
struct cached {
	uint8_t salt[16];
	uint8_t key[KEY_BYTES];
	uint8_t check[32];
};
_Static_assert(sizeof(struct cached) == 80, "the cache file has no padding");

/* Each thread keeps its context: making one costs as much as a short digest. */
static EVP_MD *sha256_md;
static pthread_key_t sha256_context;

static void
free_context(void *context)
{
	EVP_MD_CTX_free(context);
}

static void
fetch_sha256(void)
{
	sha256_md = EVP_MD_fetch(NULL, "SHA256", NULL);
	check(sha256_md != NULL);
	check(pthread_key_create(&sha256_context, free_context) == 0);
}

static EVP_MD_CTX *
my_context(void)
{
	EVP_MD_CTX *context = pthread_getspecific(sha256_context);

	if (context == NULL) {
		context = EVP_MD_CTX_new();
		check(context != NULL);
		check(EVP_DigestInit_ex2(context, sha256_md, NULL) == 1);
		check(pthread_setspecific(sha256_context, context) == 0);
	}
	return context;
}

void
sha256(struct str data, uint8_t ret[SHA256_BYTES])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	EVP_MD_CTX *context;

	pthread_once(&once, fetch_sha256);
	context = my_context();
	check(EVP_DigestInit_ex2(context, NULL, NULL) == 1);
	check(EVP_DigestUpdate(context, data.p, data.n) == 1);
	check(EVP_DigestFinal_ex(context, ret, NULL) == 1);
}

bool
sha256_equal(const uint8_t a[SHA256_BYTES], const uint8_t b[SHA256_BYTES])
{
	return CRYPTO_memcmp(a, b, SHA256_BYTES) == 0;
}

bool
secret_equal(struct str a, struct str b)
{
	uint8_t digest_a[SHA256_BYTES];
	uint8_t digest_b[SHA256_BYTES];

	sha256(a, digest_a);
	sha256(b, digest_b);
	return sha256_equal(digest_a, digest_b);
}

void
random_bytes(void *p, size_t n)
{
	uint8_t *at = p;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);

		check(got > 0 || errno == EINTR);
		if (got > 0) {
			at += got;
			n -= (size_t)got;
		}
	}
}

static atomic_uint forks;

static void
forked(void)
{
	forks++;
}

static void
watch_forks(void)
{
	check(pthread_atfork(NULL, NULL, forked) == 0);
}

/* Random bytes for ids, which are no secrets: a system call for every 64 of them. A
 * forked child must not go on with its parent's. */
static void
id_bytes(uint8_t ret[8])
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static _Thread_local struct {
		unsigned int forks; /* one more than there were: 0 is never */
		size_t used;
		uint8_t bytes[512];
	} stock;
	unsigned int now;

	pthread_once(&once, watch_forks);
	now = atomic_load_explicit(&forks, memory_order_relaxed) + 1;
	if (stock.forks != now || stock.used == sizeof(stock.bytes)) {
		random_bytes(stock.bytes, sizeof(stock.bytes));
		stock.forks = now;
		stock.used = 0;
	}
	memcpy(ret, stock.bytes + stock.used, 8);
	stock.used += 8;
}

/* RFC 9562 section 5.7; the 12 bits after the milliseconds carry the fraction of
 * the millisecond (section 6.2, method 3), so that ids of one process mostly sort
 * as they were made. */
void
uuid7(char out[37])
{
	int64_t us = clock_wall_us();
	uint64_t ms = (uint64_t)(us / 1000);
	unsigned int fraction = (unsigned int)(us % 1000) * 4096 / 1000;
	uint8_t id[16];
	/* How many bytes of each of the five parts (RFC 9562, section 4). */
	static const uint8_t parts[] = {4, 2, 2, 2, 6};
	const uint8_t *from = id;

	id_bytes(id + 8);
	for (int i = 0; i < 6; i++)
		id[i] = (uint8_t)(ms >> (40 - 8 * i));
	id[6] = (uint8_t)(0x70 | fraction >> 8);
	id[7] = (uint8_t)fraction;
	id[8] = (uint8_t)(0x80 | (id[8] & 0x3F));
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		hex_encode(out, from, parts[i]);
		from += parts[i];
		out += 2 * parts[i];
		*out++ = i + 1 < ARRAY_LEN(parts) ? '-' : '\0';
	}
}

void
slow_digest(const char *secret, struct str salt, int rounds, uint8_t ret[32])
{
	size_t n = strlen(secret);

	check(n <= INT32_MAX && salt.n <= INT32_MAX);
	check(PKCS5_PBKDF2_HMAC(secret, (int)n, (const unsigned char *)salt.p, (int)salt.n, rounds,
				EVP_sha256(), 32, ret) == 1);
}

/* --- the derived key's file --- */

static void
cache_check(const struct cached *c, const char *password, uint8_t ret[32])
{
	uint8_t slow[32];
	unsigned int n = 32;

	slow_digest(password, (struct str){(const char *)c->salt, sizeof(c->salt)},
		    CRYPT_ROUNDS_QUICK, slow);
	check(HMAC(EVP_sha256(), slow, sizeof(slow), c->key, sizeof(c->key), ret, &n) != NULL);
	wipe(slow, sizeof(slow));
}

static ssize_t
read_all(int fd, char *p, size_t n)
{
	size_t got = 0;
	ssize_t r;

	do {
		r = read(fd, p + got, n - got);
		if (r > 0)
			got += (size_t)r;
	} while ((r > 0 && got < n) || (r < 0 && errno == EINTR));
	return r < 0 ? -1 : (ssize_t)got;
}

/* Only a file that nobody else could have read or written is believed. */
static bool
cache_read(const char *path, const char *password, uint8_t ret_key[KEY_BYTES])
{
	char text[2 * sizeof(struct cached) + 2];
	struct cached c;
	uint8_t expected[32];
	struct stat st;
	ssize_t n = -1;
	bool ok = false;
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return false;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	    (st.st_mode & 077) == 0)
		n = read_all(fd, text, sizeof(text));
	close(fd);
	if (n > 0 && hex_decode(str_trim((struct str){text, (size_t)n}), &c, sizeof(c))) {
		cache_check(&c, password, expected);
		ok = CRYPTO_memcmp(expected, c.check, sizeof(expected)) == 0;
	}
	if (ok)
		memcpy(ret_key, c.key, KEY_BYTES);
	wipe(text, sizeof(text));
	wipe(&c, sizeof(c));
	return ok;
}

/* A cache that cannot be written is no error: the key is derived again next
 * time. Readers see the old file or the new one. */
static void
cache_write(const char *path, const char *password, const uint8_t key[KEY_BYTES])
{
	char text[2 * sizeof(struct cached) + 1];
	AUTO_FREE char *tmp = xasprintf("%s.%ld.tmp", path, (long)getpid());
	struct cached c;
	bool ok;
	int fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0)
		return;
	random_bytes(c.salt, sizeof(c.salt));
	memcpy(c.key, key, KEY_BYTES);
	cache_check(&c, password, c.check);
	hex_encode(text, &c, sizeof(c));
	text[sizeof(text) - 1] = '\n';
	ok = write(fd, text, sizeof(text)) == (ssize_t)sizeof(text);
	wipe(text, sizeof(text));
	wipe(&c, sizeof(c));
	if (close(fd) != 0 || !ok || rename(tmp, path) != 0)
		(void)unlink(tmp);
}

/* --- keys --- */

static enum err
prepare_algorithms(struct crypt *c, struct errinfo *info)
{
	char digest[] = "SHA256";
	OSSL_PARAM params[] = {
	    OSSL_PARAM_construct_utf8_string("digest", digest, 0),
	    OSSL_PARAM_construct_end(),
	};
	EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);

	c->cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	c->mac = hmac != NULL ? EVP_MAC_CTX_new(hmac) : NULL;
	EVP_MAC_free(hmac);
	if (c->cipher == NULL || c->mac == NULL ||
	    EVP_MAC_init(c->mac, c->key, KEY_BYTES, params) != 1)
		return err_set(info, ERR_CRYPT,
			       "ENCRYPTION_KEY: this OpenSSL has no AES-256-GCM or no HMAC-SHA256");
	return ERR_OK;
}

enum err
crypt_new(struct crypt **ret, const char *password, const char *cache_file, struct errinfo *info)
{
	struct crypt *c = xcalloc(1, sizeof(*c));
	enum err e;

	c->identity = password == NULL || password[0] == '\0';
	if (c->identity) {
		*ret = c;
		return ERR_OK;
	}
	if (cache_file == NULL || !cache_read(cache_file, password, c->key)) {
		slow_digest(password, STR(derivation_salt), CRYPT_ROUNDS, c->key);
		if (cache_file != NULL)
			cache_write(cache_file, password, c->key);
	}
	e = prepare_algorithms(c, info);
	if (e != ERR_OK) {
		crypt_free(c);
		return e;
	}
	*ret = c;
	return ERR_OK;
}

void
crypt_free(struct crypt *c)
{
	if (c == NULL)
		return;
	EVP_CIPHER_free(c->cipher);
	EVP_MAC_CTX_free(c->mac);
	wipe(c, sizeof(*c));
	free(c);
}

bool
crypt_is_identity(const struct crypt *c)
{
	return c->identity;
}

void
crypt_encrypt(const struct crypt *c, struct str plain, struct buf *out)
{
	EVP_CIPHER_CTX *ctx;
	uint8_t *box;
	char *hex;
	size_t size;
	int n = 0;

	if (c->identity) {
		buf_str(out, plain);
		return;
	}
	check(plain.n < INT32_MAX / 4);
	size = NONCE_BYTES + plain.n + TAG_BYTES;
	box = xmalloc(size);
	random_bytes(box, NONCE_BYTES);
	ctx = EVP_CIPHER_CTX_new();
	check(ctx != NULL);
	check(EVP_EncryptInit_ex(ctx, c->cipher, NULL, c->key, box) == 1);
	check(EVP_EncryptUpdate(ctx, box + NONCE_BYTES, &n, (const unsigned char *)plain.p,
				(int)plain.n) == 1);
	check(EVP_EncryptFinal_ex(ctx, box + NONCE_BYTES + n, &n) == 1);
	check(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_GET_TAG, TAG_BYTES,
				  box + NONCE_BYTES + plain.n) == 1);
	EVP_CIPHER_CTX_free(ctx);
	hex = xmalloc(2 * size + 1);
	hex_encode(hex, box, size);
	buf_add(out, hex, 2 * size);
	free(hex);
	free(box);
}

/* Opens nonce || text || tag in place: the plain text then begins at the text. */
static bool
open_box(const struct crypt *c, uint8_t *box, size_t size)
{
	EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t *text = box + NONCE_BYTES;
	int n = (int)(size - NONCE_BYTES - TAG_BYTES);
	int done = 0;
	bool ok;

	check(ctx != NULL);
	ok = EVP_DecryptInit_ex(ctx, c->cipher, NULL, c->key, box) == 1 &&
	     EVP_DecryptUpdate(ctx, text, &done, text, n) == 1 &&
	     EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, text + n) == 1 &&
	     EVP_DecryptFinal_ex(ctx, text + done, &done) == 1;
	EVP_CIPHER_CTX_free(ctx);
	return ok;
}

enum err
crypt_decrypt(const struct crypt *c, struct str stored, struct buf *out)
{
	size_t size = stored.n / 2;
	enum err e = ERR_CRYPT;
	uint8_t *box;

	if (c->identity) {
		buf_str(out, stored);
		return buf_err(out);
	}
	if (size < NONCE_BYTES + TAG_BYTES || size > INT32_MAX)
		return ERR_CRYPT;
	box = xmalloc(size);
	if (hex_decode(stored, box, size) && open_box(c, box, size)) {
		buf_add(out, box + NONCE_BYTES, size - NONCE_BYTES - TAG_BYTES);
		e = buf_err(out);
	}
	wipe(box, size);
	free(box);
	return e;
}

void
crypt_hash(const struct crypt *c, struct str plain, uint8_t ret[CRYPT_HASH_BYTES])
{
	EVP_MAC_CTX *mac;
	size_t n = 0;

	if (plain.n == 0) {
		memset(ret, 0, CRYPT_HASH_BYTES);
		return;
	}
	if (c->identity) {
		sha256(plain, ret);
		return;
	}
	mac = EVP_MAC_CTX_dup(c->mac);
	check(mac != NULL);
	check(EVP_MAC_update(mac, (const unsigned char *)plain.p, plain.n) == 1);
	check(EVP_MAC_final(mac, ret, &n, CRYPT_HASH_BYTES) == 1 && n == CRYPT_HASH_BYTES);
	EVP_MAC_CTX_free(mac);
}
