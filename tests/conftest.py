"""What every test may lean on: waiting on observable state with a deadline, and free ports."""

import socket
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import psutil
import pytest
from hypothesis import settings

# A deadline per example would make a property fail for a busy neighbour's sake.
settings.register_profile("aftershock", deadline=None)
settings.load_profile("aftershock")

T = TypeVar("T")
Eventually = Callable[..., object]


def wait_until(condition: Callable[[], T], *, within_s: float, what: str = "the condition") -> T:
    """The first truthy value of `condition`, or a failure that says what was awaited and what was last seen."""
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            pytest.fail(f"{what} did not come true within {within_s:g} s; last seen: {value!r}")
        time.sleep(0.02)


def has_ended(process: psutil.Process) -> bool:
    """Whether a process is over; its entry may wait for a parent that never asks, or go while it is looked at."""
    try:
        return process.status() == psutil.STATUS_ZOMBIE or not process.is_running()
    except psutil.NoSuchProcess:
        return True


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What runs put on record for `aftershock recover` is no business of whoever runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture
def eventually() -> Eventually:
    return wait_until


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
