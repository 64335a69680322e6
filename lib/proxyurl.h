/* SPDX-License-Identifier: MIT
 *
 * Through which proxy a request goes up. libcurl is always told, both options, so
 * that it never looks into the environment by itself: under CGI a client's `Proxy`
 * header becomes HTTP_PROXY there.
 */
#ifndef LIB_PROXYURL_H
#define LIB_PROXYURL_H

#include "lib/conf.h"
#include "lib/snapshot.h"

struct proxy_choice {
	const char *url;    /* CURLOPT_PROXY; "" for none */
	const char *except; /* CURLOPT_NOPROXY; "" for nothing */
};

/* The group's proxy_url, for every host; else what the environment of the process's
 * start says for the scheme of `origin`, with its NO_PROXY. Text is conf's or in
 * `arena`. */
struct proxy_choice proxy_choose(const struct conf *conf, const struct options *opt,
				 struct str origin, struct arena *arena);

#endif
