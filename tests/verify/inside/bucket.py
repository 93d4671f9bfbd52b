"""What the bot's own keys may do in the object storage. Signs by itself: clients differ."""

import datetime
import hashlib
import hmac
import http.client
import json
import os
import urllib.parse
import uuid
from pathlib import Path

endpoint = urllib.parse.urlsplit(os.environ["S3_ENDPOINT_URL"])
bucket, access_key = os.environ["S3_BUCKET"], os.environ["S3_ACCESS_KEY"]
secret_key = Path(os.environ["S3_SECRET_KEY_FILE"]).read_text().strip()
text = uuid.uuid4().hex


def ask(method, path, body="", secret=secret_key):
    """One request, signed with AWS's version 4, or not signed where there is no secret."""
    content = hashlib.sha256(body.encode()).hexdigest()
    now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%SZ")
    headers = {"host": endpoint.netloc, "x-amz-content-sha256": content, "x-amz-date": now}
    if secret:
        names = ";".join(headers)
        lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
        canonical = f"{method}\n{path}\n\n{lines}\n{names}\n{content}"
        scope = f"{now[:8]}/us-east-1/s3/aws4_request"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        key = f"AWS4{secret}".encode()
        for part in [*scope.split("/"), f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}"]:
            key = hmac.new(key, part.encode(), hashlib.sha256).digest()
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={access_key}/{scope}, "
            f"SignedHeaders={names}, Signature={key.hex()}"
        )
    kind = http.client.HTTPSConnection if endpoint.scheme == "https" else http.client.HTTPConnection
    connection = kind(endpoint.netloc, timeout=10)
    try:
        connection.request(method, path, body.encode(), headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


path = f"/{bucket}/verify/{text}"
written = ask("PUT", path, text)
result = {"same": ask("GET", path) == (200, text), "written": written[0] == 200}
for case, arguments in {
    "wrong keys": ("GET", path, "", "wrong" + text),
    "wrong keys, to write": ("PUT", path, "other", "wrong" + text),
    "no keys": ("GET", path, "", ""),
    "a bucket of its own": ("PUT", f"/verify-{text}"),
    "another bucket": ("PUT", f"/verify-{text}/verify", text),
}.items():
    status, _answer = ask(*arguments)
    result[case] = "refused" if status == 403 else f"answered with {status}"
result["unharmed"] = ask("GET", path) == (200, text)
result["deleted"] = ask("DELETE", path)[0] == 204 and ask("GET", path)[0] == 404
print(json.dumps(result))
