"""The folder that `aftershock load` leaves: its record, a table and a page, and the run folder of each rate."""

from dataclasses import dataclass
from pathlib import Path

from chaos.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class LoadFolder:
    """Names of its files. A load of one rate is that rate's run folder as well."""

    path: Path

    @property
    def record(self) -> Path:
        """Everything that was measured."""
        return self.path / "performance.json"

    @property
    def table(self) -> Path:
        """The same as a table, a line per rate."""
        return self.path / "performance.csv"

    @property
    def page(self) -> Path:
        """The same for people."""
        return self.path / "performance.html"

    def run(self, name: str) -> RunFolder:
        """The run folder of one rate, which is there from now on; `.` for this one itself."""
        folder = RunFolder(self.path / name)
        folder.logs.mkdir(parents=True, exist_ok=True)
        return folder
