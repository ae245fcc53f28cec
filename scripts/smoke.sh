#!/usr/bin/env bash
# Starts the demo as a new user does, runs the curl commands that it prints, and
# interrupts it as Ctrl-C does.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$(mktemp -d)
# In a process group of its own, so that no process of it runs on after this script.
setsid make demo ARGS="-quiet -addr 127.0.0.1:0 -db $dir/demo.db" >"$dir/out" 2>&1 &
demo=$!
end() { kill -KILL -- "-$demo" 2>/dev/null || true; rm -rf "$dir"; }
trap end EXIT
fail() {
	echo "smoke: $*"
	cat "$dir/out"
	exit 1
}

for _ in $(seq 600); do
	grep -q '^Ctrl-C' "$dir/out" && break
	kill -0 "$demo" 2>/dev/null || fail "the demo ended"
	sleep 0.2
done
grep -q '^Ctrl-C' "$dir/out" || fail "the demo did not start within two minutes"

# The printed commands. Lines that end with a backslash are joined with the next.
mapfile -t lines < <(sed -e ':a' -e '/\\$/N; s/\\\n//; ta' "$dir/out" | grep '^curl')
((${#lines[@]} == 6)) || fail "${#lines[@]} curl lines were printed, want 6"
paste() { bash -c "${1/curl/curl -sS --max-time 10}" >"$dir/answer" || fail "$1"; }
expect() { grep -q "$1" "$dir/answer" || { cat "$dir/answer"; fail "no $1 in the answer"; }; }

paste "${lines[0]}" && expect '^X-Cache: miss' && expect '^HTTP/1.1 200'
paste "${lines[0]}" && expect '^X-Cache: hit'
bash -c "${lines[1]/curl/curl -sS --max-time 10}" >"$dir/first" &
first=$!
for _ in $(seq 50); do
	paste "${lines[2]}"
	grep -q '"state":"waiting_for_llm"' "$dir/answer" && break
	sleep 0.02
done
expect '"state":"waiting_for_llm"'
paste "${lines[1]}" && expect '^HTTP/1.1 409' && expect 'already being processed'
wait "$first"
grep -q '^HTTP/1.1 201' "$dir/first" || fail "the first message was not taken: $(cat "$dir/first")"
paste "${lines[2]}" && expect '"state":"answered"'
paste "${lines[0]}" && expect '^X-Cache: miss'
paste "${lines[3]}" && expect '"hits":1'
paste "${lines[4]}" && expect '"redis":"ok"'
paste "${lines[5]}" && expect '"state":"answered"' && expect '"allowed":2'
dashboard=$(sed -n 's/^Dashboard  *//p' "$dir/out")
paste "curl -i $dashboard/" && expect '^HTTP/1.1 200' && expect "^Content-Security-Policy: default-src 'self'" && expect '<h1>'

pkill -INT -g "$demo" -f '^bin/demo'
wait "$demo" || fail "the demo did not end well"
echo "smoke: the demo answers, counts and ends"
