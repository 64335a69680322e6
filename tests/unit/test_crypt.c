/* SPDX-License-Identifier: MIT
 *
 * lib/crypt: the stored format against vectors made by other programs, what must
 * not open, the derived key's file, and the digests.
 *
 * The vectors come from Python, with hashlib, hmac and the package cryptography:
 *
 *	k = hashlib.pbkdf2_hmac("sha256", password, b"gpt-load-encryption-v1", 100000, 32)
 *	nonce = bytes(range(12))
 *	stored = (nonce + AESGCM(k).encrypt(nonce, plain, None)).hex()
 *	hash = hmac.new(k, plain, "sha256").hexdigest()
 */
#include "lib/crypt.h"

#include "lib/clock.h"
#include "lib/str.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

static const struct vector {
	const char *password;
	const char *plain;
	const char *stored;
	const char *hash;
} vectors[] = {
    {"correct horse battery staple", "sk-proj-abc123",
     "000102030405060708090a0bb40e9ebf3a4ed9770d266801a90f8663149b99b1dfacef291567683b0fee",
     "c2b7f446a2fc81bff66f0e600204ab588624325f5c63d686bf58976be5057cd1"},
    {"пароль-密码", "AIzaxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
     "000102030405060708090a0b644582d2bc5178e7847c085b777740273b51d3a8b4103a692c2767645474b98fa50ac"
     "a"
     "aa4775aaefa2de0ec36f6026685cda7895e8ae4a",
     "6e6dcbe1b10005d0ed4644f2d43c9b49683a3c45ee428ae5c90e7d76e9a38bc3"},
    {NULL, "sk-proj-abc123", "sk-proj-abc123",
     "4e36e93944591d2a960e85a6781ef1791276f2ebb052a0f0483c8f30f518809e"},
};

static struct crypt *
new_crypt(const char *password, const char *cache)
{
	struct crypt *c = NULL;
	struct errinfo info = {""};

	assert_int_equal(crypt_new(&c, password, cache, &info), ERR_OK);
	return c;
}

static void
assert_hash(const struct crypt *c, const char *plain, const char *expected)
{
	uint8_t hash[CRYPT_HASH_BYTES];
	char hex[CRYPT_HASH_HEX + 1];

	crypt_hash(c, str_of(plain), hash);
	hex_encode(hex, hash, sizeof(hash));
	assert_string_equal(hex, expected);
}

static void
stored_format(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
		const struct vector *v = &vectors[i];
		struct crypt *c = new_crypt(v->password, NULL);
		struct buf out;

		buf_init(&out, 1024);
		assert_int_equal(crypt_decrypt(c, str_of(v->stored), &out), ERR_OK);
		assert_string_equal(buf_text(&out), v->plain);
		assert_hash(c, v->plain, v->hash);
		assert_int_equal(crypt_is_identity(c), v->password == NULL);
		buf_done(&out);
		crypt_free(c);
	}
}

static void
round_trip(void **state)
{
	struct crypt *c = new_crypt("a password", NULL);
	char plain[300];

	(void)state;
	memset(plain, 0x80, sizeof(plain));
	for (size_t n = 0; n < sizeof(plain); n += 37) {
		struct buf first;
		struct buf second;
		struct buf opened;

		buf_init(&first, 4096);
		buf_init(&second, 4096);
		buf_init(&opened, 4096);
		crypt_encrypt(c, (struct str){plain, n}, &first);
		crypt_encrypt(c, (struct str){plain, n}, &second);
		assert_int_equal(first.n, 2 * (12 + n + 16));
		/* Another nonce each time. */
		assert_string_not_equal(buf_text(&first), buf_text(&second));
		assert_int_equal(crypt_decrypt(c, buf_view(&first), &opened), ERR_OK);
		assert_true(str_eq(buf_view(&opened), (struct str){plain, n}));
		buf_done(&first);
		buf_done(&second);
		buf_done(&opened);
	}
	crypt_free(c);
}

