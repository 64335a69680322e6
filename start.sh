#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Builds what is missing and serves GPT-Load on one port, in the foreground:
#
#	./start.sh
#
# As root it installs the Debian packages it needs, and serves as the user
# "gpt-load", which it makes. Configuration: the environment, or .env beside this
# file (see .env.example). SIGTERM or Ctrl-C stops everything, streams drained.
#
# Later starts find all that done by the stamp in build/, and take under 2 s.
set -eu

die() {
	echo "start.sh: $*" >&2
	exit 1
}

[ $# -eq 0 ] || {
	sed -n '3,11s/^# \{0,1\}//p' "$0"
	[ "$1" = --help ] && exit 0
	exit 2
}
root=$(cd "$(dirname "$0")" && pwd)
cd "$root"
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
build=$root/build
command=$build/admin-cgi/gpt-load
page=$build/page

# --- packages and build ---

PACKAGES="build-essential autoconf automake pkg-config ca-certificates tzdata curl lighttpd
	libfcgi-dev libcurl4-openssl-dev libjson-c-dev liblmdb-dev libevent-dev
	libsqlite3-dev libssl-dev zlib1g-dev uthash-dev
	libmariadb-dev"

install_packages() {
	command -v dpkg-query >/dev/null || return 0
	missing=
	for p in $PACKAGES; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' ||
			missing="$missing $p"
	done
	[ -n "$missing" ] || return 0
	[ "$(id -u)" -eq 0 ] ||
		die "these packages are missing, install them first:$missing"
	echo "installing:$missing"
	# Debian starts a server when it installs it; this one is started here.
	policy=/usr/sbin/policy-rc.d
	made_policy=
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' >$policy
		chmod 755 $policy
		made_policy=yes
	fi
	export DEBIAN_FRONTEND=noninteractive
	ok=
	# shellcheck disable=SC2086 # a list of names
	if apt-get update -qq &&
		apt-get install -y -qq --no-install-recommends $missing >/dev/null; then
		ok=yes
	fi
	[ -z "$made_policy" ] || rm -f $policy
	[ -n "$ok" ] || die "the packages could not be installed:$missing"
}

# Is everything built, and nothing that it is made of newer.
is_built() {
	[ -e "$build/built" ] && [ -x "$command" ] &&
		[ -z "$(find start.sh autogen.sh configure.ac Makefile.am lib fcgi-app admin-cgi \
			sql static -newer "$build/built" -type f ! -name 'channel_list.*' \
			-print -quit)" ]
}

build_all() {
	install_packages
	echo "building (once, a minute or two)"
	mkdir -p "$build" || die "$build cannot be written"
	{
		[ -e "$build/Makefile" ] || { ./autogen.sh && (cd "$build" && ../configure -q); }
		touch "$build/begun"
		make -s -C "$build" -j"$(nproc)" all &&
			make -s -C "$build" install-dist_pageDATA DESTDIR= pagedir="$page"
	} >"$build/build.log" 2>&1 || {
		tail -n 20 "$build/build.log" >&2
		die "the build failed; all of it is in $build/build.log"
	}
	mv "$build/begun" "$build/built"
}

is_built || build_all
for p in lighttpd curl setpriv; do
	command -v "$p" >/dev/null || install_packages
	command -v "$p" >/dev/null || die "$p is not installed"
done

# --- who serves ---

# Put before a command: it ends with this script, however this script ends. Root
# serves as a user of its own, which owns DATA_DIR; where that user cannot come, as
# root, and says so. The one capability left is for a port below 1024.
as_root="setpriv --pdeathsig TERM --"
as_user=$as_root
set_user() {
	groups=--init-groups
	id "$1" >/dev/null 2>&1 || groups=--clear-groups
	as_user="setpriv --reuid $1 --regid $2 $groups --bounding-set -all,+net_bind_service
		--inh-caps -all,+net_bind_service --ambient-caps -all,+net_bind_service
		--pdeathsig TERM --"
}

can_serve() {
	for p in "$command" "$page/index.html" ${GPT_LOAD_CONFIG:+"$GPT_LOAD_CONFIG"}; do
		$as_user test -r "$p" || return 1
	done
	[ ! -e .env ] || $as_user test -r .env || return 1
	$as_user test -w "$DATA_DIR"
}

settings=$("$command" env) || exit 2
eval "$settings"
[ "$WEB_SERVER" = lighttpd ] ||
	die "WEB_SERVER=$WEB_SERVER: this version comes with lighttpd only"

