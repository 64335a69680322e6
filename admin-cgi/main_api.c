/* SPDX-License-Identifier: MIT
 *
 * api.fcgi: every resource in one program, for servers that have no CGI and for
 * those that had better keep one process. A new resource is added here and gets a
 * main_NAME.c of its own.
 */
#include "admin-cgi/admin.h"

int
main(void)
{
	static const struct route *const tables[] = {
	    routes_auth,    routes_channels,    routes_groups,
	    routes_health,  routes_integration, routes_keys,
	    routes_key,     routes_logs,        routes_members,
	    routes_metrics, routes_settings,    routes_version,
	    routes_keytest, routes_tasks,       routes_dashboard,
	    routes_bulk,    routes_find,        routes_preview,
	    routes_reveal,  routes_upstream,    NULL,
	};

	return admin_main(tables);
}
