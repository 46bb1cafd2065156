"""What all scenarios share: where they run, and our own contestants."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from tests.bench import tools
from tests.bench.data import FileSet, make_mirror
from tests.bench.measure import Contestant, Result, compete, measured
from tests.bench.servers import Site
from tests.bench.tools import BASE, OURS, Tool


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

    def mirror(self, files: FileSet, name: str, base_url: str = "") -> tuple[Path, Contestant]:
        """A mirror that holds all of a set, seen to do so, and the sync that has nothing to do.

        The listing is asked for at `base_url`, or else at the site itself.
        """
        dest = self.scratch / name
        make_mirror(dest, self.home / ".local/state/kling-mirror", files.make_pages(self.site.url))
        sync = sync_of(
            self,
            files,
            dest,
            base_url=base_url or self.site.url,
            check=partial(counted, "unchanged", files),
        )
        _, problem = measured(sync, self.scratch)
        if problem:
            raise SystemExit(f"the prepared mirror of {files.count:,} assets is not one: {problem}")
        return dest, sync


def sync_of(
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


def earlier_version(bench: Bench, ours: Contestant) -> list[Contestant]:
    """The same by the earlier version, if one takes part."""
    if bench.base is None:
        return []
    return [replace(ours, name=BASE, env={**ours.env, "PYTHONPATH": str(bench.base)})]


def counted(kind: str, files: FileSet, printed: str) -> str:
    """What is wrong with a summary in which every asset should be of one kind."""
    assets = json.loads(printed)["assets"]
    right = assets["listed"] == assets[kind] == files.count
    return "" if right else f"{assets[kind]:,} of {assets['listed']:,} listed are {kind}"


def is_fine(_: str) -> str:
    """For what prints nothing that could be wrong."""
    return ""
