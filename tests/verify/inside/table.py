"""What the bot's own login may do in PostgreSQL. The bot's image must have psycopg for it."""

import json
import os
import uuid
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier

url = Path(os.environ["DATABASE_URL_FILE"]).read_text().strip()
table, text = f"verify_{uuid.uuid4().hex}", uuid.uuid4().hex
name = Identifier(table)
result = {}
with psycopg.connect(url, connect_timeout=5) as connection:
    connection.execute(SQL("CREATE TABLE {} (text text)").format(name))
    connection.execute(SQL("INSERT INTO {} VALUES (%s)").format(name), [text])
try:
    with psycopg.connect(url, connect_timeout=5) as connection:
        row = connection.execute(SQL("SELECT text FROM {}").format(name)).fetchone()
        result["same"] = row == (text,)
finally:
    with psycopg.connect(url, connect_timeout=5) as connection:
        connection.execute(SQL("DROP TABLE {}").format(name))
for case, options in (("wrong password", {"password": "wrong"}), ("no such user", {"user": text})):
    try:
        psycopg.connect(url, connect_timeout=5, **options).close()
        result[case] = "accepted"
    except psycopg.OperationalError:
        result[case] = "refused"
with psycopg.connect(url, connect_timeout=5, autocommit=True) as connection:
    for case, statement in (
        ("create a role", f"CREATE ROLE {table}"),
        ("create a database", f"CREATE DATABASE {table}"),
        ("read a file of the server", "SELECT pg_read_file('/etc/passwd')"),
    ):
        try:
            connection.execute(statement)
            result[case] = "accepted"
        except psycopg.errors.InsufficientPrivilege:
            result[case] = "refused"
print(json.dumps(result))
