"""Signs a callback with the secret of this container: prints the two headers."""

import hashlib
import hmac
import json
import os
import sys
import time
from pathlib import Path

secret = Path(os.environ["WEBHOOK_SECRET_FILE"]).read_text().strip()
timestamp = str(int(time.time()) + int(sys.argv[2]))
message = f"{timestamp}.{sys.argv[1]}"
digest = hmac.new(secret.encode(), message.encode(), hashlib.sha256).hexdigest()
print(json.dumps({"X-Aisha-Timestamp": timestamp, "X-Aisha-Signature": f"sha256={digest}"}))
