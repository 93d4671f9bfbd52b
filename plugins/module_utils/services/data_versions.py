# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which version wrote the data in a volume, and whether a server of another one can use it.

judge_… are pure; look_… read files of one folder and write nothing.
"""

from __future__ import annotations

import os
import re
import struct

# How deep a data directory may be in its volume: 18/docker, pgdata, data.
DEPTH = 3
PAGE = 8192
# Of pg_authid: its OID, and of the superuser that initdb makes.
AUTHID, BOOTSTRAP = 1260, 10
FILENODE_MAP_MAGIC = 0x592717
NAME_LENGTH = 64

# The newest RDB version that a server reads, by its version (RDB_VERSION of its sources). A later one reads the last at least.
REDIS_READS = [((7, 4), 12), ((7, 2), 11), ((7, 0), 10), ((5, 0), 9), ((0,), 8)]
REDIS_KNOWN = (8, 1)
# Valkey reads what Redis 7.2 wrote; from 9 on it writes a format of its own, which nothing older reads.
VALKEY_REDIS = 11
VALKEY_OWN = [((9, 0), 80)]
VALKEY_KNOWN = (9, 1)


class DataError(Exception):
    """Data that can't be used as wanted."""


# PostgreSQL


def mount_of(major):
    """Where the volume is mounted: version 18 moved it one folder up, with the data below it."""
    return "/var/lib/postgresql" if major >= 18 else "/var/lib/postgresql/data"


def usual_folder(major):
    """The folder of the data in its volume, as upstream's image of this version has it."""
    return "%d/docker" % major if major >= 18 else ""


def _described(found):
    return ", ".join(
        "PostgreSQL %s in %s" % (version, "its top folder" if folder == "" else folder)
        for folder, version in sorted(found.items())
    )


def judge_postgres(found, major, image_major, volume):
    """The folder of the data in its volume that a server of this version is to use, or DataError.

    found: {folder in the volume: version}; image_major: None where the image does not say it.
    """
    if image_major is not None and image_major != str(major):
        raise DataError(
            "postgres_image is PostgreSQL %s, but postgres_major is %d. Set postgres_major to %s, or postgres_image"
            " to an image of PostgreSQL %d." % (image_major, major, image_major, major)
        )
    fitting = [folder for folder, version in found.items() if version == str(major)]
    if usual_folder(major) in fitting:
        return usual_folder(major)
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise DataError(
            "The volume %s has several databases of PostgreSQL %d, in %s, and it can't be known which one is meant."
            " Move all but one out of the volume." % (volume, major, " and ".join(sorted(fitting)))
        )
    if found:
        raise DataError(
            "The volume %s holds %s, but postgres_major is %d. Either set postgres_major to %s and postgres_image to an"
            " image of it, or dump all databases with the old version (pg_dumpall), set postgres_volume to a new name,"
            " and restore the dump there."
            % (volume, _described(found), major, " or ".join(sorted(set(found.values()))))
        )
    return usual_folder(major)


def judge_superuser(name, wanted, volume):
    """DataError where the superuser of the data is another one than wanted; unknown names pass."""
    if name is not None and name != wanted:
        raise DataError(
            "The superuser of the database in the volume %s is %s, but postgres_superuser is %s. Set postgres_superuser"
            " to %s." % (volume, name, wanted, name)
        )


def look_postgres(root):
    """{folder below root: version} of every data directory."""
    found = {}

    def look(folder, depth):
        path = os.path.join(root, folder)
        version = _read(os.path.join(path, "PG_VERSION"), 16)
        if version is not None and os.path.isdir(os.path.join(path, "global")):
            found[folder] = version.decode("ascii", "replace").strip()
            return
        if depth == DEPTH:
            return
        for entry in sorted(os.scandir(path), key=lambda item: item.name):
            if entry.is_dir(follow_symlinks=False) and entry.name != ".init":
                look(os.path.join(folder, entry.name), depth + 1)

    look("", 0)
    return found


def parse_filenode(table, relation):
    """The file of a mapped relation, from the bytes of pg_filenode.map; None where it is not in there."""
    if len(table) < 8:
        return None
    for order in ("<", ">"):
        magic, count = struct.unpack_from(order + "ii", table)
        if magic != FILENODE_MAP_MAGIC or not 0 <= count <= (len(table) - 8) // 8:
            continue
        pairs = struct.unpack_from("%s%dI" % (order, 2 * count), table, 8)
        return dict(zip(pairs[::2], pairs[1::2])).get(relation)
    return None


