/* SPDX-License-Identifier: MIT
 *
 * groups.cgi: groups and the members of aggregates.
 */
#include "admin-cgi/admin.h"

int
main(void)
{
	static const struct route *const tables[] = {routes_groups, routes_members, routes_upstream,
						     routes_reveal, NULL};

	return admin_main(tables);
}
