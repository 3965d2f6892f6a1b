"""Fault windows as region annotations in somebody's Grafana, while the run goes on.

Once the run has begun nothing that Grafana does, or fails to do, reaches the run: requests are made by a thread of
their own, in order, and a failure is a warning. A run that is killed leaves an annotation without an end.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self

from chaos.errors import InputError
from dashboards.grafana.client import TOKEN_VARIABLE, Grafana, GrafanaError

TAG = "aftershock"
"""On every annotation, beside the experiment, the fault and its kind: a dashboard's annotation layer asks for it."""
_TIMEOUT_S = 5.0


class GrafanaAnnotations:
    """One Grafana, told of one experiment's faults."""

    def __init__(self, url: str, token: str, experiment: str) -> None:
        """Nothing is sent yet.

        Raises:
            InputError: the URL is none, the token is empty or could not be sent, or Grafana's client is not installed.
        """
        try:
            self._grafana = Grafana(url, token, timeout_s=_TIMEOUT_S)
        except GrafanaError as error:
            raise InputError(f"--grafana: {error}", hint=error.hint) from error
        self._experiment = experiment
        self._warn: Callable[[str], None] = lambda _: None
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="annotations")
        self._open: dict[str, Future[int | None]] = {}
        """The annotations without an end, by occurrence: what will be the id of each."""

    @property
    def url(self) -> str:
        """Of the Grafana."""
        return self._grafana.url

    def require_access(self, now_wall_s: float) -> None:
        """Write an annotation and delete it again: what a run will need, asked for before it begins.

        Raises:
            InputError: Grafana cannot be reached, or does not let this token write annotations.
        """
        text = f"aftershock may annotate: {self._experiment}"
        try:
            self._grafana.delete_annotation(self._grafana.annotate(text, [TAG], _ms(now_wall_s)))
        except GrafanaError as error:
            raise InputError(
                f"--grafana: {error}",
                hint=f"${TOKEN_VARIABLE} must be a token of a service account with the role Editor, not expired",
            ) from error

    def warn_with(self, warn: Callable[[str], None]) -> None:
        """From now on tell `warn`, from another thread, what did not work."""
        self._warn = warn

    def fault_began(
        self, occurrence: str, fault: str, kind: str, targets: Sequence[str], at_wall_s: float
    ) -> None:
        """Open a region; returns at once."""
        text = f"{self._experiment}: {occurrence} ({kind}) on {', '.join(targets)}"
        tags = [TAG, self._experiment, fault, kind]
        self._open[occurrence] = self._later(lambda: self._grafana.annotate(text, tags, _ms(at_wall_s)))

    def fault_ended(self, occurrence: str, at_wall_s: float) -> None:
        """Close its region; returns at once, and changes nothing a second time."""
        created = self._open.pop(occurrence, None)
        if created is not None:
            self._later(lambda: self._close(created.result(), at_wall_s))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Wait for what is under way: a Grafana that hangs costs some seconds per annotation."""
        self._worker.shutdown()

    def _later(self, ask: Callable[[], int | None]) -> "Future[int | None]":
        def or_warn() -> int | None:
            try:
                return ask()
            except Exception as error:  # of the client's libraries as well: a run does not end by its Grafana
                self._warn(f"Grafana was not told of a fault: {error}")
                return None

        return self._worker.submit(or_warn)

    def _close(self, annotation: int | None, at_wall_s: float) -> None:
        if annotation is not None:  # else its opening has been warned of
            self._grafana.end_annotation(annotation, _ms(at_wall_s))


def _ms(wall_s: float) -> int:
    return round(wall_s * 1000)
