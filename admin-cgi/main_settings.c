/* SPDX-License-Identifier: MIT
 *
 * settings.cgi: the program of one resource.
 */
#include "admin-cgi/admin.h"

int
main(void)
{
	static const struct route *const tables[] = {routes_settings, routes_reveal, NULL};

	return admin_main(tables);
}
