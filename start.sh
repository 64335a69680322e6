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
#
# `make install` puts a copy into libexec/gpt-load, named serve, which builds nothing
# and serves what is installed.
set -eu
# There: the folders of the command, the programs, and the page with conf-examples/.
installed=

die() {
	echo "start.sh: $*" >&2
	exit 1
}

[ $# -eq 0 ] || {
	sed -n '3,14s/^# \{0,1\}//p' "$0"
	[ "$1" = --help ] && exit 0
	exit 2
}
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
if [ -n "$installed" ]; then
	read -r bin programs data <<-END
		$installed
	END
	command=$bin/gpt-load responder_program=$programs/gpt-load.fcgi
	page=$data/static examples=$data/conf-examples
	# Messages name the folder that others must reach.
	root=$data
else
	root=$(cd "$(dirname "$0")" && pwd)
	cd "$root"
	build=$root/build
	command=$build/admin-cgi/gpt-load programs=$build/admin-cgi
	responder_program=$build/fcgi-app/gpt-load.fcgi
	page=$build/page examples=$root/conf-examples
fi

# --- packages and build ---

PACKAGES="build-essential autoconf automake pkg-config ca-certificates tzdata curl
	libfcgi-dev libcurl4-openssl-dev libjson-c-dev liblmdb-dev libhiredis-dev libevent-dev
	libsqlite3-dev libssl-dev zlib1g-dev uthash-dev
	libmariadb-dev libpq-dev libhiredis-dev"

install_packages() {
	command -v dpkg-query >/dev/null || return 0
	missing=
	for p; do
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
			sql static \( -path static/node_modules -o -path static/dist \) -prune -o \
			-newer "$build/built" -type f ! -name 'channel_list.*' ! -name '*.d.ts' \
			-print -quit)" ]
}

# npm comes with Debian's nodejs, or with one from elsewhere; a release has the page built.
needs_npm() {
	[ -e static/page/index.html ] || command -v npm >/dev/null || echo nodejs npm
}

build_all() {
	npm=$(needs_npm)
	# shellcheck disable=SC2086 # lists of names
	install_packages $PACKAGES $npm
	echo "building (once, a minute or two)"
	mkdir -p "$build" || die "$build cannot be written"
	{
		[ -e "$build/Makefile" ] || { { [ -e configure ] || ./autogen.sh; } && (cd "$build" && ../configure -q); }
		touch "$build/begun"
		make -s -C "$build" -j"$(nproc)" all &&
			make -s -C "$build" install-page DESTDIR= pagedir="$page"
	} >"$build/build.log" 2>&1 || {
		tail -n 20 "$build/build.log" >&2
		die "the build failed; all of it is in $build/build.log"
	}
	mv "$build/begun" "$build/built"
}

[ -n "$installed" ] || is_built || build_all
for p in curl setpriv; do
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

# --- the web server ---

# Its program and packages; the signal that lets running requests end; whether it
# starts api.fcgi by itself, and whether it runs `gpt-load log`.
conf=$examples/$WEB_SERVER.conf
starts_api=
logs_itself=
responders=$WORKERS
case $WEB_SERVER in
lighttpd) program=lighttpd packages=lighttpd graceful=INT starts_api=yes logs_itself=yes ;;
nginx) program=nginx packages=nginx-light graceful=QUIT ;;
apache-proxy) program=apache2 packages=apache2 graceful=WINCH logs_itself=yes ;;
apache-fcgid)
	program=apache2 packages="apache2 libapache2-mod-fcgid" graceful=WINCH
	# Apache starts the responder; the one worker of ours does the background work.
	starts_api=yes logs_itself=yes responders=1
	;;
caddy) program=caddy packages=caddy graceful=TERM conf=$examples/Caddyfile ;;
esac
has_server() {
	command -v "$program" >/dev/null &&
		{ [ "$WEB_SERVER" != apache-fcgid ] || [ -e /usr/lib/apache2/modules/mod_fcgid.so ]; }
}
# shellcheck disable=SC2086 # a list of names
has_server || install_packages $packages
has_server || die "WEB_SERVER=$WEB_SERVER: not installed; its Debian packages: $packages"

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
if [ "$program" = apache2 ] && [ "$(id -u)" -eq 0 ] && [ "$as_user" = "$as_root" ]; then
	die "WEB_SERVER=$WEB_SERVER: Apache does not serve as root; make this folder, .env and" \
		"DATA_DIR reachable by the owner of DATA_DIR, who may not be root"
fi
$as_user "$command" prepare --wait </dev/null || exit $?
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

