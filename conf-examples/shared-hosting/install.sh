#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Lays GPT-Load into a folder that a web server of shared hosting serves, or takes it
# out again: what `make install-htaccess` and `make uninstall-htaccess` run.
#
#	install.sh add DIR HANDLER	HANDLER is cgi or fcgid
#	install.sh remove DIR
#
# Where things were installed comes from the environment: BINDIR, LIBEXECDIR, DATADIR,
# CONFIG (the file), and TEMPLATE, the .htaccess to be.
set -eu
# The web server's user reads what is laid there. suEXEC runs a program only if it and its
# folder are the user's and the user's first group's, and nobody else may write to them.
umask 022
own() {
	chgrp "$(id -g)" "$1" && chmod 755 "$1"
}

die() {
	echo "install-htaccess: $*" >&2
	exit 2
}

mark='GPT-Load in a folder of shared hosting'
is_ours() {
	[ -f "$dir/.htaccess" ] && grep -q "$mark" "$dir/.htaccess"
}

take_out() {
	is_ours || return 0
	rm -f "$dir/.htaccess"
	(cd "$DATADIR/static" && find . -type f) | while read -r file; do
		rm -f "$dir/$file"
	done
	rm -rf "$dir/assets"
	rm -f "$dir/gpt-load.cgi" "$dir/gpt-load.fcgi" "$dir/api.cgi" "$dir/api.fcgi"
}

# What an earlier version or another HANDLER has left.
take_old_out() {
	[ ! -d "$dir/assets" ] || (cd "$dir" && find assets -type f) | while read -r file; do
		[ -e "$DATADIR/static/$file" ] || rm -f "$dir/$file"
	done
	for name in gpt-load api; do
		rm -f "$dir/$name.$1"
	done
}

# put_program NAME PROGRAM: a file of its own, since suEXEC runs no links, and nothing
# that is outside of the server's folders. In one move: requests may come meanwhile.
put_program() {
	cat >"$dir/.$1.new" <<-END
		#!/bin/sh
		GPT_LOAD_CONFIG='$CONFIG' GPT_LOAD_IN_FOLDER=yes
		export GPT_LOAD_CONFIG GPT_LOAD_IN_FOLDER
		exec '$LIBEXECDIR/$2'
	END
	own "$dir/.$1.new"
	mv "$dir/.$1.new" "$dir/$1"
}

[ -n "${2:-}" ] || die "say where: make install-htaccess DIR=\$HOME/public_html/ai"
case $2 in *[\'\"]*) die "$2: no quotes in the name, please" ;; esac
case $1 in
add) mkdir -p "$2" && own "$2" ;;
remove) [ -d "$2" ] || exit 0 ;;
*) die "add or remove" ;;
esac
dir=$(cd "$2" && pwd -P)

if [ "$1" = remove ]; then
	take_out
	rmdir "$dir" 2>/dev/null || :
	exit 0
fi

case ${3:-cgi} in
cgi) handler=cgi-script suffix=cgi other=fcgi ;;
fcgid) handler=fcgid-script suffix=fcgi other=cgi ;;
*) die "HANDLER=$3: it is cgi or fcgid" ;;
esac
[ -x "$LIBEXECDIR/gpt-load.fcgi" ] || die "run make install first"
[ ! -e "$dir/.htaccess" ] || is_ours ||
	die "$dir/.htaccess is somebody else's; choose a folder of its own"
data=$(GPT_LOAD_CONFIG=$CONFIG "$BINDIR/gpt-load" env | sed -n "s/^DATA_DIR='\(.*\)'\$/\1/p")
for place in "$CONFIG" "$data" "$BINDIR" "$LIBEXECDIR"; do
	case $place/ in
	"$dir"/*) die "$place is inside of $dir, where the web server would serve it" ;;
	esac
done
# All customers of a host may be one group, and a password may be in it.
chmod go= "$CONFIG"
GPT_LOAD_CONFIG=$CONFIG "$BINDIR/gpt-load" prepare

# In an order in which it serves all the time when it has served before.
cp -R "$DATADIR/static/assets" "$DATADIR/static/favicon.svg" "$DATADIR/static/licenses.txt" "$dir"
# Below a site's root the page finds its parts from where it is.
sed 's|="/|="./|g' "$DATADIR/static/index.html" >"$dir/.index.new"
mv "$dir/.index.new" "$dir/index.html"
put_program "gpt-load.$suffix" gpt-load.fcgi
put_program "api.$suffix" api.fcgi
sed -e "s/@HANDLER@/$handler/; s/@SUFFIX@/$suffix/g" "$TEMPLATE" >"$dir/.htaccess.new"
mv "$dir/.htaccess.new" "$dir/.htaccess"
take_old_out "$other"

cat <<END
$dir is ready. For the background work, let cron do this every minute:

* * * * * GPT_LOAD_CONFIG='$CONFIG' '$BINDIR/gpt-load' jobs --once
END
