"""The house: which module may know which, and who alone may do what."""

import ast
import graphlib
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from mirror import __version__

PACKAGE = Path(__file__).parents[2] / "mirror"

ARCHITECTURE = PACKAGE.parent / "ARCHITECTURE.md"
_ROW = re.compile(r"^\| `(\w+)` \| ([\w, -]+) \|", re.MULTILINE)
MAY_IMPORT = {
    package: set(re.findall(r"\w+", others))
    for package, others in _ROW.findall(ARCHITECTURE.read_text(encoding="utf-8"))
}
"""ARCHITECTURE's table: each package, and those that it may import from beside the hall."""

DOORS = frozenset(("", "__main__", "cli"))
"""They load commands and the Python API on use; nobody imports from them but the version."""

ALONE = {
    "httpx": {"net.kling", "report.ping"},
    "pycurl": {"net.curl"},
    "tqdm": {"report.bar"},
    "shtab": {"commands.completion"},
    "wcwidth": {"report.table"},
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


def package_of(module: str) -> str:
    """The package that a module is in; "" for the hall."""
    return module.partition(".")[0] if module.partition(".")[0] in MAY_IMPORT else ""


def test_every_package_has_its_row() -> None:
    """The table names the packages that there are, each once."""
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == set(MAY_IMPORT)


@pytest.mark.parametrize("name", [name for name in SOURCES if name not in DOORS])
def test_a_module_knows_only_what_is_below_it(name: str) -> None:
    """No module imports from a package that its row does not name; the hall from none at all."""
    package = package_of(name)
    allowed = {"", package, *MAY_IMPORT.get(package, ())}
    for module in ours(name):
        assert package_of(module) in allowed, f"{name} imports {module}"
        assert module not in DOORS, f"{name} imports {module}"


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
    assert {"errors", "storage.local", "storage.manifest"} <= ours("jobs.sync")
    assert {"demo", "jobs.public", "commands.sync"} <= ours("commands.demo")
    assert "hashlib" in set(imported("storage.spool"))


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
    if name not in ("commands.process", "__main__"):
        assert used.isdisjoint({"print", "sys.exit", "exit", "quit", "os._exit"})
