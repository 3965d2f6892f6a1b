"""Every error that a user can meet, and the exit code it ends with.

Raised where the knowledge is, caught in the CLI alone.

AftershockError
├── InputError            2  a file or option is wrong; nothing was injected
├── RefusedError          3  a guard refused before injecting: unhealthy baseline, blast radius, missing tool
├── InconclusiveError     3  the run could not measure what it claims to measure
├── AbortedError          4  a guard stopped the run after injection
└── CleanupError          5  something of the run may still be there: the loudest
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What the process says to its caller."""

    PASSED = 0
    DEVIATED = 1
    WRONG_INPUT = 2
    INCONCLUSIVE = 3
    ABORTED = 4
    CLEANUP_INCOMPLETE = 5
    NOT_RUNNABLE_HERE = 6
    INTERRUPTED = 130


EXIT_CODES = """\
exit codes:
  0    passed: every assertion held
  1    deviated: the experiment found a weakness
  2    the input is wrong; nothing was injected
  3    inconclusive, or refused by a guard before injecting
  4    aborted by a guard after injecting; everything was undone
  5    cleanup is incomplete: look now, then `aftershock recover`
  6    of `validate` alone: all is valid, and something of it runs on no target here
  130  interrupted, and cleaned up
"""


class AftershockError(Exception):
    """Base of all errors shown to a user: a message that ends with the offending value, a hint on its own line."""

    exit_code = ExitCode.INCONCLUSIVE

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class InputError(AftershockError):
    """A file or an option is not what it should be: nothing was injected."""

    exit_code = ExitCode.WRONG_INPUT


class RefusedError(AftershockError):
    """A guard refused before anything was injected."""


class InconclusiveError(AftershockError):
    """The run could not measure what it claims to measure."""


class AbortedError(AftershockError):
    """A guard stopped the run after injection; everything was undone."""

    exit_code = ExitCode.ABORTED


class CleanupError(AftershockError):
    """Something of the run may still be there."""

    exit_code = ExitCode.CLEANUP_INCOMPLETE
