"""`burn-gpu`: multiply matrices on a GPU without a pause, for as long as the process that started this one lives."""

import argparse
import os
from collections.abc import Sequence

SIDE = 8192
PRODUCTS = 20
"""Before it is looked whether the parent lives."""


def main(argv: Sequence[str]) -> None:
    """Burn."""
    parser = argparse.ArgumentParser(prog="python -m reference_server burn-gpu", description=__doc__)
    parser.add_argument("--gpu", type=int, default=0, help="which (default: 0)")
    options = parser.parse_args(argv)
    parent = os.getppid()

    from reference_server.lean_torch import import_torch

    import_torch()
    import torch

    with torch.cuda.device(options.gpu):
        left, right = (torch.randn(SIDE, SIDE, dtype=torch.bfloat16, device="cuda") for _ in range(2))
        into = torch.empty_like(left)
        while os.getppid() == parent:
            for _ in range(PRODUCTS):
                torch.mm(left, right, out=into)
            torch.cuda.synchronize()
