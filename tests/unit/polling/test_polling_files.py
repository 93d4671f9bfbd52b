"""Which files are read for a token, and how they are found."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

import pytest
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import (
    containers as polling_containers,
)
from ansible_collections.aisha.bot_stack.plugins.module_utils.polling import files as polling_files
from ansible_collections.aisha.bot_stack.plugins.module_utils.telegram.token import Token

ID = "712345678"
LIMIT = 64 * 1024
NOBODY = 65534
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="makes a device, or becomes another user")


@pytest.fixture
def text() -> str:
    return f"{ID}:{token_urlsafe(26)[:35]}"


@pytest.fixture
def reader(text: str) -> Any:
    return polling_files.FileReader(Token(text))


@pytest.fixture
def as_nobody() -> Iterator[Callable[[], None]]:
    """Become a user without rights until the test ends."""
    yield lambda: os.seteuid(NOBODY)
    if os.getuid() == 0:
        os.seteuid(0)


# One file


def test_a_file_says_which_token_it_holds(reader: Any, text: str, tmp_path: Path) -> None:
    answers = {
        f"token = {text}\n": True,
        text.partition(":")[2]: True,
        f"{ID}:{token_urlsafe(26)[:35]}": False,
        "nothing here": None,
        "": None,
    }
    for number, (content, answer) in enumerate(answers.items()):
        path = tmp_path / str(number)
        path.write_text(content)
        assert reader.find(str(path)) is answer
    (tmp_path / "latin").write_bytes(b"\xe9\xff " + text.encode())
    assert reader.find(str(tmp_path / "latin")) is True
    assert reader.unread == 0


def test_what_is_longer_than_64_kib_is_not_read(reader: Any, text: str, tmp_path: Path) -> None:
    fits, too_long = tmp_path / "fits", tmp_path / "too_long"
    fits.write_text("x" * (LIMIT - len(text)) + text)
    too_long.write_text(text + "x" * (LIMIT - len(text) + 1))
    assert (fits.stat().st_size, too_long.stat().st_size) == (LIMIT, LIMIT + 1)
    assert (reader.find(str(fits)), reader.find(str(too_long))) == (True, None)


def test_a_binary_file_holds_nothing(reader: Any, text: str, tmp_path: Path) -> None:
    path = tmp_path / "database"
    path.write_bytes(b"SQLite format 3\0" + text.encode())
    assert reader.find(str(path)) is None
    path.write_bytes(b"x" * 2000 + b"\0" + text.encode())
    assert reader.find(str(path)) is True


@pytest.mark.parametrize("writer", [False, True])
def test_a_fifo_is_not_waited_for(reader: Any, text: str, tmp_path: Path, writer: bool) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR) if writer else -1
    if writer:
        os.write(descriptor, text.encode())
    answers: list[bool | None] = []
    asking = threading.Thread(target=lambda: answers.append(reader.find(str(path))), daemon=True)
    asking.start()
    asking.join(30)
    assert answers == [None]
    if writer:
        # Nor is taken out what was meant for another one.
        assert os.read(descriptor, 100) == text.encode()
        os.close(descriptor)


def test_what_is_no_file_holds_nothing(reader: Any, tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("pool")
    (tmp_path / "pool").symlink_to("loop")
    (tmp_path / "dangling").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for path in (
            *(tmp_path / name for name in ("loop", "dangling", "missing", "socket", "x/y")),
            tmp_path,
            Path("/dev/zero"),
            Path("/dev/null"),
        ):
            assert reader.find(str(path)) is None
    assert reader.unread == 0


@ROOT_ONLY
def test_what_may_not_be_read_is_counted(
    reader: Any, text: str, as_nobody: Callable[[], None]
) -> None:
    # pytest's own folders are closed to other users.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        for name, mode in (("open", 0o644), ("closed", 0o600)):
            (Path(folder) / name).write_text(text)
            (Path(folder) / name).chmod(mode)
        as_nobody()
        try:
            assert reader.find(f"{folder}/open") is True
            assert reader.unread == 0
            assert reader.find(f"{folder}/closed") is None
            assert reader.unread == 1
        finally:
            os.seteuid(0)


def test_a_file_is_read_once_however_it_is_called(reader: Any, text: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text(text)
    os.link(path, tmp_path / "second")
    (tmp_path / "third").symlink_to("token")
    times = path.stat()
    assert reader.find(str(path)) is True
    # Changed without a trace: who reads again sees it.
    path.write_text("x" * len(text))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    for name in ("token", "second", "third"):
        assert reader.find(str(tmp_path / name)) is True
    assert polling_files.FileReader(Token(text)).find(str(path)) is None
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    assert reader.find(str(path)) is None


# A folder


def test_a_walk_finds_files_near_the_top_likely_names_first(
    reader: Any, text: str, tmp_path: Path
) -> None:
    names = ["aaa", "notes/b", "a/b/deep.yml", "zzz.env", "app/settings", "bot_token", "x.py"]
    for name in [*names, "a/b/c/too_deep.yml"]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "config.yml").write_text("nothing")
    found = reader.walk(str(tmp_path))
    assert {answer for _path, answer in found} == {True}
    assert [path for path, _answer in found] == [
        "a/b/deep.yml",
        "app/settings",
        "bot_token",
        "x.py",
        "zzz.env",
        "aaa",
        "notes/b",
    ]


def test_a_walk_reads_links_to_files_and_enters_no_link(
    reader: Any, text: str, tmp_path: Path
) -> None:
    """As an orchestrator mounts secrets: token -> ..data/token, ..data -> a folder with a time."""
    mount, outside = tmp_path / "mount", tmp_path / "outside"
    (mount / "..2026").mkdir(parents=True)
    outside.mkdir()
    (mount / "..2026/token").write_text(text)
    (outside / "token").write_text(text)
    (mount / "..data").symlink_to("..2026")
    (mount / "token").symlink_to("..data/token")
    (mount / "elsewhere").symlink_to(outside)
    (mount / "round").symlink_to(".")
    os.mkfifo(mount / "fifo")
    assert [path for path, _answer in reader.walk(str(mount))] == ["..2026/token", "token"]


def test_a_walk_ends_after_400_entries(reader: Any, text: str, tmp_path: Path) -> None:
    for number in range(450):
        (tmp_path / f"{number:03}").write_text(text)
    assert len(reader.walk(str(tmp_path))) == 400


def test_a_walk_of_nothing_finds_nothing(reader: Any, tmp_path: Path) -> None:
    assert reader.walk(str(tmp_path / "missing")) == []
    assert reader.walk(str(tmp_path)) == []


# A path in a container


def below(root: Path) -> Callable[[str], str | None]:
    """The container's root is a folder of the host."""

    def locate(path: str) -> str | None:
        host = str(root) + path
        return host if os.path.lexists(host) else None

    return locate


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for folder in ("etc/bot", "app/deep", "run"):
        (root / folder).mkdir(parents=True)
    (root / "etc/bot/token").write_text("inside")
    (tmp_path / "token").write_text("outside")
    links = {
        "run/secrets": "/etc/bot",
        "app/absolute": "/etc/bot/token",
        "app/relative": "../etc/bot/token",
        "app/beyond": "../../../../../../etc/bot/token",
        "app/escape": "../../token",
        "app/chain": "deep/next",
        "app/deep/next": "../absolute",
        "app/folder": "../run/secrets",
        "app/here": ".",
        "app/loop": "pool",
        "app/pool": "/app/loop",
        "app/dangling": "/nowhere",
        "app/host": str(tmp_path / "token"),
        "app/top": "/",
    }
    for name, target in links.items():
        (root / name).symlink_to(target)
    return root


