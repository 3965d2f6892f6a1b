"""What the records of a run say: pure functions over one immutable timeline."""
