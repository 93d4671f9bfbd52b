"""Shows how long the parts of `make test` took, and the ten slowest tests.

A part is what tests/tools/timed notes in .cache/times, a test what pytest writes to PART.xml there.
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

MOST = 10


def parts(folder: Path) -> list[tuple[float, str]]:
    """Seconds and name of each part, the slowest first."""
    found = []
    for path in folder.iterdir():
        if path.suffix != ".xml":
            began, ended, code = path.read_text().split()
            failed = "" if code == "0" else ", failed"
            found.append((float(ended) - float(began), path.name + failed))
    return sorted(found, reverse=True)


def tests(folder: Path) -> list[tuple[float, str]]:
    """Seconds and name of each test, with its fixtures, the slowest first."""
    found = []
    for path in folder.glob("*.xml"):
        # pytest wrote it here, a moment ago.
        for case in ElementTree.parse(path).iter("testcase"):  # noqa: S314
            where = case.get("classname", "").rpartition(".")[2]
            found.append((float(case.get("time", 0)), f"{where}::{case.get('name')}"))
    return sorted(found, reverse=True)


def span(folder: Path) -> float:
    """From the beginning of the first part to the end of the last."""
    times = [path.read_text().split() for path in folder.iterdir() if path.suffix != ".xml"]
    return max(float(t[1]) for t in times) - min(float(t[0]) for t in times)


def main(folder: Path) -> None:
    if not parts(folder):
        sys.exit(f"slowest: no part has run: {folder} is empty")
    print("\nThe parts, by their time:")
    for seconds, name in parts(folder):
        print(f"{seconds:8.0f} s  {name}")
    print(f"\nThe {MOST} slowest tests:")
    for seconds, name in tests(folder)[:MOST]:
        print(f"{seconds:8.1f} s  {name}")
    print(f"\nIn all {span(folder) / 60:.1f} minutes.")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else ".cache/times"))
