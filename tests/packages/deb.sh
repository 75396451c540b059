#!/usr/bin/env bash
# A Debian package from its installation to its end, in a fresh system of the release that runs here (Debian or Ubuntu):
# it installs, its unit is sound and enabled, what the unit starts serves, an upgrade keeps accounts and a changed
# configuration, removal and purge keep the accounts.
#
#   tests/packages/deb.sh PACKAGE.deb
#
# Needs root (or sudo), debootstrap, curl and jq. There is no systemd to boot here: the script starts what the installed
# unit says, as another user than root, where systemd would.
set -euo pipefail
[ "$(id -u)" = 0 ] || exec sudo -- "$0" "$@"

deb=$(realpath "$1")
# Where devices may be made: a temporary folder in memory is often mounted without.
work=$(mktemp -d --tmpdir="${TMPDIR:-/var/tmp}")
root="$work/root"
. "$(dirname "$0")/frame.sh"
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    if mountpoint -q "$root/proc"; then umount "$root/proc"; fi
    rm -rf "$work"
}
trap finish EXIT
inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }

release=$(. /etc/os-release && echo "$VERSION_CODENAME")
debootstrap --variant=minbase --include=systemd "$release" "$root" >"$work/log" 2>&1 || fail "$(tail "$work/log")" "no system"
mountpoint -q "$root/proc" || mount -t proc proc "$root/proc"

# A later version, which brings another example configuration, too.
dpkg-deb -R "$deb" "$work/later"
sed -i 's/^Version: .*/&+later/' "$work/later/DEBIAN/control"
echo '# A new key.' >>"$work/later/etc/keystead/keystead.toml"
(cd "$work/later" && find . -path ./DEBIAN -prune -o -type f -printf '%P\n' | xargs md5sum >DEBIAN/md5sums)
dpkg-deb -Zgzip -z1 --root-owner-group -b "$work/later" "$work/later.deb" >/dev/null
cp "$deb" "$root/first.deb"
cp "$work/later.deb" "$root/later.deb"

unit=/usr/lib/systemd/system/keystead.service
inside apt-get install -qqy -o Dpkg::Use-Pty=0 /first.deb
inside dpkg -V keystead
is "enabled" enabled "$(inside systemctl is-enabled keystead.service)"
is "nothing else is" keystead.service "$(find "$root/etc/systemd/system" -name 'keystead*' -printf '%P\n' | sed 's|.*/||')"
# The socket is an example; once in its place it is sound, too.
cp "$root/usr/share/doc/keystead/examples/keystead.socket" "$root/etc/systemd/system/"
inside systemd-analyze verify --man=no keystead.service keystead.socket 2>&1 | tee "$work/verify"
rm "$root/etc/systemd/system/keystead.socket"
# Debian 12's systemd does not know notify-reload, says so and goes by the line before it.
if grep -vF 'Failed to parse service type, ignoring: notify-reload' "$work/verify" | grep -q keystead; then fail "the units"; fi
for file in bin/keystead share/man/man1/keystead.1.gz share/bash-completion/completions/keystead \
    share/zsh/vendor-completions/_keystead share/fish/vendor_completions.d/keystead.fish share/doc/keystead/copyright \
    share/doc/keystead/THIRD-PARTY-NOTICES share/doc/keystead/keystead.cdx.json; do
    [ -s "$root/usr/$file" ] || fail "not in the package: /usr/$file"
done
is "all belongs to root, and nobody else may write" "" "$(dpkg-deb -c "$deb" | grep -vE '^(d|-)rw(x|-)r-(x|-)r-(x|-) (root/root|0/0) ' || true)"

# The configuration of this machine: a free port, and no cost to hashing.
sed -i 's/^#\(\[listen\]\)/\1/; s/^#addresses = .*/addresses = ["127.0.0.1:0"]/' "$root/etc/keystead/keystead.toml"
sed -i 's/^#\(\[hashing\]\)/\1/; s/^#memory_kib = .*/memory_kib = 8/; s/^#iterations = .*/iterations = 1/' \
    "$root/etc/keystead/keystead.toml"
changed=$(sha256sum <"$root/etc/keystead/keystead.toml")

# What systemd makes for DynamicUser= and StateDirectory=, as the server sees it.
of_unit() { sed -n "s/^$1=//p" "$root$unit"; }
is "a user of its own" yes "$(of_unit DynamicUser)"
state=$(of_unit StateDirectory)
install -d -m 755 "$root/var/lib/private"
install -d -m "$(of_unit StateDirectoryMode)" -o 61234 -g 61234 "$root/var/lib/private/$state"
ln -s "private/$state" "$root/var/lib/$state"
ca="$root/var/lib/$state/tls/ca.pem"
launch() {
    # Into words, as systemd does.
    # shellcheck disable=SC2046
    exec chroot --userspec=61234:61234 "$root" env -i $(of_unit Environment) $(of_unit ExecStart)
}

start
is "signup" 201 "$(ask signup "$ada")"
is "health, asked by root" 0 "$(inside keystead health --data-dir "/var/lib/$state" >&2; echo $?)"
stop

inside dpkg --force-confold -i /later.deb </dev/null
is "upgraded" later "$(inside dpkg-query -W -f '${Version}' keystead | sed 's/.*+//')"
is "the changed configuration" "$changed" "$(sha256sum <"$root/etc/keystead/keystead.toml")"
[ -f "$root/etc/keystead/keystead.toml.dpkg-dist" ] || fail "the new configuration is not beside it"
is "still enabled" enabled "$(inside systemctl is-enabled keystead.service)"
start
is "login after the upgrade" 200 "$(ask login "$ada")"
stop

inside dpkg -r keystead
[ ! -e "$root/usr/bin/keystead" ] && [ ! -e "$root$unit" ] || fail "removal leaves the program"
is "the configuration outlives removal" "$changed" "$(sha256sum <"$root/etc/keystead/keystead.toml")"
inside dpkg -i /later.deb </dev/null
start
is "login after removal and return" 200 "$(ask login "$ada")"
stop

inside dpkg -P keystead | tee "$work/purge"
grep -qF "kept in /var/lib/private/$state" "$work/purge" || fail "purge does not say where the accounts are"
[ ! -e "$root/etc/keystead/keystead.toml" ] && [ ! -e "$root/etc/fail2ban/filter.d/keystead.conf" ] || fail "purge leaves a configuration"
is "nothing is enabled any more" "" "$(find "$root/etc/systemd/system" -name 'keystead*')"
[ -n "$(find "$root/var/lib/private/$state/projects" -name '*.redb')" ] || fail "purge takes the accounts along"
echo "the Debian package installs, serves, upgrades, goes and comes back, and loses no account"
