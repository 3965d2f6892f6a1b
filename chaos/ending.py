"""How a run ended before its plan did: written into its folder, so that judging it again comes to the same."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from chaos.errors import AftershockError, CleanupError, ExitCode, InputError
from chaos.interrupts import Interrupted

LOST = "the runner itself was lost: it left no word of how the run ended"


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a run was cut short."""

    why: str
    exit_code: int
    hint: str | None = None
    at_s: float | None = None
    """On the run clock; None when the load had not begun."""

    @classmethod
    def of(cls, error: AftershockError | Interrupted, at_s: float | None) -> Self:
        """What an error or an interrupt made of the run."""
        if isinstance(error, Interrupted):
            return cls(f"interrupted by {error.signal_name}", int(ExitCode.INTERRUPTED), at_s=at_s)
        return cls(str(error), int(error.exit_code), error.hint, at_s)

    def write(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n")


def deciding(error: AftershockError | Interrupted) -> AftershockError | Interrupted:
    """Of errors that came one in the handling of another, the one that says how the run ended.

    That is the first; but what may still be there is louder than all others.
    """
    first: AftershockError | Interrupted = error
    before: BaseException | None = error
    while (
        before is not None and not before.__suppress_context__
    ):  # else it was raised in place of what it came from
        before = before.__context__
        if isinstance(first, CleanupError):
            break
        if isinstance(before, AftershockError | Interrupted):
            first = before
    return first


def read(path: Path) -> Ending | None:
    """The ending of a run; None when it was not cut short.

    Raises:
        InputError: the file is not what a run writes.
    """
    if not path.is_file():
        return None
    try:
        return Ending(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"{path}: not the ending of a run: {error}") from error