@pytest.mark.parametrize(
    ("path", "host"),
    [
        ("/etc/bot/token", "etc/bot/token"),
        ("//etc/./bot//token", "etc/bot/token"),
        ("/etc/../etc/bot/token", "etc/bot/token"),
        ("/../../etc/bot/token", "etc/bot/token"),
        ("/run/secrets/token", "etc/bot/token"),
        ("/run/secrets/../bot/token", "etc/bot/token"),
        ("/app/absolute", "etc/bot/token"),
        ("/app/relative", "etc/bot/token"),
        ("/app/beyond", "etc/bot/token"),
        ("/app/chain", "etc/bot/token"),
        ("/app/folder/token", "etc/bot/token"),
        ("/app/here/here/here/absolute", "etc/bot/token"),
        ("/app/top/app/top/etc/bot/token", "etc/bot/token"),
        ("/app", "app"),
        ("/app/escape", None),
        ("/app/loop", None),
        ("/app/loop/token", None),
        ("/app/dangling", None),
        ("/app/host", None),
        ("/missing/../etc/bot/token", None),
        ("/etc/bot/token/more", None),
    ],
)
def test_a_path_is_followed_inside_the_container(root: Path, path: str, host: str | None) -> None:
    found = polling_files.resolve(path, below(root))
    assert (None if found is None else os.path.normpath(found)) == (host and str(root / host))


