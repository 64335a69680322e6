/* SPDX-License-Identifier: MIT
 *
 * The keys in request_logs, after those in api_keys: in portions, by id, each in one
 * transaction with how far it is. A row that has been done opens with the new key and
 * is passed over.
 */
#include "lib/rekey.h"

#include "lib/limits.h"
#include "lib/migrate.h"
#include "lib/str.h"

#define ID_SIZE 37

struct log_key {
	char id[ID_SIZE];
	size_t end; /* in the text of all */
	char hash[CRYPT_HASH_HEX + 1];
};

struct page {
	struct log_key *v; /* to be changed */
	size_t n;
	struct buf text;
	struct buf last; /* the id read last */
	size_t read;
};

static void
take_row(struct rekey *r, struct db_rows *rows, struct page *page)
{
	struct str id = db_col_text(rows, 0);
	struct str stored = db_col_text(rows, 1);
	struct log_key *k = &page->v[page->n];
	enum rekey_state state;

	page->read++;
	buf_clear(&page->last);
	buf_str(&page->last, id);
	if (stored.n == 0)
		return;
	state = rekey_open(r, stored, db_col_text(rows, 2));
	r->result.rows_unreadable += state == REKEY_BAD;
	if (state != REKEY_OLD || id.n >= sizeof(k->id))
		return;
	memcpy(k->id, id.p, id.n);
	k->id[id.n] = '\0';
	rekey_store(r, &page->text, k->hash);
	k->end = page->text.n;
	page->n++;
}

static enum err
read_page(struct rekey *r, struct page *page)
{
	AUTO_FREE char *after = xstrndup(buf_text(&page->last), page->last.n);
	struct db_rows *rows;
	enum err e;

	page->n = page->read = 0;
	buf_clear(&page->text);
	for (e = db_query(r->db,
			  "SELECT id, key_value, key_hash FROM request_logs WHERE id > ? "
			  "ORDER BY id LIMIT ?",
			  DB_ARGS(db_cstr(after), db_int(REKEY_PAGE)), &rows);
	     e == ERR_OK && db_next(rows, &e);)
		take_row(r, rows, page);
	db_rows_done(rows);
	return e == ERR_OK ? buf_err(&page->text) : e;
}

static enum err
write_page(struct rekey *r, const struct page *page)
{
	size_t from = 0;
	enum err e = db_begin(r->db);

	if (e != ERR_OK)
		return e;
	for (size_t i = 0; i < page->n && e == ERR_OK; i++) {
		const struct log_key *k = &page->v[i];
		struct str stored = {page->text.p + from, k->end - from};

		e = db_exec(r->db,
			    "UPDATE request_logs SET key_value = ?, key_hash = ? WHERE id = ?",
			    DB_ARGS(db_text(stored), db_cstr(k->hash), db_cstr(k->id)), NULL);
		from = k->end;
	}
	if (e == ERR_OK)
		e = meta_set(r->db, REKEY_META, buf_view(&page->last));
	if (e == ERR_OK)
		return db_commit(r->db);
	db_rollback(r->db);
	return e;
}

static enum err
do_pages(struct rekey *r, struct page *page)
{
	int64_t total = 0;
	int64_t done = 0;
	enum err e = db_query_int(r->db, "SELECT count(*) FROM request_logs WHERE id > ?",
				  DB_ARGS(db_cstr(buf_text(&page->last))), 0, &total);

	do {
		if (e == ERR_OK)
			e = read_page(r, page);
		if (e == ERR_OK && page->read > 0)
			e = write_page(r, page);
		if (e != ERR_OK)
			return e;
		r->result.rows += (int64_t)page->n;
		done += (int64_t)page->read;
		r->progress(r->arg, "log rows", done, total);
	} while (page->read == REKEY_PAGE);
	return db_exec(r->db, "DELETE FROM gptl_meta WHERE name = ?", DB_ARGS(db_cstr(REKEY_META)),
		       NULL);
}

enum err
rekey_logs(struct rekey *r, struct errinfo *info)
{
	struct page page = {.v = xcalloc(REKEY_PAGE, sizeof(*page.v))};
	AUTO_FREE struct log_key *v = page.v;
	enum err e;

	buf_init(&page.text, (size_t)REKEY_PAGE * LIMIT_LOG_KEY);
	buf_init(&page.last, 256);
	/* Without a mark all rows are looked at: those of another run may be left. */
	e = meta_get(r->db, REKEY_META, &page.last);
	if (e == ERR_OK || e == ERR_NOT_FOUND)
		e = do_pages(r, &page);
	buf_done(&page.text);
	buf_done(&page.last);
	return e == ERR_OK ? ERR_OK : err_set(info, e, "database: %s", db_error(r->db));
}
