#!/bin/sh
# SPDX-License-Identifier: MIT
# House rules that a compiler does not check. Prints FILE:LINE: what is wrong, and
# ends with 1 if anything is. Run from anywhere; CC and BUILDDIR may be set.
set -u
cd "$(dirname "$0")/.." || exit 2
BUILDDIR=${BUILDDIR:-$PWD} tmp=$(mktemp -d) || exit 2
trap 'rm -rf "$tmp"' EXIT
for tool in clang-format cppcheck shellcheck; do
	command -v "$tool" >/dev/null || { echo "lint needs $tool"; exit 2; }
done

if git rev-parse --git-dir >/dev/null 2>&1; then
	git ls-files -co --exclude-standard
else
	find . \( -name node_modules -o -name 'build*' \) -prune -o -type f -print | sed 's|^\./||'
fi | grep -Ev '^lib/(channel_list|sql_text|lua_text)\.' |
	while read -r f; do [ -f "$f" ] && echo "$f"; done | LC_ALL=C sort >"$tmp/all"
grep -E '^(lib|fcgi-app|admin-cgi|tests)/.*\.[ch]$' "$tmp/all" >"$tmp/c"
grep -vE '^tests/' "$tmp/c" >"$tmp/program"

# Two copies of the code, each line as FILE:LINE:text, comments blanked: one with
# string literals, one with the text in them blanked too. A // comment becomes @//.
strip() {
	xargs awk -v keep="$1" '
	FNR == 1 { in_comment = 0 } {
		out = ""; quote = ""; n = length($0)
		for (i = 1; i <= n; i++) {
			c = substr($0, i, 1); two = substr($0, i, 2)
			if (in_comment) { if (two == "*/") { in_comment = 0; i++ } }
			else if (quote != "") {
				if (c == "\\") { if (keep) out = out two; i++ }
				else if (c == quote) { out = out c; quote = "" }
				else if (keep) out = out c
			} else if (two == "/*") { in_comment = 1; i++ }
			else if (two == "//") { out = out "@//"; i = n }
			else { if (c == "\"" || c == "\047") quote = c; out = out c }
		}
		print FILENAME ":" FNR ":" out
	}'
}
strip 0 <"$tmp/c" >"$tmp/bare"
strip 1 <"$tmp/program" >"$tmp/text"
# Lines on its input are findings.
finding() {
	sed "s|\$|    <- $1|" | tee -a "$tmp/found"
}
word() { # WORDS WHY [EXCEPT-FILES]: calls of these functions
	grep -Ev "^(${3:-/})" "$tmp/bare" |
		grep -E ":[0-9]+:(.*[^A-Za-z0-9_>.])?($1) *\(" | finding "$2"
}
mains=$(xargs grep -l '^main(' <"$tmp/program" | tr '\n' '|')
word 'strcpy|strcat|sprintf|vsprintf|gets|strtok' 'banned: use buf_* or snprintf'
word 'atoi|atol|atoll|atof|sscanf' 'banned: use str_to_i64'
word 'system|popen|alloca' 'banned'
word 'localtime|gmtime|strerror|ctime|asctime' 'banned: use the _r form'
word 'rand|srand|random' 'banned: use getrandom'
word 'malloc|calloc|realloc|strdup|strndup' 'use the x-functions of lib/base.h' 'lib/base\.|tests/'
word 'exit' 'exit() belongs into a main file' "${mains}tests/"
grep -Ev '^(lib/clock\.c|tests/)' "$tmp/bare" | grep -E 'CLOCK_REALTIME|gettimeofday' |
	finding 'waits go by CLOCK_MONOTONIC; what the time is, lib/clock.h says'
