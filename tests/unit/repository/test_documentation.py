"""What the pages name exists: options, files, make targets, plugins, headings, messages."""

from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
PAGES = [
    *sorted((ROOT / "docs").glob("*.md")),
    ROOT / "README.md",
    *sorted(ROOT.glob("roles/*/README.md")),
    *sorted(ROOT.glob("images/*/README.md")),
    *sorted(ROOT.glob("tests/*/README.md")),
]
# docs/configuration.md is written from the argument specs; `make lint` compares it.
PROSE = [page for page in PAGES if page.name != "configuration.md"]
FOLDERS = "docs|images|inventory|molecule|playbooks|plugins|roles|scripts|tests"
# Of an operator, and made by what the same page describes.
OF_AN_OPERATOR = re.compile(r"inventory/(mine|local/\.secrets)\b")
# Of others, or an example's.
FOREIGN_NAMES = {
    "ANSIBLE_VAULT_PASSWORD_FILE",
    # Telegram's, and of frameworks for it
    "base_file_url",
    "parse_mode",
    # Hypothesis's
    "reproduce_failure",
    # NFS's
    "root_squash",
    # the emulator's fixture
    "bot_api",
    # of examples
    "bot_stack",
    "emulated_4242_bot",
}

pytestmark = pytest.mark.parametrize("page", PROSE, ids=lambda p: str(p.relative_to(ROOT)))


def code_of(page: Path) -> list[str]:
    """What a page has in code spans, and the lines of its blocks."""
    text = page.read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    spans = re.findall(r"`([^`]+)`", rest)
    return [" ".join(span.split()) for span in spans] + "\n".join(blocks).splitlines()


