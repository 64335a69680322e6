/* SPDX-License-Identifier: MIT
 *
 * channels.cgi: the program of one resource.
 */
#include "admin-cgi/admin.h"

int
main(void)
{
	static const struct route *const tables[] = {routes_channels, NULL};

	return admin_main(tables);
}
