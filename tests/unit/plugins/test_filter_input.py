"""What the first play refuses: what can't work, in a sentence without a secret."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from secrets import token_hex, token_urlsafe
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from ansible.errors import AnsibleError
from ansible_collections.aisha.bot_stack.plugins.filter.addresses import address_problems, bracketed
from ansible_collections.aisha.bot_stack.plugins.filter.environment import (
    environment,
    environment_problems,
)
from ansible_collections.aisha.bot_stack.plugins.filter.passwords import (
    password_problems,
    percent_encoded,
)
from ansible_collections.aisha.bot_stack.plugins.filter.secrets import scrubbed, secrets_of
from hypothesis import given
from hypothesis import strategies as st

PASSWORD = f"{token_hex(6)}Secret"
TOKEN = f"712345678:{token_urlsafe(26)[:35]}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("bot_api_url", "https://api.telegram.org"),
        ("bot_api_url", "http://aisha-bot-api:8081"),
        ("bot_api_url", "http://bot_api:8081"),
        ("bot_api_url", "http://[2001:db8::1]:8081/"),
        ("bot_api_url", "https://proxy.example.com/telegram"),
        ("bot_api_url", "https://proxy.example.com/bots"),
        ("bot_host_api_url", "http://127.0.0.1:8081"),
        ("bot_host_api_url", ""),
        ("bot_s3_endpoint_url", "http://aisha-minio:9000"),
        ("bot_s3_endpoint_url", "https://s3.eu-central-1.amazonaws.com/"),
        ("bot_database_url", f"postgresql://aisha:{PASSWORD}@db.example.com:5432/aisha"),
        ("bot_database_url", "postgresql://aisha:%2F%40%25%D0%BF@a:5432,b/aisha?sslmode=require"),
        ("bot_database_url", "postgresql+asyncpg://aisha:a+b=c!$&'()*,;~@[2001:db8::1]/aisha"),
        ("bot_database_url", "postgresql://aisha@/aisha?host=/run/postgresql"),
        ("bot_database_url", "postgresql:///aisha?host=/run/postgresql"),
        ("bot_redis_url", f"redis://:{PASSWORD}@cache_1:6379/0"),
        ("bot_redis_url", "rediss://cache.example.com"),
        ("images_registry_address", "127.0.0.1:5000"),
        ("images_registry_address", "registry.example.com"),
        ("stack_registry", "data1:5000"),
        ("stack_registry", "localhost"),
        ("postgres_publish_address", "192.0.2.11"),
        ("postgres_publish_address", "2001:db8::1"),
        ("bot_publish_address", "0.0.0.0"),
        ("bot_publish_address", "::"),
        ("docker_host_registries", ["127.0.0.1:5000", "registry.example.com"]),
        ("docker_host_ports", ["127.0.0.1", "::1"]),
    ],
)
def test_an_address_that_works(name: str, value: str) -> None:
    assert address_problems({name: value}) == []


ENCODE = "percent-encoded"
EARLY = "ends the login too early"


@pytest.mark.parametrize(
    ("name", "value", "because"),
    [
        (
            "bot_api_url",
            "api.telegram.org",
            "(api.telegram.org) can't be used: it does not begin with",
        ),
        ("bot_api_url", "https://api.telegram .org", "it has a blank"),
        ("bot_api_url", " https://api.telegram.org", "it has a blank"),
        ("bot_api_url", "https://api.telegram.org\n", "it has a blank or a line break"),
        ("bot_api_url", "ftp://api.telegram.org", "http:// or https://"),
        ("bot_api_url", "https://", "it has no host"),
        ("bot_api_url", "https:///path", "it has no host"),
        ("bot_api_url", f"https://api.telegram.org/bot{TOKEN}", "before /bot, with no token"),
        ("bot_api_url", "https://api.telegram.org/bot", "before /bot"),
        ("bot_api_url", "https://api.telegram.org?a=b", "before /bot"),
        ("bot_api_url", f"https://aisha:{PASSWORD}@api.example.com", "it may have no login"),
        ("bot_api_url", f"{TOKEN}", "it does not begin with"),
        ("bot_api_url", "http://host:port", "its port is no number"),
        ("bot_api_url", "http://host:70000", "its port is no number"),
        ("bot_api_url", "http://host:0", "its port is no number"),
        ("bot_api_url", "http://300.1.1.1", "neither a name nor an IP"),
        ("bot_api_url", "http://a..b", "neither a name nor an IP"),
        ("bot_host_api_url", "http://2001:db8::1:8081", "in brackets"),
        ("bot_host_api_url", "http://[fe80::1%25eth0]:8081", "no IPv6 address"),
        ("bot_s3_endpoint_url", "http://aisha_minio:9000", "has an underscore"),
        ("bot_s3_endpoint_url", "http://minio:9000/bucket", "more than scheme, host and port"),
        ("bot_s3_endpoint_url", "minio:9000", "does not begin with"),
        ("bot_database_url", f"postgresql://a:1/{PASSWORD}@db:5432/a", EARLY),
        ("bot_database_url", f"postgresql://a:x?{PASSWORD}@db:5432/a", EARLY),
        ("bot_database_url", f"postgresql://a:x#{PASSWORD}@db:5432/a", EARLY),
        ("bot_database_url", f"postgresql://a:x@{PASSWORD}@db:5432/a", ENCODE),
        ("bot_database_url", f"postgresql://a:x%{PASSWORD}@db:5432/a".replace("%", "%g"), ENCODE),
        ("bot_database_url", f'postgresql://a:"{PASSWORD}@db:5432/a', ENCODE),
        ("bot_database_url", f"postgresql://a:%ff{PASSWORD}@db:5432/a", "not UTF-8"),
        ("bot_database_url", f"postgresql://a:%00{PASSWORD}@db:5432/a", "can't be typed"),
        ("bot_database_url", f"postgresql://a:{PASSWORD} x@db:5432/a", "it has a blank"),
        ("bot_database_url", f"mysql://a:{PASSWORD}@db/a", "postgresql:// or postgres://"),
        ("bot_database_url", f"a:{PASSWORD}@db/a", "does not begin with"),
        ("bot_database_url", f"postgresql://a:{PASSWORD}@", "it has no host"),
        ("bot_database_url", f"host=db password={PASSWORD}", "it has a blank"),
        ("bot_redis_url", f"redis://{PASSWORD}", ""),
        ("bot_redis_url", f"redis://a:{PASSWORD}@h1,h2", "neither a name nor an IP"),
        ("bot_redis_url", f"redis://cache:{PASSWORD}", "its port is no number"),
        ("bot_redis_url", 6379, "is no text"),
        ("images_registry_address", "http://registry.example.com:5000", "it has a scheme"),
        ("images_registry_address", f"aisha:{PASSWORD}@registry.example.com", "no login"),
        ("images_registry_address", "registry.example.com:5000/aisha", "it has a path"),
        ("images_registry_address", "[2001:db8::1]:5000", "no IPv6"),
        ("images_registry_address", "my_registry:5000", "underscore"),
        ("images_registry_address", "registry", "a folder of Docker Hub"),
        ("stack_registry", "registry .example.com", "it has a blank"),
        ("redis_publish_address", "[2001:db8::1]", "without brackets"),
        ("redis_publish_address", "cache1.example.com", "no IPv4 or IPv6 address"),
        ("redis_publish_address", "192.0.2.11:6379", "no IPv4 or IPv6 address"),
        ("redis_publish_address", "192.0.2.0/24", "no IPv4 or IPv6 address"),
        ("docker_host_registries", ["a:5000", "https://b.example.com"], "it has a scheme"),
        ("docker_host_ports", ["127.0.0.1", "localhost"], "no IPv4 or IPv6 address"),
        ("redis_publish_address", "fe80::1%eth0", "no IPv4 or IPv6 address"),
    ],
)
def test_an_address_that_can_not_work(name: str, value: Any, because: str) -> None:
    sentences = address_problems({name: value})
    if not because:  # a host, whatever it is
        assert sentences == []
        return
    assert len(sentences) == 1
    assert sentences[0].startswith(name)
    assert because in sentences[0]
    assert PASSWORD not in sentences[0]
    assert TOKEN.partition(":")[2] not in sentences[0]


def test_a_sentence_stays_readable_and_an_unknown_name_is_no_address() -> None:
    (long,) = address_problems({"bot_api_url": "x" * 300})
    assert long.startswith("bot_api_url can't be used:")
    with pytest.raises(AnsibleError, match="knows no address that is called bot_name"):
        address_problems({"bot_name": "aisha"})


@given(st.text(max_size=40), st.sampled_from(["bot_database_url", "bot_redis_url"]))
def test_no_sentence_has_a_part_of_what_a_password_may_be(text: str, name: str) -> None:
    for value in (
        text + PASSWORD,
        f"redis://a:{text}{PASSWORD}@h",
        f"postgresql://{text}{PASSWORD}",
    ):
        assert PASSWORD not in " ".join(address_problems({name: value}))


@given(st.text(min_size=1), st.text(min_size=1))
def test_what_is_percent_encoded_is_a_login(user: str, password: str) -> None:
    if "\0" in user + password:
        return
    url = f"postgresql://{percent_encoded(user)}:{percent_encoded(password)}@db:5432/aisha"
    assert address_problems({"bot_database_url": url}) == []
    parts = urlsplit(url)
    assert (unquote(parts.username or ""), unquote(parts.password or "")) == (user, password)


def test_only_an_ipv6_address_gets_brackets() -> None:
    for address in ("192.0.2.1", "db.example.com", "", "[::1]", "a:b"):
        assert bracketed(address) == address
    assert bracketed("2001:db8::1") == "[2001:db8::1]"


# Environments


def test_values_of_yaml_become_text() -> None:
    given_values = {"THREADS": 4, "DEBUG": False, "ON": True, "RATE": 0.5, "NAME": "x", "EMPTY": ""}
    assert environment(given_values) == {
        "THREADS": "4",
        "DEBUG": "false",
        "ON": "true",
        "RATE": "0.5",
        "NAME": "x",
        "EMPTY": "",
    }
    assert environment_problems(given_values, "bot_env") == []


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"HOSTS": ["x"]}, "bot_env has HOSTS, whose value is no text, number or boolean."),
        ({"HOSTS": {"x": 1}}, "bot_env has HOSTS, whose value is no text, number or boolean."),
        ({"HOSTS": None}, "bot_env has HOSTS, whose value is empty."),
        ({"A B": "x"}, "bot_env has 'A B', which can't be the name of a variable."),
        ({"A=B": "x"}, "can't be the name of a variable."),
        ({1: "x"}, "can't be the name of a variable."),
        ({"BOT_TOKEN": TOKEN}, "BOT_TOKEN, which the role sets itself. Set bot_token instead."),
        ({"BOT_TOKEN_FILE": "/x"}, "BOT_TOKEN_FILE, which the role sets itself. Set bot_token"),
        ({"INSTANCE_ID": "x"}, "INSTANCE_ID, which the role sets itself. Take it out."),
        ({"BOT_ROLE": "x"}, "BOT_ROLE, which the role sets itself. Take it out."),
        ({"LOG_LEVEL": "DEBUG"}, "Set bot_log_level instead."),
        ({"A": "x\0"}, "NUL"),
        ("THREADS=4", "bot_env is no dictionary."),
    ],
)
def test_what_is_no_environment_is_named(variables: Any, sentence: str) -> None:
    sentences = environment_problems(variables, "bot_env")
    assert len(sentences) == 1
    assert sentence in sentences[0]
    assert TOKEN not in sentences[0]


# Passwords


@pytest.mark.parametrize("typed", "/+=@:%#?'\"\\$ &<>!*()[]{};,|`^~ßп")
def test_whatever_can_be_typed_may_be_in_a_password(typed: str) -> None:
    password = f"{token_hex(4)}{typed}{token_hex(4)}"
    assert password_problems({"redis_admin_password": password}) == []


@pytest.mark.parametrize(
    ("password", "because"),
    [
        ("", "is empty"),
        ("x" * 15, "is shorter than 16 characters"),
        (f"CHANGE_ME{'x' * 16}", "is still a placeholder"),
        ("x" * 16 + "\n", "has a line break"),
        ("x" * 8 + "\t" + "x" * 8, "has a line break or another control character"),
        ("x" * 8 + "\u2028" + "x" * 8, "has a line break or another control character"),
        ("x" * 8 + "\x85" + "x" * 8, "has a line break or another control character"),
        (" " + "x" * 16, "begins or ends with a blank"),
        ("x" * 16 + " ", "begins or ends with a blank"),
        ("ß" * 37, "is longer than the 72 bytes"),
        (1234567890123456789, "is no text: write it in quotes"),
    ],
)
def test_a_password_that_can_not_work(password: Any, because: str) -> None:
    sentences = password_problems({"registry_password": password}, 72)
    assert len(sentences) == 1
    assert sentences[0].startswith(f"registry_password {because}")
    assert not password or str(password).strip() not in sentences[0]


# What is secret


class Variables(Mapping[str, Any]):
    """Variables of which one can't be had: the file that its lookup reads is not there."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values_of = values

    def __getitem__(self, name: str) -> Any:
        if name == "registry_tls_key":
            raise AnsibleError("no such file")
        return self.values_of[name]

    def __iter__(self) -> Iterator[str]:
        return iter(["registry_tls_key", *self.values_of])

    def __len__(self) -> int:
        return len(self.values_of) + 1


