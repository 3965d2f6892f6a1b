"""Write the docs of the record from its types: python -m chaos.record [--check]."""

import sys

from chaos.record.documentation import main

sys.exit(main(check="--check" in sys.argv[1:]))
