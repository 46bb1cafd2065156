"""The program in forked processes: as fresh as started ones, and there in a few milliseconds.

`multiprocessing`'s fork server has imported the whole program once; each run is a child of its own.
What takes effect only as Python itself starts needs a real start (`needs_a_start`).
"""

import importlib
import multiprocessing
import os
import pkgutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import mirror

_AS_PYTHON_STARTS = ("LD_", "PYTHON", "LC_", "LANG", "TZ")


def needs_a_start(env: Mapping[str, str]) -> bool:
    """Say whether these variables do nothing in a process that is forked, or there is no fork."""
    return not hasattr(os, "fork") or any(name.startswith(_AS_PYTHON_STARTS) for name in env)


def run(arguments: list[str], *, environ: Mapping[str, str], cwd: Path) -> tuple[int, str, str]:
    """Run the program without a terminal.

    Args:
        arguments: of the command line.
        environ: all of its environment.
        cwd: the folder to run in.

    Returns:
        Its exit code, and what it wrote to stdout and stderr.

    Raises:
        TimeoutError: it has not ended within a minute, and was killed.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.lib.preloaded"])
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = context.Process(target=_child, args=(arguments, dict(environ), cwd, out, err))
        process.start()
        try:
            process.join(60)
            code = process.exitcode
        finally:
            process.kill()
            process.join()
            process.close()
        if code is None:
            raise TimeoutError(f"no end of {arguments}")
        return code, out.read_text("utf-8"), err.read_text("utf-8")


def import_all() -> None:
    """Import before the forks what a run imports late: once is enough."""
    for module in pkgutil.walk_packages(mirror.__path__, "mirror."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in ("anyio._backends._asyncio", "filelock", "httpcore", "tomllib"):
        importlib.import_module(name)


def _child(
    arguments: list[str], environ: Mapping[str, str], cwd: Path, out: Path, err: Path
) -> None:
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(cwd)
    for path, number in ((os.devnull, 0), (out, 1), (err, 2)):
        opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - a descriptor
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.argv = [str(Path(mirror.__file__).with_name("__main__.py")), *arguments]
    main = importlib.import_module("mirror.__main__")
    sys.exit(main.run())
