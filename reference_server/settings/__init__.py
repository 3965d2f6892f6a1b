"""The settings of a replica in parts, each declared once beside the field that holds it."""
