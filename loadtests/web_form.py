"""Locust's web form as a load of ours wants it: its knobs on top and open, Locust's own two out of the way.

The form counts users and how fast they come, which an open-loop load has not: its one user per process offers a plan.
Locust greys both out and hides all that matters in a closed drawer. Its page takes no layout of others, so a style
sheet goes into the page on its way out: nothing of Locust's is changed, and where a later release names its parts
otherwise, its form is simply as it was.
"""

from typing import Any

from loadtests.settings import FIRST

_STYLE = """
/* The users and their ramp, and the run time: a plan has its own. */
.MuiFormControl-root:has(> .MuiInputBase-root > input[name="userCount"]),
.MuiFormControl-root:has(> .MuiInputBase-root > input[name="spawnRate"]),
.MuiAccordion-root:has(input[name="runTime"]) { display: none; }
/* What a load consists of: above the host, and always open. */
form .MuiAccordion-root:has(input[name="rate"]) { order: -1; }
.MuiAccordion-root:has(input[name="rate"]) .MuiCollapse-root {
  height: auto !important; visibility: visible !important;
}
.MuiAccordion-root:has(input[name="rate"]) .MuiAccordionSummary-root { display: none; }
.MuiAccordion-root:has(input[name="rate"]) .MuiAccordionDetails-root { padding: 16px; }
"""
_PLACE = '.MuiAccordionDetails-root .MuiFormControl-root:has([name="{name}"]) {{ order: {order}; }}\n'
_HEAD = b"</head>"


def install(web_ui: Any) -> None:
    """Give the form of Locust's web UI (`locust.web.WebUI`, which is not typed) its layout."""
    web_ui.app.after_request(_laid_out)


def _laid_out(response: Any) -> Any:
    """A page of the UI with the style sheet; anything else as it is."""
    names = [_name_in_the_form(flag) for flag in FIRST]
    places = "".join(_PLACE.format(name=name, order=place - len(names)) for place, name in enumerate(names))
    style = f"<style>{_STYLE}{places}</style>".encode()
    if response.mimetype == "text/html" and response.is_sequence and not response.is_streamed:
        response.set_data(response.get_data().replace(_HEAD, style + _HEAD, 1))
    return response


def _name_in_the_form(flag: str) -> str:
    """`--output-tokens` is `outputTokens` there."""
    first, *rest = flag.removeprefix("--").split("-")
    return first + "".join(word.capitalize() for word in rest)
