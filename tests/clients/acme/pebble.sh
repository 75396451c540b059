#!/usr/bin/env bash
# A certificate from a real ACME server (Debian's pebble, on loopback): tests/clients/acme/pebble.sh KEYSTEAD
#
# Proved over TLS-ALPN-01 and over HTTP-01, kept over a restart, and untouched by what fails. Waits for log lines, never
# for time. Needs pebble, curl, jq, node and openssl.
set -euo pipefail
keystead=$(realpath "$1")
dir=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; wait 2>/dev/null; rm -rf "$dir"' EXIT
cd "$dir"

free() { node -e 'const s=require("net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})'; }
dns=$(free) acme=$(free) manage=$(free) challenges=$(free) https=$(free) http=$(free) nowhere=$(free)
fail() { echo "FAILED: $*"; for log in *.log; do echo "--- $log"; tail -40 "$log"; done; exit 1; }
# Waits for a line in a log.
line() { timeout 60 grep -m1 -q -- "$2" <(exec tail -n +1 -F "$1" 2>/dev/null) || fail "no line \"$2\" in $1"; }
passed=0
ok() { passed=$((passed + 1)); echo "ok $passed - $*"; }

pebble-challtestsrv -defaultIPv4 127.0.0.1 -defaultIPv6 "" -dns01 "127.0.0.1:$dns" -management "127.0.0.1:$challenges" \
    -http01 "" -https01 "" -tlsalpn01 "" >challenges.log 2>&1 &
# The certificate of the ACME server itself: what keystead trusts by `ca_file`.
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=pebble -keyout pebble.key -out pebble.csr 2>/dev/null
openssl x509 -req -in pebble.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out pebble.pem \
    -extfile <(echo subjectAltName=IP:127.0.0.1) 2>/dev/null
pebble() { # tls port, http port: where it looks for proofs
    jq -n --arg acme "127.0.0.1:$acme" --arg manage "127.0.0.1:$manage" --argjson tls "$1" --argjson http "$2" \
        '{pebble: {listenAddress: $acme, managementListenAddress: $manage, certificate: "pebble.pem",
          privateKey: "pebble.key", httpPort: $http, tlsPort: $tls, ocspResponderURL: ""}}' >pebble.json
    PEBBLE_VA_NOSLEEP=1 command pebble -strict -config pebble.json -dnsserver "127.0.0.1:$dns" >pebble.log 2>&1 &
    authority=$!
    line pebble.log "ACME directory available"
    curl -sSk "https://127.0.0.1:$manage/roots/0" >root.pem
}
# Starts a server: its name, then the domains, then further settings.
start() {
    cat >"$1.toml" <<TOML
data_dir = "$1"
[listen]
addresses = ["127.0.0.1:$https"]
$3
[tls]
mode = "acme"
[tls.acme]
domains = [$2]
contact = ["ops@example.com"]
directory_url = "https://127.0.0.1:$acme/dir"
ca_file = "ca.pem"
TOML
    "$keystead" serve --config "$1.toml" >"$1.out" 2>"$1.log" &
    server=$!
    line "$1.out" '"ready":true'
}
stop() { kill "$1" && wait "$1" || true; }
asks() { curl -sS --cacert root.pem --resolve "$1:$https:127.0.0.1" "https://$1:$https/healthz"; }

pebble "$https" "$http"
start alpn '"auth.example.com", "login.example.com"' ''
line alpn.log "a new certificate is served"
for name in auth login; do
    [ "$(asks "$name.example.com" | jq -r .status)" = ok ] || fail "$name.example.com is not served"
done
ok "a certificate for two names, proved over the TLS listener"
asks other.example.com 2>/dev/null && fail "a name that is not configured was served"
ok "for no other name"
openssl s_client -connect "127.0.0.1:$https" -servername auth.example.com -alpn acme-tls/1 </dev/null >handshake.log 2>&1 &&
    fail "a challenge is answered that nobody waits for"
ok "challenges are answered only while an order waits"
[ "$(find alpn/acme -type f -perm /077 | wc -l)" = 0 ] || fail "others may read what is kept"
ok "what is kept is for its owner alone"

serial() { openssl s_client -connect "127.0.0.1:$https" -servername auth.example.com </dev/null 2>/dev/null | openssl x509 -noout -serial; }
before=$(serial)
stop $server
start alpn '"auth.example.com", "login.example.com"' ''
[ "$(serial)" = "$before" ] || fail "another certificate after a restart"
ok "the same certificate after a restart, from the first connection on"
stop $server

stop $authority
start alpn '"auth.example.com", "login.example.com", "new.example.com"' ''
line alpn.log "no certificate could be had"
[ "$(serial)" = "$before" ] || fail "what was served is gone"
asks auth.example.com >/dev/null || fail "auth.example.com is not served"
ok "without the ACME server, what is there goes on being served"
stop $server

pebble "$nowhere" "$http"
start plain '"auth.example.com"' "redirect = \"127.0.0.1:$http\""
line plain.log "a new certificate is served"
[ "$(asks auth.example.com | jq -r .status)" = ok ] || fail "auth.example.com is not served"
ok "a certificate proved over the plain listener"
sent=$(curl -sS -o /dev/null -w '%{http_code} %{redirect_url}' --resolve "auth.example.com:$http:127.0.0.1" "http://auth.example.com:$http/v1/token?x=1")
[ "$sent" = "308 https://auth.example.com:$https/v1/token?x=1" ] || fail "sent to $sent"
ok "which sends everybody else to https"
stop $server

start lost '"auth.example.com"' ''
line lost.log "auth.example.com could not be proved"
curl -sSk "https://127.0.0.1:$https/healthz" >/dev/null || fail "not served at all"
ok "a name that cannot be proved is told, and the server serves"
stop $server

printf '\n%d passed, 0 failed\n' "$passed"
