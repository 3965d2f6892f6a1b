"""What can be asserted of a run: each term declared once, with its arguments, its dimension and how it is measured."""
