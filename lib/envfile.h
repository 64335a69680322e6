/* SPDX-License-Identifier: MIT
 *
 * Files of NAME=value lines (.env), as the tools of the field write them; parsed,
 * never sourced: nothing in a value is expanded or run.
 *
 *	# a comment		export NAME=value	NAME = value # a comment
 *	NAME='as it stands'	NAME="with \" \\ \n \r \t"
 */
#ifndef LIB_ENVFILE_H
#define LIB_ENVFILE_H

#include "lib/base.h"
#include "lib/err.h"

struct envfile;

/* ERR_NOT_FOUND: there is no such file. ERR_CONF: it cannot be read or used;
 * *info says why, with the line, never with a value. */
enum err envfile_read(const char *path, struct envfile **ret, struct errinfo *info) MUST_CHECK;
/* Wipes the values; NULL is fine. */
void envfile_free(struct envfile *f);

/* Borrowed; NULL when there is none; the last one when there are several. */
const char *envfile_get(const struct envfile *f, const char *name, int *ret_line);
/* The i-th name, in the order of the file; NULL past the end. */
const char *envfile_name(const struct envfile *f, size_t i);

#endif
