#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Puts values of the environment into a configuration for a web server that takes none
# from there: nginx. Only these names, written ${NAME}, are replaced; the rest stays.
#
#	sh fill.sh <nginx.conf >filled.conf
#
# The values come from `gpt-load env`; see nginx.conf.
exec awk '
BEGIN {
	n = split("DATA_DIR PORT SERVER_READ_TIMEOUT SERVER_IDLE_TIMEOUT GPT_LOAD_BIND " \
		"GPT_LOAD_PAGE GPT_LOAD_ERRORS GPT_LOAD_MAX_REQUEST_BYTES GPT_LOAD_MAX_FDS " \
		"GPT_LOAD_WRITE_IDLE GPT_LOAD_SHUTDOWN_TIMEOUT", names, " ")
}
/^[ \t]*#/ { print; next }
{
	for (i = 1; i <= n; i++) {
		mark = "${" names[i] "}"
		while ((at = index($0, mark)) > 0) {
			if (ENVIRON[names[i]] == "" || ENVIRON[names[i]] ~ /["\\$;{}]/) {
				print "fill.sh: " names[i] ": no value that " \
					"a configuration can hold" >"/dev/stderr"
				exit 2
			}
			$0 = substr($0, 1, at - 1) ENVIRON[names[i]] substr($0, at + length(mark))
		}
	}
	print
}'
