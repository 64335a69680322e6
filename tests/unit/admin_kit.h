/* SPDX-License-Identifier: MIT
 *
 * For the tests of the management API: an installation in a folder of its own, and
 * whole requests to it, as CGI variables and a body.
 */
#ifndef TESTS_UNIT_ADMIN_KIT_H
#define TESTS_UNIT_ADMIN_KIT_H

#include "admin-cgi/admin.h"

#include "tests/unit/sandbox.h"

#include <json-c/json.h>

/* The AUTH_KEY. */
#define AUTH "the-management-key-0123"

struct fixture {
	struct sandbox *sandbox;
	struct admin admin;
	/* of the request under way */
	struct str input;
	bool breaks_off;
	struct buf output;
	struct json_object *json; /* the answer's body */
};

/* Of a test with this fixture as its state. */
int kit_setup(void **state);
int kit_teardown(void **state);

/* One request; `vars` are further variables ("NAME=value"), NULL at the end. The
 * answer's status; its body is in f->json. */
int request(struct fixture *f, const char *method, const char *uri, struct str body,
	    const char *const *vars);
/* The same with the AUTH_KEY. */
int ask(struct fixture *f, const char *method, const char *uri, const char *body);

/* Looking into the answer; what is not there fails the test or is NULL or "". */
struct json_object *data(struct fixture *f);
int64_t number(struct json_object *object, const char *name);
const char *text(struct json_object *object, const char *name);
struct json_object *element(struct json_object *array, size_t i);

#define assert_code(f, code)  assert_string_equal(text((f)->json, "code"), code)
#define assert_has(f, line)   assert_non_null(strstr((f)->output.p, line))
#define assert_hasnt(f, line) assert_null(strstr((f)->output.p, line))

/* Creates a standard group with `more` members in its body; its id. */
int64_t make_group(struct fixture *f, const char *name, const char *more);
/* The pool holds the DB's version, and no outbox row waits. */
void assert_published(struct fixture *f);

#endif
