"""Fixtures: the image `volumes`, built once, and what runs containers of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
if str(HERE) not in sys.path:
    sys.path.insert(0, str(HERE))

from volume_runner import ROOT, Runner, base_image  # noqa: E402  needs the path above


@pytest.fixture(scope="session")
def runner() -> Iterator[Runner]:
    runner = Runner()
    yield runner
    assert runner.clean() == [], "containers were left behind"


@pytest.fixture(scope="session")
def volumes_image(runner: Runner) -> str:
    image, _log = runner.client.images.build(
        path=str(ROOT / "images/volumes"),
        tag=f"{runner.prefix}/volumes",
        buildargs={"BASE_IMAGE": base_image()},
        rm=True,
    )
    return str(image.id)


@pytest.fixture(scope="session")
def other_image(runner: Runner, volumes_image: str) -> str:
    """As some of upstream's: no user, and a folder that is root's where the volume is."""
    return runner.build("other", "RUN mkdir -p /data && chmod 0755 /data", volumes_image)
