#!/usr/bin/env bash
# Installs Postrider in each way of docs/getting-started.md into a fresh Debian 12, delivers a job, and removes it again.
# `cargo xtask install-test` calls it. Needs root, debootstrap, and Debian's mirror.
#
#   install-test.sh TARGET [WAY...]     TARGET is Cargo's folder; WAY is archive, deb, service, pip, npm or image
#
# WAY-lean is the other build, for archive, deb and image. WAY-aarch64 and WAY-lean-aarch64 run the binary for arm64 in an
# emulator, on Debian for this machine; the image needs one that the kernel calls (binfmt_misc).
# The commands are those of the document, word for word, with the names of build and machine. The time begins with Debian and the installer of the way (tar, apt,
# pip, npm, Podman), and ends with the first delivered job. Redis is installed within it. At most 60 s are allowed.
set -euo pipefail
[ -n "${IN_NAMESPACE:-}" ] || IN_NAMESPACE=1 exec unshare --mount --propagation private "$0" "$@"
document=$(cd "$(dirname "$0")/.." && pwd -P)/docs/getting-started.md
cd "$1"
shift
mkdir -p install-test/{apt,changes,root}
cd install-test
root=$PWD/root

# commands HEADING N: the Nth block of commands below a heading of the document
commands() {
    awk -v heading="$1" -v wanted="$2" '
        /^#/ { below = ($0 == heading); block = 0 }
        !below { next }
        /^    / { if (!inside) block++; inside = 1; if (block == wanted) print substr($0, 5); next }
        { inside = 0 }
    ' "$document" | sed "s/x86_64/$machine/g; s/amd64/$architecture/g" | as_build
}

# Images have the name of the build; all others have it if it is not the usual one.
as_build() {
    [ "$build" != otel ] || exec cat
    sed "/otel/ { s/otel/$build/g; b; }; s/postrider\([-_][0-9]\)/postrider-$build\1/g; s/purge postrider\$/&-$build/"
}

inside() {
    chroot "$root" /usr/bin/env -i -C /root PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive "$@"
}

logged() { inside "$@" >log 2>&1 || { cat log; exit 1; }; }

# A Debian as debootstrap made it. What changes stays in memory.
fresh() {
    if ! [ -e base/complete ]; then
        rm -rf base
        debootstrap --variant=minbase --include=ca-certificates bookworm base http://deb.debian.org/debian >log
        # As in an image of containers: packages start no servers.
        printf '#!/bin/sh\nexit 101\n' >base/usr/sbin/policy-rc.d
        chmod +x base/usr/sbin/policy-rc.d
        echo 'APT::Get::Assume-Yes "true";' >base/etc/apt/apt.conf.d/90assume-yes
        touch base/complete
    fi
    if mountpoint -q "$root"; then umount --recursive "$root" changes; fi
    mount -t tmpfs tmpfs changes
    mkdir changes/{files,work}
    mount -t overlay overlay -o lowerdir=base,upperdir=changes/files,workdir=changes/work "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    mount --bind apt "$root/var/cache/apt/archives"
    mount -t tmpfs tmpfs "$root/tmp"
    cp /etc/resolv.conf "$root/etc/resolv.conf"
    # Podman, where this itself may run in a container: images are copied instead of mounted, and nothing is limited.
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    mkdir "$root/etc/containers"
    printf '[containers]\ncgroups = "disabled"\n' >"$root/etc/containers/containers.conf"
    printf '[storage]\ndriver = "vfs"\nrunroot = "/run/containers/storage"\ngraphroot = "/var/lib/containers/storage"\n' \
        >"$root/etc/containers/storage.conf"
    logged apt-get update
}

# All files, except what installers keep for themselves.
files() {
    (cd "$root" && find . -xdev \( -path ./tmp -o -path ./var/log -o -path ./var/cache -o -path ./var/lib/apt \
        -o -path ./var/lib/dpkg -o -path ./var/lib/containers -o -path ./run -o -path ./root/.npm \
        -o -path ./root/.cache -o -path ./etc/cni -o -path ./usr/local/lib/node_modules -empty \) -prune -o -print | sort)
}

# A binary for another machine runs in an emulator, without one that the kernel calls.
emulate() {
    : >"$root/tmp/again"
    [ "$machine" != "$(uname -m)" ] || return 0
    cp "$(command -v "qemu-$machine-static")" "$root/tmp/qemu"
    echo 'postrider() { /tmp/qemu "$(type -P postrider)" "$@"; }' >"$root/tmp/again"
    logged dpkg --add-architecture "$architecture"
}