take_user() {
	[ "$(id -u)" -eq 0 ] || return 0
	id gpt-load >/dev/null 2>&1 ||
		useradd --system --user-group --no-create-home --home-dir /nonexistent \
			--shell /usr/sbin/nologin gpt-load || die "the user gpt-load cannot be made"
	mkdir -p "$DATA_DIR" || die "DATA_DIR: $DATA_DIR cannot be made"
	fresh=
	if [ -z "$(ls -A "$DATA_DIR")" ] && [ "$(stat -c %u "$DATA_DIR")" -eq 0 ]; then
		fresh=yes
		chown gpt-load:gpt-load "$DATA_DIR"
		chmod 700 "$DATA_DIR"
	fi
	owner=$(stat -c '%u %g' "$DATA_DIR")
	[ "${owner% *}" -ne 0 ] || return 0
	set_user "${owner% *}" "${owner#* }"
	can_serve && return 0
	echo "start.sh: warning: the user $(stat -c %U "$DATA_DIR") cannot reach $root," \
		"its .env or DATA_DIR; serving as root" >&2
	as_user=$as_root
	[ -z "$fresh" ] || chown root:root "$DATA_DIR"
}

take_user
$as_user "$command" prepare </dev/null || exit $?
# Again: there is a database now, whose settings some values follow.
settings=$($as_user "$command" env) || exit 2
eval "$settings"

# --- serving ---

port_is_taken() {
	awk -v p="$(printf ':%04X' "$PORT")" \
		'$4 == "0A" && substr($2, length($2) - 4) == p { found = 1 } END { exit !found }' \
		/proc/net/tcp /proc/net/tcp6 2>/dev/null
}
if port_is_taken; then
	die "PORT: something listens on port $PORT already"
fi

# What conf-examples/lighttpd.conf takes from the environment.
set -a
eval "$settings"
set +a
export GPT_LOAD_PROGRAMS="$build/admin-cgi"
export GPT_LOAD_PAGE="$page"
export GPT_LOAD_ERRORS="$root/conf-examples/errors"
export GPT_LOAD_COMMAND="$command"
# lighttpd gives it /dev/null for everything else; 9 is our stderr.
# shellcheck disable=SC2016 # lighttpd's shell expands it
export GPT_LOAD_LOGGER='exec "$GPT_LOAD_COMMAND" log lighttpd 2>&9'

responder=
web=
stopping=
# The web server first: it takes no more requests and lets those it has end; the
# responder drains at the same time.
stop() {
	stopping=yes
	[ -z "$web" ] || kill -INT "$web" 2>/dev/null || :
	[ -z "$responder" ] || kill -TERM "$responder" 2>/dev/null || :
}
trap stop TERM INT HUP

# Each in a session of its own: Ctrl-C comes here only, and what lighttpd started can
# be told to end as well if lighttpd itself was killed.
# shellcheck disable=SC2086 # words of a command
setsid $as_user "$build/fcgi-app/gpt-load.fcgi" --listen "$DATA_DIR/run/responder.sock" \
	--workers "$WORKERS" </dev/null &
responder=$!
# shellcheck disable=SC2086
setsid $as_user lighttpd -D -f "$root/conf-examples/lighttpd.conf" </dev/null 9>&2 &
web=$!

case $HOST in
0.0.0.0) address=127.0.0.1 shown=localhost ;;
::) address="[::1]" shown=localhost ;;
*:*) address="[$HOST]" shown="[$HOST]" ;;
*) address=$HOST shown=$HOST ;;
esac
serves() {
	[ "$(curl -s -g -o /dev/null -w '%{http_code}' --noproxy '*' --max-time 5 \
		"http://$address:$PORT/health")" = 200 ]
}
alive() {
	kill -0 "$responder" 2>/dev/null && kill -0 "$web" 2>/dev/null
}
tries=0
while [ -z "$stopping" ] && alive && ! serves; do
	tries=$((tries + 1))
	[ $tries -lt 600 ] || die "GET /health does not answer 200; see the lines above"
	sleep 0.05
done
if [ -z "$stopping" ] && alive; then
	echo "ready: http://$shown:$PORT"
fi

# Until told to stop, or one of the two ends by itself.
nap=
while [ -z "$stopping" ] && alive; do
	sleep 1 &
	nap=$!
	wait $nap || :
done
[ -z "$nap" ] || kill "$nap" 2>/dev/null || :
rc=0
if [ -z "$stopping" ]; then
	echo "start.sh: $(kill -0 "$web" 2>/dev/null && echo the responder || echo lighttpd)" \
		"ended unexpectedly; stopping" >&2
	rc=1
	stop
fi
while kill -0 "$web" 2>/dev/null; do wait "$web" || :; done
while kill -0 "$responder" 2>/dev/null; do wait "$responder" || :; done
for session in $web $responder; do
	kill -s TERM -- "-$session" 2>/dev/null || :
done
exit $rc
