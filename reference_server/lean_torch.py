"""Import torch without what only its compiler, its trainers and its own kinds of quantization use.

That is most of the processor time that the import takes beyond loading its libraries, and every replaced replica waits
for it. The modules in `LATER` are there, but empty: their code runs when somebody asks one of them for something, or
imports a part of torch that is not there yet. Three functions of theirs that torch takes into its own namespace stand
there as ones that ask when they are called.

`torch._meta_registrations` registers shape functions for tensors without data (the `meta` device, tracing), which this
server never makes, as a mere effect of being imported. An empty module stands in for it while torch is imported, and is
gone afterwards; the real one is imported behind the others.

Should a torch release no longer import one of these, or call it otherwise, nothing happens here.
"""

import importlib
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

SKIPPED = "torch._meta_registrations"
LATER = frozenset(
    {
        *(
            "torch._higher_order_ops",
            "torch._native",
            "torch.compiler",
            "torch.distributions",
            "torch.export",
        ),
        *("torch.func", "torch.masked", "torch.nn.intrinsic", "torch.nn.qat", "torch.nn.quantizable"),
        *("torch.nn.quantized", "torch.optim", "torch.quantization", "torchgen.model"),
    }
)
FORWARDED: Mapping[str, tuple[str, ...]] = {
    "torch._higher_order_ops": ("cond", "while_loop"),
    "torch.func": ("vmap",),
}


def import_torch() -> None:
    """Import torch; no effect when it already is."""
    if "torch" in sys.modules:
        return
    finder = _LaterFinder()
    sys.meta_path.insert(0, finder)
    sys.modules[SKIPPED] = ModuleType(SKIPPED)
    try:
        import torch
    finally:
        del sys.modules[SKIPPED]
        finder.in_order = False
    vars(torch).pop(SKIPPED.rpartition(".")[2], None)


class _LaterFinder(MetaPathFinder):
    """Finds the modules in `LATER`, to be run later: all of them in torch's own order, before it imports anything more.

    Only in that order are torch's circular imports known to work.
    """

    def __init__(self) -> None:
        self.in_order = True
        """Whether whoever imports or asks a module is torch, being imported, or another of these, being run."""
        self._waiting: dict[str, Callable[[], None]] = {}
        self._lock = threading.RLock()

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not self.in_order:
            if name.startswith("torch."):
                self._run_all()
            return ModuleSpec(name, _Imported(sys.modules[name])) if name in sys.modules else None
        spec = PathFinder.find_spec(name, path, target) if name in LATER else None
        if spec is not None and spec.loader is not None:
            spec.loader = _LaterLoader(spec.loader, self)
        return spec

    def add(self, name: str, run: Callable[[], None]) -> None:
        """A module waits."""
        self._waiting[name] = run

    def run(self, name: str) -> None:
        """Run the module, and the others too, unless it is asked in order; nothing if it has begun."""
        with self._lock:
            if self.in_order:
                self._waiting.pop(name, lambda: None)()
            else:
                self._run_all()

    def _run_all(self) -> None:
        with self._lock:
            self.in_order = True
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            while self._waiting:
                self.run(next(iter(self._waiting)))
            importlib.import_module(SKIPPED)


class _Imported(Loader):
    """Of a module that another import brought in since it was looked for."""

    def __init__(self, module: ModuleType) -> None:
        self._module, self._spec = module, module.__spec__
        module.__spec__ = None  # importlib would take it instead of ours, and run the module again

    def create_module(self, spec: ModuleSpec) -> ModuleType:  # noqa: ARG002  the protocol's signature
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec


class _LaterLoader(Loader):
    """Gives a module a `__getattr__` that has it run."""

    def __init__(self, loader: Loader, finder: _LaterFinder) -> None:
        self._loader = loader
        self._finder = finder

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        forwarded = FORWARDED.get(module.__name__, ())

        def run() -> None:
            del vars(module)["__getattr__"]
            assert module.__spec__ is not None
            module.__loader__ = module.__spec__.loader = self._loader
            self._loader.exec_module(module)

        def missing(name: str) -> Any:
            if name == "__path__":  # asked of every module by the import system: this one is no package
                raise AttributeError(name)
            if name in forwarded and self._finder.in_order:
                return _forwarded(module, name)
            self._finder.run(module.__name__)
            return getattr(module, name)

        vars(module)["__getattr__"] = missing
        self._finder.add(module.__name__, run)


def _forwarded(module: ModuleType, name: str) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        return getattr(module, name)(*arguments, **options)

    call.__name__ = call.__qualname__ = name
    return call
