"""What arrives when, and what is in it: pure functions from a declared load and its seed to the columns of a plan."""
