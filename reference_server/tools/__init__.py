"""Commands beside serving: `python -m reference_server VERB`."""
