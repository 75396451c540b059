#!/usr/bin/env bash
# Runs the README's tour against a real server over HTTPS, and compares every answer with the one printed there.
#
#   tests/clients/noma/tour.sh PATH-OF-KEYSTEAD
#
# The tour is the README's `console` blocks: a line beginning with "$ " is a command, what follows it is its output, and
# "…" there stands for anything. Needs bash, curl and jq.
set -euo pipefail

keystead=$(realpath "$1")
readme=$(realpath "$(dirname "$0")/../../../README.md")
work=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
cd "$work"

# The server, on a free port; its ready line says which.
mkfifo ready
"$keystead" serve --listen 127.0.0.1:0 >ready 2>log &
server=$!
read -r -t 30 line <ready || { cat log; echo "the server did not get ready"; exit 1; }
address=$(jq -r '.urls[0]' <<<"$line")

checked=0
check() { # COMMAND EXPECTED
    local command=${1//https:\/\/127.0.0.1:8443/$address} expected=$2 pattern actual
    command=${command//cargo run -q --release --/"$keystead"}
    eval "$command" >output 2>&1 || { cat output; echo "failed: $command"; exit 1; }
    actual=$(<output)
    pattern=$(sed -e 's/[][\\*?]/\\&/g' -e 's/…/*/g' <<<"$expected")
    # shellcheck disable=SC2053 # a pattern on purpose
    if [[ $actual != $pattern ]]; then
        printf 'command:  %s\nexpected: %s\nactual:   %s\n' "$command" "$expected" "$actual"
        exit 1
    fi
    checked=$((checked + 1))
}

command=
expected=
while IFS= read -r line; do
    if [[ $line == '$ '* ]]; then
        [ -z "$command" ] || check "$command" "$expected"
        command=${line#'$ '} expected=
    else
        expected+=${expected:+$'\n'}$line
    fi
done < <(awk '/^```/ { inside = ($0 == "```console"); next } inside' "$readme")
[ -z "$command" ] || check "$command" "$expected"

kill -TERM "$server"
wait "$server" || { echo "the server ended with $?"; exit 1; }
server=
[ "$checked" -ge 20 ] || { echo "the README's tour was not found: $checked steps"; exit 1; }
echo "tour: $checked steps, each answered as the README says; the server ended with 0"
