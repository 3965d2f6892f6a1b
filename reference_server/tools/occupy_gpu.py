"""`occupy-gpu`: hold a GPU's memory until so much is free, for as long as the process that started this one lives."""

import argparse
import os
import time
from collections.abc import Sequence

PIECE_BYTES = 64 << 20
LOOK_EVERY_S = 0.5


def main(argv: Sequence[str]) -> None:
    """Take piece after piece, and again whatever others free; say how much is held."""
    parser = argparse.ArgumentParser(prog="python -m reference_server occupy-gpu", description=__doc__)
    parser.add_argument("--gpu", type=int, default=0, help="which (default: 0)")
    parser.add_argument("--leave-free", type=int, required=True, metavar="BYTES", help="bytes to leave free")
    options = parser.parse_args(argv)
    parent = os.getppid()

    from reference_server.lean_torch import import_torch

    import_torch()
    import torch

    held: list[object] = []
    with torch.cuda.device(options.gpu):
        while os.getppid() == parent:
            free = torch.cuda.mem_get_info()[0]
            while (missing := free - options.leave_free) > 0:
                try:
                    held.append(torch.empty(min(missing, PIECE_BYTES), dtype=torch.uint8, device="cuda"))
                except torch.cuda.OutOfMemoryError:
                    break
                free = torch.cuda.mem_get_info()[0]
            print(f"holding {len(held)} pieces, {free} bytes free", flush=True)
            time.sleep(LOOK_EVERY_S)
