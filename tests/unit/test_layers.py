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

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "mirror"

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
    "httpx": {"net.client", "net.kling", "report.ping"},
    "pycurl": {"net.curl"},
    "tqdm": {"report.bar", "report.notebook"},
    "shtab": {"commands.completion"},
    "obstore": {"storage.objects"},
    "wcwidth": {"report.table"},
}
"""Libraries that these modules alone speak to."""


HELD_BY = {
    "cli": "test_bad_input",
    "commands.accounts": "test_accounts",
    "commands.completion": "test_completion",
    "commands.config": "test_status_and_list",
    "commands.console": "test_bad_input",
    "commands.demo": "test_smoke",
    "commands.gallery": "test_gallery",
    "commands.import_": "test_import",
    "commands.init": "test_init",
    "commands.installing": "test_schedule_install",
    "commands.interview": "test_init",
    "commands.list": "test_status_and_list",
    "commands.man": "test_completion",
    "commands.opening": "test_bad_input",
    "commands.outcome": "test_bad_input",
    "commands.output": "test_bad_input",
    "commands.process": "test_stopping",
    "commands.signals": "test_early_signals",
    "commands.prune": "test_prune",
    "commands.repeating": "test_every",
    "commands.status": "test_status_and_list",
    "commands.sync": "test_cron",
    "commands.terminal": "test_init",
    "commands.verify": "test_verify",
    "jobs.accounts": "test_accounts",
    "jobs.adopt": "test_import",
    "jobs.adopted": "test_import",
    "jobs.commit": "test_order",
    "jobs.fetch": "test_file_faults",
    "jobs.gone": "test_gone",
    "jobs.lister": "test_versions",
    "jobs.pipeline": "test_changes",
    "jobs.public": "test_python_api",
    "jobs.rebuild": "test_rebuild",
    "jobs.repair": "test_repair",
    "jobs.running": "test_cron",
    "jobs.sources": "test_import",
    "jobs.status": "test_status_of_files",
    "jobs.sync": "test_accounts",
    "jobs.verify": "test_verify",
    "net.curl": "test_transfers",
    "net.kling": "test_api_faults",
    "net.transfers": "test_transfers",
    "report.notebook": "test_python_api",
    "storage.bucket": "test_bucket",
    "storage.bucket_files": "test_bucket",
    "storage.bucket_journal": "test_bucket",
    "storage.bucket_trash": "test_bucket",
    "storage.appended": "unit/storage/test_manifest",
    "storage.interface": "test_disk",
    "storage.journal": "unit/storage/test_manifest",
    "storage.local": "test_disk",
    "storage.recovery": "unit/storage/test_placing",
    "storage.securing": "unit/storage/test_placing",
    "storage.trash": "test_empty_trash",
    "storage.versions": "unit/storage/test_placing",
}
"""Modules without a unit test of their own, and the test of a whole run that holds their rules.

What a module alone knows belongs into its unit test: this list should shrink.
"""


ABOVE_STORAGE = ("jobs", "gallery", "net", "report", "commands")
FILES = frozenset(("os", "shutil", "pathlib", "stat", "tempfile", "glob"))
TOUCHES_FILES = {
    "commands.demo": "the folder that a flag names",
    "commands.gallery": "the folder that a flag names",
    "commands.import_": "the folder that a flag names",
    "commands.init": "config and token",
    "commands.installing": "systemd's units",
    "commands.streams": "the standard streams",
    "commands.interview": "the token's file and the home folder, in answers",
    "commands.opening": "the environment, and the config's path",
    "commands.output": "the terminal's width",
    "commands.process": "where the program is",
    "commands.signals": "the process that ends at a second signal",
    "commands.schedule": "paths for crontab and units",
    "commands.schedule_forms": "paths for crontab and units",
    "commands.terminal": "the terminal's width",
    "commands.verify": "how many processors there are",
    "jobs.adopt": "the folder to import from",
    "jobs.fetch": "the suffix of a path",
    "jobs.matching": "the folder to import from",
    "jobs.proving": "the folder to import from",
    "jobs.public": "the environment, and the config's path",
    "jobs.result": "the root's path, for messages",
    "jobs.sources": "the folder to import from",
    "jobs.sync": "the user's state folder",
    "net.download": "descriptors of partial files",
    "net.network": "the certificates that the environment names",
    "report.bar": "the terminal's width",
    "report.logfile": "the log file",
    "report.on_finish": "the hook's environment",
    "report.systemd": "the notification's socket",
    "report.watchers": "the log file's path",
    "gallery.page": "a folder for the page, apart from the mirror",
}
"""Modules above storage/ that import what touches files, and what for: never a root's files."""
SHOWS_THE_PAGE = ("commands.demo",)


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


