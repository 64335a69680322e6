/* SPDX-License-Identifier: MIT
 *
 * A MariaDB server of the test's own: a data folder and a Unix socket in a folder
 * that goes away with it, no port.
 */
#ifndef TESTS_UNIT_MYSQL_KIT_H
#define TESTS_UNIT_MYSQL_KIT_H

#include "lib/base.h"

/* False: there is no MariaDB server on this machine. With an empty database
 * "gpt_load_test". */
bool mysql_kit_start(void);
void mysql_kit_stop(void);
/* kill -9, and begin again with the same data. */
void mysql_kit_restart(void);
/* Of the database; parameters are appended to its "?…". Static memory. */
const char *mysql_kit_dsn(void);

#endif
