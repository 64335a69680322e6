/* SPDX-License-Identifier: MIT
 *
 * The report of a task: JSON, encrypted like the keys are. Of an import, what it left out
 * before it began; of a validation, why keys failed, as far as it is.
 */
#include "lib/task_store.h"

#include "lib/json.h"
#include "lib/limits.h"
#include "lib/str.h"

#include <json-c/json.h>

/* --- writing --- */

enum err
task_put_part(struct db *db, const struct crypt *crypt, int64_t task_id, int64_t part,
	      struct str text, size_t n)
{
	struct buf stored;

	buf_init(&stored, 4 * TASK_PART_BYTES + 4 * LIMIT_KEY_BYTES);
	crypt_encrypt(crypt, text, &stored);
	enum err e = buf_err(&stored);
	if (e == ERR_OK)
		e = db_exec(db,
			    "INSERT INTO gptl_task_input (task_id, part, n, key_values) "
			    "VALUES (?,?,?,?)",
			    DB_ARGS(db_int(task_id), db_int(part), db_int((int64_t)n),
				    db_text(buf_view(&stored))),
			    NULL);
	buf_done(&stored);
	return e;
}

enum err
task_put_faults(struct db *db, const struct crypt *crypt, int64_t task_id,
		const struct key_text *keys)
{
	const struct key_faults *faults = &keys->faults;
	size_t shown = MIN(faults->n, (size_t)LIMIT_KEY_FAULTS);
	struct buf text;

	if (faults->n == 0 && keys->given == keys->n)
		return ERR_OK;
	buf_init(&text, TASK_PART_BYTES);
	buf_printf(&text, "{\"repeated\":%zu,\"malformed\":%zu,\"faults\":[", keys->given - keys->n,
		   faults->n);
	for (size_t i = 0; i < shown; i++) {
		buf_printf(&text, "%s[%zu,%d,", i > 0 ? "," : "", faults->v[i].line,
			   (int)faults->v[i].kind);
		buf_json(&text, faults->v[i].sample);
		buf_char(&text, ']');
	}
	buf_cstr(&text, "]}");
	enum err e = buf_err(&text);
	if (e == ERR_OK)
		e = task_put_part(db, crypt, task_id, 0, buf_view(&text), 0);
	buf_done(&text);
	return e;
}

enum err
task_put_causes(struct db *db, const struct crypt *crypt, int64_t task_id,
		const struct causes *causes)
{
	struct buf text;
	enum err e = db_exec(db, "DELETE FROM gptl_task_input WHERE task_id = ? AND part = 0",
			     DB_ARGS(db_int(task_id)), NULL);

	buf_init(&text, TASK_PART_BYTES);
	buf_char(&text, '{');
	causes_write(causes, &text);
	buf_char(&text, '}');
	if (e == ERR_OK)
		e = buf_err(&text);
	if (e == ERR_OK)
		e = task_put_part(db, crypt, task_id, 0, buf_view(&text), 0);
	buf_done(&text);
	return e;
}

/* --- reading --- */

/* The report's JSON; NULL: there is none. */
static enum err
read_part(struct db *db, const struct crypt *crypt, int64_t task_id, struct json_object **ret)
{
	struct db_rows *rows = NULL;
	struct buf plain;
	enum err e =
	    db_query(db, "SELECT key_values FROM gptl_task_input WHERE task_id = ? AND part = 0",
		     DB_ARGS(db_int(task_id)), &rows);

	*ret = NULL;
	buf_init(&plain, TASK_PART_BYTES);
	if (e == ERR_OK && db_next(rows, &e)) {
		e = crypt_decrypt(crypt, db_col_text(rows, 0), &plain);
		if (e == ERR_OK)
			e = buf_err(&plain);
		if (e == ERR_OK && json_parse(buf_view(&plain), ret, NULL) != ERR_OK)
			e = ERR_INTERNAL;
	}
	db_rows_done(rows);
	buf_done(&plain);
	return e;
}

static enum err
read_faults(struct json_object *list, struct arena *arena, struct task_report *ret)
{
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0;
	int64_t kind;
	int64_t line;
	struct str sample;

	ret->faults = arena_alloc(arena, (n + 1) * sizeof(*ret->faults));
	for (size_t i = 0; i < n; i++) {
		struct json_object *one = json_object_array_get_idx(list, i);
		if (!json_object_is_type(one, json_type_array) ||
		    !json_get_int(json_object_array_get_idx(one, 0), &line) ||
		    !json_get_int(json_object_array_get_idx(one, 1), &kind) || kind < 0 ||
		    kind >= KEY_FAULT__MAX ||
		    !json_get_text(json_object_array_get_idx(one, 2), &sample))
			return ERR_INTERNAL;
		ret->faults[ret->n_faults++] = (struct key_fault){
		    (size_t)line, (enum key_fault_kind)kind, arena_str(arena, sample)};
	}
	return ERR_OK;
}

enum err
task_report_get(struct db *db, const struct crypt *crypt, int64_t id, struct arena *arena,
		struct task_report *ret)
{
	AUTO_JSON struct json_object *report = NULL;
	enum err e = read_part(db, crypt, id, &report);

	*ret = (struct task_report){0};
	if (e != ERR_OK || report == NULL)
		return e;
	if (!json_get_int(json_get(report, "repeated"), &ret->repeated) ||
	    !json_get_int(json_get(report, "malformed"), &ret->malformed))
		return ERR_INTERNAL;
	return read_faults(json_get(report, "faults"), arena, ret);
}

enum err
task_causes_get(struct db *db, const struct crypt *crypt, int64_t id, struct causes *causes)
{
	AUTO_JSON struct json_object *report = NULL;
	enum err e = read_part(db, crypt, id, &report);

	return e == ERR_OK && report != NULL ? causes_read(causes, report) : e;
}
