"""What comes after the first run: nothing to do, starting, and how it grows."""

import shutil
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from tests.bench import tools
from tests.bench.contest import Bench, counted, earlier_version, is_fine, sync_of
from tests.bench.data import FileSet
from tests.bench.measure import Contestant
from tests.bench.servers import far_away
from tests.bench.tables import Table
from tests.bench.tools import OURS

_START_UP_REPEATS = 5
_LATENCY_S = 0.15
_LINE_BYTES_PER_S = 100_000_000


@dataclass(frozen=True)
class Idle:
    """A second run with nothing to do, beside clients that only page."""

    name: str
    count: int
    slow: bool = False

    def run(self, bench: Bench) -> Table:
        """Measure it."""
        files = bench.files(self.name, self.count, 0)
        with ExitStack() as stack:
            stack.callback(files.remove)
            stack.callback(shutil.rmtree, bench.scratch / self.name, ignore_errors=True)
            base_url = bench.site.url
            if self.slow:
                base_url = stack.enter_context(
                    far_away(
                        bench.site.port, round_trip_s=_LATENCY_S, bytes_per_s=_LINE_BYTES_PER_S
                    )
                )
            _, sync = bench.mirror(files, self.name, base_url)
            ours = [sync, *earlier_version(bench, sync)]
            results = bench.compete([*ours, *self._peers(bench, files, base_url)])
        title = f"nothing to do at {self.count:,} assets"
        if self.slow:
            title += f", {_LATENCY_S * 1000:.0f} ms an answer"
        return Table(self.name, title, self.count, 0, OURS, results)

    def _peers(self, bench: Bench, files: FileSet, base_url: str) -> list[Contestant]:
        url = f"{base_url}/{self.name}/v1/kling/assets/uploaded/"
        env = tools.environ(bench.home)
        pages = sorted((files.folder / "pages").iterdir())
        listed = sum(page.stat().st_size for page in pages)
        # As many requests as a walk needs: the last is answered with an empty page.
        query = f"pageSize=100&sort=asc&pageNum=[1-{len(pages) + 1}]"
        empty = (bench.site.www / "empty.json").stat().st_size
        script = [sys.executable, str(tools.HERE / "httpx_pages.py"), url]
        curl = [
            "curl", "--disable", "--silent", "--show-error", "--fail", "--http1.1",
            "--output", "/dev/null", "--write-out", "%{size_download}\\n", f"{url}?{query}",
        ]  # fmt: skip

        def all_listed(printed: str) -> str:
            return "" if printed.split() == [str(self.count)] else f"counted {printed.strip()}"

        def all_received(printed: str) -> str:
            received = sum(map(int, printed.split()))
            return "" if received == listed + empty else f"received {received:,} bytes"

        found = [Contestant("httpx, pages and decodes", script, all_listed, env=env)]
        if any(peer.name == "curl" for peer in bench.peers):
            found.append(Contestant("curl, only pages", curl, all_received, env=env))
        return found


@dataclass(frozen=True)
class StartUp:
    """What a command takes before it does anything."""

    name: str
    count: int

    def run(self, bench: Bench) -> Table:
        """Measure it, more often than the rest: it is short."""
        files = bench.files(self.name, self.count, 0)
        env = tools.our_environ(tools.environ(bench.home))
        with ExitStack() as stack:
            stack.callback(files.remove)
            stack.callback(shutil.rmtree, bench.scratch / self.name, ignore_errors=True)
            dest, _ = bench.mirror(files, self.name)
            commands = {
                "python -c pass": [sys.executable, "-c", "pass"],
                "--version": [*tools.MIRROR, "--version"],
                "--help": [*tools.MIRROR, "--help"],
                f"status, {self.count:,} assets": [*tools.MIRROR, "status", "--dest", str(dest)],
            }
            contestants = [
                Contestant(name, command, is_fine, env=env) for name, command in commands.items()
            ]
            results = bench.compete(contestants, bench.rounds * _START_UP_REPEATS)
        return Table(self.name, "commands that do next to nothing", 0, 0, "", results)


@dataclass(frozen=True)
class Memory:
    """What commands take on a large mirror. One run each: memory hardly varies."""

    name: str
    count: int
    size: int

    def run(self, bench: Bench) -> Table:
        """Measure it."""
        files = bench.files(self.name, self.count, self.size)
        dest = bench.scratch / self.name
        with ExitStack() as stack:
            stack.callback(files.remove)
            stack.callback(shutil.rmtree, dest, ignore_errors=True)
            files.make_files()
            files.make_pages(bench.site.url)
            sync = partial(sync_of, bench, files, dest, base_url=bench.site.url)
            env = tools.our_environ(tools.environ(bench.home))
            results = bench.compete(
                [
                    sync(name="sync, the first", check=partial(counted, "new", files)),
                    sync(name="sync, nothing to do", check=partial(counted, "unchanged", files)),
                    *(
                        Contestant(
                            name, [*tools.MIRROR, name, "--dest", str(dest)], is_fine, env=env
                        )
                        for name in ("status", "verify")
                    ),
                ],
                rounds=1,
            )
        return Table(self.name, f"kling-mirror at {self.count:,} assets", 0, 0, "", results)


@dataclass(frozen=True)
class Scale:
    """How the steps of ours grow with the manifest, files and network left out. One run each."""

    name: str
    counts: Sequence[int]

    def run(self, bench: Bench) -> Table:
        """Measure it."""
        env = tools.our_environ(tools.environ(bench.home))
        contestants = []
        with ExitStack() as stack:
            for count in self.counts:
                folder = bench.scratch / f"{self.name}-{count}"
                folder.mkdir()
                stack.callback(shutil.rmtree, folder)
                for step in ("make", "load", "plan", "compact"):
                    command = [sys.executable, str(tools.HERE / "scale.py"), step, str(count)]
                    check = partial(_printed, f"{count}")
                    contestants.append(
                        Contestant(f"{step} {count:,}", [*command, str(folder)], check, env=env)
                    )
            results = bench.compete(contestants, rounds=1)
        title = "making, loading, planning with and rewriting a manifest"
        return Table(self.name, title, 0, 0, "", results)


def _printed(wanted: str, printed: str) -> str:
    return "" if printed.strip() == wanted else f"printed {printed.strip()}"
