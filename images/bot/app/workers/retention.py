"""What is kept, and for how long: rows that are closed, and their objects."""

from app.core.config import Settings
from app.core.errors import Again
from app.core.logs import log
from app.storage.repository import Repository, Table
from app.storage.s3 import ObjectStore

BATCH = 200
BATCHES = 10


class Retention:
    """First the object, then the row that names it: what can't be deleted keeps its row."""

    def __init__(self, settings: Settings, repository: Repository, store: ObjectStore) -> None:
        self._days: dict[Table, float] = {
            "messages": settings.keep_messages_days,
            "callbacks": settings.keep_callbacks_days,
        }
        self._repository = repository
        self._store = store
        self._refused = False

    async def once(self) -> int:
        """Forget what is too old, some thousand rows at most; gives how many."""
        total = 0
        for table, days in self._days.items():
            if not days:
                continue
            for _ in range(BATCHES):
                number = await self._batch(table, days)
                total += number
                if number < BATCH:
                    break
        return total

    async def _batch(self, table: Table, days: float) -> int:
        rows = await self._repository.old(table, days, BATCH)
        if not rows:
            return 0
        keys = [row["object_key"] for row in rows if row["object_key"]]
        try:
            await self._store.delete(keys)
        except Again as error:
            if not self._refused:
                log.warning("old objects can't be deleted; their rows are kept", error=str(error))
            self._refused = True
            return 0
        self._refused = False
        await self._repository.forget(table, [row["id"] for row in rows])
        return len(rows)
