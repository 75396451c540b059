#!/usr/bin/env bash
# The image of packaging/Containerfile: it builds, and its program serves where nothing else is: a root that is read-only
# and without /proc, /tmp, /etc and a name server, as the user it names, as process 1. Its health check tells; SIGTERM
# ends it; the volume keeps the accounts.
#
#   tests/packages/container.sh FOLDER    (target/packages/container)
#
# Needs root (or sudo), buildah, curl and jq, but no container engine: the script starts what the image says.
set -euo pipefail
[ "$(id -u)" = 0 ] || exec sudo -- "$0" "$@"

context=$(realpath "$1")
file=$(realpath "$(dirname "$0")/../../packaging/Containerfile")
work=$(mktemp -d)
root="$work/root"
. "$(dirname "$0")/frame.sh"
finish() {
    [ -z "$server" ] || kill -9 "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

images() { buildah --root "$work/images" --runroot "$work/run" --storage-driver vfs "$@"; }
images build --isolation chroot --format docker -t keystead -f "$file" "$context" >"$work/log" 2>&1 || fail "$(cat "$work/log")"
image() { images inspect --type image keystead | jq -er ".Docker.config.$1"; }
cp -a "$(images mount "$(images from keystead)")" "$root"
contents=(/data /usr/bin/keystead /usr/share/doc/keystead/{LICENSE,THIRD-PARTY-NOTICES,keystead.cdx.json})
is "what is in it" "${contents[*]}" \
    "$(cd "$root" && find . \( -type f -o -type d -empty \) | sed 's/^\.//' | LC_ALL=C sort | paste -sd' ')"
user=$(image User)
is "the volume's owner" "$user" "$(stat -c %u:%g "$root/data")"
is "the volume" /data "$(image 'Volumes|keys[0]')"
is "the port" 8443/tcp "$(image 'ExposedPorts|keys[0]')"
is "the signal that ends it" SIGTERM "$(image StopSignal)"
mapfile -t environment < <(image 'Env[]')
mapfile -t program < <(image 'Entrypoint[]' && image 'Cmd[]')
mapfile -t health < <(image 'Healthcheck.Test[]')
is "the health check" CMD "${health[0]}"

# A root that nobody can write to, with a volume in it. The first process inside is process 1, and it finds the
# environment that the image sets, nothing else.
cp -a "$root/data" "$work/volume"
cat >"$work/enter" <<ENTER
$(command -v mount) --bind "$root" "$root"
$(command -v mount) -o remount,bind,ro "$root"
$(command -v mount) --bind "$work/volume" "$root/data"
exec $(command -v chroot) --userspec="$user" "$root" "\$@"
ENTER
contain() { # COMMAND...
    exec env -i "${environment[@]}" "$(command -v unshare)" --mount --pid --fork --kill-child "$BASH" -eu "$work/enter" "$@"
}
ca="$work/volume/tls/ca.pem"
# A free port instead of the image's.
is "where it listens" 0.0.0.0:8443 "${program[-1]}"
launch() { contain "${program[@]:0:${#program[@]}-1}" 0.0.0.0:0; }
end() {
    # unshare waits for it and passes no signals on.
    local first
    first=$(pgrep -P "$server")
    is "process 1" 1 "$(awk '/^NSpid:/ { print $NF }' "/proc/$first/status")"
    stop "$first"
}

start
is "signup" 201 "$(ask signup "$ada")"
(contain "${health[@]:1}") || fail "the health check"
end
if (contain "${health[@]:1}") 2>/dev/null; then fail "the health check is well without a server"; fi
start
is "login after a restart" 200 "$(ask login "$ada")"
end
echo "the image serves with nothing beside it, and its health check tells whether it does"
