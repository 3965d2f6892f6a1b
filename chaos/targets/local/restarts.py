"""How long a process that ended by itself waits before it starts again: the kubelet's crash-loop back-off."""

from chaos.targets.local.spec import RestartSpec


class CrashLoop:
    """Counts the ends in a row of one replica's process."""

    def __init__(self, spec: RestartSpec) -> None:
        self._spec = spec
        self._in_a_row = 0

    def delay_s(self, lived_s: float) -> float:
        """The wait after a process that lived so long: none after the first end, then initial, then doubling.

        Kubernetes' pod lifecycle page, "container restarts"; that the first restart is immediate is the
        kubelet's doing.
        """
        if lived_s >= self._spec.reset_after_s:
            self._in_a_row = 0
        self._in_a_row += 1
        if self._in_a_row == 1:
            return 0.0
        return min(self._spec.max_s, self._spec.initial_s * 2.0 ** min(self._in_a_row - 2, 64))
