"""What is done about faults in a cluster, said when it is done: on the terminal, and in the run folder for later."""

import sys
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path


@dataclass(slots=True)
class Log:
    """Sentences, each with its time."""

    path: Path
    lock: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, sentence: str) -> None:
        """Say one; a disk that is full keeps nobody from undoing."""
        with self.lock:
            print(f"kubernetes: {sentence}", file=sys.stderr)
            try:
                with self.path.open("a") as file:
                    file.write(f"{datetime.now(UTC):%H:%M:%S.%f} {sentence}\n")
            except OSError:
                return
