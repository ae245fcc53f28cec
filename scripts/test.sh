#!/usr/bin/env bash
# Runs the tests of every module except deploy, or of the modules in $modules:
# scripts/test.sh [go test flags]
#
# It prints one line for a package that passes, and the whole output of a package that
# fails. It counts the tests that were skipped because the machine lacks a program or a right,
# because a skipped test must not look like one that passed. A package that fails without a
# failed test, because it did not build or its time was over, is counted by itself.
set -uo pipefail
cd "$(dirname "$0")/.."
status=0
for module in ${modules:-. examples internal/bench}; do
	echo "== ${module/#./rediskit}"
	(cd "$module" && go test -v "$@" ./... 2>&1) | awk '
		/^ok  \t|^FAIL\t/ {
			if ($1 == "FAIL") {
				printf "%s", text
				failed = 1
				if (!here) ended++
			}
			print
			text = ""
			here = 0
			packages++
			next
		}
		/^\?   \t/ { packages++; next }
		{ text = text $0 "\n" }
		/^ *--- PASS/ { passed++ }
		/^ *--- FAIL/ { broken++; here++ }
		/^ *--- SKIP/ { skipped++ }
		/^ +[a-z_]+\.go:[0-9]+: .*( is not installed| needs root: | refuses a network )/ { sub(/^[^:]*:[0-9]+: /, ""); missing[$0]++ }
		END {
			if (broken || failed || !packages) printf "%s", text
			for (what in missing) printf "skipped %d times: %s\n", missing[what], what
			if (!packages) ended++
			printf "%d passed, %d failed, %d skipped", passed, broken, skipped
			if (ended) printf ", %d %s not tested to the end", ended, ended == 1 ? "package was" : "packages were"
			printf "\n"
			exit failed || broken || !packages
		}' || status=1
done
exit $status
