"""Results as Markdown for a person, and as plain values for JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from tests.bench.measure import Result, Run


@dataclass(frozen=True)
class Table:
    """The results of one scenario.

    Attributes:
        title: what was done.
        count: files or assets that every contestant dealt with; 0 where there are none.
        bytes: of the files; 0 where none are fetched.
        ours: the contestant that the others are compared with, or "".
    """

    name: str
    title: str
    count: int
    bytes: int
    ours: str
    results: Sequence[Result]

    def as_markdown(self) -> str:
        """Medians, and our own divided by each peer's."""
        unit = "files/s" if self.bytes else "assets/s"
        heads = ["", "wall s", "CPU s", "peak MB"]
        heads += [unit] if self.count else []
        heads += ["MB/s"] if self.bytes else []
        heads += ["wall ÷", "CPU ÷", "peak ÷"] if self.ours else []
        rows = [heads, ["---", *["--:"] * (len(heads) - 1)], *self._rows(len(heads))]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        return "\n".join([f"### {self.name}: {self.title}", "", *lines])

    def as_values(self) -> dict[str, object]:
        """Everything, single runs included."""
        return {
            "name": self.name,
            "title": self.title,
            "count": self.count,
            "bytes": self.bytes,
            "ours": self.ours,
            "results": [self._values(result) for result in self.results],
        }

    def _values(self, result: Result) -> dict[str, object]:
        if result.problem:
            return {"tool": result.name, "problem": result.problem}
        median = result.median()
        ratios = self._ratios(result)
        return {
            "tool": result.name,
            "median": asdict(median),
            "per_s": self.count / median.wall_s if self.count else None,
            "mb_per_s": self.bytes / 1e6 / median.wall_s if self.bytes else None,
            "ours_divided_by_it": None if ratios is None else asdict(ratios),
            "runs": [asdict(run) for run in result.runs],
        }

    def _rows(self, width: int) -> Iterator[list[str]]:
        for result in self.results:
            if result.problem:
                said = result.problem.replace("|", "\\|")
                yield [result.name, said, *[""] * (width - 2)]
                continue
            median = result.median()
            row = [result.name, _shown_s(median.wall_s), _shown_s(median.cpu_s)]
            row.append(f"{median.peak_mb:,.0f}")
            row += [f"{self.count / median.wall_s:,.0f}"] if self.count else []
            row += [f"{self.bytes / 1e6 / median.wall_s:,.0f}"] if self.bytes else []
            if self.ours:
                ratios = self._ratios(result)
                row += ["", "", ""] if ratios is None else _shown_ratios(ratios)
            yield row

    def _ratios(self, peer: Result) -> Run | None:
        """Ours divided by a peer's, round by round: the median of each; None without either."""
        ours = next((each for each in self.results if each.name == self.ours), None)
        if ours is None or ours is peer or ours.problem:
            return None
        pairs = zip(ours.runs, peer.runs, strict=False)  # a problem ends the part of either
        return Result("", [one.divided_by(other) for one, other in pairs]).median()


def _shown_s(seconds: float) -> str:
    return f"{seconds:.3f}" if seconds < 1 else f"{seconds:.2f}"


def _shown_ratios(ratios: Run) -> list[str]:
    return [f"{ratio:.2f}" for ratio in (ratios.wall_s, ratios.cpu_s, ratios.peak_mb)]
