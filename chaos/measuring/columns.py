"""Rows as columns: a million requests in some hundred megabytes, and functions over them that take no loop.

An instant that was never reached is NaN. All columns are in order of the planned instants.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from chaos.measuring.spoken import Spoken
from loadtests.rows import OK, OUTCOMES, SILENT_OUTCOMES, Row, counted_as

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

CODES = {name: code for code, name in enumerate(OUTCOMES)}
"""The number that stands for each outcome."""
_SILENT = np.array([name in SILENT_OUTCOMES for name in OUTCOMES])


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Requests of a run, one element of each column per planned arrival. See `loadtests.rows.Row` for the stamps."""

    index: Ints
    intended_s: Floats
    outcome: Ints
    """A code of `CODES`."""
    dispatched_s: Floats
    sent_s: Floats
    ended_s: Floats
    progress_s: Floats
    """The last that was seen of it before it ended: token, headers, sent, connected or dispatched."""
    prompt_tokens: Floats
    """As the server counted them; NaN where it did not."""
    usage_tokens: Floats
    """As the server counted them; NaN where it did not."""
    replica: Ints
    """Its place in `replicas`; -1 where nobody named it."""
    answer: Ints
    """Of a canary, the place of what was kept of its answer in `answers`; -1 for every other."""
    said: Ints
    """Its place in `words`; -1 where its server gave no reason for a failure."""
    tokens: Ints
    """Token events."""
    token_from: Ints
    """Where those of each request begin in `token_s`."""
    stored: Ints
    """The places of the requests in the order in which their tokens are stored."""
    token_s: Floats
    """The stamps of all token events, one request after the other."""
    replicas: tuple[str, ...]
    answers: tuple[str, ...]
    """What was kept of the answers to canaries, alike ones once."""
    words: tuple[str, ...]
    """What servers said when they refused, alike ones once."""

    def __len__(self) -> int:
        """Planned arrivals that have a row."""
        return len(self.index)

    @property
    def ok(self) -> Flags:
        """Whether the answer came complete."""
        return np.equal(self.outcome, CODES[OK])

    @property
    def output_tokens(self) -> Floats:
        """As the server counted them, else token events."""
        return np.where(self.usage_tokens > 0, self.usage_tokens, self.tokens)

    def ended_as(self, outcome: str) -> Flags:
        """Whether it ended so, as an assertion on that outcome counts."""
        return np.isin(self.outcome, [CODES[name] for name in counted_as(outcome)])

    @property
    def silent(self) -> Flags:
        """Whether its client gave it up, long after the service fell silent."""
        return _SILENT[self.outcome] | np.isnan(self.ended_s)

    @property
    def lag_s(self) -> Floats:
        """Dispatch minus planned instant."""
        return self.dispatched_s - self.intended_s

    @property
    def first_token_s(self) -> Floats:
        """When its first token came."""
        return self._token(self.token_from)

    @property
    def last_token_s(self) -> Floats:
        """When its last token came."""
        return self._token(self.token_from + self.tokens - 1)

    @property
    def tpot_s(self) -> Floats:
        """The time per output token after the first: +inf where it failed, NaN where it is undefined."""
        several = (self.tokens > 1) & (self.output_tokens > 1)
        mean_s = (self.last_token_s - self.first_token_s) / np.maximum(self.output_tokens - 1, 1)
        return np.where(self.ok, np.where(several, mean_s, np.nan), np.inf)

    @property
    def failed_at_s(self) -> Floats:
        """When a failed request failed: at its error or, for silence, at the last progress; NaN for one that is ok."""
        seen_s = np.where(np.isnan(self.progress_s), self.intended_s, self.progress_s)
        return np.where(self.ok, np.nan, np.where(self.silent, seen_s, self.ended_s))

    def between(self, start_s: float, end_s: float) -> slice:
        """The places of those whose planned instant lies in [start_s, end_s)."""
        first, beyond = np.searchsorted(self.intended_s, (start_s, end_s))
        return slice(int(first), max(int(first), int(beyond)))

    def first_gap_above(self, bound_s: float) -> Floats:
        """When the first gap between two tokens of each request had lasted for `bound_s`; NaN where none did."""
        found = np.full(len(self), np.nan)
        gaps = self._gaps_s()
        wide = np.flatnonzero(gaps > bound_s)
        owners = self.stored[np.searchsorted(np.cumsum(self.tokens[self.stored]), wide, side="right")]
        # From the last to the first: what is written last is the first gap of its request.
        found[owners[::-1]] = self.token_s[wide[::-1]] + bound_s
        return found

    def gaps_s(self, places: Ints) -> Floats:
        """Every gap between tokens of these requests, pooled."""
        chosen = np.zeros(len(self), dtype=bool)
        chosen[places] = True
        gaps = self._gaps_s()
        return gaps[np.repeat(chosen[self.stored], self.tokens[self.stored]) & (gaps >= 0)]

    @property
    def ended_gaps(self) -> tuple[Floats, Floats]:
        """Of every gap between tokens: when the token came that ended it, and how long it was."""
        gaps = self._gaps_s()
        inner = gaps >= 0
        return self.token_s[inner] + gaps[inner], gaps[inner]

    def _gaps_s(self) -> Floats:
        """Beside each token the gap to the next one of its request; -1 beside its last."""
        gaps = np.diff(self.token_s, append=0.0)
        gaps[(self.token_from + self.tokens - 1)[self.tokens > 0]] = -1.0
        return gaps

    def _token(self, place: Ints) -> Floats:
        found = np.full(len(self), np.nan)
        has = self.tokens > 0
        found[has] = self.token_s[place[has]]
        return found


