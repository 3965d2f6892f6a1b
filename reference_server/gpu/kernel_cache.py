"""Compiled kernels: those of this process, and how the processes of a machine come by them together.

Triton keeps what it compiles in a folder that all processes of a user share; what it lacks is that ten of them which
start at once on an empty one compile everything ten times, each at a tenth of the speed.
"""

import fcntl
import hashlib
import importlib
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import ModuleType

import torch
import triton
from triton import knobs

logger = logging.getLogger(__name__)


def identify_compiler() -> None:
    """Have Triton read its compiler, 460 MB, to name it in the cache's keys, and import what it does at a first kernel.

    Once per process, without touching a GPU.

    A process that others are forked from saves them that; on a thread it goes on beside the loading of weights.
    """
    # Where this Triton keeps it elsewhere, the first kernel has it read.
    with suppress(ImportError):
        from triton.runtime.cache import triton_key

        triton_key()
    with suppress(ImportError):
        importlib.import_module("triton.experimental.gluon")


def folder() -> Path:
    """Where Triton keeps what it compiled."""
    return Path(knobs.cache.dir)


def held(modules: list[ModuleType]) -> int:
    """How many kernels of these modules this process holds, each of its specialisations for itself."""
    kernels = {id(kernel): kernel for module in modules for kernel in vars(module).values()}
    caches = [
        cache[0]
        for kernel in kernels.values()
        if isinstance(kernel, triton.runtime.JITFunction)
        for cache in kernel.device_caches.values()
    ]
    return sum(map(len, caches))


def key_of(what: str, device: torch.device) -> str:
    """A name for a set of kernels: what they are made of, for which device, by which versions."""
    sources = [path.read_text() for path in sorted(Path(__file__).parent.glob("*.py"))]
    on = torch.cuda.get_device_properties(device)
    parts = [what, on.name, str(on.multi_processor_count), torch.__version__, triton.__version__, *sources]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


@contextmanager
def made_once(key: str, within: Path) -> Iterator[None]:
    """A block that fills the cache: one process runs it while the others wait, until one has come to its end.

    From then on it runs at once, everywhere. The lock ends with its holder, however that ends, and the next one goes on
    with what it left. It lies in the cache, so that who empties the one has emptied the other.
    """
    made = within / f"aftershock-{key}.made"
    if not made.exists():
        with _locked(within / f"aftershock-{key}.lock"):
            if not made.exists():
                yield
                with suppress(OSError):
                    made.touch()
                return
    yield


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """While nobody else is; where a cache cannot be written to, it cannot be locked either, and need not be."""
    with ExitStack() as held_open:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = held_open.enter_context(path.open("w"))
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                logger.info("warming kernels: another process compiles them, waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            logger.warning("the cache of compiled kernels cannot be locked: %s", error)
        yield
