/* SPDX-License-Identifier: MIT
 *
 * What the dashboard says of secrets: those that are missing or easily guessed, and
 * whether the stored keys fit the ENCRYPTION_KEY.
 */
#include "admin-cgi/dashboard.h"

#include "lib/group.h"
#include "lib/limits.h"
#include "lib/setting.h"

#include <ctype.h>

#define SHORT_BYTES  16
#define MEDIUM_BYTES 32
/* More warnings help nobody. */
#define WARNINGS_MAX 50
#define SAMPLE       20

/* --- warnings --- */

struct warnings {
	struct req *req;
	const char *type;
	size_t n;
};

static void
warn(struct warnings *w, const char *name, enum msg message, const char *severity)
{
	struct buf *b = &w->req->data;

	if (w->n++ >= WARNINGS_MAX)
		return;
	out_open(b, NULL, '{');
	out_cstr(b, "type", w->type);
	out_str(b, "message", msg_about(w->req, message, name));
	out_cstr(b, "severity", severity);
	out_cstr(b, "suggestion", msg(w->req, MSG_WARN_SUGGESTION));
	out_close(b, '}');
}

/* Words that nobody rolls by chance: shorter ones stand in random keys too. */
static bool
has_weak_word(struct str secret)
{
	static const char *const words[] = {"admin",  "default", "login", "password",
					    "qwerty", "secret",  "token", "123456"};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (str_icontains(secret, words[i]))
			return true;
	return false;
}

/* Of upper case, lower case, digits and others. */
static int
kinds_of_characters(struct str secret)
{
	bool kinds[4] = {false};

	for (size_t i = 0; i < secret.n; i++) {
		unsigned char c = (unsigned char)secret.p[i];
		kinds[isupper(c) ? 0 : islower(c) ? 1 : isdigit(c) ? 2 : 3] = true;
	}
	return kinds[0] + kinds[1] + kinds[2] + kinds[3];
}

static void
judge(struct warnings *w, const char *name, struct str secret)
{
	if (secret.n == 0) {
		warn(w, name, MSG_WARN_MISSING, "high");
		return;
	}
	if (secret.n < SHORT_BYTES)
		warn(w, name, MSG_WARN_SHORT, "high");
	else if (secret.n < MEDIUM_BYTES)
		warn(w, name, MSG_WARN_MEDIUM, "medium");
	if (has_weak_word(secret))
		warn(w, name, MSG_WARN_WORD, "high");
	if (secret.n >= SHORT_BYTES && kinds_of_characters(secret) < 3)
		warn(w, name, MSG_WARN_KINDS, "medium");
}

static void
judge_list(struct warnings *w, const char *name, struct str list)
{
	struct str item;
	int n = 0;

	while (str_split(&list, ',', &item)) {
		item = str_trim(item);
		if (item.n > 0)
			judge(w, arena_printf(&w->req->arena, "%s #%d", name, ++n), item);
	}
}

enum err
out_security_warnings(struct req *req, struct db *db)
{
	struct warnings w = {.req = req, .type = "AUTH_KEY"};
	const char *encryption = req->admin->conf->encryption_key;
	struct group_row *groups;
	struct settings settings;
	size_t n;

	enum err e = group_list(db, &req->arena, &groups, &n);
	if (e == ERR_OK)
		e = settings_load(db, &settings, NULL);
	if (e != ERR_OK)
		return e;
	out_open(&req->data, "security_warnings", '[');
	judge(&w, "AUTH_KEY", str_of(req->admin->conf->auth_key));
	w.type = "ENCRYPTION_KEY";
	judge(&w, "ENCRYPTION_KEY", str_of(encryption));
	w.type = "PROXY_KEYS";
	judge_list(&w, "proxy_keys", str_of(settings.v[SETTING_PROXY_KEYS].s));
	w.type = "GROUP_PROXY_KEYS";
	for (size_t i = 0; i < n; i++)
		judge_list(
		    &w, arena_printf(&req->arena, STR_FMT ": proxy_keys", STR_ARG(groups[i].name)),
		    groups[i].proxy_keys);
	out_close(&req->data, ']');
	settings_done(&settings);
	return ERR_OK;
}

/* --- do the stored keys fit --- */

struct sample {
	int n;
	int plain; /* whose hash is that of the stored text */
	int fits;  /* that open with the ENCRYPTION_KEY and have its hash */
};

static void
take_sample(struct crypt *crypt, struct db_rows *rows, struct buf *plain, struct sample *s)
{
	struct str stored = db_col_text(rows, 0);
	uint8_t digest[CRYPT_HASH_BYTES];
	uint8_t hash[CRYPT_HASH_BYTES];

	s->n++;
	if (!hex_decode(db_col_text(rows, 1), hash, sizeof(hash)))
		return;
	sha256(stored, digest);
	s->plain += memcmp(hash, digest, sizeof(hash)) == 0;
	buf_clear(plain);
	if (crypt_is_identity(crypt) || crypt_decrypt(crypt, stored, plain) != ERR_OK ||
	    buf_err(plain) != ERR_OK)
		return;
	crypt_hash(crypt, buf_view(plain), digest);
	s->fits += memcmp(hash, digest, sizeof(hash)) == 0;
}

static enum err
read_sample(struct db *db, struct crypt *crypt, struct sample *ret)
{
	struct db_rows *rows = NULL;
	struct buf plain;
	enum err e =
	    db_query(db, "SELECT key_value, key_hash FROM api_keys ORDER BY id DESC LIMIT ?",
		     DB_ARGS(db_int(SAMPLE)), &rows);

	buf_init(&plain, LIMIT_KEY_BYTES);
	while (e == ERR_OK && db_next(rows, &e))
		take_sample(crypt, rows, &plain, ret);
	db_rows_done(rows);
	wipe(plain.p, plain.n);
	buf_done(&plain);
	return e;
}

enum err
encryption_status(struct req *req)
{
	struct buf *b = &req->data;
	struct sample s = {0};
	enum msg message = MSG_ENCRYPTION_FITS;
	const char *scenario = "";
	struct crypt *crypt;
	struct db *db;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = req_crypt(req, &crypt);
	if (e == ERR_OK)
		e = read_sample(db, crypt, &s);
	if (e != ERR_OK)
		return e;
	if (s.n > 0 && !crypt_is_identity(crypt) && s.plain * 5 > s.n * 4) {
		scenario = "data_not_encrypted";
		message = MSG_DATA_NOT_ENCRYPTED;
	} else if (s.n > 0 && crypt_is_identity(crypt) && s.plain * 5 < s.n) {
		scenario = "key_not_configured";
		message = MSG_KEY_NOT_CONFIGURED;
	} else if (s.n > 0 && !crypt_is_identity(crypt) && s.plain * 5 < s.n && s.fits * 5 < s.n) {
		scenario = "key_mismatch";
		message = MSG_KEY_MISMATCH;
	}
	out_open(b, NULL, '{');
	out_bool(b, "has_mismatch", scenario[0] != '\0');
	out_cstr(b, "scenario_type", scenario);
	out_cstr(b, "message", scenario[0] != '\0' ? msg(req, message) : "");
	out_cstr(b, "suggestion", scenario[0] != '\0' ? msg(req, MSG_ENCRYPTION_SUGGESTION) : "");
	out_close(b, '}');
	return ERR_OK;
}
