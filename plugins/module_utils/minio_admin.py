# Copyright (c) 2026, the aisha.bot_stack team
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users and policies of a MinIO-compatible server: observe, plan, apply. Private to this collection."""

from __future__ import annotations

import json
import traceback

try:
    import urllib3
    from minio import Minio, MinioAdmin
    from minio.credentials import StaticProvider
    from minio.error import InvalidResponseError, MinioAdminException, S3Error, ServerError
except ImportError:
    HAS_MINIO = False
    MINIO_IMPORT_ERROR = traceback.format_exc()
else:
    HAS_MINIO = True
    MINIO_IMPORT_ERROR = None

# A new login beside a name has the lowest number that is free (services/logins.py), so there are never many.
MOST_ALTERNATES = 5
# What S3 answers to a login with an unknown or disabled access key, or with a wrong secret key.
REFUSED = ("InvalidAccessKeyId", "SignatureDoesNotMatch")


class MinioError(Exception):
    """Something that the module reports as its failure."""


def as_list(value):
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]


def normal_policy(policy):
    """A policy document in one form, because servers sort lists, unpack single values and drop empty keys."""
    if policy is None:
        return None
    statements = []
    for statement in as_list(policy.get("Statement")):
        normal = {}
        for key, value in statement.items():
            if value in ("", None, [], {}):
                continue
            if key in ("Action", "NotAction", "Resource", "NotResource"):
                value = sorted(as_list(value))
            normal[key] = value
        statements.append(normal)
    statements.sort(key=lambda item: json.dumps(item, sort_keys=True))
    return {"Version": policy.get("Version") or "2012-10-17", "Statement": statements}


def plan(observed, desired):
    """The names of the steps from what is to what is wanted, in order. Pure.

    observed: {"user": None or {"status", "policies"}, "buckets": None (no login) or list, "policy": None or dict}
    desired: {"state", "policy_name", "policy": None or dict}
    """
    user = observed["user"]
    steps = []
    if desired["state"] == "absent":
        if user is not None:
            steps.append("remove_user")
        if observed["policy"] is not None:
            steps.append("remove_policy")
        return steps
    if desired["policy"] is not None and normal_policy(observed["policy"]) != normal_policy(
        desired["policy"]
    ):
        steps.append("write_policy")
    if user is None:
        steps.append("create_user")
    elif user["status"] != "enabled" or observed["buckets"] is None:
        steps.append("set_secret_key")
    if desired["policy"] is not None and (
        user is None or user["policies"] != [desired["policy_name"]]
    ):
        steps.append("attach_policy")
    return steps


class Server:
    """The admin API and the login of one server. Every error comes out as MinioError."""

    def __init__(
        self, endpoint_url, access_key, secret_key, region, ca_cert, validate_certs, timeout
    ):
        url = urllib3.util.parse_url(endpoint_url)
        if url.scheme not in ("http", "https") or not url.host or url.path not in (None, "", "/"):
            raise MinioError(
                "endpoint_url is %s, but must be http://HOST:PORT or https://HOST:PORT."
                % endpoint_url
            )
        self.endpoint_url = endpoint_url
        self.region = region
        self._endpoint = url.netloc
        self._secure = url.scheme == "https"
        options = {}
        if self._secure:
            options["cert_reqs"] = "CERT_REQUIRED" if validate_certs else "CERT_NONE"
            if ca_cert:
                options["ca_certs"] = ca_cert
        self._http = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=timeout, read=timeout),
            retries=urllib3.Retry(
                total=2, backoff_factor=0.2, status_forcelist=[500, 502, 503, 504]
            ),
            **options,
        )
        try:
            self._admin = MinioAdmin(
                endpoint=self._endpoint,
                credentials=StaticProvider(access_key, secret_key),
                region=region,
                secure=self._secure,
                http_client=self._http,
            )
        except ValueError as exc:
            raise MinioError("endpoint_url %s: %s" % (endpoint_url, exc)) from exc

    def _call(self, what, function, *args, missing=None):
        """Calls the admin API; None when the server says that the thing does not exist."""
        try:
            return function(*args)
        except MinioAdminException as exc:
            code, message = self._reason(exc)
            if missing is not None and code == missing:
                return None
            if code in REFUSED:
                message = "the server refuses admin_access_key or admin_secret_key (%s)." % code
            elif code == "AccessDenied":
                message = "admin_access_key may not administer this server (%s)." % code
            raise MinioError("Can't %s at %s: %s" % (what, self.endpoint_url, message)) from exc
        except urllib3.exceptions.HTTPError as exc:
            raise MinioError(
                "Can't %s: no answer from endpoint_url %s: %s" % (what, self.endpoint_url, exc)
            ) from exc
        except ValueError as exc:
            # The library reads a body that is not of this API.
            raise MinioError(
                "Can't %s: %s is no MinIO admin API: %s" % (what, self.endpoint_url, exc)
            ) from exc

    @staticmethod
    def _reason(exc):
        """Code and message of the library's exception, whose text is the only public way to the body."""
        text = str(exc)
        start = text.find("{")
        if start >= 0:
            try:
                body = json.JSONDecoder().raw_decode(text[start:])[0]
            except ValueError:
                return "", text
            return body.get("Code", ""), body.get("Message", text)
        return "", text

    def user(self, name):
        answer = self._call(
            "read user %s" % name, self._admin.user_info, name, missing="XMinioAdminNoSuchUser"
        )
        if answer is None:
            return None
        answer = json.loads(answer)
        policies = [policy for policy in (answer.get("policyName") or "").split(",") if policy]
        return {"status": answer.get("status", ""), "policies": sorted(policies)}

    def accepts(self, name, secret_key):
        """{access key that is on: whether the secret key is its}, of this name and of those beside it.

        Asked for one by one: the server encrypts the list of its users with a key that takes longer to derive than
        all of these questions.
        """
        found, login, number = {}, name, 0
        while number <= MOST_ALTERNATES or login in found:
            login = "%s.%d" % (name, number) if number else name
            user = self.user(login)
            if user is not None and user["status"] == "enabled":
                found[login] = self.login(login, secret_key) is not None
            number += 1
        return found

    def policy(self, name):
        answer = self._call(
            "read policy %s" % name,
            self._admin.policy_info,
            name,
            missing="XMinioAdminNoSuchPolicy",
        )
        if answer is None:
            return None
        answer = json.loads(answer)
        # Newer servers wrap the document.
        return answer.get("Policy", answer) if isinstance(answer, dict) else None

    def login(self, name, secret_key):
        """The buckets that the user sees with this secret key, None when it can't log in."""
        client = Minio(
            endpoint=self._endpoint,
            access_key=name,
            secret_key=secret_key,
            region=self.region,
            secure=self._secure,
            http_client=self._http,
        )
        try:
            return sorted(bucket.name for bucket in client.list_buckets())
        except S3Error as exc:
            if exc.code in REFUSED:
                return None
            if exc.code == "AccessDenied":
                # Known, but without the right to list.
                return []
            raise MinioError(
                "Can't log in as %s at %s: %s (%s)"
                % (name, self.endpoint_url, exc.message, exc.code)
            ) from exc
        except (InvalidResponseError, ServerError, urllib3.exceptions.HTTPError) as exc:
            raise MinioError(
                "Can't log in as %s at %s: %s" % (name, self.endpoint_url, exc)
            ) from exc

    def observe(self, name, secret_key, policy_name):
        user = self.user(name)
        buckets = None
        if user is not None and user["status"] == "enabled" and secret_key:
            buckets = self.login(name, secret_key)
        return {"user": user, "buckets": buckets, "policy": self.policy(policy_name)}

    def apply(self, step, name, secret_key, policy_name, policy):
        if step == "write_policy":
            self._call(
                "write policy %s" % policy_name, self._admin.policy_add, policy_name, None, policy
            )
        elif step in ("create_user", "set_secret_key"):
            self._call("write user %s" % name, self._admin.user_add, name, secret_key)
        elif step == "attach_policy":
            self._call(
                "attach policy %s to user %s" % (policy_name, name),
                self._admin.policy_set,
                policy_name,
                name,
            )
        elif step == "remove_user":
            self._call("remove user %s" % name, self._admin.user_remove, name)
        elif step == "remove_policy":
            self._call("remove policy %s" % policy_name, self._admin.policy_remove, policy_name)
