/* SPDX-License-Identifier: MIT
 *
 * A PostgreSQL server of the test's own: a data folder and a Unix socket in a folder
 * that goes away with it, no port.
 */
#ifndef TESTS_UNIT_PGSQL_KIT_H
#define TESTS_UNIT_PGSQL_KIT_H

#include "lib/base.h"

/* False: there is no PostgreSQL server on this machine. With an empty database
 * "gpt_load_test". */
bool pgsql_kit_start(void);
void pgsql_kit_stop(void);
/* At once, with the connections that there are; the data stay. */
void pgsql_kit_stop_server(void);
void pgsql_kit_start_server(void);
/* Of the database; parameters are appended to its "?…". Static memory. */
const char *pgsql_kit_dsn(void);
/* The folder of its socket. Static memory. */
const char *pgsql_kit_dir(void);

#endif
