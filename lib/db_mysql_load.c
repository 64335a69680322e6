/* SPDX-License-Identifier: MIT
 *
 * Loads the MySQL client library at run time, the very one whose header this was
 * built with: MYSQL_LIBRARY is its soname, found by configure.
 */
#include "config.h"

#include "lib/db_mysql.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void *library; /* for the life of the process */
static struct mysql_calls calls;
static char failure[256];

static bool
find(const char *name, void *ret_function)
{
	void *p = dlsym(library, name);

	if (p == NULL)
		(void)snprintf(failure, sizeof(failure), MYSQL_LIBRARY " has no %s", name);
	else
		memcpy(ret_function, &p, sizeof(p));
	return p != NULL;
}

static void
load(void)
{
	library = dlopen(MYSQL_LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL) {
		(void)snprintf(failure, sizeof(failure), "%s", dlerror());
		return;
	}
#define X(name)                                                                                    \
	if (!find(#name, &calls.name))                                                             \
		return;
	MYSQL_CALLS(X)
#undef X
}

enum err
mysql_load(const struct mysql_calls **ret, struct errinfo *info)
{
	(void)pthread_once(&once, load);
	if (failure[0] != '\0')
		return err_set(info, ERR_CONF,
			       "DATABASE_DSN: the MySQL client library cannot be loaded: %s",
			       failure);
	*ret = &calls;
	return ERR_OK;
}
