/* SPDX-License-Identifier: MIT
 *
 * version.cgi: the program of one resource.
 */
#include "admin-cgi/admin.h"

int
main(void)
{
	static const struct route *const tables[] = {routes_version, NULL};

	return admin_main(tables);
}
