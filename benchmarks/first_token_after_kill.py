"""From the kill to the first token of each replacement, read off run folders.

    python -m benchmarks.first_token_after_kill RUN_FOLDER...

One line per replacement: ready, first token at a client, first answer complete, in seconds after the kill.
"""

import argparse
import sys
from pathlib import Path

from chaos.measuring.timeline import created_between
from chaos.report.recorded import judged
from chaos.run_folder import existing
from loadtests.parts import all_rows


def main() -> int:
    """Print the table of each folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", type=Path, nargs="+")
    for folder in parser.parse_args().folders:
        run = judged(existing(folder))
        killed_s = run.timeline.fault_start_s
        if killed_s is None:
            print(f"{folder}: nothing was injected")
            continue
        capacity_s = run.journal.recovery.capacity_s
        print(f"{folder}: capacity recovered after {capacity_s} s")
        for name in sorted(created_between(run.timeline, killed_s, run.timeline.plan_end_s)):
            rows = [row for row in all_rows(folder.requests) if row.replica == name and row.token_s]
            ready_s = [e.at_s for e in run.timeline.events if e.kind == "replica_ready" and e.replica == name]
            if not rows or not ready_s:
                print(f"  {name}: never served")
                continue
            token_s = min(row.token_s[0] for row in rows) - killed_s
            ended_s = min(row.ended_s for row in rows if row.ended_s is not None) - killed_s
            served = f"first token {token_s:.2f} s, first answer {ended_s:.2f} s"
            print(f"  {name}: ready {ready_s[0] - killed_s:.2f} s, {served}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