def test_what_an_inventory_calls_secret() -> None:
    own = iter(f"{number}{token_hex(8)}" for number in range(100, 200))
    secret = {
        "bot_token": next(own),
        "bot_webhook_secrets": {"shop": [next(own)], "parrot": [next(own), next(own)]},
        "vault_anything": next(own),
        "secret_postgres_bot": next(own),
        "minio_root_password": next(own),
        "bot_s3_secret_key": next(own),
        "ansible_become_password": next(own),
        "ansible_become_pass": next(own),
        "postgres_users": [{"name": "aisha_user", "password": next(own)}],
        "minio_users": [{"name": "aisha_user", "secret_key": next(own), "buckets": ["audio-1"]}],
        "docker_host_registries": [{"address": "a.example.com", "password": next(own)}],
        "bot_api_emulator_tokens": [next(own), next(own)],
        "bot_env": {"OPENAI_API_KEY": next(own), "LANGUAGE": "german"},
        "bot_database_url": f"postgresql://aisha:{next(own)}@db.example.com/aisha",
        "registry_password": 1234567890123456,
    }
    plain = {
        "secret_dir": "/srv/secrets",
        "bot_s3_access_key": "aisha_access",
        "minio_secure_logging": True,
        "ssh_public_key": "ssh-ed25519 AAAAC3",
        "bot_s3_bucket": "aisha-audio",
        "redis_users": [{"name": "aisha_user", "keys": ["aisha:*"]}],
        "registry_tls_certificate": "-----BEGIN CERTIFICATE-----",
        "bot_api_url": "https://api.telegram.org",
        "images_registry_ca_path": "/etc/ca.crt",
        "ansible_ssh_private_key_file": "/keys/id",
        "bot_stop_timeout": 30,
        "bot_webhook_secret_short": "abc",
    }
    found = secrets_of(Variables(secret | plain))

    def texts(value: Any) -> list[str]:
        if isinstance(value, dict):
            hidden = {"name", "address", "buckets", "LANGUAGE"}
            return [text for key in value.keys() - hidden for text in texts(value[key])]
        if isinstance(value, list):
            return [text for element in value for text in texts(element)]
        return [str(value)]

    assert sorted(found) == sorted(texts(list(secret.values())))


def test_what_an_inventory_calls_secret_is_taken_out_of_a_text() -> None:
    key = token_hex(8)
    said = f"{key} and {TOKEN}"
    assert scrubbed(said, secrets_of({"vendor_api_key": key})) == "*** and 712345678:***"
    assert scrubbed(said) == f"{key} and 712345678:***"
