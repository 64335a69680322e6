/* SPDX-License-Identifier: MIT
 *
 * The choice of a proxy.
 */
#include "lib/proxyurl.h"
#include "lib/str.h"

struct proxy_choice
proxy_choose(const struct conf *conf, const struct options *opt, struct str origin,
	     struct arena *arena)
{
	const char *url;

	if (opt->proxy_url.n > 0)
		return (struct proxy_choice){
		    arena_strndup(arena, opt->proxy_url.p, opt->proxy_url.n), ""};
	url = str_starts(origin, "https:") ? conf->https_proxy : conf->http_proxy;
	if (url == NULL)
		return (struct proxy_choice){"", ""};
	return (struct proxy_choice){url, conf->no_proxy != NULL ? conf->no_proxy : ""};
}
