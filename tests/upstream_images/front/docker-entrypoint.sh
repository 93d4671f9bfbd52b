#!/bin/sh
# As upstream's: options are HAProxy's, and HAProxy is a master with workers that stays in the foreground.
set -e
case "$1" in
    -*) set -- haproxy "$@" ;;
esac
if [ "$1" = haproxy ]; then
    shift
    set -- haproxy -W -db "$@"
fi
exec "$@"
