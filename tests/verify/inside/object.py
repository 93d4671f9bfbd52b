"""What the bot's own keys may do in the object storage."""

import json
import os
import uuid
from pathlib import Path

from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import get_session

secret = Path(os.environ["S3_SECRET_KEY_FILE"]).read_text().strip()
bucket, text = os.environ["S3_BUCKET"], uuid.uuid4().hex
key = f"verify/{text}"


def client(secret_key, **options):
    settings = Config(
        s3={"addressing_style": "path"},
        connect_timeout=5,
        read_timeout=10,
        retries={"max_attempts": 1},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        **options,
    )
    return get_session().create_client(
        "s3",
        endpoint_url=os.environ["S3_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id=os.environ["S3_ACCESS_KEY"],
        aws_secret_access_key=secret_key,
        config=settings,
    )


own, wrong = client(secret), client("wrong-" + text)
nobody = client(secret, signature_version=UNSIGNED)
own.put_object(Bucket=bucket, Key=key, Body=text.encode())
result = {"same": own.get_object(Bucket=bucket, Key=key)["Body"].read() == text.encode()}
for name, who, call, arguments in (
    ("wrong keys", wrong, "get_object", {"Bucket": bucket, "Key": key}),
    ("wrong keys, to write", wrong, "put_object", {"Bucket": bucket, "Key": key}),
    ("no keys", nobody, "get_object", {"Bucket": bucket, "Key": key}),
    ("a bucket of its own", own, "create_bucket", {"Bucket": f"verify-{text}"}),
):
    try:
        getattr(who, call)(**arguments)
        result[name] = "accepted"
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        result[name] = "refused" if status == 403 else f"answered with {status}"
own.delete_object(Bucket=bucket, Key=key)
try:
    own.get_object(Bucket=bucket, Key=key)
    result["deleted"] = False
except ClientError:
    result["deleted"] = True
print(json.dumps(result))
