/* SPDX-License-Identifier: MIT
 *
 * keytest.cgi: the program of one resource.
 */
#include "admin-cgi/admin.h"

int
main(void)
{
	static const struct route *const tables[] = {routes_keytest, NULL};

	return admin_main(tables);
}
