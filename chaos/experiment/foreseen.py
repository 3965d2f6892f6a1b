"""What is known beforehand to fail is refused beforehand, by every verb that has to do with a run."""

from chaos.experiment.design import require_decidable
from chaos.experiment.experiment import Experiment
from chaos.experiment.meant import require_meant
from chaos.experiment.reach import require_within_reach


def require_sound(experiment: Experiment) -> None:
    """Refuse a design that cannot decide, faults that nobody can have meant, and those that reach too far.

    Raises:
        InputError: naming file, line, key path, value and what was expected.
    """
    require_decidable(experiment)
    require_meant(experiment)
    require_within_reach(experiment)