static void
what_does_not_open(void **state)
{
	struct crypt *c = new_crypt(vectors[0].password, NULL);
	char damaged[128];
	struct buf out;
	static const char *const bad[] = {
	    "",
	    "sk-proj-abc123",
	    "00",
	    /* one digit short of the smallest box, and one too many */
	    "0001020304050607080910110001020304050607080910111213140",
	    "000102030405060708090a0bb40e9ebf3a4ed9770d266801a90f8663149b99b1dfacef291567683b0feeg",
	    "000102030405060708090a0bb40e9ebf3a4ed9770d266801a90f8663149b99b1dfacef291567683b0fzz",
	};

	(void)state;
	buf_init(&out, 1024);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(crypt_decrypt(c, str_of(bad[i]), &out), ERR_CRYPT);
	/* Any digit changed: nonce, text or tag. */
	for (size_t i = 0; i < strlen(vectors[0].stored); i++) {
		(void)snprintf(damaged, sizeof(damaged), "%s", vectors[0].stored);
		damaged[i] = damaged[i] == '0' ? '1' : '0';
		assert_int_equal(crypt_decrypt(c, str_of(damaged), &out), ERR_CRYPT);
	}
	assert_int_equal(out.n, 0);
	buf_done(&out);
	buf_init(&out, 3);
	assert_int_equal(crypt_decrypt(c, str_of(vectors[0].stored), &out), ERR_TOO_LARGE);
	buf_done(&out);
	crypt_free(c);
}

static void
empty_key_has_no_hash(void **state)
{
	static const uint8_t zero[CRYPT_HASH_BYTES];
	static const char *const passwords[] = {NULL, "", "a password"};
	uint8_t hash[CRYPT_HASH_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(passwords); i++) {
		struct crypt *c = new_crypt(passwords[i], NULL);

		crypt_hash(c, (struct str){NULL, 0}, hash);
		assert_memory_equal(hash, zero, sizeof(zero));
		crypt_free(c);
	}
}

/* --- the derived key's file --- */

struct cache {
	char dir[64];
	char path[96];
};

static int
make_dir(void **state)
{
	struct cache *cache = xcalloc(1, sizeof(*cache));

	(void)snprintf(cache->dir, sizeof(cache->dir), "/tmp/test_crypt.XXXXXX");
	if (mkdtemp(cache->dir) == NULL)
		return -1;
	(void)snprintf(cache->path, sizeof(cache->path), "%s/derived_key", cache->dir);
	*state = cache;
	return 0;
}

static int
remove_dir(void **state)
{
	struct cache *cache = *state;

	(void)unlink(cache->path);
	(void)rmdir(cache->dir);
	free(cache);
	return 0;
}

static size_t
read_cache(const struct cache *cache, char *out, size_t size)
{
	FILE *f = fopen(cache->path, "re");
	size_t n = 0;

	if (f != NULL) {
		n = fread(out, 1, size, f);
		(void)fclose(f);
	}
	return n;
}

