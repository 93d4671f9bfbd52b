#!/bin/bash
# Offers what the role uses of MinIO's image: `server DIR`, MINIO_ROOT_USER and MINIO_ROOT_PASSWORD (each also
# as …_FILE), one volume, port 9000. The server is JuiceFS's gateway: metadata in SQLite, objects as files.
set -euo pipefail
umask 0077

die() {
    printf 'minio entry point: %s\n' "$*" >&2
    exit 1
}

# Exports variable $1 from the file that variable $1_FILE names.
from_file() {
    local name=$1 file_name=${1}_FILE
    local file=${!file_name:-}
    if [[ -n $file ]]; then
        [[ -z ${!name:-} ]] || die "$name and $file_name are both set; unset one of them."
        [[ -r $file ]] || die "$file_name names $file, which uid $(id -u) can't read."
        export "$name=$(< "$file")"
    fi
    [[ -n ${!name:-} ]] || die "$name is empty. Set $file_name to a file that has it."
}

[[ ${1:-} == server ]] || exec "$@"
shift
data=
for argument in "$@"; do
    case $argument in
        --address | :9000 | --quiet | --json) ;;
        -*) die "this image knows no option $argument of MinIO's server." ;;
        *) [[ -z $data ]] || die "one folder only, not $data and $argument."
            data=${argument%/} ;;
    esac
done
[[ -n $data ]] || die "which folder? The command is: server /data"
[[ -w $data ]] \
    || die "uid $(id -u) can't write $data. Give the mounted volume to uid 10005: chown -R 10005:10005 on its folder."
from_file MINIO_ROOT_USER
from_file MINIO_ROOT_PASSWORD

meta=sqlite3://$data/meta.db
objects=$data/objects
name=aisha

# JuiceFS writes a few files before it writes the one row that makes a volume: a first start that is cut off in
# between leaves these files, and the next start would refuse. Nothing but these is ever removed here.
if [[ ! -s $data/meta.db && -e $objects ]] || ! juicefs status "$meta" > /dev/null 2>&1; then
    if [[ -n $(find "$objects" -type f ! -name juicefs_uuid ! -path "$objects/$name/testing*" -print -quit \
        2> /dev/null) ]]; then
        die "$objects has data but $data/meta.db, which says what is what, is missing or broken. Restore" \
            "meta.db from a backup, or load the newest dump in $objects/$name/meta with 'juicefs load'."
    fi
    rm -rf "$objects" "$data"/meta.db*
    juicefs format --storage file --bucket "$objects/" --trash-days 0 "$meta" "$name"
    sync -f "$data"
fi

exec juicefs gateway --multi-buckets --keep-etag --object-tag --object-meta --no-banner \
    --no-usage-report --cache-dir memory --cache-size 0 --buffer-size 64M "$meta" 0.0.0.0:9000
