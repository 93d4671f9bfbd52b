"""Looks at every process of the host, again and again, for parts of a secret; until SIGTERM.

What to look for is in a file, backwards, so that nobody finds a token in it. Passed over are
processes that were there before, or are in a container that is known to show it.
"""

import json
import re
import signal
import sys
import time
from pathlib import Path

wanted = json.loads(Path("/opt/sampler.json").read_text())
parts = [part[::-1].encode() for part in wanted["backwards"]]
known = set(wanted["containers"])
before = {path.name for path in Path("/proc").glob("[0-9]*")}
seen: set[str] = set()
leaks: set[str] = set()


def look(path: Path) -> None:
    try:
        command, environment = ((path / n).read_bytes() for n in ("cmdline", "environ"))
        of_known = known & set(re.findall("[0-9a-f]{64}", (path / "cgroup").read_text()))
    except OSError:
        return  # it has ended
    text = command.replace(b"\0", b" ").decode("utf-8", "replace").strip()
    seen.add(text[:120])
    if not of_known and any(part in command + environment for part in parts):
        leaks.add(f"{path.name}: {text[:40]}")


def end(*_: object) -> None:
    Path("/run/sampler.out").write_text(json.dumps({"seen": sorted(seen), "leaks": sorted(leaks)}))
    sys.exit(0)


signal.signal(signal.SIGTERM, end)
Path("/run/sampler.ready").touch()
while True:
    for each in Path("/proc").glob("[0-9]*"):
        if each.name not in before:
            look(each)
    time.sleep(0.02)
