"""`python -m tests.bench`: see the package's docstring."""

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from mirror import __version__
from mirror.clock import now_iso
from tests import bench as package
from tests.bench import limits, tools
from tests.bench.contest import Bench
from tests.bench.downloads import Download
from tests.bench.scenarios import Scenario, scenarios
from tests.bench.servers import site
from tests.bench.tables import Table

_ROUNDS = 5
_JOBS = 8


def main() -> int:
    """Measures what was asked for.

    Returns:
        1 if one of our own runs was not complete; a peer's is only named.
    """
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    peers = [peer for peer in tools.PEERS if not arguments.tool or peer.name in arguments.tool]
    installed = [peer for peer in peers if peer.is_installed()]
    chosen = [
        scenario
        for scenario in scenarios(quick=arguments.quick)
        if not arguments.scenario or scenario.name in arguments.scenario
    ]
    if any(_needs_limits(scenario) for scenario in chosen):
        if limits.can_limit():
            limits.enter_namespace()
        else:
            _say("without the limited line and processor, which need root, ip, tc and cgroups v1")
            chosen = [scenario for scenario in chosen if not _needs_limits(scenario)]
    rounds = arguments.rounds or (1 if arguments.quick else _ROUNDS)
    with tempfile.TemporaryDirectory(prefix="kling-mirror-bench-", dir=arguments.workdir) as folder:
        work = Path(folder).resolve()
        about = _about(work, installed, rounds=rounds, jobs=arguments.jobs, quick=arguments.quick)
        _print(_heading(about, [peer.name for peer in peers if peer not in installed]))
        (work / "home").mkdir()
        (work / "scratch").mkdir()
        (work / "site").mkdir()
        with site(work / "site") as running:
            bench = Bench(
                running, work / "scratch", work / "home", installed, arguments.jobs, rounds, _say,
                arguments.base,
            )  # fmt: skip
            tables = [_measured(scenario, bench) for scenario in chosen]
    if arguments.json is not None:
        values = {**about, "scenarios": [table.as_values() for table in tables]}
        arguments.json.write_text(json.dumps(values, indent=1) + "\n")
    return int(any(_has_failed(table) for table in tables))


def _arguments() -> argparse.Namespace:
    names = [scenario.name for scenario in scenarios(quick=True)]
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=package.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--scenario", action="append", choices=names, metavar="NAME", help=", ".join(names))
    add("--tool", action="append", choices=[peer.name for peer in tools.PEERS], metavar="NAME",
        help="a peer that takes part; repeatable; all by default")  # fmt: skip
    add("--base", type=_tree, metavar="TREE",
        help="a checkout of an earlier version, which takes part beside this one")  # fmt: skip
    add("--rounds", type=int, metavar="N", help=f"runs of each tool ({_ROUNDS}; 1 with --quick)")
    add("--jobs", type=int, default=_JOBS, metavar="N", help=f"connections of each tool ({_JOBS})")
    add("--json", type=Path, metavar="FILE", help="write everything, single runs included")
    add("--workdir", type=Path, metavar="DIR", help="make the data here (the temporary folder)")
    add("--quick", action="store_true", help="tiny counts: only to see that it works")
    return parser.parse_args()


def _tree(text: str) -> Path:
    """A folder with the source of this program."""
    tree = Path(text).resolve()
    if not (tree / "mirror" / "__main__.py").is_file():
        raise argparse.ArgumentTypeError(f"{tree} has no mirror/__main__.py")
    return tree


def _needs_limits(scenario: Scenario) -> bool:
    return isinstance(scenario, Download) and scenario.needs_limits


def _measured(scenario: Scenario, bench: Bench) -> Table:
    _say(f"{scenario.name}:")
    table = scenario.run(bench)
    _print(f"{table.as_markdown()}\n")
    return table


def _has_failed(table: Table) -> bool:
    """Whether what is ours went wrong; in a table without peers, that is all of it."""
    return any(each.problem for each in table.results if each.name == table.ours or not table.ours)


def _about(
    work: Path, peers: list[tools.Tool], *, rounds: int, jobs: int, quick: bool
) -> dict[str, object]:
    """What someone who reads the numbers wants to know of how they came about."""
    kind = subprocess.run(
        ["stat", "-f", "-c", "%T", work],  # noqa: S607
        capture_output=True, text=True, check=False,
    ).stdout.strip()  # fmt: skip
    return {
        "started": now_iso(),
        "quick": quick,
        "rounds": rounds,
        "jobs": jobs,
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "file_system": kind,
        "python": platform.python_version(),
        "kling_mirror": __version__,
        "peers": {peer.name: peer.version() for peer in peers},
    }


def _heading(about: dict[str, object], absent: list[str]) -> str:
    peers = about["peers"]
    assert isinstance(peers, dict)
    versions = ", ".join(f"{name} {version}" for name, version in peers.items())
    lines = [
        f"kling-mirror {about['kling_mirror']}, Python {about['python']}, {about['cpus']} CPUs",
        f"({about['file_system']}); medians of {about['rounds']}, {about['jobs']} connections.",
        f"Peers: {versions}." + (f" Not installed: {', '.join(absent)}." if absent else ""),
        "`÷`: ours divided by theirs, the median of the rounds; below 1, kling-mirror needs less.",
    ]
    if about["quick"]:
        lines.append("**Quick: these numbers say nothing.**")
    return "\n".join([*lines, ""])


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
