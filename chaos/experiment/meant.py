"""What an API server would take and nobody can have meant is not run, unless the experiment says that it is meant."""

from chaos.errors import InputError
from chaos.experiment.experiment import Experiment
from chaos.faults.doubts import NO_END, Doubt
from chaos.faults.occurrence import Planned
from chaos.reading.documents import Problem


def said(planned: Planned, doubt: Doubt) -> str:
    """A doubt in words, with file, line and its name."""
    return f"{planned.document.said(doubt.problem)} ({doubt.name})"


def require_meant(experiment: Experiment) -> None:
    """Refuse faults that are more, or less, than a reader of their manifests would think.

    Raises:
        InputError: naming each doubt that the experiment does not accept, or accepts where there is none.
    """
    needless, doubted, acceptable = [], [], []
    for where, one in {one.where: one for one in experiment.injections}.items():
        entry, source = one.entry, one.source
        doubts = [doubt for doubt in source.doubts if doubt.name != NO_END]  # the run itself has an end
        names = {doubt.name for doubt in doubts if doubt.starts}
        for index, name in enumerate(entry.accept):
            if name not in names:
                known = (
                    f"one of {', '.join(sorted(names))}"
                    if names
                    else "nothing: no doubt of this manifest can be"
                )
                needless.append(Problem((*where, "accept", index), f"expected {known}", name))
        refused = [doubt for doubt in doubts if not (doubt.starts and doubt.name in entry.accept)]
        doubted += [said(source, doubt) for doubt in refused]
        acceptable += [doubt.name for doubt in refused if doubt.starts]
    if needless:
        raise experiment.refusal(needless)
    if doubted:
        names_text = ", ".join(dict.fromkeys(acceptable))
        hint = f"if it is meant, say so beside the manifest in the experiment: accept: [{names_text}]"
        raise InputError("\n".join(doubted), hint=hint if acceptable else None)
