/* SPDX-License-Identifier: MIT
 *
 * Is anything of this installation running: on this node by its gate (gate.h), on any
 * other by its sign of life (node.h) and the lease of the background work (lease.h).
 */
#ifndef LIB_ALIVE_H
#define LIB_ALIVE_H

#include "lib/conf.h"
#include "lib/db.h"

struct alive {
	int workers;      /* of this node */
	char holder[65];  /* of the lease, "host:pid:…"; "": nobody */
	char other[65];   /* the place of another node that lives; "": none */
	int64_t since_us; /* wall; of the oldest worker here, else of the lease's last round */
};

enum err alive_look(const struct conf *conf, struct db *db, struct alive *ret) MUST_CHECK;
bool alive_any(const struct alive *a);
/* ERR_TASK, naming who, when something runs: before what must have the database to
 * itself. */
enum err alive_refuse(const struct conf *conf, struct db *db, struct errinfo *info) MUST_CHECK;

#endif
