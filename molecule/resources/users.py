"""Users of the bot, by way of the emulator: they write, and see later whether each got one answer.

    users.py write URL BOT_ID LEDGER COUNT    so many voice messages and texts
    users.py read URL BOT_ID LEDGER SECONDS [MOST]   waits until all were answered; removes LEDGER
    users.py forget URL BOT_ID LEDGER 0       the emulator counts anew; removes LEDGER

`read` fails where an answer is missing after SECONDS or came more than MOST times (default: 1),
where an update was lost, or where two pollers overlapped. Runs on the controller, with its Python.
Prints one JSON object.
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path
from typing import Any

import requests

VOICE = Path(__file__).resolve().parents[2] / "playbooks/files/voice.ogg"
LOST = ("confirmed_undelivered", "dropped", "expired")
# An answer that comes once more comes soon.
SETTLE_SECONDS = 3


class Users:
    def __init__(self, url: str, bot_id: str, ledger: str) -> None:
        self.bot = f"{url}/control/bots/{bot_id}"
        self.ledger = Path(ledger)
        self.http = requests.Session()
        self.http.trust_env = False

    def get(self, path: str) -> Any:
        answer = self.http.get(f"{self.bot}/{path}", timeout=20)
        answer.raise_for_status()
        return answer.json()

    def write(self, count: int) -> dict[str, Any]:
        chats = [random.randint(10**9, 2 * 10**9) for _each in range(2 * count)]  # noqa: S311
        for number, chat in enumerate(chats):
            if number % 2:
                message = {"message": {"chat": {"id": chat}, "text": f"message {chat}"}}
                sent = self.http.post(f"{self.bot}/updates", json=message, timeout=20)
            else:
                files = {"voice": ("voice.ogg", VOICE.read_bytes(), "audio/ogg")}
                data = {"chat_id": str(chat)}
                sent = self.http.post(f"{self.bot}/updates", data=data, files=files, timeout=20)
            sent.raise_for_status()
        with self.ledger.open("a") as file:
            file.writelines(f"{chat}\n" for chat in chats)
        return {"written": len(chats)}

    def forget(self) -> dict[str, Any]:
        self.http.post(f"{self.bot}/reset", json={}, timeout=20).raise_for_status()
        self.ledger.unlink(missing_ok=True)
        return {}

    def answers(self, chats: set[int]) -> dict[int, list[dict[str, Any]]]:
        """What the bot sent to each of these chats that it answered."""
        found: dict[int, list[dict[str, Any]]] = {}
        for sent in self.get("sent"):
            if sent["method"] == "sendMessage" and int(sent["parameters"]["chat_id"]) in chats:
                found.setdefault(int(sent["parameters"]["chat_id"]), []).append(sent)
        return found

    def read(self, seconds: float, most: int) -> dict[str, Any]:
        chats = {int(line) for line in self.ledger.read_text().split()}
        if not chats:
            sys.exit(f"{self.ledger} is empty: nobody wrote, so nothing was proven")
        started = time.monotonic()
        while len(self.answers(chats)) < len(chats) and time.monotonic() < started + seconds:
            time.sleep(0.5)
        waited = round(time.monotonic() - started, 1)
        time.sleep(SETTLE_SECONDS)
        answers, stats = self.answers(chats), self.get("stats")
        repeated = [each for each in answers.values() if len(each) > 1]
        problems = {
            "never answered": len(chats) - len(answers),
            "answered too often": sum(len(each) > most for each in repeated),
            "updates lost": sum(stats[key] for key in LOST),
            "two polls at once": max(0, stats["max_open"] - 1),
            "conflicts": sum(stats["conflicts"].values()),
        }
        if any(problems.values()):
            details = stats | {"gaps_ms": "…", "repeated": repeated}
            sys.exit(f"{problems}\n{json.dumps(details, ensure_ascii=False)}")
        self.ledger.unlink()
        return {
            "answered": len(chats),
            "more than once": len(repeated),
            "after_s": waited,
            "redelivered": stats["redelivered"],
        }


def main(action: str, url: str, bot_id: str, ledger: str, number: str, most: str = "1") -> None:
    users = Users(url, bot_id, ledger)
    actions = {
        "write": lambda: users.write(int(number)),
        "read": lambda: users.read(float(number), int(most)),
        "forget": users.forget,
    }
    result = actions[action]()
    print(json.dumps(result))


if __name__ == "__main__":
    main(*sys.argv[1:])
