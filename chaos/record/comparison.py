"""The record of a comparison of two series of trials: what differs, by how much, and how sure that is."""

from enum import StrEnum
from pathlib import Path

from pydantic import Field

from chaos.errors import ExitCode
from chaos.record.entry import Entry, Number

COMPARISON_SCHEMA = 1


class Finding(StrEnum):
    """What became of one measure."""

    LARGER = "larger"
    """In B: worse, for every measure that there is."""
    SMALLER = "smaller"
    NONE = "no difference found"
    UNDECIDABLE = "undecidable"
    """So few values can show no difference, however large."""


class Side(Entry):
    """One of the two."""

    folder: str
    experiment: str
    started_at: str
    trials: int
    """With a fault, finished or cut short."""
    passed: int
    deviated: int
    inconclusive: int


class Difference(Entry):
    """One measure, B against A."""

    name: str
    unit: str
    """s, requests, or share."""
    n_a: int
    n_b: int
    """Trials with a value; those that did not recover among them, ranked last."""
    not_recovered_a: int
    not_recovered_b: int
    within_s: Number | None = None
    """Recoveries later than this count as not recovered in both: one side was watched no longer."""
    middle_a: Number | None
    """The median; of deviations, their share."""
    middle_a_reason: str | None = None
    middle_b: Number | None
    middle_b_reason: str | None = None
    p: Number
    """Two-sided, of the rank-sum test over all permutations."""
    p_adjusted: Number
    """After Holm, for as many measures as were compared."""
    finding: Finding
    shift: Number | None
    """B minus A, after Hodges and Lehmann; of shares their difference, with the interval of Newcombe."""
    shift_reason: str | None = None
    shift_low: Number | None
    """Of its 95 % interval."""
    shift_low_reason: str | None = None
    shift_high: Number | None
    shift_high_reason: str | None = None
    ratio: Number | None
    """B over A, where every value is positive."""
    ratio_reason: str | None = None
    ratio_interval: tuple[Number, Number] | None
    ratio_interval_reason: str | None = None
    detectable: Number | None
    """A shift that 4 of 5 such comparisons would have told, with this spread and these numbers of trials."""
    detectable_reason: str | None = None
    sentence: str


class Comparison(Entry):
    """Two series of trials side by side."""

    schema_number: int = Field(alias="schema")
    """Grows when a key is renamed or goes."""
    a: Side
    b: Side
    changes: tuple[str, ...]
    """What the two were not alike in: settings, manifests and versions."""
    differences: tuple[Difference, ...]
    exit_code: ExitCode

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(self.model_dump_json(by_alias=True, indent=2) + "\n", encoding="utf-8")
