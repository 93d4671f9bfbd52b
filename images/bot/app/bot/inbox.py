"""Takes a message in: the row first, then, behind the poller's back, the file and the job."""

import asyncio

from app.bot.client import BotApi
from app.core.config import Settings
from app.core.errors import Again, Refused
from app.core.logs import log
from app.core.metrics import UPDATES
from app.storage.files import FileStore
from app.storage.postgres import describe
from app.storage.repository import NewMessage, Repository
from app.workers.broker import JobQueue
from app.workers.jobs import Jobs

DOWNLOADS = 8
ANSWERS = 4
# After this the sweeper takes a new row for forgotten.
DUE_SECONDS = 20.0
DOWNLOAD_SECONDS = 15.0


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
        self._api = api
        self._repository = repository
        self._queue = queue
        self._files = files
        self._jobs = jobs
        self._downloads = asyncio.Semaphore(DOWNLOADS)
        self._answers = asyncio.Semaphore(ANSWERS)
        self._tasks: set[asyncio.Task[None]] = set()

    async def accept(self, new: NewMessage) -> None:
        due_in = min(DUE_SECONDS, self._settings.requeue_seconds)
        row_id = await self._repository.add_message(new, due_in)
        UPDATES.labels(new.kind if row_id is not None else "repeated").inc()
        log.info(
            "update recorded" if row_id is not None else "update is known already",
            update_id=new.update_id,
            kind=new.kind,
            row=row_id,
        )
        if row_id is None:
            return
        task = asyncio.create_task(self._go_on(new, row_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _go_on(self, new: NewMessage, row_id: int) -> None:
        try:
            if new.answer_text is not None:
                async with self._answers:
                    await self._jobs.process_message(row_id)
                return
            if not self._downloads.locked():
                async with self._downloads:
                    await self._fetch(new)
            await self._queue.put("messages", row_id)
        except Again as error:
            log.warning("left to the sweeper", update_id=new.update_id, error=str(error))
        except Exception as error:
            log.warning(
                "left to the sweeper", update_id=new.update_id, error=describe(error), exc_info=True
            )

    async def _fetch(self, new: NewMessage) -> None:
        """Fetch the file while it is fresh. Whatever goes wrong, the worker decides about it."""
        if new.file_id is None:
            return
        target = self._files.source(new.bot_id, new.update_id)
        try:
            async with asyncio.timeout(DOWNLOAD_SECONDS):
                await self._api.download(
                    new.file_id, self._files, target, self._settings.max_file_bytes, 1
                )
        except (Again, Refused, TimeoutError) as error:
            log.warning("not downloaded yet", update_id=new.update_id, error=str(error))

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