# try HEADING PACKAGES FILE: install, deliver, remove, and see what is left
try() {
    local heading=$1 packages=$2 file=$3 begin tenths
    fresh
    emulate
    # shellcheck disable=SC2086
    [ -z "$packages" ] || logged apt-get install --no-install-recommends $packages
    begin=$(date +%s%N)
    logged apt-get install --no-install-recommends redis-server
    files >before
    cp "../dist/$file" "$root/root"
    commands "$heading" 1 >"$root/tmp/install"
    commands "$heading" 2 >"$root/tmp/remove"
    {
        commands '## A worker in three commands' 1
        commands '## A worker in three commands' 2
    } >"$root/tmp/use"
    logged bash -euc '. /tmp/install'
    # A separate network, in which everything ends with the script. A second shell needs what the first one has set.
    grep -E 'activate|^postrider\(\)' "$root/tmp/install" >>"$root/tmp/again" || true
    cat >"$root/tmp/script" <<'EOF'
redis-server --daemonize yes --save "" --pidfile /tmp/redis.pid >/dev/null
until redis-cli ping >/dev/null 2>&1; do sleep 0.1; done
. /tmp/again
. /tmp/use
# Containers must end before their network, or Podman takes them for running.
! command -v podman >/dev/null || podman rm --all --force --time 0 >/dev/null
EOF
    unshare --net --pid --fork --kill-child --mount-proc="$root/proc" bash -euc 'ip link set lo up; inside bash -euc ". /tmp/script"' \
        >log 2>&1 || { cat log; exit 1; }
    tenths=$((($(date +%s%N) - begin) / 100000000))
    grep -q succeeded log || { cat log; exit 1; }
    logged bash -euc '. /tmp/again; . /tmp/remove'
    rm "$root/root/$file"
    files >after
    diff before after || { echo "install-test: the files above (>) are left behind, or (<) gone"; exit 1; }
    echo "install-test: ${heading#\#* } ($build, $machine): $((tenths / 10)).$((tenths % 10)) s to the first delivered job; removed without a trace"
    [ "$tenths" -le 600 ] || { echo "install-test: that is more than 60 s"; exit 1; }
}

# Boots a Debian, and delivers a job by the service of the package in its sandbox.
service() {
    if ! command -v systemd-nspawn >/dev/null; then
        echo 'install-test: service: skipped, because there is no systemd-nspawn (Debian: systemd-container)'
        return
    fi
    fresh
    logged apt-get install --no-install-recommends systemd systemd-sysv dbus redis-server
    umount --recursive "$root"/{proc,sys,dev,tmp,var/cache/apt/archives}
    rm "$root/usr/sbin/policy-rc.d"
    cp ../dist/postrider_*"$architecture".deb "$root/root"
    cat >"$root/root/script" <<'EOF'
exec >/root/result 2>&1
set -eux
trap 'systemctl poweroff' EXIT
dpkg --install /root/postrider_*.deb
if systemctl is-enabled postrider || systemctl is-active postrider; then exit 1; fi
systemd-analyze security --threshold=20 --no-pager postrider
echo POSTRIDER_EGRESS_ALLOW=127.0.0.0/8 >>/etc/default/postrider
systemctl enable --now postrider
postrider sink &
postrider send POST http://127.0.0.1:8080/ --wait
journalctl --unit postrider
# What the sandbox withholds, the worker reports.
if journalctl --unit postrider | grep -v 'append-only file' | grep -E '"level":"(WARN|ERROR)"'; then exit 1; fi
dpkg --purge postrider
if find /etc /usr /var -name '*postrider*' | grep .; then exit 1; fi
echo complete
EOF
    cat >"$root/etc/systemd/system/script.service" <<'EOF'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/bash /root/script
EOF
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    ln -s ../script.service "$root/etc/systemd/system/multi-user.target.wants"
    timeout 300 systemd-nspawn --directory="$root" --register=no --keep-unit --private-network --boot >log 2>&1 </dev/null || true
    grep -qx complete "$root/root/result" || { cat log "$root/root/result"; exit 1; }
    echo 'install-test: service: started by hand, delivered a job in its sandbox, and was purged'
}

# Whether the binary of `machine` can be run in this way.
runs() {
    [ "$machine" != "$(uname -m)" ] || return 0
    command -v "qemu-$machine-static" >/dev/null || return 1
    [ "$way" != image ] || grep -qs enabled "/proc/sys/fs/binfmt_misc/qemu-$machine"
}

export root
export -f inside
[ $# -gt 0 ] || set -- archive deb service pip npm image {archive,deb,image}{-lean,-aarch64,-lean-aarch64}
for wanted in "$@"; do
    way=${wanted%%-*} build=otel machine=$(uname -m)
    case $wanted in *-lean*) build=lean ;; esac
    case $wanted in *-aarch64) machine=aarch64 ;; esac
    case $machine in x86_64) architecture=amd64 ;; aarch64) architecture=arm64 ;; esac
    name=postrider
    [ "$build" = otel ] || name=postrider-$build
    if ! runs; then
        echo "install-test: $wanted: skipped, because no emulator runs a binary for $machine"
        continue
    fi
    case $wanted in
        archive*) try '### Archive' '' "$(basename ../dist/"$name"-[0-9]*-"$machine"-linux.tar.gz)" ;;
        deb*) try '### Debian and Ubuntu' '' "$(basename ../dist/"$name"_*"$architecture".deb)" ;;
        service) service ;;
        pip) try '### pip' python3-venv "$(basename ../dist/postrider-*"$machine".whl)" ;;
        npm) try '### npm' 'nodejs npm' "$(basename ../dist/postrider-[0-9]*.npm.tgz)" ;;
        image*) try '### Container image' 'podman podman-docker crun' "$(basename ../dist/postrider-*-"$build-$architecture".oci.tar)" ;;
        *) echo "install-test: there is no way '$wanted'" >&2; exit 2 ;;
    esac
done
