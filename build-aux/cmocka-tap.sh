#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs a test program. A test that skips itself (the machine has no Redis, say) is "not
# ok" to cmocka 1.1.5, which the TAP driver would count as a failure.
{
	status=$( { { "$@" 3>&-; echo $? >&3; } 4>&- |
		sed 's/^not ok \([0-9]* # SKIP\)/ok \1/' >&4; } 3>&1)
} 4>&1
exit "$status"
