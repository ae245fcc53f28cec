#!/bin/sh
# Runs the tests of every module: scripts/test.sh [go test flags]
#
# A package that passes is one line, one that fails is its whole output. What
# was skipped for want of a program is counted, because a leg that did not run
# must not look like one that passed.
set -u
failed=0
for file in go.mod examples/go.mod internal/bench/go.mod; do
	module=$(dirname "$file")
	(cd "$module" && go test -v "$@" ./... 2>&1) | awk -v module="$module" '
		/^ok  \t|^FAIL\t/ {
			if ($1 == "FAIL") { printf "%s", text; failed = 1 }
			print
			text = ""
			next
		}
		/^\?   \t/ { next }
		{ text = text $0 "\n" }
		/^ *--- PASS/ { passed++ }
		/^ *--- FAIL/ { broken++ }
		/^ *--- SKIP/ { skipped++ }
		/^ +[a-z_]+\.go:[0-9]+: .* is not installed/ { sub(/^[^:]*:[0-9]+: /, ""); missing[$0]++ }
		END {
			if (broken || failed) printf "%s", text
			for (what in missing) printf "skipped %d times: %s\n", missing[what], what
			printf "%s: %d passed, %d failed, %d skipped\n", module == "." ? "rediskit" : module, passed, broken, skipped
			exit failed || broken
		}' || failed=1
done
exit $failed
