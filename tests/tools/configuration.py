"""Writes docs/configuration.md from the roles' argument specs, or checks that it is up to date.

Usage: configuration.py --write | --check
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "configuration.md"
# In the order in which site.yml runs them.
ROLES = [
    "docker_host",
    "images",
    "registry",
    "postgres",
    "redis",
    "minio",
    "bot_api_emulator",
    "bot",
]
HEAD = """\
# Configuration

Every variable of every role, made from the roles' argument specs by `make docs`;
`ansible-doc -t role aisha.bot_stack.bot` shows the same. Set them in your inventory's group_vars.
Secrets belong in a vault, or in a `secrets.yml` that only you can read.
"""


def markdown(text: str | list[str] | None) -> str:
    """An Ansible description as one line of Markdown."""
    joined = text if isinstance(text, str) else " ".join(text or [])
    joined = re.sub(r"\b[CVOEM]\(([^)]*)\)", r"`\1`", joined)
    return " ".join(joined.split()).replace("|", "\\|")


def value(default: Any) -> str:
    """A default as it is written in YAML."""
    if default is None:
        return ""
    dumped = yaml.safe_dump(default, default_flow_style=True, width=10_000)
    text = dumped.removesuffix("\n").removesuffix("\n...")
    return "`" + text.replace("|", "\\|") + "`"


def kind(option: dict[str, Any]) -> str:
    """An option's type, its choices or what its elements are."""
    if "choices" in option:
        return " or ".join(f"`{choice}`" for choice in option["choices"])
    name = str(option.get("type", "str"))
    return f"{name} of {option['elements']}" if "elements" in option else name


def rows(options: dict[str, Any], prefix: str = "") -> list[str]:
    """Table rows of options, each followed by those of its elements."""
    result = []
    for name, option in options.items():
        default = "required" if option.get("required") else value(option.get("default"))
        text = markdown(option.get("description"))
        result.append(f"| `{prefix}{name}` | {kind(option)} | {default} | {text} |")
        result += rows(option.get("options", {}), f"{prefix}{name}[].")
    return result


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for role in ROLES:
        path = ROOT / "roles" / role / "meta" / "argument_specs.yml"
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]["main"]
        parts.append(f"\n## {role}\n\n{markdown(spec['short_description'])}\n")
        parts += [f"- {markdown(line)}" for line in spec.get("description", [])] + [""]
        parts.append("| variable | type | default | meaning |\n|---|---|---|---|")
        parts.append("\n".join(rows(spec["options"])) + "\n")
    return "\n".join(parts)


def main(arguments: list[str]) -> int:
    """Writes the page, or says that it is out of date."""
    if arguments == ["--write"]:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if arguments == ["--check"]:
        if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page():
            return 0
        print(
            "docs/configuration.md does not match the argument specs: run make docs",
            file=sys.stderr,
        )
        return 1
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
