"""Write docs/modules.md: every module with the first line of its docstring. `--check` only says whether it is true."""

import ast
import sys
from pathlib import Path

PACKAGES = ("chaos", "loadtests", "exporters", "reference_server", "dashboards")
PAGE = Path("docs/modules.md")


def sentence(path: Path) -> str:
    """The first line of a file's docstring, without its full stop."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.splitlines()[0].rstrip(".").replace("|", r"\|") if text else ""


def table() -> str:
    """The page."""
    lines = [
        "# Modules",
        "",
        "Written by `python .ci/module_table.py` from the docstrings. See also [ARCHITECTURE.md](../ARCHITECTURE.md).",
        "",
        "| module | responsibility |",
        "|---|---|",
    ]
    for package in PACKAGES:
        for folder in sorted({path.parent for path in Path(package).rglob("*.py")}):
            modules = sorted(path for path in folder.glob("*.py") if not path.name.startswith("__"))
            if modules:
                lines.append(f"| **`{folder}/`** | **{sentence(folder / '__init__.py')}** |")
                lines += [f"| `{path}` | {sentence(path)} |" for path in modules]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page, or check it."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(table(), encoding="utf-8")
        return 0
    if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == table():
        return 0
    print(f"{PAGE} is not what the docstrings say: python .ci/module_table.py", file=sys.stderr)
    return 1


sys.exit(main())
