"""Expressions that a Prometheus is asked over and over beside a run, so that one that hangs keeps nobody waiting."""

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from chaos.errors import InconclusiveError
from chaos.prometheus import PrometheusClient

_ASK_EVERY_S = 0.25
_PATIENCE_S = 2.0
_STALE_S = 3.0
"""An answer that is older than this says nothing of now."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an expression came to."""

    at_s: float
    """Monotonic seconds at which it was asked."""
    values: tuple[float, ...]
    """Of each series that is a number; none where there is no series."""
    why: str = ""
    """Why there is none."""


class PromqlPoller:
    """Asks every expression four times a second, in a thread of its own, from entering to leaving."""

    def __init__(self, url: str | None, expressions: Sequence[str]) -> None:
        """Prepare.

        Args:
            url: of the Prometheus; None where there is none to ask, and no expression.
            expressions: what is asked, each once.
        """
        self._client = None if url is None else PrometheusClient(url, _PATIENCE_S)
        self._expressions = [*dict.fromkeys(expressions)]
        self._answers: dict[str, Answer] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._ask_on, name="promql", daemon=True)

    def __enter__(self) -> Self:
        """Ask each once, so that an expression that cannot be understood is known before anything is injected.

        Raises:
            InconclusiveError: the server cannot be reached or refuses an expression.
        """
        if self._client is not None and self._expressions:
            for expression in self._expressions:
                self._answers[expression] = self._ask(self._client, expression)
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ask no more."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE_S * (len(self._expressions) + 1))

    def values(self, expression: str) -> tuple[tuple[float, ...], str]:
        """The latest values, and why there are none where that is so."""
        answer = self._answers.get(expression)
        if answer is None:
            return (), "it was not asked"
        if time.monotonic() - answer.at_s > _STALE_S:
            return (), answer.why or f"no answer for {_STALE_S:g} s"
        return answer.values, answer.why or ("" if answer.values else "no series")

    def _ask_on(self) -> None:
        assert self._client is not None
        while not self._stopping.wait(_ASK_EVERY_S):
            for expression in self._expressions:
                try:
                    self._answers[expression] = self._ask(self._client, expression)
                except InconclusiveError as error:
                    self._answers[expression] = Answer(time.monotonic(), (), str(error))

    @staticmethod
    def _ask(client: PrometheusClient, expression: str) -> Answer:
        at_s = time.monotonic()
        series = client.instant(expression, time.time())
        return Answer(at_s, tuple(each.value for each in series if not math.isnan(each.value)))
