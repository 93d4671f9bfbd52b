"""The connection pool to PostgreSQL."""

import re
import time
from weakref import WeakKeyDictionary

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

Pool = AsyncConnectionPool[AsyncConnection[DictRow]]

# What passes by itself, or once somebody has repaired the database: try again. A missing table
# belongs here, because `migrate` may not have run yet.
TRANSIENT: tuple[type[Exception], ...] = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.UndefinedTable,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.ReadOnlySqlTransaction,
)

# The only texts of errors that are read: libpq gives no code when a connection is refused, whatever
# the server said, and no kind but "operational".
# "connection to server at … failed: FATAL:  text". libpq writes its own texts behind one blank, the
# server's behind two, and the severity is in the server's language.
SAID_BY_SERVER = re.compile(r"failed: \S+:  (.+)")
# What a server says that is there and has no place or no time: PostgreSQL's 57P03 and 53300 (libpq
# hides the codes) and what poolers before it say.
NOT_NOW = re.compile(
    r"starting up|shutting down|recovery|not (yet )?accepting|too many|no more connections"
    r"|connection slots|terminating connection|cannot connect|try again|wait_timeout"
)


def describe(error: Exception) -> str:
    """One line for the log, with the way out where there is one."""
    text = str(error).strip().splitlines()
    line = text[0] if text else type(error).__name__
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        return f"{line}: run the image once with the command `migrate`"
    return line


def refused_by_postgres(error: psycopg.Error) -> str | None:
    """Why the server refused the login, None when it only could not be asked."""
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return str(error).strip().splitlines()[0]
    for text in SAID_BY_SERVER.findall(str(error)):
        if not NOT_NOW.search(text):
            return str(text)
    return None


# A connection that was good so lately is taken as good: asking costs as much as most queries do.
CHECKED_SECONDS = 1.0
_good_at: "WeakKeyDictionary[AsyncConnection[DictRow], float]" = WeakKeyDictionary()


async def check(connection: AsyncConnection[DictRow]) -> None:
    now = time.monotonic()
    if now - _good_at.get(connection, -CHECKED_SECONDS) >= CHECKED_SECONDS:
        await AsyncConnectionPool.check_connection(connection)
        _good_at[connection] = now


def make_pool(url: str, instance: str, size: int) -> Pool:
    """A closed pool: opening it needs no database, and an outage never closes it."""
    return AsyncConnectionPool(
        url,
        connection_class=AsyncConnection[DictRow],
        kwargs={
            "autocommit": True,
            "row_factory": dict_row,
            "application_name": instance[:63],
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            "tcp_user_timeout": 15000,
            "options": "-c statement_timeout=15s -c lock_timeout=10s",
        },
        min_size=1,
        max_size=size,
        timeout=3,
        # Attempts within one reconnect get rarer up to this time; then they start anew.
        reconnect_timeout=5,
        max_lifetime=1800,
        check=check,
        open=False,
        name=instance,
    )
