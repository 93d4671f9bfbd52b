"""Runs on a host of the inventory, with the Python and the SDK that Ansible's modules have there.

target.py sends it as text, so it is one file, and runs on Python 3.9. It reads how the engine is
reached (docker_host_engine of the inventory) and a list of calls, [name, arguments], from its first
argument, and prints the list of their results. A secret never leaves the host.
"""

from __future__ import annotations

import base64
import glob
import http.client
import io
import json
import os
import ssl
import stat
import sys
import tarfile
import time
import urllib.parse
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker  # type: ignore[import-untyped]  # it has no types

CLIENT: Any = None
MANIFESTS = ", ".join(
    [
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
    ]
)


def connect(engine: dict[str, Any]) -> Any:
    """A client of the engine, as the collection's modules reach it."""
    if not engine.get("docker_host"):
        return docker.from_env(timeout=90)
    names = (("client_cert", "client_key"), ("cert_path", "key_path"))
    pair = next(((engine[a], engine[b]) for a, b in names if engine.get(a) and engine.get(b)), None)
    checks = engine.get("validate_certs", engine.get("tls_verify", False))
    authority = engine.get("ca_path") or engine.get("ca_cert") or engine.get("cacert_path")
    tls = docker.tls.TLSConfig(client_cert=pair, ca_cert=authority, verify=bool(checks))
    return docker.DockerClient(
        base_url=engine["docker_host"],
        timeout=90,
        tls=tls if checks or engine.get("tls") else None,
        use_ssh_client=bool(engine.get("use_ssh_client")),
    )


def containers(stack: str) -> dict[str, Any]:
    """The inspections of all containers of the stack, by name."""
    found = CLIENT.containers.list(
        all=True, filters={"label": f"aisha.bot_stack.name={stack}"}, ignore_removed=True
    )
    return {container.name: container.attrs for container in found}


def engine() -> dict[str, Any]:
    """What the engine can confine containers with."""
    return {"SecurityOptions": CLIENT.info().get("SecurityOptions") or []}


def execute(name: str, argv: list[str]) -> dict[str, Any]:
    """Run a command in a container, as the container's own user."""
    try:
        done = CLIENT.containers.get(name).exec_run(argv)
    except docker.errors.APIError as error:
        return {"code": 125, "output": str(error.explanation)}
    return {"code": done.exit_code, "output": done.output.decode(errors="replace")}


def execute_in_all(names: list[str], argv: list[str]) -> dict[str, Any]:
    """Run a command in several containers at the same time."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        return dict(pool.map(lambda name: (name, execute(name, argv)), names))


def once(like: str, argv: list[str]) -> dict[str, Any]:
    """Run a command in a new container: the image, user and volumes of another one, no network."""
    model = CLIENT.containers.get(like)
    volumes = [
        docker.types.Mount(mount["Destination"], mount["Name"], type="volume")
        for mount in model.attrs["Mounts"]
        if mount["Type"] == "volume"
    ]
    container = CLIENT.containers.create(
        model.attrs["Image"],
        entrypoint=argv[:1],
        command=argv[1:],
        name=f"{like}-verify-{uuid.uuid4().hex[:8]}",
        user=model.attrs["Config"]["User"],
        mounts=volumes,
        network_mode="none",
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        mem_limit="256m",
        healthcheck={"test": ["NONE"]},
    )
    try:
        container.start()
        code = container.wait(timeout=60)["StatusCode"]
        return {"code": code, "output": container.logs().decode(errors="replace")}
    finally:
        container.remove(force=True)


def request(
    method: str,
    url: str,
    headers: dict[str, str] | None = None,
    body: str | None = None,
    context: ssl.SSLContext | None = None,
) -> dict[str, Any]:
    """One request from the host itself, by no proxy."""
    parts = urllib.parse.urlsplit(url)
    connection = (
        http.client.HTTPSConnection(parts.netloc, timeout=20, context=context)
        if parts.scheme == "https"
        else http.client.HTTPConnection(parts.netloc, timeout=20)
    )
    try:
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request(method, path, None if body is None else body.encode(), headers or {})
        answer = connection.getresponse()
        return {"status": answer.status, "body": answer.read().decode(errors="replace")}
    finally:
        connection.close()


def watch(url: str, polls: int, seconds: int) -> list[dict[str, Any]]:
    """The emulator's statistics of a bot: now, and after so many polls, or so many seconds."""
    deadline = time.monotonic() + seconds
    seen: list[dict[str, Any]] = []
    while True:
        answer = request("GET", url)
        seen = [*seen[:1], json.loads(answer["body"])]
        if (
            seen[-1].get("polls", 0) >= seen[0].get("polls", 0) + polls
            or time.monotonic() > deadline
        ):
            return [seen[0], seen[-1]]
        time.sleep(0.5)