static void
cache_is_used_and_private(void **state)
{
	struct cache *cache = *state;
	char first[256];
	char second[256];
	struct stat st;
	size_t n;

	crypt_free(new_crypt(vectors[0].password, cache->path));
	assert_int_equal(stat(cache->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	n = read_cache(cache, first, sizeof(first));
	assert_int_equal(n, 161);

	struct crypt *c = new_crypt(vectors[0].password, cache->path);
	assert_hash(c, vectors[0].plain, vectors[0].hash);
	crypt_free(c);
	/* Not derived again: the salt is the same. */
	assert_int_equal(read_cache(cache, second, sizeof(second)), n);
	assert_memory_equal(first, second, n);
}

static void
other_password_derives_again(void **state)
{
	struct cache *cache = *state;

	for (size_t i = 0; i < 2; i++) {
		struct crypt *c = new_crypt(vectors[i].password, cache->path);

		assert_hash(c, vectors[i].plain, vectors[i].hash);
		crypt_free(c);
	}
}

static void
damaged_cache_is_not_believed(void **state)
{
	struct cache *cache = *state;
	static const struct {
		off_t at;
		mode_t mode;
	} cases[] = {
	    {0, 0600},   /* salt */
	    {40, 0600},  /* key */
	    {120, 0600}, /* check */
	    {-1, 0644},  /* others could have read it */
	    {-2, 0600},  /* cut off */
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		crypt_free(new_crypt(vectors[0].password, cache->path));
		int fd = open(cache->path, O_WRONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		if (cases[i].at >= 0)
			assert_int_equal(pwrite(fd, "!", 1, cases[i].at), 1);
		else if (cases[i].at == -2)
			assert_int_equal(ftruncate(fd, 50), 0);
		assert_int_equal(fchmod(fd, cases[i].mode), 0);
		close(fd);
		struct crypt *c = new_crypt(vectors[0].password, cache->path);
		assert_hash(c, vectors[0].plain, vectors[0].hash);
		crypt_free(c);
		struct stat st;
		assert_int_equal(stat(cache->path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
}

static void
unwritable_cache_is_no_error(void **state)
{
	struct crypt *c = new_crypt(vectors[0].password, "/nonexistent/derived_key");

	(void)state;
	assert_hash(c, vectors[0].plain, vectors[0].hash);
	crypt_free(c);
}

/* --- without a key --- */

static void
secrets_compare(void **state)
{
	(void)state;
	assert_true(secret_equal(STR("sk-1"), STR("sk-1")));
	assert_true(secret_equal(STR(""), (struct str){NULL, 0}));
	assert_false(secret_equal(STR("sk-1"), STR("sk-2")));
	assert_false(secret_equal(STR("sk-1"), STR("sk-11")));
}

static void
uuid7_sorts_by_time(void **state)
{
	char earlier[37];
	char later[37];
	char again[37];

	(void)state;
	/* RFC 9562, appendix A.6: this time gives 017f22e2-79b0-7cc3-…; the 12
	 * bits after the version are the fraction of the millisecond here. */
	clock_fake(1645557742000000);
	uuid7(earlier);
	assert_memory_equal(earlier, "017f22e2-79b0-7000-", 19);
	uuid7(again);
	assert_string_not_equal(earlier, again);
	clock_fake(1645557742000999);
	uuid7(later);
	assert_memory_equal(later, "017f22e2-79b0-7ffb-", 19);
	assert_true(strcmp(earlier, later) < 0);
	assert_non_null(strchr("89ab", later[19]));
	assert_int_equal(strlen(later), 36);
	clock_fake(0);
}

/* Ids are made out of a stock of random bytes, which a forked child has as well. */
static void
uuid7_of_a_forked_child_is_another(void **state)
{
	char ours[37];
	char theirs[37] = "";
	int fd[2];
	pid_t child;

	(void)state;
	uuid7(ours); /* there is a stock now */
	assert_int_equal(pipe(fd), 0);
	child = fork();
	if (child == 0) {
		uuid7(theirs);
		_exit(write(fd[1], theirs, sizeof(theirs)) == sizeof(theirs) ? 0 : 1);
	}
	uuid7(ours);
	assert_int_equal(read(fd[0], theirs, sizeof(theirs)), sizeof(theirs));
	assert_int_equal(waitpid(child, NULL, 0), child);
	assert_string_not_equal(ours + 24, theirs + 24);
	(void)close(fd[0]);
	(void)close(fd[1]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stored_format),
	    cmocka_unit_test(round_trip),
	    cmocka_unit_test(what_does_not_open),
	    cmocka_unit_test(empty_key_has_no_hash),
	    cmocka_unit_test_setup_teardown(cache_is_used_and_private, make_dir, remove_dir),
	    cmocka_unit_test_setup_teardown(other_password_derives_again, make_dir, remove_dir),
	    cmocka_unit_test_setup_teardown(damaged_cache_is_not_believed, make_dir, remove_dir),
	    cmocka_unit_test(unwritable_cache_is_no_error),
	    cmocka_unit_test(secrets_compare),
	    cmocka_unit_test(uuid7_sorts_by_time),
	    cmocka_unit_test(uuid7_of_a_forked_child_is_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
