/* SPDX-License-Identifier: MIT
 *
 * Long tasks: /api/keys/add-async, delete-async and validate-group put one into the
 * DB, where the background finds it; /api/tasks looks at them and cancels.
 */
#include "admin-cgi/errtext.h"
#include "admin-cgi/preview.h"
#include "lib/clock.h"
#include "lib/json.h"
#include "lib/limits.h"
#include "lib/task.h"

#define LIST_MAX 100
/* How long one that has ended is "the" task of /api/tasks/status. */
#define SHOWN_US INT64_C(3600000000)

/* --- showing --- */

static void
out_result(struct buf *b, const struct task_row *t)
{
	int64_t others = t->processed - t->good;

	out_open(b, "result", '{');
	if (str_is(t->type, "KEY_VALIDATION")) {
		out_int(b, "total_keys", t->processed);
		out_int(b, "valid_keys", t->good);
		out_int(b, "invalid_keys", others);
	} else {
		bool import = str_is(t->type, "KEY_IMPORT");
		out_int(b, import ? "added_count" : "deleted_count", t->good);
		out_int(b, "ignored_count", others);
	}
	out_close(b, '}');
}

static void
out_task(struct req *req, const char *name, const struct task_row *t)
{
	struct buf *b = &req->data;
	int64_t began = t->started_at > 0 ? t->started_at : t->created_at;

	out_open(b, name, '{');
	out_int(b, "id", t->id);
	out_str(b, "task_type", t->type);
	out_str(b, "state", t->state);
	out_bool(b, "is_running", task_is_active(t));
	out_int(b, "group_id", t->group_id);
	out_str(b, "group_name", t->group_name);
	out_int(b, "processed", t->processed);
	out_int(b, "total", t->total);
	if (!task_is_active(t) && t->error.n == 0)
		out_result(b, t);
	if (t->error.n > 0)
		out_str(b, "error", errtext(t->error, req->language, &req->arena));
	out_time(b, "started_at", began);
	if (t->finished_at > 0) {
		out_time(b, "finished_at", t->finished_at);
		buf_printf(b, ",\"duration_seconds\":%.3f", (double)(t->finished_at - began) / 1e6);
	}
	out_close(b, '}');
}

static enum err
read_group_filter(struct req *req, int64_t *ret)
{
	struct str text = req_query(req, "group_id");

	*ret = 0;
	if (text.n > 0 && !str_to_i64(text, 1, INT64_MAX, ret))
		return err_set(&req->info, ERR_BAD_REQUEST,
			       "\"group_id\" must be a number above 0");
	return ERR_OK;
}

static enum err
find_tasks(struct req *req, struct task_row **ret, size_t *ret_n)
{
	int64_t group_id;
	struct db *db;

	enum err e = read_group_filter(req, &group_id);
	if (e == ERR_OK)
		e = req_db(req, &db);
	return e == ERR_OK ? task_list(db, group_id, LIST_MAX, &req->arena, ret, ret_n) : e;
}

/* One that runs, or the newest that waits, else the newest that ended lately. */
static const struct task_row *
current(const struct task_row *tasks, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_is(tasks[i].state, "running"))
			return &tasks[i];
	for (size_t i = 0; i < n; i++)
		if (task_is_active(&tasks[i]))
			return &tasks[i];
	if (n > 0 && tasks[0].finished_at > clock_wall_us() - SHOWN_US)
		return &tasks[0];
	return NULL;
}

static enum err
status(struct req *req)
{
	struct task_row *tasks;
	size_t n;

	enum err e = find_tasks(req, &tasks, &n);
	if (e != ERR_OK)
		return e;
	const struct task_row *t = current(tasks, n);
	if (t != NULL) {
		out_task(req, NULL, t);
		return ERR_OK;
	}
	buf_cstr(&req->data, "{\"task_type\":\"\",\"is_running\":false,\"processed\":0,\"total\":0,"
			     "\"started_at\":\"0001-01-01T00:00:00Z\"}");
	return ERR_OK;
}

static enum err
list(struct req *req)
{
	struct task_row *tasks;
	size_t n;

	enum err e = find_tasks(req, &tasks, &n);
	if (e != ERR_OK)
		return e;
	out_open(&req->data, NULL, '[');
	for (size_t i = 0; i < n; i++)
		out_task(req, NULL, &tasks[i]);
	out_close(&req->data, ']');
	return ERR_OK;
}

static enum err
show(struct req *req)
{
	struct task_row task;
	struct db *db;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = task_get(db, req->ids[0], &req->arena, &task, &req->info);
	if (e == ERR_OK)
		out_task(req, NULL, &task);
	return e;
}

/* What an import did so far. */
static enum err
out_import(struct req *req, struct db *db, struct crypt *crypt, const struct task_row *t)
{
	struct task_report report = {0};
	enum err e = task_report_get(db, crypt, t->id, &req->arena, &report);

	const struct import_counts counts = {
	    .total = t->total,
	    .added = t->good,
	    .in_text = report.repeated,
	    .in_group = t->processed - t->good - report.repeated - report.malformed,
	    .malformed = report.malformed,
	};
	out_import_counts(&req->data, &counts);
	out_key_faults(req, report.faults, report.n_faults, report.malformed);
	return e;
}