@pytest.mark.parametrize(("links", "is_found"), [(16, True), (17, False)])
def test_a_chain_of_links_ends(tmp_path: Path, links: int, is_found: bool) -> None:
    (tmp_path / "0").write_text("end")
    for number in range(links):
        (tmp_path / str(number + 1)).symlink_to(str(number))
    assert (polling_files.resolve(f"/{links}", below(tmp_path)) is not None) is is_found


@pytest.fixture
def layers(tmp_path: Path) -> dict[str, Any]:
    """A stopped container: an upper layer over two of its image, and a mount."""
    for path, content in {
        "upper/app/changed": "upper",
        "lower1/app/changed": "lower1",
        "lower1/app/removed": "lower1",
        "lower1/app/middle": "lower1",
        "lower2/app/removed": "lower2",
        "lower2/app/base": "lower2",
        "lower2/gone/base": "lower2",
        "lower2/run/keep": "lower2",
        "mount/token": "mount",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    (tmp_path / "upper/app/link").symlink_to("/run/secrets/token")
    lower = f"{tmp_path}/lower1:{tmp_path}/lower2"
    data = {"UpperDir": f"{tmp_path}/upper", "LowerDir": lower}
    return {"State": {"Pid": 0}, "GraphDriver": {"Data": data}}


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/app/changed", "upper"),
        ("/app/middle", "lower1"),
        ("/app/base", "lower2"),
        ("/app/link", "mount"),
        ("/run/secrets/token", "mount"),
        ("/run/secrets/other", None),
        ("/app/missing", None),
        ("/app/removed", None),
        ("/gone/base", None),
    ],
)
@ROOT_ONLY
def test_a_path_is_found_in_the_uppermost_layer(
    layers: dict[str, Any], tmp_path: Path, path: str, content: str | None
) -> None:
    # A character device 0:0 says that the path was removed from the layers below.
    for name in ("upper/app/removed", "upper/gone"):
        os.mknod(tmp_path / name, stat.S_IFCHR | 0o600, os.makedev(0, 0))
    trees = polling_containers._trees(layers)
    locate = polling_containers._root(trees, {"/run/secrets": str(tmp_path / "mount")})
    found = polling_files.resolve(path, locate)
    assert (None if found is None else Path(found).read_text()) == content


@pytest.mark.parametrize(
    "graph",
    [
        None,
        {"Name": "overlayfs", "Data": None},
        {"Name": "vfs", "Data": None},
        {"Name": "overlay2", "Data": {"UpperDir": "/nowhere", "LowerDir": "/nowhere2"}},
    ],
    ids=["containerd-29", "containerd-28", "vfs", "of another machine"],
)
@pytest.mark.parametrize("state", ["created", "exited"])
def test_a_container_whose_files_cant_be_found_is_named(
    reader: Any, text: str, graph: dict[str, Any] | None, state: str
) -> None:
    """As with containerd's image store; what is beside the files is looked at all the same."""

    def container(name: str, environment: list[str]) -> dict[str, Any]:
        found: dict[str, Any] = {
            "Id": name,
            "Name": f"/{name}",
            "RestartCount": 0,
            "State": {"Status": state, "Pid": 0, "ExitCode": 0, "StartedAt": ""},
            "Config": {"Image": "bot", "Env": environment, "Cmd": ["python", "bot.py"]},
            "HostConfig": {},
        }
        return found if graph is None else {**found, "GraphDriver": graph}

    inspections = [container("dark", []), container("known", [f"BOT_TOKEN={text}"])]
    rows, unseen = polling_containers.observe(Token(text), "", reader, inspections, {})
    assert [row["name"] for row in rows] == ["known"]
    assert unseen == ["dark"]


