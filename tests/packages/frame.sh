# What the tests of the packages share; they source it. Each sets `ca`, the authority's certificate that curl trusts, and
# has a function `launch` that becomes the server.

server=
fail() { printf '%s\n' "$@"; exit 1; }
is() { # WHAT EXPECTED ACTUAL
    [ "$2" = "$3" ] || fail "$1" "expected: $2" "actual:   $3"
}
# Starts the server and waits for the line that says it is ready; `url` is where it answers then.
start() {
    rm -f "$work/ready"
    mkfifo "$work/ready"
    launch >"$work/ready" 2>"$work/log" &
    server=$!
    read -r -t 30 line <"$work/ready" || fail "$(cat "$work/log")" "the server did not get ready"
    # What listens on every address is asked on this machine's own.
    url=$(jq -r '.urls[0]' <<<"$line" | sed 's/0\.0\.0\.0/127.0.0.1/')/api/auth
}
# Sends SIGTERM, to process PID where it is not the one that was started.
stop() {
    kill "${1:-$server}"
    wait "$server" || fail "$(cat "$work/log")" "the server did not end well"
    server=
}
ask() { # PATH BODY: the status
    curl -sS --cacert "$ca" -o /dev/null -w '%{http_code}' -H 'content-type: application/json' -d "$2" "$url/$1"
}
ada='{"email":"ada@example.com","password":"correct horse"}'