def parse_superuser(heap):
    """The name of the superuser that initdb made, from the pages of pg_authid; None where it is not seen.

    A row that was changed is there twice until VACUUM; its newest version has no successor (xmax).
    """
    names = []
    for start in range(0, len(heap) - PAGE + 1, PAGE):
        page = heap[start : start + PAGE]
        lower = struct.unpack_from("=H", page, 12)[0]
        for number in range((lower - 24) // 4 if 24 <= lower <= PAGE else 0):
            line = struct.unpack_from("=I", page, 24 + 4 * number)[0]
            offset, used, length = line & 0x7FFF, line >> 15 & 3, line >> 17
            if used != 1 or length < 24 + NAME_LENGTH or offset + length > PAGE:
                continue
            xmax, mask = (
                struct.unpack_from("=I", page, offset + 4)[0],
                struct.unpack_from("=H", page, offset + 20)[0],
            )
            row = offset + page[offset + 22]
            if struct.unpack_from("=I", page, row)[0] != BOOTSTRAP:
                continue
            name = page[row + 4 : row + 4 + NAME_LENGTH].split(b"\0")[0].decode("utf-8", "replace")
            # 0x0800: xmax is not valid; 0x0080: it only locked the row.
            names.append((xmax == 0 or bool(mask & 0x0880), name))
    current = [name for alive, name in names if alive]
    return current[0] if len(current) == 1 else None


def look_superuser(path):
    """The name of the superuser of one data directory; None where it can't be known."""
    table = _read(os.path.join(path, "global", "pg_filenode.map"), PAGE)
    filenode = parse_filenode(table, AUTHID) if table is not None else None
    if filenode is None:
        return None
    heap = _read(os.path.join(path, "global", str(filenode)), 64 * PAGE)
    return parse_superuser(heap) if heap is not None else None


# Redis


def parse_rdb(header):
    """("redis" or "valkey", version) from the first bytes of an RDB file; None for another file."""
    match = re.match(rb"(REDIS)([0-9]{4})|(VALKEY)([0-9]{3})", header)
    if not match:
        return None
    return ("redis", int(match.group(2))) if match.group(1) else ("valkey", int(match.group(4)))


def parse_server(text):
    """("Redis" or "Valkey", version as a tuple) from `redis-server --version`; None for another text."""
    match = re.search(r"(?i)\b(redis|valkey) server v=([0-9]+(?:\.[0-9]+)*)", text)
    if not match:
        return None
    return match.group(1).capitalize(), tuple(int(part) for part in match.group(2).split("."))


def reads(server, data):
    """Whether a server reads a format: True, False, or None where this collection is too old to know."""
    (name, version), (format_name, format_version) = server, data
    if name == "Valkey":
        if format_name == "redis":
            return format_version <= VALKEY_REDIS
        newest = next((own for since, own in VALKEY_OWN if version >= since), 0)
        known = VALKEY_KNOWN
    else:
        if format_name == "valkey":
            return False
        newest = next(newest for since, newest in REDIS_READS if version >= since)
        known = REDIS_KNOWN
    if format_version <= newest:
        return True
    return None if version[:2] >= known else False


def _writer(data):
    name, version = data
    if name == "valkey":
        return "Valkey 9 or newer"
    names = {
        9: "Redis 5 to 6",
        10: "Redis 7.0",
        11: "Redis 7.2 or Valkey 8",
        12: "Redis 7.4 to 8.0",
    }
    return names.get(version, "Redis 4 or older" if version < 9 else "a Redis newer than 8.0")


def judge_redis(files, server, volume):
    """A warning or "", or DataError. files: {name: format or None}; server: None where it is not known."""
    if "dump.rdb" in files and len(files) == 1:
        raise DataError(
            "The volume %s has data in dump.rdb only, and a server with an append-only file does not read that: it would"
            " start empty. Start the old server on it, let it make the file (CONFIG SET appendonly yes, then wait for"
            " aof_rewrite_in_progress:0 in INFO persistence), stop it and run this again." % volume
        )
    warning = ""
    for name, data in sorted(files.items()):
        if data is None or name == "dump.rdb" or server is None:
            continue
        what = "%s of the volume %s was written by %s (RDB version %d)" % (
            name,
            volume,
            _writer(data),
            data[1],
        )
        image = "%s %s" % (server[0], ".".join(map(str, server[1])))
        answer = reads(server, data)
        if answer is False:
            raise DataError(
                "%s, and redis_image is %s, which can't read that. Set redis_image to what wrote it, or set redis_volume to"
                " a new name and copy the keys over with a client." % (what, image)
            )
        if answer is None:
            warning = "%s; whether redis_image, %s, reads that is not known." % (what, image)
    return warning


def look_redis(root):
    """{file: its RDB format or None} of what a server would read at its start."""
    names = ["dump.rdb", "appendonly.aof"]
    folder = os.path.join(root, "appendonlydir")
    if os.path.isdir(folder):
        names += [os.path.join("appendonlydir", name) for name in os.listdir(folder)]
    found = {}
    for name in names:
        header = _read(os.path.join(root, name), 9)
        if header:
            found[name] = parse_rdb(header)
    return found


def _read(path, size):
    """The first bytes of a file; None where there is none."""
    try:
        with open(path, "rb") as file:
            return file.read(size)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
