"""Write docs/lint.md from the rules and the models: python -m chaos.lint [--check]."""

import sys

from chaos.lint.documentation import main

sys.exit(main(check="--check" in sys.argv[1:]))
