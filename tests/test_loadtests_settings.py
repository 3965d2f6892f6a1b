from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

import pytest

from loadtests.plan import Plan
from loadtests.progress import Limits
from loadtests.settings import Settings, add_arguments


class Parser(ArgumentParser):
    """Locust's own knows which options the web form shows; importing it would patch this process."""

    def add_argument(self, *names: str, **options: Any) -> Any:
        options.pop("include_in_web_ui", None)
        return super().add_argument(*names, **options)


def parse(*options: str) -> Namespace:
    parser = Parser()
    add_arguments(parser)
    return parser.parse_args(options)


def test_options_become_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    options = (
        "--rate 20 --arrivals constant --seed 7 --duration 30 --ttft-timeout 1 --stall-timeout 2 --deadline 3"
    )
    settings = Settings.read("http://host/team", parse(*options.split(), "--rows=r", "--summary=s"))

    assert settings.plan == Plan("constant", 20.0, 30.0, 7)
    assert settings.limits == Limits(1.0, 2.0, 3.0)
    assert (settings.endpoint.prefix, settings.endpoint.api_key) == ("/team", "sk-1")
    assert (settings.rows, settings.summary, settings.model) == (Path("r"), Path("s"), "")


@pytest.mark.parametrize(
    ("host", "option", "complaint"),
    [
        ("http://host", "--rate=0", "rate_per_s must be positive and finite, not 0.0"),
        ("http://host", "--duration=-1", "duration_s must be positive and finite, not -1.0"),
        ("localhost", "--rate=1", "expected a base URL such as http://127.0.0.1:8000, not 'localhost'"),
        (None, "--rate=1", "expected a base URL such as http://127.0.0.1:8000, not ''"),
        ("http://host", "--max-in-flight=0", "--max-in-flight must be at least 1, not 0"),
        ("http://host", "--output-tokens=0", "--output-tokens must be at least 1, not 0"),
        ("http://host", "--prompt-tokens=-3", "--prompt-tokens must be at least 1, not -3"),
        ("http://host", "--summary=load.json", "--summary is made from rows: it needs --rows"),
    ],
)
def test_options_that_make_no_sense_are_refused_by_name(
    host: str | None, option: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        Settings.read(host, parse(option))
