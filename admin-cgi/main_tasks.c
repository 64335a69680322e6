/* SPDX-License-Identifier: MIT
 *
 * tasks.cgi: the program of one resource.
 */
#include "admin-cgi/admin.h"

int
main(void)
{
	static const struct route *const tables[] = {routes_tasks, routes_preview, NULL};

	return admin_main(tables);
}