/* Of a validation, why the keys failed that did so far; of other tasks there are none. */
static enum err
out_causes(struct req *req, struct db *db, struct crypt *crypt, const struct task_row *t)
{
	struct buf *b = &req->data;
	struct causes causes;
	enum err e = ERR_OK;

	causes_init(&causes);
	if (str_is(t->type, "KEY_VALIDATION"))
		e = task_causes_get(db, crypt, t->id, &causes);
	causes_sort(&causes);
	out_open(b, "causes", '[');
	for (size_t i = 0; i < causes.n; i++) {
		out_open(b, NULL, '{');
		out_str(b, "error", errtext(causes.v[i].text, req->language, &req->arena));
		out_int(b, "count", causes.v[i].n);
		out_close(b, '}');
	}
	out_close(b, ']');
	out_int(b, "causes_left_out", causes.others);
	causes_done(&causes);
	return e;
}

static enum err
report(struct req *req)
{
	struct task_row task;
	struct crypt *crypt;
	struct db *db;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = req_crypt(req, &crypt);
	if (e == ERR_OK)
		e = task_get(db, req->ids[0], &req->arena, &task, &req->info);
	if (e != ERR_OK)
		return e;
	out_open(&req->data, NULL, '{');
	out_task(req, "task", &task);
	if (str_is(task.type, "KEY_IMPORT")) {
		e = out_import(req, db, crypt, &task);
	} else {
		out_raw(&req->data, "counts", STR("null"));
		out_key_faults(req, NULL, 0, 0);
	}
	if (e == ERR_OK)
		e = out_causes(req, db, crypt, &task);
	out_close(&req->data, '}');
	return e;
}

static enum err
cancel(struct req *req)
{
	struct db *db;

	enum err e = req_db(req, &db);
	if (e == ERR_OK)
		e = task_cancel(db, req->ids[0], &req->info);
	if (e == ERR_OK)
		e = show(req);
	req->message = MSG_TASK_CANCELLED;
	return e;
}

/* --- starting --- */

static enum err
start_keys(struct req *req, enum task_type type)
{
	struct task_row task;
	struct key_text keys;
	struct key_input input = {0};
	struct crypt *crypt;
	struct db *db;

	enum err e = req_key_input(req, type == TASK_IMPORT, &input);
	if (e == ERR_OK && type == TASK_IMPORT)
		e = key_text_sift(input.text, LIMIT_TASK_KEYS, true, &req->arena, &keys,
				  &req->info);
	else if (e == ERR_OK)
		e = key_text_parse(input.text, LIMIT_TASK_KEYS, &req->arena, &keys, &req->info);
	if (e == ERR_OK)
		e = req_db(req, &db);
	if (e == ERR_OK)
		e = req_crypt(req, &crypt);
	if (e == ERR_OK)
		e = task_add(db, crypt, input.group_id, type, &keys, &req->arena, &task,
			     &req->info);
	if (e != ERR_OK)
		return e;
	out_task(req, NULL, &task);
	req->message = MSG_TASK_STARTED;
	return ERR_OK;
}

static enum err
add_async(struct req *req)
{
	return start_keys(req, TASK_IMPORT);
}

static enum err
delete_async(struct req *req)
{
	return start_keys(req, TASK_DELETE);
}

static enum err
validate_group(struct req *req)
{
	struct json_object *body;
	struct str which = STR("");
	struct task_row task;
	int64_t group_id;
	struct db *db;

	enum err e = req_json(req, &body);
	if (e == ERR_OK)
		e = req_id(req, body, "group_id", &group_id);
	if (e != ERR_OK)
		return e;
	struct json_object *value = json_get(body, "status");
	if (value != NULL && !json_get_text(value, &which))
		return err_set(&req->info, ERR_INVALID_JSON, "\"status\" must be a string");
	if (which.n > 0 && !str_is(which, "active") && !str_is(which, "invalid"))
		return err_set(&req->info, ERR_VALIDATION,
			       "\"status\" must be \"active\" or \"invalid\"");
	e = req_db(req, &db);
	if (e != ERR_OK)
		return e;
	req_write_back(req); /* the filter is on the column */
	e = task_add_validation(db, group_id, which, &req->arena, &task, &req->info);
	if (e != ERR_OK)
		return e;
	out_task(req, NULL, &task);
	req->message = MSG_TASK_STARTED;
	return ERR_OK;
}

const struct route routes_tasks[] = {
    {METHOD_POST, "/api/keys/add-async", add_async, ROUTE_UPLOAD},
    {METHOD_POST, "/api/keys/delete-async", delete_async, ROUTE_UPLOAD},
    {METHOD_POST, "/api/keys/validate-group", validate_group, 0},
    {METHOD_GET, "/api/tasks", list, 0},
    {METHOD_GET, "/api/tasks/status", status, 0},
    {METHOD_GET, "/api/tasks/{id}", show, 0},
    {METHOD_GET, "/api/tasks/{id}/report", report, 0},
    {METHOD_POST, "/api/tasks/{id}/cancel", cancel, 0},
    {0},
};
