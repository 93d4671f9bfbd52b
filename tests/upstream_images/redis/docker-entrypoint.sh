#!/bin/sh
# As upstream's: options are the server's; root gives the data to 999 and goes on as 999.
set -e
case "$1" in
    -* | *.conf) set -- redis-server "$@" ;;
esac
case "$1" in
    *-server)
        if [ "$(id -u)" = 0 ]; then
            find . ! -user 999 -exec chown 999 '{}' +
            exec setpriv --reuid=999 --regid=999 --clear-groups -- "$0" "$@"
        fi
        # Upstream compiles it so.
        set -- "$@" --protected-mode no ;;
esac
[ "$(umask)" != 0022 ] || umask 0077
exec "$@"
