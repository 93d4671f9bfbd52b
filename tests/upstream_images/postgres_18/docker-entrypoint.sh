#!/bin/bash
# As upstream's, as far as the role uses it: root gives the data to 999 and goes on as 999; an empty folder gets a database, by a
# server that listens on its socket only.
set -euo pipefail
[[ ${1:-} != -* ]] || set -- postgres "$@"
[[ ${1:-} == postgres ]] || exec "$@"

if [[ $(id -u) == 0 ]]; then
    mkdir -p "$PGDATA"
    find "$PGDATA" ! -user postgres -exec chown postgres '{}' +
    chmod 00700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$BASH_SOURCE" "$@"
fi

# Version 18 and newer: data in the folder that older versions had is an error.
if [[ $PG_MAJOR -ge 18 && -s /var/lib/postgresql/data/PG_VERSION ]]; then
    echo "Error: in $PG_MAJOR+, these Docker images are configured to store database data in a format which is" \
        "compatible with pg_ctlcluster: there is data in /var/lib/postgresql/data (unused mount/volume)" >&2
    exit 1
fi

mkdir -p "$PGDATA"
chmod 00700 "$PGDATA" || :
if [[ ! -s $PGDATA/PG_VERSION ]]; then
    : "${POSTGRES_USER:=postgres}"
    if [[ -n ${POSTGRES_PASSWORD_FILE:-} ]]; then
        POSTGRES_PASSWORD=$(< "$POSTGRES_PASSWORD_FILE")
    fi
    [[ -n ${POSTGRES_PASSWORD:-} ]] || { echo "Error: Database is uninitialized and superuser password is not specified." >&2; exit 1; }
    read -r -a options <<< "${POSTGRES_INITDB_ARGS:-}"
    initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") "${options[@]}"
    printf '\nhost all all all scram-sha-256\n' >> "$PGDATA/pg_hba.conf"
    set -- "$@" -c listen_addresses=''
    pg_ctl --pgdata="$PGDATA" -o "$(printf '%q ' "${@:2}")" --wait start
    set -- "${@:1:$#-2}"
    database=${POSTGRES_DB:-$POSTGRES_USER}
    if [[ $database != postgres ]]; then
        psql --username="$POSTGRES_USER" --dbname=postgres --no-psqlrc --set=db="$database" <<< 'CREATE DATABASE :"db";'
    fi
    pg_ctl --pgdata="$PGDATA" --mode=fast --wait stop
fi
exec "$@"
