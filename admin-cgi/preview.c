/* SPDX-License-Identifier: MIT
 *
 * POST /api/keys/import-preview: what an import of this text would do, without doing
 * it; and what it shares with the imports themselves.
 */
#include "admin-cgi/preview.h"

#include "admin-cgi/multipart.h"
#include "lib/group.h"
#include "lib/limits.h"

/* --- input --- */

static enum err
read_upload(struct req *req, struct multipart *m, struct key_input *ret)
{
	struct part part;
	bool file = false;
	enum err e;

	*ret = (struct key_input){0};
	while (multipart_next(m, &part, &e)) {
		if (str_is(part.name, "group_id") &&
		    !str_to_i64(str_trim(part.value), 1, INT64_MAX, &ret->group_id))
			return err_set(&req->info, ERR_BAD_REQUEST,
				       "\"group_id\" must be a number above 0");
		if (!str_is(part.name, "file"))
			continue;
		if (part.filename.n < 4 ||
		    !str_iis(str_from(part.filename, part.filename.n - 4), ".txt"))
			return err_set(&req->info, ERR_VALIDATION, "the file must be a .txt file");
		ret->text = part.value;
		file = true;
	}
	if (e != ERR_OK)
		return err_set(&req->info, e, "the form cannot be read");
	if (ret->group_id == 0 || !file)
		return err_set(&req->info, ERR_BAD_REQUEST,
			       "the form must have the fields \"group_id\" and \"file\"");
	return ERR_OK;
}

enum err
req_key_input(struct req *req, bool uploads, struct key_input *ret)
{
	struct json_object *body;
	struct multipart m;

	if (uploads && multipart_init(&m, cgi_var(req->envp, "CONTENT_TYPE"), req->body))
		return read_upload(req, &m, ret);
	enum err e = req_json(req, &body);
	if (e == ERR_OK)
		e = req_id(req, body, "group_id", &ret->group_id);
	return e == ERR_OK ? req_text(req, body, "keys_text", &ret->text) : e;
}

/* --- output --- */

void
out_import_counts(struct buf *b, const struct import_counts *counts)
{
	out_open(b, "counts", '{');
	out_int(b, "total", counts->total);
	out_int(b, "new", counts->added);
	out_int(b, "duplicate_in_text", counts->in_text);
	out_int(b, "duplicate_in_group", counts->in_group);
	out_int(b, "malformed", counts->malformed);
	out_close(b, '}');
}

static const struct {
	const char *id;
	enum msg message;
} kinds[KEY_FAULT__MAX] = {
    [KEY_FAULT_LONG] = {"too_long", MSG_FAULT_TOO_LONG},
    [KEY_FAULT_CHARACTER] = {"control_character", MSG_FAULT_CHARACTER},
    [KEY_FAULT_NO_TEXT] = {"not_a_string", MSG_FAULT_NO_TEXT},
};

void
out_key_faults(struct req *req, const struct key_fault *v, size_t n, int64_t all)
{
	const char *most = arena_printf(&req->arena, "%d", LIMIT_KEY_BYTES);
	struct buf *b = &req->data;

	out_open(b, "malformed", '[');
	for (size_t i = 0; i < n; i++) {
		out_open(b, NULL, '{');
		out_int(b, "line", (int64_t)v[i].line);
		out_cstr(b, "reason", kinds[v[i].kind].id);
		out_str(b, "message", msg_about(req, kinds[v[i].kind].message, most));
		out_str(b, "sample", v[i].sample);
		out_close(b, '}');
	}
	out_close(b, ']');
	out_int(b, "malformed_left_out", all - (int64_t)n);
}

/* --- preview --- */

static enum err
standard_group(struct req *req, struct db *db, int64_t group_id)
{
	struct group_row group;
	enum err e = group_get(db, group_id, &req->arena, &group, &req->info);

	if (e == ERR_OK && group.aggregate)
		return err_set(&req->info, ERR_VALIDATION,
			       "an aggregate group has no keys of its own");
	return e;
}

static enum err
preview(struct req *req)
{
	struct key_input input = {0};
	struct key_text keys = {0};
	struct crypt *crypt;
	struct db *db;
	size_t there = 0;

	enum err e = req_key_input(req, true, &input);
	if (e == ERR_OK)
		e = req_db(req, &db);
	if (e == ERR_OK)
		e = req_crypt(req, &crypt);
	if (e == ERR_OK)
		e = standard_group(req, db, input.group_id);
	if (e == ERR_OK)
		e = key_text_sift(input.text, LIMIT_TASK_KEYS, false, &req->arena, &keys,
				  &req->info);
	if (e == ERR_OK)
		e = key_count_there(db, crypt, input.group_id, keys.v, keys.n, &there);
	if (e != ERR_OK)
		return e;
	const struct import_counts counts = {
	    .total = (int64_t)(keys.given + keys.faults.n),
	    .added = (int64_t)(keys.n - there),
	    .in_text = (int64_t)(keys.given - keys.n),
	    .in_group = (int64_t)there,
	    .malformed = (int64_t)keys.faults.n,
	};
	out_open(&req->data, NULL, '{');
	out_import_counts(&req->data, &counts);
	out_key_faults(req, keys.faults.v, MIN(keys.faults.n, (size_t)LIMIT_KEY_FAULTS),
		       counts.malformed);
	out_close(&req->data, '}');
	return ERR_OK;
}

const struct route routes_preview[] = {
    {METHOD_POST, "/api/keys/import-preview", preview, ROUTE_UPLOAD},
    {0},
};