grep -F '@//' "$tmp/bare" | finding 'comments are /* */'
sql='"[^"]*\b(SELECT|INSERT|UPDATE|DELETE|WHERE|VALUES|FROM|SET|ORDER BY)\b[^"]*%[-0-9.*]*[sdiuclz][^"]*"'
grep -E "$sql" "$tmp/text" | finding 'SQL only by bound parameters'
layer() { # FOLDER, WHAT IT MAY NOT INCLUDE
	grep "^$1/" "$tmp/c" | xargs grep -HnE "^#include \"($2)/" /dev/null |
		finding "not to be included by $1"
}
layer lib 'fcgi-app|admin-cgi|tests'
layer fcgi-app 'admin-cgi|tests'
layer admin-cgi 'fcgi-app|tests'
# lib's own layers, as ARCHITECTURE.md names their files.
rooms=$(awk '/^`lib\/` has three layers/ { on = 1; next } on && /^##/ { exit }
	on && /^[123]\. / { n = $1 + 0 }
	n { while (match($0, /`[^`]+`/)) {
		k = split(substr($0, RSTART + 1, RLENGTH - 2), word, " ")
		for (i = 1; i <= k; i++) { sub(/\.h$/, "", word[i]); print n, word[i] }
		$0 = substr($0, RSTART + RLENGTH) } }' ARCHITECTURE.md)
grep '^lib/' "$tmp/c" | xargs grep -HnE '^#include "lib/[a-z_]+\.h"' | rooms=$rooms awk '
	function layer(name,   i) {
		for (i = 1; i <= n && name !~ like[i]; i++)
			;
		return i <= n ? of[i] : 4
	}
	BEGIN {
		n = split(ENVIRON["rooms"], line, "\n")
		for (i = 1; i <= n; i++) {
			split(line[i], f, " "); of[i] = f[1]
			gsub(/\*/, ".*", f[2]); like[i] = "^" f[2] "$"
		}
	}
	{
		split($0, part, ":"); who = part[1]; gsub(/^lib\/|\.[ch]$/, "", who)
		what = part[3]; gsub(/^#include "lib\/|\.h"$/, "", what)
		if (what !~ /_text$/ && (layer(who) > 3 || layer(what) > layer(who)))
			print
	}' | finding 'of a higher layer of lib than its includer, or of none (ARCHITECTURE.md)'
grep -E '\.([ch]|py|sh|mk|ac)$|/Makefile\.am$' "$tmp/all" | grep -v '^build-aux/tap-driver' |
	while read -r f; do
		[ ! -s "$f" ] || head -n 3 "$f" | grep -q 'SPDX-License-Identifier: MIT' ||
			echo "$f:1: has no SPDX line"
		[ "$(wc -l <"$f")" -le 650 ] || echo "$f:650: is longer than 650 lines"
		case $f in tests/unit/test_*.c | tests/fuzz/fuzz_*.c)
			grep -q "^	${f%.c}\( \|\$\)" tests/local.mk ||
				echo "$f:1: is not in tests/local.mk" ;;
		esac
	done | finding 'every source'

xargs clang-format --dry-run -Werror <"$tmp/c" 2>&1 | grep -E '^[^ ]+:[0-9]+:' |
	sort -t: -k1,1 -u | finding 'make format'
grep '\.h$' "$tmp/c" | while read -r h; do
	printf '#include "%s"\n' "$h" | ${CC:-cc} -std=gnu17 -D_GNU_SOURCE -fsyntax-only -Wall \
		-I. "-I$BUILDDIR" -x c - 2>&1 | grep -E '(error|warning):'
done | finding 'a header compiles alone'

# cppcheck does not read system headers, but must know the list macros; it does not
# read hexadecimal floats, nor know AUTO_FREE; missing returns are the compiler's to find.
queue=$(echo '#include <sys/queue.h>' | ${CC:-cc} -E - | sed -n 's/^# 1 "\(.*queue\.h\)".*/\1/p')
xargs cppcheck -q -j 2 --std=c11 --enable=warning,portability --inline-suppr -I. \
	"--include=$queue" --library=posix --suppress=missingInclude --suppress=readdirCalled \
	--suppress=missingReturn --suppress=incorrectLogicOperator --suppress=memleak \
	--template='{file}:{line}: {message} [{id}]' <"$tmp/program" 2>&1 |
	grep -E '^[^ ]+:[0-9]+:' | finding cppcheck

grep -E '\.sh$|^\.ci/run$' "$tmp/all" | grep -v '^build-aux/' |
	xargs shellcheck -S warning -f gcc | finding shellcheck

[ ! -s "$tmp/found" ]
