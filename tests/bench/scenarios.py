"""What is measured: each scenario prepares its data, lets the tools compete, and tidies up."""

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from tests.bench import limits, tools
from tests.bench.data import Contents, FileSet, contents_of, make_mirror
from tests.bench.measure import Contestant, Result, compete, measured
from tests.bench.servers import Site, far_away
from tests.bench.tables import Table
from tests.bench.tools import BASE, OURS, Order, Tool

_FAR_ROUND_TRIP_S = 0.05
_FAR_BYTES_PER_S = 4_000_000
_START_UP_REPEATS = 5
_MANY_FILES = 1_000
_MUCH_TO_HASH = 500_000_000
_ASIDE = "aside"


@dataclass(frozen=True)
class Bench:
    """What all scenarios share.

    Attributes:
        scratch: a folder for what a scenario makes.
        home: of every command.
        peers: those that take part.
        say: called for every run.
        base: a checkout of an earlier version that takes part, or None.
    """

    site: Site
    scratch: Path
    home: Path
    peers: Sequence[Tool]
    jobs: int
    rounds: int
    say: Callable[[str], None]
    base: Path | None = None

    def compete(self, contestants: Sequence[Contestant], rounds: int = 0) -> list[Result]:
        """Let contestants run in turn."""
        return compete(
            contestants, rounds=rounds or self.rounds, scratch=self.scratch, say=self.say
        )

    def files(self, name: str, count: int, size: int) -> FileSet:
        """A set of files to be served."""
        return FileSet(name, self.site.www / name, count, size)

    def mirror(self, files: FileSet, name: str) -> tuple[Path, Contestant]:
        """A mirror that holds all of a set, seen to do so, and the sync that has nothing to do."""
        dest = self.scratch / name
        make_mirror(dest, self.home / ".local/state/kling-mirror", files.make_pages(self.site.url))
        sync = _sync(
            self, files, dest, base_url=self.site.url, check=partial(_counted, "unchanged", files)
        )
        _, problem = measured(sync, self.scratch)
        if problem:
            raise SystemExit(f"the prepared mirror of {files.count:,} assets is not one: {problem}")
        return dest, sync


class Scenario(Protocol):
    """One table's worth."""

    @property
    def name(self) -> str:
        """What `--scenario` calls it."""

    def run(self, bench: Bench) -> Table:
        """Measure it."""


@dataclass(frozen=True)
class Download:
    """A first run, beside tools that are given the URLs."""

    name: str
    count: int
    size: int
    tls: bool = False
    far: bool = False
    gigabit: bool = False
    quarter: bool = False

    @property
    def needs_limits(self) -> bool:
        """Whether it runs only where the line and the processor can be limited."""
        return self.gigabit or self.quarter

    def run(self, bench: Bench) -> Table:
        """Measure it."""
        files = bench.files(self.name, self.count, self.size)
        contents = files.make_files()
        lists = bench.scratch / "lists"
        with ExitStack() as stack:
            stack.callback(files.remove)
            base_url = bench.site.url
            if self.tls:
                base_url = bench.site.tls_url
            if self.far:
                proxy = far_away(
                    bench.site.port, round_trip_s=_FAR_ROUND_TRIP_S, bytes_per_s=_FAR_BYTES_PER_S
                )
                base_url = stack.enter_context(proxy)
            files.make_pages(base_url)
            order = Order(
                base_url, self.name, bench.scratch / "dest", lists,
                bench.site.certificate if self.tls else None, bench.jobs, self.size,
            )  # fmt: skip
            order.write_lists(files.names)
            stack.callback(shutil.rmtree, lists)
            stack.callback(shutil.rmtree, order.dest, ignore_errors=True)
            stack.callback(shutil.rmtree, bench.scratch / _ASIDE, ignore_errors=True)
            if self.gigabit:
                stack.enter_context(limits.gigabit())
            slowly = stack.enter_context(limits.quarter_core()) if self.quarter else []
            results = bench.compete(
                [
                    replace(each, command=[*slowly, *each.command])
                    for each in self._contestants(bench, order, files, contents)
                ]
            )
        return Table(self.name, self._title(), self.count, files.total_bytes, OURS, results)

    def _contestants(
        self, bench: Bench, order: Order, files: FileSet, contents: Contents
    ) -> list[Contestant]:
        def renew(*, make: bool) -> None:
            # ext4 looks at every inode that was freed in the last minutes before it gives out
            # another: to remove many files now would slow down whoever comes next.
            if self.count >= _MANY_FILES and order.dest.exists():
                aside.mkdir(exist_ok=True)
                order.dest.rename(aside / str(len(list(aside.iterdir()))))
            for folder in (order.dest, bench.home):  # we remember our mirrors, peers their hosts
                shutil.rmtree(folder, ignore_errors=True)
            bench.home.mkdir()
            if make:
                order.dest.mkdir()

        aside = bench.scratch / _ASIDE

        def check(printed: str, *, ours: bool) -> str:
            problem = _counted("new", files, printed) if ours else ""
            return problem or _differs(contents, contents_of(order.dest))

        ours = _sync(
            bench, files, order.dest, base_url=order.base_url, ca_file=order.ca_file,
            before=partial(renew, make=False), check=partial(check, ours=True),
        )  # fmt: skip
        hashing = Contestant(
            "sha256sum alone", ["sha256sum", *map(str, sorted(files.paths))], _is_fine,
            env=tools.environ(bench.home),
        )  # fmt: skip
        return [
            ours,
            *_before(bench, ours),
            *([hashing] if self._hashes_much(files) else []),
            *(
                Contestant(
                    tool.name,
                    tool.command(order),
                    partial(check, ours=False),
                    partial(renew, make=True),
                    tools.environ(bench.home),
                    order.dest,
                )
                for tool in bench.peers
                if tool.is_parallel or not (self.far or self.needs_limits)
            ),
        ]

    def _hashes_much(self, files: FileSet) -> bool:
        return files.total_bytes >= _MUCH_TO_HASH and not self.far and not self.needs_limits

    def _title(self) -> str:
        ways = {
            "over TLS": self.tls,
            f"{_FAR_ROUND_TRIP_S * 1000:.0f} ms round trip, "
            f"{_FAR_BYTES_PER_S / 1e6:g} MB/s a connection": self.far,
            "a line of 1 Gbit/s": self.gigabit,
            "a quarter of a core": self.quarter,
        }
        chosen = [way for way, is_so in ways.items() if is_so]
        return ", ".join([f"{self.count:,} files of {self.size / 1000:,.0f} KB", *chosen])


