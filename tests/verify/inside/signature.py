"""Signs a callback of the source verify with its secret in this container: prints the headers."""

import base64
import hashlib
import hmac
import json
import os
import sys
import time
from pathlib import Path

body, age, delivery = sys.argv[1:]
sources = json.loads(Path(os.environ["WEBHOOK_SECRETS_FILE"]).read_text())
headers = {}
if "verify" in sources:
    timestamp = str(int(time.time()) - int(age))
    # The newest of the source's secrets: it is the one that stays.
    key = base64.b64decode(sources["verify"][-1].removeprefix("whsec_"))
    digest = hmac.new(key, f"{delivery}.{timestamp}.{body}".encode(), hashlib.sha256).digest()
    headers = {
        "Webhook-Id": delivery,
        "Webhook-Timestamp": timestamp,
        "Webhook-Signature": f"v1,{base64.b64encode(digest).decode()}",
    }
print(json.dumps(headers))