def _facts(name: str) -> dict[str, Any] | None:
    """What a primary says of its polls, or None where its image writes no heartbeat."""
    variables = dict(
        v.partition("=")[::2] for v in CLIENT.containers.get(name).attrs["Config"]["Env"]
    )
    path = variables.get("HEARTBEAT_FILE") or "/tmp/aisha-heartbeat.json"  # noqa: S108
    read = execute(name, ["cat", path])
    return dict(json.loads(read["output"])["facts"]) if read["code"] == 0 else None


def heartbeats(name: str, seconds: int) -> list[dict[str, Any] | None]:
    """The facts of a primary: now, and after one more getUpdates, or after so many seconds."""
    deadline = time.monotonic() + seconds
    first = last = _facts(name)
    while first and last and time.monotonic() < deadline:
        last = _facts(name) or last
        if last["last_success"] > first["last_success"]:
            break
        time.sleep(1)
    return [first, last]


def _login(config_dir: str, address: str) -> str:
    with open(os.path.join(config_dir, "docker", "config.json")) as file:
        return str(json.load(file)["auths"][address]["auth"])


def _registry(method: str, address: str, path: str, authorization: str | None) -> dict[str, Any]:
    """A request to a registry: in clear on loopback, else trusting what the engine trusts."""
    context = None
    scheme = "http" if address.startswith(("127.", "localhost:")) else "https"
    authority = f"/etc/docker/certs.d/{address}/ca.crt"
    if scheme == "https":
        known = os.path.exists(authority)
        context = ssl.create_default_context(cafile=authority if known else None)
    headers = {"Accept": MANIFESTS}
    if authorization:
        headers["Authorization"] = f"Basic {authorization}"
    return request(method, f"{scheme}://{address}{path}", headers, context=context)


def image_of_manifest(config_dir: str, reference: str) -> str:
    """The ID of the image that a reference by digest stands for, as its registry says."""
    name, digest = reference.split("@")
    address, repository = name.split("/", 1)
    login = _login(config_dir, address)
    answer = _registry("GET", address, f"/v2/{repository}/manifests/{digest}", login)
    if answer["status"] != 200:
        return f"{address} answers {answer['status']} for {reference}"
    return str(json.loads(answer["body"])["config"]["digest"])


def refused(address: str, username: str, password: str) -> int:
    """The status with which a registry answers a login, or no login at all."""
    login = base64.b64encode(f"{username}:{password}".encode()).decode() if username else None
    return int(_registry("GET", address, "/v2/_catalog", login)["status"])


def push_and_pull(config_dir: str, address: str) -> dict[str, Any]:
    """Push a new image, forget it, pull it by its digest, remove it from both sides."""
    login = _login(config_dir, address)
    username, password = base64.b64decode(login).decode().split(":", 1)
    credentials = {"username": username, "password": password}
    repository, tag = f"{address}/aisha/verify", uuid.uuid4().hex
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        member = tarfile.TarInfo("verify")
        member.size = len(tag)
        tar.addfile(member, io.BytesIO(tag.encode()))
    result: dict[str, Any] = {}
    try:
        CLIENT.api.import_image_from_data(content.getvalue(), repository=repository, tag=tag)
        pushed = CLIENT.images.get(f"{repository}:{tag}").id
        for line in CLIENT.images.push(
            repository, tag=tag, auth_config=credentials, stream=True, decode=True
        ):
            if "error" in line:
                return {"error": line["error"]}
            result["digest"] = line.get("aux", {}).get("Digest", result.get("digest"))
        CLIENT.images.remove(f"{repository}:{tag}", force=True)
        CLIENT.images.pull(f"{repository}@{result['digest']}", auth_config=credentials)
        pulled = CLIENT.images.get(f"{repository}@{result['digest']}")
        result["same"] = pulled.id == pushed
        return result
    finally:
        for image in CLIENT.api.images(repository):
            CLIENT.images.remove(image["Id"], force=True)
        if result.get("digest"):
            path = f"/v2/aisha/verify/manifests/{result['digest']}"
            result["deleted"] = _registry("DELETE", address, path, login)["status"]


