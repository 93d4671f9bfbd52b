"""A webhook as a bot sets it, and what may be set."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import SplitResult, urlsplit

from .arguments import Arguments, Upload
from .envelope import Refusal, bad_request

DEFAULT_MAX_CONNECTIONS = 40
MAX_CONNECTIONS = 100
MAX_CONNECTIONS_LOCAL = 100_000
MAX_SECRET_LENGTH = 256
MAX_CERTIFICATE_BYTES = 3 << 20
PORTS = (80, 88, 443, 8443)
RESERVED = tuple(
    ip_network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
    )
)
LOOPBACK_NAMES = {"localhost": "127.0.0.1"}
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)


@dataclass(frozen=True)
class Webhook:
    url: str = ""
    max_connections: int = 0
    ip_address: str = ""
    secret_token: str = ""
    certificate: bytes | None = None

    @property
    def has_certificate(self) -> bool:
        return self.certificate is not None


def wanted_webhook(
    url: str, arguments: Arguments, files: dict[str, Upload], *, local: bool
) -> Webhook:
    if not url:
        return Webhook()
    attached = arguments.text("certificate").removeprefix("attach://")
    certificate = files.get("certificate") or files.get(attached)
    most = MAX_CONNECTIONS_LOCAL if local else MAX_CONNECTIONS
    return Webhook(
        url=url,
        max_connections=arguments.integer("max_connections", DEFAULT_MAX_CONNECTIONS, 1, most),
        ip_address=arguments.text("ip_address"),
        secret_token=arguments.text("secret_token"),
        certificate=_certificate(certificate) if certificate else None,
    )


def full_url(url: str) -> str:
    return url if "://" in url else f"https://{url}"


def check_webhook(webhook: Webhook, *, local: bool) -> None:
    parts, port = _parse(webhook.url)
    if len(webhook.secret_token) > MAX_SECRET_LENGTH:
        raise bad_request("secret token is too long")
    if not _BASE64URL.fullmatch(webhook.secret_token):
        raise bad_request("secret token contains unallowed characters")
    if not local and parts.scheme != "https":
        raise _bad_webhook("An HTTPS URL must be provided for webhook")
    if not local and (port or 443) not in PORTS:
        raise _bad_webhook("Webhook can be set up only on ports 80, 88, 443 or 8443")
    if webhook.certificate is not None:
        _check_certificate(webhook.certificate)
    address = _address(webhook_address(webhook))
    if webhook.ip_address and address is None:
        raise _bad_webhook("Invalid IP address specified")
    if not local and address is not None:
        _check_address(address)


def ssl_context(certificate: bytes | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if certificate is not None:
        # Self-signed ones rarely have all that a strict look asks for; the server takes them.
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        context.load_verify_locations(cadata=certificate.decode("ascii", "replace"))
    return context


def webhook_address(webhook: Webhook) -> str:
    """The address that is known without a look-up, empty where the host's name must be asked."""
    if webhook.ip_address:
        return webhook.ip_address
    host = _parse(webhook.url)[0].hostname or ""
    return LOOPBACK_NAMES.get(host, host if _address(host) else "")


def _parse(url: str) -> tuple[SplitResult, int | None]:
    try:
        parts = urlsplit(full_url(url))
        port = parts.port
    except ValueError:
        raise bad_request("invalid webhook URL specified") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.hostname == ".":
        raise bad_request("invalid webhook URL specified")
    return parts, port


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


def _check_address(address: IPv4Address | IPv6Address) -> None:
    if address.version != 4:
        raise _bad_webhook("IPv6-only addresses are not allowed")
    if any(address in block for block in RESERVED):
        raise _bad_webhook(f"IP address {address} is reserved")


def _check_certificate(certificate: bytes) -> None:
    try:
        ssl_context(certificate)
    except (ssl.SSLError, ValueError):
        raise _bad_webhook("Failed to set custom certificate file") from None


def _certificate(upload: Upload) -> bytes:
    if upload.size > MAX_CERTIFICATE_BYTES:
        raise bad_request(f"certificate size is too big ({upload.size} bytes)")
    return upload.data or b""


def _bad_webhook(reason: str) -> Refusal:
    return bad_request(f"bad webhook: {reason}")
