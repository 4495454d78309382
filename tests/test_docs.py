"""What the docs name exists: files, links, commands, options, settings, metrics."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import typer.main

from worker.config import Settings
from worker.config_faults import PREFIX, field_at, section_at
from worker.metrics import Metrics

ROOT = Path(__file__).parents[1]
FOLDERS = ("worker", "training", "deploy", "docs", "tests", "examples")
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "worker/models/**/*.md")
    for path in ROOT.glob(pattern)
)
page = pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))


def prose(path: Path) -> str:
    """A page without its blocks of code."""
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)


def code_spans(path: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", prose(path))


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@page
def test_links_lead_somewhere(path: Path) -> None:
    """Every relative link is a file or folder, and every anchor a heading."""
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(path)):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        linked = (path.parent / file).resolve() if file else path
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@page
def test_files_that_are_named_exist(path: Path) -> None:
    """A path in code font that begins with one of our folders."""
    for span in code_spans(path):
        name = span.partition(":")[0].split()[0]
        if name.partition("/")[0] in FOLDERS and "/" in name and not set(name) & set("<>{}*…$"):
            assert (ROOT / name).exists(), span


@page
def test_settings_that_are_named_exist(path: Path) -> None:
    """``section.key`` and ``MASKWATCH_SECTION__KEY`` in code font, and in blocks of code."""
    for span in code_spans(path):
        match = re.fullmatch(r"([a-z]+)\.([a-z_]+)(?: = .*)?", span)
        if match and match[1] in Settings.model_fields and match[2] not in {"py", "toml", "db"}:
            section = section_at((match[1],))
            assert section, span
            assert match[2] in section.model_fields, span
    for variable in re.findall(rf"\b{PREFIX}([A-Z_]+__[A-Z_]+)\b", path.read_text()):
        misspelt_on_purpose = variable.startswith("HTPP")
        assert misspelt_on_purpose or field_at(tuple(variable.lower().split("__"))), variable


@page
def test_metrics_that_are_named_exist(path: Path) -> None:
    """Whatever begins like one of our metrics."""
    metrics = Metrics()
    known = {family.name for family in metrics.registry.collect()}
    for name in re.findall(r"\bmaskwatch_[a-z_]+", path.read_text()):
        assert re.sub(r"_(total|bucket|sum|count)$", "", name) in known, name


def commands(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Every command line of ours in a page: the program, and its words."""
    text = path.read_text()
    in_blocks = "\n".join(re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL))
    in_spans = "\n".join(code_spans(path))
    for line in (in_blocks + "\n" + in_spans).replace("\\\n", " ").splitlines():
        for match in re.finditer(r"(?:^|[/\s])(maskwatch(?:-train)?) ([a-z][^#|&;]*)", line):
            yield match[1], match[2].split()


@page
def test_commands_that_are_named_exist(path: Path) -> None:
    """Every command and every option of a command line."""
    for program, (name, *rest) in commands(path):
        group = group_of(program)
        if not re.fullmatch(r"[a-z-]+", name) or group is None:
            continue
        assert name in group.commands, f"{program} {name}"
        options = {option for p in group.commands[name].params for option in p.opts}
        for word in rest:
            option = word.partition("=")[0].strip("[]")
            if re.fullmatch(r"--?[a-z][a-z-]*", option):
                assert option in options | {"--help"}, f"{program} {name} {word}"


def group_of(program: str) -> typer.core.TyperGroup | None:
    """The commands of a program."""
    module = "worker.cli" if program == "maskwatch" else "training.cli"
    if importlib.util.find_spec(module) is None:
        return None
    return typer.main.get_group(importlib.import_module(module).app)


@page
def test_make_targets_that_are_named_exist(path: Path) -> None:
    """``make X`` in code."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = re.findall(r"^make ([a-z]+)", path.read_text(), re.MULTILINE)
    named += [span.split()[1] for span in code_spans(path) if re.match(r"make [a-z]+", span)]
    assert set(named) <= targets


def blocks(path: Path, language: str) -> list[str]:
    pattern = rf"^```{language}\n(.*?)^```"
    return re.findall(pattern, path.read_text(), re.MULTILINE | re.DOTALL)


@page
def test_blocks_of_code_can_be_read(path: Path) -> None:
    """Python compiles; TOML holds only sections and keys that there are."""
    for block in blocks(path, "python"):
        compile(block, str(path), "exec")
    for block in blocks(path, "toml"):
        for section, table in tomllib.loads(block).items():
            named = section in {"cameras", "zones"}
            for name, keys in table.items() if named else [(section, table)]:
                place = (section, name) if named else (section,)
                assert all(field_at((*place, key)) for key in keys), block


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", generator().PAGES)
def test_generated_pages_are_current(name: str) -> None:
    """The code says more than the page? `python docs/generate.py`."""
    module = generator()
    assert (module.REFERENCE / name).read_text() == module.PAGES[name]()
