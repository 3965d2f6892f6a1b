"""`python -m chaos.targets.local.proxy`: a process of its own, that the supervisor talks to over its pipes."""

from chaos.targets.local.proxy.server import main

main()
