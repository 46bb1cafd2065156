"""`demo`: sync from an embedded service, and show a newcomer the result."""

import argparse
import sys
from pathlib import Path

import msgspec

from mirror import demo
from mirror.commands.process import stoppable
from mirror.commands.registry import Command
from mirror.commands.sync import run_sync
from mirror.errors import ExitCode
from mirror.jobs.public import Config
from mirror.storage.layout import GALLERY_FOLDER
from mirror.storage.root import Root
from mirror.text import size


def _add_flags(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(dry_run=False, json=False)  # `sync` reads them
    parser.add_argument(
        "--dest",
        type=Path,
        default=Path("kling-mirror-demo"),
        metavar="DIR",
        help="the folder of the demo (default: %(default)s)",
    )


def _run(arguments: argparse.Namespace) -> int:
    dest = arguments.dest.absolute()
    tours: list[str] = []
    with demo.demo_service() as service:
        config = Config(dest=dest, api_url=service.api_url, token=demo.DEMO_TOKEN, min_free=0)
        settings = msgspec.structs.replace(config.settings, gallery=True)
        sys.stderr.write(f"A small Kling library is served at {service.api_url}; syncing it …\n")
        with stoppable() as stop:
            code = run_sync(settings, arguments, stop, at_end=lambda root: tours.append(tour(root)))
    if code == ExitCode.COMPLETE:
        sys.stderr.writelines(tours)
    return code


def tour(root: Root) -> str:
    """Put into words what was mirrored, and what to do next.

    Args:
        root: the demo's mirror, open.
    """
    stored = [file for entry in root.manifest.entries.values() for file in entry.files()]
    longest = max(len(file.path) for file in stored)
    page = Path(root.storage.location(f"{GALLERY_FOLDER}/index.html"))
    files = "\n".join(
        f"  {file.path.ljust(longest)}  {size(file.size):>8}"
        for file in sorted(stored, key=lambda file: file.path)
    )
    return f"""
{root.dest}
{files}
  {"manifest.json".ljust(longest)}  what each file is, where it is from, and since when
  {"SHA256SUMS".ljust(longest)}  checks every file without this program: sha256sum -c SHA256SUMS

Browse it offline:
  {page.as_uri()}

If you run `kling-mirror demo` again, it fetches nothing twice. For your own library:
  kling-mirror init    set up: asks for the folder and the token
  kling-mirror sync    mirror everything
"""


COMMAND = Command(_run, add_flags=_add_flags)
