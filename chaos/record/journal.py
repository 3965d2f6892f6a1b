"""The journal of a run: everything that was measured and decided, as one object, written and read back."""

import json
from pathlib import Path

from pydantic import Field, JsonValue, ValidationError

from chaos.errors import ExitCode, InputError
from chaos.record.attained import Attained
from chaos.record.cluster import Alert, Reconciliation
from chaos.record.costs import Processor
from chaos.record.entry import Entry
from chaos.record.load import Load
from chaos.record.parts import TrafficPart
from chaos.record.sections import Assertion, Disturbance, Fault, Phase, Recovery, Slo, StatusCheck, UsualLevel
from chaos.record.verdict import Verdict

SCHEMA = 2
"""1 was a journal without `cut_short`, `load.sent` and phases of single occurrences."""


class Journal(Entry):
    """Everything that was measured and decided of a run."""

    schema_number: int = Field(alias="schema")
    """Grows when a key is renamed or goes."""
    experiment: str
    hypothesis: str
    target: str
    """The target's kind: `local`, `external`."""
    wanted_replicas: int
    """How many it should have had; 0 where nobody can see them."""
    seed: int
    started_at: str
    """UTC, ISO 8601, for display only; empty when the load never began."""
    verdict: Verdict
    exit_code: ExitCode
    reasons: tuple[str, ...]
    """Why the data cannot be believed; empty when it can."""
    slo: Slo
    load: Load
    faults: tuple[Fault, ...]
    status_checks: tuple[StatusCheck, ...] = ()
    """What the Workflows of the faults asked, and saw."""
    phases: tuple[Phase, ...]
    attained: tuple[Attained, ...] = ()
    """Which share of the requests met which objective, by phase; empty in a journal of earlier versions."""
    parts: tuple[TrafficPart, ...] | None = None
    """Each profile and tenant of the load in each phase."""
    parts_reason: str | None = None
    recovery: Recovery
    observes: bool
    """Whether nothing was to be injected: every disturbance is somebody else's."""
    disturbances: tuple[Disturbance, ...] | None
    """Every stretch in which the service was worse than usual, in order."""
    disturbances_reason: str | None = None
    usual_level: UsualLevel | None
    """What a disturbance is worse than."""
    usual_level_reason: str | None = None
    assertions: tuple[Assertion, ...]
    engine: dict[str, JsonValue] | None
    """What the replicas are, and what a foreign engine can tell, in the format of `python -m exporters`."""
    engine_reason: str | None = None
    alerts: tuple[Alert, ...] | None
    """Every alert that fired."""
    alerts_reason: str | None = None
    processor: Processor | None
    processor_reason: str | None = None
    reconciliation: Reconciliation | None
    reconciliation_reason: str | None = None
    cut_short: str | None
    """Why the run ended before its plan did."""
    cut_short_reason: str | None = None
    definitions: dict[str, str]
    """The words of the journal in sentences, with the numbers of this run."""
    versions: dict[str, str]

    def phase(self, name: str) -> Phase | None:
        """A phase by its name."""
        return next((phase for phase in self.phases if phase.name == name), None)

    @property
    def text(self) -> str:
        """As JSON on one line."""
        return json.dumps(self._values, separators=(",", ":"), allow_nan=False)

    @property
    def _values(self) -> dict[str, JsonValue]:
        # Made into text by json: it escapes what is no text in UTF-8, as replicas may answer.
        return self.model_dump(mode="json", by_alias=True)

    def write(self, path: Path) -> None:
        """Write it whole or not at all."""
        unfinished = path.with_name(path.name + ".part")
        unfinished.write_text(json.dumps(self._values, indent=2, allow_nan=False) + "\n")
        unfinished.replace(path)


def read(path: Path) -> Journal:
    """Read a journal.

    Raises:
        InputError: there is none, it is not JSON, or of another schema.
    """
    hint = "`aftershock report` on its folder makes it from the records of the run"
    try:
        found = json.loads(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}", hint=hint) from error
    except ValueError as error:
        raise InputError(f"{path}: not JSON: {error}", hint=hint) from error
    schema = found.get("schema") if isinstance(found, dict) else None
    if schema != SCHEMA:
        raise InputError(f"{path}: schema: expected {SCHEMA}, not {schema!r}", hint=hint)
    try:
        return Journal.model_validate(found)
    except ValidationError as error:
        where = error.errors()[0]
        key = ".".join(map(str, where["loc"]))
        raise InputError(f"{path}: {key}: {where['msg']}", hint=hint) from error
