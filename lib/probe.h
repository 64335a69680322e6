/* SPDX-License-Identifier: MIT
 *
 * One validation request: a minimal call of the vendor's API with one key, built
 * like what the responder sends (same channel, header rules, proxy, certificates).
 * Whoever performs it (an easy call, a multi handle) judges the answer here.
 */
#ifndef LIB_PROBE_H
#define LIB_PROBE_H

#include "lib/arena.h"
#include "lib/buf.h"
#include "lib/conf.h"
#include "lib/snapshot.h"

#include <curl/curl.h>

struct probe {
	CURL *easy;
	struct curl_slist *headers;
	struct arena arena; /* of everything the request is made of */
	const struct channel *channel;
	struct str key;    /* in clear; in the arena */
	struct buf answer; /* its first LIMIT_ERROR_BODY bytes */
	char curl_error[CURL_ERROR_SIZE];
};

/* conf and g are borrowed until probe_done(); u is one of g's upstreams, g has a
 * channel. The address of *p must not change. ERR_CONF: the group's header rules
 * cannot be applied. */
enum err probe_init(struct probe *p, const struct conf *conf, const struct group *g,
		    const struct upstream *u, struct str key, struct errinfo *info) MUST_CHECK;
void probe_done(struct probe *p);

struct probe_answer {
	bool ok;         /* 2xx */
	bool blames_key; /* as the responder judges it */
	int status;      /* 0: no answer */
	struct buf why;  /* not ok: for people, without the key; to be freed */
};
void probe_judge(struct probe *p, CURLcode code, struct probe_answer *ret);

#endif