@functools.cache
def sources() -> dict[str, str]:
    """The text of every file that git tracks, but for the pages."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    texts = {}
    for name in filter(None, listing):
        path = ROOT / name
        if path.is_file() and path.suffix not in (".md", ".ogg", ".log") and path != Path(__file__):
            texts[name] = path.read_text(errors="replace")
    return texts


@functools.cache
def words() -> set[str]:
    return {word for text in sources().values() for word in re.findall(r"\w+", text)}


@functools.cache
def options() -> set[str]:
    """Options of all roles, and what their tasks register or set for others."""
    found: set[str] = set()
    for specs in ROOT.glob("roles/*/meta/argument_specs.yml"):
        found |= set(yaml.safe_load(specs.read_text())["argument_specs"]["main"]["options"])
    for tasks in ROOT.glob("roles/*/tasks/*.yml"):
        found |= set(re.findall(r"^\s+register: (\w+)$", tasks.read_text(), re.MULTILINE))
        found |= facts(yaml.safe_load(tasks.read_text()))
    return found


@functools.cache
def vault() -> set[str]:
    example = ROOT / "inventory/example/group_vars/all/vault.yml.example"
    return set(yaml.safe_load(example.read_text()))


def facts(tasks: Any) -> set[str]:
    found: set[str] = set()
    for task in tasks or []:
        found |= set(task.get("ansible.builtin.set_fact") or {})
        for part in ("block", "rescue", "always"):
            found |= facts(task.get(part))
    return found


def names_of_roles() -> list[str]:
    return sorted((path.name for path in (ROOT / "roles").iterdir()), key=len, reverse=True)


@functools.cache
def plugins() -> set[str]:
    """Last parts of all names below aisha.bot_stack."""
    files = [
        *ROOT.glob("plugins/modules/*.py"),
        *ROOT.glob("plugins/filter/*.yml"),
        *ROOT.glob("plugins/lookup/*.py"),
        *ROOT.glob("playbooks/*.yml"),
    ]
    return {path.stem for path in files} | set(names_of_roles())


def images() -> set[str]:
    """Names of images: folders, and those that the role makes of one with another target."""
    folders = {path.parent.name for path in ROOT.glob("images/*/Dockerfile")}
    made = yaml.safe_load((ROOT / "roles/images/vars/main.yml").read_text())
    return folders | {name for value in made.values() if isinstance(value, dict) for name in value}


def test_every_name_is_somewhere_in_the_code(page: Path) -> None:
    named = {
        word
        for code in code_of(page)
        for word in re.findall(r"(?<![\w-])[A-Za-z]\w*_\w+", code)
        if not word.endswith("_")
    }
    # The reference bot's settings are in lower case in its code.
    assert not sorted(
        {name for name in named if not {name, name.lower()} & words()} - FOREIGN_NAMES
    )


def test_every_option_is_one(page: Path) -> None:
    found = []
    for code in code_of(page):
        for word in re.findall(r"(?<![\w./-])[a-z]\w*_\w+(?![\w/.-])", code):
            role = next((name for name in names_of_roles() if word.startswith(name + "_")), None)
            if word.startswith("vault_") and word not in vault():
                found.append(word)
            if role and not word.endswith("_") and word not in options() | plugins() | images():
                found.append(word)
    assert not sorted(set(found) - FOREIGN_NAMES)


def test_every_file_is_there(page: Path) -> None:
    missing = []
    for code in code_of(page):
        for path in re.findall(rf"(?<![\w/.$>-])(?:{FOLDERS})/[\w./-]*|(?<![\w/])site\.yml", code):
            # `tests/…` of an image's own README is below it.
            at = [ROOT / path.rstrip("."), page.parent / path.rstrip(".")]
            if not OF_AN_OPERATOR.match(path) and not any(each.exists() for each in at):
                missing.append(path)
    assert not missing


def test_every_make_target_and_its_variables_are_there(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    missing = []
    for code in code_of(page):
        command = re.sub(r"^(sudo |PYTHON=\S+ |.*# )", "", code)
        for target, rest in re.findall(r"^make ([a-z][a-z-]*|…)((?: [A-Z_]+=\S+)*)", command):
            missing += [target] if target not in {*targets, "…"} else []
            missing += [
                name
                for name in re.findall(r"([A-Z_]+)=", rest)
                if not re.search(rf"\$\({name}\)|^(export )?{name} \?=", makefile, re.MULTILINE)
            ]
    assert not missing


def test_every_plugin_role_and_playbook_is_there(page: Path) -> None:
    named = {
        name for code in code_of(page) for name in re.findall(r"aisha\.bot_stack\.(\w+)", code)
    }
    assert not named - plugins()
    # A playbook's name alone, as in a sentence about it.
    books = {name for code in code_of(page) for name in re.findall(r"^([a-z_]+)\.yml\b", code)}
    there = {
        path.stem for path in [*ROOT.glob("playbooks/*.yml"), *ROOT.glob("inventory/*/**/*.yml")]
    }
    assert not books - there - {"site", "vault"}


def test_every_scenario_and_entry_point_is_there(page: Path) -> None:
    scenarios = {path.parent.name for path in ROOT.glob("molecule/*/molecule.yml")}
    entries = {path.stem for path in ROOT.glob("roles/*/tasks/*.yml")}
    for code in code_of(page):
        assert set(re.findall(r"^molecule .*-s (\w+)", code)) <= scenarios | {"NAME"}, code
        assert set(re.findall(r"tasks_from: (\w+)", code)) <= entries, code


def test_every_link_leads_to_a_heading_that_is_there(page: Path) -> None:
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if target.startswith("https://"):
            continue
        name, _hash, anchor = target.partition("#")
        path = page.parent / name if name else page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(target)
    assert not broken


def anchors(page: Path) -> set[str]:
    """As the usual viewers make them of headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_message_in_a_table_is_one_of_the_code(page: Path) -> None:
    """Of tables that say what to do about it: the words that are the same from case to case."""
    missing = []
    for first in cells_of_messages(page.read_text()):
        for message in re.findall(r"`([^`]+)`|\"([^\"]+)\"", first):
            for part in re.split(r"…|10001:10001|\(|\bbot2\b", "".join(message)):
                if part.strip(" ).:") and part.strip(" ).:") not in said():
                    missing.append(part.strip())
    assert not missing


def cells_of_messages(text: str) -> list[str]:
    """The first cells of tables whose heading is about what is seen."""
    found = []
    heading = ""
    for line in text.splitlines():
        if not line.startswith("|"):
            heading = ""
            continue
        first = re.split(r"(?<!\\)\|", line)[1].strip()
        heading = heading or first
        if heading in ("it says", "you see") and first != heading:
            found.append(first)
    return found


@functools.cache
def said() -> str:
    """What the collection can say: the strings of its sources, joined as Python and YAML do it."""
    texts = [
        text
        for name, text in sources().items()
        if re.match(r"(plugins|roles|playbooks|images)/", name)
    ]
    joined = re.sub(r"\"\s*\n\s*(?:%[^\n]*\n\s*)?f?\"", "", "\n".join(texts))
    return " ".join(joined.split())
