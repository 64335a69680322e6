/* SPDX-License-Identifier: MIT
 *
 * dashboard.cgi: the program of one resource.
 */
#include "admin-cgi/admin.h"

int
main(void)
{
	static const struct route *const tables[] = {routes_dashboard, NULL};

	return admin_main(tables);
}
