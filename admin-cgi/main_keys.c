/* SPDX-License-Identifier: MIT
 *
 * keys.cgi: the program of one resource.
 */
#include "admin-cgi/admin.h"

int
main(void)
{
	static const struct route *const tables[] = {routes_keys, routes_key,    routes_bulk,
						     routes_find, routes_reveal, NULL};

	return admin_main(tables);
}