def _secrets(config_dirs: list[str]) -> Iterator[tuple[str, str]]:
    """Every secret in the folders of the configuration: file, word. Short words are names."""
    patterns = [f"{folder}/secrets/**" for folder in config_dirs]
    for path in (p for each in patterns for p in glob.glob(each, recursive=True)):
        if os.path.isdir(path):
            continue
        with open(path, errors="replace") as file:
            for word in file.read().split():
                # A password may be a part of a word: user:password, an URL, a line of an ACL file.
                parts = {word, *word.split(":", 1), word.lstrip(">#")}
                if "://" in word:
                    password = urllib.parse.urlsplit(word).password or ""
                    parts = {word, password, urllib.parse.unquote(password)}
                for part in parts:
                    if len(part) >= 16:
                        yield path, part
    for path in (p for folder in config_dirs for p in glob.glob(f"{folder}/docker/config.json")):
        with open(path) as file:
            for login in json.load(file)["auths"].values():
                yield path, login["auth"]
                yield path, base64.b64decode(login["auth"]).decode().split(":", 1)[1]


def leaks(config_dirs: list[str], stack: str) -> dict[str, Any]:
    """Where an inspection or the log of a container shows a secret: never the secret itself."""
    secrets = set(_secrets(config_dirs))
    found: list[str] = []
    for name, attrs in containers(stack).items():
        shown = {
            "docker inspect": json.dumps(attrs, ensure_ascii=False),
            "docker logs": CLIENT.containers.get(name).logs(tail=2000).decode(errors="replace"),
        }
        for where, text in shown.items():
            found += [
                f"{where} {name}: a secret of {path}" for path, word in secrets if word in text
            ]
    return {"checked": len(secrets), "found": sorted(set(found))}


def readable_by_others(config_dirs: list[str]) -> list[str]:
    """Files of the configuration that any user of the host may read."""
    found = set()
    for top in config_dirs:
        for folder, _folders, names in os.walk(top):
            closed = not os.stat(folder).st_mode & stat.S_IXOTH
            for name in names:
                path = os.path.join(folder, name)
                if not closed or os.stat(path).st_mode & stat.S_IROTH:
                    found.add(path)
    return sorted(found)


def logs(stack: str, names: list[str], config_dirs: list[str]) -> dict[str, str]:
    """Last log lines and health log: of the containers named, and of those that are not healthy."""
    texts = {}
    secrets = sorted({word for _path, word in _secrets(config_dirs)}, key=len, reverse=True)
    for name, attrs in containers(stack).items():
        health = attrs["State"].get("Health") or {}
        if name not in names and health.get("Status") == "healthy":
            continue
        checks = [f"{c['ExitCode']}: {c['Output'].strip()[-300:]}" for c in health.get("Log") or []]
        log = CLIENT.containers.get(name).logs(tail=25).decode(errors="replace").rstrip()
        state, restarts = attrs["State"]["Status"], attrs["RestartCount"]
        state = f"{state}, {health.get('Status')}, restarted {restarts} times"
        text = "\n".join([f"state: {state}", "health checks:", *checks[-3:], "log:", log])
        for word in secrets:
            text = text.replace(word, "***")
        texts[name] = text
    return texts


def main() -> None:
    global CLIENT
    engine, calls = json.loads(base64.b64decode(sys.argv[1]))
    CLIENT = connect(engine)
    print(json.dumps([globals()[name](*arguments) for name, arguments in calls]))


main()
