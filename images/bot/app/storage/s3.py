"""The bucket that holds the finished audio."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import obstore
from aiohttp import ClientError, ClientSession, ClientTimeout
from obstore.exceptions import (
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    UnauthenticatedError,
)
from obstore.store import S3Store

from app.core.config import Settings
from app.core.errors import Again, LoginRefused

SIGNED = timedelta(minutes=2)


def object_key(bot_id: int, update_id: int) -> str:
    """Derived from the update, so that a job that is done twice writes the same object."""
    return f"voice/{bot_id}/{update_id}.ogg"


def refusal(text: str) -> str:
    """The server's own word for it, such as AccessDenied, out of all that the client says."""
    code = re.search(r"<Code>(\w+)</Code>", text)
    return code.group(1) if code else text.rpartition("status code: ")[2][:150]


class ObjectStore:
    def __init__(self, settings: Settings) -> None:
        self._bucket = settings.reveal("s3_bucket")
        options: dict[str, Any] = {
            "endpoint": settings.reveal("s3_endpoint_url"),
            "region": settings.s3_region,
            "access_key_id": settings.reveal("s3_access_key"),
            "secret_access_key": settings.reveal("s3_secret_key"),
            "virtual_hosted_style_request": False,
        }
        retry: Any = {
            "max_retries": 2,
            "retry_timeout": timedelta(seconds=10),
            "backoff": {
                "init_backoff": timedelta(milliseconds=200),
                "max_backoff": timedelta(seconds=2),
                "base": 2,
            },
        }
        # Needs no server: the first request connects.
        self._store = S3Store(
            self._bucket,
            **options,
            client_options={
                "allow_http": True,
                "connect_timeout": timedelta(seconds=3),
                "timeout": timedelta(seconds=60),
            },
            retry_config=retry,
        )

    async def ping(self) -> None:
        """One page of a prefix that is always empty: needs only ListBucket."""
        try:
            await obstore.list_with_delimiter_async(self._store, "health-probe/")
        except (BaseError, OSError) as error:
            raise self._again("list", error) from None

    async def put(self, key: str, path: Path, content_type: str) -> None:
        try:
            await obstore.put_async(
                self._store,
                key,
                path,
                attributes={"Content-Type": content_type},
                # One request: whole or absent, and no abandoned parts to clean up.
                use_multipart=False,
            )
        except (BaseError, OSError) as error:
            raise self._again("put", error) from None

    async def delete(self, keys: list[str]) -> None:
        """One after the other, as nobody waits for it; what is gone already is no error.

        By signed addresses: obstore deletes in bulk, which not every S3 server answers as it likes.
        """
        async with ClientSession(timeout=ClientTimeout(total=30, connect=3)) as session:
            for key in keys:
                try:
                    url = await obstore.sign_async(self._store, "DELETE", key, SIGNED)
                    async with session.delete(url) as answer:
                        status, body = answer.status, await answer.text(errors="replace")
                except (BaseError, ClientError, TimeoutError) as error:
                    # Without its text, which may have the signed address.
                    raise Again(f"object storage: delete failed: {type(error).__name__}") from None
                if status in (401, 403):
                    raise self._refused("delete", body)
                if status >= 300 and status != 404:
                    raise Again(f"object storage: delete failed: HTTP {status}")

    def _again(self, operation: str, error: Exception) -> Again:
        # obstore appends a debug dump of many lines.
        text = " ".join(str(error).split("\n\nDebug source", 1)[0].split())
        denied = isinstance(error, PermissionDeniedError | UnauthenticatedError)
        if denied or re.search(r"status code: 40[13]\b", text):
            return self._refused(operation, text)
        hint = ""
        if isinstance(error, NotFoundError) or "NoSuchBucket" in text:
            hint = f" (is there a bucket {self._bucket}? check S3_BUCKET)"
        return Again(f"object storage: {operation} failed{hint}: {text[:300]}")

    @staticmethod
    def _refused(operation: str, text: str) -> LoginRefused:
        return LoginRefused(
            f"the object storage refuses {operation} (check S3_ACCESS_KEY, S3_SECRET_KEY_FILE "
            f"and the user's policy): {refusal(text)}"
        )
