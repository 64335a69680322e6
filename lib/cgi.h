/* SPDX-License-Identifier: MIT
 *
 * What a web server says of a request, in CGI variables ("NAME=value", NULL at
 * the end: FCGX_Request.envp or environ). Used by the responder and by the admin
 * programs, so that both route, look for keys and see addresses alike.
 *
 * Routing is on REQUEST_URI alone: it is the one variable that every server
 * passes raw.
 */
#ifndef LIB_CGI_H
#define LIB_CGI_H

#include "lib/arena.h"
#include "lib/err.h"
#include "lib/str.h"

/* Empty when there is none. */
struct str cgi_var(char *const *envp, const char *name);

/* From here on, targets begin below the folder of the program: its SCRIPT_NAME says
 * which. For programs in a folder that a web server serves (make install-htaccess),
 * where nobody but the server knows the folder's address. Called once, at start. */
void cgi_begin_at_script(void);

/* The request target as the client sent it, scheme and authority cut off. */
struct cgi_target {
	struct str path;  /* raw, begins with '/' */
	struct str query; /* raw, without '?'; empty when none */
};
/* ERR_BAD_REQUEST: not a path, a dot segment (plain or percent-encoded), a
 * malformed percent-encoding, a NUL or control character. */
enum err cgi_target(char *const *envp, struct cgi_target *ret, struct errinfo *info) MUST_CHECK;

/* Where a client key was found; the order is the order of precedence. */
enum client_key_place {
	CLIENT_KEY_NONE,
	CLIENT_KEY_QUERY,          /* ?key= */
	CLIENT_KEY_BEARER,         /* Authorization: Bearer */
	CLIENT_KEY_X_API_KEY,      /* Anthropic */
	CLIENT_KEY_X_GOOG_API_KEY, /* Gemini */
	CLIENT_KEY_API_KEY,        /* Azure */
};
/* An empty bearer is a key (an empty one) that ends the search; an empty value
 * elsewhere is none. A key from the query is percent-decoded into `arena`. */
enum client_key_place cgi_client_key(char *const *envp, struct str query, struct arena *arena,
				     struct str *ret_key);

/* The value of a query parameter, percent-decoded ('+' is a space); false when
 * it is not there. The first one counts. */
bool query_get(struct str query, const char *name, struct arena *arena, struct str *ret);
/* `query` without any parameter of that name, all other bytes as they were. */
struct str query_without(struct str query, const char *name, struct arena *arena);

/* The client's address: REMOTE_ADDR, or when that is a trusted proxy the
 * right-most address of X-Forwarded-For that is not. `trusted`: comma-separated
 * addresses or CIDR, NULL for loopback and Unix sockets. */
struct str cgi_client_ip(char *const *envp, const char *trusted, struct arena *arena);

#endif
