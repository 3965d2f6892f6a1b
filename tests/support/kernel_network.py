"""What a plain client sees over a network that the kernel itself disturbs: in a network namespace of its own.

    unshare --map-root-user --net python -m tests.support.kernel_network "netem delay 50ms"

Prints one JSON object; exit status 3, and the reason on standard error, where the kernel has no such queue or this user
may have no namespace. The interface is the namespace's own loopback, with the packets of an Ethernet; whatever leaves
it arrives there, so that both ways are disturbed, as by a NetworkChaos in the direction `both`.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import asdict

import msgspec

from tests.support.plain_client import Seen, Work, see, server

UNAVAILABLE = 3
_SET_UP = (
    "ip link set lo mtu 1500",
    "ip link set lo gso_max_size 1500 gso_max_segs 1",
    "ip link set lo up",
)


def really(queue: str, work: Work) -> Seen | str:
    """What is seen over a network with this queueing discipline; or why there is none here."""
    if shutil.which("unshare") is None or shutil.which("tc") is None:
        return "no unshare, or no tc, on PATH"
    within = ("unshare", "--map-root-user", "--net", sys.executable, "-m", "tests.support.kernel_network")
    done = subprocess.run(
        [*within, queue, json.dumps(asdict(work))], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
    return msgspec.json.decode(done.stdout, type=Seen)


def main() -> int:
    """Disturb the loopback of this namespace, look, and print."""
    queue, work = sys.argv[1], Work(**json.loads(sys.argv[2])) if len(sys.argv) > 2 else Work()
    for command in (*_SET_UP, f"tc qdisc add dev lo root {queue}"):
        done = subprocess.run(command.split(), capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{command}: {' '.join(done.stderr.split())}", file=sys.stderr)
            return UNAVAILABLE
    with server() as port:
        print(json.dumps(asdict(see(port, work))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
