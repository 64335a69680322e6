/* SPDX-License-Identifier: MIT
 *
 * metrics.cgi: the program of one resource.
 */
#include "admin-cgi/admin.h"

int
main(void)
{
	static const struct route *const tables[] = {routes_metrics, NULL};

	return admin_main(tables);
}