_OF_ALL = ("replicas", "answers", "words", "token_from", "stored", "token_s")


def columns(rows: Iterable[Row]) -> Columns:
    """The columns of rows in any order."""
    return in_order(unordered([*rows]))


def unordered(rows: Sequence[Row]) -> Columns:
    """The columns of rows, as they come."""
    names = sorted({row.replica for row in rows if row.replica is not None})
    places = {name: place for place, name in enumerate(names)}
    kept = sorted({row.answer for row in rows if row.answer is not None})
    answers = {answer: place for place, answer in enumerate(kept)}
    counts = np.array([len(row.token_s) for row in rows], dtype=np.int64)
    token_s = np.fromiter(chain.from_iterable(row.token_s for row in rows), float, int(counts.sum()))
    token_from = np.cumsum(counts) - counts
    dispatched_s, sent_s = _stamps(row.dispatched_s for row in rows), _stamps(row.sent_s for row in rows)
    connected_s, headers_s = _stamps(row.connected_s for row in rows), _stamps(row.headers_s for row in rows)
    last_s = np.full(len(rows), np.nan)
    last_s[counts > 0] = token_s[(token_from + counts - 1)[counts > 0]]
    spoken = Spoken()
    said = np.array([spoken.place(row) for row in rows], dtype=np.int64)
    return Columns(
        index=np.array([row.index for row in rows], dtype=np.int64),
        intended_s=_stamps(row.intended_s for row in rows),
        outcome=np.array([CODES[row.outcome] for row in rows], dtype=np.int64),
        dispatched_s=dispatched_s,
        sent_s=sent_s,
        ended_s=_stamps(row.ended_s for row in rows),
        progress_s=np.fmax.reduce([dispatched_s, connected_s, sent_s, headers_s, last_s]),
        prompt_tokens=_stamps(row.prompt_tokens for row in rows),
        usage_tokens=_stamps(row.output_tokens for row in rows),
        replica=np.array([places.get(row.replica or "", -1) for row in rows], dtype=np.int64),
        answer=np.array([answers.get(row.answer or "", -1) for row in rows], dtype=np.int64),
        said=said,
        tokens=counts,
        token_from=token_from,
        stored=np.arange(len(rows)),
        token_s=token_s,
        replicas=tuple(names),
        answers=tuple(kept),
        words=spoken.words,
    )


def joined(chunks: Sequence[Columns]) -> Columns:
    """One after the other, as they come."""
    if len(chunks) < 2:
        return chunks[0] if chunks else unordered(())
    names = sorted({name for chunk in chunks for name in chunk.replicas})
    kept = sorted({answer for chunk in chunks for answer in chunk.answers})
    spoken = Spoken()
    answer = [_renamed(chunk.answer, map(kept.index, chunk.answers)) for chunk in chunks]
    replica = [_renamed(chunk.replica, map(names.index, chunk.replicas)) for chunk in chunks]
    said = [_renamed(chunk.said, map(spoken.place_of, chunk.words)) for chunk in chunks]
    tokens = np.concatenate([chunk.tokens for chunk in chunks])
    rest = (
        each.name
        for each in fields(Columns)
        if each.name not in (*_OF_ALL, "replica", "answer", "said", "token_s")
    )
    return Columns(
        **{name: np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in rest},
        replica=np.concatenate(replica),
        answer=np.concatenate(answer),
        said=np.concatenate(said),
        token_from=np.cumsum(tokens) - tokens,
        stored=np.arange(len(tokens)),
        token_s=np.concatenate([chunk.token_s for chunk in chunks]),
        replicas=tuple(names),
        answers=tuple(kept),
        words=spoken.words,
    )


def _renamed(places: Ints, new: Iterable[int]) -> Ints:
    """Places in one list as those in another; -1, nobody, takes the last element."""
    return np.array([*new, -1], dtype=np.int64)[places]


def in_order(found: Columns) -> Columns:
    """The same by planned instant; of equal ones the first stays first."""
    if np.all(np.diff(found.intended_s) >= 0):
        return found
    order = np.argsort(found.intended_s, kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    return replace(_rows(found, order), token_from=found.token_from[order], stored=place[found.stored])


def taken(found: Columns, places: Ints) -> Columns:
    """Some of the requests, in the order of `places`."""
    tokens = found.tokens[places]
    token_from = np.cumsum(tokens) - tokens
    where = np.repeat(found.token_from[places] - token_from, tokens) + np.arange(int(tokens.sum()))
    return replace(
        _rows(found, places),
        token_from=token_from,
        stored=np.arange(len(places)),
        token_s=found.token_s[where],
    )


def _rows(found: Columns, places: Ints) -> Columns:
    """What is said of each row, and the tokens as they are."""
    each_row = (each.name for each in fields(Columns) if each.name not in _OF_ALL)
    return replace(found, **{name: getattr(found, name)[places] for name in each_row})


def _stamps(values: Iterable[float | None]) -> Floats:
    return np.array([math.nan if value is None else value for value in values], dtype=float)
