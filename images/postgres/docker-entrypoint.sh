#!/bin/bash
# Offers what the role uses of the official image: POSTGRES_USER, POSTGRES_DB, POSTGRES_PASSWORD (each also as
# …_FILE), POSTGRES_INITDB_ARGS, PGDATA; the arguments are the server's.
set -euo pipefail
umask 0077

die() {
    printf 'postgres entry point: %s\n' "$*" >&2
    exit 1
}

# The value of variable $1, or of the file that variable $1_FILE names, or the default $2.
setting() {
    local name=$1 file_name=${1}_FILE
    local file=${!file_name:-}
    if [[ -n $file ]]; then
        [[ -z ${!name:-} ]] || die "$name and $file_name are both set; unset one of them."
        [[ -r $file ]] || die "$file_name names $file, which uid $(id -u) can't read."
        printf '%s' "$(< "$file")"
    else
        printf '%s' "${!name:-${2:-}}"
    fi
}

# A first init that is cut off must not leave something that is taken for a database: it is made in a
# folder of its own, marked complete, and moved in with PG_VERSION as the last. Either phase can be repeated.
init() {
    local work=$PGDATA/.init entry
    if [[ ! -e $work/complete ]]; then
        rm -rf "$work"
        [[ -z $(find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name lost+found -print -quit) ]] \
            || die "$PGDATA has files but no PG_VERSION, so it is no database of PostgreSQL $PG_MAJOR. Look" \
                "at the volume, then empty it, restore a backup into it, or mount another one."
        local user password database
        user=$(setting POSTGRES_USER postgres)
        password=$(setting POSTGRES_PASSWORD)
        database=$(setting POSTGRES_DB "$user")
        [[ -n $password ]] \
            || die "no password for the first init. Set POSTGRES_PASSWORD_FILE to a file that has it."
        local -a options
        read -r -a options <<< "$(setting POSTGRES_INITDB_ARGS)"
        mkdir -p "$work"
        initdb --pgdata="$work/data" --username="$user" --pwfile=<(printf '%s\n' "$password") \
            --auth-local=peer --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --data-checksums \
            --no-sync --no-instructions "${options[@]}"
        printf '\nhost all all all scram-sha-256\n' >> "$work/data/pg_hba.conf"
        # Over the socket the server's own user is the superuser, whatever that one's name is.
        if [[ $user != "$(id -un)" ]]; then
            sed -i -E 's/^(local .*peer)$/\1 map=superuser/' "$work/data/pg_hba.conf"
            printf '\nsuperuser "%s" "%s"\n' "$(id -un)" "$user" >> "$work/data/pg_ident.conf"
        fi
        printf "\nlisten_addresses = '*'\npassword_encryption = scram-sha-256\n" \
            >> "$work/data/postgresql.conf"
        if [[ $database != postgres ]]; then
            # Single-user mode listens nowhere.
            printf 'CREATE DATABASE "%s";\n' "${database//\"/\"\"}" \
                | postgres --single -j -D "$work/data" postgres > /dev/null
        fi
        sync -f "$work"
        : > "$work/complete"
    fi
    if [[ -d $work/data ]]; then
        while IFS= read -r -d '' entry; do
            mv "$entry" "$PGDATA/"
        done < <(find "$work/data" -mindepth 1 -maxdepth 1 ! -name PG_VERSION -print0)
        mv "$work/data/PG_VERSION" "$PGDATA/"
    fi
    sync -f "$PGDATA"
    rm -rf "$work"
}

[[ ${1:-} != -* ]] || set -- postgres "$@"
[[ ${1:-postgres} == postgres ]] || exec "$@"

[[ $(id -u) != 0 ]] || die "it does not run as root. Start the container with user 999:999."
[[ -w $PGDATA ]] \
    || die "uid $(id -u) can't write $PGDATA. Give the mounted volume to uid 999: chown -R 999:999 on its folder."

if [[ -e $PGDATA/PG_VERSION ]]; then
    found=$(< "$PGDATA/PG_VERSION")
    [[ $found == "$PG_MAJOR" ]] \
        || die "$PGDATA is a database of PostgreSQL $found, this image is PostgreSQL $PG_MAJOR. Nothing was" \
            "touched. Run an image of PostgreSQL $found, or dump with it and restore into a new volume."
    rm -rf "$PGDATA/.init"
else
    init
fi

[[ -w /var/run/postgresql ]] \
    || die "uid $(id -u) can't write /var/run/postgresql. Mount a tmpfs there: /var/run/postgresql:uid=999,gid=999."
exec "${@:-postgres}"
