"""First runs, beside tools that only download."""

import shutil
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

from tests.bench import limits, tools
from tests.bench.contest import Bench, counted, earlier_version, is_fine, sync_of
from tests.bench.data import Contents, FileSet, contents_of
from tests.bench.measure import Contestant
from tests.bench.servers import far_away
from tests.bench.tables import Table
from tests.bench.tools import OURS, Order

_FAR_ROUND_TRIP_S = 0.05
_FAR_BYTES_PER_S = 4_000_000
_MANY_FILES = 1_000
_MUCH_TO_HASH = 500_000_000
_ASIDE = "aside"


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
            problem = counted("new", files, printed) if ours else ""
            return problem or _differs(contents, contents_of(order.dest))

        ours = sync_of(
            bench, files, order.dest, base_url=order.base_url, ca_file=order.ca_file,
            before=partial(renew, make=False), check=partial(check, ours=True),
        )  # fmt: skip
        hashing = Contestant(
            "sha256sum alone", ["sha256sum", *map(str, sorted(files.paths))], is_fine,
            env=tools.environ(bench.home),
        )  # fmt: skip
        return [
            ours,
            *earlier_version(bench, ours),
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


def _differs(wanted: Contents, found: Contents) -> str:
    """What is wrong with the files that a tool left."""
    missing, strange = wanted - found, found - wanted
    if not missing and not strange:
        return ""
    return f"{missing.total():,} files are missing or wrong, {strange.total():,} are strange"
