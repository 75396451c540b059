#!/usr/bin/env bash
# Runs the README's examples in Node and Python as they stand there.
#
#   tests/clients/ephemeral/readme.sh PATH-OF-KEYSTEAD
#
# An example is a block of the language beneath the heading below; what it prints must be the comment on its printing line.
set -euo pipefail

export KEYSTEAD
KEYSTEAD=$(realpath "$1")
here=$(realpath "$(dirname "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/node/keystead.mjs" "$here/python/keystead.py" "$work"
cd "$work"

block() { # LANGUAGE
    awk -v fence="\`\`\`$1" '
        /^## / { here = ($0 == "## In your tests, in any language") }
        /^```/ { inside = (here && $0 == fence); next }
        inside' "${here}/../../../README.md"
}
run() { # LANGUAGE FILE COMMENT COMMAND...
    local file=$2 comment=$3 expected actual
    block "$1" >"$file"
    expected=$(sed -n -E "s~^ *(console.log|print)\(.*\);? *$comment ~~p" "$file")
    [ -n "$expected" ] || { echo "the README has no example in $1 that prints"; exit 1; }
    actual=$("${@:4}" "$file")
    [ "$actual" = "$expected" ] || { printf '%s: expected %s, printed %s\n' "$1" "$expected" "$actual"; exit 1; }
    echo "the README's $1 prints $actual"
}
run js example.mjs // node
run python example.py "#" python3
