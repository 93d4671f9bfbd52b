#!/bin/sh
# Runs the engine of a Docker host that is a container. SIGHUP restarts it, as an init system does; SIGTERM ends it.
set -u
trap 'again=yes; kill -TERM "$engine"' HUP
trap 'again=no; kill -TERM "$engine"' TERM INT
again=yes
while [ "$again" = yes ]; do
    again=no
    /usr/sbin/dockerd "$@" &
    engine=$!
    code=0
    # `wait` returns when a signal comes as well.
    while kill -0 "$engine" 2> /dev/null; do
        wait "$engine" && code=0 || code=$?
    done
    echo "dockerd: the engine has ended ($code)" >&2
done
exit "$code"
