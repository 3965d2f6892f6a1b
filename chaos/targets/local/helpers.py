"""The processes beside the replicas: proxy and gateway, each ours, each at the other end of a JSON line."""

import subprocess
import sys
from typing import Self

from chaos.errors import AftershockError
from chaos.targets.local.processes import Child
from chaos.targets.local.wire import Caller, Channel


class HelperDiedError(AftershockError):
    """A process that the cluster cannot do without ended by itself: what was measured since means nothing."""


class Helper:
    """One of them, running."""

    def __init__(self, name: str, child: Child, channel: Channel) -> None:
        self.caller = Caller(channel)
        self._name = name
        self._child = child

    @classmethod
    async def over(cls, name: str, child: Child) -> Self:
        """Talk to a child that was started with pipes."""
        assert isinstance(child.process, subprocess.Popen)
        assert child.process.stdout is not None
        assert child.process.stdin is not None
        return cls(name, child, await Channel.over(child.process.stdout, child.process.stdin))

    async def attend(self) -> None:
        """Deliver its answers for as long as it lives, then raise HelperDiedError."""
        await self.caller.listen()
        error = HelperDiedError(f"the {self._name} ended by itself: {await self._child.wait()}")
        self.caller.fail(error)
        raise error


def command(module: str) -> tuple[str, ...]:
    """How a module of this package is started; `-P` keeps a stranger's `chaos` in the current folder out."""
    return (sys.executable, "-P", "-m", f"{__package__}.{module}")


async def must_live(name: str, child: Child) -> None:
    """Raise HelperDiedError when the child ends."""
    raise HelperDiedError(f"{name} ended by itself: {await child.wait()}")
