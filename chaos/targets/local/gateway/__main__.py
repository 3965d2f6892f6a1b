"""`python -m chaos.targets.local.gateway`: a process of its own, that the supervisor talks to over its pipes."""

from chaos.targets.local.gateway.server import main

main()
