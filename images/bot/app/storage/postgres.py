"""The connection pool to PostgreSQL."""

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


def describe(error: Exception) -> str:
    """One line for the log, with the way out where there is one."""
    text = str(error).strip().splitlines()
    line = text[0] if text else type(error).__name__
    if isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn):
        return f"{line}: run the image once with the command `migrate`"
    return line


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
        check=AsyncConnectionPool.check_connection,
        open=False,
        name=instance,
    )
