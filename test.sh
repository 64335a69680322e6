#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Every test there is, built with the sanitizers:
#
#	./test.sh            all, in at most 20 minutes on 2 cores
#	./test.sh NAME…      a part: "unit", "lint", "page" (in Chromium), "servers" (one
#	                     table of cases behind every web server), or what pytest -k
#	                     understands
#	./test.sh scale      the large ones: a million keys, 8,000 streams
#
# As root it installs the Debian packages it needs. The build is in build-test/, one
# without sanitizers for what "scale" measures in build-release/, the Python packages are in
# tests/.venv, the Node.js ones in tests/program/sdk. The last line says how many passed,
# failed and were skipped.
set -uo pipefail
cd "$(dirname "$0")" || exit 1

# Root's tests run servers as other users, who must be able to come here. Where they
# cannot (a clone below a folder of root's own), a copy that they can reach is tested.
if [ "$(id -u)" -eq 0 ] &&
	! setpriv --reuid 65534 --regid 65534 --clear-groups test -r "$PWD/test.sh"; then
	copy=$(mktemp -d /tmp/gpt-load-tree.XXXXXX) || exit 1
	trap 'rm -rf "$copy"' EXIT
	chmod 755 "$copy"
	cp -a . "$copy/tree" || exit 1
	chmod 755 "$copy/tree"
	echo "testing a copy in $copy/tree, which other users can reach"
	"$copy/tree/test.sh" "$@"
	exit $?
fi

BUILD=build-test
RELEASE=build-release
VENV=tests/.venv
SDK=tests/program/sdk
JOBS=$(nproc)
STACKS=(sqlite mariadb pgsql)
export GPT_LOAD_BUILD=$PWD/$BUILD
# Not the user's own settings: pip and npm find their registries in theirs.
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1

passed=0 failed=0 skipped=0

say() {
	printf '\n== %s\n' "$*"
}

die() {
	printf 'test.sh: %s\n' "$*" >&2
	printf '%d passed, %d failed, %d skipped\n' "$passed" $((failed + 1)) "$skipped"
	exit 1
}

# --- what the tests need ---

PACKAGES=(
	build-essential autoconf automake pkg-config
	libfcgi-dev libcurl4-openssl-dev libjson-c-dev liblmdb-dev libevent-dev libsqlite3-dev
	libhiredis-dev redis-server libssl-dev zlib1g-dev libcmocka-dev uthash-dev
	libmariadb-dev mariadb-server libpq-dev postgresql
	lighttpd lighttpd-mod-openssl nginx-light apache2 libapache2-mod-fcgid
	apache2-suexec-pristine caddy
	curl ca-certificates openssl sqlite3 procps chromium
	docker-compose python3 python3-venv systemd logrotate debootstrap
	shellcheck clang-format cppcheck mandoc
)

