"""What one endpoint can tell and what it cannot: every signal, and the reason beside each that is not there."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from exporters.profiles.library import ProfileError
from exporters.profiles.profile import Profile, Series
from exporters.profiles.samples import read_exposition
from exporters.profiles.scraped import ScrapedFamily, families_of
from exporters.profiles.signals import SIGNALS, Signal

Answer = Literal["yes", "limited", "missing", "none"]
"""All of it; some of it; this engine has it but this endpoint does not; this engine has no such thing."""


@dataclass(frozen=True, slots=True)
class SignalCoverage:
    """What an endpoint tells about one signal."""

    signal: str
    answer: Answer
    families: tuple[str, ...]
    """Found ones, as spelled on sample lines."""
    types: tuple[str, ...]
    note: str
    """Resolution, limits, or why there is nothing."""


@dataclass(frozen=True, slots=True)
class Coverage:
    """What an endpoint tells about everything."""

    profile: Profile
    signals: tuple[SignalCoverage, ...]
    also: tuple[str, ...] = ()
    """Other engines whose series are there too."""
    unread: int = 0
    """Lines that could be no sample."""
    first_unread: str = ""
    """What the first of them was."""
    native: tuple[str, ...] = ()
    """Families of native histograms, which are left out."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One series of a profile, and the families that it is in this exposition."""

    series: Series
    families: tuple[ScrapedFamily, ...]


def coverage_of(text: str, known: Sequence[Profile], *, engine: str | None = None) -> Coverage:
    """What an exposition tells, as `coverage`, and how much of it could not be read.

    Raises:
        ExpositionError: it is none.
        ProfileError: no profile fits, or there is none for `engine`.
    """
    exposition = read_exposition(text)
    told = coverage(families_of(exposition), known, engine=engine)
    return replace(
        told,
        unread=exposition.unread,
        first_unread=exposition.first_unread,
        native=tuple(exposition.native),
    )


def coverage(
    families: Sequence[ScrapedFamily], known: Sequence[Profile], *, engine: str | None = None
) -> Coverage:
    """What these families tell, read by the profile that fits best, or by that of `engine`.

    Raises:
        ProfileError: no profile fits, or there is none for `engine`.
    """
    fitting = [candidate for candidate in known if _detected(candidate, families)]
    if engine is not None:
        fitting = [candidate for candidate in known if candidate.engine == engine]
    if not fitting:
        names = ", ".join(candidate.engine for candidate in known)
        shown = ", ".join(family.name for family in families[:5])
        raise ProfileError(
            f"expected series of one of {names}, got {len(families)} families: {shown}, ...\n"
            "hint: describe your engine in a file and give it with --profile"
        )
    ranked = sorted(fitting, key=lambda candidate: _found(candidate, families), reverse=True)
    best, *others = ranked
    signals = tuple(_of_signal(best, signal, families) for signal in SIGNALS.values())
    return Coverage(best, signals, tuple(other.engine for other in others))


def _detected(profile: Profile, families: Iterable[ScrapedFamily]) -> bool:
    return any(re.fullmatch(profile.detect, family.name) for family in families)


def _found(profile: Profile, families: Sequence[ScrapedFamily]) -> int:
    return sum(
        bool(matching(profile, one, families)) for series in profile.signals.values() for one in series
    )


def matching(
    profile: Profile, series: Series, families: Sequence[ScrapedFamily]
) -> tuple[ScrapedFamily, ...]:
    """The families that are this series here: by name, and with a sample that it means."""
    return tuple(
        family
        for family in families
        if re.fullmatch(profile.expression(series), family.name)
        and any(
            all(re.fullmatch(value, labels.get(label, "")) for label, value in series.where.items())
            for labels in family.samples
        )
    )


def _of_signal(profile: Profile, signal: Signal, families: Sequence[ScrapedFamily]) -> SignalCoverage:
    reason = profile.reason(signal.name)
    if reason is not None:
        return SignalCoverage(signal.name, "none", (), (), reason)
    parts = [_Part(one, matching(profile, one, families)) for one in profile.signals[signal.name]]
    found = [part for part in parts if part.families]
    if not found:
        return SignalCoverage(signal.name, "missing", (), (), _why_missing(profile, parts))
    notes = [note for part in found for note in _notes(signal, part)]
    notes += [
        f"without {part.series.name}" for part in parts if not part.families and _is_expected(part.series)
    ]
    limited = any(part.series.kind != signal.kind for part in found) or any(
        "nothing under" in note for note in notes
    )
    return SignalCoverage(
        signal.name,
        "limited" if limited else "yes",
        tuple(dict.fromkeys(family.name for part in found for family in part.families)),
        tuple(dict.fromkeys(family.type for part in found for family in part.families)),
        "; ".join(dict.fromkeys(notes)),
    )


def _notes(signal: Signal, part: _Part) -> Iterable[str]:
    for family in part.families:
        if part.series.kind == "histogram":
            yield _resolution(signal, part.series, family)
        if family.type != part.series.type:
            yield f"declared here as {family.type}, expected {part.series.type}"
    if part.series.limit:
        yield part.series.limit


def _resolution(signal: Signal, series: Series, family: ScrapedFamily) -> str:
    edges = [edge * series.unit_factor for edge in family.edges() if edge > 0]
    if not edges:
        return "no bucket edges"
    first, last = edges[0], edges[-1]
    if signal.fine is not None and first > signal.fine:
        return f"nothing under {first:g} s, up to {last:g} s"
    return f"{first:g} to {last:g} s"


def _is_expected(series: Series) -> bool:
    return series.enable is None and series.until is None


def _why_missing(profile: Profile, parts: Sequence[_Part]) -> str:
    reasons = [part.series.enable for part in parts if part.series.enable]
    if reasons:
        return "; ".join(dict.fromkeys(reasons))
    wanted = " or ".join(part.series.name for part in parts if part.series.until is None)
    since = "".join(f", there since {part.series.since}" for part in parts if part.series.since)
    return f"{profile.engine} {profile.release} has {wanted}{since}: another release, or nothing observed yet"
