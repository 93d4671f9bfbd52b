#!/bin/sh
# As upstream's: a configuration file or one of the registry's commands is enough.
set -e
case "$1" in
    *.yml | *.yaml) set -- serve "$@" ;;
esac
case "$1" in
    serve | garbage-collect | help | -*) set -- registry "$@" ;;
esac
exec "$@"
