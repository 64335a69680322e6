/* SPDX-License-Identifier: MIT
 *
 * integration.cgi: the program of one resource.
 */
#include "admin-cgi/admin.h"

int
main(void)
{
	static const struct route *const tables[] = {routes_integration, NULL};

	return admin_main(tables);
}
