"""What this process could do if it were taken over."""

import json
from pathlib import Path

status = dict(
    line.split(":\t", 1)
    for line in Path("/proc/1/status").read_text().splitlines()
    if ":\t" in line
)
try:
    Path("/app/verify").write_text("")
    root = "writable"
except OSError as error:
    root = error.strerror
print(
    json.dumps(
        {
            "root": root,
            "uid": status["Uid"].split()[0],
            "capabilities": int(status["CapEff"], 16) | int(status["CapBnd"], 16),
            "no_new_privileges": status["NoNewPrivs"].strip() == "1",
        }
    )
)
