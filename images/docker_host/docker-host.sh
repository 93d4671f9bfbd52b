#!/bin/sh
# PID 1 of a container that is a Docker host: prepares what the engine needs, runs it, stops it on SIGTERM.
# Environment: DOCKER_MTU (default: the MTU of the interface of the default route), DOCKER_OPTS (more options for dockerd),
# DISK_MIB (default: none; the engine's data is on a disk of its own of so many MiB, which can get full).
set -eu

say() { echo "docker-host: $*" >&2; }

# Parts of /proc come masked or read-only. The engine sets up networks there.
awk '$2 ~ "^/proc/" { print $2 }' /proc/mounts | while read -r dir; do
    umount "$dir" || {
        say "cannot unmount $dir: this container needs CAP_SYS_ADMIN and apparmor=unconfined"
        exit 1
    }
done

# cgroup v1: one mount for each controller; v2: one mount in all. Without --privileged they come read-only.
awk '$3 == "cgroup" || $3 == "cgroup2" { print $2 }' /proc/mounts | while read -r dir; do
    mount -o remount,bind,rw "$dir" || {
        say "cannot make $dir writable: this container needs CAP_SYS_ADMIN and apparmor=unconfined"
        exit 1
    }
done

# cgroup v2 gives a group either processes or controllers for its children: the engine's containers need the latter.
if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p /sys/fs/cgroup/init
    while read -r pid; do
        echo "$pid" > /sys/fs/cgroup/init/cgroup.procs || true  # a process that has ended meanwhile
    done < /sys/fs/cgroup/cgroup.procs
    sed -e 's/ / +/g' -e 's/^/+/' /sys/fs/cgroup/cgroup.controllers > /sys/fs/cgroup/cgroup.subtree_control
fi

if [ -n "${DISK_MIB:-}" ]; then
    disk=/var/lib/docker/disk.img
    if [ ! -e "$disk" ]; then
        truncate -s "${DISK_MIB}M" "$disk.new"
        mkfs.ext4 -q -m 0 "$disk.new"
        mv "$disk.new" "$disk"
    fi
    [ -e /dev/loop-control ] || mknod /dev/loop-control c 10 237
    for number in $(seq 0 63); do
        [ -e "/dev/loop$number" ] || mknod "/dev/loop$number" b 7 "$number"
    done
    mount -o loop "$disk" /var/lib/docker || {
        say "cannot mount a disk of $DISK_MIB MiB: this needs loop devices"
        exit 1
    }
fi

# A kernel without nf_tables: the older tables do.
if ! iptables -w -nL > /dev/null 2>&1; then
    update-alternatives --set iptables /usr/sbin/iptables-legacy > /dev/null
    update-alternatives --set ip6tables /usr/sbin/ip6tables-legacy > /dev/null
fi

interface=$(ip -o -4 route show default | awk '{ for (i = 1; i < NF; i++) if ($i == "dev") { print $(i + 1); exit } }')
mtu=${DOCKER_MTU:-}
if [ -z "$mtu" ] && [ -n "$interface" ]; then
    mtu=$(cat "/sys/class/net/$interface/mtu")
fi
mtu=${mtu:-1500}

set -- --mtu "$mtu" --default-network-opt "bridge=com.docker.network.driver.mtu=$mtu"

# On a network of its own this host resolves names at 127.0.0.11, an address that means another thing inside every
# container started here; the engine would replace it by a public server. So the host answers on its own address.
if [ -n "$interface" ] && grep -Eq '^nameserver[[:space:]]+127\.' /etc/resolv.conf; then
    address=$(ip -o -4 address show dev "$interface" | awk '{ sub("/.*", "", $4); print $4; exit }')
    dnsmasq --keep-in-foreground --bind-interfaces --listen-address="$address" --except-interface=lo \
        --no-hosts --cache-size=0 --user=root --pid-file= &
    set -- "$@" --dns "$address"
fi

# DOCKER_OPTS is a list of words.
# shellcheck disable=SC2086
set -- "$@" ${DOCKER_OPTS:-}
stopping=
trap 'stopping=yes; say "stopping the engine"; kill -TERM "$engine" 2> /dev/null || true' TERM INT

# As an init system does: an engine that ends is started again. A shell as PID 1 also collects the processes that containers
# leave behind. `wait` returns when a signal comes.
while [ -z "$stopping" ]; do
    say "starting the engine: $*"
    dockerd "$@" &
    engine=$!
    code=0
    while kill -0 "$engine" 2> /dev/null; do
        wait "$engine" && code=0 || code=$?
    done
    say "the engine has ended ($code)"
    rm -f /run/docker.pid /run/docker/containerd/containerd.pid
    [ -n "$stopping" ] || sleep 2
done
exit "$code"
