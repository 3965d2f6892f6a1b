"""A first experiment, written for the reader's own system: commented, valid, and small."""
