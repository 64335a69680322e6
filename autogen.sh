#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Makes ./configure from a checkout. Needs autoconf, automake and pkg-config.
#
# It also lists the vendors: every lib/channel_NAME.c is a channel, so that one is
# added by adding its file and running this script again.
set -eu
cd "$(dirname "$0")"

names=$(for f in lib/channel_*.c; do basename "$f" .c | sed 's/^channel_//'; done | LC_ALL=C sort)
{
	echo '/* Made by autogen.sh from the files lib/channel_*.c: do not edit. */'
	for n in $names; do echo "X($n)"; done
} >lib/channel_list.h
{
	echo '# Made by autogen.sh from the files lib/channel_*.c: do not edit.'
	echo 'CHANNEL_SOURCES = \'
	for n in $names; do echo "	lib/channel_$n.c \\"; done
	echo '	lib/channel_list.h'
} >lib/channel_list.mk

autoreconf -fi