# npm comes with Debian's nodejs, or with one from elsewhere that has it built in.
install_packages() {
	local missing=()
	for p in "${PACKAGES[@]}"; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' ||
			missing+=("$p")
	done
	command -v npm >/dev/null || missing+=(nodejs npm)
	[ ${#missing[@]} -eq 0 ] && return
	[ "$(id -u)" -eq 0 ] || die "these packages are missing: ${missing[*]}"
	say "installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	# Debian starts a server as it installs it; the tests start their own.
	local policy=/usr/sbin/policy-rc.d own_policy=
	if [ ! -e $policy ]; then
		printf '#!/bin/sh\nexit 101\n' >$policy && chmod 755 $policy && own_policy=yes
	fi
	apt-get update -qq && apt-get install -y -qq --no-install-recommends "${missing[@]}"
	local status=$?
	[ -z "$own_policy" ] || rm -f $policy
	[ $status -eq 0 ] || die "the packages could not be installed"
}

# Runs "$@" unless it has been run for these very files: $1 is the mark.
once_for() {
	local mark=$1 sum
	shift
	local files=()
	while [ "$1" != -- ]; do
		files+=("$1")
		shift
	done
	shift
	sum=$(sha256sum "${files[@]}")
	[ "$(cat "$mark" 2>/dev/null)" = "$sum" ] && return
	"$@" && printf '%s\n' "$sum" >"$mark"
}

make_venv() {
	python3 -m venv --clear $VENV && $VENV/bin/pip install -q -r tests/requirements.txt
}

install_python() {
	once_for $VENV/installed tests/requirements.txt -- make_venv ||
		die "the Python packages could not be installed"
}

install_node() {
	once_for $SDK/node_modules/installed $SDK/package-lock.json -- \
		npm ci --prefix $SDK --ignore-scripts --no-audit --no-fund --loglevel=error ||
		die "the Node.js packages could not be installed"
}

# --- the build ---

configure_build() {
	./autogen.sh && mkdir -p $BUILD &&
		(cd $BUILD && ../configure -q --enable-werror --enable-sanitizers CFLAGS=-O1)
}

build() {
	say "building"
	once_for $BUILD/configured autogen.sh configure.ac Makefile.am ./*/local.mk lib/channel_*.c \
		-- configure_build || die "configure failed"
	# Two calls: `all` makes what is generated in a make of its own, and two makes at
	# once would write the same library.
	make -s -C $BUILD -j"$JOBS" all || die "the build failed"
	make -s -C $BUILD -j"$JOBS" tests/bench/streams tests/bench/sse_server ||
		die "the build failed"
}

# Without sanitizers, for what measures how long something takes.
build_release() {
	say "building without sanitizers"
	mkdir -p $RELEASE &&
		(cd $RELEASE && ../configure -q --enable-werror --without-page) &&
		make -s -C $RELEASE -j"$JOBS" all &&
		make -s -C $RELEASE tests/bench/rate || die "the build failed"
}

# --- the parts ---

# Counts of the .trs files that automake's TAP driver leaves.
run_unit() {
	say "unit tests"
	rm -f $BUILD/tests/unit/*.trs $BUILD/tests/fuzz/*.trs
	make -s -C $BUILD -j"$JOBS" check
	local status=$? results p f s
	results=$(cat $BUILD/tests/unit/*.trs $BUILD/tests/fuzz/*.trs 2>/dev/null)
	p=$(grep -c '^:test-result: PASS' <<<"$results")
	f=$(grep -cE '^:test-result: (FAIL|ERROR|XPASS)' <<<"$results")
	s=$(grep -c '^:test-result: SKIP' <<<"$results")
	# A check that failed without a result of its own still failed.
	[ $status -eq 0 ] || [ "$f" -gt 0 ] || f=1
	printf 'unit tests: %d passed, %d failed, %d skipped\n' "$p" "$f" "$s"
	count "$p" "$f" "$s"
}

run_lint() {
	say "lint"
	if make -s -C $BUILD lint; then
		count 1 0 0
	else
		count 0 1 0
	fi
}

count() {
	passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
}

# run_pytest REPORT ARGUMENTS…
run_pytest() {
	local report=$BUILD/$1.xml
	shift
	rm -f "$report"
	$VENV/bin/python -m pytest -q -c tests/pytest.ini --junitxml="$report" "$@"
}

# count_pytest REPORT STATUS: from the JUnit file of a run that ended so.
count_pytest() {
	local n
	# 5: nothing is selected, which is fine for a part.
	[ "$2" -eq 5 ] && return
	n=$($VENV/bin/python - "$BUILD/$1.xml" <<-'PY'
		import sys, xml.etree.ElementTree as xml
		try:
		    suite = xml.parse(sys.argv[1]).find("testsuite").attrib
		except (OSError, xml.ParseError):
		    suite = {"tests": 1, "failures": 1, "errors": 0, "skipped": 0}
		bad = int(suite["failures"]) + int(suite["errors"])
		print(max(int(suite["tests"]) - bad - int(suite["skipped"]), 0), bad, suite["skipped"])
	PY
	)
	local p f s
	read -r p f s <<<"$n"
	[ "$2" -eq 0 ] || [ "$f" -gt 0 ] || f=1
	printf '%s: %d passed, %d failed, %d skipped\n' "$1" "$p" "$f" "$s"
	count "$p" "$f" "$s"
}

# start_slow STACK PORT ARGUMENTS…: those of one stack, in the background.
start_slow() {
	local stack=$1 port=$2
	shift 2
	GPT_LOAD_TEST_STACK=$stack GPT_LOAD_TEST_PORTS=$port run_pytest "$stack-slow" -n 3 \
		-m 'slow and not scale' tests/program "$@" >"$BUILD/$stack-slow.out" 2>&1 &
	slow_pids[$stack]=$!
}

# On each stack (tests/lib/stacks.py). The slow ones wait for minutes, so all of them at
# once and beside the others; these in more processes than cores, since they wait as
# well; what measures time runs alone, at the end.
run_program() {
	local stack part port=24000
	local -A slow_pids status
	for stack in "${STACKS[@]}"; do
		start_slow "$stack" $port "$@"
		port=$((port + 1000))
	done
	for stack in "${STACKS[@]}"; do
		say "program tests, $stack"
		GPT_LOAD_TEST_STACK=$stack run_pytest "$stack" -n $((2 * JOBS)) --dist worksteal \
			-m 'not slow and not serial and not scale' tests/program "$@"
		status[$stack]=$?
	done
	for stack in "${STACKS[@]}"; do
		wait "${slow_pids[$stack]}"
		status[$stack-slow]=$?
		say "program tests that wait, $stack"
		cat "$BUILD/$stack-slow.out"
	done
	for stack in "${STACKS[@]}"; do
		say "program tests that run alone, $stack"
		GPT_LOAD_TEST_STACK=$stack run_pytest "$stack-alone" -m 'serial and not scale' \
			tests/program "$@"
		status[$stack-alone]=$?
	done
	say "counts"
	for stack in "${STACKS[@]}"; do
		for part in "$stack" "$stack-slow" "$stack-alone"; do
			count_pytest "$part" "${status[$part]}"
		done
	done
}

# All cases of one web server in one process, so that its stack is started once.
run_servers() {
	say "web servers"
	run_pytest servers -n $((2 * JOBS)) --dist loadgroup -m 'not serial' tests/servers
	count_pytest servers $?
	run_pytest servers-alone -m serial tests/servers
	count_pytest servers-alone $?
}

# The page in Chromium, in front of the real stack.
run_page() {
	say "the page"
	(cd "$BUILD/static/work" && npm test --silent) && count 1 0 0 || count 0 1 0
	(cd "$BUILD/static/work" && npm run --silent typecheck) && count 1 0 0 || count 0 1 0
	run_pytest page -n $((JOBS + 1)) --dist worksteal -m 'not scale' tests/page
	count_pytest page $?
}

# --- the whole ---

# Two descriptors a stream, in the web server and in the responder.
ulimit -n "$(ulimit -Hn)" 2>/dev/null

install_packages
build
if [ $# -eq 0 ]; then
	run_lint
	run_unit
	install_python
	install_node
	run_program
	run_servers
	run_page
fi
for part; do
	case $part in
	unit) run_unit ;;
	lint) run_lint ;;
	page)
		install_python
		run_page
		;;
	servers)
		install_python
		run_servers
		;;
	scale)
		install_python
		build_release
		run_pytest scale -m 'scale and not measured' tests/program tests/servers tests/page
		count_pytest scale $?
		GPT_LOAD_BUILD=$PWD/$RELEASE run_pytest scale-measured -m 'scale and measured' \
			tests/program
		count_pytest scale-measured $?
		;;
	*)
		install_python
		install_node
		run_program -k "$part"
		;;
	esac
done

printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
[ "$failed" -eq 0 ] && [ $((passed + skipped)) -gt 0 ]
