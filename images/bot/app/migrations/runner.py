"""`python -m app migrate`: waits for the database (with a limit), then upgrades; safe to repeat."""

import time
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from app.core.config import Settings
from app.core.logs import log
from app.storage.postgres import refused_by_postgres

EXIT_NO_DATABASE = 69
EXIT_FAILED = 1
TABLES = ("messages", "callbacks")
LOCK = 7155420173026
HERE = Path(__file__).parent


def _connect(url: str, wait: float) -> psycopg.Connection:
    deadline = time.monotonic() + wait
    told = False
    while True:
        try:
            return psycopg.connect(url, connect_timeout=5, application_name="aisha-migrate")
        except psycopg.OperationalError as error:
            # Waiting cures a database that is not up yet, not a wrong password.
            hopeless = refused_by_postgres(error) is not None
            if hopeless or time.monotonic() >= deadline:
                raise
            if not told:
                log.info("waiting for the database", limit_s=wait, reason=str(error).strip())
                told = True
            time.sleep(0.5)


def migrate(settings: Settings) -> int:
    url = settings.reveal("database_url")
    try:
        connection = _connect(url, settings.migrate_wait_seconds)
    except psycopg.OperationalError as error:
        log.critical(
            "no database: check DATABASE_URL_FILE, and that PostgreSQL runs",
            waited_s=settings.migrate_wait_seconds,
            error=str(error).strip(),
        )
        return EXIT_NO_DATABASE
    engine = create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=NullPool)
    try:
        with engine.connect() as alchemy:
            # Two deployments at a time: the second waits, then finds nothing to do.
            alchemy.exec_driver_sql("SELECT pg_advisory_lock(%(key)s)", {"key": LOCK})
            alchemy.commit()
            return _upgrade(alchemy)
    except DBAPIError as error:
        log.critical(
            "the tables could not be brought up to date", error=" ".join(str(error.orig).split())
        )
        return EXIT_FAILED


def _upgrade(alchemy: Connection) -> int:
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = alchemy
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    before = _revisions(alchemy)
    unknown = sorted(set(before) - known)
    if unknown:
        return _leave(alchemy, unknown)
    command.upgrade(config, "head")
    alchemy.commit()
    after = _revisions(alchemy)
    log.info("the schema is up to date", before=before, after=after, changed=before != after)
    return 0


def _revisions(alchemy: Connection) -> list[str]:
    found = MigrationContext.configure(alchemy).get_current_heads()
    alchemy.commit()
    return sorted(found)


def _leave(alchemy: Connection, revisions: list[str]) -> int:
    """An image from before a migration, as after a rollback: migrations only ever add."""
    missing = [
        table
        for table in TABLES
        if alchemy.exec_driver_sql("SELECT to_regclass(%(t)s)", {"t": table}).scalar() is None
    ]
    if missing:
        log.critical(
            "this database is another application's: check DATABASE_URL_FILE",
            error=f"revision {', '.join(revisions)} is not known, and no table {missing[0]}",
        )
        return EXIT_FAILED
    log.info(
        "the tables are newer than this image knows; they are left as they are",
        revisions=revisions,
        changed=False,
    )
    return 0
