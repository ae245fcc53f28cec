#!/usr/bin/env bash
# Runs the tests of every module but deploy, or of those in $modules:
# scripts/test.sh [go test flags]
#
# A package that passes is one line, one that fails is its whole output. What
# was skipped for want of a program is counted, because a leg that did not run
# must not look like one that passed.
set -uo pipefail
cd "$(dirname "$0")/.."
status=0
for module in ${modules:-. examples internal/bench}; do
	echo "== ${module/#./rediskit}"
	(cd "$module" && go test -v "$@" ./... 2>&1) | awk '
		/^ok  \t|^FAIL\t/ {
			if ($1 == "FAIL") { printf "%s", text; failed = 1 }
			print
			text = ""
			packages++
			next
		}
		/^\?   \t/ { packages++; next }
		{ text = text $0 "\n" }
		/^ *--- PASS/ { passed++ }
		/^ *--- FAIL/ { broken++ }
		/^ *--- SKIP/ { skipped++ }
		/^ +[a-z_]+\.go:[0-9]+: .* is not installed/ { sub(/^[^:]*:[0-9]+: /, ""); missing[$0]++ }
		END {
			if (broken || failed || !packages) printf "%s", text
			for (what in missing) printf "skipped %d times: %s\n", missing[what], what
			printf "%d passed, %d failed, %d skipped\n", passed, broken, skipped
			exit failed || broken || !packages
		}' || status=1
done
exit $status
