"""The health check by HTTP, run by sh, with each tool that an image may have, and without."""

from __future__ import annotations

import http.server
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.aisha.bot_stack.plugins.filter.http_probe import http_probe


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path in ("/", "/front/healthz") else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[http.server.HTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def tls_server(server: http.server.HTTPServer, tmp_path: Path) -> http.server.HTTPServer:
    """The same by TLS, with a certificate that nobody trusts, of another name."""
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=other.example.com -days 1"
    subprocess.run(
        [*command.split(), "-keyout", str(tmp_path / "key"), "-out", str(tmp_path / "crt")],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "crt", tmp_path / "key")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    return server


def ask(url: str, tools: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Run the check where only these tools are."""
    kind, script = http_probe(url)
    assert kind == "CMD-SHELL"
    tools.mkdir()
    for name in names:
        found = shutil.which(name)
        assert found, f"no {name} on this machine: tests/tools/packages installs it"
        (tools / name).symlink_to(found)
    # A proxy must not be asked for loopback.
    env = {
        "PATH": str(tools),
        "http_proxy": "http://127.0.0.1:9",
        "https_proxy": "http://127.0.0.1:9",
    }
    return subprocess.run(
        ["/bin/sh", "-c", script], env=env, capture_output=True, text=True, check=False, timeout=20
    )


@pytest.mark.parametrize("tool", ["curl", "wget", "bash"])
@pytest.mark.parametrize(
    ("path", "status"), [("/", 0), ("/front/healthz", 0), ("/readyz", 1)], ids=["root", "ok", "503"]
)
def test_the_status_counts(
    server: http.server.HTTPServer, tmp_path: Path, tool: str, path: str, status: int
) -> None:
    done = ask(f"http://127.0.0.1:{server.server_port}{path}", tmp_path / "bin", tool)
    assert done.returncode == status, done.stderr + done.stdout


@pytest.mark.parametrize("tool", ["curl", "wget", "bash"])
def test_nobody_listens(tmp_path: Path, tool: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert ask(f"http://127.0.0.1:{port}/", tmp_path / "bin", tool).returncode == 1


@pytest.mark.parametrize("tool", ["curl", "wget", "bash"])
def test_who_says_nothing_is_not_waited_for(tmp_path: Path, tool: str) -> None:
    """The check ends by itself, or processes that wait would pile up."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert ask(f"http://127.0.0.1:{port}/", tmp_path / "bin", tool).returncode == 1


@pytest.mark.parametrize("tool", ["curl", "wget"])
@pytest.mark.parametrize(("path", "status"), [("/", 0), ("/readyz", 1)])
def test_a_certificate_of_loopback_is_not_verified(
    tls_server: http.server.HTTPServer, tmp_path: Path, tool: str, path: str, status: int
) -> None:
    done = ask(f"https://127.0.0.1:{tls_server.server_port}{path}", tmp_path / "bin", tool)
    assert done.returncode == status, done.stderr + done.stdout


@pytest.mark.parametrize(
    ("url", "tools", "sentence"),
    [
        ("http://127.0.0.1:80/", [], "neither curl nor wget nor bash"),
        ("https://127.0.0.1:443/", ["bash"], "neither curl nor wget,"),
    ],
)
def test_an_image_without_a_tool_says_so(
    tmp_path: Path, url: str, tools: list[str], sentence: str
) -> None:
    done = ask(url, tmp_path / "bin", *tools)
    assert done.returncode == 1
    assert sentence in done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:5000/",
        "http://127.0.0.1/",
        "http://127.0.0.1:1/$(reboot)",
        "ftp://a:1/",
        "http://a:1/ b",
    ],
)
def test_what_is_no_plain_url_is_refused(url: str) -> None:
    with pytest.raises(AnsibleFilterError, match="is no URL that a health check can ask"):
        http_probe(url)
