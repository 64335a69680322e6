/* SPDX-License-Identifier: MIT
 *
 * logs.cgi: the program of one resource.
 */
#include "admin-cgi/admin.h"

int
main(void)
{
	static const struct route *const tables[] = {routes_logs, NULL};

	return admin_main(tables);
}
