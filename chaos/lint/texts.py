"""The settings that manifests carry as text: files in ConfigMaps and Secrets, arguments, variables, annotations."""

from collections.abc import Iterator

from chaos.lint.objects import Object
from chaos.lint.place import Place
from chaos.lint.pods import pods_of


def files(each: Object) -> Iterator[tuple[str, Place]]:
    """The files of a ConfigMap or a Secret, each with its name."""
    part = {"ConfigMap": "data", "Secret": "stringData"}.get(each.type)
    if part:
        yield from ((name, place) for name, place in each.root.at(part).entries() if place.text)


def settings(each: Object) -> Iterator[tuple[Place, str]]:
    """Every setting, a line each, comments left out, with the place of what holds it.

    A value of one line stands behind its name, as a variable or an argument does: `ssl-protocols: TLSv1.3`.
    """
    for name, place in files(each):
        lines = place.text.splitlines()
        for line in lines if len(lines) > 1 else [f"{name}: {place.text}"]:
            if not line.lstrip().startswith(("#", "//")):
                yield place, line.strip()
    for pods in pods_of(each):
        for container in pods.all_containers():
            words = [*container.at("command").each(), *container.at("args").each()]
            yield container.at("args"), " ".join(word.text for word in words)
            for variable in container.at("env").each():
                yield variable.at("value"), f"{variable.at('name').text}: {variable.at('value').text}"
    for name, place in each.root.at("metadata", "annotations").entries():
        yield place, f"{name}: {place.text}"


def shown(line: str) -> str:
    """A line, as long as a complaint can carry."""
    return repr(line if len(line) <= 80 else line[:77] + "...")
