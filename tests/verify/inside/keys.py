"""What the bot's own login may do in Redis. The bot's image must have redis-py for it."""

import json
import os
import uuid
from pathlib import Path

import redis

url = Path(os.environ["REDIS_URL_FILE"]).read_text().strip()
prefix, text = os.environ.get("REDIS_PREFIX", "aisha:"), uuid.uuid4().hex
key = f"{prefix}verify:{text}"
once = {"socket_timeout": 5, "retry": redis.retry.Retry(redis.backoff.NoBackoff(), 0)}
result = {}
with redis.Redis.from_url(url, **once) as client:
    client.set(key, text, ex=60)
with redis.Redis.from_url(url, **once) as client:
    result["same"] = client.get(key) == text.encode()
    client.delete(key)
    for name, command in (
        ("a key of another application", ["SET", f"verify:{text}", text]),
        ("all keys", ["KEYS", "*"]),
        ("empty the server", ["FLUSHALL"]),
        ("configure the server", ["CONFIG", "GET", "dir"]),
    ):
        try:
            client.execute_command(*command)
            result[name] = "accepted"
        except redis.exceptions.NoPermissionError:
            result[name] = "refused"
parts = redis.connection.parse_url(url)
parts.pop("connection_class", None)
for name, login in (
    ("wrong password", {"password": "wrong"}),
    ("no login", {"username": None, "password": None}),
):
    try:
        with redis.Redis(**{**parts, **login, **once}) as client:
            client.get(key)
        result[name] = "accepted"
    except redis.exceptions.ResponseError:
        result[name] = "refused"
    except redis.exceptions.AuthenticationError:
        result[name] = "refused"
print(json.dumps(result))
