"""`python -m app replay`: updates whose handler failed; shows them and has them handled again.

The primary finds what is open again by itself. Needs nothing but the database.
"""

import argparse
import json
import sys
from datetime import UTC
from typing import Any

import psycopg
from psycopg.rows import dict_row

from app.core.config import load_settings
from app.core.errors import ConfigError

EXIT_CONFIG = 2
EXIT_NO_DATABASE = 69
LIST_LIMIT = 200


def line(row: dict[str, Any]) -> str:
    """One failed update, without anything that its user wrote."""
    when = row["closed_at"].astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    chat = "-" if row["chat_id"] is None else row["chat_id"]
    error = " ".join((row["error"] or "").split())[:200]
    return (
        f"{row['id']}\tupdate {row['update_id']}\tchat {chat}\t{when}\t"
        f"tried {row['attempts']} times\t{error}"
    )


def _list(connection: psycopg.Connection[dict[str, Any]], limit: int) -> int:
    rows = connection.execute(
        "SELECT *, count(*) OVER () AS total FROM updates WHERE status = 'failed' "
        "ORDER BY id LIMIT %s",
        (limit,),
    ).fetchall()
    if not rows:
        print("No update failed.")
        return 0
    for row in rows:
        print(line(row))
    if rows[0]["total"] > len(rows):
        print(f"… and {rows[0]['total'] - len(rows)} more")
    print("Run them again: python -m app replay run [ID ...], all of them without an ID.")
    return 0


def _show(connection: psycopg.Connection[dict[str, Any]], row_id: int) -> int:
    row = connection.execute("SELECT * FROM updates WHERE id = %s", (row_id,)).fetchone()
    if row is None:
        print(f"There is no update {row_id}: python -m app replay lists them.", file=sys.stderr)
        return 1
    print(row["error"] or "no error")
    print(json.dumps(json.loads(row["raw"]), indent=2) if row["raw"] else "its text is removed")
    return 0


def _run(connection: psycopg.Connection[dict[str, Any]], ids: list[int]) -> int:
    rows = connection.execute(
        """
        UPDATE updates SET status = 'open', attempts = 0, due_at = now(), closed_at = NULL
        WHERE status = 'failed' AND (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s))
        RETURNING id
        """,
        {"ids": ids or None},
    ).fetchall()
    found = {row["id"] for row in rows}
    print(f"{len(found)} are open again; the running primary handles them now.")
    missing = sorted(set(ids) - found)
    if missing:
        print(f"Not failed, or not there: {', '.join(map(str, missing))}", file=sys.stderr)
    return 1 if missing else 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m app replay", description="Updates whose handler failed."
    )
    top.set_defaults(do="list", limit=LIST_LIMIT)
    commands = top.add_subparsers(dest="do")
    listing = commands.add_parser("list", help="show them (this is what it does without a command)")
    listing.add_argument("--limit", type=int, default=LIST_LIMIT)
    show = commands.add_parser("show", help="show one as it came, with its error")
    show.add_argument("id", type=int)
    run = commands.add_parser("run", help="have them handled again")
    run.add_argument("ids", type=int, nargs="*", metavar="ID", help="of the list; all without one")
    return top


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    try:
        url = load_settings("migrate").reveal("database_url")
    except ConfigError as error:
        print(error, file=sys.stderr)
        return EXIT_CONFIG
    try:
        with psycopg.connect(
            url, connect_timeout=5, application_name="aisha-replay", row_factory=dict_row
        ) as connection:
            if options.do == "run":
                return _run(connection, options.ids)
            if options.do == "show":
                return _show(connection, options.id)
            return _list(connection, options.limit)
    except psycopg.errors.UndefinedTable:
        print("There is no table of updates yet: run the image once with `migrate`.")
        return EXIT_NO_DATABASE
    except psycopg.OperationalError as error:
        print(f"no database: {str(error).strip()}", file=sys.stderr)
        return EXIT_NO_DATABASE
