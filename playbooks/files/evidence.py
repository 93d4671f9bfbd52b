"""What became of an update: its row in PostgreSQL and its object in the object storage.

Runs inside a container of the bot, with the bot's own logins. Usage: evidence.py UPDATE_ID SECONDS.
Prints one JSON object {"row": {…}, "object": {"key", "size"}}, once the row is closed.
"""

import json
import os
import sys
import time

import obstore.exceptions
import psycopg
from obstore.store import S3Store
from psycopg.rows import dict_row

DOING = ["reading its settings"]


def secret(name: str) -> str:
    with open(os.environ[f"{name}_FILE"], encoding="utf-8") as file:
        return file.read().strip()


def closed_row(update_id: int, seconds: float) -> dict:
    """The row of the update, as soon as its work is done."""
    end = time.monotonic() + seconds
    query = (
        "SELECT id, status, kind, duration_ms, object_key, object_size,"
        " closed_at IS NOT NULL AS closed FROM messages WHERE update_id = %s"
    )
    DOING.append("reading its row in PostgreSQL")
    with psycopg.connect(secret("DATABASE_URL"), row_factory=dict_row) as connection:
        connection.autocommit = True
        while True:
            row = connection.execute(query, [update_id]).fetchone()
            if (row and row["closed"]) or time.monotonic() > end:
                return row
            time.sleep(0.02)


def stored_object(key: str) -> dict:
    """Key and size of an object, as the object storage has it."""
    DOING.append(f"reading object {key} in the object storage")
    store = S3Store(
        os.environ["S3_BUCKET"],
        endpoint=os.environ["S3_ENDPOINT_URL"],
        access_key_id=os.environ["S3_ACCESS_KEY"],
        secret_access_key=secret("S3_SECRET_KEY"),
        region="us-east-1",
        client_options={"allow_http": True},
    )
    return {"key": key, "size": store.head(key)["size"]}


def main(update_id: int, seconds: float) -> int:
    row = closed_row(update_id, seconds)
    if not row or not row["object_key"]:
        print(f"update {update_id} left no stored object; its row: {row}", file=sys.stderr)
        return 1
    print(json.dumps({"row": row, "object": stored_object(row["object_key"])}))
    return 0


try:
    sys.exit(main(int(sys.argv[1]), float(sys.argv[2])))
except (KeyError, OSError, psycopg.Error, obstore.exceptions.BaseError) as error:
    # The last line of a traceback alone says little, and all of it too much.
    print(f"{DOING[-1]}: {type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(1)
