/* SPDX-License-Identifier: MIT
 *
 * auth.cgi: the program of one resource.
 */
#include "admin-cgi/admin.h"

int
main(void)
{
	static const struct route *const tables[] = {routes_auth, NULL};

	return admin_main(tables);
}
