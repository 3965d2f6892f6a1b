"""How every page of a report is made of its template: all text is escaped, and a name that is not there is an error."""

from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined

from chaos.report import words


def environment(package: str) -> Environment:
    """The templates that lie in a package, with the words for seconds, numbers and shares as filters."""
    made = Environment(
        loader=PackageLoader(package, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(seconds=words.seconds, plain=words.plain, share=words.share)
    return made


def stylesheet() -> str:
    """What all pages look like."""
    return files("chaos.report").joinpath("report.css").read_text()
