"""Import torch without what only its compiler uses: a third of the import, which every replaced replica waits for.

`torch._meta_registrations` registers shape functions for tensors without data (the `meta` device, tracing),
which this server never makes. An empty module stands in for it while torch is imported and is gone
afterwards, so whoever needs the real one can still import it. Should a torch release no longer import it,
this does nothing.
"""

import sys
from types import ModuleType

SKIPPED = "torch._meta_registrations"


def import_torch() -> None:
    """Import torch; no effect when it already is."""
    if "torch" in sys.modules:
        return
    sys.modules[SKIPPED] = ModuleType(SKIPPED)
    try:
        import torch
    finally:
        del sys.modules[SKIPPED]
    vars(torch).pop(SKIPPED.rpartition(".")[2], None)
