/* SPDX-License-Identifier: MIT
 *
 * A setting as the API shows it: for the settings page and for the choice of
 * overrides in a group's form.
 */
#ifndef ADMIN_SETTING_OUT_H
#define ADMIN_SETTING_OUT_H

#include "admin-cgi/admin.h"
#include "lib/setting.h"

/* Members key, name, description, type and bounds of the open object. */
void out_setting(struct req *req, struct buf *b, enum setting id);
/* Its value, typed, as the member `name`. */
void out_setting_value(struct buf *b, const char *name, enum setting id, union setting_value value);

#endif
