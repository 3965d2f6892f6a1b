"""Every exported series, declared once as data, one module for each part that exports some; standard library only."""