@dataclass(frozen=True)
class Idle:
    """A second run with nothing to do, beside clients that only page."""

    name: str
    count: int

    def run(self, bench: Bench) -> Table:
        """Measure it."""
        files = bench.files(self.name, self.count, 0)
        with ExitStack() as stack:
            stack.callback(files.remove)
            stack.callback(shutil.rmtree, bench.scratch / self.name, ignore_errors=True)
            _, sync = bench.mirror(files, self.name)
            results = bench.compete([sync, *_before(bench, sync), *self._peers(bench, files)])
        title = f"nothing to do at {self.count:,} assets"
        return Table(self.name, title, self.count, 0, OURS, results)

    def _peers(self, bench: Bench, files: FileSet) -> list[Contestant]:
        url = f"{bench.site.url}/{self.name}/v1/kling/assets/uploaded/"
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
                Contestant(name, command, _is_fine, env=env) for name, command in commands.items()
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
            sync = partial(_sync, bench, files, dest, base_url=bench.site.url)
            env = tools.our_environ(tools.environ(bench.home))
            results = bench.compete(
                [
                    sync(name="sync, the first", check=partial(_counted, "new", files)),
                    sync(name="sync, nothing to do", check=partial(_counted, "unchanged", files)),
                    *(
                        Contestant(
                            name, [*tools.MIRROR, name, "--dest", str(dest)], _is_fine, env=env
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


def scenarios(*, quick: bool) -> list[Scenario]:
    """All scenarios; the quick ones only show that the harness works."""
    small, medium, large = (
        ((40, 20_000), (6, 200_000), (2, 2_000_000))
        if quick
        else ((5_000, 20_000), (300, 2_000_000), (8, 100_000_000))
    )
    many = 300 if quick else 100_000
    return [
        Download("small", *small),
        Download("medium", *medium),
        Download("large", *large),
        Download("medium-tls", *medium, tls=True),
        Download("large-tls", *large, tls=True),
        Download("far", *((8, 40_000) if quick else (160, 400_000)), far=True),
        Download("gigabit-small", *((10, 300_000) if quick else (2_000, 300_000)), gigabit=True),
        Download("gigabit-large", *((2, 2_000_000) if quick else (60, 20_000_000)), gigabit=True),
        Download("quarter-small", *small, gigabit=True, quarter=True),
        Download("quarter-medium", *medium, gigabit=True, quarter=True),
        *(Idle(f"idle-{n}", n // 10 if quick else n) for n in (1_000, 10_000)),
        Idle("idle-100000", many),
        StartUp("startup", 100 if quick else 1_000),
        Memory("memory", many, 200),
        Scale("scale", (100, 1_000) if quick else (1_000, 10_000, 100_000, 1_000_000)),
    ]


def _sync(
    bench: Bench,
    files: FileSet,
    dest: Path,
    *,
    base_url: str,
    check: Callable[[str], str],
    name: str = OURS,
    ca_file: Path | None = None,
    before: Callable[[], None] = lambda: None,
) -> Contestant:
    """Our own `sync` of a set."""
    api_url = f"{base_url}/{files.name}/v1/kling"
    command = tools.sync_command(dest=dest, api_url=api_url, jobs=bench.jobs)
    env = tools.our_environ(tools.environ(bench.home), ca_file)
    return Contestant(name, command, check, before, env)


def _before(bench: Bench, ours: Contestant) -> list[Contestant]:
    """The same by the earlier version, if one takes part."""
    if bench.base is None:
        return []
    return [replace(ours, name=BASE, env={**ours.env, "PYTHONPATH": str(bench.base)})]


def _counted(kind: str, files: FileSet, printed: str) -> str:
    """What is wrong with a summary in which every asset should be of one kind."""
    assets = json.loads(printed)["assets"]
    right = assets["listed"] == assets[kind] == files.count
    return "" if right else f"{assets[kind]:,} of {assets['listed']:,} listed are {kind}"


def _differs(wanted: Contents, found: Contents) -> str:
    """What is wrong with the files that a tool left."""
    missing, strange = wanted - found, found - wanted
    if not missing and not strange:
        return ""
    return f"{missing.total():,} files are missing or wrong, {strange.total():,} are strange"


def _printed(wanted: str, printed: str) -> str:
    return "" if printed.strip() == wanted else f"printed {printed.strip()}"


def _is_fine(_: str) -> str:
    return ""
