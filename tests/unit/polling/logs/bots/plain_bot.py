"""A poller without any framework, as people write it: prints what the Bot API answers."""

from __future__ import annotations

import time

import requests
import settings

offset = 0
while True:
    try:
        answer = requests.post(
            f"{settings.API}/bot{settings.TOKEN}/getUpdates",
            json={"offset": offset, "timeout": settings.POLL},
            timeout=settings.POLL + settings.PATIENCE,
        ).json()
    except requests.RequestException as error:
        print("getUpdates:", error, flush=True)
        time.sleep(1)
        continue
    if not answer["ok"]:
        print("getUpdates:", answer, flush=True)
        time.sleep(1)
        continue
    for update in answer["result"]:
        offset = update["update_id"] + 1
        print("update:", update, flush=True)
