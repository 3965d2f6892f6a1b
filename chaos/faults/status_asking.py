"""What becomes of a StatusCheck as its answers come in: as Chaos Mesh's controller decides. Pure: time comes in.

Source of the semantics: chaos-mesh/chaos-mesh, `controllers/statuscheck` and `pkg/workflow/controllers`.
"""

from dataclasses import dataclass, field

from chaos.faults.workflow_course import Check


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, or that there was none."""

    good: bool
    saw: str
    """In words: `503`, `no answer within 1 s`."""


@dataclass(frozen=True, slots=True)
class Over:
    """How a StatusCheck came to its end."""

    at_s: float
    how: str
    """In words, after what it is the end of: `3 bad answers in a row`."""
    aborts: bool
    """Whether its Workflow is aborted."""


@dataclass(slots=True)
class Asking:
    """One StatusCheck while it goes on."""

    check: Check
    answers: list[Answer] = field(default_factory=list)

    @property
    def good(self) -> int:
        """How many answers were good."""
        return sum(each.good for each in self.answers)

    def over(self, now_s: float) -> Over | None:
        """How it is over at this instant; None while it is not."""
        spec, expires_s, deleted_s = self.check.spec, self.check.expires_s, self.check.deleted_s
        failed = self._in_a_row(good=False) >= spec.failure_threshold
        succeeded = self._in_a_row(good=True) >= spec.success_threshold
        # Of one that did not succeed by when it is complete, whether it failed or its time was up.
        aborts = self.check.aborts and not succeeded
        if expires_s is not None and now_s >= expires_s and (deleted_s is None or expires_s <= deleted_s):
            return Over(expires_s, "its duration was over", aborts)
        if deleted_s is not None and now_s >= deleted_s:
            return Over(deleted_s, "its deadline was over", aborts=False)
        if failed:
            return Over(now_s, f"{_answers(spec.failure_threshold, 'bad')}", aborts)
        if succeeded and spec.mode == "Synchronous":
            return Over(now_s, f"{_answers(spec.success_threshold, 'good')}", aborts=False)
        return None

    def _in_a_row(self, *, good: bool) -> int:
        """How many of the latest answers were alike."""
        count = 0
        for answer in reversed(self.answers):
            if answer.good is not good:
                break
            count += 1
        return count


def _answers(count: int, word: str) -> str:
    return f"1 {word} answer" if count == 1 else f"{count} {word} answers in a row"
