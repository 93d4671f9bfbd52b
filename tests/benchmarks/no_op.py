"""What a run of site.yml costs that changes nothing, beside one play of 40 `ping` tasks.

`make bench-no-op`, after `make up`. The two take turns on the same machine; prints the median of
each and of their ratios.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TASKS = 40


def play() -> str:
    """A play of pings on the inventory's first host."""
    tasks = "".join(f"    - {{name: Ping {n}, ansible.builtin.ping: }}\n" for n in range(TASKS))
    return f"- name: Ping\n  hosts: bot[0]\n  gather_facts: false\n  tasks:\n{tasks}"


def seconds(*command: str) -> float:
    """How long a command takes. It must succeed, and change nothing."""
    began = time.monotonic()
    run = subprocess.run(
        ["ansible-playbook", *command], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    taken = time.monotonic() - began
    assert run.returncode == 0, run.stdout + run.stderr
    assert set(re.findall(r"changed=(\d+)", run.stdout)) == {"0"}, run.stdout
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inventory", default="inventory/local")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pings = Path(folder, "pings.yml")
        pings.write_text(play())
        rounds = [
            (
                seconds("site.yml", "-i", options.inventory),
                seconds(str(pings), "-i", options.inventory),
            )
            for _ in range(options.rounds)
        ]
    site, ping = ([pair[n] for pair in rounds] for n in (0, 1))
    ratio = statistics.median(one / other for one, other in rounds)
    print(f"site.yml without a change: {statistics.median(site):.1f} s (median of {len(site)})")
    print(f"one play of {TASKS} pings: {statistics.median(ping):.1f} s; ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
