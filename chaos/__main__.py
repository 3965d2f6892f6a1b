"""`python -m chaos` is `aftershock`."""

import sys

from chaos.cli import main

sys.exit(main())
