"""The `--help` of many modules from one process: `python -m tests.support.module_helps '[["module", "verb"], ...]'`.

Each is asked in a fork, as `python -m` would: what most of them import, torch above all, is imported once. Prints a
JSON object: exit code and text by the words.
"""

import json
import os
import runpy
import sys
import tempfile
from typing import NoReturn

SHARED = ("torch", "chaos.commands")


def _ask(words: list[str], output: int) -> NoReturn:
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.argv = [*words, "--help"]
    code = 1
    try:
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)
        code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    finally:
        sys.stdout.flush()
        os._exit(code)


def told(words: list[str]) -> tuple[int, str]:
    """Exit code, and all that was printed."""
    with tempfile.TemporaryFile() as output:
        child = os.fork()
        if child == 0:
            _ask(words, output.fileno())
        _, status = os.waitpid(child, 0)
        output.seek(0)
        return os.waitstatus_to_exitcode(status), output.read().decode()


def main(asked: str) -> None:
    """Print them."""
    for name in SHARED:
        __import__(name)
    print(json.dumps({" ".join(words): told(words) for words in json.loads(asked)}))


if __name__ == "__main__":
    main(sys.argv[1])
