"""Runs inside the bot's image, with its real networks and secrets, before the swap.

Its argument is a nonce. Prints it and one JSON object in one line: {"silent": [sentences]}, one for
each service that does not answer. Standard library only, as any image that keeps the contract may
be under it. Never prints a password.
"""

import concurrent.futures
import json
import os
import socket
import ssl
import struct
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

TRIES = 3
WAIT = 2
TIMEOUT = 5
SSL_REQUEST = struct.pack("!II", 8, 80877103)


class Refused(Exception):
    """The service answers, and another try would change nothing."""


def secret(variable):
    with open(os.environ[variable], encoding="utf-8") as file:
        return file.read().strip()


def addresses(url, port):
    """Where a URL leads to: PostgreSQL's may name several hosts, and one with a socket none."""
    login, _separator, hosts = urllib.parse.urlsplit(url).netloc.rpartition("@")
    if not login and "@" in url:
        raise ValueError("a slash in its login ends the login too early")
    parts = [urllib.parse.urlsplit(f"//{host}") for host in hosts.split(",") if host]
    return [(part.hostname, part.port or port) for part in parts if part.hostname]


def in_words(error):
    reason = getattr(error, "reason", error)
    if isinstance(reason, socket.gaierror):
        return "its name is not known in a container of this host"
    if isinstance(reason, TimeoutError):
        return f"nothing is said there within {TIMEOUT} s"
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__


def ask_postgres(address, _url):
    """Which of two answers does not matter: no other service gives any of them."""
    with socket.create_connection(address, TIMEOUT) as connection:
        connection.sendall(SSL_REQUEST)
        if connection.recv(1) not in (b"S", b"N", b"E"):
            raise Refused("what answers there is not PostgreSQL")


def command(*words):
    parts = [f"*{len(words)}\r\n".encode()]
    parts += [b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words]
    return b"".join(parts)


def ask_redis(address, url):
    parts = urllib.parse.urlsplit(url)
    login = [urllib.parse.unquote(word) for word in (parts.username, parts.password) if word]
    with socket.create_connection(address, TIMEOUT) as plain:
        connection = plain
        if parts.scheme in ("rediss", "valkeys"):
            try:
                context = ssl.create_default_context()
                connection = context.wrap_socket(plain, server_hostname=address[0])
            except ssl.SSLCertVerificationError:
                # It answers. Whether its certificate will do, the bot's own settings say.
                return
        with connection.makefile("rb") as answers:
            for words in ([["AUTH", *login]] if parts.password else []) + [["PING"]]:
                connection.sendall(command(*words))
                answer = answers.readline(512).decode(errors="replace").strip()
                if answer[:1] not in ("+", "-"):
                    raise Refused("what answers there is not Redis")
                if answer.startswith(("-LOADING", "-MASTERDOWN")):
                    raise ConnectionError(answer[1:])
                # A login that may not PING is a login.
                if answer.startswith("-") and not answer.startswith("-NOPERM"):
                    raise Refused(f"it refuses the login: {answer[1:]}")


def ask_s3(_address, url):
    """Other stores than MinIO don't know this path; a proxy may be in front of no store at all."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/minio/health/live", timeout=TIMEOUT):  # noqa: S310
            return
    except urllib.error.HTTPError as error:
        if error.code in (502, 503, 504):
            raise ConnectionError(f"HTTP {error.code}") from None
    except urllib.error.URLError as error:
        if not isinstance(error.reason, ssl.SSLCertVerificationError):
            raise


def answers(ask, address, url):
    """What is wrong with a service at one address; None where it answers."""
    problem = None
    for number in range(TRIES):
        time.sleep(WAIT if number else 0)
        try:
            ask(address, url)
        except Refused as error:
            return str(error)
        except (OSError, ValueError) as error:
            problem = in_words(error)
        else:
            return None
    return problem


def silence(service, setting, url, port, ask):
    """The sentence about a service that does not answer; None where one of its addresses does."""
    problems = {}
    try:
        places = addresses(url, port)
    except ValueError:
        # What it says may be a part of the password.
        return f"{setting} is not an address: write it with user and password percent-encoded"
    for address in places:
        problem = answers(ask, address, url)
        if problem is None:
            return None
        problems[f"{address[0]}:{address[1]}"] = problem
    if not problems:
        return None
    where = ", ".join(problems)
    why = "; ".join(dict.fromkeys(problems.values()))
    return (
        f"{service} at {where} ({setting}) can't be used: {why}. Start it there and let this host"
        f" reach it, or correct {setting}"
    )


def main():
    s3 = os.environ["S3_ENDPOINT_URL"]
    s3_port = 443 if s3.startswith("https:") else 80
    services = [
        ("PostgreSQL", "bot_database_url", secret("DATABASE_URL_FILE"), 5432, ask_postgres),
        ("Redis", "bot_redis_url", secret("REDIS_URL_FILE"), 6379, ask_redis),
        ("The object storage", "bot_s3_endpoint_url", s3, s3_port, ask_s3),
    ]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda service: silence(*service), services))
    # What marks the answer, as an image may print something of its own.
    nonce = sys.argv[1] if len(sys.argv) > 1 else ""
    print(nonce + json.dumps({"silent": [sentence for sentence in found if sentence]}))


main()
