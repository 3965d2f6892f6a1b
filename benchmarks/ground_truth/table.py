"""Scores of many runs as totals per world and rate, and as Markdown."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from benchmarks.ground_truth.scoring import Score
from benchmarks.ground_truth.worlds import WORLDS

ABOUT = ("recovery", "p99", "goodput", "errors")


@dataclass(slots=True)
class Cell:
    """All runs of a world, a group of worlds, or everything, at one rate."""

    counts: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    errors_s: list[float] = field(default_factory=list)
    """Told minus true, where both are finite."""
    widths_s: list[float] = field(default_factory=list)

    def add(self, score: Score) -> None:
        """One more run."""
        self.counts.update(score.counts)
        self.statuses[score.status] += 1
        if score.value_s is not None and math.isfinite(score.value_s) and math.isfinite(score.truth.low_s):
            self.errors_s.append(score.value_s - score.truth.low_s)
        if score.interval_s is not None and math.isfinite(score.interval_s[1]):
            self.widths_s.append(score.interval_s[1] - score.interval_s[0])

    def share(self, part: str, whole: str) -> float | None:
        """Of two counts; None where there is nothing to be a share of."""
        return self.counts[part] / self.counts[whole] if self.counts[whole] else None

    def told(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "counts": dict(sorted(self.counts.items())),
            "statuses": dict(sorted(self.statuses.items())),
            "bias_s": median(self.errors_s) if self.errors_s else None,
            "width_s": median(self.widths_s) if self.widths_s else None,
        }


def cells(scores: Iterable[Score], key: str) -> dict[tuple[str, float], Cell]:
    """By `world` or `group`, and rate."""
    found: defaultdict[tuple[str, float], Cell] = defaultdict(Cell)
    for score in scores:
        name = score.world if key == "world" else WORLDS[score.world].group
        found[name, score.rate].add(score)
    return dict(found)


def better_for_worse(scores: Sequence[Score]) -> dict[str, tuple[int, int]]:
    """Of each world that is a worse case of another: how often its number was better, of how many pairs."""
    values = {(score.world, score.rate, score.seed): score.value_s for score in scores}
    found: dict[str, tuple[int, int]] = {}
    for (name, rate, seed), value_s in values.items():
        other = WORLDS[name].better
        better_s = None if other is None else values.get((other, rate, seed))
        if value_s is None or better_s is None:
            continue
        worse, of = found.get(name, (0, 0))
        found[name] = worse + (value_s < better_s - 1e-6), of + 1
    return found


def page(scores: Sequence[Score], command: str) -> str:
    """docs/ground-truth.md, whole."""
    return _PAGE.format(
        runs=f"{len(scores):,}", worlds=len({score.world for score in scores}), command=command
    ) + (markdown(scores))


_PAGE = """# Ground truth

Simulated clusters whose truth is known go through the whole analysis: rows, timeline, phases, recovery, assertions.
{runs} runs of {worlds} worlds (`benchmarks/ground_truth/worlds.py`), written by `{command}`.

