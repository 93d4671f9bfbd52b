"""Statements of many tasks as one: what comes while one is under way goes with the next."""

import asyncio
from collections.abc import Awaitable, Callable

from app.storage.postgres import TRANSIENT

LIMIT = 100


class Batcher[Item, Result]:
    """Alone an item goes at once; of a thousand, a hundred share a statement and its commit."""

    def __init__(
        self,
        work: Callable[[list[Item]], Awaitable[list[Result]]],
        everybodys: tuple[type[Exception], ...] = TRANSIENT,
    ) -> None:
        """After any error but `everybodys` each item is tried by itself."""
        self._work = work
        self._everybodys = everybodys
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Result:
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:LIMIT], self._waiting[LIMIT:]
            await self._do(batch)

    async def _do(self, batch: list[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._work([item for item, _ in batch])
        except BaseException as error:
            if (
                len(batch) > 1
                and isinstance(error, Exception)
                and not isinstance(error, self._everybodys)
            ):
                # One of them can't be written: the others can.
                for one in batch:
                    await self._do([one])
                return
            for _, future in batch:
                if not future.done():
                    if isinstance(error, Exception):
                        future.set_exception(error)
                    else:
                        future.cancel()
            if not isinstance(error, Exception):
                raise
            return
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