# What the files of conf-examples/ take from the environment.
set -a
eval "$settings"
set +a
export GPT_LOAD_PROGRAMS="$programs"
export GPT_LOAD_RESPONDER="$responder_program"
export GPT_LOAD_PAGE="$page"
export GPT_LOAD_ERRORS="$examples/errors"
export GPT_LOAD_COMMAND="$command"
# lighttpd gives it /dev/null for everything else; 9 is our stderr.
# shellcheck disable=SC2016 # lighttpd's shell expands it
export GPT_LOAD_LOGGER='exec "$GPT_LOAD_COMMAND" log lighttpd 2>&9'

responder=
api=
web=
stopping=
# The web server first: it takes no more requests and lets those it has end; the
# programs behind it drain at the same time.
stop() {
	stopping=yes
	[ -z "$web" ] || kill -s "$graceful" "$web" 2>/dev/null || :
	for pid in $responder $api; do
		kill -TERM "$pid" 2>/dev/null || :
	done
}
trap stop TERM INT HUP

# Each in a session of its own: Ctrl-C comes here only, and what the web server started
# can be told to end as well if the web server itself was killed.
in_session() {
	# shellcheck disable=SC2086 # words of a command
	exec setsid $as_user "$@"
}

serve_behind() {
	in_session "$GPT_LOAD_RESPONDER" --listen "$DATA_DIR/run/responder.sock" \
		--workers "$responders" </dev/null &
	responder=$!
	[ -z "$starts_api" ] || return 0
	in_session "$GPT_LOAD_RESPONDER" --listen "$DATA_DIR/run/api.sock" --workers 2 \
		--run "$GPT_LOAD_PROGRAMS/api.fcgi" </dev/null &
	api=$!
}

# mod_fcgid gives its programs only what the file names: what there is here is
# defined by name, and the file's quotes are minded.
run_apache() {
	defines=
	names=$(sed -n 's/^Use Pass //p' "$conf")
	for name in $names; do
		eval "[ -n \"\${$name+set}\" ]" || continue
		defines="$defines -D $name"
		eval "value=\$$name"
		case $value in
		*[\\\"]*)
			value=$(printf '%s\n' "$value" | sed 's/[\\"]/\\&/g')
			export "$name=$value"
			;;
		esac
	done
	# shellcheck disable=SC2086
	in_session apache2 -D FOREGROUND $defines -f "$conf"
}

run_web() {
	case $WEB_SERVER in
	lighttpd) in_session lighttpd -D -f "$conf" ;;
	apache-*) run_apache ;;
	caddy)
		export XDG_DATA_HOME="$DATA_DIR/caddy" XDG_CONFIG_HOME="$DATA_DIR/caddy"
		in_session caddy run --adapter caddyfile --config "$conf"
		;;
	nginx)
		# Started by root, its workers would else be nobody.
		user=
		[ "$(id -u)" -ne 0 ] || [ "$as_user" != "$as_root" ] || user="user root;"
		in_session nginx -e stderr -g "$user" -c "$DATA_DIR/run/nginx.conf"
		;;
	esac
}

serve_web() {
	if [ "$WEB_SERVER" = nginx ]; then
		# shellcheck disable=SC2086,SC2016 # the inner shell expands it
		sh "$examples/fill.sh" <"$conf" |
			$as_user sh -c 'cat >"$DATA_DIR/run/nginx.conf"'
	fi
	if [ -n "$logs_itself" ]; then
		run_web </dev/null 9>&2 &
		web=$!
		return
	fi
	fifo=$DATA_DIR/run/log.fifo
	# shellcheck disable=SC2086
	$as_user rm -f "$fifo"
	# shellcheck disable=SC2086
	$as_user mkfifo -m 600 "$fifo"
	# It ends with the web server, which is what has the other end.
	in_session "$command" log "$WEB_SERVER" <"$fifo" &
	logger=$!
	run_web </dev/null >"$fifo" 2>&1 &
	web=$!
}

logger=
serve_behind
serve_web

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
	for pid in $responder $api $web; do
		kill -0 "$pid" 2>/dev/null || return 1
	done
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

# Until told to stop, or one of them ends by itself.
nap=
while [ -z "$stopping" ] && alive; do
	sleep 1 &
	nap=$!
	wait $nap || :
done
[ -z "$nap" ] || kill "$nap" 2>/dev/null || :
rc=0
if [ -z "$stopping" ]; then
	who=$WEB_SERVER
	[ -z "$api" ] || kill -0 "$api" 2>/dev/null || who="the management API"
	kill -0 "$responder" 2>/dev/null || who="the responder"
	echo "start.sh: $who ended unexpectedly; stopping" >&2
	rc=1
	stop
fi
for pid in $web $responder $api $logger; do
	while kill -0 "$pid" 2>/dev/null; do wait "$pid" || :; done
done
for session in $web $responder $api; do
	kill -s TERM -- "-$session" 2>/dev/null || :
done
exit $rc
