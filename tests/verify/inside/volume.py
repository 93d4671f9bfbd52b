"""Writes, reads and removes a file in each folder of the image contract, as the user of PID 1."""

import json
import os
import sys
from pathlib import Path

action, name, text = sys.argv[1:]
result = {"uid": os.getuid(), "uid_of_pid_1": os.stat("/proc/1").st_uid, "failed": []}
for folder in ("/app/storage/temp", "/app/storage/audio", "/app/logs"):
    path = Path(folder, name)
    try:
        if action == "write":
            # Several containers write it at the same time: each puts it there at once.
            part = path.with_name(f"{name}.{os.uname().nodename}")
            part.write_text(text)
            part.replace(path)
        if path.read_text() != text:
            result["failed"].append(f"{path}: what was read is not what was written")
        if action == "remove":
            path.unlink()
    except OSError as error:
        result["failed"].append(f"{path}: {error.strerror}")
print(json.dumps(result))
