"""The house: which module may know which, and who alone may do what."""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from mirror import __version__

PACKAGE = Path(__file__).parent.parent / "mirror"

ROWS = (
    # values: they know nobody
    ("errors", "models", "clock"),
    # tools: each does one thing, for anybody
    (
        "stopping",
        "threads",
        "addresses",
        "text",
        "media",
        "digests",
        "retrying",
        "durable",
        "partials",
    ),
    ("terminal",),
    # what `--json` prints
    ("schemas",),
    # rules: pure decisions
    ("layout", "planning", "settings", "wire"),
    ("matching",),
    # the world: disk, API, one answer of a CDN, the terminal
    ("config", "store", "manifest", "api", "answers", "bar"),
    ("receiving", "probing", "report"),
    # those who hear of a run from afar
    ("ping", "hook", "logfile", "notify"),
    # steps of one asset's way
    ("listing", "transfer", "commit"),
    ("fetching", "tally"),
    # what commands are made of
    ("pipeline", "running", "proving", "unattended", "runs"),
    ("sources", "adopted"),
    # commands
    ("syncing", "verify", "prune", "overview", "setup", "interview", "schedule"),
    ("repair", "rebuild", "adopt", "inventory", "wording"),
    # the face
    ("demo", "gallery", "arguments", "process"),
    ("completion", "manual", "public"),
    ("commands",),
    ("cli",),
    ("__main__",),
)
"""A module may import from rows above its own, and from `mirror` itself (the version)."""

ALONE = {
    "httpx": {"api", "ping"},
    "pycurl": {"transfer"},
    "tqdm": {"bar"},
    "shtab": {"completion"},
    "wcwidth": {"inventory"},
}
"""Libraries that these modules alone speak to."""


def _sources() -> dict[str, Path]:
    """Every module's file, by its name below `mirror`; the package itself is ""."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


SOURCES = _sources()
MODULES = sorted({name.partition(".")[0] for name in SOURCES if name})


@cache
def tree_of(name: str) -> ast.Module:
    """A module's syntax tree."""
    return ast.parse(SOURCES[name].read_text(encoding="utf-8"))


def imported(name: str) -> Iterator[str]:
    """Every module that a module imports, anywhere in its text, by its full name."""
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: a relative import"
            module = node.module or ""
            yield module
            for alias in node.names:
                if f"{module}.{alias.name}".removeprefix("mirror.") in SOURCES:
                    yield f"{module}.{alias.name}"


def ours(name: str) -> set[str]:
    """Our own modules that a module imports, by their names below `mirror`."""
    found = {module for module in imported(name) if module.partition(".")[0] == "mirror"}
    return {module.partition(".")[2] for module in found} - {"", name}


def row_of(module: str) -> int:
    """A module's row; a package's modules share it."""
    return next(number for number, row in enumerate(ROWS) if module.partition(".")[0] in row)


def test_every_module_has_one_row() -> None:
    """The table names the modules that there are, each once."""
    named = [module for row in ROWS for module in row]
    assert sorted(named) == sorted(set(named))
    assert set(MODULES) <= set(named), "a new module needs a row"
    assert set(named) <= set(MODULES), "a module that is gone needs none"


@pytest.mark.parametrize("name", [name for name in SOURCES if name])
def test_a_module_knows_only_what_is_above_it(name: str) -> None:
    """No module imports from its own row or one below, its own package apart."""
    package = name.partition(".")[0]
    for module in ours(name):
        if module.partition(".")[0] != package:
            assert row_of(module) < row_of(name), f"{name} imports {module}"


def test_the_package_itself_loads_nobody() -> None:
    """Reading the version loads none of our modules; the API's names are looked up on use."""
    told = "print(mirror.__version__, *(it for it in sys.modules if it.startswith('mirror.')))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, mirror; {told}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [__version__]


def test_no_imports_go_round() -> None:
    """Within packages, too, imports have a direction."""
    graph = {name: {module for module in ours(name) if module in SOURCES} for name in SOURCES}
    for name in graph:
        # `from mirror.demo import library` within the package loads the package first: not a turn.
        graph[name] -= {name.rpartition(".")[0]}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(graph)


def test_the_reader_of_imports_reads_them() -> None:
    """The checks above see imports at the top, inside functions, and behind `TYPE_CHECKING`."""
    assert {"errors", "store", "manifest"} <= ours("syncing")
    assert {"config", "public", "demo"} <= ours("commands")
    assert "hashlib" in set(imported("partials"))


@pytest.mark.parametrize(("library", "owners"), ALONE.items())
def test_a_library_has_its_users(library: str, owners: set[str]) -> None:
    """Each has its homes: there its errors are translated, and there alone it costs time."""
    users = {
        name
        for name in SOURCES
        if any(module.partition(".")[0] == library for module in imported(name))
    }
    assert users == owners


@pytest.mark.parametrize("name", SOURCES)
def test_only_the_face_prints_and_exits(name: str) -> None:
    """`print` and `sys.exit` are the command line's; everything else returns or raises."""
    used = {
        ast.unparse(node.func) for node in ast.walk(tree_of(name)) if isinstance(node, ast.Call)
    }
    if name not in ("process", "__main__"):
        assert used.isdisjoint({"print", "sys.exit", "exit", "quit", "os._exit"})
