"""The guardian of stopped processes: `python -m chaos.targets.local.means.thawing PID:STARTED ...`.

Says that it stands; reads its standard input; and if that ends without a word of release, whoever stopped them is gone:
then it kills them, by pid and start time, with their groups. It outlives its parent for that long, and no longer.
"""

import os
import signal
import sys

from chaos.targets.identity import ProcessId

STANDS = b"stands\n"
RELEASED = b"released\n"


def main() -> None:
    """Stand guard over the processes of the command line."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with its input, which comes in any case
    processes = [ProcessId.parse(text) for text in sys.argv[1:]]
    os.write(sys.stdout.fileno(), STANDS)
    if sys.stdin.buffer.readline() != RELEASED:
        for process in processes:
            process.kill()


if __name__ == "__main__":
    main()
