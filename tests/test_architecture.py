"""The map is the territory: one page that names every module, and sizes that stay readable."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("exporters", "dashboards", "chaos", "loadtests", "reference_server")
MODULES = sorted(path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def test_the_table_of_modules_is_what_their_docstrings_say() -> None:
    check = [sys.executable, ".ci/module_table.py", "--check"]
    child = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, check=False)
    assert child.returncode == 0, child.stderr
    assert len(
        re.findall(r"^\| `[\w/]+\.py` \| \S", (ROOT / "docs" / "modules.md").read_text(), re.MULTILINE)
    ) == sum(not path.name.startswith("__") for path in MODULES)


def test_the_architecture_is_one_page() -> None:
    lines = (ROOT / "ARCHITECTURE.md").read_text().splitlines()
    assert len(lines) <= 100


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_module_is_longer_than_300_lines(module: Path) -> None:
    assert len((ROOT / module).read_text().splitlines()) <= 300


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_function_is_longer_than_40_lines(module: Path) -> None:
    tree = ast.parse((ROOT / module).read_text())
    long = [
        f"{node.name}: {node.end_lineno - node.lineno + 1}"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno is not None
        and node.end_lineno - node.lineno + 1 > 40
    ]
    assert long == []


def test_a_kind_of_fault_is_named_by_the_registry_alone() -> None:
    kinds = {path.stem for path in (ROOT / "chaos/faults").glob("*.py") if "\nKIND = " in path.read_text()}
    assert {"pod_kill", "sham"} <= kinds
    imported = re.compile(rf"chaos\.faults(\.| import (\([^)]*|[^\n(]*))\b({'|'.join(kinds)})\b")
    importers = [str(path) for path in MODULES if imported.search((ROOT / path).read_text())]
    assert importers == ["chaos/faults/kinds.py"]


def test_whatever_does_no_arithmetic_is_imported_and_tested_where_there_is_no_torch() -> None:
    without = tuple(package for package in PACKAGES if package != "reference_server")
    paths = [module for module in MODULES if module.parts[0] in without and module.stem != "__main__"]
    folders = (ROOT / "tests", ROOT / "tests" / "support")
    tests = [path.relative_to(ROOT) for folder in folders for path in folder.glob("*.py")]
    paths += [test for test in tests if not test.stem.startswith("test_reference_server")]
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths]
    assert {"chaos.cli", "exporters.gpu", "tests.test_chaos_run", "tests.support.observed_run"} <= set(names)
    # An import of None is an ImportError: a child of a test sees what a machine without torch would see.
    # Locust first: it patches what others would hold already.
    names.sort(key=lambda name: (not name.startswith("loadtests"), name))
    code = "import importlib, sys\nsys.modules['torch'] = None\nfor name in sys.argv[1:]: importlib.import_module(name)"
    child = subprocess.run(
        [sys.executable, "-c", code, *names], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert child.returncode == 0, child.stderr


def imported(path: Path) -> set[str]:
    """The modules that a file imports, in functions too."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    names = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return names | {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}


def test_tests_and_benchmarks_share_what_is_in_support_and_nothing_else() -> None:
    tests, benchmarks = (sorted((ROOT / folder).rglob("*.py")) for folder in ("tests", "benchmarks"))
    of_tests = {(path.name, name) for path in tests for name in imported(path)}
    of_benchmarks = {(path.name, name) for path in benchmarks for name in imported(path)}
    assert [pair for pair in of_tests if pair[1].startswith("benchmarks")] == []
    shared = {name for _, name in of_benchmarks if name.startswith("tests")}
    assert shared
    assert all(name.startswith("tests.support.") for name in shared)
    of_support = {name for path in tests if path.parent.name == "support" for name in imported(path)}
    assert [name for name in of_support if name.startswith("tests.test_")] == []


def test_one_console_script_and_never_one_called_chaos() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    scripts = text.split("[project.scripts]")[1].split("[")[0].split()
    assert scripts == ["aftershock", "=", '"chaos.cli:main"']
    assert "Private :: Do Not Upload" in text


def test_no_registry_host_and_no_machine_path_is_named_in_any_committed_file() -> None:
    forbidden = re.compile(r"pypi\.org|pythonhosted|registry\.npmjs|deb\.debian\.org|/work/|/opt/pypi")
    suffixes = {".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".json", ".j2", ".js", ".css"}
    paths = [
        p
        for p in ROOT.rglob("*")
        if p.suffix in suffixes and not {".venv", "runs", "node_modules"} & set(p.parts)
    ]
    hits = [
        str(p.relative_to(ROOT)) for p in paths if p != Path(__file__) and forbidden.search(p.read_text())
    ]
    assert hits == []
