/* SPDX-License-Identifier: MIT
 *
 * A group's header rules: headers set or removed on the way up, after the key was
 * put in, so that a rule may replace even that. The responder and key validation
 * apply the same.
 */
#ifndef LIB_HEADERRULE_H
#define LIB_HEADERRULE_H

#include "lib/header.h"
#include "lib/snapshot.h"

/* What ${NAME} in a rule's value stands for. */
struct rule_vars {
	struct str client_ip;  /* ${CLIENT_IP} */
	struct str group_name; /* ${GROUP_NAME}: of the effective group */
	struct str api_key;    /* ${API_KEY}, in clear */
	int64_t now_ms;        /* ${TIMESTAMP_MS}, ${TIMESTAMP_S} */
};

/* Values are put together in `arena`. Each placeholder is replaced once, what it
 * brings in is not looked into again, and unknown ones stay as they are. Rules for
 * fields that are the transfer's own (Host, Content-Length, hop-by-hop) have no
 * effect. ERR_CONF: a rule's name is no header name, or its value would hold a
 * control character; headers are then partly changed. */
enum err header_rules_apply(const struct group *g, struct headers *h, const struct rule_vars *vars,
			    struct arena *arena, struct errinfo *info) MUST_CHECK;

#endif
