"""`python -m app migrate`: waits for the database (with a limit), then upgrades; safe to repeat."""

import time
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from app.core.config import Settings
from app.core.logs import log

EXIT_NO_DATABASE = 69
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
            hopeless = "password authentication failed" in str(error)
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
    config = Config()
    config.set_main_option("script_location", str(HERE))
    config.set_main_option("path_separator", "os")
    engine = create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=NullPool)
    with engine.connect() as alchemy:
        # Two deployments at a time: the second waits, then finds nothing to do.
        alchemy.exec_driver_sql("SELECT pg_advisory_lock(%(key)s)", {"key": LOCK})
        alchemy.commit()
        before = MigrationContext.configure(alchemy).get_current_revision()
        config.attributes["connection"] = alchemy
        command.upgrade(config, "head")
        alchemy.commit()
        after = MigrationContext.configure(alchemy).get_current_revision()
    log.info("the schema is up to date", before=before, after=after, changed=before != after)
    return 0