def test_a_stopped_container_with_layers_is_looked_into(
    reader: Any, text: str, layers: dict[str, Any]
) -> None:
    stopped = {
        **layers,
        "Id": "1",
        "Name": "/stopped",
        "Config": {"Image": "bot", "Env": [], "Cmd": []},
    }
    assert polling_containers.observe(Token(text), "", reader, [stopped], {}) == ([], [])


# Files that a command line and an environment name


@pytest.mark.parametrize(
    ("arguments", "variables", "folder", "paths"),
    [
        (["--config", "/etc/bot.yml"], [], "", ["/etc/bot.yml"]),
        (["--config=/etc/bot.yml"], [], "", ["/etc/bot.yml"]),
        (["--config='/etc/bot.yml'"], [], "", ["/etc/bot.yml"]),
        (["@/etc/options"], [], "", ["/etc/options"]),
        (["--data=@/etc/options"], [], "", ["/etc/options"]),
        (["@options.txt"], [], "/app", ["/app/options.txt"]),
        (["file:///etc/bot.yml"], [], "", ["/etc/bot.yml"]),
        (["/run/secrets/token"], [], "", ["/run/secrets/token"]),
        (["python3", "bot.py"], [], "/app", ["/app/bot.py"]),
        (["python3", "src/bot"], [], "/app", ["/app/src/bot"]),
        (["../bot.py", "./a/../b.py"], [], "/app/src", ["/app/bot.py", "/app/src/b.py"]),
        (["bot.py", "src/bot"], [], "", []),
        (["run", "worker", "-v", "3"], [], "/app", []),
        ([".env"], [], "/app", ["/app/.env"]),
        (["--env-file=.env.production"], [], "/app", ["/app/.env.production"]),
        (
            ["sh", "-c", "cd /srv && exec bot --token-file=/run/token"],
            [],
            "",
            ["/srv", "/run/token"],
        ),
        (["sh", "-c", 'BOT="$(cat /run/secrets/token)" exec bot'], [], "", ["/run/secrets/token"]),
        (["sh", "-c", "BOT=`cat /run/secrets/token` exec bot"], [], "", ["/run/secrets/token"]),
        (["sh", "-c", 'BOT="$(</run/secrets/token)" exec bot'], [], "", ["/run/secrets/token"]),
        (["sh", "-c", ". /etc/bot.env; bot"], [], "", ["/etc/bot.env"]),
        (["sh", "-c", "bot </run/token >/dev/null"], [], "", ["/run/token", "/dev/null"]),
        (
            ["-m", "app.bot"],
            [],
            "/srv",
            ["/srv/app/bot.py", "/srv/app/bot/__main__.py", "/srv/app.bot"],
        ),
        (["-m", "bot"], [], "/srv", ["/srv/bot.py", "/srv/bot/__main__.py"]),
        (["-m", "bot"], [], "", []),
        (["-m"], [], "/srv", []),
        (["--url=https://example.com/a.yml", "http://127.0.0.1:8081/b.py"], [], "/app", []),
        ([], ["/run/secrets/token"], "", ["/run/secrets/token"]),
        ([], ["config/bot.toml"], "/app", ["/app/config/bot.toml"]),
        ([], ["file:///run/token"], "", ["/run/token"]),
        ([], ["/usr/local/bin:/usr/bin:/bin"], "", []),
        ([], ["https://example.com/x", "redis://:x@redis/0"], "/app", []),
        ([], ["/" + "x" * 1023, "plain", "", "12"], "/app", []),
        (["/a", "/a", "--b=/a"], ["/a", "/b"], "", ["/a", "/b"]),
        (["/srv/../etc/./bot.yml"], [], "", ["/etc/bot.yml"]),
        (["--config=/etc//bot.yml"], [], "", ["/etc/bot.yml"]),
        ([], [], "/app", []),
    ],
)
def test_named_files(
    arguments: list[str], variables: list[str], folder: str, paths: list[str]
) -> None:
    assert polling_files.named_files(arguments, variables, folder) == paths
