#!/bin/sh
# Runs every fuzz target for 60s, or for duration: scripts/fuzz.sh [duration]
set -eu
for file in $(git grep -l '^func Fuzz' -- '*_test.go'); do
	for target in $(sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p' "$file"); do
		echo "$target ($(dirname "$file"))"
		go test -run '^$' -fuzz "^$target\$" -fuzztime "${1:-60s}" "./$(dirname "$file")"
	done
done
