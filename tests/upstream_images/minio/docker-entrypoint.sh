#!/bin/sh
# As upstream's: what is no command of its own is one of the server's.
set -e
[ "${1:-}" = silo ] || set -- silo "$@"
exec "$@"
