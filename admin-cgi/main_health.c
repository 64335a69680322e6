/* SPDX-License-Identifier: MIT
 *
 * health.cgi: the program of one resource.
 */
#include "admin-cgi/admin.h"

int
main(void)
{
	static const struct route *const tables[] = {routes_health, NULL};

	return admin_main(tables);
}
