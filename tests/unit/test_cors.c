/* SPDX-License-Identifier: MIT
 *
 * lib/cors: which origin is let in, with which header fields.
 */
#include "lib/cors.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

static const struct {
	const char *name;
	bool enabled;
	const char *origins;
	bool credentials;
	const char *origin; /* NULL: the request has none */
	const char *want;
} cases[] = {
    {"off", false, "*", false, "https://a", ""},
    {"no origin", true, "*", false, NULL, "Vary: Origin\r\n"},
    {"any", true, "*", false, "https://a",
     "Vary: Origin\r\nAccess-Control-Allow-Origin: https://a\r\n"},
    {"listed", true, "https://b, https://a", false, "https://a",
     "Vary: Origin\r\nAccess-Control-Allow-Origin: https://a\r\n"},
    {"not listed", true, "https://b", false, "https://a", "Vary: Origin\r\n"},
    {"part of a name", true, "https://abc", false, "https://a", "Vary: Origin\r\n"},
    {"credentials for a listed one", true, "https://a", true, "https://a",
     "Vary: Origin\r\nAccess-Control-Allow-Origin: https://a\r\n"
     "Access-Control-Allow-Credentials: true\r\n"},
    {"none for just anyone", true, "*", true, "https://a",
     "Vary: Origin\r\nAccess-Control-Allow-Origin: https://a\r\n"},
    {"a line break", true, "*", false, "https://a\r\nX: y", "Vary: Origin\r\n"},
};

static void
test_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE char *origins = xstrdup(cases[i].origins);
		AUTO_FREE char *var =
		    xasprintf("HTTP_ORIGIN=%s", cases[i].origin != NULL ? cases[i].origin : "");
		char *envp[] = {cases[i].origin != NULL ? var : NULL, NULL};
		struct conf conf = {.enable_cors = cases[i].enabled,
				    .allowed_origins = origins,
				    .allow_credentials = cases[i].credentials};
		struct buf out;

		buf_init(&out, 1024);
		cors_fields(&conf, envp, &out);
		if (strcmp(buf_text(&out), cases[i].want) != 0)
			fail_msg("%s: %s", cases[i].name, buf_text(&out));
		buf_done(&out);
	}
}

static void
test_preflight(void **state)
{
	char any[] = "*";
	char methods[] = "GET,POST";
	char listed[] = "X-One";
	char origin[] = "HTTP_ORIGIN=https://a";
	char asked[] = "HTTP_ACCESS_CONTROL_REQUEST_HEADERS=x-two";
	char *envp[] = {origin, asked, NULL};
	struct conf conf = {.enable_cors = true,
			    .allowed_origins = any,
			    .allowed_methods = methods,
			    .allowed_headers = any};
	struct buf out;

	(void)state;
	buf_init(&out, 1024);
	cors_preflight_fields(&conf, envp, &out);
	assert_string_equal(buf_text(&out), "Access-Control-Allow-Methods: GET,POST\r\n"
					    "Access-Control-Allow-Headers: x-two\r\n"
					    "Access-Control-Max-Age: 600\r\n");
	buf_clear(&out);
	conf.allowed_headers = listed;
	cors_preflight_fields(&conf, envp, &out);
	assert_non_null(strstr(buf_text(&out), "Access-Control-Allow-Headers: X-One\r\n"));
	buf_clear(&out);
	conf.enable_cors = false;
	cors_preflight_fields(&conf, envp, &out);
	assert_string_equal(buf_text(&out), "");
	buf_done(&out);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_fields),
	    cmocka_unit_test(test_preflight),
	};

	return cmocka_run_group_tests_name("cors", tests, NULL, NULL);
}