**What is true.** A world is a service: for every instant, the chance that a request planned then is good, and that it
fails. An instant is bad where the first is below `goodput` (95%) of the usual one, or the second above the usual one by
more than `error_ratio` (2%); it counts where 2 s around it lack as much on average. Recovery is the end of the last bad
stretch, up to the end of the disturbance (the fault's end, the return of its capacity) and one `hold` (5 s) more. Where
slots of a queue are lost, the chance is what a request would have had to wait, at every instant of the queue as it was.

- **covered**: the stated interval of `recovery.service` holds the truth, of the sound runs that state one.
- **no impact told**: although there was one, too small to be seen among so many requests; the interval beside it says
  until when one may have lasted.
- **false pass**: `recovery.service <= bound` passed although the truth was later (bounds 0.9 T and T - 0.1 s; 5, 15 and
  29 s where it never recovered).
- **false fail**: it deviated although the truth was earlier (T + 0.25 s and 1.1 T; 0.25 to 15 s if nothing happened).
- **inconclusive**: of all these claims, whose bounds lie close to the truth on purpose.
- **width**: the median of the intervals that have an end.
- **a better number**: the same requests met a worse world, and a lower recovery was told. It must never happen.

**Why more than 95 %.** The intervals are stated with *at least* 95 %: they have to hold in every world that the rows
may have come from, and the worst of these decides their width. After an outage that was over at once, forty good
requests have to come in a row before a loss of 5 % can be ruled out, a hundred before failures of 2 % can, and until
then the end may lie later. Where the end is sharp, the rows are the same in every run: an interval made of them holds
in all of them or in none, so that no method covers 95 % there but one that throws dice. Where the end is soft (losses
just above what is tolerated, queues near their capacity) the same width covers most seldom: with a one-sided 5 % in
place of 2.5 % the sharp rows would be three tenths narrower, and slow plateaus of 5 s at 50/s were covered in 24 of 28
runs, where they had been in 27. Shares of goodput and errors are Clopper and Pearson's, which are never too narrow, and
a phase that holds an outage varies less than they allow for.

"""


def markdown(scores: Sequence[Score]) -> str:
    """The tables."""
    lines = [_HEAD, _RULE]
    for (name, rate), cell in cells(scores, "group").items():
        lines.append(_line(name, rate, cell))
    everything = Cell()
    for score in scores:
        everything.add(score)
    lines.append(_line("**all**", math.nan, everything))
    lines += ["", *_of_statistics(everything), "", *_of_pairs(scores)]
    return "\n".join(lines) + "\n"


_HEAD = (
    "| worlds | rate | runs | unsound | unknown | covered | no impact told | median error | width "
    "| false pass | false fail | inconclusive |"
)
_RULE = "|---|---|---|---|---|---|---|---|---|---|---|---|"


def _line(name: str, rate: float, cell: Cell) -> str:
    claims = cell.counts["recovery false pass of"] + cell.counts["recovery false fail of"]
    cells_ = (
        name,
        "" if math.isnan(rate) else f"{rate:g}/s",
        str(cell.counts["runs"]),
        _percent(cell.share("unsound", "runs")),
        _percent(cell.share("unknown", "runs")),
        _percent(cell.share("recovery covered", "recovery intervals")),
        _percent(cell.share("false no impact", "recovery intervals")),
        f"{median(cell.errors_s):+.2f} s" if cell.errors_s else "",
        f"{median(cell.widths_s):.2f} s" if cell.widths_s else "",
        _percent(cell.share("recovery false pass", "recovery false pass of")),
        _percent(cell.share("recovery false fail", "recovery false fail of")),
        _percent(cell.counts["recovery inconclusive"] / claims if claims else None),
    )
    return f"| {' | '.join(cells_)} |"


def _of_statistics(cell: Cell) -> list[str]:
    lines = [
        "| claims about | interval covers | false pass | false fail | inconclusive |",
        "|---|---|---|---|---|",
    ]
    for about in ABOUT:
        claims = cell.counts[f"{about} false pass of"] + cell.counts[f"{about} false fail of"]
        row = (
            about,
            _percent(cell.share(f"{about} covered", f"{about} intervals")),
            _percent(cell.share(f"{about} false pass", f"{about} false pass of")),
            _percent(cell.share(f"{about} false fail", f"{about} false fail of")),
            _percent(cell.counts[f"{about} inconclusive"] / claims if claims else None),
        )
        lines.append(f"| {' | '.join(row)} |")
    covers = _percent(cell.share("baseline goodput covered", "baseline goodput intervals"))
    lines.append(f"| baseline goodput | {covers} | | | |")
    lines.append(f"| lost requests, exactly | {_percent(cell.share('lost right', 'lost told'))} | | | |")
    return lines


def _of_pairs(scores: Sequence[Score]) -> list[str]:
    lines = ["| a worse world | than | better number | pairs |", "|---|---|---|---|"]
    for name, (worse, of) in better_for_worse(scores).items():
        lines.append(f"| {name} | {WORLDS[name].better} | {worse} | {of} |")
    return lines


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"