def test_a_command_that_reads_loads_nothing_slow(tmp_path: Path) -> None:
    """What is for requests and for writers of types takes longer to load than a status to print."""
    program = (
        "import sys; from mirror.cli import main; "
        f"main(['status', '--dest', {str(tmp_path)!r}]); print(*sys.modules, sep='\\n')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = {*done.stdout.split()}
    assert "mirror.commands.status" in loaded
    assert not loaded & {"typing_extensions", "inspect", "asyncio", "httpx", "pycurl", "tenacity"}


def test_no_imports_go_round() -> None:
    """Within packages, too, imports have a direction."""
    graph = {name: {module for module in ours(name) if module in SOURCES} for name in SOURCES}
    for name in graph:
        # `from mirror.demo import library` within the package loads the package first: not a turn.
        graph[name] -= {name.rpartition(".")[0]}
    assert len(list(graphlib.TopologicalSorter(graph).static_order())) == len(graph)


def test_the_reader_of_imports_reads_them() -> None:
    """The checks above see imports at the top, inside functions, and behind `TYPE_CHECKING`."""
    assert {"errors", "storage.journal", "storage.root"} <= ours("jobs.sync")
    assert {"demo", "jobs.public", "commands.sync"} <= ours("commands.demo")
    assert "hashlib" in set(imported("storage.partial"))


@pytest.mark.parametrize("name", [name for name in SOURCES if name not in MAY_IMPORT])
def test_a_module_has_its_test(name: str) -> None:
    """Its unit test lies where the module does; or a functional test is named that holds it."""
    if name in ("", "__main__"):
        return
    unit = f"unit/{name.replace('.', '/test_') if '.' in name else f'test_{name}'}".rstrip("_")
    held_by = HELD_BY.get(name, unit)
    place = held_by if "/" in held_by else f"functional/{held_by}"
    assert (TESTS / f"{place}.py").exists(), f"write tests/{unit}.py"


@pytest.mark.parametrize("name", [name for name in SOURCES if package_of(name) in ABOVE_STORAGE])
def test_the_root_is_touched_by_the_storage_alone(name: str) -> None:
    """Whoever touches files outside of storage/ touches no file of a root, and says why it does."""
    touched = FILES.intersection(imported(name))
    assert not touched or name in TOUCHES_FILES, f"{name} imports {', '.join(touched)}"
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            assert not ast.unparse(node.left).endswith("root.dest") or name in SHOWS_THE_PAGE
        if isinstance(node, ast.Attribute):
            assert not ast.unparse(node).startswith(("storage._", "self._storage._"))


def test_no_test_of_a_module_is_left_behind() -> None:
    """A module that is renamed or removed takes its unit test along."""
    for path in TESTS.glob("unit/*/test_*.py"):
        name = f"{path.parent.name}.{path.stem.removeprefix('test_')}"
        assert {name, f"{name}_"} & SOURCES.keys(), f"{path}: there is no mirror.{name}"
    assert set(HELD_BY) <= set(SOURCES)


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
    if name not in ("commands.process", "commands.signals", "__main__"):
        assert used.isdisjoint({"print", "sys.exit", "exit", "quit", "os._exit"})
