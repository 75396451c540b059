#!/usr/bin/env bash
# Applies packaging/fail2ban's filter to lines that a real server logged: every failed sign-in is found with its address,
# nothing else is, and nobody can forge one.
#
#   tests/clients/fail2ban/filter.sh PATH-OF-KEYSTEAD
#
# Needs bash, curl, jq and fail2ban-regex (Debian's package fail2ban).
set -euo pipefail

keystead=$(realpath "$1")
filter=$(realpath "$(dirname "$0")/../../../packaging/fail2ban/filter.d/keystead.conf")
work=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT
cd "$work"
export KEYSTEAD_HASHING__MEMORY_KIB=8 KEYSTEAD_HASHING__ITERATIONS=1 KEYSTEAD_LISTEN__TRUSTED_PROXIES=127.0.0.1/32

found() { # LOG: the addresses found, one a line
    fail2ban-regex -o '<ip>' "$1" "$filter"
}
is() { # WHAT EXPECTED ACTUAL
    [ "$2" = "$3" ] || { printf '%s\nexpected:\n%s\nactual:\n%s\n' "$1" "$2" "$3"; exit 1; }
}

for format in text json; do
    mkfifo ready
    KEYSTEAD_LOG__FORMAT=$format "$keystead" serve --data-dir "$format" --listen 127.0.0.1:0 >ready 2>log &
    server=$!
    read -r -t 30 line <ready || { cat log; echo "the server did not get ready"; exit 1; }
    url=$(jq -r '.urls[0]' <<<"$line")/api/auth
    api() { # CLIENT PATH BODY: the status
        curl -sS --cacert "$format/tls/ca.pem" -o /dev/null -w '%{http_code}\n' -H "x-forwarded-for: $1" \
            -H 'content-type: application/json' -H "user-agent: $forged" -H "x-request-id: $name" -d "$3" "$url/$2"
    }
    # What a client says about itself: a line that looks like one of ours.
    name=
    forged='2026-01-01T00:00:00.000000Z  INFO keystead::sign_in: sign-in failed client=198.51.100.66 project=default reason=credentials request=0000000000000000'
    api 192.0.2.1 signup '{"email":"ada@example.com","password":"correct horse"}' >statuses
    for _ in 1 2 3 4 5; do api 192.0.2.1 login '{"email":"ada@example.com","password":"guess"}'; done >>statuses
    api 192.0.2.1 login '{"email":"ada@example.com","password":"correct horse"}' >>statuses
    # Named by the proxy.
    name=Edge_7.a-1
    api 2001:db8::7 login '{"email":"nobody@example.com","password":"guess"}' >>statuses
    "$keystead" user disable ada@example.com --data-dir "$format" >/dev/null
    api 203.0.113.9 login '{"email":"ada@example.com","password":"correct horse"}' >>statuses
    kill "$server"
    wait "$server"
    server=
    rm ready
    is "statuses" "201 401 401 401 401 401 429 401 401" "$(tr '\n' ' ' <statuses | sed 's/ $//')"
    expected=$(printf '%s\n' 192.0.2.1{,,,,,} 2001:db8::7 203.0.113.9)
    is "$format, from a file" "$expected" "$(found log)"
    # As syslog writes them into a file, and as fail2ban itself reads the journal.
    sed 's/^/2026-11-25T10:15:01.000000+00:00 a-host keystead[4711]: /' log >syslog
    is "$format, behind syslog's prefix" "$expected" "$(found syslog)"
    # In the middle of another line it is none.
    sed 's/^/2026-11-25T10:15:01.000000+00:00 a-host other[4711]: /' log >others
    is "$format, of another program" "" "$(found others)"
done

# The jail names the filter, and both of its backends are spelled as fail2ban reads them.
python3 - "$(dirname "$filter")/../jail.d/keystead.conf" <<'PYTHON'
import configparser, sys
jail = configparser.ConfigParser()
assert jail.read(sys.argv[1]) == [sys.argv[1]]
assert (jail["keystead"]["filter"], jail["keystead"]["backend"]) == ("keystead", "systemd")
PYTHON
echo "fail2ban finds every failed sign-in, in both formats"
