#!/bin/sh
# SPDX-License-Identifier: MIT
# The Node.js that package.json brings, which an npm older than it does not always put
# into the PATH of scripts; else the one that is there.
for node in node_modules/node-linux-*/bin/node; do
	[ -x "$node" ] && exec "$node" "$@"
done
exec node "$@"
