"""Prints one line of JSON about a host before the modules' Python is there.

That is: the host's Python, the modules' environment, the engine. Arguments: the environment's
folder, the settings of the engine as JSON. It runs with whatever Python the host has, 2.7 too.
"""

import json
import os
import platform
import socket
import subprocess
import sys

folder = sys.argv[1]
engine = json.loads(sys.argv[2])


def found(program):
    paths = os.environ.get("PATH", "") + ":/usr/sbin:/usr/bin:/sbin:/bin"
    return any(os.access(os.path.join(path, program), os.X_OK) for path in paths.split(":") if path)


def has_venv():
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        return False
    return True


def environment():
    """Version of its Python, empty where that does not run; and what was installed there."""
    try:
        program = [
            os.path.join(folder, "bin/python"),
            "-c",
            "import platform; print(platform.python_version())",
        ]
        running = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # noqa: S603
        version = running.communicate()[0].decode().strip()
    except OSError:
        version = ""
    try:
        with open(os.path.join(folder, ".packages")) as marker:
            return version, marker.read().split()
    except (IOError, OSError):  # noqa: UP024
        return version, []


def setting(name, variable, default):
    value = engine.get(name)
    return os.environ.get(variable) or default if value is None else value


def true(value):
    return str(value).lower() in ("1", "y", "yes", "true", "on")


def through_ssh(address):
    """As the modules do: this host's program ssh, and the engine's command at the other end."""
    user, _at, where = address[len("ssh://") :].rstrip("/").rpartition("@")
    where, _colon, port = where.partition(":")
    command = ["ssh", "-oBatchMode=yes"]
    command += (["-l", user] if user else []) + (["-p", port] if port else [])
    command += ["--", where, "docker system dial-stdio"]
    ours, theirs = socket.socketpair()
    ours.settimeout(10)
    with open(os.devnull, "w") as nowhere:
        subprocess.Popen(  # noqa: S603
            command,
            stdin=theirs,
            stdout=theirs,
            stderr=nowhere,
        )
    theirs.close()
    return ours


def connect(address):
    from http.client import HTTPConnection, HTTPSConnection

    if address.startswith("ssh:"):
        connection = HTTPConnection("localhost", timeout=10)
        connection.sock = through_ssh(address)
        return connection
    if address.startswith("unix:"):
        connection = HTTPConnection("localhost", timeout=10)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(10)
        connection.sock.connect(address[len("unix:") :].replace("//", "/", 1))
        return connection
    where = address.partition("://")[2].rstrip("/")
    checks = true(setting("validate_certs", "DOCKER_TLS_VERIFY", engine.get("tls_verify") or False))
    if not checks and not true(setting("tls", "DOCKER_TLS", False)):
        return HTTPConnection(where, timeout=10)
    import ssl

    authority = engine.get("ca_path") or engine.get("ca_cert") or engine.get("cacert_path")
    context = ssl.create_default_context(cafile=authority)
    if not checks:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    pair = (
        engine.get("client_cert") or engine.get("cert_path"),
        engine.get("client_key") or engine.get("key_path"),
    )
    if all(pair):
        context.load_cert_chain(*pair)
    return HTTPSConnection(where, timeout=10, context=context)


def ask(address):
    """The engine's /info and /version, as far as they are needed."""
    answers = []
    for path in ("/info", "/version"):
        connection = connect(address)
        connection.request("GET", path)
        answers.append(json.loads(connection.getresponse().read().decode()))
        connection.close()
    keys = (
        "BuildahVersion",
        "DockerRootDir",
        "DriverStatus",
        "Name",
        "OSType",
        "OperatingSystem",
        "SecurityOptions",
        "ServerVersion",
    )
    return {
        "address": address,
        "info": dict((key, answers[0][key]) for key in keys if key in answers[0]),
        "version": {
            "Components": [
                {"Name": each.get("Name")} for each in answers[1].get("Components") or []
            ]
        },
    }


address = setting("docker_host", "DOCKER_HOST", "unix:///var/run/docker.sock")
try:
    # Without the program ssh, the modules refuse that address by a sentence.
    asked = not address.startswith("ssh:") or true(engine.get("use_ssh_client"))
    answer = ask(address) if asked else None
except Exception:
    # The first question of the modules finds the same, and says it with its reason.
    answer = None
version, packages = environment()
print(
    json.dumps(
        {
            "python": platform.python_version(),
            "venv": has_venv(),
            "manager": "apt" if found("apt-get") else "dnf" if found("dnf") else "",
            "environment": version,
            "packages": packages,
            "host": socket.gethostname(),
            "address": address,
            "engine": answer,
        }
    )
)
