"""Takes a message in: the row first, then, behind the poller's back, the job."""

import asyncio
import time

from psycopg.rows import DictRow

from app.core.config import Settings
from app.core.errors import Again
from app.core.logs import log
from app.core.metrics import UPDATES
from app.queue.broker import JobQueue
from app.storage.files import FileStore
from app.storage.postgres import describe
from app.storage.repository import NewMessage, Repository
from app.telegram.client import BotApi
from app.workers.jobs import Jobs

ANSWERS = 16
# After this the sweeper takes a new row for forgotten.
DUE_SECONDS = 20.0


class Inbox:
    """`accept` returns once the row is committed: only then may the update be confirmed.

    All that follows is a short cut. If it fails or is cut off, the sweeper of any worker finds
    the row, and the worker downloads the file itself.
    """

    def __init__(
        self,
        settings: Settings,
        api: BotApi,
        repository: Repository,
        queue: JobQueue,
        files: FileStore,
        jobs: Jobs,
    ) -> None:
        self._settings = settings
        self._repository = repository
        self._queue = queue
        self._jobs = jobs
        self._answers = asyncio.Semaphore(ANSWERS)
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self, new: NewMessage) -> None:
        # What is answered here is ours from the beginning.
        answered = new.answer_text is not None
        lease = self._settings.lease_seconds
        due_in = lease if answered else min(DUE_SECONDS, self._settings.requeue_seconds)
        asked = time.monotonic()
        row = await self._repository.add_message(
            new, due_in, self._jobs.owner if answered else None
        )
        UPDATES.labels(new.kind if row else "repeated").inc()
        log.info(
            "update recorded" if row else "update is known already",
            update_id=new.update_id,
            kind=new.kind,
            row=row["id"] if row else None,
        )
        if row is None:
            return
        row["held_since"] = asked
        task = asyncio.create_task(self._go_on(new, row))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _go_on(self, new: NewMessage, row: DictRow) -> None:
        try:
            if new.answer_text is None:
                await self._queue.put("messages", row["id"])
                return
            try:
                await self._answers.acquire()
            except asyncio.CancelledError:
                await self._jobs.hand_back(row)
                raise
            try:
                await self._jobs.answer(row)
            finally:
                self._answers.release()
        except Again as error:
            log.warning("left to the sweeper", update_id=new.update_id, error=str(error))
        except Exception as error:
            log.warning(
                "left to the sweeper", update_id=new.update_id, error=describe(error), exc_info=True
            )

    async def drain(self, seconds: float) -> None:
        """Let what is under way end; the rest is for the sweeper."""
        if not self._tasks:
            return
        _, left = await asyncio.wait(set(self._tasks), timeout=seconds)
        for task in left:
            task.cancel()
        if left:
            log.info("left to the sweeper", tasks=len(left))
            await asyncio.wait(left, timeout=2)
