"""What servers said when they refused, each sentence once: a million refusals are a handful of sentences."""

import re

from loadtests.rows import Row

_SPOKEN = frozenset(("error_event", "aborted", "no_stream"))
"""Outcomes of a 200 whose message is the server's."""
_VARYING = re.compile(r"\b(?=[\w-]*\d)[\w-]{8,}\b|\d+")
"""Numbers and names of requests: sentences that differ in nothing else are alike."""
_MOST_SENTENCES = 200
_OTHERS = "(other words)"


class Spoken:
    """Sentences by their place; of alike ones the first is kept as it was said."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._known: dict[str, int] = {}
        """By the sentence itself, so that each needs but one look at its pattern."""
        self._words: list[str] = []

    @property
    def words(self) -> tuple[str, ...]:
        """Every sentence, by place."""
        return tuple(self._words)

    def place(self, row: Row) -> int:
        """The place of what a row's server said; -1 where it is the client's own word, or nothing."""
        error = row.error
        if not error or (row.status in (None, 200) and row.outcome not in _SPOKEN):
            return -1
        return self.place_of(error)

    def place_of(self, sentence: str) -> int:
        """The place of a sentence."""
        place = self._known.get(sentence)
        if place is None:
            place = self._added(sentence)
            if len(self._known) < _MOST_SENTENCES:
                self._known[sentence] = place
        return place

    def _added(self, sentence: str) -> int:
        status, _, text = sentence.partition(" ")
        alike = f"{status} {_VARYING.sub('#', text)}"
        if alike not in self._places and len(self._places) >= _MOST_SENTENCES:
            sentence = alike = _OTHERS
        if alike not in self._places:
            self._places[alike] = len(self._words)
            self._words.append(sentence)
        return self._places[alike]
